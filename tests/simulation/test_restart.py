"""Crashes, cuts and NATs that forget: what survives, and how everybody gets over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twisted_sip.testing.behaviour import NO_ANSWER, Behaviour
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.server import SimulatedServer

BOB = "sip:bob@example.com"


def phone(network: Network, server: SimulatedServer, number: int, user: str, **how: Any) -> SimulatedPhone:
    nat = how.pop("nat", None)
    node = network.node(f"10.0.0.{number}" if nat else f"198.51.100.{number}", behind=nat)
    route = server.route(how.get("transport", "udp"))
    made = SimulatedPhone(network, node, user, proxy=route, keep_alive=20.0, **how)
    made.registration.start(120)
    network.advance(1.0)
    return made


def contacts(server: SimulatedServer, aor: str) -> list[str]:
    bindings: Any = server.location.lookup(aor)
    return [binding.contact for binding in bindings]


@pytest.mark.parametrize("behind_nat", [False, True])
def test_calls_over_udp_outlive_a_restart(network: Network, tmp_path: Path, behind_nat: bool) -> None:
    server = SimulatedServer(network, directory=tmp_path, passwords={"alice": "a", "bob": "b"})
    nat = NAT.port_restricted(network, "203.0.113.1") if behind_nat else None
    alice = phone(network, server, 1, "alice", password="a")
    bob = phone(network, server, 2, "bob", password="b", nat=nat)
    bob.behaviour = Behaviour(talks=30.0)
    calls = [alice.call(BOB, Behaviour(talks=20.0))]
    # They are to arrive in the order in which they are made.
    network.advance(1.0)
    calls.append(alice.call(BOB, Behaviour(talks=90.0)))
    network.advance(10.0)
    assert [call.status for call in calls] == [200, 200]
    server.crash()
    network.advance(5.0)
    server.restart()
    network.advance(100.0)
    for leg, call in zip(bob.incoming, calls, strict=True):
        [dialog] = call.dialogs.values()
        assert leg.dialog is not None
        assert {dialog.ended, leg.dialog.ended} == {"bye sent", "bye received"}
        assert 200 in (dialog.bye_outcome, leg.dialog.bye_outcome)


def test_who_has_its_200_is_there_after_kill_9(network: Network, tmp_path: Path) -> None:
    """In the middle of a load of registrations."""
    server = SimulatedServer(network, directory=tmp_path, disk_latency=(0.0, 0.05))
    phones = []
    for number in range(1, 101):
        node = network.node(f"198.51.100.{number}")
        made = SimulatedPhone(network, node, f"user{number}", proxy=server.route())
        network.clock.callLater(number * 0.004, made.registration.start, 120)
        phones.append(made)
    network.advance(0.25)
    acknowledged = [made for made in phones if made.registration.statuses == [200]]
    assert 5 < len(acknowledged) < 95
    server.crash()
    assert not server.up
    server.restart()
    for made in acknowledged:
        assert contacts(server, made.aor) == [made.contact_uri]
    network.advance(60.0)
    assert all(200 in made.registration.statuses for made in phones)


def test_a_lost_connection_is_registered_anew(network: Network, tmp_path: Path) -> None:
    server = SimulatedServer(network, directory=tmp_path)
    alice = phone(network, server, 1, "alice")
    bob = phone(network, server, 2, "bob", transport="tcp", instance="00000000-0000-1000-8000-000000000002")
    server.crash()
    server.restart()
    early = alice.message(BOB, "too early")
    network.advance(0.2)
    # RFC 5626 section 5.3.1: the flow is gone, and nothing may stand in for it.
    assert early.outcome == 430
    network.advance(30.0)
    assert bob.registration.statuses[-1] == 200
    assert len(contacts(server, bob.aor)) == 1
    late = alice.message(BOB, "now")
    network.advance(5.0)
    assert late.outcome == 200


def test_a_call_that_rings_while_the_server_crashes(network: Network) -> None:
    server = SimulatedServer(network)
    alice = phone(network, server, 1, "alice")
    bob = phone(network, server, 2, "bob")
    bob.behaviour = Behaviour(reacts_after=10.0)
    call = alice.call(BOB)
    network.advance(3.0)
    server.crash()
    server.restart()
    network.advance(300.0)
    # Nobody in between knows of it any more: the caller's patience ends, the callee's 200 gets no ACK.
    assert (call.sent.failures, call.dialogs) == ([408], {})
    [leg] = bob.incoming
    assert leg.dialog is not None
    assert (leg.acknowledged, leg.dialog.ended) == (False, "no ack")


def test_a_cut_during_a_call(network: Network) -> None:
    server = SimulatedServer(network)
    alice = phone(network, server, 1, "alice")
    bob = phone(network, server, 2, "bob")
    bob.behaviour = Behaviour(talks=20.0)
    call = alice.call(BOB, Behaviour(talks=60.0))
    network.advance(10.0)
    network.cut(bob.node, server.node)
    network.advance(80.0)
    network.mend(bob.node, server.node)
    network.advance(80.0)
    # Bob's BYE was lost with all its retransmissions: each side ends by itself (section 15.1.1).
    [leg] = bob.incoming
    assert leg.dialog is not None
    assert (leg.dialog.ended, leg.dialog.bye_outcome) == ("bye sent", 408)
    assert [dialog.ended for dialog in call.dialogs.values()] == ["bye sent"]


def test_a_nat_that_forgets(network: Network) -> None:
    server = SimulatedServer(network)
    nat = NAT.symmetric(network, "203.0.113.1")
    alice = phone(network, server, 1, "alice")
    bob = phone(network, server, 2, "bob", nat=nat)
    bob.behaviour = Behaviour(reaction=NO_ANSWER)
    nat.reboot()
    lost = alice.message(BOB, "before")
    network.advance(70.0)
    assert lost.outcome == 408
    assert bob.registration.statuses == [200, 200]
    found = alice.message(BOB, "after")
    network.advance(5.0)
    assert found.outcome == 200
