"""Bad peers on streams and sockets: noise, floods, half messages, slowness. Nothing raises, nothing grows."""

from __future__ import annotations

import random

import pytest
from test_bad_input import GOOD
from torture_server import LONG, SERVER, Rig

NOISE = random.Random(4475)
OVER_TCP = GOOD.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")


def noise(size: int) -> bytes:
    return NOISE.randbytes(size)


@pytest.mark.parametrize("size", [1, 2, 20, 500, 8000, 65_000])
def test_random_octets(size: int) -> None:
    with Rig() as rig:
        peers = []
        for _ in range(20):
            rig.peer().send(noise(size), SERVER)
            peers.append(rig.connect())
            peers[-1].send(noise(size))
        rig.network.advance(LONG)
        assert all(peer.closed for peer in peers)
        rig.alive()
        rig.network.advance(8000)
        assert rig.server.leftovers() == {}


@pytest.mark.parametrize(
    "data",
    [
        b"\0", b"\0\0\0\0", b"\r", b"\n", b"\r\n", b" ", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\xff" * 1000, b"SIP/2.0", b"SIP/2.0 ", b"INVITE", b"INVITE ", b":" * 2000, b"a:b\r\n" * 500 + b"\r\n",
        b"\r\n\r\n\r\n\r\n", b"\x00\x01\x00\x08!\x12\xa4B" + b"\x07" * 12, b"<" * 3000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_message(data: bytes) -> None:
    with Rig() as rig:
        rig.peer().send(data, SERVER)
        peer = rig.connect()
        peer.send(data)
        rig.network.advance(LONG)
        assert peer.closed
        rig.alive()
        rig.network.advance(8000)
        assert rig.server.leftovers() == {}


def test_a_message_cut_anywhere_as_a_datagram() -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        for end in range(len(GOOD)):
            rig.peer().send(GOOD[:end], SERVER)
        rig.network.advance(LONG)
        # What is cut within the head lacks its end, within the body its body: none goes on.
        assert not rig.callee.requests
        rig.alive()


def test_a_message_cut_anywhere_and_the_stream_closed() -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        for end in range(0, len(OVER_TCP), 7):
            peer = rig.connect()
            peer.send(OVER_TCP[:end])
            peer.close()
        rig.network.advance(LONG)
        assert not rig.callee.requests
        assert len(rig.server.element.transports.connections) == 0
        rig.alive()


def test_an_octet_at_a_time_is_too_slow() -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        peers = [rig.connect() for _ in range(30)]
        for place in range(60):
            for peer in peers:
                peer.send(OVER_TCP[place : place + 1])
            rig.network.advance(1)
        rig.network.advance(10)
        assert all(peer.closed for peer in peers)
        assert len(rig.server.element.transports.connections) == 0
        assert not rig.callee.requests
        rig.alive()


def test_slow_but_whole_is_served() -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        peer = rig.connect()
        for place in range(0, len(OVER_TCP), 20):
            peer.send(OVER_TCP[place : place + 20])
            rig.network.advance(1)
        assert peer.expect(200)


def test_a_head_without_end_is_refused_at_the_limit() -> None:
    with Rig() as rig:
        peer = rig.connect()
        for _ in range(200):
            peer.send(b"X-Header: " + b"x" * 1000 + b"\r\n")
            rig.network.advance(0.1)
            for protocol in rig.server.element.transports._protocols:
                assert protocol._framer.buffered <= 40_000
        assert peer.closed
        rig.alive()


def test_line_ends_alone_keep_nothing() -> None:
    with Rig() as rig:
        peer = rig.connect()
        for _ in range(50):
            peer.send(b"\r\n" * 1000)
            rig.network.advance(0.1)
            for protocol in rig.server.element.transports._protocols:
                assert protocol._framer.buffered < 10
        rig.peer().send(b"\r\n" * 10_000, SERVER)
        rig.network.advance(1)
        rig.alive()


def test_many_messages_in_one_piece_are_all_served() -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        peer = rig.connect()
        numbered = [
            OVER_TCP.replace(b"bad-input", b"n%d" % n).replace(b"z9hG4bKbad", b"z9hG4bK%d" % n) for n in range(40)
        ]
        peer.send(b"\r\n\r\n".join(numbered))
        rig.network.advance(5)
        assert {message.call_id for message in peer.messages} == {f"n{n}" for n in range(40)}
        assert len(rig.callee.requests) == 40


def test_a_bad_message_does_not_take_its_neighbours_along() -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        peer = rig.connect()
        bad = OVER_TCP.replace(b"CSeq: 7", b"CSeq: x").replace(b"bad-input", b"bad")
        good = [OVER_TCP.replace(b"bad-input", b"n%d" % n).replace(b"z9hG4bKbad", b"z9hG4bK%d" % n) for n in range(2)]
        peer.send(good[0] + bad + b"SIP/2.0 900 What\r\nContent-Length: 3\r\n\r\nxyz" + good[1])
        rig.network.advance(5)
        assert {message.call_id for message in peer.messages} == {"n0", "n1"}
        assert not peer.closed


def test_a_fatal_one_is_answered_and_nothing_behind_it_is_read() -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        answers, peer = rig.stream(OVER_TCP.replace(b"Content-Length: 5\r\n", b"") + OVER_TCP, 2)
        assert [answer.status for answer in answers] == [400]
        assert peer.closed
        assert not rig.callee.requests
        rig.alive()


def test_connections_that_say_nothing_are_closed() -> None:
    with Rig() as rig:
        peers = [rig.connect() for _ in range(50)]
        rig.network.advance(LONG)
        assert all(peer.closed for peer in peers)
        assert len(rig.server.element.transports.connections) == 0
        rig.alive()


def test_a_flood_of_requests_leaves_nothing_behind() -> None:
    with Rig({"user": "secret"}) as rig:
        for number in range(400):
            invite = GOOD.replace(b"MESSAGE", b"INVITE").replace(b"z9hG4bKbad", b"z9hG4bK%d" % number)
            rig.peer().send(invite.replace(b"bad-input", b"n%d" % number), SERVER)
            rig.peer().send(invite.replace(b"elsewhere.example", b"example.com"), SERVER)
            rig.network.advance(0.01)
        rig.network.advance(10)
        rig.alive()
        rig.network.advance(8000)
        assert rig.server.leftovers() == {}


def test_a_thousand_sources_leave_nothing_behind() -> None:
    with Rig() as rig:
        for protocol in rig.server.element.transports._datagrams:
            for number in range(1000):
                source = (f"198.51.{number // 250}.{number % 250}", 5060)
                protocol.datagramReceived(GOOD.replace(b"CSeq: 7", b"CSeq: x"), source)
                protocol.datagramReceived(noise(50), source)
        rig.network.advance(8000)
        assert rig.server.leftovers() == {}
        rig.alive()
