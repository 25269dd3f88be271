"""Routes, strict routers, maddr, Request-URIs (RFC 3261 sections 16.4, 16.5, 16.6 steps 2, 6 and 7, 16.12)."""

from __future__ import annotations

from typing import Any

import pytest

BOB = "sip:bob@example.com"
OURS = "<sip:192.0.2.1;lr>"


@pytest.fixture
def alice(house: Any) -> Any:
    return house.peer("192.0.2.2")


@pytest.fixture
def next_proxy(house: Any) -> Any:
    return house.peer("192.0.2.50")


def test_our_route_goes_off(house: Any, alice: Any) -> None:
    bob = house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB, extra=[f"Route: {OURS}, <sip:example.com;lr>"]))
    got = bob.expect("MESSAGE")
    assert "route" not in got.headers
    bob.answer(got, 200)


def test_loose_route_that_leads_on(house: Any, alice: Any, next_proxy: Any) -> None:
    route = "<sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>"
    house.send(alice, house.request("MESSAGE", "sip:carol@example.org", extra=[f"Route: {OURS}, {route}"]))
    got = next_proxy.expect("MESSAGE")
    assert got.uri_text == "sip:carol@example.org"
    assert got.headers.elements("route") == ["<sip:192.0.2.50;lr>", "<sip:192.0.2.51;lr>"]
    next_proxy.answer(got, 200)
    assert alice.expect(200)


def test_strict_router_after_us(house: Any, alice: Any, next_proxy: Any) -> None:
    """Section 16.6 step 6."""
    route = "<sip:192.0.2.50;x=y?a=b>, <sip:192.0.2.51;lr>"
    house.send(alice, house.request("MESSAGE", "sip:carol@example.org", extra=[f"Route: {OURS}, {route}"]))
    got = next_proxy.expect("MESSAGE")
    assert got.uri_text == "sip:192.0.2.50;x=y"
    assert got.headers.elements("route") == ["<sip:192.0.2.51;lr>", "<sip:carol@example.org>"]
    next_proxy.answer(got, 200)


def test_strict_router_before_us(house: Any, alice: Any) -> None:
    """Section 16.4: our Record-Route value in the Request-URI; the last Route is the target (section 16.12.1.2)."""
    bob = house.peer("192.0.2.10")
    house.register("bob", bob)
    caller = "<sip:alice@example.com>;tag=a"
    house.send(alice, house.request("INVITE", BOB, from_=caller))
    invite = bob.expect("INVITE")
    bob.answer(invite, 200, [("contact", "<sip:bob@192.0.2.10>")], to_tag="b")
    [ours] = alice.expect(200).headers.elements("record-route")
    uri = ours.strip("<>")
    strict = house.peer("192.0.2.51")
    for method in ("ACK", "BYE"):
        text = house.request(
            method,
            uri,
            branch=method,
            from_=caller,
            to=f"<{BOB}>;tag=b",
            extra=["Route: <sip:192.0.2.51;lr>, <sip:bob@192.0.2.10>"],
        )
        house.send(alice, text)
        got = strict.expect(method)
        assert got.uri_text == "sip:bob@192.0.2.10"
        assert got.headers.elements("route") == ["<sip:192.0.2.51;lr>"]
    strict.answer(got, 200)
    assert alice.expect(200)


def test_an_lr_parameter_alone_makes_no_record_route(house: Any, alice: Any, next_proxy: Any) -> None:
    uri = "sip:example.com;lr"
    house.send(alice, house.request("MESSAGE", uri, extra=["Route: <sip:192.0.2.50;lr>"]))
    got = next_proxy.expect("MESSAGE")
    assert got.uri_text == uri
    next_proxy.answer(got, 200)


@pytest.mark.parametrize("route", ["<tel:+15551234>", "<http://192.0.2.50>"])
def test_route_of_a_foreign_scheme(house: Any, alice: Any, route: str) -> None:
    house.send(alice, house.request("MESSAGE", "sip:carol@example.org", extra=[f"Route: {OURS}, {route}"]))
    assert alice.expect(416)


