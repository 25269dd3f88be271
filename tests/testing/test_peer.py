"""Scripted peers."""

from __future__ import annotations

import pytest

from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer, StreamAcceptor, connect, on_the_wire

OPTIONS = """OPTIONS sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1
From: <sip:a@example.com>;tag=1
To: <sip:example.com>
Call-ID: one
CSeq: 1 OPTIONS
Record-Route: <sip:p.example.com;lr>"""


@pytest.fixture
def peers() -> tuple[Peer, Peer]:
    network = Network()
    return Peer(network.node("192.0.2.1")), Peer(network.node("192.0.2.2"))


def test_text_becomes_a_message() -> None:
    assert on_the_wire("A\nB: c") == b"A\r\nB: c\r\nContent-Length: 0\r\n\r\n"
    assert on_the_wire("A\n\nbody\nmore\n") == b"A\r\nContent-Length: 12\r\n\r\nbody\r\nmore\r\n"
    assert on_the_wire("A\nl: 7\n\nbody") == b"A\r\nl: 7\r\n\r\nbody"
    assert on_the_wire(b"as it is\n") == b"as it is\n"


def test_a_request_and_its_answer(peers: tuple[Peer, Peer]) -> None:
    server, client = peers
    client.send(OPTIONS, ("192.0.2.1", 5060))
    request = server.expect("OPTIONS")
    assert isinstance(request, Request)
    server.answer(request, 200, [("allow", "INVITE")])
    response = client.expect(200)
    assert isinstance(response, Response)
    assert response.headers.first("allow") == "INVITE"
    assert response.to.tag == "peer"
    assert response.headers.all("record-route") == ["<sip:p.example.com;lr>"]
    assert server.messages == [request]


def test_what_is_expected_and_does_not_come(peers: tuple[Peer, Peer]) -> None:
    server, client = peers
    client.send(OPTIONS, ("192.0.2.1", 5060))
    with pytest.raises(AssertionError, match=r"no 'INVITE' within 2.0 s at 192.0.2.1, but \['OPTIONS sip:example.com"):
        server.expect("INVITE", within=2.0)
    assert server.node.seconds() <= 2.0
    # It was passed over.
    with pytest.raises(AssertionError):
        server.expect("OPTIONS", within=1.0)


def test_any_test_of_a_message_will_do(peers: tuple[Peer, Peer]) -> None:
    server, client = peers
    for number in range(3):
        client.send(OPTIONS.replace("Call-ID: one", f"Call-ID: {number}"), ("192.0.2.1", 5060))
    assert server.expect(lambda message: message.call_id == "2").call_id == "2"
    server.skip()
    client.send(OPTIONS, ("192.0.2.1", 5060))
    assert server.expect().call_id == "one"


def test_nothing_is_expected(peers: tuple[Peer, Peer]) -> None:
    server, client = peers
    server.expect_nothing()
    client.send(b"no message at all", ("192.0.2.1", 5060))
    with pytest.raises(AssertionError, match="no message at all"):
        server.expect_nothing()
    assert server.arrivals[0].message is None
    assert server.messages == []


def test_the_same_over_a_connection() -> None:
    network = Network()
    acceptor = StreamAcceptor(network.node("192.0.2.1"))
    client = connect(network.node("192.0.2.2"), ("192.0.2.1", 5060))
    client.send(OPTIONS)
    client.send(b"\r\n\r\n")
    server = acceptor.peers[0]
    server.answer(server.expect("OPTIONS"), 404)
    client.expect(404)
    network.advance(1.0)
    assert server.keep_alives == 1
    server.close()
    network.advance(1.0)
    assert client.closed
