"""Documents whose like was read before: only what is well-formed is taken, and the same is seen in it."""

from __future__ import annotations

import random

import pytest

from twisted_sip.documents import familiar
from twisted_sip.documents.familiar import Familiar
from twisted_sip.documents.pidf import NAMESPACE, Presence
from twisted_sip.documents.xml import parse_xml
from twisted_sip.errors import DocumentError

DECLARED = '<?xml version="1.0" encoding="UTF-8"?>'


def document(
    *, entity: str = "sip:a@b", id: str = "t1", basic: str = "open", note: str = "here", end: str = "\r\n"
) -> bytes:
    return (
        (
            f'{DECLARED}\r\n<presence xmlns="{NAMESPACE}" entity="{entity}">\r\n<tuple id="{id}"><status><basic>{basic}'
            f"</basic></status><note >{note}</note><x:e xmlns:x='u'/></tuple>\r\n</presence>{end}"
        )
        .replace("'", '"')
        .encode("utf-8", "surrogatepass")
    )


@pytest.fixture
def shapes() -> Familiar:
    made = Familiar("entity", "basic")
    made.learn(document())
    assert len(made) == 1
    return made


@pytest.fixture
def usual(shapes: Familiar) -> Familiar:
    for _ in range(familiar._OFTEN):
        assert shapes.read(document()) is not None
    assert len(shapes._usual) == 1
    return shapes


def test_other_words_between_the_same_tags(shapes: Familiar) -> None:
    other = document(entity="sip:c@d", id="t2", basic=" closed\n", note="\u20ac = gone; ]]", end="")
    assert shapes.read(other) == ("sip:c@d", [" closed\n"])
    shapes.learn(other)
    assert len(shapes) == 1


def test_usual_documents(usual: Familiar, monkeypatch: pytest.MonkeyPatch) -> None:
    accented = document(note="\u20ac")
    assert usual.read(accented) == ("sip:a@b", ["open"])
    monkeypatch.setattr(familiar, "_pieces", lambda body: None)
    other = document(entity="sip:c@d", id="\tt2", basic=" closed\n", note='"gone"; ]]', end="")
    assert usual.read(other) == ("sip:c@d", [" closed\n"])
    assert usual.read(other.replace(familiar.DECLARATIONS[0], familiar.DECLARATIONS[1])) is not None
    assert usual.read(accented) is None


def test_usual_shapes_are_few(usual: Familiar) -> None:
    for number in range(4):
        body = f"{DECLARED}<a{number}><basic>{number}</basic></a{number}>\n".encode()
        usual.learn(body)
        for _ in range(familiar._OFTEN + 1):
            assert usual.read(body) == ("", [str(number)])
        assert len(usual._usual) == familiar._MOST_USUAL
        assert not usual._came
    # Those that have none any more are read as before.
    assert usual.read(document()) == ("sip:a@b", ["open"])


NOT_FAMILIAR = pytest.mark.parametrize(
    "body",
    [
        document(note="a<b/>"),
        document(note="a&amp;b"),
        document(note="a>b"),
        document(note="a\0b"),
        document(note="\ufffe"),
        document(note="\ud800"),
        document(note=" " * 20),
        document(entity="sip:a\nb"),
        document(entity='x" y="z'),
        document(entity='x"'),
        document(id="a>b"),
        document(end="x"),
        document(end="<"),
        document()[len(DECLARED) :],
        document().replace(b'xmlns:x="u"', b'xmlns:x="v"'),
        document().replace(b"<note >", b"<note>"),
        document().replace(b"</presence>", b'</presence">'),
        # The value goes on in the next tag.
        document().replace(b'id="t1"><status>', b'id="t1><status>"'),
        DECLARED.encode() + b"x",
    ],
)


@NOT_FAMILIAR
def test_what_is_not_familiar(shapes: Familiar, body: bytes) -> None:
    assert shapes.read(body) is None


@NOT_FAMILIAR
def test_what_is_not_usual(usual: Familiar, body: bytes) -> None:
    assert usual.read(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"<a/>",
        f"{DECLARED}<a b='c'/>".encode(),
        f"{DECLARED}<\u00e9/>".encode(),
        f"{DECLARED}<!-- --><a/>".encode(),
        f"{DECLARED}<a>{'<b/>' * 900}</a>".encode(),
        f'{DECLARED}x<a b="c"/>'.encode(),
    ],
)
def test_what_is_not_learned(body: bytes) -> None:
    shapes = Familiar("entity", "basic")
    shapes.learn(body)
    assert len(shapes) == 0


def test_what_is_asked_for_may_be_missing() -> None:
    shapes = Familiar("entity", "basic")
    body = f'{DECLARED}<a b="c"><x:basic/><basics>d</basics></a>'.encode()
    shapes.learn(body)
    assert shapes.read(body) == ("", [""])


def test_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(familiar, "_MOST_SHAPES", 3)
    shapes = Familiar("entity", "basic")
    for number in range(10):
        shapes.learn(f"{DECLARED}<a{number}/>".encode())
        assert 1 <= len(shapes) <= 3


@pytest.mark.parametrize("seed", range(20))
def test_the_same_is_taken_and_seen_as_with_a_tree(seed: int) -> None:
    chance = random.Random(seed)
    plain = document(basic="OPEN").decode()
    for _ in range(chance.choice((1, familiar._OFTEN + 2))):
        Presence.parse(plain.encode())
    for _ in range(200):
        text = plain
        for _ in range(chance.choice((1, 2, 2, 3))):
            place = chance.randrange(len(DECLARED), len(text))
            piece = chance.choice(('"', "'", "<", ">", "/", "=", " ", "&", "x", '="', '">', "><", '" "', ""))
            text = text[:place] + piece + text[place + chance.choice((0, 0, 1, 1, 2)) :]
        body = text.encode()
        expected = None
        try:
            tree = Presence.of(parse_xml(body, root=(NAMESPACE, "presence")))
            expected = tree.entity, tree.states_known, tree.basic
        except DocumentError:
            with pytest.raises(DocumentError):
                Presence.parse(body)
            continue
        read = Presence.parse(body)
        assert (read.entity, read.states_known, read.basic) == expected, body
