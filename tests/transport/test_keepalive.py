"""Keep-alives of a client (RFC 5626 section 4.4)."""

from __future__ import annotations

import itertools

import pytest

from twisted_sip.stun.binding import binding_answer
from twisted_sip.stun.message import BINDING, ERROR, STUNMessage
from twisted_sip.transport.keepalive import DatagramKeepAlive, StreamKeepAlive

SERVER = ("203.0.113.1", 5060)


@pytest.fixture
def failed():
    return []


def test_ping_and_pong(layer, come_in, clock, failed):
    protocol, transport = come_in(layer)
    protocol._spoken = True
    keep = StreamKeepAlive(protocol.flow, clock, failed.append, lambda: 0.5)
    for _ in range(5):
        clock.advance(107)
        assert transport.value() == b""
        clock.advance(2)
        assert transport.value() == b"\r\n\r\n"
        transport.clear()
        clock.advance(9)
        protocol.dataReceived(b"\r\n")
    keep.stop()
    clock.advance(500)
    assert (transport.value(), failed) == (b"", [])


def test_no_pong_is_the_end_of_the_flow(layer, come_in, clock, failed):
    protocol, transport = come_in(layer)
    protocol._spoken = True
    flow = protocol.flow
    StreamKeepAlive(flow, clock, failed.append, lambda: 1.0, interval=60)
    clock.advance(60)
    clock.advance(10)
    assert failed == [flow]
    assert transport.disconnected
    clock.advance(500)
    assert failed == [flow]


def test_connection_gone(layer, come_in, clock, failed):
    protocol, _ = come_in(layer)
    flow = protocol.flow
    StreamKeepAlive(flow, clock, failed.append, lambda: 0.0, interval=20)
    protocol.abort()
    clock.advance(20)
    assert failed == [flow]


@pytest.fixture
def binding(layer, open_udp, failed):
    protocol, transport = open_udp(layer)
    tokens = itertools.count()
    keep = DatagramKeepAlive(
        protocol.flow(SERVER), layer, failed.append, lambda: 1.0, lambda: next(tokens).to_bytes(12, "big")
    )
    return keep, protocol, transport


def answer(transport, host="198.51.100.7"):
    return binding_answer(transport.written[-1][0], host, 4000)


def test_binding(layer, binding, clock, failed):
    keep, protocol, transport = binding
    for count in range(1, 4):
        assert len(transport.written) == count
        assert transport.written[-1][1] == SERVER
        protocol.datagramReceived(answer(transport), SERVER)
        assert keep.mapped == ("198.51.100.7", 4000)
        clock.advance(28.9)
        assert len(transport.written) == count
        clock.advance(0.2)
    keep.stop()
    assert (failed, layer.stun_waiters) == ([], {})
    assert clock.getDelayedCalls() == []


def test_another_mapped_address_is_a_failure(layer, binding, clock, failed):
    _, protocol, transport = binding
    protocol.datagramReceived(answer(transport), SERVER)
    clock.advance(30)
    protocol.datagramReceived(answer(transport, "198.51.100.8"), SERVER)
    assert failed == [protocol.flow(SERVER)]
    assert layer.stun_waiters == {}


def test_error_response_is_a_failure(binding, failed):
    _, protocol, transport = binding
    transaction = transport.written[0][0][8:20]
    protocol.datagramReceived(STUNMessage(BINDING, ERROR, transaction).to_bytes(), SERVER)
    assert len(failed) == 1


def test_silence_is_a_failure(layer, binding, clock, failed):
    _, _, transport = binding
    clock.pump([0.5] * 78)
    assert (len(transport.written), failed) == (7, [])
    clock.pump([0.5] * 2)
    assert len(failed) == 1
    assert layer.stun_waiters == {}


def test_answers_of_others_do_not_count(binding, failed):
    keep, protocol, transport = binding
    protocol.datagramReceived(answer(transport), ("203.0.113.66", 5060))
    protocol.datagramReceived(transport.written[0][0][:8] + b"x" * 12, SERVER)
    assert keep.mapped is None
    assert failed == []
