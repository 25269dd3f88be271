"""The header fields of one message, kept as the lines they came in (RFC 3261 section 7.3).

Lines stay text until somebody asks for a value, and go out as they came in unless somebody changes them. Names are
canonical: lower case, compact forms expanded (``call-id`` for ``i``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import is_token, split_list
from twisted_sip.message.header_names import DISPLAY, canonical, display

_EMPTY: tuple[tuple[str, str], ...] = ()
_new = object.__new__


def line_value(line: str) -> str:
    """Return the value of a header field *line*, unfolded (RFC 3261 section 7.3.1) and stripped."""
    value = line.partition(":")[2].strip(" \t")
    if "\r\n" in value:
        return " ".join(part.strip(" \t") for part in value.split("\r\n")).strip(" ")
    return value


def first_element(value: str) -> str:
    """Return the first element of a list, an empty string if there is none (RFC 3261 section 7.3.1)."""
    first, _, _ = value.partition(",")
    first = first.strip(" \t")
    if first and '"' not in first and "<" not in first and "(" not in first:
        return first
    elements = split_list(value)
    return elements[0] if elements else ""


#: How the lines of registered header fields begin, by canonical name.
_BEGINNINGS = {name: f"{spelling}: " for name, spelling in DISPLAY.items()}


def make_line(name: str, value: str) -> str:
    """Return the line for *name*, a canonical name, and *value*.

    :raises LocalProtocolError: the name is no token or the value holds CR, LF or NUL.
    """
    beginning = _BEGINNINGS.get(name)
    if beginning is not None and value.isprintable():
        return beginning + value
    if "\r" in value or "\n" in value or "\0" in value:
        raise LocalProtocolError(f"{display(name)}: a header field value must not hold CR, LF or NUL")
    if not is_token(name):
        raise LocalProtocolError(f"{name!r} is no header field name")
    return f"{display(name)}: {value}"


class Lines(NamedTuple):
    """Lines that are ready to be put into messages again and again.

    :ivar names: their canonical names, one for each line.
    :ivar lines: the lines.
    """

    names: tuple[str, ...]
    lines: tuple[str, ...]

    @classmethod
    def made(cls, fields: Iterable[tuple[str, str]]) -> Lines:
        """Return a line for each (name, value) pair.

        :raises LocalProtocolError: as :meth:`HeaderMap.append`.
        """
        pairs = [(canonical(name), value) for name, value in fields]
        return cls(tuple([name for name, _ in pairs]), tuple([make_line(*pair) for pair in pairs]))


class HeaderMap:
    """An ordered multi-map of header fields.

    :ivar names: canonical names, one for each line.
    :ivar lines: the lines, in order, without their CRLF.
    :ivar parsed: typed values by canonical name, dropped when the field changes. For Message alone to fill.
    """

    __slots__ = ("lines", "names", "parsed")

    def __init__(self, fields: Iterable[tuple[str, str]] = _EMPTY) -> None:
        """Make a map of (name, value) pairs.

        :raises LocalProtocolError: as :meth:`append`.
        """
        self.names: list[str] = []
        self.lines: list[str] = []
        self.parsed: dict[str, Any] = {}
        if fields:
            self.extend(fields)

    @classmethod
    def from_lines(cls, names: list[str], lines: list[str]) -> HeaderMap:
        """Return a map over *lines* as received and their canonical *names*; both lists become the map's own."""
        made = cls.__new__(cls)
        made.names = names
        made.lines = lines
        made.parsed = {}
        return made

    def copy(self) -> HeaderMap:
        """Return an independent map that shares the lines' text and the typed values parsed so far."""
        made = _new(HeaderMap)
        made.names = self.names.copy()
        made.lines = self.lines.copy()
        made.parsed = self.parsed.copy()
        return made

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Iterate over (name in its usual spelling, value)."""
        for name, line in zip(self.names, self.lines, strict=True):
            yield display(name), line_value(line)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderMap) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<HeaderMap {list(self)!r}>"

    def first(self, name: str) -> str | None:
        """Return the value of the first line called *name*, None if there is none."""
        try:
            return line_value(self.lines[self.names.index(name)])
        except ValueError:
            return None

    def all(self, name: str) -> list[str]:
        """Return the values of all lines called *name*, one for each line."""
        names = self.names
        count = names.count(name)
        if not count:
            return []
        if count == 1:
            return [line_value(self.lines[names.index(name)])]
        return [line_value(line) for known, line in zip(names, self.lines, strict=True) if known == name]

    def elements(self, name: str) -> list[str]:
        """Return the elements of all lines called *name*, comma lists taken apart (RFC 3261 section 7.3.1)."""
        found: list[str] = []
        for value in self.all(name):
            if "," in value:
                found.extend(split_list(value))
            elif value:
                found.append(value)
        return found

    def count(self, name: str) -> int:
        """Return how many lines are called *name*."""
        return self.names.count(name)

    def append(self, name: str, value: str) -> None:
        """Add a line at the end.

        :raises LocalProtocolError: *name* is no token or *value* holds CR, LF or NUL.
        """
        name = canonical(name)
        self.lines.append(make_line(name, value))
        self.names.append(name)
        self.parsed.pop(name, None)

    def extend(self, fields: Iterable[tuple[str, str]]) -> None:
        """Add a line for each (name, value) pair at the end.

        :raises LocalProtocolError: as :meth:`append`; the pairs before the bad one have been added then.
        """
        names, lines, parsed = self.names, self.lines, self.parsed
        for name, value in fields:
            beginning = _BEGINNINGS.get(name)
            if beginning is not None and value.isprintable():
                # As make_line(), for a name that is canonical.
                lines.append(beginning + value)
            else:
                name = canonical(name)
                lines.append(make_line(name, value))
            names.append(name)
            if name in parsed:
                del parsed[name]

    def add(self, ready: Lines) -> None:
        """Add lines that have been made before at the end."""
        names, lines = ready
        self.names += names
        self.lines += lines
        parsed = self.parsed
        if parsed:
            for name in names:
                if name in parsed:
                    del parsed[name]

    def prepend(self, name: str, value: str) -> None:
        """Add a line before all others, as a proxy adds Via, Route and Record-Route.

        :raises LocalProtocolError: as :meth:`append`.
        """
        name = canonical(name)
        self.lines.insert(0, make_line(name, value))
        self.names.insert(0, name)
        self.parsed.pop(name, None)

    def set(self, name: str, value: str) -> None:
        """Put one line called *name* where the first one was, or at the end, and drop the other ones.

        :raises LocalProtocolError: as :meth:`append`.
        """
        name = canonical(name)
        line = make_line(name, value)
        count = self.names.count(name)
        if count == 0:
            self.names.append(name)
            self.lines.append(line)
        else:
            place = self.names.index(name)
            self.lines[place] = line
            if count > 1:
                self._drop(name, place + 1)
        self.parsed.pop(name, None)

    def remove(self, name: str) -> None:
        """Drop every line called *name*, if any."""
        name = canonical(name)
        names = self.names
        count = names.count(name)
        if not count:
            return
        if count == 1:
            place = names.index(name)
            del names[place], self.lines[place]
        else:
            self._drop(name, 0)
        self.parsed.pop(name, None)

    def _drop(self, name: str, start: int) -> None:
        for place in range(len(self.names) - 1, start - 1, -1):
            if self.names[place] == name:
                del self.names[place], self.lines[place]

    def remove_first_element(self, name: str) -> None:
        """Drop the first element called *name*: the topmost Via or Route value."""
        name = canonical(name)
        try:
            place = self.names.index(name)
        except ValueError:
            return
        line = self.lines[place]
        rest = ""
        if "," in line:
            first, _, rest = line.partition(",")
            # A comma may be hidden, the line folded, or the first element empty.
            if '"' in line or "<" in line or "(" in line or "\r" in line or first.rstrip(" \t")[-1:] == ":":
                rest = ", ".join(split_list(line_value(line))[1:])
            else:
                rest = rest.strip(" \t,")
        if rest:
            self.lines[place] = f"{display(name)}: {rest}"
        else:
            del self.names[place], self.lines[place]
        self.parsed.pop(name, None)

    def replace_first_element(self, name: str, value: str) -> None:
        """Put *value* in the place of the first element called *name*; add it at the top if there is none.

        :raises LocalProtocolError: as :meth:`append`.
        """
        name = canonical(name)
        if name not in self.names:
            self.prepend(name, value)
            return
        place = self.names.index(name)
        line = self.lines[place]
        rest = split_list(line_value(line))[1:] if "," in line else ()
        self.lines[place] = make_line(name, ", ".join([value, *rest]))
        self.parsed.pop(name, None)
