"""``twistd sip-redirect``."""

from __future__ import annotations

from twisted.application.service import IService

from twisted_sip.tap.making import make_server
from twisted_sip.tap.options import ServerOptions


class Options(ServerOptions):
    """The options of the redirect server."""

    command = "sip-redirect"
    synopsis = "[options]"
    longdesc = (
        "A SIP redirect server and registrar: phones register with it, and it tells callers where they are. Calls do "
        "not pass it."
    )


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    from twisted_sip.tap.redirect_part import RedirectPart

    return make_server(options, forwards=False, parts=[RedirectPart()])
