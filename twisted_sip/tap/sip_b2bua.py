"""``twistd sip-b2bua``."""

from __future__ import annotations

from twisted.application.service import IService

from twisted_sip.tap.making import make_server
from twisted_sip.tap.options import ServerOptions


class Options(ServerOptions):
    """The options of the b2bua."""

    command = "sip-b2bua"
    synopsis = "[options]"
    longdesc = (
        "A back-to-back user agent and registrar: it answers calls and makes others for them, so that neither side "
        "learns of the other more than it is told. It relays media, limits calls and writes call records."
    )


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    # Other servers need no media.
    from twisted_sip.tap.accounting_part import AccountingPart
    from twisted_sip.tap.b2bua_part import B2BUAPart

    accounting = AccountingPart()
    return make_server(options, forwards=False, parts=[accounting, B2BUAPart(accounting)])
