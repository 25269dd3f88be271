"""When a session takes place: ``t=``, ``r=`` and ``z=`` (RFC 8866 sections 5.9 to 5.11)."""

from __future__ import annotations

import re

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.lines import check_range, number

#: Seconds from the epoch of SDP (1900) to that of Unix (RFC 8866 section 5.9).
SDP_EPOCH = 2208988800

_MOST = 10**18
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TYPED_TIME = re.compile(r"-?[0-9]{1,18}[dhms]?").fullmatch


def seconds(typed_time: str) -> int:
    """Return the seconds that a typed time says: ``7d``, ``-1h``, ``3600`` (RFC 8866 section 5.10).

    :raises LocalProtocolError: it is none.
    """
    if _TYPED_TIME(typed_time) is None:
        raise LocalProtocolError(f"{typed_time[:40]!r} is no time: digits and d, h, m or s are required")
    unit = typed_time[-1] if typed_time[-1] in _UNITS else ""
    return int(typed_time.removesuffix(unit)) * _UNITS[unit]


def _typed_times(words: list[str], line: str) -> tuple[str, ...]:
    for word in words:
        if _TYPED_TIME(word) is None:
            raise RemoteProtocolError(f"Malformed time {printable(line)}")
    return tuple(words)


@attrs.frozen(slots=True)
class Repeat:
    """Repeat times (RFC 8866 section 5.10); each as written, :func:`seconds` tells its length.

    :ivar interval: how often.
    :ivar duration: how long.
    :ivar offsets: when, from the start time on.
    """

    interval: str
    duration: str
    offsets: tuple[str, ...] = ("0",)

    def __attrs_post_init__(self) -> None:
        for text in (self.interval, self.duration, *self.offsets):
            seconds(text)

    @classmethod
    def parse(cls, line: str) -> Repeat:
        """Return the value of an ``r=`` line.

        :raises RemoteProtocolError: it is malformed.
        """
        words = line.split()
        if len(words) < 3:
            raise RemoteProtocolError(f"Malformed r= {printable(line)}")
        interval, duration, *offsets = _typed_times(words, line)
        return cls(interval, duration, tuple(offsets))

    def __str__(self) -> str:
        return " ".join([self.interval, self.duration, *self.offsets])


@attrs.frozen(slots=True)
class ZoneAdjustment:
    """One change of the time zone (RFC 8866 section 5.11).

    :ivar time: when, in seconds since 1900.
    :ivar offset: what repeat times are moved by from then on, as written: ``-1h``.
    """

    time: int
    offset: str

    def __attrs_post_init__(self) -> None:
        check_range(self.time, "a time", _MOST)
        seconds(self.offset)

    def __str__(self) -> str:
        return f"{self.time} {self.offset}"


def parse_zones(line: str) -> tuple[ZoneAdjustment, ...]:
    """Return the value of a ``z=`` line.

    :raises RemoteProtocolError: it is malformed.
    """
    words = line.split()
    if not words or len(words) % 2:
        raise RemoteProtocolError(f"Malformed z= {printable(line)}")
    times = [number(word, "time", _MOST) for word in words[::2]]
    offsets = _typed_times(words[1::2], line)
    return tuple([ZoneAdjustment(time, offset) for time, offset in zip(times, offsets, strict=True)])


@attrs.frozen(slots=True)
class Timing:
    """When a session is active (RFC 8866 section 5.9).

    :ivar start: in seconds since 1900, 0 for always.
    :ivar stop: in seconds since 1900, 0 for never.
    :ivar repeats: repeat times.
    :ivar zones: changes of the time zone that the repeat times follow.
    """

    start: int = 0
    stop: int = 0
    repeats: tuple[Repeat, ...] = ()
    zones: tuple[ZoneAdjustment, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_range(self.start, "a start time", _MOST)
        check_range(self.stop, "a stop time", _MOST)

    @classmethod
    def parse(cls, line: str) -> Timing:
        """Return the value of a ``t=`` line; a missing stop time is none.

        :raises RemoteProtocolError: it is malformed.
        """
        words = line.split()
        if not words:
            return cls()
        return cls(number(words[0], "time", _MOST), number(words[1], "time", _MOST) if len(words) > 1 else 0)

    def with_repeat(self, repeat: Repeat) -> Timing:
        """Return the same with one more repeat time."""
        return attrs.evolve(self, repeats=(*self.repeats, repeat))

    def with_zones(self, zones: tuple[ZoneAdjustment, ...]) -> Timing:
        """Return the same with more changes of the time zone."""
        return attrs.evolve(self, zones=(*self.zones, *zones))

    def __str__(self) -> str:
        return f"{self.start} {self.stop}"
