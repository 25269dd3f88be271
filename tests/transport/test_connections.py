"""Connections: reuse, opening, caps, tokens (RFC 3261 sections 18.1.1 and 18.2.2)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.transport.connections import ConnectionTable
from twisted_sip.transport.settings import TransportSettings

THERE = Destination(TCP, Address("203.0.113.5", 5060), "example.com")


def established(clock: Any, number: int = 0) -> tuple[Any, StringTransport]:
    """Let the connection number *number* that was asked for come to be; return our protocol and its transport."""
    from twisted.internet.address import IPv4Address

    host, port, factory, _, _ = clock.tcpClients[number]
    protocol = factory.buildProtocol(IPv4Address("TCP", host, port))
    transport = StringTransport(IPv4Address("TCP", "192.0.2.10", 50001 + number), IPv4Address("TCP", host, port))
    protocol.makeConnection(transport)
    return protocol, transport


def test_one_connection_for_all_who_wait(layer, clock):
    first, second = layer.flow_to(THERE), layer.flow_to(THERE)
    assert layer.connections.opening == 1
    assert len(clock.tcpClients) == 1
    assert clock.tcpClients[0][:2] == ("203.0.113.5", 5060)
    established(clock)
    flows = []
    first.addCallback(flows.append)
    second.addCallback(flows.append)
    assert flows[0] is flows[1]
    assert layer.flow_to(THERE) is flows[0]
    assert flows[0].outbound
    assert (flows[0].local, flows[0].remote) == (("192.0.2.10", 50001), ("203.0.113.5", 5060))
    assert (layer.connections.opening, len(layer.connections)) == (0, 1)


def test_refused(layer, clock):
    failures = []
    layer.flow_to(THERE).addErrback(failures.append)
    layer.flow_to(THERE).addErrback(failures.append)
    clock.tcpClients[0][2].clientConnectionFailed(clock.connectors[0], Failure(ConnectionRefusedError()))
    assert [failure.check(TransportError) for failure in failures] == [TransportError] * 2
    assert isinstance(failures[0].value.__cause__, ConnectionRefusedError)
    assert layer.connections.opening == 0
    layer.flow_to(THERE).addErrback(failures.append)
    assert len(clock.tcpClients) == 2, "a refused destination is tried anew when asked for again"


def test_one_waiter_gives_up(layer, clock):
    first, second = layer.flow_to(THERE), layer.flow_to(THERE)
    first.addErrback(lambda failure: None)
    first.cancel()
    established(clock)
    flows = []
    second.addCallback(flows.append)
    assert len(flows) == 1


def test_connection_of_a_peer_is_reused(layer, come_in):
    """What goes to the address that a client's connection came from goes down that connection."""
    protocol, transport = come_in(layer, ("203.0.113.5", 41000))
    flow = layer.flow_to(Destination(TCP, Address("203.0.113.5", 41000), "203.0.113.5"))
    assert flow is protocol.flow
    flow.send(b"down", None)
    assert transport.value() == b"down"


def test_tokens_name_one_connection_of_one_boot(layer, make_layer, come_in):
    one, _ = come_in(layer)
    two, _ = come_in(layer, ("198.51.100.7", 40001))
    assert one.flow.token != two.flow.token
    assert layer.flow_from_token(one.flow.token) is one.flow
    token = one.flow.token
    one.connectionLost(Failure(ConnectionDone()))
    assert layer.flow_from_token(token) is None
    assert layer.flow_from_token("nonsense") is None
    assert "b1" in token
    assert "n1" in token


def test_caps_in_all_and_per_source(make_layer, come_in):
    layer = make_layer(connections=4, connections_per_source=2)
    peers = [("198.51.100.7", 1), ("198.51.100.7", 2), ("198.51.100.7", 3), ("198.51.100.8", 1), ("198.51.100.9", 1)]
    transports = [come_in(layer, peer) for peer in peers]
    assert [transport.disconnected for _, transport in transports] == [False, False, True, False, False]
    _, fifth = come_in(layer, ("198.51.100.10", 1))
    assert fifth.disconnected
    transports[0][0].connectionLost(Failure(ConnectionDone()))
    _, again = come_in(layer, ("198.51.100.7", 4))
    assert not again.disconnected
    transports[2][0].connectionLost(Failure(ConnectionDone()))
    assert layer.connections.inbound == 4


def test_pending_connects_are_capped(make_layer):
    layer = make_layer(pending_connects=2)
    for number in range(2):
        layer.flow_to(Destination(TCP, Address("203.0.113.5", 6000 + number), "x"))
    with pytest.raises(TransportError, match="too many"):
        layer.flow_to(Destination(TCP, Address("203.0.113.5", 7000), "x"))


