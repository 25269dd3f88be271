"""Opening listeners: wildcards, names, and what is told when something is wrong."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock

from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.listen import open_listeners
from twisted_sip.transport.local_addresses import local_addresses, parse_if_inet6, source_address
from twisted_sip.transport.settings import TransportSettings


class Port:
    def __init__(self, transport: str, host: str, port: int) -> None:
        self.address = (IPv6Address if ":" in host else IPv4Address)(transport, host, port)
        self.stopped = False

    def getHost(self) -> Any:
        return self.address

    def stopListening(self) -> None:
        self.stopped = True


class Reactor(MemoryReactorClock):
    """A reactor with ports that refuse what they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: dict[tuple[str, str], int] = {}
        self.ports: list[Port] = []
        self.free = 40000
        self.taken: dict[str, range] = {}

    def _open(self, transport: str, port: int, interface: str) -> Port:
        code = self.errors.get((transport, interface))
        if code is not None:
            raise CannotListenError(interface, port, OSError(code, "no"))
        if not port:
            port, self.free = self.free, self.free + 1
        if port in self.taken.get(interface, ()):
            raise CannotListenError(interface, port, OSError(errno.EADDRINUSE, "in use"))
        opened = Port(transport, interface, port)
        self.ports.append(opened)
        return opened

    def listenTCP(self, port, factory, backlog=50, interface=""):
        return self._open("TCP", port, interface)

    def listenUDP(self, port, protocol, interface="", maxPacketSize=8192):
        assert maxPacketSize == 65535
        opened = self._open("UDP", port, interface)
        protocol.makeConnection(opened)
        return opened


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


HOSTS = ["192.0.2.10", "2001:db8::1", "127.0.0.1", "::1"]


def opened(reactor, recorder, *texts, **settings):
    layer = TransportLayer(reactor, recorder, TransportSettings(**settings))
    return layer, open_listeners(layer, texts, lambda: list(HOSTS))


def test_a_free_port_that_is_taken_on_another_address(reactor, recorder):
    reactor.taken = {"127.0.0.1": range(40000, 40002), "::1": range(40002, 40003)}
    _, listeners = opened(reactor, recorder, "udp:0", "tcp:0")
    assert [(listener.kind, listener.address) for listener in listeners] == [
        *[(UDP, Address(host, 40003)) for host in HOSTS],
        *[(TCP, Address(host, 40004)) for host in HOSTS],
    ]
    assert [port.address.port for port in reactor.ports if not port.stopped] == [40003] * 4 + [40004] * 4


def test_no_port_is_free_on_all_addresses(reactor, recorder):
    reactor.taken = {"::1": range(1, 65536)}
    with pytest.raises(ConfigurationError) as caught:
        opened(reactor, recorder, "udp:0")
    (problem,) = caught.value.problems
    assert problem == "listen udp:0: port 40015 on ::1 is in use, stop what uses it or choose another port"
    assert all(port.stopped for port in reactor.ports)


def test_wildcard_is_spread(reactor, recorder):
    layer, listeners = opened(reactor, recorder, "udp:5060", "tcp:5062:interface=0.0.0.0", r"tcp:5063:interface=\:\:")
    assert [(listener.kind, listener.address) for listener in listeners] == [
        *[(UDP, Address(host, 5060)) for host in HOSTS],
        *[(TCP, Address(host, 5062)) for host in ("192.0.2.10", "127.0.0.1")],
        *[(TCP, Address(host, 5063)) for host in ("2001:db8::1", "::1")],
    ]
    assert layer.listeners == listeners
    assert layer.ports() == {5060, 5062, 5063}
    assert layer.is_local_address("2001:0db8::1", 5060)
    assert layer.is_local_address("127.0.0.1", None)
    assert not layer.is_local_address("127.0.0.1", 40000)
    assert not layer.is_local_address("192.0.2.11", 5060)


def test_any_port_is_one_port(reactor, recorder):
    _, listeners = opened(reactor, recorder, "udp:0")
    assert {listener.address.port for listener in listeners} == {40000}


def test_advertised_name(reactor, recorder):
    _, listeners = opened(reactor, recorder, "udp:5060", advertise="SIP.example.com")
    assert [listener.advertised for listener in listeners] == [
        "sip.example.com:5060",
        "sip.example.com:5060",
        "127.0.0.1:5060",
        "[::1]:5060",
    ]


