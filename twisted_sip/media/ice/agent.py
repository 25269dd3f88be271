"""The ICE agent of one call: role, tie-breaker and the streams that share one pace (RFC 8445)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.media.ice.stream import ICEStream
from twisted_sip.media.ice.user import ICEStreamUser, ICEUser
from twisted_sip.transaction.timers import TimerQueue


class ICEAgent:
    """The machine: it owns no socket and no clock. Use::

        agent = ICEAgent(user, timers, secrets.token_bytes, controlling=True)
        stream = agent.add_stream(port, {1: [rtp_address], 2: [rtcp_address]})
        agent.gather()                            # ... user.ice_gathered()
        # offer: stream.ufrag, stream.pwd, stream.local_candidates, stream.default_candidate(1)
        stream.set_remote(ufrag, pwd, candidates) # from the answer
        agent.start()                             # ... port.ice_selected(1, pair), port.ice_completed()
        stream.datagram(1, rtp_address, remote, data)   # each datagram with a first octet of 0-3 or 64-79
        stream.send(1, rtp_packet)
        agent.close()

    :param controlling: the offerer is (RFC 8445 section 6.1.1); with a lite peer the full agent always is, which
        :meth:`ICEStream.set_remote` sees to.
    :param lite: answer checks only; the host must have public addresses (section 2.5).
    :param random_bytes: a cryptographically strong source.
    :ivar controlling: the present role.
    """

    def __init__(
        self,
        user: ICEUser,
        timers: TimerQueue,
        random_bytes: Callable[[int], bytes],
        settings: ICESettings | None = None,
        *,
        controlling: bool,
        lite: bool = False,
    ) -> None:
        raise NotImplementedError

    def add_stream(self, user: ICEStreamUser, bases: Mapping[int, Sequence[Address]]) -> ICEStream:
        """Return a new stream.

        :param bases: for each component (1 RTP, 2 RTCP) the addresses its sockets are bound to, best first. One
            component alone means that RTP and RTCP share a port (RFC 5761) or that there is no RTCP.
        """
        raise NotImplementedError

    def gather(self) -> None:
        """Gather candidates for the streams that have none; ``user.ice_gathered()`` follows, perhaps at once."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin the checks of every stream that knows its peer's description. Harmless when repeated."""
        raise NotImplementedError

    def restart(self) -> None:
        """Restart every stream (section 9): new ufrag and pwd, no candidates; then gather and exchange them anew.

        What was selected stays in use until the new checks are done.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End: relays are given back, timers cancelled, nothing is called any more. Idempotent."""
        raise NotImplementedError

    @property
    def idle(self) -> bool:
        """True when no timer, transaction or allocation is left, as after :meth:`close` and its last deadline."""
        raise NotImplementedError
