"""What stands in our Contact: a GRUU where our registrar is in the way, else an address that leads to us.

RFC 5627 section 4.4, RFC 3261 section 8.1.1.8.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from twisted_sip.agent.account import Account
from twisted_sip.agent.registered_way import came_by_registration, leaves_by_registration
from twisted_sip.agent.screening import is_same_way
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.uri import SIPURI

from .agents import Agent, Scene

ALICE, CAROL = "198.51.100.1", "198.51.100.3"


class Unregistered(Agent):
    """Knows no registrar, and has no way to its domain."""

    def register(self, aor: Any, **how: Any) -> Any:
        return self.account(f"sip:carol@{CAROL}")


class WithoutProxy(Agent):
    """Registers, and sends what is not for its domain past the registrar."""

    def register(self, aor: Any, **how: Any) -> Any:
        how.update(registrar="sip:192.0.2.1", outbound_proxies=[])
        return super().register(aor, **how)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene(server=True)
    yield made
    made.stop()


def host_of(call: Any) -> str:
    """Return where the peer of *call* has said that it is."""
    return SIPURI.parse(call.dialog.remote_target).host


def both_ways(scene: Scene, one: Any, other: Any) -> None:
    """Each side can put the other on hold, and the side that may know no way to a GRUU can hang up."""
    for here, there in ((one, other), (other, one)):
        here.hold()
        scene.run()
        assert there.held
        here.resume()
        scene.run()
        assert not there.held
    other.hangup()
    scene.run()
    assert one.over and one.ending.cause == "bye"


@pytest.mark.parametrize("kind", [Agent, WithoutProxy])
def test_a_call_past_the_registrar(scene: Scene, kind: Any) -> None:
    alice, carol = scene.agent("alice", 1, kind=kind), scene.agent("carol", 3, kind=Unregistered)
    assert alice.registrations[0].gruu
    carol.does = lambda call: call.answer()
    call = alice.call(f"sip:carol@{CAROL}", route=())
    scene.run()
    assert host_of(carol.arrived[0]) == ALICE
    both_ways(scene, call, carol.arrived[0])


@pytest.mark.parametrize("user", ["alice", "contact"])
def test_a_call_that_comes_past_the_registrar(scene: Scene, user: str) -> None:
    alice, carol = scene.agent("alice", 1), scene.agent("carol", 3, kind=Unregistered)
    alice.does = lambda call: call.answer()
    call = carol.call(f"sip:{user if user == 'alice' else alice.accounts[0].contact_user}@{ALICE}")
    scene.run()
    assert host_of(call) == ALICE
    both_ways(scene, alice.arrived[0], call)


def test_a_gruu_where_the_registrar_is_in_the_way(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    assert host_of(call) == host_of(other) == "example.com"
    both_ways(scene, call, other)


def test_a_refer_past_the_registrar(scene: Scene) -> None:
    """Its NOTIFYs find the way as well."""
    alice, carol = scene.agent("alice", 1), scene.agent("carol", 3, kind=Unregistered)
    alice.accept_transfer = lambda call, referral: True
    carol.does = lambda call: call.reject(486)
    transfer = carol.refer(f"sip:alice@{ALICE}", f"<sip:carol@{CAROL}>")
    done: list[Any] = []
    transfer.done.addCallback(done.append)
    scene.run(3)
    assert done and done[0] >= 300


# -- what the way is taken for ---------------------------------------------------------------------------


def flow(host: str, port: int = 5060, kind: Any = UDP, identities: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(remote=Address(host, port), kind=kind, identities=identities)


REGISTERED = flow("192.0.2.1")


def account(aor: str = "sip:alice@example.com", registrar: str = "sip:example.com", *route: str) -> Account:
    made = Account(NameAddr.parse(f"<{aor}>"), contact_user="u")
    registration: Any = SimpleNamespace(
        flows=[SimpleNamespace(flow=REGISTERED, proxy=None), SimpleNamespace(flow=None, proxy=SIPURI.parse("sip:p2"))],
        registrar=SIPURI.parse(registrar),
        aor=SIPURI.parse(aor),
        route=route,
    )
    made.registration = registration
    return made


def request(*headers: tuple[str, str], vias: int = 1, uri: str = "sip:bob@example.net") -> Any:
    via = ", ".join(f"SIP/2.0/UDP 192.0.2.{number};branch=z9hG4bK{number}" for number in range(1, vias + 1))
    fields = [("via", via), *headers]
    return build_request("INVITE", uri, from_="<sip:b@c>;tag=1", to="<sip:a@b>", call_id="c", cseq=1, headers=fields)


@pytest.mark.parametrize(
    ("came_by", "vias", "record_route", "answer"),
    [
        (REGISTERED, 1, "", True),
        (flow("192.0.2.1"), 2, "", True),
        (flow("192.0.2.1", 40000), 2, "", False),
        (flow("192.0.2.1", 40000), 1, "", False),
        (flow("192.0.2.7"), 2, "", True),
        (flow("192.0.2.9"), 3, "", False),
        (flow("192.0.2.9"), 2, "<sip:192.0.2.9;lr>, <sip:192.0.2.1;lr>", True),
        (flow("192.0.2.9"), 2, "<sip:192.0.2.1:5080;lr>", False),
        (flow("192.0.2.9"), 2, "<sip:EXAMPLE.com;lr>", True),
        (flow("192.0.2.9"), 2, "<sip:p2;lr>", True),
        (flow("192.0.2.9"), 2, "<sip:service.example.com;lr>", True),
        (flow("192.0.2.9"), 2, "<tel:+1>, <sip:[;lr>", False),
    ],
)
def test_what_has_come_by_the_servers(came_by: Any, vias: int, record_route: str, answer: bool) -> None:
    headers = [("record-route", record_route)] if record_route else []
    known = account("sip:alice@example.com", "sip:example.com", "<sip:service.example.com;lr>")
    assert came_by_registration(known, request(*headers, vias=vias), came_by, ["192.0.2.7"]) is answer


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (flow("192.0.2.1"), True),
        (flow("192.0.2.1", 40000), False),
        (flow("192.0.2.2"), False),
        (flow("192.0.2.1", kind=TCP), False),
        (flow("192.0.2.1", 40000, TLS, ("example.com",)), True),
        (flow("192.0.2.1", 40000, TLS, ("example.net",)), False),
        (flow("192.0.2.2", 40000, TLS, ("example.com",)), False),
    ],
)
def test_others_on_the_host_of_a_server_are_not_the_server(other: Any, same: bool) -> None:
    known = flow("192.0.2.1", 5060, other.kind if other.identities else UDP, ("example.com",))
    assert is_same_way(known, other) is same


@pytest.mark.parametrize(
    ("leaves_by", "uri", "route", "answer"),
    [
        (REGISTERED, "sip:bob@example.net", "", True),
        (flow("192.0.2.9"), "sip:bob@example.net", "", False),
        # Another server of our own domain, which can be found by its name.
        (flow("192.0.2.9"), "sip:bob@example.com", "", True),
        (flow("192.0.2.9"), "sip:bob@example.net", "<sip:p2;lr>", True),
        (flow("192.0.2.9"), "sip:bob@example.com", "<sip:other.example.net;lr>", False),
        (flow("192.0.2.9"), "tel:+1", "", False),
        (flow("192.0.2.9"), "sip:[", "", False),
    ],
)
def test_what_leaves_by_the_servers(leaves_by: Any, uri: str, route: str, answer: bool) -> None:
    made = request(*([("route", route)] if route else []))
    made.uri_text = uri
    assert leaves_by_registration(account(), made, leaves_by) is answer


def test_a_domain_that_is_an_address() -> None:
    at_host = account("sip:alice@192.0.2.9", "sip:192.0.2.1")
    assert not leaves_by_registration(at_host, request(uri="sip:bob@192.0.2.9"), flow("192.0.2.9"))


def test_who_is_not_registered() -> None:
    nobody = Account(NameAddr.parse("<sip:alice@example.com>"), contact_user="u")
    assert not came_by_registration(nobody, request(), REGISTERED)
    assert not leaves_by_registration(nobody, request(), REGISTERED)
