"""Documents that are taken without a tree: the same ones that a tree is made of, and the same is seen in them."""

from __future__ import annotations

import random

import pytest

from twisted_sip.documents import xml_outline
from twisted_sip.documents.pidf import NAMESPACE, Presence
from twisted_sip.documents.xml import inspected, parse_xml
from twisted_sip.documents.xml_outline import Outline
from twisted_sip.errors import DocumentError

DECLARED = '<?xml version="1.0" encoding="UTF-8"?>'
PLAIN = (
    f'{DECLARED}\r\n<presence xmlns="{NAMESPACE}" xmlns:dm="{NAMESPACE}:data-model" entity="sip:a@b">\r\n'
    '<tuple id="t1"><status><basic> Open\n</basic></status><contact priority="0.8">sip:a@b</contact>'
    '<note xml:lang="en">h\u00e9re &amp; there</note></tuple><dm:person id="p" xmlns:r="urn:x"><r:a/></dm:person>'
    "\r\n</presence>\r\n"
).encode()


def outline_of(body: bytes) -> tuple[Outline, bool]:
    outline = Outline(NAMESPACE, "basic")
    inspected(body, outline)
    return outline, outline.is_plain(body)


def presence(inside: str, attributes: str = 'entity="sip:a@b"') -> bytes:
    return f'{DECLARED}<presence xmlns="{NAMESPACE}" {attributes}>{inside}</presence>'.encode()


def test_a_plain_document_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # No tree is made for any of this.
    monkeypatch.setattr("twisted_sip.documents.xml.etree", None)
    read = Presence.parse(PLAIN)
    assert read.entity == "sip:a@b" and read.states_known and read.to_xml() is PLAIN


def test_prefixes_are_seen_through() -> None:
    body = f"{DECLARED}<p:presence xmlns:p='{NAMESPACE}' x='1' entity='sip:c@d'><p:basic>y</p:basic></p:presence>"
    outline, plain = outline_of(body.encode())
    assert plain and outline.has_root(NAMESPACE, "presence") and outline.root_attribute("entity") == "sip:c@d"
    assert outline.texts == ["y"] and outline.root_attribute("z") == ""
    assert not outline.has_root(NAMESPACE, "pres") and not outline.has_root("urn:x", "presence")


@pytest.mark.parametrize(
    "body",
    [
        presence("<!-- c -->"),
        presence("<?pi x?>"),
        presence("<basic>op<a/>en</basic>"),
        presence("", 'xmlns:n="%zz"'),
        presence('<a xmlns=""/>'),
        PLAIN[len(DECLARED) :],
        b'<?xml version="1.0"?>' + PLAIN[len(DECLARED) :],
    ],
)
def test_what_is_not_plain(body: bytes) -> None:
    assert not outline_of(body)[1]


def test_a_large_document_is_left_to_the_tree() -> None:
    outline, _ = outline_of(presence("<a/>" * 100))
    assert not outline.root and not outline.has_root(NAMESPACE, "presence")


@pytest.mark.parametrize(
    ("inside", "known"),
    [
        ("<tuple><status><basic>unknown</basic></status></tuple>", False),
        ("<tuple><status><basic> CLOSED </basic></status></tuple>", True),
        ("<tuple><status><basic/></status></tuple>", True),
        # Nobody asks for a <basic> that does not stand in a status.
        ("<tuple><basic>unknown</basic></tuple>", True),
        ("<tuple><status><basic>op<!-- -->en</basic></status></tuple>", False),
        ("<tuple><status><basic>op<a/>en</basic></status></tuple>", False),
        ("<tuple><status><basic>op<![CDATA[en]]></basic></status></tuple>", True),
        ("<tuple/>" * 70 + "<tuple><status><basic>unknown</basic></status></tuple>", False),
    ],
)
def test_states(inside: str, known: bool) -> None:
    assert Presence.parse(presence(inside)).states_known is known
    assert Presence.of(parse_xml(presence(inside))).states_known is known


def test_other_roots_are_refused_as_ever() -> None:
    for body, reason in (
        (f'{DECLARED}<presence xmlns="urn:x"/>', "namespace 'urn:x'"),
        (f'{DECLARED}<tuple xmlns="{NAMESPACE}"/>', "is 'tuple'"),
        (f"{DECLARED}<presence/>", "namespace ''"),
    ):
        with pytest.raises(DocumentError) as caught:
            Presence.parse(body.encode())
        assert reason in caught.value.reason


_PIECES = (
    'xmlns:n="%zz"', 'xmlns:n="[::"', 'xmlns:n="a b"', 'xmlns:n="urn:1:..:"', 'xmlns:n="http://a..b"', 'xmlns=""',
    'xmlns:n="http://-/.//"', 'xmlns:n="\u00e9"', 'xml:lang="??"', 'xml:id="1 2"', 'entity="x"', 'n:entity="x"',
    "<!---->", "<![CDATA[ ]]>", "<?a b?>", "&amp;", "&#13;", "&#1;", "]]>", "\x85", "\x7f", "<n:a/>", "<a:b:c/>",
    "</basic><basic>", "<basic/>", "</status><status>", "unknown", "<tuple/>", "'", '"', "<", ">", " ", "=",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_the_same_is_taken_and_seen_as_with_a_tree(seed: int) -> None:
    chance = random.Random(seed)
    plain = PLAIN.decode()
    for _ in range(200):
        text = plain
        for _ in range(chance.choice((1, 1, 2, 3))):
            piece = chance.choice(_PIECES)
            ends = [place for place, char in enumerate(text) if char == ">" and text[place - 1] not in "/?"]
            # Attributes where attributes may stand, everything anywhere.
            place = chance.choice(ends) if '="' in piece and chance.random() < 0.8 else chance.randrange(len(text))
            text = f"{text[:place]} {piece}{text[place:]}" if '="' in piece else text[:place] + piece + text[place:]
        body = text.encode()
        assert _seen(lambda body=body: Presence.parse(body)) == _seen(
            lambda body=body: Presence.of(parse_xml(body, root=(NAMESPACE, "presence")))
        ), body


def _seen(read: object) -> tuple[str, bool, str] | None:
    assert callable(read)
    try:
        made: Presence = read()
    except DocumentError:
        return None
    return made.entity, made.states_known, made.basic


def test_declarations() -> None:
    assert xml_outline.is_declared(PLAIN) and not xml_outline.is_declared(b"<a/>")
