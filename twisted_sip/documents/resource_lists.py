"""Resource lists: buddy lists and the like (RFC 4826 section 3, application/resource-lists+xml).

Also the body of SUBSCRIBE requests with lists of their own (RFC 5367). What other namespaces add is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
from lxml import etree

from twisted_sip.documents.xml import Element, know, parse_xml, serialize
from twisted_sip.errors import LocalProtocolError

MEDIA_TYPE = "application/resource-lists+xml"
NAMESPACE = "urn:ietf:params:xml:ns:resource-lists"

# Whatever peers have sent before, these documents can be read.
know(
    NAMESPACE,
    "resource-lists",
    "list",
    "entry",
    "entry-ref",
    "external",
    "display-name",
    "name",
    "uri",
    "ref",
    "anchor",
)
_NSMAP: Any = {None: NAMESPACE}

#: The most bytes and elements of a document.
SIZE_LIMIT = 262_144
ELEMENT_LIMIT = 20_000

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@attrs.frozen(slots=True)
class DisplayName:
    """A name for people.

    :ivar text: the name.
    :ivar lang: its language (xml:lang), or empty.
    """

    text: str
    lang: str = ""


@attrs.frozen(slots=True)
class Entry:
    """One resource (section 3.1).

    :ivar uri: its URI, as written.
    :ivar display_name: its name, or None.
    """

    uri: str
    display_name: DisplayName | None = None


@attrs.frozen(slots=True)
class EntryRef:
    """An entry of another document in the same XCAP root.

    :ivar ref: a path relative to the XCAP root, percent-encoded.
    """

    ref: str
    display_name: DisplayName | None = None


@attrs.frozen(slots=True)
class External:
    """A list of another document, perhaps on another server.

    :ivar anchor: an absolute HTTP URI of a <list>.
    """

    anchor: str
    display_name: DisplayName | None = None


@attrs.frozen(slots=True)
class ResourceList:
    """A list.

    :ivar name: its handle, or empty.
    :ivar members: entries, references and lists in order.
    """

    name: str = ""
    members: tuple[Entry | EntryRef | External | ResourceList, ...] = ()
    display_name: DisplayName | None = None

    def walk(self) -> Iterator[Entry | EntryRef | External]:
        """Give every entry and reference, those of the lists in it included, in the order of the document."""
        # Not recursive: what is deep must not cost a deep stack.
        waiting: list[Entry | EntryRef | External | ResourceList] = [*reversed(self.members)]
        while waiting:
            member = waiting.pop()
            if isinstance(member, ResourceList):
                waiting += reversed(member.members)
            else:
                yield member

    def uris(self) -> list[str]:
        """Return the URIs of the entries, each once, in order; references are left out (section 4.5)."""
        return list(dict.fromkeys(member.uri for member in self.walk() if isinstance(member, Entry)))


@attrs.frozen(slots=True)
class ResourceLists:
    """A document: lists in order."""

    lists: tuple[ResourceList, ...] = ()

    def named(self, name: str) -> ResourceList | None:
        """Return the list called *name*, None if there is none."""
        return next((found for found in self.lists if found.name == name), None)

    def uris(self) -> list[str]:
        """Return the URIs of the entries of all lists, each once, in order."""
        return list(dict.fromkeys(uri for found in self.lists for uri in found.uris()))


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


# -- reading ---------------------------------------------------------------------


def parse(body: bytes) -> ResourceLists:
    """Return the lists in *body*.

    :raises DocumentError: it is no XML, no such document, or beyond a limit.
    """
    root = parse_xml(body, root=(NAMESPACE, "resource-lists"), limit=SIZE_LIMIT, elements=ELEMENT_LIMIT)
    return ResourceLists(tuple(read_list(element) for element in root.iterchildren(_name("list"))))


def parse_list(body: bytes) -> ResourceList:
    """Return the list in *body*, whose root is a <list>: what an <external> leads to.

    :raises DocumentError: it is no XML, no list, or beyond a limit.
    """
    return read_list(parse_xml(body, root=(NAMESPACE, "list"), limit=SIZE_LIMIT, elements=ELEMENT_LIMIT))


def parse_entry(body: bytes) -> Entry:
    """Return the entry in *body*, whose root is an <entry>: what an <entry-ref> leads to.

    :raises DocumentError: it is no XML, no entry, or beyond a limit.
    """
    element = parse_xml(body, root=(NAMESPACE, "entry"), limit=SIZE_LIMIT, elements=ELEMENT_LIMIT)
    return Entry(_uri(element, "uri"), _display_name(element))


def read_list(element: Element) -> ResourceList:
    """Return the list that *element* is (listType of section 3.2), whatever its own name is."""
    members: list[Entry | EntryRef | External | ResourceList] = []
    for child in element.iterchildren("*"):
        if child.tag == _name("list"):
            members.append(read_list(child))
        elif child.tag == _name("entry") and child.get("uri"):
            members.append(Entry(_uri(child, "uri"), _display_name(child)))
        elif child.tag == _name("entry-ref") and child.get("ref"):
            members.append(EntryRef(_uri(child, "ref"), _display_name(child)))
        elif child.tag == _name("external") and child.get("anchor"):
            members.append(External(_uri(child, "anchor"), _display_name(child)))
    return ResourceList(element.get("name", ""), tuple(members), _display_name(element))


def _uri(element: Element, name: str) -> str:
    return (element.get(name) or "").strip()


def _display_name(element: Element) -> DisplayName | None:
    found = next(element.iterchildren(_name("display-name")), None)
    return None if found is None else DisplayName((found.text or "").strip(), found.get(_LANG, ""))


# -- building --------------------------------------------------------------------


def build(lists: ResourceLists) -> bytes:
    """Return the document for *lists*.

    :raises LocalProtocolError: a text cannot stand in XML, or something stands twice that may stand once (section 3.1).
    """
    root = etree.Element(_name("resource-lists"), nsmap=_NSMAP)
    _unique([found.name for found in lists.lists if found.name], "name")
    for found in lists.lists:
        add_list(root, found)
    return serialize(root)


def add_list(parent: Element, made: ResourceList, tag: str = _name("list")) -> None:
    """Put *made* into *parent* as an element called *tag*.

    :raises LocalProtocolError: as :func:`build`.
    """
    element = etree.SubElement(parent, tag)
    _set(element, "name", made.name)
    _add_display_name(element, made.display_name)
    seen: dict[str, list[str]] = {"name": [], "uri": [], "ref": [], "anchor": []}
    for member in made.members:
        if isinstance(member, ResourceList):
            add_list(element, member)
            if member.name:
                seen["name"].append(member.name)
            continue
        if isinstance(member, Entry):
            local, attribute, value = "entry", "uri", member.uri
        elif isinstance(member, EntryRef):
            local, attribute, value = "entry-ref", "ref", member.ref
        else:
            local, attribute, value = "external", "anchor", member.anchor
        child = etree.SubElement(element, _name(local))
        _set(child, attribute, value)
        _add_display_name(child, member.display_name)
        seen[attribute].append(value)
    for attribute, values in seen.items():
        _unique(values, attribute)


def _unique(values: list[str], attribute: str) -> None:
    if len(set(values)) < len(values):
        raise LocalProtocolError(f"the same {attribute} stands twice in one list (RFC 4826 section 3.1)")


def _set(element: Element, name: str, value: str) -> None:
    if not value and name == "name":
        return
    try:
        element.set(name, value)
    except ValueError as error:
        raise LocalProtocolError(f"{name} {value!r} cannot stand in XML") from error


def _add_display_name(element: Element, name: DisplayName | None) -> None:
    if name is None:
        return
    child = etree.SubElement(element, _name("display-name"))
    try:
        child.text = name.text
        if name.lang:
            child.set(_LANG, name.lang)
    except ValueError as error:
        raise LocalProtocolError(f"display name {name.text!r} cannot stand in XML") from error
