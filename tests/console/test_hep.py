"""HEPv3: packets as capture servers read them, and who sends them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.console.hep import MAX_PACKET, packet
from twisted_sip.console.hep_exporter import HEPExporter
from twisted_sip.console.settings import HEPSettings
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP
from twisted_sip.message.parser import parse_message

MESSAGE = (
    b"OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b'To: <sip:b@c>\r\nCall-ID: c@d\r\nCSeq: 1 OPTIONS\r\nAuthorization: Digest username="a", response="secret"\r\n\r\n'
)


def chunks(data: bytes) -> dict[int, bytes]:
    """Read a packet by the book, and find nothing left over."""
    assert data[:4] == b"HEP3"
    (length,) = struct.unpack("!H", data[4:6])
    assert length == len(data)
    found = {}
    at = 6
    while at < length:
        vendor, kind, size = struct.unpack("!HHH", data[at : at + 6])
        assert vendor == 0 and kind not in found and size >= 6
        found[kind] = data[at + 6 : at + size]
        at += size
    assert at == length
    return found


def test_ipv4_over_udp() -> None:
    found = chunks(
        packet(b"hello", Address("192.0.2.1", 5060), Address("198.51.100.7", 5070), 1700000000.25, stream=False,
               agent=7, key="word", correlation="c@d")
    )  # fmt: skip
    assert found == {
        1: b"\x02", 2: b"\x11", 3: bytes([192, 0, 2, 1]), 4: bytes([198, 51, 100, 7]), 7: b"\x13\xc4", 8: b"\x13\xce",
        9: struct.pack("!I", 1700000000), 10: struct.pack("!I", 250000), 11: b"\x01", 12: b"\0\0\0\x07",
        14: b"word", 15: b"hello", 17: b"c@d",
    }  # fmt: skip


def test_ipv6_over_tcp_without_key() -> None:
    found = chunks(packet(b"x", Address("2001:db8::1", 1), Address("2001:db8::2", 2), 0.0, stream=True))
    assert (found[1], found[2], len(found[5]), len(found[6])) == (b"\x0a", b"\x06", 16, 16)
    assert 14 not in found and 17 not in found


def test_what_is_too_long_is_cut() -> None:
    data = packet(b"x" * 70000, Address("192.0.2.1", 1), Address("192.0.2.2", 2), 0.0, stream=False)
    assert len(data) <= MAX_PACKET
    assert len(chunks(data)[15]) > 64000


def test_names_are_no_addresses() -> None:
    with pytest.raises(ValueError, match="example"):
        packet(b"x", Address("example.com", 1), Address("192.0.2.2", 2), 0.0, stream=False)


class FakeFlow:
    local, remote, kind = Address("192.0.2.9", 5060), Address("192.0.2.1", 5062), UDP


class Wire:
    """A transport that keeps what is written, or refuses it."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, Any]] = []
        self.broken = False

    def write(self, data: bytes, where: Any) -> None:
        if self.broken:
            raise OSError("network is unreachable")
        self.written.append((data, where))


def exporter(**settings: Any) -> tuple[HEPExporter, Wire, Clock]:
    clock = Clock()
    made = HEPExporter(HEPSettings(server="x:1", **settings), clock.seconds)
    wire: Any = Wire()
    made.transport = wire
    made.reaches("203.0.113.5", 9060)
    return made, wire, clock


def test_copies_go_both_ways_without_credentials() -> None:
    made, wire, _ = exporter()
    message: Any = parse_message(MESSAGE)
    flow: Any = FakeFlow()
    made.seen(message, MESSAGE, flow)
    made.sent(message, MESSAGE, flow)
    (first, where), (second, _) = wire.written
    assert where == ("203.0.113.5", 9060)
    came, went = chunks(first), chunks(second)
    assert (came[3], came[4]) == (went[4], went[3]) == (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 9]))
    assert b"secret" not in came[15] and came[15].startswith(b"OPTIONS sip:b@example.com SIP/2.0\r\n")
    assert came[17] == b"c@d"
    assert (made.exported, made.dropped) == (2, 0)


def test_credentials_where_they_are_asked_for() -> None:
    made, wire, _ = exporter(credentials=True)
    message: Any = parse_message(MESSAGE)
    flow: Any = FakeFlow()
    flow.kind = TCP
    made.seen(message, MESSAGE, flow)
    assert chunks(wire.written[0][0])[15] == MESSAGE


def test_no_more_than_so_many_in_a_second_and_nothing_breaks() -> None:
    made, wire, clock = exporter(max_rate=2)
    message: Any = parse_message(MESSAGE)
    flow: Any = FakeFlow()
    for _ in range(5):
        made.seen(message, MESSAGE, flow)
    assert (made.exported, made.dropped) == (2, 3)
    clock.advance(1)
    wire.broken = True
    made.seen(message, MESSAGE, flow)
    assert (made.exported, made.dropped) == (2, 4)


def test_nothing_is_sent_before_it_is_known_where() -> None:
    made = HEPExporter(HEPSettings(server="x:1"), Clock().seconds)
    message: Any = parse_message(MESSAGE)
    flow: Any = FakeFlow()
    made.seen(message, MESSAGE, flow)
    assert made.dropped == 1
