"""Those who use the ICE machine: the seam to sockets and to the call (RFC 8445 sections 2 and 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted_sip.interfaces.flow import Address

if TYPE_CHECKING:
    from twisted_sip.media.ice.pair import CandidatePair


class ICEStreamUser(Protocol):
    """What a stream wants of the owner of its sockets; nothing is called from inside a constructor."""

    def ice_send(self, component: int, base: Address, remote: Address, data: bytes) -> None:
        """Send *data* as a datagram from the socket bound to *base*. It may be lost; it must not raise."""

    def ice_received(self, component: int, remote: Address, data: bytes) -> None:
        """A datagram of the application (RTP, DTLS) came from *remote* through a relay."""

    def ice_selected(self, component: int, pair: CandidatePair) -> None:
        """*pair* is what :meth:`ICEStream.send` uses from now on. It may change until the stream is completed."""

    def ice_completed(self) -> None:
        """Every component has its nominated pair; again after each restart."""

    def ice_failed(self, reason: str) -> None:
        """There is no way to the peer, or consent has expired; nothing is sent any more. A restart may help."""


class ICEUser(Protocol):
    """What the agent tells the call."""

    def ice_gathered(self) -> None:
        """All local candidates are known: the description may be sent. Once after each :meth:`ICEAgent.gather`."""

    def ice_closed(self) -> None:
        """After :meth:`ICEAgent.close`: relays are given back, sockets may be closed. At once without relays."""
