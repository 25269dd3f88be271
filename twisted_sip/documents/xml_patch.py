"""Patch operations: <add>, <replace> and <remove> carried out on a document (RFC 5261).

The operations stand in whatever namespace the diff format has. A document is changed in place; after an error it is to
be thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Final, TypeAlias

from lxml import etree

from twisted_sip.documents.xml import ELEMENT_LIMIT, Element, admit_names, attributes_of, know, make_element, serialize
from twisted_sip.documents.xml_selector import (
    AttributeNode,
    Effort,
    NamespaceNode,
    Node,
    PatchError,
    TextNode,
    locate,
    qualified,
)

#: The namespace of the error document (section 5.1).
ERROR_NAMESPACE: Final = "urn:ietf:params:xml:ns:patch-ops-error"
#: The most operations of one document.
OPERATION_LIMIT: Final = 128

know("add", "replace", "remove", "sel", "pos", "type", "ws")

#: What an operation brings: texts and nodes.
_Content: TypeAlias = "list[str | Element]"


def apply_patch(root: Element, operations: Iterable[Element], operation_limit: int = OPERATION_LIMIT) -> Element:
    """Carry out *operations* on the document of *root*, and return its root, which may be another then.

    :param operations: elements whose local names are ``add``, ``replace`` and ``remove``.
    :param operation_limit: the most operations.
    :raises PatchError: one of them cannot be carried out; the document is spoilt then.
    """
    effort = Effort()
    for number, operation in enumerate(operations):
        if number >= operation_limit:
            raise PatchError("invalid-diff-format", f"more than {operation_limit} operations")
        perform = _OPERATIONS.get(etree.QName(operation).localname)
        if perform is None:
            raise PatchError("invalid-patch-directive", f"no operation is called {operation.tag[-40:]!a}")
        try:
            root = perform(root, operation, effort)
        except PatchError as error:
            error.operation = operation
            raise
    if sum(1 for _ in root.iter()) > ELEMENT_LIMIT:
        raise PatchError("invalid-patch-directive", "the document has become too big")
    return root


def patch_error_document(error: PatchError) -> bytes:
    """Return the error document for *error* (section 5.1, application/patch-ops-error+xml)."""
    root = make_element(f"{{{ERROR_NAMESPACE}}}patch-ops-error", namespaces={None: ERROR_NAMESPACE})
    element = etree.SubElement(root, f"{{{ERROR_NAMESPACE}}}{error.condition}", {"phrase": error.reason})
    if error.operation is not None:
        element.append(deepcopy(error.operation))
    return serialize(root)


def _text_behind(parent: Element, node: Element | None) -> str:
    """Return the text that follows *node* in *parent*; None stands for the beginning."""
    return (parent.text if node is None else node.tail) or ""


def _set_text_behind(parent: Element, node: Element | None, text: str) -> None:
    if node is None:
        parent.text = text or None
    else:
        node.tail = text or None


def _insert(parent: Element, behind: Element | None, content: _Content, *, after_text: bool) -> None:
    """Insert *content* behind a child of *parent* (None: at the beginning); texts beside each other become one.

    :param after_text: behind the text that follows the child, too (section 4.3.5).
    """
    slot = _text_behind(parent, behind)
    _set_text_behind(parent, behind, "")
    text, rest = (slot, "") if after_text else ("", slot)
    last = behind
    for part in content:
        if isinstance(part, str):
            text += part
            continue
        if last is None:
            parent.insert(0, part)
        else:
            last.addnext(part)
        _set_text_behind(parent, last, text)
        last, text = part, ""
    _set_text_behind(parent, last, text + rest)


def _brought(operation: Element) -> _Content:
    """Return copies of what is in *operation*."""
    made: _Content = [operation.text] if operation.text else []
    for child in operation:
        copied = deepcopy(child)
        copied.tail = None
        made.append(copied)
        if child.tail:
            made.append(child.tail)
    return made


def _text_only(operation: Element) -> str:
    if len(operation):
        raise PatchError("invalid-node-types", "a text is required")
    return operation.text or ""


def _selected(root: Element, operation: Element, effort: Effort) -> Node:
    return locate(root, operation.get("sel", ""), operation.nsmap, effort)


def _parent(node: Element) -> Element:
    parent = node.getparent()
    if parent is None:
        raise PatchError("invalid-root-element-operation", "the root cannot be removed, and has no siblings")
    return parent


def _add(root: Element, operation: Element, effort: Effort) -> Element:
    """Section 4.3."""
    node = _selected(root, operation, effort)
    kind, position = operation.get("type"), operation.get("pos")
    if kind is not None:
        if not isinstance(node, etree._Element):
            raise PatchError("invalid-node-types", "an attribute or a namespace is added to an element")
        return _add_named(root, node, kind, operation)
    new = _brought(operation)
    if position in (None, "prepend"):
        if not isinstance(node, etree._Element) or not isinstance(node.tag, str):
            raise PatchError("invalid-node-types", "children are added to an element")
        at_end = position is None
        _insert(node, node[-1] if at_end and len(node) else None, new, after_text=at_end)
    elif position not in ("before", "after"):
        raise PatchError("invalid-attribute-value", f"pos is {position!a}")
    elif isinstance(node, TextNode):
        _insert(node.parent, node.behind, new, after_text=position == "after")
    elif not isinstance(node, etree._Element):
        raise PatchError("invalid-node-types", "an attribute has no siblings")
    elif position == "after":
        _insert(_parent(node), node, new, after_text=False)
    else:
        _insert(_parent(node), node.getprevious(), new, after_text=True)
    return root


def _add_named(root: Element, element: Element, kind: str, operation: Element) -> Element:
    """Sections 4.3.2 and 4.3.3."""
    value = _text_only(operation)
    try:
        if kind.startswith("namespace::"):
            return _redeclared(root, element, {**element.nsmap, kind[11:]: value})
        if kind.startswith("@"):
            name = qualified(kind[1:], operation.nsmap, attribute=True)
            if element.get(name) is not None:
                raise PatchError("invalid-patch-directive", "the attribute is there already")
            admit_names(kind[1:])
            element.set(name, value)
            return root
    except ValueError:
        pass
    raise PatchError("invalid-attribute-value", f"type is {kind[:80]!a}")


def _replace(root: Element, operation: Element, effort: Effort) -> Element:
    """Section 4.4."""
    node = _selected(root, operation, effort)
    if isinstance(node, AttributeNode):
        node.element.set(node.name, _text_only(operation))
    elif isinstance(node, NamespaceNode):
        old, new = node.element.nsmap[node.prefix], _text_only(operation)
        if not new:
            raise PatchError("invalid-namespace-uri", "a prefix cannot stand for no namespace")
        return _redeclared(root, node.element, {**node.element.nsmap, node.prefix: new}, old, new)
    elif isinstance(node, TextNode):
        _set_text_behind(node.parent, node.behind, _text_only(operation))
    else:
        nodes = [part for part in _brought(operation) if not isinstance(part, str)]
        if len(nodes) != 1 or _kind(nodes[0]) != _kind(node):
            raise PatchError("invalid-node-types", "one node of the same type is required")
        if node is root:
            return nodes[0]
        nodes[0].tail = node.tail
        _parent(node).replace(node, nodes[0])
    return root


def _kind(node: Element) -> object:
    return "element" if isinstance(node.tag, str) else node.tag


def _remove(root: Element, operation: Element, effort: Effort) -> Element:
    """Section 4.5."""
    node = _selected(root, operation, effort)
    space = operation.get("ws")
    if space not in (None, "before", "after", "both"):
        raise PatchError("invalid-attribute-value", f"ws is {space!a}")
    if isinstance(node, etree._Element):
        parent, before = _parent(node), node.getprevious()
        text, tail = _text_behind(parent, before), node.tail or ""
        if space in ("before", "both"):
            text = _without_space(text)
        if space in ("after", "both"):
            tail = _without_space(tail)
        node.tail = None
        parent.remove(node)
        # Two texts that meet become one (section 4.5.6).
        _set_text_behind(parent, before, text + tail)
        return root
    if space is not None:
        raise PatchError("invalid-attribute-value", "ws goes with elements, comments and instructions")
    if isinstance(node, AttributeNode):
        del node.element.attrib[node.name]
    elif isinstance(node, NamespaceNode):
        return _undeclared(root, node)
    else:
        _set_text_behind(node.parent, node.behind, "")
    return root


def _without_space(text: str) -> str:
    if not text or text.strip(" \t\r\n"):
        raise PatchError("invalid-whitespace-directive", "there is no white space beside the node")
    return ""


def _undeclared(root: Element, node: NamespaceNode) -> Element:
    """Section 4.5.3: nothing may use the prefix."""
    uri = node.element.nsmap[node.prefix]
    for each in node.element.iter("*"):
        used = each.prefix == node.prefix and etree.QName(each).namespace == uri
        if used or any(str(name).startswith(f"{{{uri}}}") for name in each.attrib):
            raise PatchError("invalid-namespace-prefix", f"prefix {node.prefix[:40]!a} is in use")
    return _redeclared(
        root, node.element, {prefix: uri for prefix, uri in node.element.nsmap.items() if prefix != node.prefix}
    )


def _redeclared(
    root: Element, element: Element, namespaces: dict[str | None, str], old: str = "", new: str = ""
) -> Element:
    """Put a copy in the place of *element* that declares *namespaces*; what is in namespace *old* is in *new* then.

    :raises ValueError: a prefix or a namespace is none.
    """

    def renamed(name: str) -> str:
        return f"{{{new}}}{name[len(old) + 2 :]}" if old and name.startswith(f"{{{old}}}") else name

    made = make_element(renamed(element.tag), namespaces=namespaces)
    for name, value in attributes_of(element).items():
        made.set(renamed(name), value)
    if old:
        for each in element.iterdescendants("*"):
            each.tag = renamed(each.tag)
            for name, value in attributes_of(each).items():
                if renamed(name) != name:
                    del each.attrib[name]
                    each.set(renamed(name), value)
    made.text = element.text
    made.extend(list(element))
    parent = element.getparent()
    if parent is None:
        return made
    made.tail = element.tail
    parent.replace(element, made)
    return root


_OPERATIONS: Final[dict[str, Callable[[Element, Element, Effort], Element]]] = {
    "add": _add,
    "replace": _replace,
    "remove": _remove,
}
