"""sips (RFC 3261 sections 16.6 steps 4 and 7; RFC 5630 section 5.3)."""

from __future__ import annotations

from typing import Any

import pytest

SIPS = "sips:bob@example.com"
SIP = "sip:bob@example.com"


@pytest.fixture
def alice(house: Any) -> Any:
    return house.stream("192.0.2.2", 5061)


def send(house: Any, peer: Any, uri: str, method: str = "MESSAGE", **fields: Any) -> str:
    fields.setdefault("contact", "<sips:alice@192.0.2.2>")
    text = str(house.request(method, uri, transport="TLS", **fields))
    house.send(peer, text)
    return text


def test_sips_reaches_a_sips_contact_over_its_flow(house: Any, alice: Any) -> None:
    bob = house.stream("192.0.2.10", 5061)
    house.register("bob", bob, "sips:bob@192.0.2.10")
    send(house, alice, SIPS)
    got = bob.expect("MESSAGE")
    assert got.uri_text == "sips:bob@192.0.2.10"
    bob.answer(got, 200)
    assert alice.expect(200)


def test_sips_never_goes_to_a_sip_contact(house: Any, alice: Any) -> None:
    bob = house.stream("192.0.2.10", 5061)
    house.register("bob", bob, "sip:bob@192.0.2.10;transport=tls")
    send(house, alice, SIPS)
    answer = alice.expect(480)
    assert answer.headers.first("warning") == '380 192.0.2.1:5061 "SIPS Not Allowed"'
    bob.expect_nothing()


def test_sips_goes_to_the_sips_contacts_among_others(house: Any, alice: Any) -> None:
    bob, plain = house.stream("192.0.2.10", 5061), house.peer("192.0.2.11")
    house.register("bob", bob, "sips:bob@192.0.2.10")
    house.register("bob", plain)
    send(house, alice, SIPS)
    bob.answer(bob.expect("MESSAGE"), 404)
    assert alice.expect(404)
    plain.expect_nothing()


def test_unregistered_gives_no_hint(house: Any, alice: Any) -> None:
    send(house, alice, SIPS)
    assert "warning" not in alice.expect(480).headers


def test_sip_to_a_sips_contact_keeps_sip_and_goes_over_tls(house: Any, alice: Any) -> None:
    bob = house.stream("192.0.2.10", 5061)
    house.register("bob", bob, "sips:bob@192.0.2.10:5071;x=y")
    send(house, alice, SIP)
    got = bob.expect("MESSAGE")
    assert got.uri_text == "sip:bob@192.0.2.10:5071;x=y"
    bob.answer(got, 200)


def test_sip_to_a_sips_contact_never_over_an_insecure_flow(house: Any, alice: Any) -> None:
    bob = house.peer("192.0.2.10")
    house.register("bob", bob, "sips:bob@10.0.0.1")
    send(house, alice, SIP)
    answer = alice.expect(480)
    assert answer.headers.first("warning") == '381 192.0.2.1:5061 "SIPS Required"'
    bob.expect_nothing()


def test_sips_never_over_an_insecure_flow(house: Any, alice: Any) -> None:
    bob = house.peer("192.0.2.10")
    house.register("bob", bob, "sips:bob@10.0.0.1")
    send(house, alice, SIPS)
    assert "380" in alice.expect(480).headers.first("warning")
    bob.expect_nothing()


def test_sips_to_an_insecure_transport_elsewhere(house: Any, alice: Any) -> None:
    udp = house.peer("192.0.2.50")
    send(house, alice, "sips:carol@192.0.2.50;transport=udp")
    assert alice.expect(480).headers.first("warning")
    assert not udp.messages


def test_record_route_of_a_sips_request(house: Any, alice: Any) -> None:
    """Section 16.6 step 4: sips on both sides, since both are TLS."""
    bob = house.stream("192.0.2.10", 5061)
    house.register("bob", bob, "sips:bob@192.0.2.10")
    send(house, alice, SIPS, "INVITE", from_="<sips:alice@example.com>;tag=a")
    invite = bob.expect("INVITE")
    assert [route.uri.scheme for route in invite.record_routes] == ["sips", "sips"]
    bob.answer(invite, 200, to_tag="b")
    alice.expect(200)


def test_record_route_where_sips_comes_over_udp(house: Any) -> None:
    """Sections 16.6 step 4 and 16.7 step 8: sips towards TLS, sip towards UDP."""
    alice, bob = house.peer("192.0.2.2"), house.stream("192.0.2.10", 5061)
    house.register("bob", bob, "sips:bob@192.0.2.10")
    house.send(alice, house.request("INVITE", SIPS, from_="<sip:alice@example.com>;tag=a"))
    invite = bob.expect("INVITE")
    assert [route.uri.scheme for route in invite.record_routes] == ["sips", "sip"]
    bob.answer(invite, 200, to_tag="b")
    alice.expect(200)


def test_record_route_of_a_sip_request_over_tls_is_sip(house: Any, alice: Any) -> None:
    bob = house.stream("192.0.2.10", 5061)
    house.register("bob", bob, "sip:bob@192.0.2.10;transport=tls")
    send(house, alice, SIP, "INVITE", from_="<sip:alice@example.com>;tag=a", contact="<sip:alice@192.0.2.2>")
    invite = bob.expect("INVITE")
    assert [route.uri.scheme for route in invite.record_routes] == ["sip", "sip"]
    bob.answer(invite, 200, to_tag="b")
    alice.expect(200)
