"""``twistd sip-proxy``."""

from __future__ import annotations

from twisted.application.service import IService

from twisted_sip.tap.making import make_server
from twisted_sip.tap.options import ServerOptions


class Options(ServerOptions):
    """The options of the proxy."""

    command = "sip-proxy"
    synopsis = "[options]"
    longdesc = "A SIP proxy and registrar: phones register with it and call through it."
    optFlags = [*ServerOptions.optFlags, ["presence", None, "Serve presence, instant messages and XCAP too."]]


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    return make_server(options, forwards=True, presence=bool(options["presence"]))
