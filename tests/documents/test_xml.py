"""The reader of XML bodies: what it takes, what it refuses, and that refusing is cheap."""

from __future__ import annotations

import time

import pytest

from twisted_sip.documents import xml
from twisted_sip.documents.xml import Vocabulary, know, parse_xml, serialize, split_name
from twisted_sip.errors import DocumentError

PIDF = "urn:ietf:params:xml:ns:pidf"
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))
    + "]><a>&l29;</a>"
)


def refusal(body: bytes, **limits: int) -> DocumentError:
    """Return the error for *body*, which must have come quickly, with a reason that fits a status line."""
    started = time.process_time()
    with pytest.raises(DocumentError) as caught:
        parse_xml(body, **limits)
    assert time.process_time() - started < 0.5
    reason = caught.value.reason
    assert reason.isascii() and reason.isprintable() and len(reason) < 200
    return caught.value


def test_reads_a_document() -> None:
    root = parse_xml(f'<presence xmlns="{PIDF}" entity="sip:a@b"><note>h\u00e9</note></presence>'.encode())
    assert root.tag == f"{{{PIDF}}}presence"
    assert root[0].text == "h\u00e9"


def test_serialises_as_utf8_with_a_declaration() -> None:
    root = parse_xml("<?xml version='1.0'?><a>\u20ac<b/>x</a>".encode())
    assert serialize(root) == '<?xml version="1.0" encoding="UTF-8"?>\n<a>\u20ac<b/>x</a>'.encode()
    assert serialize(root[0]) == b'<?xml version="1.0" encoding="UTF-8"?>\n<b/>'


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf<a>\xe2\x82\xac</a>",
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><a>\xe2\x82\xac</a>',
        b'<?xml version="1.0" encoding="us-ascii"?><a>&#x20ac;</a>',
        "<a>\u20ac</a>".encode("utf-16"),
        "<a>\u20ac</a>".encode("utf-16-le"),
        "<a>\u20ac</a>".encode("utf-16-be"),
        '<?xml version="1.0" encoding="UTF-16"?><a>\u20ac</a>'.encode("utf-16"),
        '<?xml version="1.0"?><a>\u20ac</a>'.encode("utf-16"),
        '<?xml version="1.0" encoding="utf-16" standalone="yes"?><a>\u20ac</a>'.encode("utf-16-le"),
        b'<?xml version="1.0" standalone="yes"?><?xml-stylesheet x?><!-- c --><a><![CDATA[\xe2\x82\xac]]></a>',
    ],
)
def test_encodings(body: bytes) -> None:
    assert parse_xml(body).text == "\u20ac"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9</a>', "encoding 'ISO-8859-1'"),
        (b'<?xml version="1.0" encoding="UTF-16"?><a/>', "encoding 'UTF-16'"),
        ('<?xml version="1.0" encoding="UTF-8"?><a/>'.encode("utf-16"), "encoding 'UTF-8'"),
        (b"<a>\xff</a>", "not well-formed"),
        (b"\xff\xfe<\0a\0\x00\xd8/\0>\0", "not UTF-16"),
        (b"\xff\xfe<\0a", "not UTF-16"),
        ("<a>\u20ac</a>".encode("utf-32"), "not well-formed"),
        (b"<a>\0</a>", "not well-formed"),
    ],
)
def test_wrong_encoding(body: bytes, reason: str) -> None:
    assert reason in refusal(body).reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "body",
    [
        "<!DOCTYPE a><a/>",
        '<!-- c --><!DOCTYPE a SYSTEM "http://example.com/a.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        LAUGHS.replace('<?xml version="1.0"?>', ""),
    ],
)
def test_any_doctype_is_refused(body: str, encoding: str) -> None:
    assert "document type" in refusal(body.encode(encoding)).reason


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"hello", b"<a>", b"<a></b>", b"<a/><b/>", b"<p:a/>", b"<a b='1' b='2'/>"]
)
def test_bad_syntax(body: bytes) -> None:
    assert "not well-formed" in refusal(body).reason


def test_entities_but_those_of_xml_are_refused() -> None:
    assert parse_xml(b"<a>&lt;&gt;&amp;&quot;&apos;&#x41;</a>").text == "<>&\"'A"
    assert "undefined entity" in refusal(b"<a>&nbsp;</a>").reason
    refusal(b"<a>&#0;</a>")


def test_nothing_external_is_read() -> None:
    root = parse_xml(
        b'<?xml-stylesheet href="http://127.0.0.1:9/x"?>'
        b'<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="file:///etc/passwd"/></a>'
    )
    assert len(root) == 1 and len(root[0]) == 0


def test_limit_of_size() -> None:
    assert refusal(b"<a>" + b"x" * 1_000_000 + b"</a>").too_large
    assert refusal(b" " * 1_000_000).too_large
    assert refusal(b"<a/>", limit=3).too_large
    assert parse_xml(b"<a>" + b"x" * 100_000 + b"</a>", limit=200_000).tag == "a"


