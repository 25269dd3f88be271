"""What one pass of expat tells of a document that is small and plain: enough for most, without a tree.

libxml2 refuses a few documents that expat takes: it looks at the URIs of namespaces, and it is stricter in places where
hardly anybody goes. A plain document has nothing of that: it is taken as it is, and its tree made later, if ever.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from twisted_sip.documents.xml import BETWEEN, Inspection

#: XML declarations that every reader understands alike; they are of one length.
DECLARATIONS = (b'<?xml version="1.0" encoding="UTF-8"?>', b"<?xml version='1.0' encoding='UTF-8'?>")
# URIs of which nobody would say that they are none.
_is_plain_uri = re.compile(r"urn:[A-Za-z0-9][A-Za-z0-9:._-]*|https?://[A-Za-z0-9.-]+(?:/[A-Za-z0-9._/-]*)?").fullmatch


def is_declared(body: bytes) -> bool:
    """Tell whether *body* begins with a usual XML declaration that says UTF-8."""
    return body.startswith(DECLARATIONS)


class Outline(Inspection):
    """An inspection that notes the root element and the texts of the elements of one name.

    :ivar root: the name of the root element as expat has it; empty where the document is not small.
    :ivar texts: the texts in the elements that were asked for, in order.
    """

    __slots__ = ("_attributes", "_parser", "_plain", "_reading", "_wanted", "root", "texts")

    def __init__(self, namespace: str, local: str) -> None:
        """Ask for the texts of the elements called *local* in *namespace*; there may be more among them."""
        Inspection.__init__(self)
        self.root = ""
        self.texts: list[str] = []
        self._wanted = f"{namespace}{BETWEEN}{local}"
        self._attributes: list[str] = []
        self._plain = True
        self._reading = False
        self._parser: expat.XMLParserType | None = None

    def has_root(self, namespace: str, local: str) -> bool:
        """Tell whether that is the root element."""
        # Behind the second mark stands the prefix, if there is one.
        return f"{self.root}{BETWEEN}".startswith(f"{namespace}{BETWEEN}{local}{BETWEEN}")

    def is_plain(self, body: bytes) -> bool:
        """Tell whether libxml2 is sure to take *body*, the document that was inspected, and sees the same in it."""
        return self._plain and is_declared(body)

    def root_attribute(self, name: str) -> str:
        """Return an attribute of the root element, empty where it is missing."""
        attributes = self._attributes
        for place in range(0, len(attributes), 2):
            if attributes[place] == name:
                return attributes[place + 1]
        return ""

    # -- for expat -----------------------------------------------------------------

    def read(self, parser: expat.XMLParserType, body: bytes) -> None:
        parser.CommentHandler = self.comment
        self._parser = parser
        try:
            Inspection.read(self, parser, body)
        finally:
            # They hold each other.
            self._parser = None

    def start_of_few(self, name: str, attributes: list[str]) -> None:
        names = self.names
        names.add(name)
        if attributes:
            names.update(attributes[::2])
        if not self.root:
            self.root = name
            self._attributes = attributes
        elif self._reading:
            # An element in a text: to make sense of that takes a tree.
            self._plain = False
        elif name.startswith(self._wanted):
            parser = self._parser
            assert parser is not None
            self._reading = True
            self.texts.append("")
            parser.CharacterDataHandler = self.text
            parser.EndElementHandler = self.end_of_text

    def text(self, text: str) -> None:
        self.texts[-1] += text

    def end_of_text(self, name: str) -> None:
        parser = self._parser
        assert parser is not None
        self._reading = False
        parser.CharacterDataHandler = parser.EndElementHandler = None

    def namespace(self, prefix: str | None, uri: str | None) -> None:
        self.names.add(f"{prefix} {uri}")
        if uri is None or _is_plain_uri(uri) is None:
            self._plain = False

    def instruction(self, target: str, text: str) -> None:
        Inspection.instruction(self, target, text)
        self._plain = False

    def comment(self, text: str) -> None:
        # It would part a text in two.
        self._plain = False
