"""``twistd sip-proxy``."""

from __future__ import annotations

from twisted.application.service import IService
from twisted.python import usage

from twisted_sip.tap.making import make_server
from twisted_sip.tap.options import PresenceOptions


class Options(PresenceOptions):
    """The options of the proxy."""

    command = "sip-proxy"
    synopsis = "[options]"
    longdesc = "A SIP proxy and registrar: phones register with it and call through it."
    optFlags = [*PresenceOptions.optFlags, ["presence", None, "Serve presence, instant messages and XCAP too."]]

    def postOptions(self) -> None:
        """Refuse options of presence where none is served."""
        if self.xcap and not self["presence"]:
            raise usage.UsageError("--xcap goes with --presence")


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    from twisted_sip.tap.accounting_part import AccountingPart

    return make_server(options, forwards=True, presence=bool(options["presence"]), parts=[AccountingPart()])
