"""What must be unique, and what URIs must look like, in resource lists (RFC 4826 sections 3.4.5 and 4.4.5)."""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted_sip.documents.resource_lists import NAMESPACE
from twisted_sip.documents.xcap_error import Conflict, Exists
from twisted_sip.documents.xml import Element
from twisted_sip.xcap.node_edits import ConflictError
from twisted_sip.xcap.selectors import encode_node

#: Element -> the attribute that is unique among its siblings of the same name.
_UNIQUE = {"list": "name", "entry": "uri", "entry-ref": "ref", "external": "anchor"}

#: How many repetitions are told of: where one is costs a look at all its siblings.
_MOST_TOLD = 10


def check_lists(root: Element) -> None:
    """Refuse lists below *root* that break the rules.

    :raises ConflictError: uniqueness-failure, constraint-failure.
    """
    repeated: list[str] = []
    for parent in root.iter("*"):
        seen: set[tuple[str, str]] = set()
        for child in parent.iterchildren("*"):
            tag = str(child.tag)
            local = tag.removeprefix(f"{{{NAMESPACE}}}")
            attribute = _UNIQUE.get(local)
            value = None if attribute is None else child.get(attribute)
            if attribute is None or value is None:
                continue
            if (local, value) in seen and len(repeated) < _MOST_TOLD:
                repeated.append(f"{path_of(child)}/@{attribute}")
            seen.add((local, value))
            _check_uri(local, value)
    if repeated:
        exists = tuple(Exists(encode_node(field)) for field in repeated)
        raise ConflictError("", conflict=Conflict("uniqueness-failure", "it stands twice in one list", "", exists))


def _check_uri(local: str, value: str) -> None:
    if local == "entry-ref":
        try:
            parts = urlsplit(value.strip())
        except ValueError:
            parts = None
        if parts is None or parts.scheme or parts.netloc or value.strip().startswith("/"):
            # Section 3.4.5: a relative path reference.
            raise ConflictError("constraint-failure", "the ref of an entry-ref is a relative path")
    elif local == "external" and not is_absolute_http(value):
        raise ConflictError("constraint-failure", "the anchor of an external is an absolute HTTP URI")


def is_absolute_http(uri: str) -> bool:
    """Tell whether *uri* is an absolute http or https URI."""
    try:
        parts = urlsplit(uri.strip())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def path_of(element: Element) -> str:
    """Return the node selector of *element* by position, by name too where that is in the namespace of the root."""
    namespace = str(element.getroottree().getroot().tag).rpartition("}")[0]
    steps: list[str] = []
    node: Element | None = element
    while node is not None:
        qualified, _, local = str(node.tag).rpartition("}")
        named = qualified == namespace
        if node.getparent() is None:
            steps.append(local)
        else:
            position = 1 + sum(1 for _ in node.itersiblings(str(node.tag) if named else "*", preceding=True))
            steps.append(f"{local if named else '*'}[{position}]")
        node = node.getparent()
    return "/".join(reversed(steps))
