"""Header fields that are numbers, with or without something behind them.

RFC 3261 sections 20.14 (Content-Length), 20.19 (Expires), 20.22 (Max-Forwards), 20.23 (Min-Expires), 20.24
(MIME-Version), 20.33 (Retry-After) and 20.38 (Timestamp); RFC 5393 section 5.3.3 (Max-Breadth); RFC 5626 section 10
(Flow-Timer). Digits are those of ASCII alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Self

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import Params, check_value, parse_params
from twisted_sip.message.parameterized import Parameters, make_params, named, parameter, refuse

#: The greatest value of delta-seconds (RFC 3261 section 20.19); greater ones count as this one (section 10.2).
MAX_DELTA_SECONDS = (1 << 32) - 1

_COMMENT_MARK = re.compile(r"\\.|[()]", re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r"[()\\]")
_BACKSLASHED = r"\\\g<0>"
_MOMENT = re.compile(r"[0-9]+(?:\.[0-9]*)?").fullmatch
_DELAY = re.compile(r"[0-9]*(?:\.[0-9]*)?").fullmatch


def parse_number(text: str, header: str, limit: int) -> int:
    """Return the number in *text*; *header* is the field's name for the error.

    :raises RemoteProtocolError: it is no number, or greater than *limit*.
    """
    value = _digits(text, limit)
    if value < 0:
        refuse(header, "no number")
    if value > limit:
        refuse(header, f"greater than {limit}")
    return value


def parse_delta_seconds(text: str, header: str) -> int:
    """Return the seconds in *text*, at most 2**32-1: greater numbers count as that (RFC 3261 section 10.2).

    :raises RemoteProtocolError: it is no number.
    """
    value = _digits(text, MAX_DELTA_SECONDS)
    if value < 0:
        refuse(header, "no number of seconds")
    return min(value, MAX_DELTA_SECONDS)


def _digits(text: str, limit: int) -> int:
    """Return the number in *text*, -1 if it is none; of a very long one only that it is greater than *limit*."""
    if not (text.isascii() and text.isdigit()):
        text = text.strip(" \t")
        if not (text.isascii() and text.isdigit()):
            return -1
    if len(text) > 20:
        # Leading zeros are legal (RFC 4475 section 3.1.1.1); int() is quadratic and refuses thousands of digits.
        text = text.lstrip("0")
        if len(text) > 20:
            return limit + 1
    return int(text or "0")


def number_field(header: str, limit: int) -> Callable[[str], int]:
    """Return a parser for the header field *header* of one number up to *limit*."""
    return lambda text: parse_number(text, header, limit)


def seconds_field(header: str) -> Callable[[str], int]:
    """Return a parser for the header field *header* of delta-seconds."""
    return lambda text: parse_delta_seconds(text, header)


def check_seconds(seconds: int, header: str) -> int:
    """Return *seconds* if it may be sent.

    :raises LocalProtocolError: it is less than 0 or greater than 2**32-1.
    """
    if not 0 <= seconds <= MAX_DELTA_SECONDS:
        raise LocalProtocolError(f"{header} is from 0 to 2**32-1 seconds, not {seconds}")
    return seconds


class SecondsWithParams:
    """delta-seconds and parameters: what Retry-After, Session-Expires and Min-SE share.

    :ivar seconds: the seconds.
    :ivar params: the parameters.
    """

    __slots__ = ("params", "seconds")

    header: ClassVar[str] = ""

    def __init__(self, seconds: int, params: Parameters = ()) -> None:
        """Make a value to send.

        :raises LocalProtocolError: a number out of range or a value that cannot be sent.
        """
        self.seconds = check_seconds(seconds, self.header)
        self.params: Params = make_params(params)

    @classmethod
    def _parse_parts(cls, text: str) -> tuple[int, Params]:
        number, mark, rest = text.partition(";")
        return parse_delta_seconds(number, cls.header), named(cls.header, parse_params)(mark + rest)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        made = cls.__new__(cls)
        made.seconds, made.params = cls._parse_parts(text)
        return made

    def __str__(self) -> str:
        return f"{self.seconds}{self.params}"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class RetryAfter(SecondsWithParams):
    """Retry-After (RFC 3261 section 20.33).

    :ivar comment: the comment, unquoted and without its parentheses; empty if there is none.
    """

    __slots__ = ("comment",)

    header = "Retry-After"

    def __init__(self, seconds: int, params: Parameters = (), comment: str = "") -> None:
        """Make a value to send.

        :raises LocalProtocolError: a number out of range or a value that cannot be sent.
        """
        super().__init__(seconds, params)
        check_value(comment)
        self.comment = comment

    @classmethod
    def parse(cls, text: str) -> RetryAfter:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        made = cls.__new__(cls)
        made.comment = ""
        start = text.find("(")
        if start >= 0:
            end = _end_of_comment(text, start)
            made.comment = _PAIR.sub(r"\1", text[start + 1 : end - 1])
            text = text[:start] + text[end:]
        made.seconds, made.params = cls._parse_parts(text)
        return made

    @property
    def duration(self) -> int | None:
        """For how many seconds the callee can be reached from then on, None if that is not said.

        :raises RemoteProtocolError: it is no number.
        """
        text = parameter(self.params, "duration")
        return parse_delta_seconds(text, self.header) if text else None

    def __str__(self) -> str:
        comment = f" ({_SPECIAL.sub(_BACKSLASHED, self.comment)})" if self.comment else ""
        return f"{self.seconds}{comment}{self.params}"


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    for found in _COMMENT_MARK.finditer(text, start):
        mark = found.group()
        if mark == "(":
            depth += 1
        elif mark == ")":
            depth -= 1
            if depth == 0:
                return found.end()
    refuse("Retry-After", "comment without end")


class Timestamp:
    """Timestamp (RFC 3261 section 20.38).

    :ivar moment: the client's number as written, to be sent back as it came.
    :ivar delay: the server's delay in seconds as written, empty if there is none.
    """

    __slots__ = ("delay", "moment")

    def __init__(self, moment: str, delay: str = "") -> None:
        """Make a value to send.

        :raises LocalProtocolError: not a decimal number.
        """
        if not _MOMENT(moment) or not _DELAY(delay):
            raise LocalProtocolError(f"{moment!r} {delay!r} is no Timestamp: decimal numbers are required")
        self.moment = moment
        self.delay = delay

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        moment, _, delay = text.strip(" \t").replace("\t", " ").partition(" ")
        delay = delay.strip(" ")
        if not _MOMENT(moment) or not _DELAY(delay):
            refuse("Timestamp", "no decimal number")
        return cls(moment, delay)

    def __str__(self) -> str:
        return f"{self.moment} {self.delay}" if self.delay else self.moment

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Timestamp) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<Timestamp {self}>"


class MIMEVersion(NamedTuple):
    """MIME-Version (RFC 3261 section 20.24): a major and a minor number."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> MIMEVersion:
        """Return the version in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        major, _, minor = text.partition(".")
        return cls(parse_number(major, "MIME-Version", 999), parse_number(minor, "MIME-Version", 999))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"
