"""Why an XCAP server did not do what it was asked for (RFC 4825 section 11, application/xcap-error+xml)."""

from __future__ import annotations

from typing import Any, Final

import attrs
from lxml import etree

from twisted_sip.documents.xml import parse_xml, serialize
from twisted_sip.errors import LocalProtocolError

MEDIA_TYPE = "application/xcap-error+xml"
NAMESPACE = "urn:ietf:params:xml:ns:xcap-error"
_NSMAP: Any = {None: NAMESPACE}

#: The error conditions (section 11.1).
CONDITIONS: Final = frozenset(
    (
        "not-well-formed",
        "not-xml-frag",
        "no-parent",
        "schema-validation-error",
        "not-xml-att-value",
        "cannot-insert",
        "cannot-delete",
        "uniqueness-failure",
        "constraint-failure",
        "extension",
        "not-utf-8",
    )
)


@attrs.frozen(slots=True)
class Exists:
    """Something that has to be unique and is not.

    :ivar field: the node selector of it, percent-encoded, relative to the document.
    :ivar alternatives: values that would be.
    """

    field: str
    alternatives: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Conflict:
    """Why a request was answered 409.

    :ivar condition: one of :data:`CONDITIONS`.
    :ivar phrase: text for people.
    :ivar ancestor: of ``no-parent``: the URI of the closest parent that is there, or empty.
    :ivar exists: of ``uniqueness-failure``: what is not unique.
    """

    condition: str
    phrase: str = ""
    ancestor: str = ""
    exists: tuple[Exists, ...] = ()


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def parse(body: bytes) -> Conflict:
    """Return the conflict in *body*; a condition that is not known is ``extension`` (section 11.1).

    :raises DocumentError: it is no XML, no such document, or beyond a limit.
    """
    root = parse_xml(body, root=(NAMESPACE, "xcap-error"))
    element = next(root.iterchildren("*"), None)
    local = "" if element is None else str(element.tag).removeprefix(f"{{{NAMESPACE}}}")
    if element is None or local not in CONDITIONS:
        return Conflict("extension")
    exists = [
        Exists(each.get("field", ""), tuple((value.text or "") for value in each.iterchildren(_name("alt-value"))))
        for each in element.iterchildren(_name("exists"))
    ]
    ancestor = (element.findtext(_name("ancestor")) or "").strip()
    return Conflict(local, element.get("phrase", ""), ancestor, tuple(exists))


def build(conflict: Conflict) -> bytes:
    """Return the document for *conflict*; characters of its phrase that XML does not know are left out.

    :raises LocalProtocolError: the condition is unknown.
    """
    if conflict.condition not in CONDITIONS:
        raise LocalProtocolError(f"{conflict.condition!r} is no error condition of XCAP")
    root = etree.Element(_name("xcap-error"), nsmap=_NSMAP)
    element = etree.SubElement(root, _name(conflict.condition))
    if conflict.phrase and conflict.condition != "extension":
        element.set("phrase", _printable(conflict.phrase))
    if conflict.ancestor and conflict.condition == "no-parent":
        etree.SubElement(element, _name("ancestor")).text = _printable(conflict.ancestor)
    for each in conflict.exists:
        child = etree.SubElement(element, _name("exists"), field=_printable(each.field))
        for value in each.alternatives:
            etree.SubElement(child, _name("alt-value")).text = _printable(value)
    return serialize(root)


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
