"""Whole ICE calls over the simulated network (RFC 8445)."""

from __future__ import annotations

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.pair import PairState
from twisted_sip.media.ice.settings import ICESettings, TURNServer
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.turn_server import TURNServerProtocol

from .conftest import ICECall, Side

STUN = Address("198.51.100.1", 3478)
SETTINGS = ICESettings(stun_servers=(STUN,))
RELAYING = ICESettings(turn_servers=(TURNServer(STUN, "alice", "secret"),))
#: Where so much is lost, five seconds give no candidates to speak of.
PATIENT = ICESettings(turn_servers=RELAYING.turn_servers, gather_limit=40.0)


def with_server(network: Network) -> TURNServerProtocol:
    node = network.node(STUN.host, name="server")
    server = TURNServerProtocol(node, STUN.host, {"alice": "secret"})
    node.listenUDP(STUN.port, server, interface=STUN.host)
    return server


def test_full_to_full() -> None:
    network = Network(1)
    call = ICECall(
        network,
        Side(network.node("192.0.2.1"), controlling=True),
        Side(network.node("192.0.2.2"), controlling=False),
    )
    call.exchange()
    call.complete()
    assert call.offerer.kinds == call.answerer.kinds == ("host", "host")
    assert call.offerer.events == ["gathered", "selected 1", "selected 2", "completed"]
    call.talk()
    call.close()


@pytest.mark.parametrize("lite_offers", [False, True])
def test_full_to_lite(lite_offers: bool) -> None:
    network = Network(2)
    call = ICECall(
        network,
        Side(network.node("192.0.2.1"), controlling=True, lite=lite_offers),
        Side(network.node("192.0.2.2"), controlling=False, lite=not lite_offers),
    )
    call.exchange()
    call.complete()
    assert call.offerer.agent.controlling is not lite_offers
    assert call.answerer.agent.controlling is lite_offers
    call.talk()
    call.close()


def test_lite_to_lite() -> None:
    network = Network(3)
    call = ICECall(
        network,
        Side(network.node("192.0.2.1"), controlling=True, lite=True),
        Side(network.node("192.0.2.2"), controlling=False, lite=True),
    )
    call.exchange()
    assert call.offerer.stream.state == call.answerer.stream.state == "completed"
    call.talk()
    call.close()


@pytest.mark.parametrize("both", [False, True])
def test_behind_cone_nats(both: bool) -> None:
    network = Network(4)
    with_server(network)
    one = network.node("10.0.0.1", behind=NAT.port_restricted(network, "203.0.113.1"))
    nat = NAT.port_restricted(network, "203.0.113.2") if both else None
    other = network.node("10.0.0.2" if both else "192.0.2.2", behind=nat)
    call = ICECall(network, Side(one, SETTINGS, controlling=True), Side(other, SETTINGS, controlling=False))
    call.exchange()
    call.complete()
    assert "relay" not in call.offerer.kinds + call.answerer.kinds
    call.talk()
    call.close()


def test_symmetric_nats_need_a_relay() -> None:
    network = Network(5)
    server = with_server(network)
    one = network.node("10.0.0.1", behind=NAT.symmetric(network, "203.0.113.1"))
    other = network.node("10.0.0.2", behind=NAT.symmetric(network, "203.0.113.2"))
    call = ICECall(network, Side(one, RELAYING, controlling=True), Side(other, RELAYING, controlling=False))
    call.exchange()
    call.complete()
    assert "relay" in call.offerer.kinds
    call.talk()
    # Long after every permission, channel, allocation and binding would have run out.
    network.advance(1500)
    assert not call.offerer.failed and not call.answerer.failed
    call.talk()
    assert server.relayed > 100
    call.close()
    assert not server.allocations


def test_role_conflict() -> None:
    for both in (True, False):
        network = Network(6)
        call = ICECall(
            network,
            Side(network.node("192.0.2.1"), controlling=both),
            Side(network.node("192.0.2.2"), controlling=both),
        )
        call.exchange()
        call.complete()
        assert call.offerer.agent.controlling is not call.answerer.agent.controlling
        call.talk()
        call.close()


@pytest.mark.parametrize(("seed", "relayed"), [(seed, relayed) for seed in range(8) for relayed in (False, True)])
def test_loss(seed: int, relayed: bool) -> None:
    # A relay doubles the hops that a check and its answer have to survive.
    network = Network(seed, Conditions(loss=0.15 if relayed else 0.3, reordering=0.1, duplication=0.1))
    with_server(network)
    one = network.node("10.0.0.1", behind=NAT.port_restricted(network, "203.0.113.1"))
    make = NAT.symmetric if relayed else NAT.port_restricted
    other = network.node("10.0.0.2", behind=make(network, "203.0.113.2"))
    call = ICECall(network, Side(one, PATIENT, controlling=True), Side(other, PATIENT, controlling=False))
    call.exchange()
    call.complete()
    for component in (1, 2):
        ours, theirs = call.offerer.selected[component], call.answerer.selected[component]
        assert ours.local.candidate.component == theirs.local.candidate.component == component
    call.talk()
    call.close()


