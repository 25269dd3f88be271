"""Calls between phones over different transports, TLS among them: double Record-Route, connections reused both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from twisted_sip.testing.agreement import disagreements
from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.transport.self_signed import self_signed_certificate
from twisted_sip.transport.settings import TLSSettings


@pytest.mark.parametrize("callee", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("caller", ["udp", "tcp", "tls"])
def test_every_transport_to_every_other(network: Network, tmp_path: Path, caller: str, callee: str) -> None:
    files = self_signed_certificate(tmp_path, ["example.com", "192.0.2.1"])
    server = SimulatedServer(network, passwords={"alice": "a", "bob": "b"}, tls=TLSSettings(certificates=(files,)))
    nat = NAT.symmetric(network, "203.0.113.1")
    phones = []
    for number, (user, transport) in enumerate((("alice", caller), ("bob", callee)), 1):
        phone = SimulatedPhone(
            network,
            network.node(f"10.0.0.{number}", behind=nat),
            user,
            proxy=server.route(transport),
            password=user[0],
            transport=transport,
            keep_alive=20.0,
            tls=TLSSettings(trust_roots=files.certificate),
        )
        phone.registration.start(60)
        phones.append(phone)
    alice, bob = phones
    network.advance(2.0)
    assert [phone.registration.statuses for phone in phones] == [[200], [200]]
    bob.behaviour = Behaviour(talks=6.0)
    ended_by_bob = alice.call("sip:bob@example.com", Behaviour(talks=30.0, reinvites_after=1.0))
    ended_by_alice = alice.call("sip:bob@example.com", Behaviour(talks=3.0))
    message = bob.message("sip:alice@example.com", "hello")
    network.advance(20.0)
    assert [dialog.ended for dialog in ended_by_bob.dialogs.values()] == ["bye received"]
    assert [dialog.ended for dialog in ended_by_alice.dialogs.values()] == ["bye sent"]
    assert message.outcome == 200
    if "tls" in (caller, callee):
        flows = server.element.transports.connections.flows()
        assert any(flow.kind.secure and not flow.outbound for flow in flows)
    for phone in phones:
        phone.quiet()
    network.advance(760.0)
    for phone in phones:
        phone.disconnect()
    network.advance(20.0)
    assert disagreements(phones, calm=True) == []
    assert server.leftovers() == {}


def test_a_phone_does_not_talk_to_who_proves_another_name(network: Network, tmp_path: Path) -> None:
    files = self_signed_certificate(tmp_path, ["example.com"])
    server = SimulatedServer(network, tls=TLSSettings(certificates=(files,)))
    node = network.node("198.51.100.1")
    trusting = TLSSettings(trust_roots=files.certificate)
    alice = SimulatedPhone(network, node, "alice", proxy=server.route("tls"), transport="tls", tls=trusting)
    alice.registration.start(60)
    network.advance(2.0)
    assert set(alice.registration.statuses) == {503}
