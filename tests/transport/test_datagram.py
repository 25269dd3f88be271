"""SIP over UDP (RFC 3261 section 18, RFC 3581, RFC 5626 section 3.5.2)."""

from __future__ import annotations

import errno

import pytest
from twisted.internet.error import MessageLengthError

from twisted_sip.errors import MessageTooLarge, TransportError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.stun.binding import binding_request, mapped_address
from twisted_sip.stun.message import parse_stun

PEER = ("198.51.100.7", 40000)


def test_request_comes_in(layer, recorder, open_udp, options):
    protocol, _ = open_udp(layer)
    protocol.datagramReceived(options(), PEER)
    (request,) = recorder.requests
    assert request.flow.remote == PEER
    assert request.flow.local == ("192.0.2.10", 5060)
    assert request.flow.kind is UDP
    assert request.flow.sent_by == "192.0.2.10:5060"
    assert request.headers.first("via") == "SIP/2.0/UDP 198.51.100.7:40000;branch=z9hG4bK1"


@pytest.mark.parametrize(
    ("via", "written"),
    [
        # RFC 3261 section 18.2.1.
        ("10.0.0.1:5060;branch=z9hG4bK1", "10.0.0.1:5060;branch=z9hG4bK1;received=198.51.100.7"),
        ("host.example;branch=z9hG4bK1", "host.example;branch=z9hG4bK1;received=198.51.100.7"),
        # RFC 3581 section 4: received even if it is the same.
        ("198.51.100.7;rport;branch=z9hG4bK1", "198.51.100.7;received=198.51.100.7;rport=40000;branch=z9hG4bK1"),
        ("10.0.0.1;branch=z9hG4bK1;rport", "10.0.0.1;branch=z9hG4bK1;received=198.51.100.7;rport=40000"),
    ],
)
def test_source_is_noted(layer, recorder, open_udp, options, via, written):
    protocol, _ = open_udp(layer)
    protocol.datagramReceived(options("SIP/2.0/UDP " + via), PEER)
    (request,) = recorder.requests
    assert request.headers.first("via") == "SIP/2.0/UDP " + written
    assert request.top_via.received == "198.51.100.7"


@pytest.mark.parametrize(
    ("via", "address"),
    [
        ("198.51.100.7:40000;branch=z9hG4bK1", PEER),
        ("10.0.0.1:5070;branch=z9hG4bK1", ("198.51.100.7", 5070)),
        ("10.0.0.1;branch=z9hG4bK1", ("198.51.100.7", 5060)),
        ("10.0.0.1:5070;branch=z9hG4bK1;rport", PEER),
        ("10.0.0.1:5070;rport;branch=z9hG4bK1", PEER),
        ("10.0.0.1:5070;rport;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2", PEER),
        # A maddr is for multicast; it must not lead our answers to somebody else.
        ("10.0.0.1:5070;branch=z9hG4bK1;rport;maddr=224.0.1.75", ("224.0.1.75", 5070)),
        ("10.0.0.1:5070;branch=z9hG4bK1;rport;maddr=192.0.2.99", PEER),
        ("10.0.0.1:5070;branch=z9hG4bK1;maddr=255.255.255.255", ("198.51.100.7", 5070)),
        # What the peer says of itself does not count.
        ("10.0.0.1:5070;branch=z9hG4bK1;received=192.0.2.99;rport=9", PEER),
        ("198.51.100.7:40000;branch=z9hG4bK1;received=192.0.2.99", PEER),
        ("10.0.0.1:5070;branch=z9hG4bK1;RPORT", PEER),
        ("10.0.0.1;branch=z9hG4bK1;maddr=nowhere.example", ("198.51.100.7", 5060)),
    ],
)
def test_response_goes_back(layer, recorder, open_udp, options, ok, via, address):
    """RFC 3261 section 18.2.2, RFC 3581 section 4."""
    protocol, transport = open_udp(layer)
    protocol.datagramReceived(options("SIP/2.0/UDP " + via), PEER)
    (request,) = recorder.requests
    request.flow.reply_flow(request).send(b"answer", request)
    assert transport.written == [(b"answer", address)]


