"""Multipart bodies that are empty, nested, unterminated or without a boundary, to whoever reads bodies: one answer,
nothing in the log, no time lost (RFC 2046 section 5.1, RFC 5621)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from houses import ALICE, BOB, House, credentials

from twisted_sip.testing.peer import on_the_wire

Houses = Callable[[str], House]
MIXED = "multipart/mixed"
PIDF = b"Content-Type: application/pidf+xml\r\n\r\n<presence/>"


def nested(depth: int) -> bytes:
    body = b"Content-Type: text/plain\r\n\r\nx"
    for level in range(depth):
        mark = b"b%d" % level
        body = b"Content-Type: multipart/mixed;boundary=%s\r\n\r\n--%s\r\n%s\r\n--%s--\r\n" % (mark, mark, body, mark)
    return body.partition(b"\r\n\r\n")[2]


BODIES: dict[str, tuple[str, bytes]] = {
    "empty": (f"{MIXED};boundary=b", b""),
    "no part": (f"{MIXED};boundary=b", b"--b--\r\n"),
    "empty parts": (f"{MIXED};boundary=b", b"--b\r\n\r\n--b\r\n\r\n--b--\r\n"),
    "unterminated": (f"{MIXED};boundary=b", b"--b\r\n" + PIDF),
    "half a mark": (f"{MIXED};boundary=b", b"--b\r\n" + PIDF + b"\r\n--"),
    "no head": (f"{MIXED};boundary=b", b"--b\r\nno head at all\r\n--b--"),
    "mark alone": (f"{MIXED};boundary=b", b"--b"),
    "no boundary": (MIXED, b"--b\r\n" + PIDF + b"\r\n--b--"),
    "empty boundary": (f'{MIXED};boundary=""', b"--\r\n" + PIDF + b"\r\n----"),
    "another boundary": (f"{MIXED};boundary=c", b"--b\r\n" + PIDF + b"\r\n--b--"),
    "long boundary": (f"{MIXED};boundary={'b' * 5000}", b"--" + b"b" * 5000 + b"\r\n" + PIDF),
    "odd boundary": (f'{MIXED};boundary="a b\\"(c){{d}}%s*"', b'--a b"(c){d}%s*\r\n' + PIDF + b'\r\n--a b"(c){d}%s*--'),
    "pattern": (f'{MIXED};boundary="(.*)+"', b"--(.*)+\r\n" + b"-" * 20_000),
    "two boundaries": (f"{MIXED};boundary=b;boundary=c", b"--b\r\n" + PIDF + b"\r\n--c--"),
    "dashes": (f"{MIXED};boundary=-", b"-" * 30_000),
    "marks": (f"{MIXED};boundary=b", b"--b\r\n" * 8_000),
    "deep": (f"{MIXED};boundary=b199", nested(200)),
    "deeper": (f"{MIXED};boundary=b799", nested(800)),
    "one within itself": (
        f"{MIXED};boundary=b",
        b"--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\n--b--",
    ),
    "related without root": ('multipart/related;boundary=b;start="<none>"', b"--b\r\n" + PIDF + b"\r\n--b--"),
    "encodings": (f"{MIXED};boundary=b", b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n--b--"),
    "unknown encoding": (f"{MIXED};boundary=b", b"--b\r\nContent-Transfer-Encoding: x-y\r\n\r\nx\r\n--b--"),
    "long head": (f"{MIXED};boundary=b", b"--b\r\n" + b"X: y\r\n" * 5_000 + b"\r\nx\r\n--b--"),
    "nul": (f"{MIXED};boundary=b", b"--b\r\nX: \0\r\n\r\n\0\r\n--b--"),
    "type": ("multipart/;boundary=b", b"--b\r\n\r\n--b--"),
    "alternative of nothing": ("multipart/alternative;boundary=b", b"--b--"),
}

#: (method, to whom, header fields): what reads a body, and what answers it well.
READERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "publish": ("PUBLISH", ALICE, ("Event: presence", "Expires: 300")),
    "subscribe": ("SUBSCRIBE", BOB, ("Event: presence", "Expires: 300")),
    "list": (
        "SUBSCRIBE",
        ALICE,
        ("Event: presence", "Expires: 300", "Supported: eventlist", "Require: recipient-list-subscribe"),
    ),
    "message": ("MESSAGE", BOB, ()),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", BODIES)
def test_sip(houses: Houses, reader: str, name: str) -> None:
    house = houses("presence")
    method, uri, lines = READERS[reader]
    content_type, body = BODIES[name]
    begun = time.process_time()
    text = house.text_of(method, uri, *lines)
    (challenge,) = house.ask(text)
    line = credentials(challenge, method, uri, "alice")
    head = house.text_of(method, uri, *lines, line, f"Content-Type: {content_type}", f"Content-Length: {len(body)}")
    stream = on_the_wire(head.replace("SIP/2.0/UDP", "SIP/2.0/TCP")) + body
    found = house.statuses(stream, "tcp", 1.0)
    assert len(found) == 1 and found[0] not in (401, 500), found
    if reader in ("publish", "list"):
        assert 400 <= found[0] < 500, found
    assert time.process_time() - begun < 1.0
    house.sane()