@pytest.mark.parametrize(
    ("advertise", "text", "advertised"),
    [
        ("203.0.113.1", "udp:5060:interface=192.0.2.10", "203.0.113.1:5060"),
        ("203.0.113.1", "udp:5060:interface=127.0.0.1", "203.0.113.1:5060"),
        ("203.0.113.1", "udp:5060:interface=[2001:db8::1]", "[2001:db8::1]:5060"),
        ("[2001:db8::9]:5099", "udp:5060:interface=[2001:db8::1]", "[2001:db8::9]:5099"),
        ("2001:db8::9", "udp:5060:interface=[2001:db8::1]", "[2001:db8::9]:5060"),
        ("sip.example.com:5080", "tcp:5060:interface=192.0.2.10:advertise=edge.example.com", "edge.example.com:5060"),
        ("sip.example.com:5080", "tcp:5060:interface=192.0.2.10", "sip.example.com:5080"),
    ],
)
def test_advertised_address(reactor, recorder, advertise, text, advertised):
    _, (listener,) = opened(reactor, recorder, text, advertise=advertise)
    assert listener.advertised == advertised


def test_address_that_cannot_be_used_is_left_out(reactor, recorder):
    reactor.errors["UDP", "2001:db8::1"] = errno.EADDRNOTAVAIL
    _, listeners = opened(reactor, recorder, "udp:5060")
    assert len(listeners) == 3


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errno.EADDRINUSE, "port 5060 on 192.0.2.10 is in use"),
        (errno.EACCES, "needs more rights"),
        (errno.EADDRNOTAVAIL, "is no address of this host"),
        (errno.ENOMEM, "cannot be listened on"),
    ],
)
def test_faults_are_told_in_one_go_and_nothing_stays_open(reactor, recorder, code, told):
    reactor.errors["UDP", "192.0.2.10"] = code
    layer = TransportLayer(reactor, recorder)
    texts = ["tcp:5060:interface=127.0.0.1", "udp:5060:interface=192.0.2.10", "sctp:1", "tls:5061:interface=127.0.0.1"]
    with pytest.raises(ConfigurationError, match=told) as caught:
        layer.listen(*texts)
    assert len(caught.value.problems) == 3
    assert all(port.stopped for port in reactor.ports)
    assert layer.listeners == []


def test_tls_without_a_certificate(reactor, recorder, tmp_path):
    layer = TransportLayer(reactor, recorder)
    with pytest.raises(ConfigurationError, match="privateKey and certKey"):
        layer.listen("tls:5061:interface=127.0.0.1")
    with pytest.raises(ConfigurationError, match="No such file") as caught:
        layer.listen(f"tls:5061:interface=127.0.0.1:privateKey={tmp_path}/k.pem:certKey={tmp_path}/c.pem")
    assert len(caught.value.problems) == 2


def test_wildcard_socket_of_somebody_else(reactor, recorder):
    """``reactor.listenUDP(5060, SIPDatagramProtocol(element))`` binds every address with one socket."""
    sources = {"203.0.113.5": "192.0.2.10", "192.0.2.10": "192.0.2.10"}
    layer = TransportLayer(reactor, recorder, source_for=lambda host: sources.get(host, "192.0.2.66"))
    layer.listening(TCP, Address("0.0.0.0", 5060))
    assert layer.addresses.stream_sent_by(TCP, Address("192.0.2.10", 50000)) == "192.0.2.10:5060"
    assert layer.is_local_address("192.0.2.10", 5060)
    assert layer.is_local_address("127.0.0.1", 5060)
    assert not layer.is_local_address("203.0.113.5", 5060)
    assert layer.addresses.sent_by(layer.listeners[0], "203.0.113.5") == "192.0.2.10:5060"


def test_this_host_has_addresses():
    found = local_addresses()
    assert "127.0.0.1" in found
    assert len(found) == len(set(found))
    assert source_address("127.0.0.1") == "127.0.0.1"
    assert source_address("256.0.0.1") == ""


def test_if_inet6():
    text = (
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "20010db8000000000000000000000001 02 40 00 80     eth0\n"
        "20010db8000000000000000000000002 02 40 00 40     eth0\n"
        "fe800000000000000042acfffe110002 02 40 20 80     eth0\n"
        "\n"
    )
    assert parse_if_inet6(text) == ["::1", "2001:db8::1"]
