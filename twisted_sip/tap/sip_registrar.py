"""``twistd sip-registrar``."""

from __future__ import annotations

from twisted.application.service import IService

from twisted_sip.tap.making import make_server
from twisted_sip.tap.options import ServerOptions


class Options(ServerOptions):
    """The options of the registrar."""

    command = "sip-registrar"
    synopsis = "[options]"
    longdesc = "A SIP registrar alone: it keeps where users are and forwards nothing."


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    return make_server(options, forwards=False)
