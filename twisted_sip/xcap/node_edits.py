"""Finding, putting in, replacing and taking out nodes of a document's text (RFC 4825 sections 6.3, 8.2 to 8.4, 10).

Each change is tried and looked at: what was put must be found at the same selector, what was deleted must leave nothing
there, or the change is refused (``cannot-insert``, ``cannot-delete``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from twisted_sip.documents.xcap_error import Conflict
from twisted_sip.documents.xml import parse_xml
from twisted_sip.errors import DocumentError, SIPError
from twisted_sip.xcap.selectors import NodeSelector, Step
from twisted_sip.xcap.source_tree import XML_NAMESPACE, Attribute, Node, attribute_value, read_tree

#: The most bytes and elements of a document that is edited.
SIZE_LIMIT = 1 << 20
ELEMENT_LIMIT = 20_000

_ATT_VALUE = re.compile(r""""(?:[^<&"]|&[^<&;"]*;)*"|'(?:[^<&']|&[^<&;']*;)*'""")
_KNOWN_REFERENCE = re.compile(r"&(?!(?:#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);)")
_TEXT_OUTSIDE = re.compile(r"[^ \t\r\n]")


class ConflictError(SIPError):
    """The request conflicts with the document (409).

    :ivar conflict: what the body of the answer tells.
    """

    def __init__(self, condition: str, phrase: str = "", *, conflict: Conflict | None = None) -> None:
        self.conflict = conflict or Conflict(condition, phrase)
        super().__init__(f"{self.conflict.condition}: {self.conflict.phrase}")


class MissingParent(ConflictError):
    """What should hold the node is not there.

    :ivar found: how many steps of the selector lead somewhere.
    """

    def __init__(self, found: int) -> None:
        super().__init__("no-parent", "the element into which the node should go does not exist")
        self.found = found


# -- finding ---------------------------------------------------------------------


def matching(candidates: Sequence[Node], step: Step) -> list[Node]:
    """Return those of *candidates*, siblings in order, that *step* selects (section 6.3)."""
    found = [node for node in candidates if _is_named(node, step)]
    if step.position is not None:
        found = found[step.position - 1 : step.position] if step.position else []
    if step.attribute is not None:
        found = [node for node in found if _has_attribute(node, step)]
    return found


def _is_named(node: Node, step: Step) -> bool:
    return step.name is None or (node.local == step.name.local and node.namespace == step.name.namespace)


def _has_attribute(node: Node, step: Step) -> bool:
    assert step.attribute is not None
    found = node.attribute(step.attribute.namespace, step.attribute.local)
    return found is not None and found.value == step.value


def walk(root: Node, steps: Sequence[Step]) -> tuple[Node | None, int]:
    """Return the element that *steps* select, None where one of them does not select exactly one; and how many do."""
    node: Node | None = None
    children: Sequence[Node] = (root,)
    for count, step in enumerate(steps):
        found = matching(children, step)
        if len(found) != 1:
            return None, count
        node = found[0]
        children = node.children
    return node, len(steps)


def find(root: Node, selector: NodeSelector) -> Node | Attribute | None:
    """Return the element or attribute that *selector* selects, None if there is none or more than one."""
    node, _ = walk(root, selector.steps)
    if node is None or selector.attribute is None:
        return node
    return node.attribute(selector.attribute.namespace, selector.attribute.local)


def fetch(text: str, selector: NodeSelector) -> str | None:
    """Return the node of *text* that *selector* selects, as it stands there; None if there is none (section 8.3).

    An attribute comes with its quotes; namespace bindings come as an element (section 10).
    """
    found = find(read_tree(text), selector)
    if found is None:
        return None
    if isinstance(found, Attribute):
        return text[found.value_start : found.end]
    if selector.namespaces:
        declarations = "".join(
            f' xmlns{":" if prefix else ""}{prefix}="{_escaped(namespace)}"'
            for prefix, namespace in sorted(found.bindings().items())
        )
        return f"<{found.name}{declarations}/>"
    return text[found.start : found.end]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


# -- putting in -------------------------------------------------------------------


@attrs.frozen(slots=True)
class Edit:
    """A document with a node put in or taken out.

    :ivar text: the document now.
    :ivar created: whether the node was not there before.
    """

    text: str
    created: bool = False


def put_element(text: str, selector: NodeSelector, fragment: str) -> Edit:
    """Return *text* with the element *fragment* at *selector* (sections 8.2.1 to 8.2.4).

    :raises ConflictError: no-parent, not-xml-frag, cannot-insert.
    """
    root = read_tree(text)
    parent, children = _parent(root, selector)
    fragment = fragment.strip(" \t\r\n")
    _check_fragment(fragment, parent)
    step = selector.steps[-1]
    found = matching(children, step)
    if len(found) > 1:
        raise ConflictError("cannot-insert", "the selector selects several elements")
    if found:
        start = found[0].start
        made = text[:start] + fragment + text[found[0].end :]
    elif parent is None:
        raise ConflictError("cannot-insert", "a document has one root element")
    else:
        made, start = _insert(text, parent, step, fragment)
    check_document(made)
    new = find(read_tree(made), selector)
    if not isinstance(new, Node) or (new.start, new.end) != (start, start + len(fragment)):
        # Section 7: GET(PUT(x)) == x.
        raise ConflictError("cannot-insert", "the selector would not select this element")
    return Edit(made, created=not found)


def _parent(root: Node, selector: NodeSelector) -> tuple[Node | None, Sequence[Node]]:
    """Return the element in which the last step selects, None for the document itself, and what it holds."""
    steps = selector.steps[:-1]
    if not steps:
        return None, (root,)
    parent, count = walk(root, steps)
    if parent is None:
        raise MissingParent(count)
    return parent, parent.children


def _check_fragment(fragment: str, parent: Node | None) -> None:
    """Refuse what is not one well-formed element where *parent* is (section 8.2.2)."""
    bindings = {} if parent is None else parent.bindings()
    declarations = "".join(
        f' xmlns{":" if prefix else ""}{prefix}="{_escaped(namespace)}"' for prefix, namespace in bindings.items()
    )
    try:
        around = parse_xml(
            f"<around{declarations}>{fragment}</around>".encode(),
            limit=SIZE_LIMIT,
            elements=ELEMENT_LIMIT,
            depth=65,
        )
    except DocumentError as error:
        if error.too_large:
            raise
        raise ConflictError("not-xml-frag", error.reason) from None
    if len(around) != 1 or not isinstance(around[0].tag, str) or not fragment.endswith(">"):
        raise ConflictError("not-xml-frag", "the body is not one element")
    if not fragment.startswith("<") or _TEXT_OUTSIDE.search((around.text or "") + (around[0].tail or "")):
        raise ConflictError("not-xml-frag", "the body is not one element")


def _insert(text: str, parent: Node, step: Step, fragment: str) -> tuple[str, int]:
    """Return *text* with *fragment* in *parent*, and where it begins (section 8.2.3)."""
    same = [node for node in parent.children if _is_named(node, step)]
    place: int | None = None
    if step.position is None:
        # "Earliest last" behind those of its name; a wildcard goes behind everything.
        if step.name is not None and same:
            place = same[-1].end
    elif step.position == 1:
        if same:
            place = same[0].start
    elif 1 < step.position <= len(same) + 1:
        # "Earliest nth".
        place = same[step.position - 2].end
    else:
        raise ConflictError("cannot-insert", "there are not so many elements before that position")
    if place is not None:
        return text[:place] + fragment + text[place:], place
    if not parent.is_empty_tag:
        # The last of all: behind comments and white space too.
        return text[: parent.content_end] + fragment + text[parent.content_end :], parent.content_end
    opened = text[: parent.end - 2].rstrip(" \t\r\n") + ">"
    return f"{opened}{fragment}</{parent.name}>{text[parent.end :]}", len(opened)


def put_attribute(text: str, selector: NodeSelector, literal: str) -> Edit:
    """Return *text* with the attribute at *selector* set to *literal*, an AttValue with its quotes.

    :raises ConflictError: no-parent, not-xml-att-value, cannot-insert.
    """
    assert selector.attribute is not None
    literal = literal.strip(" \t\r\n")
    if _ATT_VALUE.fullmatch(literal) is None or _KNOWN_REFERENCE.search(literal) is not None:
        raise ConflictError("not-xml-att-value", "the body is no quoted attribute value")
    try:
        value = attribute_value(literal)
    except ValueError as error:
        raise ConflictError("not-xml-att-value", str(error)) from None
    node, count = walk(read_tree(text), selector.steps)
    if node is None:
        raise MissingParent(count)
    found = node.attribute(selector.attribute.namespace, selector.attribute.local)
    if found is not None:
        made = text[: found.value_start] + literal + text[found.end :]
    else:
        name, declaration = _attribute_name(node, selector)
        made = f"{text[: node.name_end]}{declaration} {name}={literal}{text[node.name_end :]}"
    try:
        check_document(made)
    except ConflictError as error:
        raise ConflictError("not-xml-att-value", error.conflict.phrase) from None
    new = find(read_tree(made), selector)
    if not isinstance(new, Attribute) or new.value != value:
        # Section 7.7: the element is selected by the very attribute that changes.
        raise ConflictError("cannot-insert", "the selector would not select this attribute")
    return Edit(made, created=found is None)


def _attribute_name(node: Node, selector: NodeSelector) -> tuple[str, str]:
    """Return the name for a new attribute of *node*, and the declaration that it needs, perhaps empty."""
    assert selector.attribute is not None
    namespace, local = selector.attribute.namespace, selector.attribute.local
    if not namespace:
        return local, ""
    if namespace == XML_NAMESPACE:
        return f"xml:{local}", ""
    bindings = node.bindings()
    prefix = selector.attribute_name.partition(":")[0]
    if bindings.get(prefix) == namespace:
        return f"{prefix}:{local}", ""
    for known, bound in bindings.items():
        if known and bound == namespace:
            return f"{known}:{local}", ""
    while prefix in bindings:
        prefix += "_"
    return f"{prefix}:{local}", f' xmlns:{prefix}="{_escaped(namespace)}"'


# -- taking out ---------------------------------------------------------------------


def delete_node(text: str, selector: NodeSelector) -> Edit | None:
    """Return *text* without the node at *selector*, None if there is none (section 8.4).

    :raises ConflictError: cannot-delete, schema-validation-error.
    """
    found = find(read_tree(text), selector)
    if found is None:
        return None
    if isinstance(found, Node) and found.parent is None:
        raise ConflictError("schema-validation-error", "a document has a root element")
    made = text[: found.start] + text[found.end :]
    check_document(made)
    root = read_tree(made)
    if isinstance(found, Attribute):
        return Edit(made)
    _, children = _parent(root, selector)
    if matching(children, selector.steps[-1]):
        # Section 7.5: nothing may be left at the selector.
        raise ConflictError("cannot-delete", "the selector would select another element")
    return Edit(made)


def check_document(text: str) -> None:
    """Refuse a document that is no longer well-formed, or beyond a limit.

    :raises ConflictError: it is not well-formed.
    :raises DocumentError: it is beyond a limit.
    """
    try:
        parse_xml(text.encode(), limit=SIZE_LIMIT, elements=ELEMENT_LIMIT)
    except DocumentError as error:
        if error.too_large:
            raise
        raise ConflictError("not-well-formed", error.reason) from None
