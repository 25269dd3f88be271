"""Checking documents against the schemas of the RFCs (RFC 4825 sections 5.8 and 8.2.5).

The schemas are those of the RFC texts, shipped beside this module. Where they leave room for other namespaces, elements
of namespaces that are not known here are let in unchecked; those of known ones have to be declared somewhere.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

from lxml import etree

from twisted_sip.documents.xml import Element
from twisted_sip.xcap.node_edits import ConflictError

#: Namespace -> the file of its schema.
SCHEMA_FILES = {
    "urn:ietf:params:xml:ns:common-policy": "common-policy.xsd",
    "urn:ietf:params:xml:ns:pres-rules": "pres-rules.xsd",
    "urn:ietf:params:xml:ns:resource-lists": "resource-lists.xsd",
    "urn:ietf:params:xml:ns:rls-services": "rls-services.xsd",
    "urn:ietf:params:xml:ns:pidf": "pidf.xsd",
    "urn:ietf:params:xml:ns:pidf:data-model": "data-model.xsd",
    "urn:ietf:params:xml:ns:pidf:rpid": "rpid.xsd",
    "urn:ietf:params:xml:ns:pidf:cipid": "cipid.xsd",
    "urn:ietf:params:xml:ns:xcap-caps": "xcap-caps.xsd",
    "urn:ietf:params:xml:ns:xcap-diff": "xcap-diff.xsd",
    "urn:ietf:params:xml:ns:xcap-error": "xcap-error.xsd",
}
#: (namespace of an element, namespace of its parent): the parent's own schema says what it is.
_DECLARED_BY_PARENT = frozenset(
    (("urn:ietf:params:xml:ns:resource-lists", "urn:ietf:params:xml:ns:rls-services"),)
)  # fmt: skip

_XS = "http://www.w3.org/2001/XMLSchema"


class Validator:
    """Checks documents against a set of schemas.

    :ivar namespaces: the namespaces that it knows.
    """

    def __init__(self, namespaces: tuple[str, ...]) -> None:
        """Read the schemas of *namespaces*, the namespace of the documents among them.

        :raises KeyError: there is no schema of one.
        """
        self.namespaces = frozenset(namespaces)
        with as_file(files("twisted_sip.xcap") / "schemas") as directory:
            imports = "".join(
                f'<xs:import namespace="{each}" schemaLocation="{SCHEMA_FILES[each]}"/>' for each in namespaces
            )
            driver = etree.fromstring(
                f'<xs:schema xmlns:xs="{_XS}">{imports}</xs:schema>', base_url=str(directory / "driver.xsd")
            )
            self._schema = etree.XMLSchema(driver)
            self._elements = {each: _global_elements(str(directory / SCHEMA_FILES[each])) for each in namespaces}

    def check(self, root: Element) -> None:
        """Refuse the document with the root element *root* where it does not follow the schemas.

        :raises ConflictError: schema-validation-error.
        """
        if not self._schema.validate(root):
            # The log grows with what a peer sends; its first line tells enough.
            log: Any = self._schema.error_log
            first = log[0]
            raise ConflictError("schema-validation-error", f"line {first.line}: {first.message[:200]}")
        for element in root.iter("*"):
            parent = element.getparent()
            name, above = etree.QName(element), None if parent is None else etree.QName(parent)
            namespace = name.namespace or ""
            if (above is not None and above.namespace == namespace) or namespace not in self.namespaces:
                continue
            if above is not None and (namespace, above.namespace) in _DECLARED_BY_PARENT:
                continue
            if name.localname not in self._elements[namespace]:
                # Section 8.2.5: a known namespace, and nothing is known of this element.
                raise ConflictError("schema-validation-error", f"no element {name.localname[:80]!r} in {namespace}")


def _global_elements(path: str) -> frozenset[str]:
    """Return the names of the elements that the schema at *path* declares for use anywhere."""
    schema = etree.parse(path).getroot()
    return frozenset(element.get("name", "") for element in schema.iterchildren(f"{{{_XS}}}element"))


@lru_cache(maxsize=32)
def validator(*namespaces: str) -> Validator:
    """Return the validator for *namespaces*; each set of schemas is read once in a process."""
    return Validator(namespaces)
