"""What an XCAP server can do (RFC 4825 section 12, application/xcap-caps+xml)."""

from __future__ import annotations

from typing import Any

import attrs
from lxml import etree

from twisted_sip.documents.xml import Element, parse_xml, serialize

AUID = "xcap-caps"
MEDIA_TYPE = "application/xcap-caps+xml"
NAMESPACE = "urn:ietf:params:xml:ns:xcap-caps"
_NSMAP: Any = {None: NAMESPACE}


@attrs.frozen(slots=True, kw_only=True)
class XCAPCapabilities:
    """The capabilities of a server.

    :ivar auids: the application usages that it serves.
    :ivar extensions: extensions to XCAP, by their tokens.
    :ivar namespaces: the namespaces whose elements it can validate.
    """

    auids: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


_PARTS = (("auids", "auid"), ("extensions", "extension"), ("namespaces", "namespace"))


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def parse(body: bytes) -> XCAPCapabilities:
    """Return the capabilities in *body*.

    :raises DocumentError: it is no XML, no such document, or beyond a limit.
    """
    root = parse_xml(body, root=(NAMESPACE, "xcap-caps"))
    return XCAPCapabilities(**{part: _texts(root, part, each) for part, each in _PARTS})


def _texts(root: Element, part: str, each: str) -> tuple[str, ...]:
    found = [(child.text or "").strip() for child in root.iterfind(f"{_name(part)}/{_name(each)}")]
    return tuple(text for text in found if text)


def build(capabilities: XCAPCapabilities) -> bytes:
    """Return the document for *capabilities*; what every server serves is listed in any case (section 12)."""
    root = etree.Element(_name("xcap-caps"), nsmap=_NSMAP)
    listed = {
        "auids": dict.fromkeys((AUID, *capabilities.auids)),
        "extensions": dict.fromkeys(capabilities.extensions),
        "namespaces": dict.fromkeys((NAMESPACE, *capabilities.namespaces)),
    }
    for part, each in _PARTS:
        element = etree.SubElement(root, _name(part))
        for text in listed[part]:
            etree.SubElement(element, _name(each)).text = text
    return serialize(root)
