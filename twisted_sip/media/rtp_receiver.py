"""Which sources are heard in one RTP session: validity, SSRC change, collisions (RFC 3550 sections 6.2.1 and 8.2).

Sans-I/O. A session here has one peer, so one source is *current* at a time; another one takes its place when it has
proved itself (appendix A.1) while the current one says nothing, or at once after a BYE.
"""

from __future__ import annotations

from twisted_sip.media.rtp_source import MIN_SEQUENTIAL, RTPSource

#: Sources under probation or past beyond these push out the oldest.
MOST_SOURCES = 8

#: A source that was not heard for so long, in seconds, gives way to one that has proved itself.
GIVES_WAY = 0.2


class RTPReceiver:
    """The sources of one session.

    :ivar current: the source whose packets are played, None before one has proved itself.
    :ivar refused: packets of sources that are not, or not yet, the current one.
    :ivar collisions: packets with our own SSRC: a collision or a loop (section 8.2).
    :ivar changes: how often another source became the current one, or that one began anew.
    """

    __slots__ = (
        "_restarts",
        "_sources",
        "changes",
        "collisions",
        "current",
        "lost_before",
        "received_before",
        "refused",
    )

    def __init__(self) -> None:
        self._sources: dict[int, RTPSource] = {}
        self.current: RTPSource | None = None
        self.refused = 0
        self.collisions = 0
        self.changes = 0
        self.lost_before = 0
        self.received_before = 0
        self._restarts = 0

    def take(self, ssrc: int, sequence: int, timestamp: int, clock_rate: int, now: float) -> int:
        """Take the header of one packet.

        :param clock_rate: of its payload type, in Hz.
        :param now: the time in seconds.
        :returns: its extended sequence number, or -1 if its payload is not to be played.
        """
        current = self.current
        if current is not None and current.ssrc == ssrc:
            extended = current.update(sequence)
            if extended >= 0:
                current.clock_rate = clock_rate
                current.arrived(timestamp, now)
                if current.restarts != self._restarts:
                    # Appendix A.1: its numbers have nothing to do with those before.
                    self._restarts = current.restarts
                    self.changes += 1
            else:
                self.refused += 1
            return extended
        return self._other(ssrc, sequence, timestamp, clock_rate, now)

    def _other(self, ssrc: int, sequence: int, timestamp: int, clock_rate: int, now: float) -> int:
        source = self._sources.get(ssrc)
        if source is None:
            if len(self._sources) >= MOST_SOURCES:
                del self._sources[min(self._sources, key=lambda known: self._sources[known].heard_at)]
            # The very first source is played from its first packet: nobody is there whom a stranger could push out.
            probation = MIN_SEQUENTIAL if self.current is not None else 0
            source = self._sources[ssrc] = RTPSource(ssrc, sequence, clock_rate, probation)
        source.heard_at = now
        extended = source.update(sequence)
        current = self.current
        if extended < 0 or (current is not None and now - current.heard_at < GIVES_WAY):
            self.refused += 1
            return -1
        self._become_current(source)
        source.arrived(timestamp, now)
        return extended

    def _become_current(self, source: RTPSource) -> None:
        old = self.current
        if old is not None:
            self.changes += 1
            self.lost_before += old.lost
            self.received_before += old.received
            self._sources.pop(old.ssrc, None)
        self.current = source
        self._restarts = source.restarts

    def bye(self, ssrc: int) -> None:
        """A source has left (section 6.3.4): another one may follow at once."""
        current = self.current
        if current is not None and current.ssrc == ssrc:
            current.heard_at = float("-inf")
        else:
            self._sources.pop(ssrc, None)

    def forget(self) -> None:
        """The peer may be another one from now on (a new offer/answer, another address)."""
        if self.current is not None:
            self.current.heard_at = float("-inf")

    @property
    def received(self) -> int:
        """Packets of all current sources there were."""
        return self.received_before + (self.current.received if self.current is not None else 0)

    @property
    def lost(self) -> int:
        """Packets lost of all current sources there were (appendix A.3)."""
        return self.lost_before + (self.current.lost if self.current is not None else 0)

    @property
    def jitter(self) -> float:
        """Interarrival jitter of the current source in seconds."""
        current = self.current
        return 0.0 if current is None else current.jitter / current.clock_rate
