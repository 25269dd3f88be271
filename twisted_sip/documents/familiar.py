"""Documents that differ from one that was read before in nothing but texts and values of attributes.

A phone says the same again and again: other words between the same tags. Of a document that both readers took
(xml_outline) the shape is kept: its tags, without the values in them, but with the namespaces that they declare. What
has a known shape is well-formed if its texts and values hold no markup, it has the same elements in the same places,
and no name that libxml2 has not seen. So a look at its pieces is enough. The shapes that come all the time are looked
for with one expression for the whole document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from twisted_sip.documents.xml import INDENT
from twisted_sip.documents.xml_outline import DECLARATIONS

#: Shapes that are kept, and the most characters of one.
_MOST_SHAPES = 512
_LONGEST_SHAPE = 2048

# How often a shape has to come until it has an expression, which takes long to make, and how many have one.
_OFTEN = 256
_MOST_USUAL = 2

_DECLARATION_SIZE = len(DECLARATIONS[0])
# All but brackets, control characters and what begins a reference (XML 1.0 sections 2.2 and 2.4).
_USUAL = bytes({*range(0x20, 0x100), *b"\t\n\r"} - {*b"<>&"})
_NAME = r"[A-Za-z_][A-Za-z0-9_.:-]*"
# A tag as it stands in a shape: of each value one quotation mark is left.
_is_tag = re.compile(rf'/{_NAME}\s*|{_NAME}(?:\s+{_NAME}=")*\s*/?').fullmatch
_attributes = re.compile(rf'({_NAME})="').findall
# What a value or a text may hold in an expression: ASCII, and no more than is safe for the one and the other; the value
# that is asked for has no line ends and tabs; no text is an indentation that is looked at (documents.xml).
_VALUE = rb'[^<>&"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]*+'
_ASKED_VALUE = rb'([^<>&"\x00-\x1f\x7f-\xff]*+)'
_TEXT = rb"(?![ \t\r\n]{16})[^<>&\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]*+"
_DECLARED = b"(?:%b|%b)" % tuple(map(re.escape, DECLARATIONS))


class _Layout(NamedTuple):
    """What is where in documents of one shape: numbers of values and texts.

    :ivar tags: how many tags there are.
    :ivar namespaces: the values that declare namespaces, and what they are.
    :ivar attribute: the value that is asked for, -1 where there is none.
    :ivar texts: the texts that are asked for.
    """

    tags: int
    namespaces: tuple[tuple[int, str], ...]
    attribute: int
    texts: tuple[int, ...]


class _Usual(NamedTuple):
    """A shape that comes all the time.

    :ivar shape: the shape.
    :ivar match: matches documents of it; the value and the texts that are asked for are its groups.
    :ivar has_value: the first group is the value.
    """

    shape: str
    match: Callable[[bytes], re.Match[bytes] | None]
    has_value: bool


class _Pieces(NamedTuple):
    """A document taken apart.

    :ivar shape: what stands before the first tag, and the tags without the values in them, opening brackets between
        them. Where a value spans several tags, which it must not, there are less of them in here than texts.
    :ivar values: the values of all attributes, in order.
    :ivar texts: what stands behind each tag.
    """

    shape: str
    values: list[str]
    texts: list[str]


def _pieces(body: bytes) -> _Pieces | None:
    """Take *body* apart, None if there is something in it that takes a closer look."""
    if not body.startswith(DECLARATIONS) or INDENT.search(body):
        return None
    rest = body[_DECLARATION_SIZE:]
    brackets = rest.translate(None, _USUAL)
    # None but those around tags, in turn: none in texts and values.
    if brackets != b"<>" * (len(brackets) // 2) or not brackets:
        return None
    try:
        text = rest.decode()
    except UnicodeDecodeError:
        return None
    if not text.isascii() and ("\ufffe" in text or "\uffff" in text):
        return None
    cut = text.replace("<", ">").split(">")
    parts = "<".join([cut[0], *cut[1::2]]).split('"')
    if not len(parts) & 1:
        # A value that does not end.
        return None
    return _Pieces('"'.join(parts[::2]), parts[1::2], cut[2::2])


class Familiar:
    """The shapes of the documents of one format. Bounded."""

    __slots__ = ("_attribute", "_came", "_layouts", "_local", "_usual")

    def __init__(self, attribute: str, local: str) -> None:
        """Know no shape yet.

        :param attribute: the attribute of the root element that is asked for; it has no prefix.
        :param local: the local name of the elements whose texts are asked for, in whatever namespace.
        """
        self._attribute = attribute
        self._local = local
        self._layouts: dict[str, _Layout] = {}
        # How often each came that has no expression.
        self._came: dict[str, int] = {}
        self._usual: list[_Usual] = []

    def __len__(self) -> int:
        """How many shapes are known."""
        return len(self._layouts)

    def read(self, body: bytes) -> tuple[str, list[str]] | None:
        """Return the attribute, empty where it is missing, and the texts in *body*; None if it is not familiar."""
        for usual in self._usual:
            found = usual.match(body)
            if found is not None:
                groups = [group.decode() for group in found.groups()]
                return (groups.pop(0) if usual.has_value else ""), groups
        pieces = _pieces(body)
        if pieces is None:
            return None
        shape, values, texts = pieces
        layout = self._layouts.get(shape)
        if layout is None or len(texts) != layout.tags or texts[-1].strip(" \t\r\n"):
            return None
        for place, namespace in layout.namespaces:
            if values[place] != namespace:
                return None
        value = values[layout.attribute] if layout.attribute >= 0 else ""
        if "\n" in value or "\r" in value or "\t" in value:
            # Section 3.3.3 of XML 1.0: it would be read as something else.
            return None
        came = self._came[shape] = self._came.get(shape, 0) + 1
        if came >= _OFTEN:
            self._make_usual(shape, layout)
        return value, [texts[place] for place in layout.texts]

    def _make_usual(self, shape: str, layout: _Layout) -> None:
        """Give *shape* an expression, in the place of the one that has had its own for the longest time."""
        namespaces = dict(layout.namespaces)
        before, *tags = shape.split("<")
        parts = [_DECLARED, re.escape(before.encode())]
        value = 0
        for number, tag in enumerate(tags):
            first, *others = tag.split('"')
            parts += (b"<", re.escape(first.encode()))
            for other in others:
                if value in namespaces:
                    text = re.escape(namespaces[value].encode())
                else:
                    text = _ASKED_VALUE if value == layout.attribute else _VALUE
                parts += (b'"', text, b'"', re.escape(other.encode()))
                value += 1
            parts.append(b">")
            if number == len(tags) - 1:
                parts.append(rb"[ \t\r\n]*+")
            else:
                parts.append(b"(%b)" % _TEXT if number in layout.texts else _TEXT)
        made = _Usual(shape, re.compile(b"".join(parts)).fullmatch, layout.attribute >= 0)
        self._usual = [made, *self._usual[: _MOST_USUAL - 1]]
        self._came.clear()

    def learn(self, body: bytes) -> None:
        """Keep the shape of *body*, a plain document (xml_outline.Outline.is_plain), if it can be told."""
        pieces = _pieces(body)
        if pieces is None or len(pieces.shape) > _LONGEST_SHAPE:
            return
        before, *tags = pieces.shape.split("<")
        if before.strip(" \t\r\n") or len(tags) != len(pieces.texts) or not all(map(_is_tag, tags)):
            return
        names = [name for tag in tags for name in _attributes(tag)]
        root = _attributes(tags[0])
        if len(self._layouts) >= _MOST_SHAPES:
            self._layouts.clear()
            self._came.clear()
        self._layouts[pieces.shape] = _Layout(
            len(tags),
            tuple(
                (place, pieces.values[place])
                for place, name in enumerate(names)
                if name == "xmlns" or name.startswith("xmlns:")
            ),
            root.index(self._attribute) if self._attribute in root else -1,
            tuple(place for place, tag in enumerate(tags) if self._is_asked_for(tag)),
        )

    def _is_asked_for(self, tag: str) -> bool:
        name = tag.split()[0]
        return not tag.startswith("/") and name.rstrip("/").rpartition(":")[2] == self._local