def test_foreign_response_is_dropped(layer, recorder, open_udp, ok):
    """RFC 3261 section 18.1.2."""
    protocol, _ = open_udp(layer)
    protocol.datagramReceived(ok("SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK1"), PEER)
    assert recorder.responses == []
    protocol.datagramReceived(ok("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1"), PEER)
    assert [response.status for response in recorder.responses] == [200]


def test_advertised_name_is_ours(make_layer, recorder, open_udp, ok):
    layer = make_layer(advertise="sip.example.com")
    protocol, _ = open_udp(layer)
    assert protocol.flow(PEER).sent_by == "sip.example.com:5060"
    protocol.datagramReceived(ok("SIP/2.0/UDP SIP.example.com:5060;branch=z9hG4bK1"), PEER)
    assert len(recorder.responses) == 1
    assert layer.is_local_address("sip.example.com", 5060)
    assert layer.is_local_address("192.0.2.10", None)
    assert not layer.is_local_address("192.0.2.10", 5062)


def test_stun_is_answered(layer, recorder, open_udp):
    """RFC 5626 section 3.5.2."""
    protocol, transport = open_udp(layer)
    protocol.datagramReceived(binding_request(b"123456789012"), PEER)
    ((answer, address),) = transport.written
    assert address == PEER
    assert mapped_address(parse_stun(answer)) == PEER
    assert recorder.errors == []


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"\n", b" \r\n", b"\0\x01\0\0" * 5])
def test_keep_alives_are_ignored(layer, recorder, open_udp, data):
    protocol, transport = open_udp(layer)
    protocol.datagramReceived(data, PEER)
    assert (transport.written, recorder.errors, recorder.requests) == ([], [], [])


def test_empty_lines_before_a_message(layer, recorder, open_udp, options):
    """RFC 3261 section 7.5."""
    protocol, _ = open_udp(layer)
    protocol.datagramReceived(b"\r\n\r\n" + options(), PEER)
    assert len(recorder.requests) == 1


def test_malformed_is_told_with_its_source_noted(layer, recorder, open_udp, options):
    protocol, transport = open_udp(layer)
    bad = options("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport").replace(b"CSeq: 1 OPTIONS", b"CSeq: x OPTIONS")
    protocol.datagramReceived(bad, PEER)
    assert [error.header for error in recorder.errors] == ["CSeq"]
    ((answer, address),) = transport.written
    assert address == PEER
    assert answer.startswith(b"SIP/2.0 400 ")


def test_garbage_is_told_without_a_message(layer, recorder, open_udp):
    protocol, transport = open_udp(layer)
    for garbage in (b"hello", b"\xff\xfe\xfd", b"OPTIONS sip:a SIP/2.0\r\nTo: nonsense\r\n\r\n", b"SIP/2.0 200"):
        protocol.datagramReceived(garbage, PEER)
    assert len(recorder.errors) == 4
    assert transport.written == []


def test_a_via_beyond_use_is_answered_to_the_source(layer, recorder, open_udp, options):
    protocol, transport = open_udp(layer)
    protocol.datagramReceived(options("nonsense"), PEER)
    assert [error.header for error in recorder.errors] == ["Via"]
    ((answer, address),) = transport.written
    assert address == PEER
    assert answer.startswith(b"SIP/2.0 400 ")


def test_not_admitted_is_not_parsed(layer, recorder, open_udp, options):
    protocol, transport = open_udp(layer)
    recorder.admitted = False
    protocol.datagramReceived(options(), PEER)
    protocol.datagramReceived(b"garbage", PEER)
    protocol.datagramReceived(binding_request(b"123456789012"), PEER)
    assert (recorder.requests, recorder.errors, transport.written) == ([], [], [])


