"""``twistd sip-presence``."""

from __future__ import annotations

from twisted.application.service import IService

from twisted_sip.tap.making import make_server
from twisted_sip.tap.options import ServerOptions


class Options(ServerOptions):
    """The options of the presence server."""

    command = "sip-presence"
    synopsis = "[options]"
    longdesc = "A presence and messaging server: clients register, publish, watch each other and chat."


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    return make_server(options, forwards=False, presence=True)
