"""Media passed on between two sides."""

import struct

import pytest

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.testing.media_network import MediaNetwork

A, B, THIEF = ("192.0.2.10", 4000), ("192.0.2.20", 5000), ("198.51.100.66", 9)


def sdp(port, host="192.0.2.10", more="", kind="audio", extra=""):
    return SessionDescription.parse(
        f"v=0\r\no=alice 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n{extra}"
        f"m={kind} {port} RTP/AVP 0\r\n{more}"
    )


def rtp(number=1):
    return struct.pack("!BBHII", 0x80, 0, number, 160 * number, 7) + bytes(160)


@pytest.fixture
def network():
    from twisted.internet.task import Clock

    return MediaNetwork(Clock())


class Phone:
    def __init__(self, network, address):
        self.got = []
        self.sock = network.bind(*address, lambda data, source: self.got.append((data, source)))
        self.rtcp = network.bind(address[0], address[1] + 1, lambda data, source: self.got.append((data, source)))


@pytest.fixture
def relayed(network):
    plane = network.plane("192.0.2.1", ports=(20000, 20099), timeout=5.0)
    relay = plane.relay()
    a, b = Phone(network, A), Phone(network, B)
    relay.to_b = relay.pass_on(sdp(4000), 0).media[0]
    relay.to_a = relay.pass_on(sdp(5000, "192.0.2.20"), 1).media[0]
    yield relay, a, b, network
    relay.close()
    relay.close()
    plane.close()
    assert not plane.ports.pairs and not plane.relays
    assert not [one for one in network.sockets if one[0] == "192.0.2.1"]
    network.clock.advance(2)
    assert not network.clock.getDelayedCalls()


def test_each_side_is_told_of_the_relay_and_nothing_else(relayed):
    relay, *_ = relayed
    made = relay.pass_on(
        sdp(
            4000,
            extra="a=ice-lite\r\na=tool:x\r\n",
            more="a=candidate:1 1 UDP 1 192.0.2.10 4000 typ host\r\na=ice-ufrag:abcd\r\na=ice-pwd:"
            + "p" * 22
            + "\r\na=rtcp:4009\r\na=sendonly\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"
            + "A" * 40
            + "\r\n",
        ),
        0,
    )
    text = str(made)
    assert "192.0.2.10" not in text and "candidate" not in text and "a=ice" not in text and "a=rtcp" not in text
    assert "a=sendonly" in text and "a=crypto" in text and "a=tool:x" in text
    assert made.media[0].port == relay.to_b.port and made.media[0].address == "192.0.2.1"


def test_packets_go_both_ways(relayed):
    relay, a, b, network = relayed
    a.sock.send(rtp(1), ("192.0.2.1", relay.to_a.port))
    b.sock.send(rtp(2), ("192.0.2.1", relay.to_b.port))
    a.rtcp.send(b"\x80\xc9" + bytes(20), ("192.0.2.1", relay.to_a.port + 1))
    network.clock.advance(0.05)
    network.clock.advance(0.05)
    assert [data for data, _ in b.got] == [rtp(1), b"\x80\xc9" + bytes(20)]
    assert a.got == [(rtp(2), ("192.0.2.1", relay.to_a.port))]
    assert relay.counts(0).packets == 2 and relay.counts(1).octets == len(rtp())


def test_a_phone_behind_a_nat_is_answered_and_strangers_are_not(relayed):
    relay, a, b, network = relayed
    outer = ("203.0.113.7", 61000)
    network.translated[A] = outer
    thief = network.bind(*THIEF, print)
    a.sock.send(rtp(1), ("192.0.2.1", relay.to_a.port))
    network.clock.advance(0.02)
    for data in (rtp(1), b"\x00\x01" + bytes(20), b""):
        thief.send(data, ("192.0.2.1", relay.to_a.port))
    b.sock.send(rtp(2), ("192.0.2.1", relay.to_b.port))
    network.clock.advance(0.02)
    network.clock.advance(0.02)
    assert [data for data, _ in a.got] == [rtp(2)] and [data for data, _ in b.got] == [rtp(1)]
    assert relay.counts(0).refused == 3


def test_after_silence_another_source_is_believed(relayed):
    relay, a, b, network = relayed
    a.sock.send(rtp(1), ("192.0.2.1", relay.to_a.port))
    network.clock.advance(0.02)
    for _ in range(12):
        network.clock.advance(1)
    other = network.bind("203.0.113.8", 7, print)
    for number in range(3, 8):
        other.send(rtp(number), ("192.0.2.1", relay.to_a.port))
        network.clock.advance(0.02)
    network.clock.advance(0.02)
    assert [data for data, _ in b.got] == [rtp(1), rtp(7)]


def test_a_flood_is_bounded_each_second(relayed):
    relay, a, _b, network = relayed
    for _ in range(2):
        for number in range(700):
            a.sock.send(rtp(number), ("192.0.2.1", relay.to_a.port))
        network.clock.advance(0.5)
        network.clock.advance(0.6)
    assert relay.counts(0).packets == 1000 and relay.counts(0).flooded == 400


