"""The one reader of XML bodies, and their writer: hardened against everything that a peer can put there.

Bodies of SIP requests are XML 1.0 in UTF-8 or UTF-16 (RFC 3023 section 3.1 as the formats cite it). Nothing that they
need is in a document type declaration, so one is refused as such, and with it every entity but the five of XML itself.
What is read is bounded: bytes, depth, elements, attributes of an element.

A document goes through expat first, which keeps nothing. It finds doctypes, bad syntax and bad encodings, and the names
in the document. libxml2 never forgets a name that it has seen, so names are counted here: a document with names that
there is no more room for is refused, while all that speak the words known until then are still read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TypeAlias, cast
from xml.parsers import expat

from lxml import etree

from twisted_sip.errors import DocumentError

#: An element of a document, as lxml has it.
Element: TypeAlias = "etree._Element"

#: The most bytes of a body, unless the caller says otherwise.
SIZE_LIMIT = 65536
#: The deepest nesting of elements; the root is 1 deep.
DEPTH_LIMIT = 64
#: The most elements of a document.
ELEMENT_LIMIT = 4096
#: The most attributes of one element, declarations of namespaces left out.
ATTRIBUTE_LIMIT = 64

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_DECLARED_UTF8 = b'<?xml version="1.0" encoding="UTF-8"?>'
_UTF8_NAMES = frozenset(("utf-8", "utf8", "us-ascii", "ascii"))
_UTF16_NAMES = frozenset(("utf-16", "utf-16le", "utf-16be"))
_XML_DECLARATION = re.compile(r"<\?xml\s[^>]{0,200}\?>")
_ENCODING = re.compile(r"""\sencoding\s*=\s*["']([^"']*)["']""")
#: libxml2 keeps white space of this length between tags as if it were a name.
INDENT = re.compile(rb">([ \t\r\n]{16,59})<")
#: What stands between a name of expat's (namespace, local name, prefix) and the next.
BETWEEN = " "


class Vocabulary:
    """The words that the XML library has seen and holds for good: names, prefixes, namespaces. Bounded.

    :ivar limit: the most bytes that they may take, roughly.
    :ivar document_limit: the most words that one document may add.
    """

    __slots__ = ("_names", "_size", "_words", "document_limit", "limit")

    def __init__(self, limit: int = 16 << 20, document_limit: int = 512) -> None:
        """Know no word yet."""
        self.limit = limit
        self.document_limit = document_limit
        # Whole names made of known words, as expat gives them: what is in here needs no second look.
        self._names: set[str] = set()
        self._words: set[str] = set()
        self._size = 0

    def admits(self, names: AbstractSet[str]) -> bool:
        """Tell whether a document with these *names* may be read; if so, they are known from then on."""
        new = names - self._names
        if not new:
            return True
        words = {word for name in new for word in name.split(BETWEEN)} - self._words
        if words:
            size = self._size + sum(map(len, words)) + 64 * len(words)
            if len(words) > self.document_limit or size > self.limit:
                return False
            self._words |= words
            self._size = size
        if len(self._names) > 50_000:
            self._names.clear()
        self._names |= new
        return True


_vocabulary = Vocabulary()
# One parser for all: made anew for each body it would cost half as much again.
_parser = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, collect_ids=False, encoding="utf-8"
)


def split_name(tag: str) -> tuple[str, str]:
    """Return namespace (or an empty text) and local name of *tag*, whatever a peer has put into the namespace."""
    namespace, bracket, local = tag.rpartition("}")
    return (namespace[1:], local) if bracket else ("", tag)


def know(*words: str) -> None:
    """Make sure that documents with these names and namespaces can always be read, whatever peers send before."""
    _vocabulary.admits(set(words))


def admit_names(*names: str) -> None:
    """Make sure that there is room for *names* that a peer told, before elements or attributes get them.

    What :func:`parse_xml` has read needs no second look.

    :raises DocumentError: there have been too many names already (``too_large``).
    """
    _admit(set(names))


def _admit(names: AbstractSet[str]) -> None:
    if not _vocabulary.admits(names):
        raise DocumentError("XML has too many names that were never seen before", too_large=True)


def _short(text: str) -> str:
    """Return *text* as a reason phrase can have it."""
    return ascii(text[:80])


def _as_utf8(body: bytes) -> bytes:
    """Return *body* in UTF-8, without a byte order mark; UTF-16 is told by its mark or by its first character.

    :raises DocumentError: it is UTF-16 and wrong, or says that it is something else.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        return body[3:]
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16"
    elif body.startswith(b"<\0"):
        codec = "utf-16-le"
    elif body.startswith(b"\0<"):
        codec = "utf-16-be"
    else:
        return body
    try:
        text = body.decode(codec)
    except UnicodeDecodeError:
        raise DocumentError("XML is not well-formed: not UTF-16") from None
    if declaration := _XML_DECLARATION.match(text):
        encoding = _ENCODING.search(declaration[0])
        if encoding is not None and encoding[1].lower() not in _UTF16_NAMES:
            raise DocumentError(f"XML in UTF-16 declares encoding {_short(encoding[1])}")
        text = text[declaration.end() :]
    return text.encode()


