"""``twistd sip-presence``."""

from __future__ import annotations

from twisted.application.service import IService

from twisted_sip.tap.making import make_server
from twisted_sip.tap.options import PresenceOptions


class Options(PresenceOptions):
    """The options of the presence server."""

    command = "sip-presence"
    synopsis = "[options]"
    longdesc = "A presence and messaging server: clients register, publish, watch each other and chat."

    def opt_behind(self, uri: str) -> None:
        """The SIP URI of the proxy behind which this server sits: users register there, and not here."""
        self.behind = uri


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    return make_server(options, forwards=False, presence=True)
