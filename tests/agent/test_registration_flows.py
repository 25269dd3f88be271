"""Outbound with several flows, against the shipped registrar and proxy (RFC 5626)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.agent.flow_keeper import FlowKeeper
from twisted_sip.agent.registration import Registration
from twisted_sip.agent.registration_events import FlowLost, Registered, RegistrationState
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.auth.client import DigestClient
from twisted_sip.message.request import Request
from twisted_sip.registrar.settings import RegistrarSettings
from twisted_sip.testing.peer import StreamAcceptor
from twisted_sip.testing.phone import leftovers

from .conftest import INSTANCE, PEER, SERVER, RegistrarScene

Make = Callable[..., Any]


class Client:
    """A registration of alice over two flows: UDP and TCP."""

    def __init__(self, make: Make, *proxies: str, server: dict[str, Any] | None = None, **how: Any) -> None:
        self.network, self.server, self.element = make(**(server or {}))
        self.keeper = FlowKeeper(self.element)
        self.registration = Registration(
            self.element,
            "sip:alice@example.com",
            credentials=DigestClient("alice", "secret", strongest=True),
            outbound_proxies=proxies or (f"sip:{SERVER}", f"sip:{SERVER};transport=tcp"),
            instance=INSTANCE,
            keeper=self.keeper,
            settings=RegistrationSettings(**how),
        )

    def start(self) -> None:
        registered: list[Any] = []
        self.registration.start().addCallback(registered.append)
        self.network.advance(1)
        assert registered == [self.registration]

    @property
    def bindings(self) -> list[Any]:
        return list(self.server.location.bindings())

    def events(self, kind: type) -> list[Any]:
        return [event for event in self.registration.log.kept() if isinstance(event, kind)]

    def stop(self) -> None:
        over: list[Any] = []
        self.registration.stop().addCallback(over.append)
        self.network.advance(10)
        assert over
        # Timers of transactions, and what the server has said of dead connections.
        self.network.advance(200)
        held = {**leftovers(self.element), "flows": len(self.keeper)}
        assert {name: count for name, count in held.items() if count} == {}


def test_two_flows(server_scene: Make) -> None:
    client = Client(server_scene)
    client.start()
    assert [event.reg_id for event in client.events(Registered)] == [1, 2]
    assert all(event.outbound for event in client.events(Registered))
    assert client.registration.gruu == f"sip:alice@example.com;gr={INSTANCE}"
    assert sorted(binding.contact.partition(";")[2] for binding in client.bindings) == ["ob", "transport=tcp;ob"]
    assert {binding.received.partition(":")[0] for binding in client.bindings} == {"UDP", "TCP"}
    # Both flows are kept alive, and both registrations.
    client.network.advance(8000)
    assert len(client.bindings) == 2 and client.events(FlowLost) == []
    assert len(client.events(Registered)) > 4
    client.stop()
    assert client.bindings == []


def test_a_lost_connection_is_replaced_at_once(server_scene: Make) -> None:
    client = Client(server_scene)
    client.start()
    client.network.advance(130)
    [flow] = client.element.transports.connections.flows()
    before = {binding.contact: binding.flow for binding in client.bindings}
    flow.abort()
    client.network.advance(1)
    [lost] = client.events(FlowLost)
    assert (lost.reg_id, lost.retry_in) == (2, 0.0)
    assert client.registration.state is RegistrationState.REGISTERED
    after = {binding.contact: binding.flow for binding in client.bindings}
    # The same binding, over another flow; it has the same reg-id.
    assert len(after) == 2 and set(after.values()) != set(before.values())
    client.stop()


def test_a_flow_that_has_proved_nothing_waits(server_scene: Make) -> None:
    client = Client(server_scene)
    client.start()
    [flow] = client.element.transports.connections.flows()
    flow.abort()
    client.network.advance(1)
    [lost] = client.events(FlowLost)
    # Section 4.5: the other flow stands, so that the base is 90 seconds.
    assert 90 <= lost.retry_in <= 180
    assert len(client.element.transports.connections) == 0
    client.network.advance(lost.retry_in)
    assert len(client.element.transports.connections) == 1
    client.stop()


@pytest.mark.parametrize(("lasts", "least", "most"), [(0.1, 2, 8), (15.0, 6, 9)])
def test_a_server_that_closes_connections(registrar: RegistrarScene, lasts: float, least: int, most: int) -> None:
    """At once after its response, or as idle: it is not registered at over and over for that."""
    node = registrar.peer.node
    registrars = StreamAcceptor(node)
    registrar.register(registrar=f"sip:{PEER};transport=tcp")
    answered = 0
    for _ in range(1200):
        registrar.network.advance(0.1)
        for peer in registrars.peers[answered:]:
            if peer.messages:
                answered += 1
                [request] = peer.messages
                assert isinstance(request, Request)
                peer.answer(request, 200, [("contact", request.headers.all("contact")[0])])
                node.callLater(lasts, peer.close)
    assert least <= answered <= most
    registrar.registration.stop()


@pytest.mark.parametrize("transport", ["", ";transport=tcp"])
def test_silence_is_found_out_by_keep_alives(server_scene: Make, transport: str) -> None:
    client = Client(server_scene, f"sip:{SERVER}{transport}")
    client.start()
    client.network.advance(200)
    client.network.cut(client.element.reactor, client.server.node)
    client.network.advance(140)
    assert client.events(FlowLost)
    assert client.registration.flows[0].flow is None
    client.network.advance(600)
    client.network.mend(client.element.reactor, client.server.node)
    before = len(client.events(Registered))
    client.network.advance(1800)
    assert len(client.events(Registered)) > before
    assert client.registration.state is RegistrationState.REGISTERED
    client.stop()


def test_a_server_that_restarts(server_scene: Make) -> None:
    client = Client(server_scene)
    client.start()
    client.network.advance(300)
    client.server.crash()
    client.network.advance(60)
    client.server.restart()
    client.network.advance(2000)
    assert len({binding.flow for binding in client.bindings}) == 2
    client.stop()


def test_a_registrar_without_outbound_wants_no_keep_alives(server_scene: Make) -> None:
    settings = {"registrar_settings": RegistrarSettings(outbound=False, gruu=False)}
    client = Client(server_scene, f"sip:{SERVER};transport=tcp", server=settings)
    client.start()
    flow = client.registration.best
    assert flow is not None and flow.grant is not None and not flow.grant.outbound
    assert not client.keeper.is_kept_alive(flow.flow)
    client.stop()


@pytest.mark.parametrize(("how", "kept"), [("always", True), ("never", False)])
def test_keep_alives_are_a_choice(server_scene: Make, how: str, kept: bool) -> None:
    client = Client(server_scene, f"sip:{SERVER};transport=tcp", keep_alive=how)
    client.start()
    best = client.registration.best
    assert best is not None and client.keeper.is_kept_alive(best.flow) is kept
    client.stop()


def test_one_connection_of_two_users_is_pinged_once(server_scene: Make) -> None:
    client = Client(server_scene, f"sip:{SERVER};transport=tcp")
    bob = Registration(
        client.element,
        "sip:bob@example.com",
        credentials=DigestClient("bob", "secret"),
        outbound_proxies=[f"sip:{SERVER};transport=tcp"],
        keeper=client.keeper,
    )
    client.start()
    bob.start()
    client.network.advance(1)
    assert len(client.element.transports.connections) == len(client.keeper) == 1
    client.network.advance(1000)
    assert client.events(FlowLost) == []
    [flow] = client.element.transports.connections.flows()
    flow.abort()
    client.network.advance(1)
    assert [len(one.log.kept()) > 2 and one.best is not None for one in (client.registration, bob)] == [True, True]
    bob.stop()
    client.stop()


def test_a_wrong_password_is_tried_once(server_scene: Make) -> None:
    client = Client(server_scene, f"sip:{SERVER}")
    client.registration.credentials = DigestClient("alice", "wrong")
    failures: list[Any] = []
    client.registration.start().addErrback(failures.append)
    client.network.advance(5)
    assert failures[0].value.status == 401
    assert client.registration.flows[0]._cseq == 2
    client.stop()
