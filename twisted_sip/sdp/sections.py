"""The lines of one section of a description: of the session, or of one media description (RFC 8866 section 5)."""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.sdp.attributes import Attribute, Bandwidth
from twisted_sip.sdp.connection import Connection
from twisted_sip.sdp.limits import SDPLimits
from twisted_sip.sdp.lines import Line, UnknownLine, split_lines
from twisted_sip.sdp.timing import Repeat, Timing, parse_zones

_KNOWN = frozenset("vosiuepcbtrzkam")
# The most addresses, bandwidths, times and so on in one section.
_MOST = 64


class Section:
    """What was read of one section.

    Lines of a known type that do not belong into it are left out, as are lines whose type is no character, and
    bandwidths, repeat times and zones that are malformed: nothing needs them. Of those that may stand once, the first
    counts.

    :param limits: what is too much.
    """

    def __init__(self, limits: SDPLimits) -> None:
        self._limits = limits
        self._counts: dict[str, int] = {}
        self._last = "v"
        self.texts: dict[str, list[str]] = {}
        self.connections: list[Connection] = []
        self.bandwidths: list[Bandwidth] = []
        self.timings: list[Timing] = []
        self.attributes: list[Attribute] = []
        self.unknown: list[UnknownLine] = []

    def text(self, kind: str) -> str | None:
        """Return the first value of the lines of this *kind*, None where there is none."""
        return next(iter(self.texts.get(kind, ())), None)

    def add(self, kind: str, value: str) -> None:
        """Take in one line.

        :raises RemoteProtocolError: it is malformed, or there are too many of its kind.
        """
        if kind == "a":
            self._attribute(value)
            return
        if len(kind) != 1 or not kind.isprintable():
            # A type is one character (RFC 8866 section 5).
            return
        known = kind in _KNOWN
        counted = kind if known else "?"
        count = self._counts.get(counted, 0) + 1
        if count > _MOST:
            raise RemoteProtocolError(f"More than {_MOST} lines of one type in session description")
        self._counts[counted] = count
        if not known:
            self.unknown.append(UnknownLine(kind, value, self._last, self._counts.get(self._last, 1)))
            return
        self._last = kind
        if kind == "c":
            self.connections.append(Connection.parse(value))
        elif kind == "b":
            self._bandwidth(value)
        elif kind in {"t", "r", "z"}:
            self._time(kind, value)
        else:
            self.texts.setdefault(kind, []).append(value)

    def _attribute(self, value: str) -> None:
        attribute = Attribute.parse(value)
        if attribute is None:
            return
        self.attributes.append(attribute)
        if len(self.attributes) > self._limits.attributes:
            raise RemoteProtocolError(f"More than {self._limits.attributes} attributes in session description")
        self._last = "a"
        self._counts["a"] = len(self.attributes)

    def _bandwidth(self, value: str) -> None:
        try:
            self.bandwidths.append(Bandwidth.parse(value))
        except RemoteProtocolError:
            self._counts["b"] -= 1

    def _time(self, kind: str, value: str) -> None:
        if kind == "t":
            self.timings.append(Timing.parse(value))
            return
        last = self.timings.pop() if self.timings else Timing()
        try:
            if kind == "r":
                last = last.with_repeat(Repeat.parse(value))
            else:
                last = last.with_zones(parse_zones(value))
        except RemoteProtocolError:
            self._counts[kind] -= 1
        self.timings.append(last)


def read_sections(data: bytes | str, limits: SDPLimits) -> list[Section]:
    """Return the section of the session and one for each media description, whose ``m=`` line is its text ``m``.

    :raises RemoteProtocolError: the description cannot be understood, or is beyond a limit.
    """
    lines: list[Line] = split_lines(data, limits)
    if lines[0][0] != "v":
        raise RemoteProtocolError("Session description without v=")
    if lines[0][1].strip(" \t") != "0":
        # RFC 8866 section 5.1.
        raise RemoteProtocolError("Session description of another version", status=488)
    sections = [Section(limits)]
    for kind, value in lines[1:]:
        if kind == "v":
            # RFC 3264 section 5.
            raise RemoteProtocolError("Several session descriptions in one body")
        if kind == "m":
            if len(sections) > limits.media:
                raise RemoteProtocolError(f"More than {limits.media} media descriptions", status=488)
            sections.append(Section(limits))
        sections[-1].add(kind, value)
    return sections
