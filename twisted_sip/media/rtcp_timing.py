"""When to send RTCP: RFC 3550 sections 6.2, 6.3 and appendix A.7, with timer reconsideration in both directions.

Sans-I/O: the time is an argument, chance is passed in. There is no timer here: who drives it calls :meth:`due` often.
"""

from __future__ import annotations

from collections.abc import Callable

#: Appendix A.7.
MIN_TIME = 5.0
SENDER_FRACTION = 0.25
COMPENSATION = 2.71828 - 1.5

#: Section 6.3.5.
TIMEOUT_MULTIPLIER = 5

#: Section 6.2: of the session bandwidth.
RTCP_FRACTION = 0.05

#: Sources beyond these are not counted: a session here has two parties, or as many as a conference shows.
MOST_MEMBERS = 64


def interval(members: int, senders: int, bandwidth: float, we_sent: bool, average_size: float, initial: bool) -> float:
    """Return the deterministic calculated interval in seconds (section 6.3.1, rtcp_interval before chance).

    :param bandwidth: for all RTCP of the session, in octets per second.
    :param average_size: of compounds with their UDP and IP headers, in octets.
    :param initial: nothing has been sent yet.
    """
    least = MIN_TIME / 2 if initial else MIN_TIME
    count = members
    if senders <= members * SENDER_FRACTION:
        if we_sent:
            bandwidth *= SENDER_FRACTION
            count = senders
        else:
            bandwidth *= 1 - SENDER_FRACTION
            count -= senders
    return max(least, average_size * count / bandwidth)


class RTCPTiming:
    """The timing of one participant.

    :ivar tn: when the next report is due, in seconds.
    """

    def __init__(self, bandwidth: float, now: float, random: Callable[[], float], size: int = 120) -> None:
        """Join a session (section 6.3.2).

        :param bandwidth: of the session, in octets per second.
        :param now: the time in seconds.
        :param random: gives numbers from 0.0 to 1.0, uniformly.
        :param size: the probable size of the first compound, with UDP and IP headers.
        """
        self._bandwidth = bandwidth * RTCP_FRACTION
        self._random = random
        self._average = float(size)
        self._initial = True
        self._leaving = False
        self._byes = 0
        self._seen: dict[int, float] = {}
        self._sent: dict[int, float] = {}
        self._we_sent_at: float | None = None
        self._reports: tuple[float, float] = (now, now)
        self._tp = now
        self._pmembers = 1
        self.tn = now + self._draw()

    @property
    def members(self) -> int:
        """How many participants are known, ourselves included; the BYEs while we leave (section 6.3.7)."""
        return self._byes if self._leaving else 1 + len(self._seen)

    @property
    def senders(self) -> int:
        """How many of them send."""
        return 0 if self._leaving else len(self._sent) + self.we_sent

    @property
    def we_sent(self) -> bool:
        """Whether we have sent data since the second last report (section 6.3)."""
        return not self._leaving and self._we_sent_at is not None and self._we_sent_at >= self._reports[0]

    def _draw(self) -> float:
        plain = interval(self.members, self.senders, self._bandwidth, self.we_sent, self._average, self._initial)
        return plain * (self._random() + 0.5) / COMPENSATION

    def data_sent(self, now: float) -> None:
        """We have sent an RTP packet (section 6.3.8)."""
        self._we_sent_at = now

    def data_received(self, ssrc: int, now: float) -> None:
        """A valid source has sent an RTP packet (section 6.3.3)."""
        if ssrc in self._seen or len(self._seen) < MOST_MEMBERS:
            self._seen[ssrc] = now
            self._sent[ssrc] = now

    def report_received(self, ssrc: int, size: int, now: float) -> None:
        """A participant has sent a compound of *size* octets, headers included (section 6.3.3)."""
        if self._leaving:
            return
        if ssrc in self._seen or len(self._seen) < MOST_MEMBERS:
            self._seen[ssrc] = now
        self._average += (size - self._average) / 16

    def bye_received(self, ssrc: int, size: int, now: float) -> None:
        """A participant has left (sections 6.3.4 and 6.3.7)."""
        self._average += (size - self._average) / 16
        if self._leaving:
            self._byes += 1
            return
        self._sent.pop(ssrc, None)
        self._seen.pop(ssrc, None)
        self._reverse(now)

    def _reverse(self, now: float) -> None:
        # Section 6.3.4: the fewer we are the sooner.
        members = self.members
        if members < self._pmembers:
            part = members / self._pmembers
            self.tn = now + part * (self.tn - now)
            self._tp = now - part * (now - self._tp)
            self._pmembers = members

    def due(self, now: float) -> bool:
        """Tell whether to send a compound now; if so :meth:`sent` must follow (section 6.3.6)."""
        if now < self.tn:
            return False
        if not self._leaving:
            self._time_out(now)
        at = self._tp + self._draw()
        self._pmembers = self.members
        if at <= now:
            return True
        self.tn = at
        return False

    def sent(self, size: int, now: float) -> None:
        """A compound of *size* octets, headers included, has been sent (section 6.3.6)."""
        self._average += (size - self._average) / 16
        self._initial = False
        self._tp = now
        self._reports = (self._reports[1], now)
        self.tn = now + self._draw()

    def _time_out(self, now: float) -> None:
        # Section 6.3.5: members after five intervals of a receiver, senders after two of ours.
        plain = interval(self.members, self.senders, self._bandwidth, False, self._average, self._initial)
        oldest = now - TIMEOUT_MULTIPLIER * plain
        for ssrc in [ssrc for ssrc, at in self._seen.items() if at < oldest]:
            del self._seen[ssrc]
            self._sent.pop(ssrc, None)
        ours = interval(self.members, self.senders, self._bandwidth, self.we_sent, self._average, self._initial)
        for ssrc in [ssrc for ssrc, at in self._sent.items() if at < now - 2 * ours]:
            del self._sent[ssrc]
        self._reverse(now)

    def leave(self, size: int, now: float) -> bool:
        """Begin to leave (section 6.3.7).

        :param size: of the compound with BYE, headers included.
        :returns: True if the BYE may go at once: there are less than fifty members; else when :meth:`due` says so.
        """
        if self.members < 50:
            return True
        self._leaving = True
        self._byes = 1
        self._pmembers = 1
        self._initial = True
        self._tp = now
        self._average = float(size)
        self.tn = now + self._draw()
        return False
