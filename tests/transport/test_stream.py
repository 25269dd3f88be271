"""SIP over connections (RFC 3261 section 18.3, RFC 5626 section 3.5.1) and the limits on peers."""

from __future__ import annotations

import pytest

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.transport_kind import TCP

PEER = ("198.51.100.7", 40000)
VIA = "SIP/2.0/TCP 198.51.100.7:40000;branch=z9hG4bK1"


@pytest.mark.parametrize("step", [1, 7, 10000])
def test_messages_in_pieces(layer, recorder, come_in, options, step):
    protocol, _ = come_in(layer)
    data = options(VIA) + options(VIA, b"body") + b"\r\n\r\n" + options(VIA)
    for place in range(0, len(data), step):
        protocol.dataReceived(data[place : place + step])
    assert [request.body for request in recorder.requests] == [b"", b"body", b""]
    assert recorder.requests[0].flow is protocol.flow
    assert protocol.flow.kind is TCP
    assert protocol.transport.value() == b"\r\n"


def test_source_is_noted_over_streams_too(layer, recorder, come_in, options):
    """RFC 3581 section 4: independent of the transport protocol."""
    protocol, _ = come_in(layer)
    protocol.dataReceived(options("SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1;rport"))
    (request,) = recorder.requests
    assert (request.top_via.received, request.top_via.rport) == PEER


def test_ping_is_answered_and_pong_is_not(layer, recorder, come_in):
    protocol, transport = come_in(layer)
    protocol.dataReceived(b"\r\n\r\n")
    assert transport.value() == b"\r\n"
    transport.clear()
    pongs = []
    protocol.flow.on_pong(lambda: pongs.append(1))
    for _ in range(3):
        protocol.dataReceived(b"\r\n")
    assert (transport.value(), len(pongs)) == (b"", 3)
    assert recorder.errors == []