def test_next_hop_by_the_request_uri(house: Any, alice: Any, next_proxy: Any) -> None:
    house.dns.a("example.org", "192.0.2.50")
    house.send(alice, house.request("MESSAGE", "sip:carol@example.org"))
    next_proxy.answer(next_proxy.expect("MESSAGE"), 200)
    assert alice.expect(200)


def test_no_way_is_500_upstream(house: Any, alice: Any) -> None:
    """As if 503 had come (section 16.9), which becomes 500 (section 16.7 step 6)."""
    house.send(alice, house.request("MESSAGE", "sip:carol@nowhere.example"))
    assert alice.expect(500, within=40)


def test_next_server_after_503(house: Any, alice: Any) -> None:
    """Section 16.6 step 7: on to the next of the ordered set, with a new branch."""
    one, two = house.peer("192.0.2.50"), house.peer("192.0.2.51")
    house.dns.srv("_sip._udp.example.org", 1, 0, 5060, "one.example.org")
    house.dns.srv("_sip._udp.example.org", 2, 0, 5060, "two.example.org")
    house.dns.a("one.example.org", "192.0.2.50").a("two.example.org", "192.0.2.51")
    house.send(alice, house.request("MESSAGE", "sip:carol@example.org"))
    first = one.expect("MESSAGE")
    one.answer(first, 503)
    second = two.expect("MESSAGE")
    assert first.top_via.branch != second.top_via.branch
    two.answer(second, 200)
    assert alice.expect(200)


# -- Request-URI -----------------------------------------------------------------------------


def test_parameters_that_no_request_uri_may_have(house: Any, alice: Any) -> None:
    """Section 16.6 step 2."""
    bob = house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10;method=INVITE;x=y?Subject=hi")
    house.send(alice, house.request("MESSAGE", BOB))
    got = bob.expect("MESSAGE")
    assert got.uri_text == "sip:bob@192.0.2.10;x=y"
    bob.answer(got, 200)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:bob@example.com;maddr=192.0.2.1",
        "sip:bob@example.com:5060;maddr=example.com;transport=udp",
        "sip:bob@example.com;maddr=192.0.2.1;x=y",
    ],
)
def test_maddr_that_names_us(house: Any, alice: Any, uri: str) -> None:
    """Section 16.4: it has brought the request here."""
    bob = house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", uri))
    got = bob.expect("MESSAGE")
    assert got.uri_text == "sip:bob@192.0.2.10"
    bob.answer(got, 200)


def test_maddr_that_names_us_in_front_of_another_domain(house: Any, alice: Any, next_proxy: Any) -> None:
    house.dns.a("example.org", "192.0.2.50")
    house.send(alice, house.request("MESSAGE", "sip:carol@example.org;maddr=192.0.2.1;x=y"))
    got = next_proxy.expect("MESSAGE")
    assert got.uri_text == "sip:carol@example.org;x=y"
    next_proxy.answer(got, 200)


def test_maddr_of_another_transport_brings_it_back_to_us(house: Any, alice: Any) -> None:
    bob = house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", "sip:bob@example.com;maddr=192.0.2.1;transport=tcp"))
    got = bob.expect("MESSAGE")
    # Once around over TCP.
    assert [via.transport for via in got.vias] == ["UDP", "TCP", "UDP"]
    bob.answer(got, 200)
    assert alice.expect(200)


def test_maddr_elsewhere_is_the_only_target(house: Any, alice: Any, next_proxy: Any) -> None:
    """Section 16.5."""
    bob = house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", "sip:bob@example.com;maddr=192.0.2.50"))
    got = next_proxy.expect("MESSAGE")
    assert got.uri_text == "sip:bob@example.com;maddr=192.0.2.50"
    next_proxy.answer(got, 200)
    assert not bob.messages
