"""The short way through the parser comes to the same result as the careful one, and leaves to it what is odd."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message import ordinary, parser
from twisted_sip.message.limits import DEFAULT_LIMITS, MessageLimits
from twisted_sip.message.ordinary import read_ordinary
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

REQUEST = (
    b"MESSAGE sip:bob@example.com;lr SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK-1-2;ttl=1\r\n"
    b"Via: SIP/2.0/TCP host.example.com;branch=z9hG4bKa\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice, A" <sip:alice@example.com>;tag=a.1\r\n'
    b"To: <sip:bob@example.com>\r\n"
    b"Call-ID: abc@192.0.2.1\r\n"
    b"X-Own-Field: 1\r\n"
    b"CSeq: 7 MESSAGE\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 5\r\n\r\nhello"
)
RESPONSE = (
    b"SIP/2.0 200 OK\r\n"
    b"v: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKq;received=192.0.2.77\r\n"
    b"f:sip:alice@example.com;tag=1\r\n"
    b"t: <sip:bob@example.com>;tag=b2\r\n"
    b"i: abc\r\n"
    b"CSeq: 4000000000 INVITE\r\n"
    b"Expires: 60\r\n\r\n"
)
# Some write all Via values into one line (RFC 3261 section 7.3.1).
JOINED = (
    b"SIP/2.0 200 OK\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKq-1;rport, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-31-1-0\r\n"
    b"From: <sip:alice@example.com>;tag=m31-1\r\n"
    b"To: <sip:bob@example.com>;tag=s30-1\r\n"
    b"Call-ID: 1-31@192.0.2.1\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Content-Length:     0\r\n\r\n"
)
SEEDS = pytest.mark.parametrize("seed", [REQUEST, RESPONSE, JOINED], ids=["request", "response", "joined"])


def meaning(message: Request | Response) -> Any:
    """All that two readers of a message must agree on."""
    via = message.top_via
    known = (
        message.headers.names,
        message.headers.lines,
        message.body,
        message.start_line,
        (str(via), via.transport, via.host, via.port, via.sent_by, via.branch, via.params.items()),
        (str(message.from_), message.from_.tag, message.from_.uri_text, message.from_.display_name),
        (str(message.to), message.to.tag, message.to.uri_text, message.to.params.items()),
        message.call_id,
        message.cseq,
    )
    return (*known, message.method, message.uri) if isinstance(message, Request) else known


def carefully(data: bytes) -> Any:
    try:
        return meaning(parser.parse_with_care(data, DEFAULT_LIMITS))
    except RemoteProtocolError:
        return None


def mutations(seed: bytes, count: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    bits = [b" ", b"\t", b"\r\n", b"\r", b"\n", b"\0", b";", b",", b":", b'"', b"<", b">", b"=", b"\xc3\xa9", b"\xff"]
    bits += [b";tag=", b";branch=", b";Branch=x", b";TAG=q", b"0", b"Via: ", b"To: <sip:x>\r\n", b"\r\n ", b"@", b"("]
    for _ in range(count):
        data = bytearray(seed)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            place = chance.randrange(len(data))
            if chance.random() < 0.3:
                del data[place : place + chance.choice((1, 1, 2, 8))]
            elif chance.random() < 0.2:
                end = place + chance.randrange(20)
                data[place:end] = data[place:end].swapcase()
            else:
                data[place:place] = chance.choice(bits)
        yield bytes(data)


@SEEDS
def test_both_ways_agree(seed: bytes) -> None:
    read = 0
    for data in [seed, *mutations(seed, 3000)]:
        message = read_ordinary(data, DEFAULT_LIMITS)
        if message is not None:
            read += 1
            assert meaning(message) == carefully(data), data
    assert read > 500


@SEEDS
def test_lines_in_any_order(seed: bytes) -> None:
    """What was learnt of lines in one order is not taken for true in another one."""
    chance = random.Random(7)
    head, _, body = seed.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    for number in range(300):
        call_id = b"Call-ID: %d" % (number // 3)
        shuffled = [line.replace(b"Call-ID: ", call_id) for line in chance.sample(lines, len(lines))]
        data = b"\r\n".join([start, *shuffled]) + b"\r\n\r\n" + body
        message = read_ordinary(data, DEFAULT_LIMITS)
        assert message is not None
        assert meaning(message) == carefully(data)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        (b"Via: SIP/2.0/UDP 192.0.2.1:5060;", b" Via: SIP/2.0/UDP 192.0.2.1:5060;"),
        (b"Via: SIP/2.0/UDP 192.0.2.1:5060;", b"X: SIP/2.0/UDP 192.0.2.1:5060;"),
        (b"Via: SIP/2.0/TCP", b" Via: SIP/2.0/TCP"),
        (b"Via: SIP/2.0/TCP host", b"Via: SIP/2.0/TCP\rhost"),
        (b"From:", b" From:"),
        (b"From:", b"Reply-To:"),
        (b"To: <sip:bob@example.com>", b"To: <sip:bob@example.com>\r"),
        (b"To:", b" To:"),
        (b"To:", b"From:"),
        (b"Call-ID:", b" Call-ID:"),
        (b"Call-ID:", b"Subject:"),
        (b"abc@192", b"abc\r192"),
        (b"abc@192", b"abc\n192"),
        (b"abc@192", b"abc\x00192"),
        (b"CSeq: 7", b" CSeq: 7"),
        (b"X-Own-Field: 1", b"X-Own-Field: \n"),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\n"),
        (b"MESSAGE sip", b"MESSAGE\r sip"),
    ],
)
def test_lines_that_stand_where_others_stood(line: bytes, instead: bytes) -> None:
    """The layout is known, and all other lines are; what is new is read as carefully as ever."""
    for _ in range(2):
        assert read_ordinary(REQUEST, DEFAULT_LIMITS) is not None
    assert line in REQUEST
    data = REQUEST.replace(line, instead)
    message = read_ordinary(data, DEFAULT_LIMITS)
    assert message is None or meaning(message) == carefully(data)


def test_tables_of_lines_and_layouts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordinary, "_MOST_LAYOUTS", 3)
    monkeypatch.setattr(ordinary, "_LAYOUTS", layouts := {})
    for more in range(10):
        data = REQUEST.replace(b"X-Own-Field: 1\r\n", b"X-Own-Field: 1\r\n" * more)
        assert read_ordinary(data, DEFAULT_LIMITS) is not None
        assert len(layouts) <= 3


@pytest.mark.parametrize("lines", [b"X-Own-Field: 1\r\n" * 60, b"X-%s: 1\r\n" % (b"o" * 300)])
def test_layouts_that_take_much_memory_are_not_kept(monkeypatch: pytest.MonkeyPatch, lines: bytes) -> None:
    monkeypatch.setattr(ordinary, "_LAYOUTS", layouts := {})
    data = REQUEST.replace(b"X-Own-Field: 1\r\n", lines)
    for _ in range(2):
        assert read_ordinary(data, DEFAULT_LIMITS) is not None
        assert not layouts


def test_the_usual_messages_take_the_short_way() -> None:
    for data in (
        REQUEST,
        RESPONSE,
        JOINED,
        REQUEST + b"surplus",
        REQUEST.replace(b";rport", b""),
        REQUEST.replace(b"X-O", b"o"),
    ):
        assert read_ordinary(data, DEFAULT_LIMITS) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n" + REQUEST,
        RESPONSE[:-2],
        REQUEST.replace(b"sip:bob@example.com;lr", b"sip:bob@[1::2::3]"),
        REQUEST.replace(b"sip:bob@example.com;lr", b"sip:bob@example.com?a=b"),
        REQUEST.replace(b"SIP/2.0\r\n", b"SIP/2.1\r\n", 1),
        RESPONSE.replace(b"200", b"700"),
        REQUEST.replace(b"Call-ID:", b"Call-Id :"),
        REQUEST.replace(b"X-Own-Field:", b"X Own:"),
        REQUEST.replace(b"X-Own-Field:", b"X-Own-Field"),
        REQUEST.replace(b"X-Own-Field:", b" folded:"),
        REQUEST.replace(b"X-Own-Field:", b"cALL-iD:"),
        REQUEST.replace(b"X-Own-Field:", b"Max-Forwards:"),
        REQUEST.replace(b"X-Own-Field:", b"Content-Length:"),
        REQUEST.replace(b"X-Own-Field:", b"To:"),
        REQUEST.replace(b"Alice, A", b"Al\xffice"),
        REQUEST.replace(b"Alice, A", b"Al\0ice"),
        REQUEST.replace(b"Alice, A", b"Al\nice"),
        REQUEST.replace(b"Length: 5", b"Length: 6"),
        REQUEST.replace(b"Length: 5", b"Length: x"),
        REQUEST.replace(b"Length: 5", b"Length: " + b" " * 300 + b"5"),
        REQUEST.replace(b"abc@192", b"abc 192"),
        REQUEST.replace(b"CSeq: 7 M", b"CSeq: 7 X"),
        REQUEST.replace(b"CSeq: 7 M", b"CSeq: M"),
        REQUEST.replace(b"<sip:bob", b"sip:bob", 1),
        RESPONSE.replace(b";branch", b", SIP/2.0/UDP x;branch"),
    ],
)
def test_what_is_odd_is_left_to_the_careful_way(data: bytes) -> None:
    assert read_ordinary(data, DEFAULT_LIMITS) is None


@pytest.mark.parametrize("limit", [{"message": 300}, {"head": 300}, {"header_count": 5}, {"uri": 10}])
def test_limits(limit: dict[str, int]) -> None:
    assert read_ordinary(REQUEST, MessageLimits(**limit)) is None
