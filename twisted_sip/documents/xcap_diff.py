"""Changes of XCAP documents (RFC 5874, application/xcap-diff+xml).

Which documents changed and their entity-tags before and after. What changed in them is not made here, and not applied:
patches (RFC 5261) that a peer sends make the client fetch the document, as it may do in any case (figure 1).
"""

from __future__ import annotations

from typing import Any

import attrs
from lxml import etree

from twisted_sip.documents.xml import Element, parse_xml, serialize
from twisted_sip.errors import DocumentError, LocalProtocolError

MEDIA_TYPE = "application/xcap-diff+xml"
NAMESPACE = "urn:ietf:params:xml:ns:xcap-diff"
# The elements of other documents in it have default namespaces of their own.
_NSMAP: Any = {"d": NAMESPACE}

#: The most bytes and elements of a document.
SIZE_LIMIT = 1_048_576
ELEMENT_LIMIT = 20_000


@attrs.frozen(slots=True, kw_only=True)
class DocumentDiff:
    """A document that changed, or is there (section 3, figure 1).

    :ivar sel: its selector below the XCAP root, percent-encoded.
    :ivar previous_etag: the entity-tag before, empty where there was none or it does not matter.
    :ivar new_etag: the entity-tag now, empty if it was removed.
    :ivar body_not_changed: only the entity-tag is another.
    :ivar patched: patches stood in it.
    """

    sel: str
    previous_etag: str = ""
    new_etag: str = ""
    body_not_changed: bool = False
    patched: bool = False


@attrs.frozen(slots=True, kw_only=True)
class ElementDiff:
    """An element as it is now.

    :ivar sel: its selector, percent-encoded.
    :ivar exists: whether there is one.
    :ivar content: the element as it stands in its document, empty where it was left out.
    :ivar namespaces: (prefix, namespace) of what is in scope there, the default namespace under an empty prefix.
    """

    sel: str
    exists: bool = True
    content: bytes = b""
    namespaces: tuple[tuple[str, str], ...] = ()


@attrs.frozen(slots=True, kw_only=True)
class AttributeDiff:
    """An attribute as it is now.

    :ivar sel: its selector, percent-encoded.
    :ivar exists: whether there is one.
    :ivar value: its value.
    """

    sel: str
    exists: bool = True
    value: str = ""


@attrs.frozen(slots=True, kw_only=True)
class XCAPDiff:
    """A document of differences.

    :ivar xcap_root: the XCAP root URI that the selectors are relative to.
    :ivar diffs: what changed, in order.
    """

    xcap_root: str
    diffs: tuple[DocumentDiff | ElementDiff | AttributeDiff, ...] = ()


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def parse(body: bytes) -> XCAPDiff:
    """Return what *body* tells; what has no selector, and what is unknown, is left out.

    :raises DocumentError: it is no XML, no such document, or beyond a limit.
    """
    root = parse_xml(body, root=(NAMESPACE, "xcap-diff"), limit=SIZE_LIMIT, elements=ELEMENT_LIMIT)
    diffs = [_diff(child) for child in root.iterchildren("*") if child.get("sel")]
    return XCAPDiff(xcap_root=root.get("xcap-root", ""), diffs=tuple(diff for diff in diffs if diff is not None))


def _diff(element: Element) -> DocumentDiff | ElementDiff | AttributeDiff | None:
    sel = "".join(element.get("sel", "").split())
    exists = element.get("exists", "true").strip() not in ("false", "0")
    if element.tag == _name("document"):
        inner = {child.tag for child in element.iterchildren("*")}
        return DocumentDiff(
            sel=sel,
            previous_etag=element.get("previous-etag", ""),
            new_etag=element.get("new-etag", ""),
            body_not_changed=_name("body-not-changed") in inner,
            patched=bool(inner & {_name("add"), _name("replace"), _name("remove")}),
        )
    if element.tag == _name("element"):
        child = next(element.iterchildren("*"), None)
        content = b"" if child is None else etree.tostring(child, encoding="UTF-8", with_tail=False)
        return ElementDiff(sel=sel, exists=exists, content=content)
    if element.tag == _name("attribute"):
        return AttributeDiff(sel=sel, exists=exists, value=element.text or "")
    return None


def build(diff: XCAPDiff) -> bytes:
    """Return the document for *diff*.

    :raises LocalProtocolError: a text cannot stand in XML, or the content of an element is none.
    """
    root = etree.Element(_name("xcap-diff"), nsmap=_NSMAP)
    try:
        root.set("xcap-root", diff.xcap_root)
        for each in diff.diffs:
            _add(root, each)
    except (ValueError, DocumentError) as error:
        raise LocalProtocolError(f"this cannot stand in XML: {error}") from error
    return serialize(root)


def _add(root: Element, diff: DocumentDiff | ElementDiff | AttributeDiff) -> None:
    if isinstance(diff, DocumentDiff):
        element = etree.SubElement(root, _name("document"), sel=diff.sel)
        if diff.new_etag:
            element.set("new-etag", diff.new_etag)
        if diff.previous_etag:
            element.set("previous-etag", diff.previous_etag)
        if diff.body_not_changed:
            etree.SubElement(element, _name("body-not-changed"))
        return
    local = "element" if isinstance(diff, ElementDiff) else "attribute"
    element = etree.SubElement(root, _name(local), sel=diff.sel)
    if not diff.exists:
        element.set("exists", "false")
    elif isinstance(diff, AttributeDiff):
        element.text = diff.value
    elif diff.content:
        for child in _around(diff):
            element.append(child)


def _around(diff: ElementDiff) -> Element:
    """Return an element that has what is in scope of *diff* and its content."""
    around = etree.Element("around", nsmap={prefix or None: namespace for prefix, namespace in diff.namespaces})  # type: ignore[misc]
    opened = etree.tostring(around, encoding="UTF-8").removesuffix(b"/>") + b">"
    return parse_xml(opened + diff.content + b"</around>", limit=SIZE_LIMIT, elements=ELEMENT_LIMIT, depth=65)