def test_flows_are_equal_and_bounded(make_layer, open_udp):
    layer = make_layer(datagram_flows=8)
    protocol, _ = open_udp(layer)
    first = protocol.flow(PEER)
    assert protocol.flow(PEER) is first
    for port in range(1000):
        protocol.flow(("203.0.113.1", port + 1))
    assert len(protocol._fresh) + len(protocol._stale) <= 8
    again = protocol.flow(PEER)
    assert again is not first
    assert again == first
    assert hash(again) == hash(first)
    assert again != protocol.flow(("198.51.100.7", 40001))


def test_token_survives_a_restart(make_layer, open_udp):
    layer = make_layer()
    open_udp(layer)
    token = layer.datagram_flow(UDP, Address(*PEER)).token
    later = make_layer()
    assert later.flow_from_token(token) is None
    protocol, _ = open_udp(later)
    assert later.flow_from_token(token) == protocol.flow(PEER)


def test_sending_too_much(layer, open_udp):
    protocol, transport = open_udp(layer)
    flow = protocol.flow(PEER)
    transport.error = MessageLengthError("message too long")
    with pytest.raises(MessageTooLarge):
        flow.send(b"x" * 70000, None)
    transport.error = OSError(errno.EMSGSIZE, "message too long")
    with pytest.raises(MessageTooLarge):
        flow.send(b"x" * 70000, None)
    transport.error = OSError(errno.ENETUNREACH, "Network is unreachable")
    with pytest.raises(TransportError, match="Network is unreachable"):
        flow.send(b"x", None)
    transport.error = OSError(errno.EAGAIN, "Resource temporarily unavailable")
    flow.send(b"x", None)
    assert protocol.lost == 1


def test_the_socket_that_fits(layer, open_udp):
    near, _ = open_udp(layer, "127.0.0.1")
    far, _ = open_udp(layer, "192.0.2.10")
    six, _ = open_udp(layer, "2001:db8::1")
    assert layer.datagram_flow(UDP, Address("127.0.0.1", 5090)) == near.flow(("127.0.0.1", 5090))
    assert layer.datagram_flow(UDP, Address("203.0.113.9", 5090)) == far.flow(("203.0.113.9", 5090))
    flow = layer.datagram_flow(UDP, Address("2001:db8::99", 5090))
    assert flow == six.flow(("2001:db8::99", 5090))
    assert flow.sent_by == "[2001:db8::1]:5060"
    assert layer.datagram_flow(six.listener, Address("2001:db8::99", 5090)) == flow


def test_no_socket_of_that_family(layer, open_udp):
    open_udp(layer)
    with pytest.raises(TransportError, match="IPv6"):
        layer.datagram_flow(UDP, Address("::1", 5060))


def test_closed_socket(layer, open_udp):
    protocol, _ = open_udp(layer)
    flow = protocol.flow(PEER)
    assert flow.open
    protocol.doStop()
    assert not flow.open
    assert layer.listeners == []
    with pytest.raises(TransportError):
        flow.send(b"x", None)


def test_watchers_see_messages(layer, recorder, open_udp, options):
    seen = []
    recorder.message_seen = lambda message, data, flow: seen.append(("in", data, flow.remote))
    recorder.message_sent = lambda message, data, flow: seen.append(("out", data, flow.remote))
    protocol, _ = open_udp(layer)
    data = options()
    protocol.datagramReceived(data, PEER)
    protocol.flow(PEER).send(b"answer", recorder.requests[0])
    assert seen == [("in", data, PEER), ("out", b"answer", PEER)]


def test_link_local_peer_keeps_its_scope(layer, recorder, open_udp, options):
    protocol, transport = open_udp(layer, "fe80::1%eth0")
    protocol.datagramReceived(options("SIP/2.0/UDP [fe80::2]:5070;branch=z9hG4bK1;rport"), ("fe80::2%eth0", 40000))
    protocol.datagramReceived(options("SIP/2.0/UDP host.example:5070;branch=z9hG4bK1"), ("fe80::2%eth0", 40000))
    for request in recorder.requests:
        assert request.top_via.received == "fe80::2"
        request.flow.reply_flow(request).send(b"answer", request)
    assert [address for _, address in transport.written] == [("fe80::2%eth0", 40000), ("fe80::2%eth0", 5070)]