def test_restart() -> None:
    network = Network(7)
    call = ICECall(
        network,
        Side(network.node("192.0.2.1"), controlling=True),
        Side(network.node("192.0.2.2"), controlling=False),
    )
    call.exchange()
    call.complete()
    before = call.offerer.stream.ufrag, call.answerer.stream.ufrag
    call.offerer.agent.restart()
    assert call.offerer.stream.ufrag != before[0]
    # Data goes on over the old pair meanwhile.
    call.talk()
    call.exchange()
    assert call.answerer.stream.ufrag != before[1]
    call.talk()
    call.complete()
    assert call.offerer.events.count("completed") == call.answerer.events.count("completed") == 2
    call.talk()
    network.advance(100)
    assert not call.offerer.failed and not call.answerer.failed
    call.close()


def test_no_route() -> None:
    network = Network(8)
    one, other = network.node("192.0.2.1"), network.node("192.0.2.2")
    network.cut(one, other)
    call = ICECall(network, Side(one, controlling=True), Side(other, controlling=False))
    call.exchange()
    network.advance(120)
    assert call.offerer.events[-1] == call.answerer.events[-1] == "failed: no connectivity check has succeeded"
    assert call.offerer.agent.idle and call.answerer.agent.idle
    assert call.offerer.timers.pending == call.answerer.timers.pending == 0
    assert not call.offerer.stream.send(1, b"\x80")
    call.close()


def test_relay_lost() -> None:
    network = Network(9)
    server = with_server(network)
    one = network.node("10.0.0.1", behind=NAT.symmetric(network, "203.0.113.1"))
    other = network.node("10.0.0.2", behind=NAT.symmetric(network, "203.0.113.2"))
    settings = ICESettings(turn_servers=RELAYING.turn_servers, consent=False)
    call = ICECall(network, Side(one, settings, controlling=True), Side(other, settings, controlling=False))
    call.exchange()
    call.complete()
    server.close()
    network.advance(600)
    assert "failed: the relay of a selected pair is lost" in call.offerer.events + call.answerer.events
    call.close()


def test_relay_lost_before_it_is_used() -> None:
    network = Network(10)
    server = with_server(network)
    server.lifetime = 20
    node = network.node("10.0.0.1", behind=NAT.symmetric(network, "203.0.113.1"))
    side = Side(node, RELAYING, controlling=True)
    call = ICECall(network, side, Side(network.node("192.0.2.2"), RELAYING, controlling=False))
    call.gather(side)
    side.stream.set_remote("peer", "p" * 22, [])
    side.agent.start()
    network.advance(2)
    assert len(side.stream.local_candidates) == 6
    server.close()
    network.advance(30)
    assert {each.kind.value for each in side.stream.local_candidates if each.kind} == {"host", "srflx"}
    assert not side.failed
    network.advance(30)
    assert side.failed
    call.close()


def test_two_streams() -> None:
    network = Network(11)
    hosts = ("192.0.2.1", "192.0.2.2")
    sides = [Side(network.node(host), controlling=host == hosts[0]) for host in hosts]
    videos = []
    for side in sides:
        # The second stream has sockets of its own, and the agent of the first.
        video = Side(side.node, controlling=True)
        video.agent.close()
        video.agent, video.timers, video.events = side.agent, side.timers, []
        video.stream = side.agent.add_stream(video, video.stream.bases)
        videos.append(video)
    audio_call, video_call = ICECall(network, *sides), ICECall(network, *videos)
    for side in sides:
        side.agent.gather()
    for call in (audio_call, video_call):
        call.tell(call.offerer, call.answerer)
        call.tell(call.answerer, call.offerer)
    for side in sides:
        side.agent.start()
    # Section 6.1.2.6: one pair of each foundation is not Frozen, in the first checklist that has it.
    states = [pair.state for pair in videos[0].stream.session.checklist.pairs]
    assert set(states) == {PairState.FROZEN}
    assert sides[0].agent.pair_limit == 50
    audio_call.complete()
    video_call.complete()
    audio_call.talk()
    video_call.talk()
    for side in sides:
        side.agent.close()
        assert side.agent.idle and not side.timers.pending
