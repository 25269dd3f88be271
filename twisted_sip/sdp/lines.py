"""Lines of a session description: how they are told apart, and the words in them (RFC 8866 sections 5 and 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.limits import SDPLimits

_LINE_END = re.compile("\r\n|\n|\r")
# Ends of lines, and halves of characters that stand for no byte (those from DC80 to DCFF do).
_UNFIT = re.compile("[\0\r\n\ud800-\udc7f\udd00-\udfff]")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+").fullmatch
_WORD = re.compile(r"[^\0-\x20\x7f\ud800-\udc7f\udd00-\udfff]+").fullmatch

#: One line: its type letter and its value.
Line = tuple[str, str]


@attrs.frozen(slots=True)
class UnknownLine:
    """A line whose type no RFC defines; kept where it stood, so that it can be passed on.

    :ivar type: its type, one character.
    :ivar value: what stands behind the equals sign.
    :ivar after: the type of the known line that it follows.
    :ivar index: how many lines of that type stand before it in its section.
    """

    type: str
    value: str
    after: str = "v"
    index: int = 1

    def __attrs_post_init__(self) -> None:
        if len(self.type) != 1 or not self.type.isprintable() or self.type in " =":
            raise LocalProtocolError(f"{self.type[:40]!r} is no type of a line: one character is required")
        check_text(self.value, "a line")


def split_lines(data: bytes | str, limits: SDPLimits) -> list[Line]:
    """Return the lines of a description in order; ends of lines may be CRLF, LF or CR, empty lines are left out.

    :raises RemoteProtocolError: it is beyond a limit, has a NUL, or a line is none.
    """
    if len(data) > limits.size:
        raise RemoteProtocolError(f"Session description of more than {limits.size} bytes")
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
    found: list[Line] = []
    for line in _LINE_END.split(text.removeprefix("\ufeff")):
        if _UNFIT.search(line) is not None:
            raise RemoteProtocolError("NUL in session description")
        if not line.strip(" \t"):
            continue
        if len(line) > limits.line:
            raise RemoteProtocolError(f"Line of more than {limits.line} characters in session description")
        kind, equals, value = line.partition("=")
        kind = kind.strip(" \t")
        if not equals or not kind:
            raise RemoteProtocolError(f"Malformed line {printable(line)} in session description")
        found.append((kind, value))
        if len(found) > limits.lines:
            raise RemoteProtocolError(f"More than {limits.lines} lines in session description")
    if not found:
        raise RemoteProtocolError("Empty session description")
    return found


def merge_unknown(lines: Iterable[Line], unknown: Iterable[UnknownLine], order: str) -> list[Line]:
    """Return *lines*, which stand in the order of the types *order*, with the *unknown* ones back in their places."""
    merged = list(lines)
    for extra in unknown:
        place, seen = 0, 0
        rank = order.find(extra.after)
        for position, (kind, _) in enumerate(merged, 1):
            if kind == extra.after:
                seen += 1
                if seen <= extra.index:
                    place = position
            elif kind in order and order.index(kind) <= rank:
                place = position
            elif kind not in order and place == position - 1:
                # Behind those unknown ones that were put here before.
                place = position
        merged.insert(place, (extra.type, extra.value))
    return merged


def number(text: str, what: str, most: int, least: int = 0) -> int:
    """Return the number that the digits in *text* say.

    :raises RemoteProtocolError: it is none, or not from *least* to *most*.
    """
    text = text.strip(" \t")
    if not (text.isascii() and text.isdigit()) or len(text) > 40 or not least <= int(text) <= most:
        raise RemoteProtocolError(f"Malformed {what} {printable(text)}")
    return int(text)


def is_token(text: str) -> bool:
    """Tell whether *text* is a token (RFC 8866 section 9)."""
    return _TOKEN(text) is not None


def check_text(text: str, what: str) -> None:
    """Refuse *text* where it cannot stand in one line.

    :raises LocalProtocolError: it has a CR, LF or NUL, or is no Unicode.
    """
    if _UNFIT.search(text) is not None:
        raise LocalProtocolError(f"CR, LF or NUL in {what} of a session description: {text[:40]!r}")


def check_token(text: str, what: str) -> None:
    """Refuse *text* where it is no token.

    :raises LocalProtocolError: so it is.
    """
    if not is_token(text):
        raise LocalProtocolError(f"{text[:40]!r} is no {what} of a session description")


def check_word(text: str, what: str) -> None:
    """Refuse *text* where it is empty or has white space or control characters.

    :raises LocalProtocolError: so it is.
    """
    if _WORD(text) is None:
        raise LocalProtocolError(f"{text[:40]!r} is no {what} of a session description")


def check_range(value: int, what: str, most: int, least: int = 0) -> None:
    """Refuse *value* where it is not from *least* to *most*.

    :raises LocalProtocolError: so it is.
    """
    if not least <= value <= most:
        raise LocalProtocolError(f"{what} is {value}, not from {least} to {most}")
