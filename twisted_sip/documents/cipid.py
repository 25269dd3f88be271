"""CIPID: the business card of a person in a presence document (RFC 4482)."""

from __future__ import annotations

from typing import Final

from twisted_sip.documents.values import Note, read_notes, text_of
from twisted_sip.documents.xml import Element, know

NAMESPACE: Final = "urn:ietf:params:xml:ns:pidf:cipid"

know(NAMESPACE, "c", "ci", "cipid", "card", "display-name", "homepage", "icon", "map", "sound")


class ContactInformation:
    """What RFC 4482 section 3 lets a person (or a service of somebody else) tell.

    :ivar element: the element that it stands in.
    """

    __slots__ = ()

    element: Element

    @property
    def card(self) -> str:
        """The URI of a business card (section 3.1), or empty."""
        return text_of(self.element.find(f"{{{NAMESPACE}}}card"))

    @property
    def display_names(self) -> tuple[Note, ...]:
        """The names to show, one for each language (section 3.2)."""
        return read_notes(self.element, f"{{{NAMESPACE}}}display-name")

    @property
    def homepage(self) -> str:
        """The URI of a home page (section 3.3), or empty."""
        return text_of(self.element.find(f"{{{NAMESPACE}}}homepage"))

    @property
    def icon(self) -> str:
        """The URI of a picture (section 3.4), or empty."""
        return text_of(self.element.find(f"{{{NAMESPACE}}}icon"))

    @property
    def map(self) -> str:
        """The URI of a map (section 3.5), or empty."""
        return text_of(self.element.find(f"{{{NAMESPACE}}}map"))

    @property
    def sound(self) -> str:
        """The URI of a sound (section 3.6), or empty."""
        return text_of(self.element.find(f"{{{NAMESPACE}}}sound"))
