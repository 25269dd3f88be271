"""Sockets, port pairs, and who gets what (RFC 3550 section 11, RFC 5761, RFC 7983)."""

import errno
import socket

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.media.port import RTCP, RTP, MediaPort
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.sockets import LARGEST, PortRange, UDPSocket, UDPSockets
from twisted_sip.testing.media_network import MediaNetwork

PEER = ("192.0.2.9", 4000)


class User:
    def __init__(self):
        self.got = []

    def rtp_received(self, data, address):
        self.got.append(("rtp", data))

    def rtcp_received(self, data, address):
        self.got.append(("rtcp", data))


class Marks:
    """A protection that adds and takes off one octet."""

    def protect_rtp(self, data):
        return None if data == b"never" else data + b"!"

    protect_rtcp = protect_rtp

    def unprotect_rtp(self, data):
        return data[:-1] if data.endswith(b"!") else None

    unprotect_rtcp = unprotect_rtp


@pytest.fixture
def network():
    return MediaNetwork(Clock())


def made(network, ports=(0, 0)):
    user = User()
    return MediaPort(PortRange(network, "192.0.2.1", ports), user), user


@pytest.mark.parametrize(
    ("component", "data", "expected"),
    [
        (RTP, b"\x80\x00data", "rtp"),
        (RTP, b"\xbf\x80data", "rtp"),
        (RTP, b"\x80\xc8data", "rtcp"),
        (RTCP, b"\x80\xc9data", "rtcp"),
        (RTP, b"\x00\x01data", "stun"),
        (RTCP, b"\x03\x01data", "stun"),
        (RTP, b"\x40\x01data", "stun"),
        (RTP, b"\x14\x01data", "dtls"),
        (RTP, b"\x3f\x01data", "dtls"),
        (RTCP, b"\x80\x00data", "refused"),
        (RTP, b"\x10\x01zrtp", "malformed"),
        (RTP, b"\x50\x01data", "malformed"),
        (RTP, b"\xc0\x01data", "malformed"),
        (RTP, b"\x80", "malformed"),
        (RTP, b"", "malformed"),
    ],
)
def test_the_first_octet_tells_who_gets_it(network, component, data, expected):
    port, user = made(network)
    port.stun = lambda *got: user.got.append(("stun", got[1]))
    port.dtls = lambda *got: user.got.append(("dtls", got[1]))
    port.socket(component).received(data, PEER)
    found = [kind for kind, _ in user.got] or ["refused"] * port.refused or ["malformed"] * port.malformed
    assert found == [expected]


def test_what_nobody_takes_is_counted(network):
    port, _ = made(network)
    for data in (b"\x00\x01", b"\x14\x01"):
        port.received(RTP, data, PEER)
    assert port.refused == 2


def test_protection_stands_on_both_ways(network):
    port, user = made(network)
    port.protection = Marks()
    port.received(RTP, b"\x80\x00!", PEER)
    port.received(RTP, b"\x80\xc8!", PEER)
    port.received(RTP, b"\x80\x00forged", PEER)
    port.received(RTP, b"\x80\xc8forged", PEER)
    assert user.got == [("rtp", b"\x80\x00"), ("rtcp", b"\x80\xc8")] and port.refused == 2
    sent = []
    network.carry = lambda data, source, target: sent.append((data, source[1], target))
    port.send_rtp(b"a", PEER)
    port.send_rtcp(b"b", PEER)
    port.send_rtp(b"never", PEER)
    port.send_rtcp(b"never", PEER)
    port.send_raw(RTCP, b"c", PEER)
    assert sent == [(b"a!", port.port, PEER), (b"b!", port.port + 1, PEER), (b"c", port.port + 1, PEER)]


def test_a_path_takes_the_place_of_the_sockets(network):
    port, _ = made(network)
    sent = []
    port.path = lambda component, data: sent.append((component, data))
    port.send_rtp(b"a", PEER)
    port.send_rtcp(b"b", PEER)
    port.mux()
    port.send_rtcp(b"c", PEER)
    assert sent == [(RTP, b"a"), (RTCP, b"b"), (RTP, b"c")] and not network.sent


def test_both_on_one_port(network):
    port, _ = made(network)
    assert port.rtcp_port == port.port + 1
    port.mux()
    assert len(network.sockets) == 2 and port.rtcp_port == port.port
    port.mux(final=True)
    port.mux(final=True)
    assert len(network.sockets) == 1 and port.socket(RTCP).port == port.port
    port.close()
    assert not network.sockets


def test_closed_it_says_nothing_and_may_be_closed_again(network):
    port, _ = made(network)
    port.close()
    port.close()
    port.send_rtp(b"a", PEER)
    port.send_rtcp(b"a", PEER)
    port.send_raw(RTP, b"a", PEER)
    assert not network.sent and not network.sockets and port._ports.pairs == 0