def test_limit_of_depth() -> None:
    assert parse_xml(b"<a>" * 64 + b"</a>" * 64).tag == "a"
    assert refusal(b"<a>" * 65 + b"</a>" * 65).too_large
    assert refusal(b"<a>" * 20_000).too_large
    assert refusal(b"<a><b/></a>", depth=1).too_large
    assert refusal(("<a>" * 9000 + "</a>" * 9000).encode("utf-16"), limit=200_000).too_large


def test_limit_of_elements() -> None:
    assert refusal(b"<a>" + b"<b/>" * 16_000 + b"</a>").too_large
    assert parse_xml(b"<a><b/><b/></a>", elements=3).tag == "a"
    assert refusal(b"<a><b/><b/><b/></a>", elements=3).too_large


def test_limit_of_attributes() -> None:
    many = b"<a " + b" ".join(b'x%d="1"' % n for n in range(5000)) + b"/>"
    assert refusal(many).too_large
    assert parse_xml(b'<a x="1" y="2"/>', attributes=2).get("y") == "2"
    assert refusal(b'<a x="1" y="2" z="3"/>', attributes=2).too_large


def test_what_the_second_reader_refuses() -> None:
    # libxml2 has a limit for names, expat has none.
    assert "Name too long" in refusal(b"<a %s='1'/>" % (b"x" * 60_000)).reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<presence/>", "namespace '', not 'urn:ietf:params:xml:ns:pidf'"),
        (b"<presence xmlns='urn:wrong'/>", "namespace 'urn:wrong'"),
        (f"<resource xmlns='{PIDF}'/>".encode(), "root element is 'resource', not 'presence'"),
    ],
)
def test_wrong_root(body: bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        parse_xml(body, root=(PIDF, "presence"))


def test_root_without_namespace() -> None:
    assert parse_xml(b"<presence/>", root=("", "presence")).tag == "presence"
    with pytest.raises(DocumentError):
        parse_xml(b"<presence xmlns='urn:x'/>", root=("", "presence"))


@pytest.mark.parametrize("namespace", ["u}x", "{u", "}", "u x"])
def test_namespaces_that_are_none(namespace: str) -> None:
    for body in (f'<a xmlns="{namespace}"/>', f'<a xmlns:p="{namespace}"><p:b/></a>'):
        with pytest.raises(DocumentError):
            parse_xml(body.encode())


@pytest.mark.parametrize(
    ("tag", "parts"), [("a", ("", "a")), ("{urn:x}a", ("urn:x", "a")), ("{u}x}a", ("u}x", "a")), ("{{u}a", ("{u", "a"))]
)
def test_names_are_split_whatever_the_namespace(tag: str, parts: tuple[str, str]) -> None:
    assert split_name(tag) == parts


def test_vocabulary_is_bounded() -> None:
    vocabulary = Vocabulary(limit=200)
    assert vocabulary.admits({"a", "b"})
    assert not vocabulary.admits({"a", "x" * 100})
    assert vocabulary.admits({"a", "b"})
    assert vocabulary.admits({"b a"})
    assert not vocabulary.admits({"a", "c", "d"})
    assert not Vocabulary(document_limit=2).admits({"a", "b c"})


def test_names_of_known_words_are_forgotten_in_time() -> None:
    vocabulary = Vocabulary()
    words = [f"w{n}" for n in range(300)]
    for first in words:
        assert vocabulary.admits({f"{first} {second}" for second in words})
    assert len(vocabulary._names) <= 50_300


def flood(first: int, number: int) -> int:
    """Send documents with ever new names, prefixes, namespaces, white space; return how many were refused."""
    refused = 0
    for n in range(first, first + number):
        spaces = format(n, "040b").replace("0", " ").replace("1", "\t").encode()
        elements = b"".join(b"<e%dx%d%s/>" % (n, k, b"y" * 400) for k in range(100))
        try:
            parse_xml(b"<a xmlns='urn:%d'><?p%d?>%s%s</a>" % (n, n, spaces, elements))
        except DocumentError as error:
            assert error.too_large and "never seen before" in error.reason
            refused += 1
    return refused


def resident_kilobytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def test_names_of_peers_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "_vocabulary", Vocabulary(limit=1 << 20))
    assert 0 < flood(0, 100) < 100
    before = resident_kilobytes()
    # 16 MB of names go by.
    assert flood(1000, 400) == 400
    assert resident_kilobytes() - before < 4_000


def test_known_words_are_read_when_there_is_no_room_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "_vocabulary", Vocabulary(limit=600))
    know("presence", PIDF, "p")
    with pytest.raises(DocumentError, match="never seen before"):
        parse_xml(b"<a><b/><c/><d/><e/><f/><g/><h/><i/></a>")
    assert parse_xml(f"<p:presence xmlns:p='{PIDF}'/>".encode(), root=(PIDF, "presence")).get("entity") is None
    with pytest.raises(DocumentError, match="never seen before"):
        parse_xml(b"<presence>" + b"".join(b" " * n + b"<p/>" for n in range(16, 40)) + b"</presence>")
