"""Keys as named telephone events in RTP (RFC 4733): payloads, the sender and the receiver.

Sans-I/O: the sender is asked once for each packet time, the receiver is given each packet.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

import attrs

from twisted_sip.errors import LocalProtocolError

#: The keys by event code (section 3.2 and table 7); ``!`` is the hook flash of RFC 2833, event 16.
KEYS = "0123456789*#ABCD!"

#: What may stand between keys: a second of nothing.
PAUSE = ","

#: No more keys wait to be sent.
MOST_KEYS = 256

#: The longest that a duration field can say (section 2.5.1.3).
_LONGEST = 0xFFFF

#: The last packet of an event is sent three times (section 2.5.1.4).
_COPIES = 3

#: The volume of DTMF that is sent, in -dBm0 (section 2.3.4).
_VOLUME = 10

_EVENT = struct.Struct("!BBH")


def event_payload(event: int, end: bool, duration: int, volume: int = _VOLUME) -> bytes:
    """Return a payload (section 2.3)."""
    return _EVENT.pack(event, end << 7 | volume, duration)


@attrs.frozen(slots=True)
class EventReport:
    """One event of a payload (section 2.3)."""

    event: int
    end: bool
    volume: int
    duration: int


def event_reports(payload: bytes) -> tuple[EventReport, ...]:
    """Return the events of a payload (sections 2.3 and 2.5.1.5); none if it is malformed."""
    if len(payload) % 4 or len(payload) > 64:
        return ()
    return tuple(
        EventReport(event, second > 0x7F, second & 0x3F, duration)
        for event, second, duration in _EVENT.iter_unpack(payload)
    )


def check_keys(digits: str) -> str:
    """Return *digits* in capitals.

    :raises LocalProtocolError: there is a character that is no key and no pause.
    """
    digits = digits.upper()
    wrong = [digit for digit in digits if digit not in KEYS and digit != PAUSE]
    if wrong:
        raise LocalProtocolError(f"{wrong[0]!r} is no key of a telephone")
    if len(digits) > MOST_KEYS:
        raise LocalProtocolError(f"no more than {MOST_KEYS} keys at a time")
    return digits


class EventSender:
    """Presses keys one after the other, one packet each time it is asked.

    :param clock_rate: of durations in Hz.
    :param step: its units between two questions.
    :param stamps: the rate of the RTP clock in Hz, where that of the sound is another one: section 2.1 has one base of
        timestamps for both.
    :ivar clocks: the three of them.
    """

    def __init__(self, clock_rate: int, step: int, stamps: int = 0) -> None:
        self.clocks = (clock_rate, step, stamps or clock_rate)
        self._rate = clock_rate
        self._step = step
        self._waiting: deque[tuple[int, int, int]] = deque()
        self._event = -1
        self._begin = 0
        self._elapsed = 0
        self._length = 0
        self._gap = 0
        self._copies = 0
        self._segment = 0
        self._first = False
        self._silent = 0

    @property
    def busy(self) -> bool:
        """True while there is a key to send, or a gap to wait."""
        return self._event >= 0 or bool(self._waiting) or self._silent > 0

    def press(self, digits: str, duration: float, gap: float) -> None:
        """Send *digits*, each for *duration* seconds with *gap* seconds after it.

        :raises LocalProtocolError: a character that is no key, too many, or no time for them.
        """
        digits = check_keys(digits)
        if len(self._waiting) + len(digits) > MOST_KEYS:
            raise LocalProtocolError(f"no more than {MOST_KEYS} keys at a time")
        if not 0 < duration <= 60 or not 0 <= gap <= 60:
            raise LocalProtocolError("a key is held for up to 60 seconds")
        for digit in digits:
            if digit == PAUSE:
                self._waiting.append((-1, 0, self._rate))
            else:
                self._waiting.append((KEYS.index(digit), int(duration * self._rate), int(gap * self._rate)))

    def retime(self, clock_rate: int, step: int, stamps: int = 0) -> None:
        """Go on with other clocks, see the parameters of this class; no key is lost."""
        before, self._rate, self._step = self._rate, clock_rate, step
        self.clocks = (clock_rate, step, stamps or clock_rate)

        def scaled(value: int) -> int:
            return value * clock_rate // before

        if clock_rate != before:
            self._waiting = deque((event, scaled(length), scaled(gap)) for event, length, gap in self._waiting)
            self._elapsed, self._length, self._gap = scaled(self._elapsed), scaled(self._length), scaled(self._gap)
            self._segment, self._silent = scaled(self._segment), scaled(self._silent)

    def next(self, now: int) -> tuple[bytes, int, bool] | None:
        """Return payload, RTP timestamp and marker of the packet to send at *now*, a time on the RTP clock.

        None while nothing is to be sent: then sound goes out, if there is any.
        """
        if self._silent > 0:
            self._silent -= self._step
            return None
        if self._event < 0 and not self._start(now):
            return None
        step = self._step
        if self._copies:
            # Section 2.5.1.4: copies of the last packet, all alike.
            self._copies -= 1
            packet = (event_payload(self._event, True, self._segment), self._begin, False)
            if not self._copies:
                self._event = -1
                # The copies take time as well.
                self._silent = self._gap - step * (_COPIES - 1)
            return packet
        self._elapsed += step
        self._segment += step
        if self._elapsed >= self._length:
            self._segment = min(_LONGEST, self._segment - (self._elapsed - self._length))
            self._copies = _COPIES - 1
            return event_payload(self._event, True, self._segment), self._begin, self._take_first()
        if self._segment >= _LONGEST:
            # Section 2.5.1.3: the full length without E; the next segment begins where this one ends, without M.
            packet = (event_payload(self._event, False, _LONGEST), self._begin, self._take_first())
            self._begin = (self._begin + _LONGEST * self.clocks[2] // self._rate) & 0xFFFFFFFF
            self._segment -= _LONGEST
            return packet
        return event_payload(self._event, False, self._segment), self._begin, self._take_first()

    def _start(self, now: int) -> bool:
        if not self._waiting:
            return False
        event, length, gap = self._waiting.popleft()
        if event < 0:
            self._silent = gap - self._step
            return False
        self._event, self._length, self._gap = event, max(length, self._step), gap
        self._begin = now & 0xFFFFFFFF
        self._elapsed = self._segment = 0
        self._first = True
        return True

    def _take_first(self) -> bool:
        first, self._first = self._first, False
        return first

    def stop(self) -> None:
        """Forget the keys that have not begun."""
        self._waiting.clear()


class EventReceiver:
    """Tells of each key of the peer once, when it is let go.

    :ivar clock_rate: of its timestamps in Hz.
    :ivar malformed: payloads that made no sense.
    """

    #: Without a packet for so long, in seconds, a key is taken for let go (section 2.5.2.2).
    SILENCE = 0.2

    #: Seconds for which copies of what is over may come; later, and further behind, it is another event: some phones
    #: set their clock back.
    COPIES = 10

    def __init__(self, clock_rate: int, told: Callable[[str, float], object]) -> None:
        """Make one.

        :param told: called with the key and how long it was held, in seconds.
        """
        self.clock_rate = clock_rate
        self._told = told
        self._event = -1
        self._begin = 0
        self._before = 0
        self._duration = 0
        self._heard_at = 0.0
        self._over: int | None = None
        self._over_at = 0.0
        self.malformed = 0

    @property
    def pressed(self) -> bool:
        """Whether a key is held down now."""
        return self._event >= 0

    def received(self, payload: bytes, timestamp: int, now: float) -> None:
        """Take one packet of events."""
        reports = event_reports(payload)
        if not reports:
            self.malformed += 1
            return
        for report in reports:
            self._one(report, timestamp, now)
            # Section 2.5.2.4: the next one begins where this one ends.
            timestamp = (timestamp + report.duration) & 0xFFFFFFFF

    def _one(self, report: EventReport, timestamp: int, now: float) -> None:
        event = report.event
        if event >= len(KEYS):
            return
        if self._over is not None:
            behind = (self._over - timestamp) & 0xFFFFFFFF
            if behind <= self.COPIES * self.clock_rate and abs(now - self._over_at) <= self.COPIES:
                # Section 2.5.2.2: a copy of what was told already, or of something before it.
                self._over_at = now
                return
        if self._event >= 0 and (event != self._event or timestamp != self._begin):
            # Where the sound has another clock, the segment that is full says so.
            follows = timestamp == (self._begin + _LONGEST) & 0xFFFFFFFF or self._duration == _LONGEST
            continued = event == self._event and follows
            if continued:
                # Section 2.5.2.3: the next segment of a long one.
                self._before += _LONGEST
                self._begin = timestamp
                self._duration = 0
            else:
                self._finish(now)
        if self._event < 0:
            self._event = event
            self._begin = timestamp
            self._before = 0
            self._duration = 0
        self._heard_at = now
        self._duration = max(self._duration, report.duration)
        if report.end:
            self._finish(now)

    def reset(self) -> None:
        """The peer has another clock from now on."""
        if self._event >= 0:
            self._finish(self._heard_at)
        self._over = None

    def tick(self, now: float) -> None:
        """Look whether the end of a key was lost on the way; to be called now and then."""
        if self._event >= 0 and now - self._heard_at > self.SILENCE:
            self._finish(now)

    def _finish(self, now: float) -> None:
        event, held = self._event, (self._before + self._duration) / self.clock_rate
        self._over = self._begin
        self._over_at = now
        self._event = -1
        self._told(KEYS[event], held)