def test_ports_come_from_the_range_even_for_rtp_and_a_freed_one_rests(network):
    ports = PortRange(network, "192.0.2.1", (20001, 20007))
    pairs = [ports.bind(print, print) for _ in range(3)]
    assert [(a.port, b.port) for a, b in pairs] == [(20002, 20003), (20004, 20005), (20006, 20007)]
    with pytest.raises(MediaRefused) as caught:
        ports.bind(print, print)
    assert caught.value.status == 503 and ports.pairs == 3 and len(network.sockets) == 6
    for sock in pairs[1]:
        sock.close()
    ports.released()
    assert ports.bind(print, print)[0].port == 20004


def test_a_neighbour_that_is_taken_costs_the_pair(network):
    network.bind("192.0.2.1", 20003, print)
    ports = PortRange(network, "192.0.2.1", (20002, 20005))
    assert ports.bind(print, print)[0].port == 20004
    assert len(network.sockets) == 3


def test_an_address_that_is_not_ours_is_told():
    class NoSockets:
        def bind(self, host, port, received):
            raise OSError(errno.EADDRNOTAVAIL, "not ours")

    for ports in ((0, 0), (20000, 20003)):
        with pytest.raises(MediaRefused, match="not ours"):
            PortRange(NoSockets(), "192.0.2.1", ports).bind(print, print)


def test_where_no_even_port_is_found_it_is_given_up():
    class OddSockets(MediaNetwork):
        def bind(self, host, port, received):
            self._next = 40001
            return super().bind(host, port, received)

    network = OddSockets(Clock())
    with pytest.raises(MediaRefused):
        PortRange(network, "192.0.2.1").bind(print, print)
    assert not network.sockets


@pytest.mark.parametrize(
    "wrong",
    [
        {"ports": (10, 20)},
        {"ports": (3000, 2000)},
        {"codecs": ()},
        {"codecs": ("G729",)},
        {"ptime": 25},
        {"dscp": 64},
        {"jitter_least": 300},
        {"jitter_most": 5},
        {"timeout": -1},
        {"relatch": 0},
        {"most_rate": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(LocalProtocolError):
        MediaSettings(**wrong)


class Reactor:
    def __init__(self):
        self.readers = set()

    def addReader(self, reader):
        self.readers.add(reader)

    def removeReader(self, reader):
        self.readers.discard(reader)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_real_sockets_on_loopback(host):
    reactor = Reactor()
    got = []
    makes = UDPSockets(reactor, dscp=46)
    one, two = makes.bind(host, 0, lambda *one: got.append(one)), makes.bind(host, 0, print)
    assert isinstance(one, UDPSocket) and one.logPrefix() == "media" and one.fileno() >= 0
    family = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if ":" in host else (socket.IPPROTO_IP, socket.IP_TOS)
    assert one._socket.getsockopt(*family) == 46 << 2
    two.send(b"hello", (host, one.port))
    two.send(bytes(LARGEST + 1), (host, one.port))
    one.doRead()
    assert got == [(b"hello", (host, two.port))] and one.oversized == 1
    two.send(bytes(70000), (host, one.port))
    two.send(b"", (host, 70000))
    assert two.unsent == 2
    with pytest.raises(OSError):
        makes.bind(host, one.port, print)
    one.connectionLost(None)
    two.close()
    two.close()
    assert not reactor.readers and one.fileno() == -1
    one.doRead()


def test_one_bad_datagram_does_not_cost_the_socket_and_reading_ends_with_it():
    reactor = Reactor()
    calls = []

    def received(data, address):
        calls.append(data)
        if data == b"bad":
            raise ValueError("a fault")
        sock.close()

    makes = UDPSockets(reactor)
    sock, other = makes.bind("127.0.0.1", 0, received), makes.bind("127.0.0.1", 0, print)
    for data in (b"bad", b"end", b"after"):
        other.send(data, ("127.0.0.1", sock.port))
    sock.doRead()
    assert calls == [b"bad", b"end"]
    other.close()


def test_a_flood_gives_way_to_other_sockets():
    makes = UDPSockets(Reactor())
    got = []
    sock, other = makes.bind("127.0.0.1", 0, lambda *one: got.append(one)), makes.bind("127.0.0.1", 0, print)
    for _ in range(100):
        other.send(b"x", ("127.0.0.1", sock.port))
    sock.doRead()
    assert len(got) == 32
    sock.close()
    other.close()


def test_a_mark_that_cannot_be_set_is_no_fault():
    class Refuses:
        def setsockopt(self, *args):
            raise OSError("no marks here")

    UDPSockets(Reactor(), 46)._mark(Refuses(), False)
