"""Where the elements and attributes of a document stand in its text.

A server gives back what was put, character by character: white space, comments, prefixes and redundant declarations
(RFC 4825 sections 6.3 and 8.2.3). So nodes are found, put in and taken out in the text itself, and this tells where.
The text has been through :func:`~twisted_sip.documents.xml.parse_xml` before: it is well-formed and has no doctype.
"""

from __future__ import annotations

import re

XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"

_MARKUP = re.compile(
    r"""<!--.*?--> | <!\[CDATA\[.*?\]\]> | <\?.*?\?> | (?P<end></[^>]*+>)
      | (?P<start><(?:[^>"']++|"[^"]*+"|'[^']*+')*+>)""",
    re.DOTALL | re.VERBOSE,
)
_NAME = re.compile(r"<([^\s/>]+)")
_ATTRIBUTE = re.compile(r"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")
_REFERENCE = re.compile(r"&(?:#([0-9]+)|#x([0-9A-Fa-f]+)|(amp|lt|gt|quot|apos));")
_SPACE = re.compile(r"\r\n|[\t\r\n]")
_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def attribute_value(literal: str) -> str:
    """Return what a quoted AttValue of XML means: references resolved, white space made spaces (XML 1.0 3.3.3).

    :raises ValueError: a reference is to no character.
    """
    text = literal[1:-1]
    if not (text.isprintable() and "&" not in text):
        text = _REFERENCE.sub(_resolved, _SPACE.sub(" ", text))
    return text


def _resolved(found: re.Match[str]) -> str:
    decimal, hexadecimal, name = found.groups()
    if name:
        return _PREDEFINED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000 or (number < 32 and number not in (9, 10, 13)):
        raise ValueError("a reference to no character")
    return chr(number)


class Attribute:
    """An attribute.

    :ivar namespace: of its name, or empty.
    :ivar local: of its name.
    :ivar value: what it means.
    :ivar start: where it begins, the white space before it included.
    :ivar value_start: where its value begins, with the quote.
    :ivar end: behind its closing quote.
    """

    __slots__ = ("end", "local", "namespace", "start", "value", "value_start")

    def __init__(self, namespace: str, local: str, value: str, start: int, value_start: int, end: int) -> None:
        self.namespace = namespace
        self.local = local
        self.value = value
        self.start = start
        self.value_start = value_start
        self.end = end


class Node:
    """An element.

    :ivar name: its name as written, with a prefix or without.
    :ivar namespace: of its name, or empty.
    :ivar local: of its name.
    :ivar attributes: its attributes, declarations of namespaces left out.
    :ivar declared: prefix -> namespace that its own tag declares, the default namespace under the empty prefix.
    :ivar parent: the element that it is in, None for the root.
    :ivar children: the elements in it, in order.
    :ivar start: where its start tag begins.
    :ivar name_end: behind the name in its start tag.
    :ivar content: where its content begins.
    :ivar content_end: where its end tag begins; equal to *content* for an empty-element tag.
    :ivar end: behind its end tag.
    """

    __slots__ = (
        "attributes",
        "children",
        "content",
        "content_end",
        "declared",
        "end",
        "local",
        "name",
        "name_end",
        "namespace",
        "parent",
        "start",
    )

    def __init__(self, name: str, start: int, content: int, declared: dict[str, str], parent: Node | None) -> None:
        prefix, _, local = name.rpartition(":")
        self.name = name
        self.local = local
        self.declared = declared
        self.parent = parent
        self.namespace = self.resolve(prefix)
        self.attributes: list[Attribute] = []
        self.children: list[Node] = []
        self.start = start
        self.name_end = start + 1 + len(name)
        self.content = content
        self.content_end = content
        self.end = content

    def resolve(self, prefix: str) -> str:
        """Return the namespace that *prefix* stands for here, empty if it stands for none."""
        # A table of all that is in scope for each element would grow with the square of what a peer sends.
        node: Node | None = self
        while node is not None:
            if prefix in node.declared:
                return node.declared[prefix]
            node = node.parent
        return XML_NAMESPACE if prefix == "xml" else ""

    def bindings(self) -> dict[str, str]:
        """Return prefix -> namespace for all that is in scope, ``xml`` left out."""
        found: dict[str, str] = {}
        node: Node | None = self
        while node is not None:
            found = {**node.declared, **found}
            node = node.parent
        return {prefix: namespace for prefix, namespace in found.items() if namespace and prefix != "xml"}

    @property
    def is_empty_tag(self) -> bool:
        """Whether it is written ``<name/>``."""
        return self.end == self.content

    def attribute(self, namespace: str, local: str) -> Attribute | None:
        """Return the attribute of this expanded name, None if there is none."""
        for found in self.attributes:
            if found.local == local and found.namespace == namespace:
                return found
        return None


def read_tree(text: str) -> Node:
    """Return the root element of the document *text*."""
    open_nodes: list[Node] = []
    root: Node | None = None
    for found in _MARKUP.finditer(text):
        kind = found.lastgroup
        if kind == "start":
            node = _node(found[0], found.start(), found.end(), open_nodes[-1] if open_nodes else None)
            if open_nodes:
                open_nodes[-1].children.append(node)
            else:
                root = node
            if not found[0].endswith("/>"):
                open_nodes.append(node)
        elif kind == "end":
            node = open_nodes.pop()
            node.content_end = found.start()
            node.end = found.end()
    assert root is not None, "the text was read before, so it has an element"
    return root


def _node(tag: str, start: int, end: int, parent: Node | None) -> Node:
    name = _NAME.match(tag)
    assert name is not None
    plain: list[re.Match[str]] = []
    declared: dict[str, str] = {}
    for found in _ATTRIBUTE.finditer(tag, name.end()):
        prefix, _, local = found[1].rpartition(":")
        if found[1] == "xmlns":
            declared[""] = attribute_value(found[2])
        elif prefix == "xmlns":
            declared[local] = attribute_value(found[2])
        else:
            plain.append(found)
    node = Node(name[1], start, end, declared, parent)
    for found in plain:
        prefix, _, local = found[1].rpartition(":")
        # A name without a prefix is in no namespace, whatever the default one is.
        namespace = node.resolve(prefix) if prefix else ""
        where = (start + found.start(), start + found.start(2), start + found.end())
        node.attributes.append(Attribute(namespace, local, attribute_value(found[2]), *where))
    return node