class Inspection:
    """One pass of expat over a document: refuses what must not be there, and collects the names.

    :param depth: the deepest nesting; the root is 1 deep.
    :param elements: the most elements.
    :param attributes: the most attributes of one element.
    :ivar names: the names, as expat gives them, and the declarations of namespaces.
    """

    __slots__ = ("attributes", "depth", "depth_limit", "elements", "names")

    def __init__(
        self, depth: int = DEPTH_LIMIT, elements: int = ELEMENT_LIMIT, attributes: int = ATTRIBUTE_LIMIT
    ) -> None:
        self.depth = 0
        self.depth_limit = depth
        self.elements = elements
        self.attributes = 2 * attributes
        self.names: set[str] = set()

    def run(self, body: bytes) -> None:
        """Let expat read *body* (UTF-8), and look on.

        :raises DocumentError: it is not well-formed, or something in it is refused.
        """
        parser = expat.ParserCreate("utf-8", BETWEEN)
        parser.namespace_prefixes = True
        parser.ordered_attributes = True
        if not body.startswith(_DECLARED_UTF8):
            parser.XmlDeclHandler = self.declared
        parser.StartDoctypeDeclHandler = self.doctype
        if self.fits(body):
            parser.StartElementHandler = self.start_of_few
        else:
            parser.StartElementHandler = self.start
            parser.EndElementHandler = self.end
        parser.StartNamespaceDeclHandler = self.namespace
        parser.ProcessingInstructionHandler = self.instruction
        self.read(parser, body)

    def read(self, parser: expat.XMLParserType, body: bytes) -> None:
        """Have *parser* read *body*.

        :raises DocumentError: as :meth:`run`.
        """
        try:
            parser.Parse(body, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code) or "bad syntax"
            raise DocumentError(f"XML is not well-formed: {what}, line {error.lineno}") from None

    def declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _UTF8_NAMES:
            raise DocumentError(f"XML declares encoding {_short(encoding)}, which it has not or which is not supported")

    def doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        raise DocumentError("XML with a document type declaration is refused")

    def fits(self, body: bytes) -> bool:
        """Tell whether *body* is so small that no limit can be reached: nothing needs to be counted then."""
        tags = body.count(b"<")
        return tags <= self.depth_limit and tags <= self.elements and 2 * body.count(b"=") <= self.attributes

    def start_of_few(self, name: str, attributes: list[str]) -> None:
        self.names.add(name)
        if attributes:
            self.names.update(attributes[::2])

    def start(self, name: str, attributes: list[str]) -> None:
        self.depth += 1
        if self.depth > self.depth_limit:
            raise DocumentError(f"XML is more than {self.depth_limit} elements deep", too_large=True)
        self.elements -= 1
        if self.elements < 0:
            raise DocumentError("XML has too many elements", too_large=True)
        names = self.names
        names.add(name)
        if attributes:
            if len(attributes) > self.attributes:
                raise DocumentError("XML element has too many attributes", too_large=True)
            names.update(attributes[::2])

    def end(self, name: str) -> None:
        self.depth -= 1

    def namespace(self, prefix: str | None, uri: str | None) -> None:
        self.names.add(f"{prefix} {uri}")

    def instruction(self, target: str, text: str) -> None:
        self.names.add(target)


