"""RPID: rich presence, what persons do and feel, where they are, and how services and devices are used (RFC 4480)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import attrs
from lxml import etree

from twisted_sip.documents.values import Note, add_note, parse_time, read_notes, text_of
from twisted_sip.documents.xml import Element, know

NAMESPACE: Final = "urn:ietf:params:xml:ns:pidf:rpid"
#: Where the values of <place-type> come from (section 3.7).
LOCATION_TYPE: Final = "urn:ietf:params:xml:ns:location-type"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: The activities of section 3.2; <other> has a text of its own.
ACTIVITIES: Final = _words(
    "appointment away breakfast busy dinner holiday in-transit looking-for-work lunch meal meeting on-the-phone"
    " performance permanent-absence playing presentation shopping sleeping spectator steering travel tv unknown"
    " vacation working worship"
)
#: The moods of section 3.5.
MOODS: Final = _words(
    "afraid amazed angry annoyed anxious ashamed bored brave calm cold confused contented cranky curious depressed"
    " disappointed disgusted distracted embarrassed excited flirtatious frustrated grumpy guilty happy hot humbled"
    " humiliated hungry hurt impressed in_awe in_love indignant interested invincible jealous lonely mean moody"
    " nervous neutral offended playful proud relieved remorseful restless sad sarcastic serious shocked shy sick"
    " sleepy stressed surprised thirsty unknown worried"
)
#: The elements that RFC 4480 defines for persons, services and devices; <deviceID> is the data model's.
ELEMENTS: Final = _words(
    "activities class mood place-is place-type privacy relationship service-class sphere status-icon time-offset"
    " user-input"
)
_OTHERS = _words(
    "note other noisy ok quiet toobright dark uncomfortable inappropriate audio video text assistant associate family"
    " friend self supervisor courier electronic freight in-person postal home work active idle id from until"
    " idle-threshold last-input description r rp rpid lt"
)

know(NAMESPACE, LOCATION_TYPE, *ACTIVITIES, *MOODS, *ELEMENTS, *_OTHERS)

# The schema (section 5.1) has no <lunch>, though section 3.2 has: it goes out as the activity that it is a kind of.
_NOT_IN_SCHEMA = {"lunch": "meal"}


@attrs.frozen(slots=True, kw_only=True)
class Enumeration:
    """One <activities>, <mood>, <place-type>, <privacy>, <relationship>, <service-class> or <sphere>.

    :ivar names: its values: names of elements, of whatever namespace.
    :ivar other: values in free text.
    :ivar notes: its notes.
    :ivar since: from when it holds (``from``), or None.
    :ivar until: until when it holds, or None.
    """

    names: tuple[str, ...]
    other: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@attrs.frozen(slots=True, kw_only=True)
class Usage:
    """<user-input>: when somebody last touched a service or device (section 3.14).

    :ivar state: ``active`` or ``idle``.
    :ivar idle_threshold: seconds without input until it counts as idle, or None.
    :ivar last_input: when there was input last, or None.
    """

    state: str
    idle_threshold: int | None = None
    last_input: datetime | None = None


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def read_enumeration(element: Element) -> Enumeration:
    """Return what an element with values says; a text in it (as the example of section 4 has) counts as a free one."""
    names: list[str] = []
    other: list[str] = []
    if text := text_of(element):
        other.append(text)
    for child in element.iterchildren("*"):
        if child.tag == _name("other"):
            other.append(text_of(child))
        elif child.tag != _name("note"):
            names.append(etree.QName(child).localname)
    return Enumeration(
        names=tuple(names),
        other=tuple(other),
        notes=read_notes(element, _name("note")),
        since=parse_time(element.get("from")),
        until=parse_time(element.get("until")),
    )


def add_enumeration(parent: Element, local: str, names: Iterable[str], notes: Iterable[Note] = ()) -> None:
    """Append an element with values: ``add_enumeration(person, "activities", ["busy"])``.

    :param names: values of RFC 4480, of RFC 4589 for <place-type>; for <activities> and <mood> others go out as
        <other>.
    """
    element = etree.SubElement(parent, _name(local))
    for note in notes:
        add_note(element, _name("note"), note)
    known = {"activities": ACTIVITIES, "mood": MOODS}.get(local)
    for name in names:
        if local == "place-type":
            etree.SubElement(element, f"{{{LOCATION_TYPE}}}{name}", nsmap={"lt": LOCATION_TYPE})
        elif known is not None and name not in known:
            etree.SubElement(element, _name("other")).text = name
        else:
            etree.SubElement(element, _name(_NOT_IN_SCHEMA.get(name, name)))


class RichPresence:
    """What RFC 4480 lets a person, service or device tell; which element stands where is table 1 of section 3.1.

    :ivar element: the element that it stands in.
    """

    __slots__ = ()

    element: Element

    def enumerations(self, local: str) -> tuple[Enumeration, ...]:
        """Return each element called *local*, with its time and notes: ``enumerations("activities")``."""
        return tuple([read_enumeration(child) for child in self.element.iterchildren(_name(local))])

    def _values(self, local: str) -> tuple[str, ...]:
        return tuple([value for read in self.enumerations(local) for value in (*read.names, *read.other)])

    @property
    def activities(self) -> tuple[str, ...]:
        """What the person does (section 3.2)."""
        return self._values("activities")

    @property
    def class_(self) -> str:
        """The class that it is in (section 3.3), or empty."""
        return text_of(self.element.find(_name("class")))

    @property
    def moods(self) -> tuple[str, ...]:
        """How the person feels (section 3.5)."""
        return self._values("mood")

    @property
    def place_is(self) -> dict[str, str]:
        """What the place is like, by medium: ``{"audio": "noisy"}`` (section 3.6)."""
        return {
            etree.QName(medium).localname: etree.QName(value).localname
            for place in self.element.iterchildren(_name("place-is"))
            for medium in place.iterchildren(_name("audio"), _name("video"), _name("text"))
            for value in medium.iterchildren("*")
        }

    @property
    def place_types(self) -> tuple[str, ...]:
        """What kind of place it is (section 3.7)."""
        return self._values("place-type")

    @property
    def privacy(self) -> tuple[str, ...]:
        """Which media nobody else is likely to hear or see (section 3.8)."""
        return self._values("privacy")

    @property
    def relationship(self) -> str:
        """Who answers there, ``self`` where it is not told (section 3.9)."""
        return next(iter(self._values("relationship")), "self")

    @property
    def service_class(self) -> str:
        """How it delivers, ``electronic`` where it is not told (section 3.10)."""
        return next(iter(self._values("service-class")), "electronic")

    @property
    def spheres(self) -> tuple[str, ...]:
        """The role that the person plays (section 3.11)."""
        return self._values("sphere")

    @property
    def status_icon(self) -> str:
        """The URI of a picture of the status (section 3.12), or empty."""
        return text_of(self.element.find(_name("status-icon")))

    @property
    def time_offset(self) -> int | None:
        """Minutes ahead of UTC (section 3.13), None where it is not told."""
        return _integer(text_of(self.element.find(_name("time-offset"))))

    @property
    def user_input(self) -> Usage | None:
        """When somebody last touched it (section 3.14), None where it is not told."""
        element = self.element.find(_name("user-input"))
        if element is None:
            return None
        return Usage(
            state=text_of(element),
            idle_threshold=_integer(element.get("idle-threshold", "")),
            last_input=parse_time(element.get("last-input")),
        )


def _integer(text: str) -> int | None:
    digits = text.lstrip("+-")
    return int(text) if digits.isascii() and digits.isdigit() and len(text) < 12 else None
