"""One data stream of an ICE agent: its candidates, its peer's, and what was selected (RFC 8445, RFC 8839)."""

from __future__ import annotations

from collections.abc import Sequence

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate
from twisted_sip.media.ice.pair import CandidatePair


class ICEStream:
    """Made by :meth:`ICEAgent.add_stream`.

    :ivar ufrag: what to tell as ``a=ice-ufrag``.
    :ivar pwd: what to tell as ``a=ice-pwd``.
    :ivar state: ``new``, ``running``, ``completed`` or ``failed`` (RFC 8445 section 6.1.3).
    """

    ufrag: str
    pwd: str
    state: str

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """What to tell as ``a=candidate`` lines, best first; the present pairs' alone once completed."""
        raise NotImplementedError

    def default_candidate(self, component: int) -> Candidate | None:
        """Return what stands in c=, m= and a=rtcp: (RFC 8839 section 4.2.1.2): relayed before reflexive before host.

        None before anything was gathered. Once selected it is the selected one.
        """
        raise NotImplementedError

    def selected(self, component: int) -> CandidatePair | None:
        """Return the pair that data goes over, None if there is none yet."""
        raise NotImplementedError

    def is_restart(self, ufrag: str, pwd: str) -> bool:
        """Tell whether the peer restarts with these (RFC 8839 section 4.4.1.1.1: both change)."""
        raise NotImplementedError

    def set_remote(self, ufrag: str, pwd: str, candidates: Sequence[Candidate], *, lite: bool = False) -> None:
        """Take the peer's description, from an offer or an answer. Checks begin with :meth:`ICEAgent.start`.

        Unusable candidates (TCP, names, unknown types, other components, too many) are left out. A new ufrag and pwd
        restart this stream, if it was not restarted here already: gather anew before the answer.

        :param lite: the peer said ``a=ice-lite``.
        :raises RemoteProtocolError: ufrag or pwd are malformed (RFC 8839 section 5.4), status 488.
        """
        raise NotImplementedError

    def drop_component(self, component: int) -> None:
        """Forget a component: the peer takes RTP and RTCP on one port (RFC 5761 section 5.1.3)."""
        raise NotImplementedError

    def datagram(self, component: int, base: Address, remote: Address, data: bytes) -> bool:
        """Take a datagram from the socket bound to *base*; tell whether it was ours (STUN, TURN).

        False is the application's: RTP, RTCP, DTLS. Never raises for what the datagram holds.
        """
        raise NotImplementedError

    def refused(self, component: int, base: Address, remote: Address) -> None:
        """ICMP told that nobody listens at *remote* (RFC 8445 section 7.2.5.2.2)."""
        raise NotImplementedError

    def send(self, component: int, data: bytes) -> bool:
        """Send application data over the selected pair; False if there is none (nothing was sent)."""
        raise NotImplementedError
