"""Session descriptions: read leniently, written as RFC 8866 has them (section 5), also those of RFC 4566."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.sdp.attributes import Attribute, Bandwidth, attribute_value, attribute_values
from twisted_sip.sdp.connection import Connection, Origin
from twisted_sip.sdp.groups import Group
from twisted_sip.sdp.limits import DEFAULT_LIMITS, SDPLimits
from twisted_sip.sdp.lines import Line, UnknownLine, check_text, merge_unknown
from twisted_sip.sdp.media_description import MediaDescription, SessionLevel
from twisted_sip.sdp.sections import read_sections
from twisted_sip.sdp.timing import Timing

#: The media type of a session description (RFC 8866 section 8.1).
MEDIA_TYPE = "application/sdp"
#: The order of lines before the first media description (RFC 8866 section 5).
SESSION_ORDER = "vosiuepcbtrzka"


@attrs.frozen(slots=True)
class SessionDescription:
    """A session description; change it with ``attrs.evolve``. What was not changed is written as it was read.

    :ivar origin: ``o=``.
    :ivar name: ``s=``; one space or a dash where there is none (RFC 3264 section 5).
    :ivar information: ``i=``.
    :ivar uri: ``u=``.
    :ivar emails: ``e=``.
    :ivar phones: ``p=``.
    :ivar connection: ``c=`` of the session.
    :ivar bandwidths: ``b=``.
    :ivar timings: ``t=`` with ``r=`` and ``z=``; one at least.
    :ivar key: ``k=``, which is obsolete.
    :ivar attributes: ``a=`` of the session, in order.
    :ivar media: the media descriptions, in order.
    :ivar unknown: lines before the first media description whose type is not known.
    """

    origin: Origin
    name: str = "-"
    information: str | None = None
    uri: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    connection: Connection | None = None
    bandwidths: tuple[Bandwidth, ...] = ()
    timings: tuple[Timing, ...] = (Timing(),)
    key: str | None = None
    attributes: tuple[Attribute, ...] = ()
    media: tuple[MediaDescription, ...] = ()
    unknown: tuple[UnknownLine, ...] = ()

    def __attrs_post_init__(self) -> None:
        for text in (self.name, self.information, self.uri, self.key, *self.emails, *self.phones):
            check_text(text or "", "a line")
        level = SessionLevel(self.connection, self.attributes)
        object.__setattr__(self, "media", tuple([attrs.evolve(one, session=level) for one in self.media]))

    @classmethod
    def parse(cls, data: bytes | str, limits: SDPLimits = DEFAULT_LIMITS) -> SessionDescription:
        """Return the description in *data*.

        Ends of lines, missing lines other than ``o=``, lines that stand in another order and lines that are not known
        are forgiven.

        :raises RemoteProtocolError: it cannot be understood, or is beyond a limit (400; 488 for too many streams).
        """
        session, *media = read_sections(data, limits)
        origin = session.text("o")
        if origin is None:
            raise RemoteProtocolError("Session description without o=")
        return cls(
            origin=Origin.parse(origin),
            name=session.text("s") or "-",
            information=session.text("i"),
            uri=session.text("u"),
            emails=tuple(session.texts.get("e", ())),
            phones=tuple(session.texts.get("p", ())),
            connection=next(iter(session.connections), None),
            bandwidths=tuple(session.bandwidths),
            timings=tuple(session.timings) or (Timing(),),
            key=session.text("k"),
            attributes=tuple(session.attributes),
            media=tuple([MediaDescription.of_section(section, limits) for section in media]),
            unknown=tuple(session.unknown),
        )

    def to_bytes(self) -> bytes:
        """Return the description as it is sent: lines in the order of RFC 8866, each with CRLF."""
        return str(self).encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        return "".join(f"{kind}={value}\r\n" for kind, value in self.lines())

    def lines(self) -> Iterator[Line]:
        """Yield type and value of each line."""
        found: list[Line] = [("v", "0"), ("o", str(self.origin)), ("s", self.name or "-")]
        found += [(kind, text) for kind, text in (("i", self.information), ("u", self.uri)) if text]
        found += [("e", text) for text in self.emails if text]
        found += [("p", text) for text in self.phones if text]
        if self.connection is not None:
            found.append(("c", str(self.connection)))
        found += [("b", str(bandwidth)) for bandwidth in self.bandwidths]
        for timing in self.timings or (Timing(),):
            found.append(("t", str(timing)))
            found += [("r", str(repeat)) for repeat in timing.repeats]
            if timing.zones:
                found.append(("z", " ".join(map(str, timing.zones))))
        if self.key:
            found.append(("k", self.key))
        found += [("a", str(attribute)) for attribute in self.attributes]
        yield from merge_unknown(found, self.unknown, SESSION_ORDER) if self.unknown else found
        for media in self.media:
            yield from media.lines()

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups of media descriptions (RFC 5888)."""
        found = [Group.parse(value) for value in attribute_values(self.attributes, "group")]
        return tuple([group for group in found if group is not None])

    @property
    def is_held(self) -> bool:
        """Whether all streams that are wanted are on hold ("held SDP", RFC 3264 section 8.4)."""
        wanted = [media for media in self.media if media.port]
        return bool(wanted) and all(media.is_held for media in wanted)

    def value(self, name: str) -> str | None:
        """Return the value of the first attribute of the session called *name*, None where there is none."""
        return attribute_value(self.attributes, name)

    def has(self, name: str) -> bool:
        """Tell whether the session has an attribute called *name*."""
        return attribute_value(self.attributes, name) is not None

    def media_of(self, mid: str) -> MediaDescription | None:
        """Return the media description whose ``mid`` this is."""
        return next((media for media in self.media if mid and media.mid == mid), None)

    def same_content(self, other: SessionDescription) -> bool:
        """Tell whether both say the same but for the version."""
        return attrs.evolve(self, origin=other.origin) == other and self.origin.same_session(other.origin)
