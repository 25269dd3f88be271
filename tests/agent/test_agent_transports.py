"""Agents over TCP and TLS, behind a NAT, with two flows each (RFC 5626, RFC 5630)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twisted_sip.agent.compose import StandaloneAgent, user_agent
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Network
from twisted_sip.testing.phone import leftovers
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.self_signed import self_signed_certificate
from twisted_sip.transport.settings import TLSSettings, TransportSettings


class Answering(StandaloneAgent):
    def incoming_call(self, call: Any) -> Any:
        return call.answer()


@pytest.mark.parametrize(("transport", "aor"), [("tcp", "sip"), ("tls", "sip"), ("tls", "sips")])
def test_behind_a_nat(tmp_path: Path, transport: str, aor: str) -> None:
    network = Network(8)
    files = self_signed_certificate(tmp_path, ["example.com", "192.0.2.1"])
    passwords = {"alice": "a-secret", "bob": "b-secret"}
    server = SimulatedServer(network, passwords=passwords, tls=TLSSettings(certificates=(files,)))
    nat = NAT.symmetric(network, "203.0.113.1")
    agents = []
    route = f"{aor}:192.0.2.1" if aor == "sips" else f"sip:192.0.2.1;transport={transport}"
    for number, (user, password) in enumerate(passwords.items(), 1):
        node = network.node(f"10.0.0.{number}", behind=nat)
        agent = user_agent(
            node,
            f"udp:5060:interface=10.0.0.{number}",
            agent=Answering,
            media=None,
            transport_settings=TransportSettings(tls=TLSSettings(trust_roots=files.certificate)),
            resolver=Resolver(node, names=FakeDNS()),
        )
        agent.register(f"{aor}:{user}@example.com", password=password, outbound_proxies=[route])
        agent.startService()
        agents.append(agent)
    network.advance(3)
    alice, bob = agents
    assert [agent.registrations[0].state.value for agent in agents] == ["registered"] * 2
    call = alice.call(f"{aor}:bob@example.com")
    network.advance(2)
    assert call.established and call.signalling_is_secure is (transport == "tls")
    if aor == "sips":
        assert call.dialog.secure and call.dialog.remote_target.startswith("sips:")
    network.advance(600)
    # The connections of both are kept alive, and so is the call.
    [other] = bob.calls
    other.hangup()
    network.advance(2)
    assert call.over and call.ending.by == "remote"
    stopped: list[Any] = []
    for agent in agents:
        agent.stopService().addCallback(stopped.append)
    network.advance(20)
    assert len(stopped) == 2
    network.advance(300)
    for agent in agents:
        assert not any(leftovers(agent.element).values()) and not len(agent.table) and not len(agent.dialogs)
    assert "bindings" not in server.leftovers()


def test_nobody_falls_back_from_sips(tmp_path: Path) -> None:
    network = Network(8)
    server = SimulatedServer(network)
    node = network.node("198.51.100.1")
    agent = user_agent(node, "udp:5060:interface=198.51.100.1", media=None, resolver=Resolver(node, names=FakeDNS()))
    agent.startService()
    registration = agent.register("sips:alice@example.com", outbound_proxies=["sip:192.0.2.1;lr"])
    failures: list[Any] = []
    registration.when_registered().addErrback(failures.append)
    call = agent.call("sips:bob@192.0.2.1")
    network.advance(20)
    assert failures[0].value.status in (480, 503) and call.over
    agent.stopService()
    network.advance(20)
    del server
