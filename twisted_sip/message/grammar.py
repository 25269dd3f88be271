"""The words of SIP that everything else is spelled with (RFC 3261 section 25.1).

Tokens, quoted strings, comma lists, ``;name=value`` parameters and (from :mod:`hosts`) ``host:port``. Every function
is linear in the length of its input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.hosts import parse_host_port as parse_host_port
from twisted_sip.message.hosts import printable

#: What counts as white space inside an unfolded header field value.
LWS = " \t"

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+").fullmatch
# A quoted string; possessive, so that one without an end costs one pass and no more.
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
# Places where a split has to look closer: the opening of something that hides separators, or a separator.
_COMMA_STOP = re.compile(r'[",<(]')
_SEMICOLON_STOP = re.compile(r'[";<]')
_PAREN = re.compile(r"[()\\]")
# What a parameter value that is not quoted must not hold: it would end the value, or start something else.
_BAD_VALUE = re.compile(r'[\x00-\x20",;<>\\\x7f]').search
_BAD_NAME = re.compile(r'[\x00-\x20",;<>\\=?@{}\x7f]').search


def is_token(text: str) -> bool:
    """Tell whether *text* is a ``token`` (RFC 3261 section 25.1)."""
    return _TOKEN(text) is not None


def check_value(text: str) -> None:
    """Refuse a value given through the API that could break the message apart.

    :raises LocalProtocolError: *text* holds CR, LF or NUL.
    """
    if "\r" in text or "\n" in text or "\0" in text:
        raise LocalProtocolError(f"{text[:80]!r} must not hold CR, LF or NUL")


def quote(text: str) -> str:
    """Return *text* as a ``quoted-string`` (RFC 3261 section 25.1).

    :raises LocalProtocolError: *text* holds CR, LF or NUL.
    """
    check_value(text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """Return what the ``quoted-string`` *text* says; text that is not quoted comes back stripped, else as it is."""
    text = text.strip(LWS)
    if not text.startswith('"'):
        return text
    end = len(text) - 1 if len(text) > 1 and text.endswith('"') else len(text)
    inner = text[1:end]
    return _PAIR.sub(r"\1", inner) if "\\" in inner else inner


def end_of_quoted(text: str, start: int = 0) -> int:
    """Return where the quoted string that opens at *start* is over, behind its closing quote; -1 if it never closes."""
    found = _QUOTED.match(text, start)
    return found.end() if found else -1


def _end_of_comment(text: str, start: int) -> int:
    """Return where the comment that opens at *start* is over, -1 if it never closes (comments nest)."""
    depth = 0
    position = start
    while found := _PAREN.search(text, position):
        mark = found.group()
        position = found.end()
        if mark == "\\":
            position += 1
        elif mark == "(":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return position
    return -1


def _split_slow(text: str, separator: str, stop: re.Pattern[str]) -> list[str]:
    """Split at each *separator* that is not inside a quoted string, angle brackets or a comment.

    What is opened and never closed reaches to the end of the text; its parser will refuse it.
    """
    parts: list[str] = []
    begin = position = 0
    comments = True
    while found := stop.search(text, position):
        mark = found.group()
        position = found.end()
        if mark == separator:
            parts.append(text[begin : position - 1])
            begin = position
            continue
        if mark == '"':
            end = end_of_quoted(text, position - 1)
        elif mark == "<":
            end = text.find(">", position) + 1 or -1
        else:
            # Parentheses are ordinary characters in URIs and Call-IDs: a comment follows white space, and closes.
            if not comments or (position > 1 and text[position - 2] not in " \t,"):
                continue
            end = _end_of_comment(text, position - 1)
            if end < 0:
                comments = False
                continue
        if end < 0:
            break
        position = end
    parts.append(text[begin:])
    return parts


def split_list(text: str, separator: str = ",") -> list[str]:
    """Return the elements of a list (RFC 3261 section 7.3.1), stripped, empty ones left out.

    :param separator: ``,`` or ``;``. Inside a quoted string, angle brackets or (``,`` only) a comment none counts.
    """
    if separator not in text:
        text = text.strip(LWS)
        return [text] if text else []
    if '"' in text or "<" in text or (separator == "," and "(" in text):
        parts = _split_slow(text, separator, _COMMA_STOP if separator == "," else _SEMICOLON_STOP)
    else:
        parts = text.split(separator)
    return [stripped for part in parts if (stripped := part.strip(LWS))]


class Params:
    """Parameters of a header field value or a URI: ordered, with case-insensitive names. Treat as immutable.

    Values are the text as written, so a quoted one has its quotes (see :func:`unquote`); None is a name without value.
    Of a name that stands twice the first counts (RFC 3261 section 7.3.1 forbids the second); both are kept as text.
    """

    __slots__ = ("_index", "_items", "_key")

    def __init__(self, items: Iterable[tuple[str, str | None]] = (), key: Callable[[str], str] = str.lower) -> None:
        """Make parameters of (name, value) pairs, unchecked; use :meth:`with_` for values from elsewhere.

        :param key: makes names that are the same alike.
        """
        self._items = tuple(items)
        self._key = key
        index: dict[str, str | None] = {}
        for name, value in self._items:
            index.setdefault(key(name), value)
        self._index = index

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of *name*; *default* where it is absent, None where it has no value."""
        return self._index.get(self._key(name), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) in self._index

    def __iter__(self) -> Iterator[str]:
        """Give the names, in lower case and in order."""
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def items(self) -> tuple[tuple[str, str | None], ...]:
        """Return the (name, value) pairs as written."""
        return self._items

    def with_(self, name: str, value: str | None = None) -> Params:
        """Return these parameters with *name* set to *value*, in its old place or at the end.

        :raises LocalProtocolError: the name or value would not read back as such.
        """
        if not name or _BAD_NAME(name):
            raise LocalProtocolError(f"{name!r} is no parameter name")
        if value is not None and not is_parameter_value(value):
            raise LocalProtocolError(f"{name}: {value!r} must be quoted or escaped to be a parameter value")
        key = self._key(name)
        if key not in self._index:
            return Params((*self._items, (name, value)), self._key)
        made: list[tuple[str, str | None]] = []
        done = False
        for item in self._items:
            if self._key(item[0]) != key:
                made.append(item)
            elif not done:
                made.append((item[0], value))
                done = True
        return Params(made, self._key)

    def without(self, name: str) -> Params:
        """Return these parameters without *name*."""
        key = self._key(name)
        if key not in self._index:
            return self
        return Params([item for item in self._items if self._key(item[0]) != key], self._key)

    def __str__(self) -> str:
        return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in self._items])

    def __repr__(self) -> str:
        return f"<Params {self}>"

    def __eq__(self, other: object) -> bool:
        """Tell whether names (any case) and values are the same, in any order."""
        return self._index == other._index if isinstance(other, Params) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._index.items()))


