"""The TURN client against a server that is not always kind (RFC 8656)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import TURNServer
from twisted_sip.media.ice.turn_client import TURNClient
from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.message import BINDING, INDICATION, STUNMessage
from twisted_sip.stun.turn import (
    ALLOCATE,
    CHANNEL_BIND,
    CREATE_PERMISSION,
    DATA,
    DATA_INDICATION,
    REFRESH,
    XOR_PEER_ADDRESS,
    channel_data,
)
from twisted_sip.testing.network import Network
from twisted_sip.testing.node import Node
from twisted_sip.testing.turn_server import TURNServerProtocol
from twisted_sip.transaction.timers import TimerQueue

HERE, THERE = Address("198.51.100.1", 3478), Address("198.51.100.2", 3478)
PEER = Address("192.0.2.9", 9000)


class Peer(DatagramProtocol):
    """Answers what it gets."""

    def __init__(self, node: Node, address: Address) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.port = node.listenUDP(address.port, self, interface=address.host)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append((datagram, addr))
        self.port.write(b"\x80" + datagram, addr)


class Scene(DatagramProtocol):
    """A client, two servers and a peer."""

    def __init__(self, password: str = "secret", *, authentication: bool = True) -> None:
        self.network = Network(1)
        self.servers = []
        for address in (HERE, THERE):
            node = self.network.node(address.host)
            server = TURNServerProtocol(node, address.host, {"alice": "secret"} if authentication else None)
            node.listenUDP(address.port, server, interface=address.host)
            self.servers.append(server)
        self.server = self.servers[0]
        self.peer = Peer(self.network.node(PEER.host), PEER)
        node = self.network.node("192.0.2.1")
        self.timers = TimerQueue(node)
        self.port = node.listenUDP(0, self, interface="192.0.2.1")
        self.events: list[Any] = []
        self.received: list[tuple[Address, bytes]] = []
        settings = TURNServer(HERE, "alice", password) if authentication else TURNServer(HERE)
        self.client = TURNClient(self, self.timers, self.network.random_bytes, settings, software="tests")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.client.datagram(Address(*addr), datagram)

    def turn_send(self, client: TURNClient, server: Address, data: bytes) -> None:
        self.port.write(data, server)

    def turn_allocated(self, client: TURNClient) -> None:
        self.events.append("allocated")

    def turn_failed(self, client: TURNClient, code: int, reason: str) -> None:
        self.events.append(code)

    def turn_received(self, client: TURNClient, peer: Address, data: bytes) -> None:
        self.received.append((peer, data))

    def turn_closed(self, client: TURNClient) -> None:
        self.events.append("closed")

    def allocate(self) -> Scene:
        self.client.allocate()
        self.network.advance(1)
        return self

    def check_empty(self) -> None:
        assert self.client.state == "closed"
        assert self.client.idle
        assert self.timers.pending == 0

    def close(self) -> None:
        self.client.close()
        self.client.close()
        self.network.advance(10)
        self.check_empty()
        assert self.events[-1] == "closed"
        assert not self.server.allocations

    def requests(self, method: int) -> list[int]:
        return [code for known, code in self.server.requests if known == method]


@pytest.mark.parametrize("authentication", [True, False])
def test_allocation_and_data(authentication: bool) -> None:
    scene = Scene(authentication=authentication).allocate()
    client = scene.client
    assert scene.events == ["allocated"]
    assert client.relayed is not None and client.relayed.host == HERE.host
    assert client.mapped == Address("192.0.2.1", scene.port.getHost().port)
    assert scene.requests(ALLOCATE) == ([401, 0] if authentication else [0])
    with pytest.raises(LocalProtocolError):
        client.allocate()
    client.send(PEER, b"first")
    client.send(PEER, b"second")
    scene.network.advance(1)
    assert sorted(data for data, _ in scene.peer.received) == [b"first", b"second"]
    assert {Address(*addr) for _, addr in scene.peer.received} == {client.relayed}
    assert sorted(scene.received) == [(PEER, b"\x80first"), (PEER, b"\x80second")]
    assert scene.requests(CREATE_PERMISSION) == [0]
    scene.close()


def test_channel() -> None:
    scene = Scene().allocate()
    scene.client.bind(PEER)
    scene.client.bind(PEER)
    scene.network.advance(1)
    assert scene.requests(CHANNEL_BIND) == [0]
    scene.client.send(PEER, b"data")
    scene.network.advance(1)
    assert scene.received == [(PEER, b"\x80data")]
    # Everything is renewed in time (sections 8, 9 and 12).
    scene.network.advance(3000)
    scene.client.send(PEER, b"later")
    scene.network.advance(1)
    assert scene.received[-1] == (PEER, b"\x80later")
    assert len(scene.requests(CHANNEL_BIND)) >= 5
    assert len(scene.requests(CREATE_PERMISSION)) >= 12
    assert set(scene.requests(REFRESH)) <= {0, 438}
    scene.close()


def test_stale_nonces() -> None:
    scene = Scene()
    assert scene.server.verifier is not None
    scene.server.verifier._lifetime = 30
    scene.allocate()
    scene.network.advance(2000)
    assert 438 in scene.requests(REFRESH)
    assert scene.events == ["allocated"]
    scene.close()


@pytest.mark.parametrize("code", [400, 403, 437, 440, 441, 442, 486, 508])
def test_refused_allocation(code: int) -> None:
    scene = Scene()
    scene.server.refuse[ALLOCATE] = code
    scene.allocate()
    assert scene.events == [code]
    scene.check_empty()
    scene.client.close()
    assert scene.events == [code]


def test_wrong_password() -> None:
    scene = Scene("wrong").allocate()
    assert scene.events == [401]
    scene.check_empty()


def test_no_server() -> None:
    scene = Scene()
    scene.network.cut(scene.network._nodes[HERE.host], scene.network._nodes["192.0.2.1"])
    scene.client.allocate()
    scene.network.advance(60)
    assert scene.events == [408]
    scene.check_empty()


def test_alternate_server() -> None:
    scene = Scene()
    scene.server.alternate = THERE
    scene.allocate()
    assert scene.events == ["allocated"]
    assert scene.client.server == THERE
    assert scene.client.relayed is not None and scene.client.relayed.host == THERE.host
    scene.close()
    assert not scene.servers[1].allocations


@pytest.mark.parametrize("alternate", [HERE, Address("2001:db8::1", 3478)])
def test_alternate_servers_that_lead_nowhere(alternate: Address) -> None:
    # Back to where it came from, or to another address family (RFC 8489 section 10).
    scene = Scene()
    scene.servers[0].alternate, scene.servers[1].alternate = THERE, alternate
    scene.allocate()
    assert scene.events == [300]
    scene.check_empty()


def test_allocation_that_is_gone() -> None:
    scene = Scene().allocate()
    scene.server.close()
    scene.network.advance(600)
    assert scene.events == ["allocated", 437]
    scene.check_empty()


@pytest.mark.parametrize("method", [CREATE_PERMISSION, CHANNEL_BIND])
def test_out_of_step(method: int) -> None:
    scene = Scene().allocate()
    scene.server.refuse[method] = 437 if method == CREATE_PERMISSION else 400
    scene.client.bind(PEER)
    scene.network.advance(1)
    assert scene.events[-1] in (437, 400)
    scene.check_empty()


def test_refused_permission() -> None:
    scene = Scene().allocate()
    scene.server.refuse[CREATE_PERMISSION] = 403
    scene.client.send(PEER, b"data")
    scene.network.advance(1)
    scene.client.send(PEER, b"data")
    scene.network.advance(1)
    assert scene.requests(CREATE_PERMISSION) == [403]
    scene.server.refuse.clear()
    # After a while it is asked for again.
    scene.network.advance(60)
    scene.client.send(PEER, b"data")
    scene.network.advance(1)
    assert scene.requests(CREATE_PERMISSION) == [403, 0]
    assert len(scene.peer.received) == 1
    scene.close()


def test_refused_channel() -> None:
    scene = Scene().allocate()
    scene.server.refuse[CHANNEL_BIND] = 403
    scene.client.bind(PEER)
    scene.network.advance(1)
    scene.client.send(PEER, b"data")
    scene.network.advance(1)
    assert scene.received == [(PEER, b"\x80data")]
    scene.close()


def test_limits() -> None:
    scene = Scene().allocate()
    for last in range(250):
        peer = Address(f"203.0.113.{last}", 9)
        scene.client.bind(peer)
        for _ in range(20):
            scene.client.send(peer, b"data")
    peers = scene.client._peers
    assert len(peers._permissions) <= 100 and len(peers._channels) <= 16
    assert scene.client._requester.waiting <= 64
    assert max(len(each.held) for each in peers._permissions.values()) <= 8
    scene.network.advance(5)
    scene.client.keep_only([])
    assert peers.idle
    scene.close()


def test_family_that_cannot_be() -> None:
    scene = Scene().allocate()
    scene.client.send(Address("no address", 9), b"data")
    scene.client.send(Address("2001:db8::1", 9), b"data")
    scene.network.advance(1)
    assert scene.requests(CREATE_PERMISSION) == [443]
    scene.close()


def test_datagrams_of_others_are_not_taken() -> None:
    scene = Scene().allocate()
    client = scene.client
    assert not client.datagram(PEER, b"\x80data")
    assert not client.datagram(HERE, b"\x80data")
    assert not client.datagram(HERE, STUNMessage(BINDING, INDICATION, bytes(12)).to_bytes())
    # A channel nobody asked for, too short a message, indications without the parts that count (section 11.4).
    assert client.datagram(HERE, channel_data(0x4ABC, b"data"))
    assert client.datagram(HERE, b"\x40\0\0\x09a")
    peer = (XOR_PEER_ADDRESS, encode_xor_address(*PEER, bytes(12)))
    for attributes in ((), (peer,), ((DATA, b"data"),), (peer, (DATA, b"data")), (peer, (DATA, b""), (0x7777, b""))):
        assert client.datagram(HERE, STUNMessage(DATA_INDICATION, INDICATION, bytes(12), attributes).to_bytes())
    bad = STUNMessage(DATA_INDICATION, INDICATION, bytes(12), ((XOR_PEER_ADDRESS, b""), (DATA, b"")))
    assert not client.datagram(HERE, bad.to_bytes())
    assert not scene.received
    scene.close()
    assert not client.datagram(HERE, channel_data(0x4000, b"data"))


def test_closed_before_it_was_opened() -> None:
    scene = Scene()
    scene.client.send(PEER, b"data")
    scene.client.permit(PEER)
    scene.client.bind(PEER)
    scene.client.close()
    assert scene.events == ["closed"]
    scene.check_empty()


@pytest.mark.parametrize("after", [0.0, 0.045])
def test_closed_while_it_opens(after: float) -> None:
    scene = Scene()
    scene.client.allocate()
    scene.network.advance(after)
    scene.close()


def test_closed_while_it_fails() -> None:
    scene = Scene()
    scene.server.refuse[ALLOCATE] = 486
    scene.client.allocate()
    scene.close()


def test_closed_without_an_answer() -> None:
    scene = Scene().allocate()
    scene.network.cut(scene.network._nodes[HERE.host], scene.network._nodes["192.0.2.1"])
    scene.client.close()
    scene.network.advance(9)
    scene.check_empty()
    assert scene.events[-1] == "closed"
