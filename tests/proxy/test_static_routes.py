"""Static routes (RFC 3261 section 16.5), and targets that are users of ours."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

BOB = "sip:bob@example.com"


@pytest.fixture
def make(make_house: Any) -> Any:
    return lambda *routes, **how: make_house(routers=[StaticRouter([StaticRoute(**route) for route in routes])], **how)


@pytest.mark.parametrize(
    ("route", "method", "user", "host", "fits"),
    [
        ({}, "INVITE", "bob", "example.com", True),
        ({"method": "INVITE"}, "INVITE", "", "", True),
        ({"method": "INVITE"}, "invite", "", "", False),
        ({"method": "[IM]*"}, "MESSAGE", "", "", True),
        ({"user": "+1*"}, "INVITE", "+1555", "", True),
        ({"user": "+1*"}, "INVITE", "+4955", "", False),
        ({"user": "bo?"}, "INVITE", "Bob", "", False),
        ({"host": "*.Example.com"}, "INVITE", "bob", "WWW.example.com", True),
        ({"host": "*.example.com"}, "INVITE", "bob", "example.com", False),
    ],
)
def test_patterns(route: dict[str, str], method: str, user: str, host: str, fits: bool) -> None:
    assert StaticRoute(**route).fits(method, user, host) is fits  # type: ignore[arg-type]


def test_first_route_that_fits_decides(make: Any) -> None:
    house = make(
        {"user": "9*", "method": "MESSAGE", "to": ("sip:{user}@192.0.2.50;x={host}",)},
        {"user": "9*", "status": 410, "reason": "No Calls Here"},
    )
    alice, gateway = house.peer("192.0.2.2"), house.peer("192.0.2.50")
    house.send(alice, house.request("MESSAGE", "sip:911@example.com"))
    got = gateway.expect("MESSAGE")
    assert got.uri_text == "sip:911@192.0.2.50;x=example.com"
    gateway.answer(got, 200)
    answer = house.refused(alice, house.request("INVITE", "sip:911@example.com", branch="two"), 410)
    assert answer.reason == "No Calls Here"


def test_the_location_service_is_asked_where_no_route_fits(make: Any) -> None:
    house = make({"user": "x", "status": 404}, {"user": "bob", "to": ()})
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    bob.answer(bob.expect("MESSAGE"), 200)


def test_serial_targets(make: Any) -> None:
    house = make({"user": "bob", "to": ("sip:one@192.0.2.50", "sip:two@192.0.2.51"), "fork": "serial"})
    alice, one, two = house.peer("192.0.2.2"), house.peer("192.0.2.50"), house.peer("192.0.2.51")
    house.send(alice, house.request("MESSAGE", BOB))
    got = one.expect("MESSAGE")
    two.expect_nothing(within=1)
    one.answer(got, 404)
    two.answer(two.expect("MESSAGE"), 200)
    assert alice.expect(200)


def test_parallel_targets(make: Any) -> None:
    house = make({"user": "bob", "to": ("sip:one@192.0.2.50", "sip:two@192.0.2.51")})
    alice, one, two = house.peer("192.0.2.2"), house.peer("192.0.2.50"), house.peer("192.0.2.51")
    house.send(alice, house.request("MESSAGE", BOB))
    first, second = one.expect("MESSAGE"), two.expect("MESSAGE")
    one.answer(first, 404)
    two.answer(second, 200)
    assert alice.expect(200)


def test_tel_uri(make: Any) -> None:
    house = make({"user": "+1*", "host": "*", "to": ("sip:{user}@192.0.2.50;user=phone",)})
    alice, gateway = house.peer("192.0.2.2"), house.peer("192.0.2.50")
    house.send(alice, house.request("MESSAGE", "tel:+1-555-1234"))
    got = gateway.expect("MESSAGE")
    assert got.uri_text.startswith("sip:+1") and got.uri_text.endswith("@192.0.2.50;user=phone")
    gateway.answer(got, 200)
    house.send(alice, house.request("MESSAGE", "tel:+49-555", branch="two"))
    assert alice.expect(404)


def test_a_gruu_is_routed_to_nobody_else(make: Any) -> None:
    house = make({"to": ("sip:one@192.0.2.50",)})
    alice = house.peer("192.0.2.2")
    house.send(alice, house.request("MESSAGE", "sip:bob@example.com;gr=urn:uuid:1"))
    assert alice.expect(480)


def test_routes_are_swapped_whole(make: Any) -> None:
    house = make()
    [router] = house.proxy.routers
    alice = house.peer("192.0.2.2")
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(480)
    router.routes = (StaticRoute(status=403),)
    house.send(alice, house.request("MESSAGE", BOB, branch="two"))
    assert alice.expect(403)


# -- users as targets ------------------------------------------------------------------------


def test_a_route_to_our_users_rings_their_phones(make: Any) -> None:
    house = make({"user": "support", "to": ("sip:one@example.com", "sip:two@example.com", "sip:ext@192.0.2.50")})
    alice = house.peer("192.0.2.2")
    phones = [house.peer(host) for host in ("192.0.2.10", "192.0.2.11", "192.0.2.50")]
    house.bind("one", "sip:one@192.0.2.10")
    house.bind("two", "sip:two@192.0.2.11")
    house.send(alice, house.request("MESSAGE", "sip:support@example.com"))
    requests = [phone.expect("MESSAGE") for phone in phones]
    # Not by way of ourselves.
    assert all(len(got.vias) == 2 for got in requests)
    for phone, got, status in zip(phones, requests, (404, 404, 200), strict=True):
        phone.answer(got, status)
    assert alice.expect(200)


def test_the_order_of_users_counts_before_that_of_their_phones(make: Any) -> None:
    house = make({"user": "support", "to": ("sip:one@example.com", "sip:two@example.com"), "fork": "serial"})
    alice = house.peer("192.0.2.2")
    phones = [house.peer(f"192.0.2.{10 + place}") for place in range(3)]
    house.bind("one", "sip:one@192.0.2.10", q=900)
    house.bind("one", "sip:one@192.0.2.11", q=100)
    house.bind("two", "sip:two@192.0.2.12", q=1000)
    house.send(alice, house.request("MESSAGE", "sip:support@example.com"))
    for phone in phones:
        got = phone.expect("MESSAGE")
        assert sum(bool(other.messages) for other in phones) == phones.index(phone) + 1
        phone.answer(got, 404)
    assert alice.expect(404)


def test_users_that_forward_in_a_circle(house: Any) -> None:
    alice, phone = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:carol@example.com")
    house.bind("carol", "sip:bob@example.com")
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(480)
    house.bind("carol", "sip:carol@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB, branch="two"))
    phone.answer(phone.expect("MESSAGE"), 200)
    assert alice.expect(200)


class SlowStore:
    """A location store whose answers come later."""

    def __init__(self) -> None:
        self.bindings: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, Deferred[Any]]] = []

    def lookup(self, aor: str) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        self.asked.append((aor, waiting))
        return waiting

    def answer(self, bindings: Any) -> str:
        aor, waiting = self.asked.pop(0)
        waiting.callback(bindings)
        return aor


def test_a_store_that_takes_its_time(make: Any) -> None:
    store = SlowStore()
    house = make({"user": "support", "to": ("sip:one@example.com",)}, location=store)
    alice, phone = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("one", "sip:one@192.0.2.10")
    found = house.store.lookup("sip:one@example.com")
    house.send(alice, house.request("MESSAGE", "sip:support@example.com"))
    house.network.advance(1)
    assert store.answer(found) == "sip:one@example.com"
    phone.answer(phone.expect("MESSAGE"), 200)
    assert alice.expect(200)
    house.send(alice, house.request("MESSAGE", "sip:one@example.com", branch="two"))
    house.network.advance(1)
    assert store.answer([]) == "sip:one@example.com"
    assert alice.expect(480)


def test_no_location_service(make_house: Any) -> None:
    house = make_house(location=None)
    alice = house.peer("192.0.2.2")
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(404)


def test_contacts_that_cannot_be_used(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    house.bind("bob", "mailto:bob@example.org")
    house.bind("bob", "sip:carol@example.com?Subject=x")
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(480)
