"""Calls, registrations and connections over reloads: whatever changes, nothing that is under way is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.transport.settings import TLSSettings

from .reloading import HOST, SECOND, Stage, at_once


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, demo=True)
    yield made
    made.stop()


def phone(stage: Stage, user: str, transport: str, number: int, roots: str = "") -> SimulatedPhone:
    port = 5061 if transport == "tls" else 5060
    made = SimulatedPhone(
        stage.network,
        stage.network.node(f"192.0.2.{number}"),
        user,
        proxy=f"sip:{HOST}:{port};transport={transport};lr",
        password=stage.server.demo_passwords[user],
        transport=transport,
        tls=TLSSettings(trust_roots=roots) if roots else None,
        keep_alive=20.0,
    )
    made.registration.start(600)
    stage.network.advance(2)
    assert made.registration.statuses == [200]
    return made


def variant(stage: Stage, number: int) -> None:
    """Change routes, limits, certificates, a name and listeners, each time another way."""
    certificate = stage.certificate(f"n{number}.example.com")
    stage.text = (
        f"{certificate}[limits]\nmax_transactions = {1000 + number}\nrequests_per_second = {200 + number}\n"
        f'[[route]]\nuser = "{number}*"\nstatus = 503\n'
        f'[proxy]\nfork = "{("parallel", "serial")[number % 2]}"\ntimer_c = {181 + number}\n'
        f"[auth]\nnonce_lifetime = {300 + number}\n[trace]\ncalls = {1 + number}\n"
    )
    stage.listen = [
        f"udp:5060:interface={HOST}",
        f"tcp:5060:interface={HOST}",
        f"tls:5061:interface={HOST}",
        *([f"udp:5070:interface={SECOND}", f"tcp:5070:interface={SECOND}"] if number % 2 else []),
    ]
    stage.domains = ["example.com", f"d{number}.example.com"]


@pytest.mark.parametrize(("caller", "callee"), [("udp", "tcp"), ("tls", "udp"), ("tcp", "tls")])
def test_calls_go_on_over_a_hundred_reloads(stage: Stage, tmp_path: Path, caller: str, callee: str) -> None:
    variant(stage, 0)
    stage.reload()
    # The connections of phones stay, so it is the first certificate that they have seen.
    (tmp_path / "first.pem").write_bytes((tmp_path / "cert.pem").read_bytes())
    roots = str(tmp_path / "first.pem")
    alice, bob = phone(stage, "alice", caller, 21, roots), phone(stage, "bob", callee, 22, roots)
    assert stage.server.element is not None
    connections = stage.server.element.transports.connections
    flows = connections.flows()
    bob.behaviour = Behaviour(talks=1000.0)
    calls = []
    for number in range(1, 101):
        # One that rings, one that is set up, and one that ends meanwhile.
        behaviour = Behaviour(talks=0.4 + number % 7, reinvites_after=0.3)
        calls.append(alice.call("sip:bob@example.com", behaviour))
        stage.network.advance(0.05 * (number % 5))
        variant(stage, number)
        assert stage.reload()
        stage.network.advance(0.2)
    stage.network.advance(60)
    assert [[dialog.ended for dialog in call.dialogs.values()] for call in calls] == [["bye sent"]] * 100
    assert connections.flows() == flows
    assert stage.server.configuration.limits.max_transactions == 1100
    assert stage.server.element.transports.listeners and len(stage.server.element.transports.places) == 3
    for each in (alice, bob):
        each.registration.stop()
        each.quiet()
    stage.network.advance(800)
    assert stage.server.element.transactions.counts() == dict.fromkeys(stage.server.element.transactions.counts(), 0)
    assert len(stage.server.element.transports.retiring) == 0
    for each in (alice, bob):
        each.disconnect()


def test_a_call_that_rings_while_its_listener_goes(stage: Stage) -> None:
    stage.listen.append(f"udp:5070:interface={HOST}")
    stage.reload()
    alice = phone(stage, "alice", "udp", 21)
    alice._proxy = f"sip:{HOST}:5070;lr"
    bob = phone(stage, "bob", "udp", 22)
    bob.behaviour = Behaviour(reacts_after=60.0, talks=1000.0)
    call = alice.call("sip:bob@example.com", Behaviour(talks=3.0))
    stage.network.advance(1)
    stage.listen.pop()
    assert stage.reload()[-1] == f"closed udp {HOST}:5070"
    stage.network.advance(50)
    # It is needed for the answer still.
    assert len(stage.node.sockets) == 2
    stage.network.advance(30)
    assert [dialog.ended for dialog in call.dialogs.values()] == ["bye sent"]
    stage.network.advance(300)
    assert [str(address) for address in stage.node.sockets] == [f"{HOST}:5060"]
    for each in (alice, bob):
        each.disconnect()


def test_connections_go_on_when_their_listener_goes(stage: Stage) -> None:
    stage.listen.append(f"tcp:5070:interface={HOST}")
    stage.reload()
    alice, bob = phone(stage, "alice", "tcp", 21), phone(stage, "bob", "udp", 22)
    alice.registration.stop()
    alice.disconnect()
    carol: Any = SimulatedPhone(
        stage.network,
        stage.network.node("192.0.2.23"),
        "alice",
        proxy=f"sip:{HOST}:5070;transport=tcp;lr",
        password=stage.server.demo_passwords["alice"],
        transport="tcp",
        keep_alive=20.0,
    )
    carol.registration.start(60)
    stage.network.advance(2)
    bob.behaviour = carol.behaviour = Behaviour(talks=1000.0)
    call = carol.call("sip:bob@example.com", Behaviour(talks=200.0, reinvites_after=50.0))
    back = bob.call("sip:alice@example.com", Behaviour(talks=150.0))
    stage.network.advance(5)
    stage.listen.pop()
    stage.reload()
    stage.network.advance(400)
    assert [dialog.ended for dialog in call.dialogs.values()] == ["bye sent"]
    assert [dialog.ended for dialog in back.dialogs.values()] == ["bye sent"]
    assert set(carol.registration.statuses) == {200} and len(carol.registration.statuses) > 5
    for each in (carol, bob):
        each.disconnect()
