"""Presence documents, application/pidf+xml (RFC 3863), with what RFC 4479, 4480 and 4482 add to them.

:class:`Presence` is read, and made anew, never changed: ``Presence("sip:alice@example.com").with_status("open",
note="At the desk", activity="busy")``. What is not known here is kept, in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Final

from lxml import etree

from twisted_sip.documents import cipid, data_model, rpid
from twisted_sip.documents.data_model import DEVICE, PERSON, Component, Device, Person
from twisted_sip.documents.familiar import Familiar
from twisted_sip.documents.values import Note, add_note, format_time, read_notes, text_of
from twisted_sip.documents.xml import (
    SIZE_LIMIT,
    Element,
    attributes_of,
    inspected,
    know,
    make_element,
    parse_again,
    serialize,
    tree_of,
)
from twisted_sip.documents.xml_outline import Outline, is_declared
from twisted_sip.errors import LocalProtocolError

NAMESPACE: Final = "urn:ietf:params:xml:ns:pidf"
MEDIA_TYPE: Final = "application/pidf+xml"

ROOT: Final = f"{{{NAMESPACE}}}presence"
TUPLE: Final = f"{{{NAMESPACE}}}tuple"
STATUS: Final = f"{{{NAMESPACE}}}status"
BASIC: Final = f"{{{NAMESPACE}}}basic"
CONTACT: Final = f"{{{NAMESPACE}}}contact"
NOTE: Final = f"{{{NAMESPACE}}}note"
TIMESTAMP: Final = f"{{{NAMESPACE}}}timestamp"

know(NAMESPACE, "presence", "tuple", "status", "basic", "contact", "note", "timestamp", "entity", "priority")
know("mustUnderstand", "impp", "None", "http://www.w3.org/XML/1998/namespace", "xml", "lang")

# Prefixes as the RFCs have them.
_PREFIXES: dict[str | None, str] = {"dm": data_model.NAMESPACE, "rpid": rpid.NAMESPACE}
#: What <basic> may say (RFC 3863 section 4.1.4), and that it is not there.
STATES: Final = ("open", "closed", "")
_familiar = Familiar("entity", "basic")
# In which order the children of <presence> stand (RFC 3863 section 4.1.1).
_ORDER = {TUPLE: 0, NOTE: 1}


class Service(Component):
    """<tuple>: a service by which the presentity can be reached (RFC 3863 section 4.1.2, RFC 4479 section 3.3)."""

    __slots__ = ()

    _note = NOTE
    _timestamp = TIMESTAMP

    @property
    def basic(self) -> str:
        """``open`` or ``closed``, empty where it is not told (RFC 3863 section 4.1.4)."""
        return text_of(self.element.find(f"{STATUS}/{BASIC}")).lower()

    @property
    def status_extensions(self) -> tuple[Element, ...]:
        """The child elements of <status> but <basic>, in order (RFC 3863 section 4.1.3)."""
        return tuple([child for child in self.element.iterfind(f"{STATUS}/*") if child.tag != BASIC])

    @property
    def contact(self) -> str:
        """The URI of the service, empty where it is missing (RFC 3863 section 4.1.5)."""
        return text_of(self.element.find(CONTACT))

    @property
    def priority(self) -> float:
        """The priority of the contact, 0 to 1; 0 where it is missing or out of range (RFC 3863 section 4.1.5)."""
        contact = self.element.find(CONTACT)
        try:
            read = float(contact.get("priority", "0")) if contact is not None else 0.0
        except ValueError:
            return 0.0
        return read if 0 <= read <= 1 else 0.0

    @property
    def device_ids(self) -> tuple[str, ...]:
        """The devices that provide it (RFC 4480 section 3.4)."""
        return tuple([text_of(child) for child in self.element.iterchildren(data_model.DEVICE_ID)])


def has_unqualified(element: Element) -> bool:
    """Tell whether an element without any namespace is in *element*.

    Under a default namespace it would be read as another one: there the namespace of PIDF has to have a prefix.
    """
    return next(element.iter("{}*"), None) is not None


def arranged(root: Element, children: Iterable[Element]) -> Element:
    """Return a <presence> element with the attributes of *root* and copies of *children*, in the order of the schema.

    Namespaces that the children know are declared once, where their prefixes allow it.
    """
    listed = sorted(children, key=lambda child: _ORDER.get(child.tag, 2))
    own = "pidf" if any(has_unqualified(child) for child in listed) else None
    namespaces: dict[str | None, str] = {own: NAMESPACE}
    for element in (root, *listed):
        for prefix, uri in element.nsmap.items():
            if prefix is not None:
                namespaces.setdefault(prefix, uri)
    made = make_element(ROOT, attributes_of(root), namespaces=namespaces)
    for child in listed:
        copied = deepcopy(child)
        copied.tail = None
        made.append(copied)
    return made


def _finish(
    element: Element, notes: Iterable[Note], note_name: str, timestamp: float | None, timestamp_name: str
) -> None:
    """Append what each component ends with: notes and the time of the change."""
    for note in notes:
        add_note(element, note_name, note)
    if timestamp is not None:
        etree.SubElement(element, timestamp_name).text = format_time(timestamp)


class Presence:
    """A presence document. Treat as immutable; the ``with_`` methods return another one.

    :ivar variants: what others have made of this document and want to make once: forms of it, by a key of their own.
    """

    __slots__ = ("__weakref__", "_entity", "_root", "_states_known", "_xml", "variants")

    def __init__(self, entity: str) -> None:
        """Make a document that says nothing about *entity*, a URI."""
        self._root: Element | None = make_element(ROOT, {"entity": entity}, namespaces={None: NAMESPACE})
        self._entity: str | None = None
        self._xml: bytes | None = None
        self.variants: dict[object, object] = {}
        # None for what has not been looked at.
        self._states_known: bool | None = None

    @classmethod
    def parse(cls, body: bytes, *, limit: int = SIZE_LIMIT) -> Presence:
        """Return the document in *body*; it goes out again as it came in.

        :param limit: the most bytes.
        :raises DocumentError: it is no presence document, or beyond a limit.
        """
        known = _familiar.read(body) if len(body) <= limit else None
        if known is not None:
            return cls._outlined(body, *known)
        outline = Outline(NAMESPACE, "basic")
        text = inspected(body, outline, limit)
        if outline.has_root(NAMESPACE, "presence") and outline.is_plain(body):
            _familiar.learn(body)
            return cls._outlined(body, outline.root_attribute("entity"), outline.texts)
        root = tree_of(text, (NAMESPACE, "presence"))
        # What is declared so goes on as it is: the declaration is a must (RFC 3863 section 4.1), UTF-8 what we send.
        return cls.of_text(body, root.get("entity", "")) if is_declared(body) else cls.of(root)

    @classmethod
    def _outlined(cls, body: bytes, entity: str, states: Iterable[str]) -> Presence:
        made = cls.of_text(body, entity)
        for basic in states:
            if basic not in STATES and basic.strip().lower() not in STATES:
                break
        else:
            made._states_known = True
        return made

    @classmethod
    def of_text(cls, body: bytes, entity: str) -> Presence:
        """Return the document in *body*, which was read before or made here: UTF-8, with an XML declaration.

        Its elements are made once somebody asks: most documents go out as they came.

        :param entity: the URI of the presentity that stands in it.
        """
        made = cls.__new__(cls)
        made._root = None
        made._entity = entity
        made._xml = body
        made.variants = {}
        made._states_known = None
        return made

    @classmethod
    def of(cls, root: Element) -> Presence:
        """Return the document with this <presence> element, which nobody changes any more."""
        made = cls.__new__(cls)
        made._root = root
        made._entity = None
        made._xml = None
        made.variants = {}
        made._states_known = None
        return made

    @property
    def root(self) -> Element:
        """The <presence> element."""
        root = self._root
        if root is None:
            assert self._xml is not None
            root = self._root = parse_again(self._xml)
        return root

    def to_xml(self) -> bytes:
        """Return the document in UTF-8; made once."""
        if self._xml is None:
            self._xml = serialize(self.root)
        return self._xml

    @property
    def entity(self) -> str:
        """The URI of the presentity, empty where it is missing."""
        entity = self._entity
        if entity is None:
            entity = self._entity = self.root.get("entity", "")
        return entity

    @property
    def services(self) -> tuple[Service, ...]:
        """Its tuples, in order."""
        return tuple([Service(child) for child in self.root.iterchildren(TUPLE)])

    @property
    def states_known(self) -> bool:
        """True unless a service tells a state that is neither open nor closed (RFC 3863 section 4.1.4)."""
        known = self._states_known
        if known is None:
            known = self._states_known = all(service.basic in STATES for service in self.services)
        return known

    @property
    def persons(self) -> tuple[Person, ...]:
        """Its persons, in order."""
        return tuple([Person(child) for child in self.root.iterchildren(PERSON)])

    @property
    def devices(self) -> tuple[Device, ...]:
        """Its devices, in order."""
        return tuple([Device(child) for child in self.root.iterchildren(DEVICE)])

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes about the presentity itself (RFC 3863 section 4.1.6)."""
        return read_notes(self.root, NOTE)

    @property
    def extensions(self) -> tuple[Element, ...]:
        """The other children of <presence>, in order."""
        known = (TUPLE, NOTE, PERSON, DEVICE)
        return tuple([child for child in self.root.iterchildren("*") if child.tag not in known])

    @property
    def basic(self) -> str:
        """``open`` if a service is, else ``closed`` if one is, else empty."""
        found = {service.basic for service in self.services}
        return next((basic for basic in ("open", "closed") if basic in found), "")

    @property
    def activities(self) -> tuple[str, ...]:
        """What the persons do, each once."""
        return tuple(dict.fromkeys([activity for person in self.persons for activity in person.activities]))

    @property
    def sphere(self) -> str | None:
        """The sphere of the persons, None where they have none, or several (RFC 5025 section 3.1.2)."""
        found = {sphere for person in self.persons for sphere in person.spheres}
        return found.pop() if len(found) == 1 else None

    @property
    def note(self) -> str:
        """The first note: of a person, of the presentity, or of a service (RFC 4479 section 5); empty without any."""
        for notes in (
            *(person.notes for person in self.persons),
            self.notes,
            *(service.notes for service in self.services),
        ):
            if notes:
                return notes[0].text
        return ""

    def with_entity(self, entity: str) -> Presence:
        """Return the same about *entity*."""
        root = deepcopy(self.root)
        root.set("entity", entity)
        return Presence.of(root)

    def with_status(
        self,
        basic: str,
        *,
        note: str = "",
        activity: str | Iterable[str] = (),
        contact: str = "",
        priority: float | None = None,
        lang: str = "",
        timestamp: float | None = None,
        id: str = "service",
    ) -> Presence:
        """Return this with a service that is open or closed, in the place of the one with the same *id*.

        :param basic: ``open`` or ``closed``.
        :param note: a text for people; also of the person, where there is an *activity*.
        :param activity: what the person does: ``busy``, ``away`` ...; others than those of RFC 4480 go out as text.
        :param contact: the URI of the service, the entity without one.
        :param priority: of the contact, 0 to 1.
        :param lang: the language of *note*.
        :param timestamp: when it changed, seconds since the epoch.
        :raises LocalProtocolError: *basic* or *priority* is none.
        """
        if basic not in ("open", "closed"):
            raise LocalProtocolError(f"a basic status is open or closed, not {basic!r}")
        if priority is not None and not 0 <= priority <= 1:
            raise LocalProtocolError(f"a priority is from 0 to 1, not {priority}")
        notes = [Note(note, lang)] if note else []
        element = make_element(TUPLE, {"id": id}, namespaces={None: NAMESPACE})
        etree.SubElement(etree.SubElement(element, STATUS), BASIC).text = basic
        where = etree.SubElement(element, CONTACT)
        where.text = contact or self.entity
        if priority is not None:
            where.set("priority", f"{priority:.3f}".rstrip("0").rstrip("."))
        _finish(element, notes, NOTE, timestamp, TIMESTAMP)
        made = self._with(element)
        activities = [activity] if isinstance(activity, str) else list(activity)
        return made.with_person(activities=activities, notes=notes, timestamp=timestamp) if activities else made

    def with_person(
        self,
        *,
        activities: Iterable[str] = (),
        moods: Iterable[str] = (),
        place_types: Iterable[str] = (),
        display_name: str = "",
        notes: Iterable[Note] = (),
        timestamp: float | None = None,
        id: str = "person",
    ) -> Presence:
        """Return this with a person, in the place of the one with the same *id*.

        :param timestamp: when it changed, seconds since the epoch.
        """
        element = make_element(PERSON, {"id": id}, namespaces=_PREFIXES)
        for local, names in (("activities", activities), ("mood", moods), ("place-type", place_types)):
            if listed := list(names):
                rpid.add_enumeration(element, local, listed)
        if display_name:
            name = f"{{{cipid.NAMESPACE}}}display-name"
            etree.SubElement(element, name, nsmap={"c": cipid.NAMESPACE}).text = display_name
        _finish(element, notes, data_model.NOTE, timestamp, data_model.TIMESTAMP)
        return self._with(element)

    def with_device(
        self,
        device_id: str,
        *,
        user_input: str = "",
        notes: Iterable[Note] = (),
        timestamp: float | None = None,
        id: str = "device",
    ) -> Presence:
        """Return this with a device, in the place of the one with the same *id*.

        :param device_id: its URN.
        :param user_input: ``active`` or ``idle``.
        :param timestamp: when it changed, seconds since the epoch.
        """
        element = make_element(DEVICE, {"id": id}, namespaces=_PREFIXES)
        if user_input:
            etree.SubElement(element, f"{{{rpid.NAMESPACE}}}user-input").text = user_input
        etree.SubElement(element, data_model.DEVICE_ID).text = device_id
        _finish(element, notes, data_model.NOTE, timestamp, data_model.TIMESTAMP)
        return self._with(element)

    def with_note(self, text: str, lang: str = "") -> Presence:
        """Return this with a further note about the presentity itself."""
        holder = make_element(ROOT, namespaces={None: NAMESPACE})
        add_note(holder, NOTE, Note(text, lang))
        return Presence.of(arranged(self.root, [*self.root, *holder]))

    def _with(self, element: Element) -> Presence:
        kept = [child for child in self.root if child.tag != element.tag or child.get("id") != element.get("id")]
        return Presence.of(arranged(self.root, [*kept, element]))

    def __repr__(self) -> str:
        return f"<Presence {self.entity} {self.basic}>"
