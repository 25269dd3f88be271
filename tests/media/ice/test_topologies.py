"""Agents behind anything, over any network: both agree, and nothing is left (RFC 8445)."""

from __future__ import annotations

import random

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import ICESettings, TURNServer
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.node import Node
from twisted_sip.testing.turn_server import TURNServerProtocol

from .conftest import ICECall, Side

SERVER = Address("198.51.100.1", 3478)


def place(network: Network, chance: random.Random, number: int) -> Node:
    """A node, public or behind a NAT of some kind."""
    kind = chance.choice(["public", "full", "restricted", "symmetric"])
    if kind == "public":
        return network.node(f"192.0.2.{number}")
    made = {"full": NAT.full_cone, "restricted": NAT.port_restricted, "symmetric": NAT.symmetric}[kind]
    return network.node(f"10.0.0.{number}", behind=made(network, f"203.0.113.{number}"))


@pytest.mark.parametrize("seed", range(30))
def test_any_topology(seed: int) -> None:
    chance = random.Random(seed)
    conditions = Conditions(loss=chance.choice([0, 0, 0.05, 0.1]), reordering=chance.choice([0, 0.2]))
    network = Network(seed, conditions)
    node = network.node(SERVER.host)
    server = TURNServerProtocol(node, SERVER.host, {"alice": "secret"})
    node.listenUDP(SERVER.port, server, interface=SERVER.host)
    sides = []
    for number in (1, 2):
        settings = ICESettings(
            stun_servers=(SERVER,),
            turn_servers=(TURNServer(SERVER, "alice", "secret"),),
            relay_only=chance.random() < 0.2,
            consent=chance.random() < 0.7,
            gather_limit=40.0,
        )
        controlling = number == 1 or chance.random() < 0.2
        components = chance.choice([1, 2])
        sides.append(Side(place(network, chance, number), settings, controlling=controlling, components=components))
    call = ICECall(network, *sides)
    call.exchange()
    call.complete()
    assert sides[0].agent.controlling is not sides[1].agent.controlling
    for component, pair in sides[0].selected.items():
        other = sides[1].selected[component]
        assert pair.local.candidate.component == other.local.candidate.component
        # Both use the relays, if any, of the same agents.
        ours, theirs = pair.local.relay, other.local.relay
        if ours is not None:
            assert other.remote.address == ours.relayed
        if theirs is not None:
            assert pair.remote.address == theirs.relayed
    network.conditions.loss = 0
    call.talk()
    if chance.random() < 0.5:
        call.offerer.agent.restart()
        call.exchange()
        call.complete()
        call.talk()
    network.advance(chance.choice([1, 60, 700]))
    assert not sides[0].failed and not sides[1].failed
    call.talk()
    call.close()
    assert not server.allocations