def inspected(body: bytes, inspection: Inspection, limit: int = SIZE_LIMIT) -> bytes:
    """Return *body* in UTF-8 once *inspection* has seen it and there is room for its names.

    :param limit: the most bytes.
    :raises DocumentError: it is not well-formed, something in it is refused, or it is beyond a limit (``too_large``).
    """
    if len(body) > limit:
        raise DocumentError(f"XML is longer than {limit} bytes", too_large=True)
    body = _as_utf8(body)
    inspection.run(body)
    names = inspection.names
    for spaces in INDENT.findall(body):
        names.add(spaces.decode().replace(" ", "s"))
    _admit(names)
    return body


def tree_of(body: bytes, root: tuple[str, str] | None = None) -> Element:
    """Return the root element of the document in *body*, which is as :func:`inspected` gave it.

    :param root: (namespace, local name) that the root element must have; an empty namespace is none at all.
    :raises DocumentError: libxml2 does not take it, or it has another root.
    """
    try:
        element = etree.fromstring(body, _parser)
    except etree.XMLSyntaxError as error:
        raise DocumentError(f"XML is not well-formed: {_short(str(error))}") from None
    if root is not None:
        check_root(element, root)
    return element


def parse_xml(
    body: bytes,
    *,
    root: tuple[str, str] | None = None,
    limit: int = SIZE_LIMIT,
    depth: int = DEPTH_LIMIT,
    elements: int = ELEMENT_LIMIT,
    attributes: int = ATTRIBUTE_LIMIT,
) -> Element:
    """Return the root element of the document in *body*.

    :param root: (namespace, local name) that the root element must have; an empty namespace is none at all.
    :param limit: the most bytes.
    :param depth: the deepest nesting; the root is 1 deep.
    :param elements: the most elements.
    :param attributes: the most attributes of one element.
    :raises DocumentError: it is no such document, it has a document type declaration, or it is beyond a limit
        (``too_large``).
    """
    return tree_of(inspected(body, Inspection(depth, elements, attributes), limit), root)


def parse_again(body: bytes) -> Element:
    """Return the root element of a document in UTF-8 that :func:`parse_xml` has read, or :func:`serialize` made."""
    return etree.fromstring(body, _parser)


def check_root(element: Element, root: tuple[str, str]) -> None:
    """Refuse a document whose root *element* is not (namespace, local name) *root*.

    :raises DocumentError: it is not; the reason tells the name or the namespace.
    """
    namespace, local = root
    expected = f"{{{namespace}}}{local}" if namespace else local
    if element.tag == expected:
        return
    # A namespace may hold anything, a bracket too.
    found, _, name = element.tag[1:].rpartition("}") if element.tag[0] == "{" else ("", "", element.tag)
    if name != local:
        raise DocumentError(f"XML root element is {_short(name)}, not {local!r}")
    raise DocumentError(f"XML root element is in namespace {_short(found)}, not {namespace!r}")


def make_element(
    tag: str, attributes: Mapping[str, str] | None = None, namespaces: Mapping[str | None, str] | None = None
) -> Element:
    """Return a new element.

    :param tag: its name, as lxml has it: ``{namespace}local``.
    :param namespaces: the prefixes that it declares; None is the default namespace.
    """
    # What lxml takes is more than its type stubs know.
    return etree.Element(tag, cast("dict[str, str]", attributes), nsmap=cast("dict[str, str]", namespaces))


def attributes_of(element: Element) -> dict[str, str]:
    """Return the attributes of *element*: names as lxml has them, and values."""
    return {str(name): str(value) for name, value in element.attrib.items()}


def serialize(element: Element) -> bytes:
    """Return the document with the root *element*: UTF-8, with an XML declaration."""
    return _DECLARATION + etree.tostring(element, encoding="UTF-8", xml_declaration=False, with_tail=False)
