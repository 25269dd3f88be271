"""Selectors of patch operations: the part of XPath that names one node of a document (RFC 5261 sections 4.1, 4.2, 8).

The grammar is that of the schema in section 8 and nothing beyond. Finding a node costs a look at each child on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

import attrs
from lxml import etree

from twisted_sip.documents.xml import ELEMENT_LIMIT, Element
from twisted_sip.errors import DocumentError

#: The longest selector.
LENGTH_LIMIT = 1024

_NAME = r"[^\W\d][\w.\-]*+"
_QNAME = rf"(?:{_NAME}:)?{_NAME}"
_STRING = r"""(?:"[^"]*+"|'[^']*+')"""
_CONDITION = re.compile(rf"\[\s*(?:(\d{{1,9}})|(@?{_QNAME}|\.)\s*=\s*({_STRING}))\s*\]")
_STEP = re.compile(rf"({_QNAME}|\*)")
_ID = re.compile(rf"id\(\s*({_STRING})\s*\)")
_ATTRIBUTE = re.compile(rf"@({_QNAME})$")
_NAMESPACE = re.compile(rf"namespace::({_NAME})$")
_OTHER_NODE = re.compile(rf"(text|comment|processing-instruction)\(\s*({_STRING})?\s*\)\s*(?:\[\s*(\d{{1,9}})\s*\])?$")


class PatchError(DocumentError):
    """A patch operation cannot be carried out (RFC 5261 section 5.1).

    :ivar condition: the name of the error element: ``unlocated-node``.
    :ivar operation: the operation, None where it is about something else.
    """

    def __init__(self, condition: str, reason: str) -> None:
        super().__init__(f"{condition}: {reason}")
        self.condition = condition
        self.operation: Element | None = None


class Effort:
    """How many nodes may be looked at, for all selectors of a document together."""

    __slots__ = ("left",)

    def __init__(self, nodes: int = 100_000) -> None:
        """Allow a look at so many *nodes*."""
        self.left = nodes

    def spend(self, nodes: int) -> None:
        """Look at *nodes*.

        :raises PatchError: it is too much.
        """
        self.left -= nodes
        if self.left < 0:
            raise PatchError("invalid-attribute-value", "selectors take too much effort")


@attrs.frozen(slots=True)
class TextNode:
    """A text node: the one before the first child of *parent*, or the one behind a child.

    :ivar parent: the element that it is in.
    :ivar behind: the child (element, comment or instruction) that it follows, None for the first.
    """

    parent: Element
    behind: Element | None


@attrs.frozen(slots=True)
class AttributeNode:
    """An attribute, by its name as lxml has it."""

    element: Element
    name: str


@attrs.frozen(slots=True)
class NamespaceNode:
    """A declaration of a prefix on an element."""

    element: Element
    prefix: str


#: An element, comment or processing instruction (all three are lxml's), or something else.
Node: TypeAlias = "etree._Element | TextNode | AttributeNode | NamespaceNode"


def qualified(name: str, namespaces: Mapping[str | None, str], *, attribute: bool = False) -> str:
    """Return *name*, with or without prefix, as lxml has it (section 4.2.1).

    :param namespaces: what is declared in the diff document; an attribute without prefix has no namespace.
    :raises PatchError: the prefix is not declared.
    """
    prefix, colon, local = name.rpartition(":")
    if not colon:
        default = None if attribute else namespaces.get(None)
        return f"{{{default}}}{local}" if default else local
    uri = namespaces.get(prefix)
    if uri is None:
        raise PatchError("invalid-namespace-prefix", f"prefix {prefix[:40]!a} is not declared")
    return f"{{{uri}}}{local}"


def _string_value(element: Element) -> str:
    if not len(element):
        return element.text or ""
    return str(etree.tostring(element, method="text", encoding="unicode", with_tail=False))


