"""The shape most header field values share: something, then ``;name=value`` parameters (RFC 3261 section 7.3.1).

The classes here are what the modules of single RFCs are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, NoReturn, Self, TypeVar

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import NO_PARAMS, Params, is_token, parse_params, quote, unquote

Value = TypeVar("Value")

#: Parameters as builders take them: names, and values as they are meant (not quoted); None is a name alone.
Parameters = Iterable[tuple[str, str | None]]


def refuse(header: str, why: str) -> NoReturn:
    """Raise the error for a malformed value of *header*.

    :raises RemoteProtocolError: always.
    """
    raise RemoteProtocolError(f"Malformed {header} header field: {why}", header=header)


def named(header: str, parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return *parse* with its errors naming *header*."""

    def parse_named(text: str) -> Value:
        try:
            return parse(text)
        except RemoteProtocolError as error:
            if error.header:
                raise
            raise RemoteProtocolError(
                f"Malformed {header} header field: {error.reason}", status=error.status, header=header
            ) from error

    return parse_named


def check_token(text: str, what: str) -> str:
    """Return *text* if it is a token.

    :raises LocalProtocolError: it is none; *what* says what it was to be.
    """
    if not is_token(text):
        raise LocalProtocolError(f"{text!r} is no {what}: a token is required")
    return text


def make_params(items: Parameters) -> Params:
    """Return *items* as parameters to send, values that are no tokens in quotes.

    :raises LocalProtocolError: a name is no token, or CR, LF or NUL stands in a value.
    """
    if isinstance(items, Params):
        return items
    made = [
        (check_token(name, "parameter name"), value if value is None or is_token(value) else quote(value))
        for name, value in items
    ]
    return Params(made) if made else NO_PARAMS


def parameter(params: Params, name: str) -> str:
    """Return the value of the parameter *name* as it is meant, without quotes; empty if it has none or is missing."""
    value = params.get(name)
    return unquote(value) if value else ""


def parse_quality(text: str | None) -> int:
    """Return a q-value in thousandths, 1000 where it is missing or makes no sense (RFC 3261 sections 20.1 and 20.10).

    Lenient: more than three digits behind the point are cut off.
    """
    if text is None:
        return 1000
    whole, _, part = text.partition(".")
    if not (whole + part).isdigit() or not text.isascii() or len(whole) > 9:
        return 1000
    return min(int(whole or "0") * 1000 + int((part + "000")[:3]), 1000)


def format_quality(thousandths: int) -> str:
    """Return the q-value of 0 to 1000 *thousandths*: ``0.7`` (RFC 3261 section 25.1).

    :raises LocalProtocolError: it is out of range.
    """
    if not 0 <= thousandths <= 1000:
        raise LocalProtocolError(f"a q-value is from 0 to 1000 thousandths, not {thousandths}")
    if thousandths == 1000:
        return "1.0"
    return f"0.{thousandths:03d}".rstrip("0") if thousandths else "0"


class TokenWithParams:
    """A token and parameters.

    :cvar header: the header field's name.
    :ivar token: the token as written.
    :ivar params: the parameters.
    """

    __slots__ = ("params", "token")

    header: ClassVar[str] = ""
    #: Whether the token means the same in any case (RFC 3261 section 7.3.1: so unless its own text differs).
    case_sensitive: ClassVar[bool] = False

    def __init__(self, token: str, params: Parameters = ()) -> None:
        """Make a value to send.

        :raises LocalProtocolError: *token* or a parameter name is no token, or CR, LF or NUL stands in a value.
        """
        self.token = check_token(token, self.header)
        self.params: Params = make_params(params)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        token, mark, rest = text.partition(";")
        token = token.strip(" \t")
        if not cls._is_legal(token):
            refuse(cls.header, "no token" if token else "empty")
        made = cls.__new__(cls)
        made.token = token
        made.params = NO_PARAMS
        if mark:
            try:
                made.params = parse_params(mark + rest)
            except RemoteProtocolError as error:
                refuse(cls.header, error.reason)
        made._check_params()
        return made

    @classmethod
    def _is_legal(cls, token: str) -> bool:
        return is_token(token)

    def _check_params(self) -> None:
        """Refuse parameters that make no sense; for subclasses."""

    @property
    def key(self) -> str:
        """The token as it is compared: in lower case unless case matters."""
        return self.token if self.case_sensitive else self.token.lower()

    @property
    def q(self) -> int:
        """The q-value in thousandths, 1000 where it is missing (RFC 3261 section 20.1)."""
        return parse_quality(self.params.get("q"))

    def __str__(self) -> str:
        return f"{self.token}{self.params}"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, TokenWithParams)
        return self.key == other.key and self.params == other.params

    def __hash__(self) -> int:
        return hash((self.key, self.params))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"
