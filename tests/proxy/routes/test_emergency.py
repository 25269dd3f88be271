"""Calls for help (RFC 5031)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.limits import LimitSettings, OverloadGauge
from twisted_sip.message.request import Request
from twisted_sip.proxy.routes.emergency import EmergencyCalls, EmergencySettings
from twisted_sip.proxy.routes.ways import Ways
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

from .conftest import Desk, Incoming, gateways, is_local_uri

HELP = ["sip:112@b1.example.net", "sip:112@b2.example.net", "sip:psap@192.0.2.9;n=112"]


def calls(**settings: Any) -> EmergencyCalls:
    settings.setdefault("to", ("gateway:berlin", "sip:psap@192.0.2.9;n={user}"))
    return EmergencyCalls(gateways(berlin=["b1", "b2"]), EmergencySettings(**settings), is_local_uri)


@pytest.mark.parametrize(
    ("uri", "goes"),
    [
        ("sip:112@example.com", HELP),
        ("sip:1-1-2@example.com", HELP),
        ("sip:%3112@example.com;user=phone", HELP),
        ("tel:112;phone-context=+49", HELP),
        ("urn:service:sos", HELP),
        ("URN:Service:SOS.fire", HELP),
        ("urn:service:sosx", []),
        ("urn:service:counseling", []),
        ("sip:1123@example.com", 404),
        # Not ours to take.
        ("sip:112@elsewhere.example", 404),
    ],
)
def test_which_calls_they_are(uri: str, goes: Any) -> None:
    desk = Desk({"status": 404}, emergency=calls())
    assert desk.ask(uri) == goes
    if goes == HELP:
        assert desk.incoming.notes == [("emergency", "112 is a call for help", "emergency.to")]


def test_no_failure_ends_the_search() -> None:
    found: Any = calls().find(Incoming("sip:112@example.com"), lambda incoming: False)
    assert [target.q for target in found] == [1000, 999, 998]
    assert {300, 404, 486, 599} <= found[0].failover.statuses


def test_other_methods() -> None:
    desk = Desk({"status": 404}, emergency=calls())
    assert desk.ask("sip:112@example.com", method="REGISTER") == 404
    assert desk.ask("sip:112@example.com", method="MESSAGE") == HELP


def test_a_route_to_those_who_know_services() -> None:
    """The Request-URI stays what it is (RFC 5031 section 3)."""
    desk = Desk(emergency=calls(to=("sip:esrp.example.net;lr",)))
    assert desk.ask("urn:service:sos.police") == ["urn:service:sos.police"]
    [target] = desk.router.route(desk.incoming)  # type: ignore[misc, union-attr]
    assert target.path == ("<sip:esrp.example.net;lr>",)


def test_strangers() -> None:
    assert Desk(emergency=calls()).ask("sip:112@example.com", user="") == 403
    assert Desk(emergency=calls(strangers=True)).ask("sip:112@example.com", user="") == HELP


def test_nobody_is_there() -> None:
    made = calls(to=("gateway:munich",))
    assert Desk(emergency=made).ask("sip:112@example.com") == 503


def test_other_numbers() -> None:
    made = calls(to=())
    desk = Desk({"status": 404}, emergency=made)
    assert desk.ask("sip:112@example.com") == 404 and desk.ask("urn:service:sos") == []
    made.adopt(EmergencySettings(to=("sip:{user}@192.0.2.9",), numbers=("110",), number="110"))
    assert desk.ask("sip:112@example.com") == 404
    assert desk.ask("sip:110@example.com") == desk.ask("urn:service:sos") == ["sip:110@192.0.2.9"]


def test_they_are_not_shed() -> None:
    load = 2.0
    gauge = OverloadGauge(LimitSettings(), lambda: 0.0, lambda: load)
    help_, other = (Incoming(f"sip:{number}@example.com").request for number in (112, 113))
    message = Incoming("sip:112@example.com", method="MESSAGE").request
    assert gauge.refuse(help_) and gauge.refuse(other)
    gauge.spares = calls().spares
    assert not any(gauge.refuse(help_) for _ in range(20))
    assert gauge.refuse(other) and gauge.refuse(message)
    # What cannot be read is no call for help.
    odd = Request("INVITE", "sip:112@[", [("to", "<sip:y@example.com>")])
    assert not calls().spares(odd)


def test_through_a_proxy(make_house: Any) -> None:
    table = gateways(berlin=[])
    emergency = EmergencyCalls(
        table, EmergencySettings(to=("sip:192.0.2.50;lr", "sip:{user}@192.0.2.51")), is_local_uri
    )
    router = StaticRouter([StaticRoute(status=404)], ways=Ways(table), emergency=emergency)
    house = make_house(routers=[router])
    house.element.chain[0].knows = lambda request: bool(emergency.number_of(request))
    esrp, psap = house.peer("192.0.2.50"), house.peer("192.0.2.51")
    alice = house.peer("192.0.2.2")
    house.send(alice, house.request("INVITE", "urn:service:sos", to="<urn:service:sos>"))
    got = esrp.expect("INVITE")
    assert got.uri_text == "urn:service:sos" and got.headers.elements("route") == ["<sip:192.0.2.50;lr>"]
    esrp.answer(got, 486)
    got = psap.expect("INVITE")
    assert got.uri_text == "sip:112@192.0.2.51"
    psap.answer(got, 200, [("contact", "<sip:192.0.2.51>")])
    alice.expect(200)