class _Walk:
    """Follows one selector from the root of a document."""

    def __init__(self, root: Element, text: str, namespaces: Mapping[str | None, str], effort: Effort) -> None:
        self.effort = effort
        self.root = root
        self.text = text
        self.position = 0
        self.namespaces = namespaces

    def malformed(self) -> PatchError:
        return PatchError("invalid-attribute-value", f"selector {self.text[:80]!a} is not understood")

    def locate(self) -> Node:
        found = self.start()
        while self.position < len(self.text):
            if not self.text.startswith("/", self.position):
                raise self.malformed()
            self.position += 1
            last = self.last(found)
            if last is not None:
                return last
            found = self.step([child for element in found for child in element.iterchildren("*")], found)
        return self.only(found)

    def only(self, found: list[Element]) -> Element:
        if len(found) != 1:
            raise PatchError("unlocated-node", f"{len(found)} nodes are at {self.text[:80]!a}")
        return found[0]

    def start(self) -> list[Element]:
        if self.text.startswith("/"):
            self.position = 1
        if by_id := _ID.match(self.text, self.position):
            self.position = by_id.end()
            wanted = by_id[1][1:-1]
            # The attributes of type ID in the schemas of presence are called "id" (RFC 5262 section 3).
            self.effort.spend(ELEMENT_LIMIT)
            names = ("id", "{http://www.w3.org/XML/1998/namespace}id")
            return [each for each in self.root.iter("*") if any(each.get(name) == wanted for name in names)]
        return self.step([self.root], [])

    def step(self, candidates: list[Element], parents: list[Element]) -> list[Element]:
        found = _STEP.match(self.text, self.position)
        if found is None:
            raise self.malformed()
        self.position = found.end()
        self.effort.spend(len(candidates))
        if found[1] != "*":
            name = qualified(found[1], self.namespaces)
            candidates = [each for each in candidates if each.tag == name]
        while condition := _CONDITION.match(self.text, self.position):
            self.position = condition.end()
            self.effort.spend(len(candidates))
            candidates = self.filtered(candidates, condition, len(parents) <= 1)
        return candidates

    def filtered(self, candidates: list[Element], condition: re.Match[str], siblings: bool) -> list[Element]:
        number, name, quoted = condition.groups()
        if number is not None and siblings:
            return candidates[int(number) - 1 : int(number)] if int(number) else []
        if number is not None:
            # The position counts among the children of each parent.
            counts: dict[Element | None, int] = {}
            kept: list[Element] = []
            for each in candidates:
                parent = each.getparent()
                counts[parent] = counts.get(parent, 0) + 1
                if counts[parent] == int(number):
                    kept.append(each)
            return kept
        value = quoted[1:-1]
        if name == ".":
            return [each for each in candidates if _string_value(each) == value]
        if name.startswith("@"):
            attribute = qualified(name[1:], self.namespaces, attribute=True)
            return [each for each in candidates if each.get(attribute) == value]
        child_name = qualified(name, self.namespaces)
        return [
            each for each in candidates if any(_string_value(child) == value for child in each.iterchildren(child_name))
        ]

    def last(self, parents: list[Element]) -> Node | None:
        """Return what a last step names that is no element, None if it is one."""
        if found := _ATTRIBUTE.match(self.text, self.position):
            element = self.only(parents)
            name = qualified(found[1], self.namespaces, attribute=True)
            if element.get(name) is None:
                raise PatchError("unlocated-node", f"no attribute is at {self.text[:80]!a}")
            return AttributeNode(element, name)
        if found := _NAMESPACE.match(self.text, self.position):
            element = self.only(parents)
            above = element.getparent()
            prefix = found[1]
            inherited = above.nsmap if above is not None else {}
            if prefix not in element.nsmap or inherited.get(prefix) == element.nsmap[prefix]:
                raise PatchError("unlocated-node", f"no declaration is at {self.text[:80]!a}")
            return NamespaceNode(element, prefix)
        found = _OTHER_NODE.match(self.text, self.position)
        if found is None:
            return None
        kind, quoted, number = found.groups()
        if quoted is not None and kind != "processing-instruction":
            raise self.malformed()
        nodes = self.others(parents, kind, quoted[1:-1] if quoted else None)
        if number is not None:
            nodes = nodes[int(number) - 1 : int(number)] if int(number) > 0 else []
        if len(nodes) != 1:
            raise PatchError("unlocated-node", f"{len(nodes)} nodes are at {self.text[:80]!a}")
        return nodes[0]

    def others(self, parents: list[Element], kind: str, target: str | None) -> list[Node]:
        parent = self.only(parents)
        if kind == "text":
            made: list[Node] = [TextNode(parent, None)] if parent.text else []
            return made + [TextNode(parent, child) for child in parent if child.tail]
        if kind == "comment":
            return list(parent.iterchildren(tag=etree.Comment))
        instructions = list(parent.iterchildren(tag=etree.ProcessingInstruction))
        return [each for each in instructions if target is None or getattr(each, "target", None) == target]


def locate(root: Element, selector: str, namespaces: Mapping[str | None, str], effort: Effort | None = None) -> Node:
    """Return the one node of the document of *root* that *selector* names.

    :param namespaces: what is declared where the selector stands, by prefix; None is the default namespace.
    :param effort: what may be spent on it.
    :raises PatchError: the selector is not understood, or names no node, or several.
    """
    if len(selector) > LENGTH_LIMIT:
        raise PatchError("invalid-attribute-value", "selector is too long")
    return _Walk(root, selector.strip(), namespaces, effort or Effort()).locate()
