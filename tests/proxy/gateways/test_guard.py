"""Gateways are reached by routes alone, however users and strangers name them."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.routing import Target
from twisted_sip.message.request import Request
from twisted_sip.proxy.gateways.guard import GatewayGuard
from twisted_sip.proxy.gateways.settings import GatewaysSettings
from twisted_sip.proxy.routes.emergency import EmergencyCalls, EmergencySettings
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

GATEWAY = "192.0.2.50"


@pytest.fixture
def made(trunk: Any) -> Any:
    return guarded(trunk(f"sip:{GATEWAY}"))


def guarded(found: Any) -> Any:
    found.house.proxy.guard = GatewayGuard(found.gateways)
    found.gateway, found.alice = found.house.peer(GATEWAY), found.house.peer("192.0.2.2")
    found.house.dns.a("evil.example.net", GATEWAY)
    return found


def refused(made: Any, uri: str, *extra: str) -> None:
    text = made.house.request("INVITE", uri, extra=extra)
    made.house.refused(made.alice, text, 403)
    made.gateway.expect_nothing()


def test_by_a_route(made: Any) -> None:
    made.house.send(made.alice, made.house.request("INVITE", "sip:0123@example.com"))
    made.gateway.answer(made.gateway.expect("INVITE"), 486)
    made.alice.expect(486)


@pytest.mark.parametrize(
    "uri",
    [
        f"sip:1900@{GATEWAY}",
        f"sip:1900@{GATEWAY}:5061",
        f"sip:1900@example.com;maddr={GATEWAY}",
        f"sip:1900@{GATEWAY};gr=1",
        "sip:1900@evil.example.net",
    ],
)
def test_named_by_its_address(made: Any, uri: str) -> None:
    refused(made, uri)
    assert made.notes()[-1] == f"403: sip:{GATEWAY} is reached by routes alone"


def test_in_a_route_of_ones_own(made: Any) -> None:
    refused(made, "sip:1900@example.com", f"Route: <sip:{GATEWAY};lr>")


def test_no_other_method(made: Any) -> None:
    made.house.send(made.alice, made.house.request("MESSAGE", f"sip:1900@{GATEWAY}"))
    made.alice.expect(403)
    made.gateway.expect_nothing()


def test_registered_as_a_contact(made: Any) -> None:
    made.house.bind("bob", "sip:1900@192.0.2.70", path=(f"<sip:{GATEWAY};lr>",), received="UDP:192.0.2.9:5060")
    refused(made, "sip:bob@example.com")


def test_one_that_has_registered_itself(made: Any) -> None:
    made.house.bind("pbx", f"sip:pbx@{GATEWAY}", received=f"UDP:{GATEWAY}:5060")
    made.house.send(made.alice, made.house.request("MESSAGE", "sip:pbx@example.com"))
    made.gateway.answer(made.gateway.expect("MESSAGE"), 200)
    made.alice.expect(200)


@pytest.mark.parametrize("received", [f"UDP:{GATEWAY}:5070", f"TCP:{GATEWAY}:40000", "UDP:192.0.2.51:5060", ""])
def test_one_that_somebody_else_has_registered(made: Any, received: str) -> None:
    """On the same host, or behind the same NAT."""
    made.house.bind("bob", f"sip:1900@{GATEWAY}", received=received)
    refused(made, "sip:bob@example.com")


def test_other_ports_are_others(trunk: Any) -> None:
    found = trunk(f"sip:{GATEWAY}:5070")
    made = guarded(found)
    made.house.send(made.alice, made.house.request("MESSAGE", f"sip:bob@{GATEWAY}"))
    made.gateway.answer(made.gateway.expect("MESSAGE"), 200)
    made.alice.expect(200)


def test_where_a_redirection_leads(trunk: Any) -> None:
    made = guarded(trunk(f"sip:{GATEWAY}"))
    made.house.proxy.settings = ProxySettings(recurse=True)
    made.house.bind("bob", "sip:bob@192.0.2.10")
    bob = made.house.peer("192.0.2.10")
    text = made.house.request("INVITE", "sip:bob@example.com")
    made.house.send(made.alice, text)
    bob.answer(bob.expect("INVITE"), 302, [("contact", f"<sip:1900@{GATEWAY}>")])
    made.house.send(made.alice, made.house.ack_for(text, made.alice.expect(403)))
    made.gateway.expect_nothing()


def test_a_gateway_that_redirects_is_a_stranger(network: Any, make_house: Any) -> None:
    routes = [
        StaticRoute(user="+*", to=("sip:{user}@192.0.2.10",)),
        StaticRoute(user="0*", to=("sip:{user}@192.0.2.11",)),
    ]
    house = make_house(settings=ProxySettings(recurse=True))
    house.proxy.routers.append(
        StaticRouter(
            routes,
            is_stranger=lambda incoming: not incoming.user,
            is_local_uri=house.element.domains.is_local_uri,
        )
    )
    house.admit.user = "sip:alice@example.com"
    alice, first, second = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    text = house.request("INVITE", "sip:+4930@example.com")
    house.send(alice, text)
    first.answer(first.expect("INVITE"), 302, [("contact", "<sip:0881@example.com>")])
    house.send(alice, house.ack_for(text, alice.expect(302)))
    second.expect_nothing()


@pytest.mark.parametrize(
    ("uri", "leads_there"),
    [
        ("sip:1900@gw.example.net", True),
        ("sip:1900@GW.example.net.", True),
        ("sip:1900@gw.example.net:5060", True),
        ("sip:1900@other.example.net;maddr=gw.example.net", True),
        ("sip:1900@192.0.2.50:5099", True),
        ("sip:1900@192.0.2.51", False),
    ],
)
def test_one_with_a_name(trunk: Any, uri: str, leads_there: bool) -> None:
    found = trunk("sip:gw.example.net")
    found.house.dns.a("gw.example.net", GATEWAY)
    made = guarded(found)
    # As a probe has shown.
    next(iter(made.gateways)).probe_answered(200, 0.1, GATEWAY)
    if leads_there:
        refused(made, uri)
        return
    other = made.house.peer("192.0.2.51")
    made.house.send(made.alice, made.house.request("MESSAGE", uri))
    other.answer(other.expect("MESSAGE"), 200)
    made.alice.expect(200)


def test_ports_of_a_name(trunk: Any) -> None:
    found = trunk("sip:gw.example.net:5080")
    found.house.dns.a("gw.example.net", GATEWAY)
    made = guarded(found)
    refused(made, "sip:1900@gw.example.net:5080")
    made.house.send(made.alice, made.house.request("MESSAGE", "sip:bob@gw.example.net:5060"))
    made.gateway.answer(made.gateway.expect("MESSAGE"), 200)
    made.alice.expect(200)


def test_what_the_operator_writes_may_lead_there() -> None:
    calls = EmergencyCalls(None, EmergencySettings(to=("sip:{user}@192.0.2.50", "sip:192.0.2.51;lr")), lambda uri: True)
    incoming: Any = type("Incoming", (), {"request": Request("INVITE", "sip:112@example.com", []), "note": _nothing})()
    found: Any = calls.find(incoming, lambda incoming: False)
    assert [target.configured for target in found] == [True, True]
    assert not Target(uri=found[0].uri).configured


def _nothing(*what: Any) -> None:
    pass


def test_where_it_was_once(trunk: Any) -> None:
    """An address at which it has not been for an hour may be somebody else's; where it was last is known for good."""
    made = trunk("sip:gw.example.net", settings=GatewaysSettings(probe_interval=0))
    (gateway,) = made.gateways
    for host in ("192.0.2.50", "192.0.2.51", "192.0.2.50"):
        gateway.probe_answered(200, 0.1, host)
        made.house.network.advance(1)
    assert sorted(gateway.addresses) == ["192.0.2.50", "192.0.2.51"]
    made.house.network.advance(1800)
    gateway.probe_answered(200, 0.1, "[2001:db8::1]")
    made.house.network.advance(1801)
    assert tuple(gateway.addresses) == ("2001:db8::1",)
    made.house.network.advance(100_000)
    assert tuple(gateway.addresses) == ("2001:db8::1",)
    for number in range(20):
        gateway.probe_answered(200, 0.1, f"192.0.2.{number}")
    assert len(gateway.addresses) == 8


def test_those_that_are_asked_seldom(trunk: Any) -> None:
    made = trunk("sip:gw.example.net", settings=GatewaysSettings(probe_interval=3600.0))
    (gateway,) = made.gateways
    gateway.probe_answered(200, 0.1, "192.0.2.50")
    made.house.network.advance(1)
    gateway.probe_answered(200, 0.1, "192.0.2.51")
    made.house.network.advance(7200)
    assert len(gateway.addresses) == 2
    made.house.network.advance(3600)
    assert tuple(gateway.addresses) == ("192.0.2.51",)
