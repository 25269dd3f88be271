"""The data model of presence: persons, services and devices as components of one document (RFC 4479).

A component is a view of an XML element. What is not known here stays in the element, and goes out as it came in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

from twisted_sip.documents.cipid import ContactInformation
from twisted_sip.documents.rpid import RichPresence
from twisted_sip.documents.values import Note, parse_time, read_notes, text_of
from twisted_sip.documents.xml import Element, know, split_name

NAMESPACE: Final = "urn:ietf:params:xml:ns:pidf:data-model"
#: Where location objects live: kept, and not looked at.
GEOPRIV: Final = "urn:ietf:params:xml:ns:pidf:geopriv10"

PERSON: Final = f"{{{NAMESPACE}}}person"
DEVICE: Final = f"{{{NAMESPACE}}}device"
DEVICE_ID: Final = f"{{{NAMESPACE}}}deviceID"
NOTE: Final = f"{{{NAMESPACE}}}note"
TIMESTAMP: Final = f"{{{NAMESPACE}}}timestamp"

know(NAMESPACE, GEOPRIV, "p", "d", "dm", "pdm", "person", "device", "deviceID", "note", "timestamp", "id")

Made = TypeVar("Made", bound="Component")


class Component(RichPresence, ContactInformation):
    """A person, service or device in a presence document.

    :ivar element: the element; treat it as immutable.
    """

    __slots__ = ("element",)

    _note = NOTE
    _timestamp = TIMESTAMP

    def __init__(self, element: Element) -> None:
        """Look at *element*."""
        self.element = element

    @property
    def id(self) -> str:
        """The occurrence identifier (RFC 4479 section 3.5), empty where it is missing."""
        return self.element.get("id", "")

    @property
    def notes(self) -> tuple[Note, ...]:
        """Its notes, in order."""
        return read_notes(self.element, self._note)

    @property
    def timestamp(self) -> datetime | None:
        """When it last changed, None where it is not told."""
        return parse_time(text_of(self.element.find(self._timestamp)))

    @property
    def extensions(self) -> tuple[Element, ...]:
        """The child elements of other namespaces, in order: RPID, CIPID, location and whatever else."""
        own, _ = split_name(self.element.tag)
        return tuple([child for child in self.element.iterchildren("*") if split_name(child.tag)[0] != own])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r}>"


class Person(Component):
    """<person>: the human being (RFC 4479 section 3.2)."""

    __slots__ = ()


class Device(Component):
    """<device>: what services run on (RFC 4479 section 3.4)."""

    __slots__ = ()

    @property
    def device_id(self) -> str:
        """The URN of the device, empty where it is missing."""
        return text_of(self.element.find(DEVICE_ID))
