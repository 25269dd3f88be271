"""What a watcher sees of a presence document: the transformations of presence rules (RFC 5025 section 3.3).

Filtering a filtered document changes nothing (RFC 5025 section 4), unless a component is granted by its class and the
class itself is withheld: that is not told for the sake of this. Everything is withheld that is not granted: what has no
permission of its own is an unknown attribute, and what stands beside persons, services and devices goes only to those
who see the whole document.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from lxml import etree

from twisted_sip.documents import data_model, pidf, rpid
from twisted_sip.documents.data_model import DEVICE, PERSON, Component, Device
from twisted_sip.documents.permissions import Permissions, Selection, UserInput
from twisted_sip.documents.pidf import STATUS, TUPLE, Presence, Service
from twisted_sip.documents.values import same_uri
from twisted_sip.documents.xml import Element, split_name

# Reported always, in whatever component they stand (RFC 5025 section 3.3.2).
_ALWAYS: Final = frozenset(
    (
        pidf.CONTACT,
        pidf.TIMESTAMP,
        pidf.BASIC,
        data_model.TIMESTAMP,
        f"{{{rpid.NAMESPACE}}}service-class",
    )
)
# Elements with a permission of their own: the permission that governs each (sections 3.3.2.1 to 3.3.2.13).
_GOVERNED: Final = {
    data_model.DEVICE_ID: "deviceID",
    data_model.NOTE: "note",
    pidf.NOTE: "note",
    **{
        f"{{{rpid.NAMESPACE}}}{local}": local for local in rpid.ELEMENTS if local not in ("service-class", "user-input")
    },
}
_USER_INPUT: Final = f"{{{rpid.NAMESPACE}}}user-input"
# What tells more than that there was input: "since" is the name that RFC 5025 has for "last-input" of RFC 4480.
_INPUT_TIMES: Final = ("last-input", "since")
# The most variants of one document that are kept for further watchers.
_KEPT: Final = 32


def filter_presence(presence: Presence, permissions: Permissions) -> Presence:
    """Return what a watcher with these *permissions* sees; made once for all watchers that have the same."""
    if permissions.unfiltered:
        return presence
    known = presence.variants.get(permissions)
    if isinstance(known, Presence):
        return known
    made = Presence.of(_filtered(presence.root, permissions))
    variants = presence.variants
    while len(variants) >= _KEPT:
        del variants[next(iter(variants))]
    variants[permissions] = made
    return made


def _filtered(whole: Element, permissions: Permissions) -> Element:
    root = deepcopy(whole)
    persons = False
    for child in list(root):
        if child.tag == TUPLE:
            kept = _service_granted(Service(child), permissions.services)
        elif child.tag == PERSON:
            kept = _granted(Component(child), permissions.persons)
            persons = persons or kept
        elif child.tag == DEVICE:
            kept = _device_granted(Device(child), permissions.devices)
        else:
            # Notes wait: they are about the persons (RFC 4479 section 5).
            kept = child.tag == pidf.NOTE
        if kept:
            _strip(child, permissions)
        else:
            root.remove(child)
    if not ((persons or permissions.persons.all) and _attribute_granted("note", permissions)):
        for note in root.findall(pidf.NOTE):
            root.remove(note)
    _smooth(root)
    return root


def _smooth(root: Element) -> None:
    """Take away what would tell that something was withheld: gaps, and namespaces that nothing is left of."""
    for element in root.iter():
        if element.tail is not None and not element.tail.strip():
            element.tail = None
        if len(element) and element.text is not None and not element.text.strip():
            element.text = None
    etree.cleanup_namespaces(root)


def _granted(component: Component, selection: Selection) -> bool:
    """Tell whether a watcher sees a person, or any other component, by what they have in common (section 3.3.1)."""
    return selection.all or component.class_ in selection.classes or component.id in selection.occurrence_ids


def _device_granted(device: Device, selection: Selection) -> bool:
    """Section 3.3.1.1: device IDs are compared as URIs."""
    return _granted(device, selection) or any(same_uri(device.device_id, each) for each in selection.device_ids)


def _service_granted(service: Service, selection: Selection) -> bool:
    """Section 3.3.1.3: service URIs are compared as URIs, their schemes with their case."""
    contact = service.contact
    return (
        _granted(service, selection)
        or any(same_uri(contact, each) for each in selection.service_uris)
        or (":" in contact and contact.partition(":")[0] in selection.service_uri_schemes)
    )


def _attribute_granted(name: str, permissions: Permissions) -> bool:
    return permissions.all_attributes or name in permissions.attributes


def _strip(component: Element, permissions: Permissions) -> None:
    """Remove the presence attributes of *component* that are not granted (section 3.3.2)."""
    if permissions.all_attributes or component.tag == pidf.NOTE:
        return
    for child in list(component):
        if child.tag == STATUS:
            # Attributes that are older than RFC 4479 stand in here.
            _strip(child, permissions)
        elif not isinstance(child.tag, str) or not _child_granted(child, component, permissions):
            component.remove(child)
        elif child.tag == _USER_INPUT:
            _strip_user_input(child, permissions.user_input)


def _child_granted(child: Element, component: Element, permissions: Permissions) -> bool:
    name = child.tag
    if name in _ALWAYS:
        return True
    if name == _USER_INPUT:
        return permissions.user_input > UserInput.FALSE
    governed = _GOVERNED.get(name)
    if governed == "deviceID" and component.tag == DEVICE:
        # A device always has its identifier (section 3.3.2.3).
        return True
    if governed is not None:
        return governed in permissions.attributes
    return split_name(name) in permissions.unknown_attributes


def _strip_user_input(element: Element, granted: UserInput) -> None:
    """Section 3.3.2.12."""
    if granted < UserInput.FULL:
        for name in _INPUT_TIMES:
            element.attrib.pop(name, "")
    if granted < UserInput.THRESHOLDS:
        element.attrib.pop("idle-threshold", "")
