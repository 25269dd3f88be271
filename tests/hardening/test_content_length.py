"""Content-Length that is none, too much or not the only one, over UDP and TCP (RFC 3261 sections 18.3 and 20.14).

What stands behind such a head on a stream is not read as another message: nobody smuggles a request past others in the
body of one.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from houses import BOB, STRANGER, House

from twisted_sip.testing.peer import on_the_wire

Houses = Callable[[str], House]
BOTH = pytest.mark.parametrize("over", ["udp", "tcp"])
BODY = b"hello"
BAD = (
    b"-5",
    b"-0",
    b"+5",
    b"5.0",
    b"5e0",
    b"0x5",
    b"5h",
    b"five",
    b"5,5",
    b"5, 5",
    b"5;5",
    b'"5"',
    b"5 5",
    b"\xd9\xa5",
    b"\xff",
    b"",
    b" \t",
    b"5\r\nContent-Length: 5",
    b"5\r\nl: 5",
    b"0\r\nContent-Length: 5",
    b"5\r\nl: 0",
)
HUGE = (
    b"65536",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"4294967301",
    b"18446744073709551616",
    b"18446744073709551621",
    b"9" * 100,
    b"9" * 5000,
    b"0" * 4000 + b"4294967301",
)
GOOD = (b"5", b"05", b"0000000005", b" 5", b"5 ", b"\t5\t", b"\r\n 5")


def message(house: House, length: bytes, over: str, behind: bytes = b"") -> bytes:
    text = house.text_of(
        "MESSAGE", BOB, "Content-Type: text/plain", "Content-Length: LENGTH", sender=STRANGER, over=over
    )
    return on_the_wire(text).replace(b"LENGTH", length) + BODY + behind


@BOTH
@pytest.mark.parametrize("length", GOOD)
def test_odd_but_legal(houses: Houses, over: str, length: bytes) -> None:
    house = houses("proxy")
    before = len(house.callee.requests)
    assert house.statuses(message(house, length, over), over) == [200]
    assert [request.body for request in house.callee.requests[before:]] == [BODY]


@BOTH
@pytest.mark.parametrize("length", BAD + HUGE)
def test_bad(houses: Houses, over: str, length: bytes) -> None:
    house = houses("proxy")
    before = len(house.callee.requests)
    # Another request, whole, where a body should be.
    behind = message(house, b"5", over)
    found = house.statuses(message(house, length, over, behind), over)
    assert found in ([400], [513]), found
    if over == "tcp":
        # Where the next message begins nobody can tell: the connection is given up.
        assert house._stream is not None and house._stream.closed
    house.network.advance(1)
    assert len(house.callee.requests) == before
    house.sane()
    assert house.statuses(message(house, b"5", over), over) == [200]


@pytest.mark.parametrize("length", [b"6", b"60000", *HUGE])
def test_more_than_the_datagram_has(houses: Houses, length: bytes) -> None:
    house = houses("proxy")
    before = len(house.callee.requests)
    assert house.statuses(message(house, length, "udp")) in ([400], [513])
    assert len(house.callee.requests) == before


def test_less_than_the_datagram_has(houses: Houses) -> None:
    house = houses("proxy")
    before = len(house.callee.requests)
    # Section 18.3: what is left over is dropped, and is no message.
    assert house.statuses(message(house, b"2", "udp", message(house, b"5", "udp"))) == [200]
    assert [request.body for request in house.callee.requests[before:]] == [b"he"]


def test_none(houses: Houses) -> None:
    house = houses("proxy")
    before = len(house.callee.requests)
    data = message(house, b"5", "udp").replace(b"Content-Length: 5\r\n", b"")
    # Over UDP the body goes to the end of the datagram; on a stream there is no telling (section 20.14: MUST).
    assert house.statuses(data) == [200]
    assert house.callee.requests[before].body == BODY
    data = message(house, b"5", "tcp", message(house, b"5", "tcp")).replace(b"Content-Length: 5\r\n", b"", 1)
    assert house.statuses(data, "tcp") in ([400], [])
    assert house._stream is not None and house._stream.closed
    house.network.advance(1)
    assert len(house.callee.requests) == before + 1
    house.sane()


def test_octets_of_a_long_body_are_waited_for_no_longer_than_allowed(houses: Houses) -> None:
    house = houses("proxy")
    stream = house.stream
    stream.send(message(house, b"60000", "tcp"))
    house.network.advance(40)
    assert stream.closed
    assert house.server.element is not None
    assert len(house.server.element.transports.connections) == 0
    house.sane()
