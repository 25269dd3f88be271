"""The Date header field (RFC 3261 section 20.17).

Out goes the one form that SIP allows (``Sat, 13 Nov 2010 23:29:00 GMT``); in come its usual misspellings too.
"""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
# RFC 4475 section 3.1.2.12 lets an element take a zone that it can convert; these three are one and the same time.
_ZONES = ("gmt", "utc", "ut")


def _number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and low <= int(text) <= high):
        raise ValueError(text)
    return int(text)


class SIPDate:
    """A moment in whole seconds, always in GMT.

    :ivar timestamp: seconds since 1970-01-01 00:00:00 GMT.
    """

    __slots__ = ("timestamp",)

    def __init__(self, timestamp: float) -> None:
        """Make a date to send; fractions of a second are dropped.

        :raises LocalProtocolError: the moment is outside of the years 1 to 9999.
        """
        try:
            self.timestamp = timegm(datetime.fromtimestamp(int(timestamp), UTC).utctimetuple())
        except (ValueError, OverflowError, OSError) as error:
            raise LocalProtocolError(f"{timestamp!r} is no moment that a Date can name") from error

    @classmethod
    def parse(cls, text: str) -> SIPDate:
        """Return the date in *text*.

        Lenient: the day of the week may be missing or wrong, its case and the spaces do not matter, the year may have
        two digits, and GMT may be called UTC or be missing.

        :raises RemoteProtocolError: it is no date, or in another time zone (RFC 4475 section 3.1.2.12).
        """
        try:
            return cls(_parse_timestamp(text))
        except (ValueError, KeyError) as error:
            raise RemoteProtocolError("Malformed Date header field", header="Date") from error

    @property
    def datetime(self) -> datetime:
        """The moment as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)

    def __str__(self) -> str:
        moment = self.datetime
        return (
            f"{_DAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year:04d} "
            f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d} GMT"
        )

    def __eq__(self, other: object) -> bool:
        return self.timestamp == other.timestamp if isinstance(other, SIPDate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.timestamp)

    def __repr__(self) -> str:
        return f"SIPDate({self.timestamp})"


def _parse_timestamp(text: str) -> int:
    if len(text) > 64:
        raise ValueError(text)
    words = text.replace(",", " ").replace("-", " ").replace("\t", " ").split(" ")
    words = [word for word in words if word]
    if words and words[0][:1].isalpha():
        if words[0][:3].title() not in _DAYS:
            raise ValueError(text)
        del words[0]
    if len(words) == 5 and words[4].lower() in _ZONES:
        del words[4]
    day, month, year, time = words
    hour, minute, second = time.split(":")
    full_year = _number(year, 1, 9999)
    if len(year) == 2:
        full_year += 2000 if full_year < 70 else 1900
    elif len(year) != 4:
        raise ValueError(text)
    moment = datetime(
        full_year,
        _MONTH_NUMBERS[month.lower()],
        _number(day, 1, 31),
        _number(hour, 0, 23),
        _number(minute, 0, 59),
        # A leap second has no POSIX timestamp of its own.
        min(_number(second, 0, 60), 59),
        tzinfo=UTC,
    )
    return timegm(moment.utctimetuple())