def test_a_removed_stream_frees_its_ports_and_is_counted_on(relayed):
    relay, a, _b, network = relayed
    a.sock.send(rtp(1), ("192.0.2.1", relay.to_a.port))
    network.clock.advance(0.02)
    assert relay.pass_on(sdp(0), 0).media[0].port == 0
    assert relay.pass_on(sdp(0), 1).media[0].port == 0
    assert relay.counts(0).packets == 1 and relay._plane.ports.pairs == 0
    assert relay.pass_on(sdp(4000), 0).media[0].port


def test_a_rejected_stream_names_no_address(relayed):
    relay, *_ = relayed
    lines = "c=IN IP4 10.9.8.7\r\na=candidate:1 1 UDP 1 10.9.8.7 4000 typ host\r\na=rtcp:9 IN IP4 10.9.8.7\r\na=x:1\r\n"
    for port, inactive in ((4000, ""), (0, "a=inactive\r\n")):
        made = str(relay.pass_on(sdp(4000, more=f"m=video {port} RTP/AVP 31\r\n{lines}{inactive}"), 0))
        assert "10.9.8.7" not in made and made.endswith(f"a=x:1\r\n{inactive}")
    assert "m=video 0 RTP/AVP 31\r\nc=IN IP4 192.0.2.1\r\n" in made
    none = str(relay.pass_on(sdp(4000, more="m=video 0 RTP/AVP 31\r\nc=IN IP4 0.0.0.0\r\n"), 0))
    assert none.endswith("m=video 0 RTP/AVP 31\r\nc=IN IP4 0.0.0.0\r\n")


def test_hold_and_names(relayed):
    relay, a, b, network = relayed
    held = relay.pass_on(sdp(4000, "0.0.0.0"), 0)
    assert held.media[0].address == "0.0.0.0"
    a.sock.send(rtp(1), ("192.0.2.1", relay.to_a.port))
    b.sock.send(rtp(1), ("192.0.2.1", relay.to_b.port))
    network.clock.advance(0.02)
    network.clock.advance(0.02)
    assert not a.got and b.got
    relay.pass_on(sdp(4000, "phone.example.com"), 0)
    a.sock.send(rtp(1), ("192.0.2.1", relay.to_a.port))
    network.clock.advance(0.02)
    b.sock.send(rtp(2), ("192.0.2.1", relay.to_b.port))
    network.clock.advance(0.02)
    network.clock.advance(0.02)
    assert [data for data, _ in a.got] == [rtp(2)]
    relay.pass_on(sdp(65535, "192.0.2.10"), 0)
    assert relay._streams[0].legs[0][1].target is None


@pytest.mark.parametrize("address", ["224.1.1.1", "224.1.1.1/127", "255.255.255.255", "ff02::1"])
def test_no_groups(relayed, address):
    relay, *_ = relayed
    before = relay._streams[0].legs[0][0].target
    with pytest.raises(MediaRefused) as refused:
        relay.pass_on(sdp(4000, address), 0)
    assert (refused.value.status, refused.value.warning_code) == (488, 330)
    assert relay._streams[0].legs[0][0].target == before
    # A stream that is not wanted goes nowhere.
    assert relay.pass_on(sdp(0, address), 0).media[0].port == 0


def test_silence_of_both_is_told_once(relayed):
    relay, a, _, network = relayed
    told = []
    relay.on_timeout = told.append
    for _ in range(12):
        network.clock.advance(1)
    assert told == [5.0]
    a.sock.send(rtp(1), ("192.0.2.1", relay.to_a.port))
    relay.on_timeout = None
    for _ in range(12):
        network.clock.advance(1)
    assert told == [5.0]


def test_video_is_passed_on_and_streams_are_bounded(relayed):
    relay, *_ = relayed
    both = sdp(4000, more="m=video 6000 RTP/AVP 31\r\n")
    assert len({one.port for one in relay.pass_on(both, 0).media}) == 2
    with pytest.raises(MediaRefused):
        relay.pass_on(sdp(4000, more="m=video 6000 RTP/AVP 31\r\n" * 8), 0)
    relay.close()
    with pytest.raises(LocalProtocolError):
        relay.pass_on(both, 0)


def test_without_ports_it_is_refused_and_nothing_is_left(network):
    plane = network.plane("192.0.2.1", ports=(20000, 20003))
    relay = plane.relay()
    with pytest.raises(MediaRefused):
        relay.pass_on(sdp(4000, more="m=video 6000 RTP/AVP 31\r\n"), 0)
    relay.close()
    network.bind("192.0.2.1", 20002, print)
    relay = plane.relay()
    with pytest.raises(MediaRefused):
        relay.pass_on(sdp(4000), 0)
    assert plane.ports.pairs == 0 and len(network.sockets) == 1
    plane.close()


def test_no_time_limit(network):
    plane = network.plane("192.0.2.1", timeout=0)
    relay = plane.relay()
    relay.on_timeout = lambda seconds: 1 / 0
    relay.pass_on(sdp(4000), 0)
    for _ in range(100):
        network.clock.advance(1)
    plane.close()