#: No parameters at all.
NO_PARAMS = Params()


def is_parameter_value(text: str) -> bool:
    """Tell whether *text* can stand behind ``name=``: a whole quoted string, or nothing that would end the value."""
    if text.startswith('"'):
        return end_of_quoted(text) == len(text) and "\r" not in text and "\n" not in text and "\0" not in text
    return bool(text) and _BAD_VALUE(text) is None


def parse_params(text: str) -> Params:
    """Parse the parameters of a header field value: ``;a=b;c`` or ``a=b;c`` (``*( SEMI generic-param )``).

    White space around ``;`` and ``=`` is allowed and dropped. Values are read leniently: anything that cannot be
    mistaken for a delimiter.

    :raises RemoteProtocolError: a parameter is empty (RFC 4475 section 3.1.2.1), or a name or value is malformed.
    """
    text = text.strip(LWS)
    if not text:
        return NO_PARAMS
    if "\r" in text or "\n" in text:
        raise RemoteProtocolError("CR or LF among the parameters")
    if text[0] == ";":
        text = text[1:]
    parts = _split_slow(text, ";", _SEMICOLON_STOP) if '"' in text or "<" in text else text.split(";")
    items: list[tuple[str, str | None]] = []
    for part in parts:
        name, equal, value = part.partition("=")
        name = name.strip(LWS)
        if not name:
            raise RemoteProtocolError("Empty parameter")
        if _TOKEN(name) is None:
            raise RemoteProtocolError(f"Malformed parameter name {printable(name)}")
        if not equal:
            items.append((name, None))
            continue
        value = value.strip(LWS)
        if value.startswith('"'):
            if end_of_quoted(value) != len(value):
                raise RemoteProtocolError(f"Malformed quoted value of parameter {printable(name)}")
        elif _BAD_VALUE(value) is not None:
            raise RemoteProtocolError(f"Malformed value of parameter {printable(name)}")
        items.append((name, value))
    return Params(items)
