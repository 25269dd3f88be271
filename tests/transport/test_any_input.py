"""Nothing that a peer sends may raise, whatever it is."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ANY = st.binary(max_size=6)
MARKS = st.sampled_from([b";", b",", b'"', b"\r\n ", b"rport=", b"%", b"\0"])
PEER = ("198.51.100.7", 40000)


@st.composite
def damaged(draw, pieces):
    """A request with something replaced somewhere."""
    data = (
        b"INVITE sip:bob@example.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1;received=1.2.3.4\r\n"
        b"Via: SIP/2.0/TCP [2001:db8::1];maddr=[::1];ttl=1;branch=z9hG4bK2\r\nMax-Forwards: 70\r\n"
        b'From: "A" <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n'
        b"Content-Length: 4\r\n\r\nbody"
    )
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 8)))
        data = data[:start] + draw(pieces) + data[end:]
    return data


@FEW
@given(
    st.one_of(
        st.binary(max_size=200), damaged(ANY), damaged(st.sampled_from([b";", b",", b'"', b"\r\n ", b"rport=", b"%"]))
    )
)
def test_datagrams(layer, recorder, open_udp, data):
    protocol, _ = open_udp(layer)
    protocol.datagramReceived(data, PEER)
    for request in recorder.requests:
        request.flow.reply_flow(request).send(b"answer", request)
    recorder.requests.clear()


@FEW
@given(st.lists(st.one_of(st.binary(max_size=50), damaged(ANY)), max_size=4), st.integers(1, 50))
def test_streams(layer, recorder, come_in, clock, pieces, step):
    protocol, transport = come_in(layer)
    data = b"".join(pieces)
    for place in range(0, len(data), step):
        protocol.dataReceived(data[place : place + step])
    clock.advance(40)
    protocol.abort()
    assert protocol.flow is None
    assert transport.disconnected
