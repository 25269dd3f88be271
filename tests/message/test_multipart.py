"""Multipart bodies: reading and building (RFC 2046 section 5.1)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.media_types import ContentDisposition, MediaType
from twisted_sip.message.multipart import BodyPart, build_multipart, parse_multipart

MIXED = 'multipart/mixed; boundary="b"'


def refusal(content_type: str, body: bytes, **limits: int) -> RemoteProtocolError:
    started = time.process_time()
    with pytest.raises(RemoteProtocolError) as caught:
        parse_multipart(content_type, body, **limits)
    assert time.process_time() - started < 0.5
    assert caught.value.header
    return caught.value


def test_reads_parts() -> None:
    body = (
        b"preamble\r\n--b\r\nContent-Type: application/sdp\r\nContent-Disposition: session\r\n\r\nv=0\r\n\r\n"
        b"--b  \r\ncontent-type : text/plain;charset=utf-8\r\nContent-ID: <x@y>\r\nX-Other: one\r\n two"
        b"\r\n\r\nhello\r\n"
        b"--b--\r\nepilogue\r\n--b\r\n"
    )
    read = parse_multipart(MIXED, body)
    first, second = read.parts
    assert first.content_type == MediaType("application/sdp")
    assert first.disposition == ContentDisposition("session")
    assert first.body == b"v=0\r\n"
    assert second.content_id == "x@y"
    assert second.headers == (("x-other", "one two"),)
    assert second.body == b"hello"
    assert read.body == b"" and read.root is first
    assert read.part("<x@y>") is second and read.part("x@y") is second and read.part("z") is None


def test_what_is_not_multipart_is_one_part() -> None:
    read = parse_multipart("text/plain", b"--b\r\n")
    assert read.parts == () and read.body == b"--b\r\n"
    assert list(read.leaves()) == [read]
    assert parse_multipart(MediaType("text/html"), b"x").content_type.subtype == "html"


def test_bare_line_feeds_are_read() -> None:
    read = parse_multipart(MIXED, b"--b\nContent-Type: text/html\n\nhello\n--b--")
    assert read.parts[0].body == b"hello"
    assert read.parts[0].content_type.subtype == "html"


@pytest.mark.parametrize(
    ("part", "body"),
    [
        (b"\r\n\r\n\r\nhello", b"\r\nhello"),
        (b"\r\n\r\nhello", b"hello"),
        (b"\r\n\r\n", b""),
        (b"", b""),
        (b"\r\nSubject: x", b""),
        (b"\r\nSubject: x\r\n", b""),
        (b"\r\nSubject: x\r\n\r\n", b""),
        (b"\r\n\r\n --b", b" --b"),
        (b"\r\n\r\n--bc\r\n-b", b"--bc\r\n-b"),
    ],
)
def test_edges_of_a_part(part: bytes, body: bytes) -> None:
    read = parse_multipart(MIXED, b"--b" + part + b"\r\n--b--")
    assert [found.body for found in read.parts] == [body]
    assert read.parts[0].content_type.key == "text/plain"


@pytest.mark.parametrize(
    ("encoding", "coded", "body"),
    [
        (b"binary", b"\0\xff", b"\0\xff"),
        (b"8BIT", b"\xff", b"\xff"),
        (b"7bit", b"x=3D", b"x=3D"),
        (b"base64", b"aGVs\r\n bG8=\r\n", b"hello"),
        (b"Quoted-Printable", b"h=C3=A9=\r\n.", b"h\xc3\xa9."),
    ],
)
def test_transfer_encodings(encoding: bytes, coded: bytes, body: bytes) -> None:
    read = parse_multipart(MIXED, b"--b\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + coded + b"\r\n--b--")
    assert read.parts[0].body == body


@pytest.mark.parametrize(
    ("content_type", "body", "status", "reason"),
    [
        ("multipart/mixed", b"--b\r\n\r\n\r\n--b--", 400, "without a legal boundary"),
        ('multipart/mixed;boundary="b "', b"--b \r\n\r\n--b --", 400, "without a legal boundary"),
        ("multipart/mixed;boundary=" + "b" * 71, b"", 400, "without a legal boundary"),
        (MIXED, b"", 400, "without any part"),
        (MIXED, b"--c\r\n\r\nx\r\n--c--", 400, "without any part"),
        (MIXED, b"--b--", 400, "without any part"),
        (MIXED, b"--b\r\n\r\nx\r\n", 400, "final boundary"),
        (MIXED, b"--b\r\n\r\nx\r\n--b\r\n\r\ny", 400, "final boundary"),
        (MIXED, b"--b\r\nno colon\r\n\r\nx\r\n--b--", 400, "malformed header field"),
        (MIXED, b"--b\r\nna me: x\r\n\r\nx\r\n--b--", 400, "malformed header field"),
        (MIXED, b"--b\r\nContent-Type: x\r\n\r\nx\r\n--b--", 400, "Content-Type"),
        (MIXED, b"--b\r\nContent-Disposition: ;\r\n\r\nx\r\n--b--", 400, "Content-Disposition"),
        (MIXED, b"--b\r\nContent-Transfer-Encoding: gzip\r\n\r\nx\r\n--b--", 415, "unknown Content-Transfer"),
        (MIXED, b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nx!\r\n--b--", 400, "malformed base64"),
        (MIXED, b"--b\r\n" + b"a: b\r\n" * 33 + b"\r\nx\r\n--b--", 413, "too many header fields"),
    ],
)
def test_malformed(content_type: str, body: bytes, status: int, reason: str) -> None:
    error = refusal(content_type, body)
    assert error.status == status
    assert reason in error.reason


def test_limit_of_parts() -> None:
    body = b"--b\r\n\r\nx\r\n" * 1000 + b"--b--"
    assert refusal(MIXED, body).status == 413
    assert len(parse_multipart(MIXED, body, parts=1000).parts) == 1000


def nested(depth: int) -> tuple[str, bytes]:
    content_type, body = "text/plain", b"x"
    for level in range(depth):
        content_type, body = build_multipart(
            [BodyPart(content_type=MediaType.parse(content_type), body=body)], boundary=f"level{level}"
        )
    return content_type, body


def test_limit_of_depth() -> None:
    content_type, body = nested(8)
    assert [part.body for part in parse_multipart(content_type, body).leaves()] == [b"x"]
    assert refusal(*nested(9)).status == 413
    assert refusal(*nested(2), depth=1).status == 413
    # Each level may have as many parts as all together may be.
    inner = b"--i\r\n\r\n\r\n" * 200 + b"--i--"
    outer = (b"--b\r\nContent-Type: multipart/mixed;boundary=i\r\n\r\n" + inner + b"\r\n") * 2 + b"--b--"
    assert refusal(MIXED, outer).status == 413


def test_big_body_without_parts_is_cheap() -> None:
    refusal(MIXED, b"\r\n--" * 300_000)
    refusal(MIXED, b"\r\n--b" + b" " * 1_000_000 + b"x")


def test_related_begins_with_its_start() -> None:
    content_type, body = build_multipart(
        [
            BodyPart(content_id="one@example.com", body=b"1"),
            BodyPart(content_type=MediaType("application/rlmi+xml"), content_id="two@example.com", body=b"2"),
        ],
        "related",
        (("type", "application/rlmi+xml"), ("start", "<two@example.com>")),
        boundary="50UBfW7LSCVLtggUPe5z",
    )
    assert content_type == (
        'multipart/related;type="application/rlmi+xml";start="<two@example.com>";boundary=50UBfW7LSCVLtggUPe5z'
    )
    read = parse_multipart(content_type, body)
    assert read.root.body == b"2"
    missing = parse_multipart(content_type.replace("two@", "three@"), body)
    with pytest.raises(RemoteProtocolError, match="start parameter"):
        _ = missing.root


def test_build() -> None:
    content_type, body = build_multipart(
        [
            BodyPart(
                content_type=MediaType("text/plain"),
                body=b"hello",
                disposition=ContentDisposition("render", (("handling", "optional"),)),
                headers=(("content-language", "en"),),
            )
        ],
        boundary="a b",
    )
    assert content_type == 'multipart/mixed;boundary="a b"'
    assert body == (
        b"--a b\r\nContent-Transfer-Encoding: binary\r\nContent-Type: text/plain\r\n"
        b"Content-Disposition: render;handling=optional\r\ncontent-language: en\r\n\r\nhello\r\n--a b--\r\n"
    )


def test_nested_parts_are_built() -> None:
    inner = BodyPart(
        content_type=MediaType("multipart/related", (("start", "<r@x>"),)),
        content_id="inner@x",
        parts=(BodyPart(body=b"a"), BodyPart(body=b"b", content_id="r@x")),
    )
    content_type, body = build_multipart([inner, BodyPart(body=b"c")])
    read = parse_multipart(content_type, body)
    assert [part.body for part in read.leaves()] == [b"a", b"b", b"c"]
    assert read.parts[0].content_id == "inner@x"
    assert read.parts[0].root.body == b"b"


def test_what_cannot_be_built() -> None:
    with pytest.raises(LocalProtocolError, match="needs a part"):
        build_multipart([])
    with pytest.raises(LocalProtocolError, match="no boundary"):
        build_multipart([BodyPart()], boundary="a\r\n")
    with pytest.raises(LocalProtocolError, match="occurs in a part"):
        build_multipart([BodyPart(body=b"x\r\n--here\r\n")], boundary="here")
    with pytest.raises(LocalProtocolError):
        build_multipart([BodyPart(content_id="a\r\nb")])


def test_boundary_is_made_of_the_parts_and_occurs_in_none() -> None:
    first = build_multipart([BodyPart(body=b"x")])
    assert first == build_multipart([BodyPart(body=b"x")])
    boundary = MediaType.parse(first[0]).boundary
    # A part that holds the boundary made for other parts makes no difference; one of its own cannot be made on purpose.
    read = parse_multipart(*build_multipart([BodyPart(body=b"\r\n--" + boundary.encode() + b"--\r\n")]))
    assert boundary.encode() in read.parts[0].body


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_what_is_built_reads_back(bodies: list[bytes]) -> None:
    content_type, body = build_multipart([BodyPart(body=text) for text in bodies])
    assert [part.body for part in parse_multipart(content_type, body).parts] == bodies