def test_bad_message_is_answered_and_the_stream_goes_on(layer, recorder, come_in, options):
    protocol, transport = come_in(layer)
    protocol.dataReceived(options(VIA).replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE") + options(VIA))
    assert transport.value().startswith(b"SIP/2.0 400 ")
    assert len(recorder.requests) == 1
    assert not transport.disconnecting


def test_bad_stream_is_answered_400_and_closed(layer, recorder, come_in, options, clock):
    protocol, transport = come_in(layer)
    flow = protocol.flow
    protocol.dataReceived(options(VIA).replace(b"Content-Length", b"X-Length") + options(VIA))
    assert transport.value().startswith(b"SIP/2.0 400 ")
    assert transport.disconnecting
    assert (recorder.requests, recorder.closed) == ([], [flow])
    assert not flow.open
    clock.advance(6)
    assert transport.disconnected, "a peer that does not let go is dropped"


@pytest.mark.parametrize("garbage", [b"\0" * 10, b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02" * 10 + b"\r\n\r\n"])
def test_garbage(layer, recorder, come_in, garbage, clock):
    protocol, transport = come_in(layer)
    protocol.dataReceived(garbage)
    clock.advance(31)
    assert transport.disconnecting or transport.disconnected
    assert recorder.requests == []


def test_head_without_end(make_layer, recorder, come_in):
    protocol, transport = come_in(make_layer())
    for _ in range(40):
        protocol.dataReceived(b"A" * 1000)
    assert transport.disconnecting
    assert len(recorder.errors) == 1


def test_first_message_has_to_come(layer, come_in, clock):
    _, transport = come_in(layer)
    clock.advance(29)
    assert not transport.disconnecting
    clock.advance(2)
    assert transport.disconnecting


def test_slow_message_is_cut(layer, recorder, come_in, options, clock):
    """A peer that sends a byte now and then holds a connection for ``message_timeout`` only."""
    protocol, transport = come_in(layer)
    protocol.dataReceived(options(VIA))
    data = options(VIA)
    for place in range(29):
        protocol.dataReceived(data[place : place + 1])
        clock.advance(1)
    assert not transport.disconnected
    protocol.dataReceived(data[29:30])
    clock.advance(2)
    assert transport.disconnected
    assert len(recorder.requests) == 1


def test_message_in_time(layer, recorder, come_in, options, clock):
    protocol, transport = come_in(layer)
    data = options(VIA)
    for _ in range(3):
        protocol.dataReceived(data[:100])
        clock.advance(20)
        protocol.dataReceived(data[100:])
        clock.advance(20)
    assert len(recorder.requests) == 3
    assert not transport.disconnected


def test_idle_connection_is_closed(layer, come_in, options, clock):
    protocol, transport = come_in(layer)
    protocol.dataReceived(options(VIA))
    clock.advance(3800)
    protocol.dataReceived(b"\r\n\r\n")
    clock.advance(3800)
    assert not transport.disconnecting
    clock.advance(200)
    assert transport.disconnecting


def test_peer_that_does_not_read(make_layer, recorder, come_in):
    protocol, transport = come_in(make_layer(write_buffer=1000))
    flow = protocol.flow
    protocol.pauseProducing()
    flow.send(b"x" * 900, None)
    with pytest.raises(TransportError, match="does not read"):
        flow.send(b"x" * 200, None)
    assert transport.disconnected
    assert recorder.closed == [flow]
    with pytest.raises(TransportError, match="gone"):
        flow.send(b"x", None)


def test_peer_that_reads_in_time(make_layer, come_in, clock):
    protocol, transport = come_in(make_layer(write_buffer=1000, first_message_timeout=1000))
    for _ in range(5):
        protocol.pauseProducing()
        protocol.flow.send(b"x" * 900, None)
        clock.advance(29)
        protocol.resumeProducing()
    assert not transport.disconnected
    protocol.pauseProducing()
    clock.advance(31)
    assert transport.disconnected


def test_source_over_its_rate_is_slowed(layer, recorder, come_in, options, clock):
    protocol, transport = come_in(layer)
    recorder.admitted = False
    protocol.dataReceived(options(VIA) + options(VIA, b"2"))
    protocol.dataReceived(options(VIA, b"3"))
    assert transport.producerState == "paused"
    clock.advance(1)
    assert recorder.requests == []
    recorder.admitted = True
    clock.advance(0.3)
    assert [request.body for request in recorder.requests] == [b"", b"2", b"3"]
    assert transport.producerState == "producing"


def test_keep_alives_count_for_the_rate(layer, recorder, come_in, options, clock):
    protocol, transport = come_in(layer)
    recorder.admitted = False
    protocol.dataReceived(b"\r\n" * 2000)
    assert transport.value() == b""
    assert transport.producerState == "paused"


def test_banned_source_is_dropped(layer, recorder, come_in, options, clock):
    protocol, transport = come_in(layer)
    recorder.admitted = False
    protocol.dataReceived(options(VIA))
    clock.pump([0.25] * 50)
    assert transport.disconnected
    assert recorder.requests == []


def test_nothing_is_left_behind(layer, recorder, come_in, options, clock):
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    protocol, _ = come_in(layer)
    protocol.dataReceived(options(VIA)[:50])
    protocol.pauseProducing()
    flow = protocol.flow
    protocol.connectionLost(Failure(ConnectionDone()))
    assert recorder.closed == [flow]
    assert clock.getDelayedCalls() == []
    assert (len(layer.connections), layer.connections.inbound) == (0, 0)
    assert layer.connections._sources == {}


def test_watchers_see_bytes_as_they_came(layer, recorder, come_in, options):
    seen = []
    recorder.message_seen = lambda message, data, flow: seen.append(data)
    protocol, _ = come_in(layer)
    one, two = options(VIA), options(VIA, b"2")
    protocol.dataReceived(one)
    protocol.dataReceived(two + one)
    assert seen == [one, two, one]
