"""The ICE agent of one call: role, tie-breaker and the streams that share one pace (RFC 8445)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import CandidateType
from twisted_sip.media.ice.pacing import Pacer
from twisted_sip.media.ice.session import ICESession
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.media.ice.stream import ICEStream
from twisted_sip.media.ice.user import ICEStreamUser, ICEUser
from twisted_sip.transaction.timers import Timer, TimerQueue


class ICEAgent:
    """The machine: it owns no socket and no clock. Use::

        agent = ICEAgent(user, timers, secrets.token_bytes, controlling=True)
        stream = agent.add_stream(port, {1: [rtp_address], 2: [rtcp_address]})
        agent.gather()                            # ... user.ice_gathered()
        # offer: stream.ufrag, stream.pwd, stream.local_candidates, stream.default_candidate(1), ice-options ice2
        stream.set_remote(ufrag, pwd, candidates) # from the answer
        agent.start()                             # ... port.ice_selected(1, pair), port.ice_completed()
        stream.datagram(1, rtp_address, remote, data)   # each datagram with a first octet of 0-3 or 64-79
        stream.send(1, rtp_packet)
        agent.close()                             # ... user.ice_closed()

    :param controlling: the offerer is (RFC 8445 section 6.1.1); with a lite peer the full agent always is, which
        :meth:`ICEStream.set_remote` sees to.
    :param lite: answer checks only; the host must have public addresses (section 2.5).
    :param random_bytes: a cryptographically strong source.
    :param software: what TURN servers are told (RFC 8656 section 5).
    :ivar controlling: the present role.
    :ivar tiebreaker: 64 random bits (section 16.1).
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
        software: str = "",
    ) -> None:
        self._user = user
        self.timers = timers
        self.random_bytes = random_bytes
        self.settings = settings or ICESettings()
        self.controlling = controlling
        self.lite = lite
        self.software = software
        self.tiebreaker = int.from_bytes(random_bytes(8), "big")
        self.streams: list[ICEStream] = []
        self.closed = False
        self._pacer = Pacer(timers, self.settings.Ta, self._step)
        self._turn = 0
        self._foundations: dict[tuple[CandidateType, str, str], str] = {}
        self._gather_timer: Timer | None = None
        self._gather_steps = False
        self._told_closed = False

    def add_stream(self, user: ICEStreamUser, bases: Mapping[int, Sequence[Address]], name: str = "") -> ICEStream:
        """Return a new stream.

        :param bases: for each component (1 RTP, 2 RTCP) the addresses its sockets are bound to, best first. One
            component alone means that RTP and RTCP share a port (RFC 5761) or that there is no RTCP.
        :param name: for the log.
        """
        stream = ICEStream(self, user, bases, name or f"stream {len(self.streams)}")
        self.streams.append(stream)
        return stream

    def remove_stream(self, stream: ICEStream) -> None:
        """The stream was taken out of the session (RFC 8839 section 4.4.1.1.2): it ends, its relays are given back."""
        stream.stop()

    def gather(self) -> None:
        """Gather candidates for the streams that have none; ``user.ice_gathered()`` follows, perhaps at once."""
        self._gather_steps = True
        for stream in self.streams:
            stream.gather()
        self._gather_steps = False
        self._look_gathered()
        if self._gathering:
            if self._gather_timer is None:
                self._gather_timer = self.timers.start(self.settings.gather_limit, self._give_up_gathering)
            self.wake()

    def start(self) -> None:
        """Begin the checks of every stream that knows its peer's description. Harmless when repeated."""
        for stream in self.streams:
            stream.session.checklist.limit = self.pair_limit
            stream.session.start()
        if self.lite:
            return
        # Section 6.1.2.6 step 4, over the whole checklist set.
        seen = self._running_foundations()
        for session in self._sessions():
            if session.running:
                session.checklist.unfreeze_first(seen)
        self.wake()

    def restart(self) -> None:
        """Restart every stream (section 9): new ufrag and pwd, no candidates; then gather and exchange them anew.

        What was selected stays in use until the new checks are done.
        """
        for stream in self.streams:
            stream.restart()

    def take_pacing(self, seconds: float) -> None:
        """The peer has told its Ta (RFC 8839 section 5.5): the higher value of both agents counts."""
        self._pacer.interval = min(max(self._pacer.interval, seconds), 5.0)

    def close(self) -> None:
        """End: relays are given back, timers cancelled; ``user.ice_closed()`` follows. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._pacer.stop()
        self._stop_gather_timer()
        for stream in self.streams:
            stream.stop()
        self.check_closed()

    @property
    def idle(self) -> bool:
        """True when no timer, transaction or allocation is left, as after :meth:`close` and its last deadline."""
        return self._pacer.resting and self._gather_timer is None and all(stream.idle for stream in self.streams)

    # -- for streams and sessions --------------------------------------------------------------

    @property
    def pair_limit(self) -> int:
        """The share of one checklist in the limit of all (section 6.1.2.5)."""
        return max(1, self.settings.max_pairs // max(1, len(self.streams)))

    def rto(self) -> float:
        """Return the first retransmission time of a check in seconds (section 14.3).

        That section lets us choose another formula: its factor N makes retransmissions of large checklists wait for
        minutes. This one still sends every check that is due once before the first retransmission.
        """
        running = sum(len(session.checklist.running) for session in self._sessions())
        return max(self.settings.RTO, round(self._pacer.interval * running, 2))

    def random_text(self, size: int) -> str:
        """Return *size* ice-chars with six random bits each (RFC 8839 section 5.4)."""
        return base64.b64encode(self.random_bytes(size)).decode("ascii")[:size]

    def foundation(self, kind: CandidateType, base: str, server: str) -> str:
        """Return the foundation of our candidates with these properties (section 5.1.1.3)."""
        return self._foundations.setdefault((kind, base, server), str(len(self._foundations) + 1))

    def wake(self) -> None:
        """There is a check to be sent, or a server to be asked."""
        if not self.closed:
            self._pacer.wake()

    def unfreeze(self, foundation: tuple[str, str]) -> None:
        """A check of *foundation* has succeeded (section 7.2.5.3.3)."""
        for session in self._sessions():
            session.checklist.unfreeze(foundation)
        self.wake()

    def take_role(self, *, controlling: bool) -> None:
        """Be controlling, or controlled."""
        if self.controlling is not controlling:
            self.switch_role()

    def switch_role(self) -> None:
        """Take the other role (sections 7.2.5.1 and 7.3.1.1)."""
        self.controlling = not self.controlling
        for session in self._sessions():
            session.rate()

    def conflict(self, claimed: bool) -> None:
        """A check that *claimed* to be controlling (or not) was answered 487 (section 7.2.5.1)."""
        if self.controlling is claimed:
            self.switch_role()
        self.tiebreaker = int.from_bytes(self.random_bytes(8), "big")

    def stream_gathered(self) -> None:
        """A stream has all its candidates."""
        if not self._gather_steps:
            self._look_gathered()

    def check_closed(self) -> None:
        """Tell the user if nothing is left after :meth:`close`."""
        if self.closed and not self._told_closed and self.idle:
            self._told_closed = True
            self._user.ice_closed()

    # -- inside -----------------------------------------------------------------------------------

    def _sessions(self) -> list[ICESession]:
        return [session for stream in self.streams for session in stream.sessions]

    @property
    def _gathering(self) -> bool:
        return any(stream.gathering is not None for stream in self.streams)

    def _look_gathered(self) -> None:
        if not self._gathering:
            self._stop_gather_timer()
            self._user.ice_gathered()

    def _give_up_gathering(self) -> None:
        self._gather_timer = None
        for stream in self.streams:
            if stream.gathering is not None:
                stream.gathering.give_up()

    def _stop_gather_timer(self) -> None:
        if self._gather_timer is not None:
            self._gather_timer.cancel()
            self._gather_timer = None

    def _running_foundations(self) -> set[tuple[str, str]]:
        return {pair.foundation for session in self._sessions() for pair in session.checklist.running}

    def _step(self) -> bool:
        """Ta fires: one transaction (sections 5.1.1.2 and 6.1.4.2)."""
        for stream in self.streams:
            if stream.gathering is not None and stream.gathering.step():
                return True
        sessions = self._sessions()
        for turn in range(len(sessions)):
            session = sessions[(self._turn + turn) % len(sessions)]
            pair = None
            if session.running:
                pair = session.checklist.next_check(self._running_foundations())
            elif session.state == "completed":
                pair = session.checklist.next_triggered()
            if pair is not None:
                self._turn = (self._turn + turn + 1) % len(sessions)
                session.outgoing.perform(pair)
                return True
        return False
