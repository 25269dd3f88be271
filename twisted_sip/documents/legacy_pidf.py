"""Presence for old clients: application/xpidf+xml and application/cpim-pidf+xml, made from a presence document.

Neither became an RFC. XPIDF is what Windows Messenger and the phones of its time read: a document type declaration
that names no file that exists, one <atom> for each address, and a substatus of Messenger's own. CPIM-PIDF is a draft of
RFC 3863: the same elements in a namespace of another name, without anything that came later.
"""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from twisted_sip.documents.pidf import Presence, Service
from twisted_sip.documents.values import LANG
from twisted_sip.documents.xml import make_element, serialize

XPIDF_MEDIA_TYPE: Final = "application/xpidf+xml"
CPIM_MEDIA_TYPE: Final = "application/cpim-pidf+xml"
CPIM_NAMESPACE: Final = "urn:ietf:params:xml:ns:cpim-pidf"

_XPIDF_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE presence PUBLIC "-//IETF//DTD RFCxxxx XPIDF 1.0//EN" "xpidf.dtd">\n'
)
# Which substatus an activity of RFC 4480 comes closest to, the strongest first.
_SUBSTATUS = (
    ("onthephone", ("on-the-phone",)),
    ("busy", ("busy", "meeting", "appointment", "presentation", "performance", "working", "steering")),
    ("outtolunch", ("lunch", "meal", "breakfast", "dinner")),
    ("away", ("away", "permanent-absence", "vacation", "holiday", "travel", "sleeping", "in-transit")),
)
_IN_USE = ("onthephone", "busy")


def _substatus(presence: Presence) -> str:
    activities = set(presence.activities)
    for substatus, meant in _SUBSTATUS:
        if not activities.isdisjoint(meant):
            return substatus
    inputs = [part.user_input for part in (*presence.persons, *presence.devices, *presence.services)]
    states = {found.state for found in inputs if found is not None}
    return "idle" if states == {"idle"} else "online"


def _best_first(presence: Presence) -> list[Service]:
    """Return the services, open ones and high priorities first: many a client reads the first and no other."""
    return sorted(presence.services, key=lambda service: (service.basic != "open", -service.priority))


def to_xpidf(presence: Presence) -> bytes:
    """Return *presence* as application/xpidf+xml."""
    substatus = _substatus(presence)
    lines = ["<presence>", f"<presentity uri={quoteattr(presence.entity + ';method=SUBSCRIBE')}/>"]
    for number, service in enumerate(_best_first(presence)):
        is_open = service.basic == "open"
        status = ("inuse" if substatus in _IN_USE else "open") if is_open else "closed"
        lines += [
            f"<atom id={quoteattr(service.id or f'a{number}')}>",
            f'<address uri={quoteattr(service.contact or presence.entity)} priority="{service.priority:.6f}">',
            f'<status status="{status}"/>',
            f'<msnsubstatus substatus="{substatus if is_open else "offline"}"/>',
        ]
        lines += [f"<note>{escape(note.text)}</note>" for note in service.notes[:1]]
        lines += ["</address>", "</atom>"]
    return (_XPIDF_HEAD + "\n".join([*lines, "</presence>", ""])).encode()


def to_cpim_pidf(presence: Presence) -> bytes:
    """Return *presence* as application/cpim-pidf+xml: tuples and notes, and nothing else."""

    def name(local: str) -> str:
        return f"{{{CPIM_NAMESPACE}}}{local}"

    root = make_element(name("presence"), {"entity": presence.entity}, namespaces={None: CPIM_NAMESPACE})
    for service in _best_first(presence):
        element = etree.SubElement(root, name("tuple"), {"id": service.id})
        etree.SubElement(etree.SubElement(element, name("status")), name("basic")).text = service.basic or "closed"
        if service.contact:
            contact = etree.SubElement(element, name("contact"), {"priority": f"{service.priority:.3f}"})
            contact.text = service.contact
        for note in service.notes:
            made = etree.SubElement(element, name("note"), {LANG: note.lang} if note.lang else {})
            made.text = note.text
        if service.timestamp is not None:
            etree.SubElement(element, name("timestamp")).text = service.timestamp.isoformat()
    if presence.note:
        etree.SubElement(root, name("note")).text = presence.note
    return serialize(root)
