"""One source of RTP as its receiver sees it: RFC 3550 appendices A.1 (validity), A.3 (loss) and A.8 (jitter)."""

from __future__ import annotations

#: Appendix A.1.
SEQUENCE_MOD = 1 << 16
MAX_DROPOUT = 3000
MAX_MISORDER = 100
MIN_SEQUENTIAL = 2

_HALF = 1 << 31
_WHOLE = 1 << 32


class RTPSource:
    """State of a synchronization source.

    :ivar ssrc: its identifier.
    :ivar probation: how many packets in sequence it still needs to be valid (appendix A.1).
    :ivar received: packets that counted, late and duplicate ones included.
    :ivar jitter: interarrival jitter in units of its clock (appendix A.8).
    :ivar heard_at: when its last packet came, in seconds.
    """

    __slots__ = (
        "_arrival_origin",
        "_timestamp",
        "_transit",
        "bad_seq",
        "base_seq",
        "clock_rate",
        "cycles",
        "expected_prior",
        "heard_at",
        "jitter",
        "max_seq",
        "probation",
        "received",
        "received_prior",
        "restarts",
        "ssrc",
    )

    def __init__(self, ssrc: int, sequence: int, clock_rate: int, probation: int = MIN_SEQUENTIAL) -> None:
        """Make one whose first packet, which is still to be given to :meth:`update`, has the number *sequence*.

        :param clock_rate: of its timestamps, in Hz.
        :param probation: packets in sequence before it is valid; 0 to believe it at once.
        """
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.restarts = 0
        self.jitter = 0.0
        self.heard_at = 0.0
        self._transit: float | None = None
        self._arrival_origin = 0.0
        self._timestamp = 0
        self._begin(sequence)
        self.probation = probation
        if probation:
            self.max_seq = (sequence - 1) % SEQUENCE_MOD

    def _begin(self, sequence: int) -> None:
        self.base_seq = sequence
        self.max_seq = sequence
        self.bad_seq = SEQUENCE_MOD + 1
        self.cycles = 0
        self.received = 0
        self.received_prior = 0
        self.expected_prior = 0

    def update(self, sequence: int) -> int:
        """Take the number of one packet (update_seq of appendix A.1).

        :returns: its extended number, 32 bits and more; -1 if it is not valid (yet).
        """
        ahead = (sequence - self.max_seq) % SEQUENCE_MOD
        if self.probation:
            if ahead == 1:
                self.probation -= 1
                self.max_seq = sequence
                if not self.probation:
                    self._begin(sequence)
                    self.received = 1
                    return sequence
            else:
                self.probation = MIN_SEQUENTIAL - 1
                self.max_seq = sequence
            return -1
        if ahead < MAX_DROPOUT:
            if sequence < self.max_seq:
                self.cycles += SEQUENCE_MOD
            self.max_seq = sequence
        elif ahead <= SEQUENCE_MOD - MAX_MISORDER:
            if sequence != self.bad_seq:
                self.bad_seq = (sequence + 1) % SEQUENCE_MOD
                return -1
            # Two in sequence: the other side has restarted without telling.
            self._begin(sequence)
            self.restarts += 1
            self._transit = None
        else:
            self.received += 1
            # Behind, perhaps from before the last wrap.
            behind = self.cycles + sequence
            return behind - SEQUENCE_MOD if sequence > self.max_seq else behind
        self.received += 1
        return self.cycles + sequence

    def arrived(self, timestamp: int, now: float) -> None:
        """Take timestamp and arrival (in seconds) of a valid packet into the estimate of jitter (appendix A.8)."""
        self.heard_at = now
        transit = self._transit
        if transit is None:
            self._arrival_origin = now
            self._timestamp = timestamp
            self._transit = 0.0
            return
        # Differences alone count, so the timestamps are taken relative to the first one, over every wrap.
        advance = (timestamp - self._timestamp) & 0xFFFFFFFF
        if advance >= _HALF:
            advance -= _WHOLE
        rate = self.clock_rate
        elapsed = now - self._arrival_origin
        self._arrival_origin = now
        self._timestamp = timestamp
        difference = abs(elapsed * rate - advance)
        if difference < 10 * rate:
            self.jitter += (difference - self.jitter) / 16.0

    @property
    def extended_max(self) -> int:
        """The extended highest sequence number received (section 6.4.1)."""
        return self.cycles + self.max_seq

    @property
    def expected(self) -> int:
        """How many packets there should have been (appendix A.3)."""
        return 0 if self.probation else self.extended_max - self.base_seq + 1

    @property
    def lost(self) -> int:
        """Expected and not received; negative after duplicates (appendix A.3)."""
        return self.expected - self.received

    def fraction_lost(self) -> int:
        """Return the part lost since the last call, in 256ths (appendix A.3)."""
        expected = self.expected
        expected_interval = expected - self.expected_prior
        self.expected_prior = expected
        received_interval = self.received - self.received_prior
        self.received_prior = self.received
        lost = expected_interval - received_interval
        if expected_interval <= 0 or lost <= 0:
            return 0
        return min(255, (lost << 8) // expected_interval)