def test_local_peers_may_have_more():
    table = ConnectionTable(TransportSettings(connections_per_source=1))
    assert table.source_came("192.0.2.1")
    assert not table.source_came("192.0.2.1")
    assert all(table.source_came("127.0.0.1") for _ in range(50))


def test_a_network_is_one_peer():
    """Whoever has one IPv6 address has 2^64 of them."""
    table = ConnectionTable(TransportSettings(connections_per_source=2))
    assert table.source_came("2001:db8::1") and table.source_came("2001:db8::2")
    assert not table.source_came("2001:db8::3") and table.source_came("2001:db8:0:1::1")
    table.source_gone("2001:db8::1")
    assert table.source_came("2001:db8::3") and not table.source_came("2001:db8::4")
    for host in ("2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"):
        table.source_gone(host)
    assert not table._sources and not table.inbound


def test_sent_by_is_where_we_listen(layer, come_in, clock):
    protocol, _ = come_in(layer, host=("192.0.2.10", 5060))
    layer.listening(TCP, Address("192.0.2.10", 5060))
    layer.flow_to(THERE)
    established(clock)
    assert layer.flow_to(THERE).sent_by == "192.0.2.10:5060"
    assert protocol.flow.sent_by == "192.0.2.10:5060"


def test_sent_by_without_a_listener_is_the_connections_own(layer, clock):
    layer.flow_to(THERE)
    established(clock)
    assert layer.flow_to(THERE).sent_by == "192.0.2.10:50001"


def test_response_when_the_connection_is_gone(layer, recorder, come_in, options, clock):
    """RFC 3261 section 18.2.2, first bullet: a new connection to received and the sent-by port."""
    protocol, _ = come_in(layer)
    protocol.dataReceived(options("SIP/2.0/TCP 10.0.0.1:5071;branch=z9hG4bK1"))
    (request,) = recorder.requests
    flow = request.flow
    assert flow.reply_flow(request) is flow
    protocol.connectionLost(Failure(ConnectionDone()))
    reply = flow.reply_flow(request)
    assert reply.remote == ("198.51.100.7", 5071)
    reply.send(b"one", request)
    reply.send(b"two", request)
    assert clock.tcpClients[0][:2] == ("198.51.100.7", 5071)
    _, transport = established(clock)
    assert transport.value() == b"onetwo"
    reply.send(b"three", request)
    assert transport.value() == b"onetwothree"


def test_response_that_cannot_be_delivered(layer, recorder, come_in, options, clock):
    protocol, _ = come_in(layer)
    protocol.dataReceived(options())
    (request,) = recorder.requests
    protocol.connectionLost(Failure(ConnectionDone()))
    reply = request.flow.reply_flow(request)
    reply.send(b"one", request)
    clock.tcpClients[0][2].clientConnectionFailed(clock.connectors[0], Failure(ConnectionRefusedError()))
    assert recorder.closed[-1] == reply


def test_stop_closes_everything(layer, come_in, clock):
    protocol, transport = come_in(layer)
    layer.flow_to(THERE)
    outgoing, outgoing_transport = established(clock)
    done = []
    layer.stop().addCallback(done.append)
    assert transport.disconnecting
    assert outgoing_transport.disconnecting
    assert done == []
    for each in (protocol, outgoing):
        each.connectionLost(Failure(ConnectionDone()))
    assert done == [None]
    with pytest.raises(TransportError):
        layer.flow_to(THERE)
    assert [call for call in clock.getDelayedCalls() if call.active()] == []


def test_connecting_has_an_end(layer, clock):
    failures = []
    layer.flow_to(THERE).addErrback(failures.append)
    clock.advance(17)
    assert failures[0].check(TransportError)
    assert layer.connections.opening == 0
    assert clock.connectors[0].stoppedConnecting


def test_stop_gives_up_what_is_being_opened(layer, clock):
    failures, done = [], []
    layer.flow_to(THERE).addErrback(failures.append)
    layer.stop().addCallback(done.append)
    assert failures[0].check(TransportError)
    assert done == [None]
    assert [call for call in clock.getDelayedCalls() if call.active()] == []


def test_port_of_somebody_else_is_learned(layer, come_in):
    assert not layer.is_local_address("192.0.2.10", 5060)
    come_in(layer)
    come_in(layer, ("198.51.100.8", 40000))
    assert layer.is_local_address("192.0.2.10", 5060)
    assert len(layer.listeners) == 1


def test_responses_over_streams_must_be_ours(layer, recorder, come_in, ok):
    protocol, _ = come_in(layer)
    protocol.dataReceived(ok("SIP/2.0/TCP 192.0.2.66:5060;branch=z9hG4bK1"))
    assert recorder.responses == []
    protocol.dataReceived(ok(f"SIP/2.0/TCP {protocol.flow.sent_by};branch=z9hG4bK1"))
    assert len(recorder.responses) == 1
