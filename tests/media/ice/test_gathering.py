"""Gathering (RFC 8445 section 5)."""

from __future__ import annotations

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import ICESettings, TURNServer
from twisted_sip.stun.message import BINDING
from twisted_sip.stun.turn import ALLOCATE
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Network
from twisted_sip.testing.turn_server import TURNServerProtocol

from .conftest import ICECall, Side

SERVER = Address("198.51.100.1", 3478)
ALICE = TURNServer(SERVER, "alice", "secret")


class Scene:
    def __init__(self, settings: ICESettings, *hosts: str, nat: bool = True, components: int = 2) -> None:
        self.network = Network(1)
        node = self.network.node(SERVER.host)
        self.server = TURNServerProtocol(node, SERVER.host, {"alice": "secret"})
        node.listenUDP(SERVER.port, self.server, interface=SERVER.host)
        behind = NAT.port_restricted(self.network, "203.0.113.1") if nat else None
        inside = self.network.node(*(hosts or ("10.0.0.1",)), behind=behind)
        self.side = Side(inside, settings, controlling=True, components=components)

    def gather(self, seconds: float = 2.0) -> list[str]:
        self.side.agent.gather()
        self.network.advance(seconds)
        assert self.side.events.count("gathered") == 1
        return [
            f"{each.component} {each.kind.value if each.kind else ''} {each.address.host}"
            for each in self.side.stream.local_candidates
        ]

    def close(self) -> None:
        self.side.agent.close()
        self.network.advance(10)
        assert self.side.events[-1] == "closed"
        assert self.side.agent.idle and not self.side.timers.pending
        assert not self.server.allocations


def test_host_alone_at_once() -> None:
    scene = Scene(ICESettings())
    assert scene.side.stream.default_candidate(1) is None
    assert scene.gather(0) == ["1 host 10.0.0.1", "2 host 10.0.0.1"]
    default = scene.side.stream.default_candidate(2)
    assert default is not None and default.component == 2
    scene.side.events.clear()
    scene.gather(0)
    scene.close()


def test_server_reflexive() -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER, Address("2001:db8::1", 3478))))
    assert scene.gather() == ["1 host 10.0.0.1", "2 host 10.0.0.1", "1 srflx 203.0.113.1", "2 srflx 203.0.113.1"]
    default = scene.side.stream.default_candidate(1)
    assert default is not None and default.address.host == "203.0.113.1"
    assert default.related is not None and default.related.host == "10.0.0.1"
    # Foundations: the same for both components, another for each type (section 5.1.1.3).
    assert len({each.foundation for each in scene.side.stream.local_candidates}) == 2
    assert len({each.priority for each in scene.side.stream.local_candidates}) == 4
    scene.close()


def test_redundant_candidates() -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER,)), "192.0.2.1", nat=False)
    assert scene.gather() == ["1 host 192.0.2.1", "2 host 192.0.2.1"]
    scene.close()


def test_relayed() -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER,), turn_servers=(ALICE,)), components=1)
    assert scene.gather() == ["1 host 10.0.0.1", "1 srflx 203.0.113.1", "1 relay 198.51.100.1"]
    default = scene.side.stream.default_candidate(1)
    assert default is not None and default.address.host == "198.51.100.1"
    scene.close()


def test_relays_alone() -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER,), turn_servers=(ALICE,), relay_only=True), components=1)
    assert scene.gather() == ["1 relay 198.51.100.1"]
    # RFC 8839 section 9.1: no other address is told.
    assert "raddr 0.0.0.0 rport 9" in scene.side.stream.local_candidates[0].to_text()
    assert BINDING not in [method for method, _ in scene.server.requests]
    scene.close()


@pytest.mark.parametrize(("code", "found"), [(486, 2), (508, 2), (403, 1)])
def test_server_without_room(code: int, found: int) -> None:
    scene = Scene(ICESettings(turn_servers=(ALICE,)), components=1)
    scene.server.refuse[ALLOCATE] = code
    assert len(scene.gather()) == found
    scene.close()


def test_binding_refused() -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER,)), components=1)
    scene.server.refuse[BINDING] = 400
    assert scene.gather() == ["1 host 10.0.0.1"]
    scene.close()


def test_servers_that_are_silent() -> None:
    silent = Address("198.51.100.77", 3478)
    scene = Scene(ICESettings(stun_servers=(silent,), turn_servers=(TURNServer(silent, "a", "b"),)), components=1)
    scene.side.agent.gather()
    scene.network.advance(4.9)
    assert not scene.side.events
    scene.network.advance(0.2)
    assert scene.side.events == ["gathered"]
    scene.close()


@pytest.mark.parametrize("again", [False, True])
def test_ended_while_it_gathers(again: bool) -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER,), turn_servers=(ALICE,)))
    scene.side.agent.gather()
    scene.side.agent.gather()
    scene.network.advance(0.01)
    if again:
        scene.side.agent.restart()
        scene.side.agent.gather()
        scene.network.advance(10)
        assert scene.side.events == ["gathered"]
    scene.close()


def test_restart_keeps_the_relay() -> None:
    scene = Scene(ICESettings(turn_servers=(ALICE,)), components=1)
    before = scene.gather()
    scene.side.agent.restart()
    scene.side.events.clear()
    assert scene.gather() == before
    assert len(scene.server.allocations) == 1
    scene.close()


def test_two_families() -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER,)), "192.0.2.1", "2001:db8::7", "fe80::1", nat=False, components=1)
    # One family first where others are: the order of the addresses decides.
    assert scene.gather() == ["1 host 192.0.2.1", "1 host 2001:db8::7", "1 host fe80::1"]
    default = scene.side.stream.default_candidate(1)
    assert default is not None and default.address.host == "192.0.2.1"
    other = Side(scene.network.node("2001:db8::8", "fe80::2"), controlling=False, components=1)
    call = ICECall(scene.network, scene.side, other)
    scene.side.events.clear()
    call.exchange()
    # Section 6.1.2.2: link-local addresses are paired with their like.
    pairs = {(p.local.candidate.address.host, p.remote.address.host) for p in other.stream.session.checklist.pairs}
    assert pairs == {("2001:db8::8", "2001:db8::7"), ("fe80::2", "fe80::1")}
    call.complete()
    call.talk()
    call.close()


def test_pacing() -> None:
    scene = Scene(ICESettings(stun_servers=(SERVER,)))
    scene.side.agent.take_pacing(1.0)
    scene.side.agent.take_pacing(0.01)
    scene.side.agent.gather()
    scene.network.advance(0.9)
    assert len(scene.server.requests) == 1
    scene.network.advance(1)
    assert len(scene.server.requests) == 2
    scene.close()
