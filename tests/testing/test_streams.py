"""Simulated connections: order, closing, cuts, crashes, flow control."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import StreamAcceptor, StreamPeer, connect

SERVER = ("192.0.2.1", 5060)
MESSAGE = """OPTIONS sip:x SIP/2.0
Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK{0}
From: <sip:x>;tag=1
To: <sip:x>
Call-ID: {0}
CSeq: 1 OPTIONS"""


def pair(network: Network) -> tuple[StreamPeer, StreamPeer]:
    acceptor = StreamAcceptor(network.node("192.0.2.1"))
    client = connect(network.node("192.0.2.2"), SERVER)
    return client, acceptor.peers[0]


def test_messages_arrive_in_order_both_ways() -> None:
    network = Network(3)
    client, server = pair(network)
    for number in range(20):
        client.send(MESSAGE.format(number))
        server.send(MESSAGE.format(number))
    network.advance(1.0)
    for end in (client, server):
        assert [message.call_id for message in end.messages] == [str(number) for number in range(20)]


def test_who_closes_and_how() -> None:
    class Watch(Protocol):
        reason: BaseException | None = None

        def connectionLost(self, reason: Failure | None = None) -> None:
            assert reason is not None
            self.reason = reason.value

    for how, ours, theirs in (
        ("loseConnection", ConnectionDone, ConnectionDone),
        ("abortConnection", ConnectionAborted, ConnectionLost),
    ):
        network = Network()
        accepted = Watch()
        factory = Factory()
        factory.buildProtocol = lambda addr, accepted=accepted: accepted  # type: ignore[method-assign,misc]
        network.node("192.0.2.1").listenTCP(5060, factory)
        client = connect(network.node("192.0.2.2"), SERVER)
        watch = Watch()
        transport: Any = client.transport
        transport.protocol = watch
        getattr(transport, how)()
        network.advance(1.0)
        assert (type(watch.reason), type(accepted.reason)) == (ours, theirs)


def test_what_was_written_before_closing_arrives() -> None:
    network = Network()
    client, server = pair(network)
    client.send(MESSAGE.format("last"))
    client.close()
    client.send(MESSAGE.format("too late"))
    network.advance(1.0)
    assert [message.call_id for message in server.messages] == ["last"]
    assert client.closed and server.closed


def test_nobody_listens_or_nobody_is_there() -> None:
    network = Network()
    node = network.node("192.0.2.2")
    network.node("192.0.2.1")
    with pytest.raises(ConnectionRefusedError):
        connect(node, SERVER)
    with pytest.raises(TimeoutError):
        connect(node, ("192.0.2.99", 5060))


def test_a_nat_lets_connections_out_and_none_in() -> None:
    network = Network()
    acceptor = StreamAcceptor(network.node("192.0.2.1"))
    nat = NAT.full_cone(network, "203.0.113.1")
    inside = network.node("10.0.0.1", behind=nat)
    client = connect(inside, SERVER)
    client.send(MESSAGE.format("x"))
    network.advance(1.0)
    assert acceptor.peers[0].arrivals[0].source.host == "203.0.113.1"
    StreamAcceptor(inside)
    with pytest.raises(TimeoutError):
        connect(acceptor.node, ("203.0.113.1", 5060))


def test_a_cut_delays_and_keeps_the_order() -> None:
    network = Network()
    client, server = pair(network)
    network.cut(client.node, server.node)
    for number in range(5):
        client.send(MESSAGE.format(number))
        network.advance(2.0)
    assert server.messages == []
    network.mend(client.node, server.node)
    network.advance(3.0)
    assert [message.call_id for message in server.messages] == ["0", "1", "2", "3", "4"]
    assert not client.closed


def test_a_long_cut_ends_the_connection_of_who_sends() -> None:
    network = Network()
    client, server = pair(network)
    network.cut(client.node, server.node)
    client.send(MESSAGE.format("x"))
    network.advance(100.0)
    assert client.closed
    # The other side has no way to know.
    assert not server.closed


def test_a_crash_resets_the_connections() -> None:
    network = Network()
    client, server = pair(network)
    server.node.crash()
    network.advance(1.0)
    assert client.closed
    assert not server.closed
    assert client.node.streams == {}
    client.send(MESSAGE.format("x"))
    network.advance(1.0)
    assert server.messages == []


def test_a_listener_that_stops_takes_no_more() -> None:
    network = Network()
    node = network.node("192.0.2.1")
    port = node.listenTCP(5060, StreamAcceptor(network.node("192.0.2.3")))
    port.stopListening()
    with pytest.raises(ConnectionRefusedError):
        connect(network.node("192.0.2.2"), SERVER)


class Producer:
    def __init__(self) -> None:
        self.said: list[str] = []

    def pauseProducing(self) -> None:
        self.said.append("pause")

    def resumeProducing(self) -> None:
        self.said.append("resume")

    def stopProducing(self) -> None:
        self.said.append("stop")


def test_a_reader_that_pauses_stops_the_writer() -> None:
    network = Network()
    client, server = pair(network)
    reading: Any = server.transport
    writing: Any = client.transport
    producer = Producer()
    writing.registerProducer(producer, True)
    reading.pauseProducing()
    for number in range(100):
        client.send(MESSAGE.format(number) + "\n\n" + 1000 * "x")
    network.advance(1.0)
    assert server.messages == []
    assert producer.said == ["pause"]
    reading.resumeProducing()
    network.advance(1.0)
    assert len(server.messages) == 100
    assert producer.said == ["pause", "resume"]


def test_a_close_behind_unread_data_waits_for_it() -> None:
    network = Network()
    client, server = pair(network)
    reading: Any = server.transport
    reading.pauseProducing()
    client.send(MESSAGE.format("x"))
    client.close()
    network.advance(1.0)
    assert not server.closed
    reading.resumeProducing()
    assert (len(server.messages), server.closed) == (1, True)
