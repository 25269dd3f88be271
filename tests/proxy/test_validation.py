"""What is not forwarded (RFC 3261 section 16.3), loops and breadth (RFC 5393)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.response import Response
from twisted_sip.proxy.settings import ProxySettings

BOB = "sip:bob@example.com"


@pytest.fixture
def alice(house: Any) -> Any:
    return house.peer("192.0.2.2")


@pytest.fixture
def bob(house: Any) -> Any:
    house.bind("bob", "sip:bob@192.0.2.10")
    return house.peer("192.0.2.10")


@pytest.mark.parametrize(("given", "sent"), [(70, 69), (1, 0), (255, 254), (None, 70), (300, 70), (999999999, 70)])
def test_max_forwards(house: Any, alice: Any, bob: Any, given: int | None, sent: int) -> None:
    house.send(alice, house.request("MESSAGE", BOB, max_forwards=given))
    got = bob.expect("MESSAGE")
    assert got.headers.all("max-forwards") == [str(sent)]
    bob.answer(got, 200)


def test_max_forwards_used_up(house: Any, alice: Any, bob: Any) -> None:
    text = house.request("INVITE", BOB, max_forwards=0)
    response = house.refused(alice, text, 483)
    assert response.to.tag
    house.send(alice, house.request("OPTIONS", BOB, max_forwards=0, branch="two"))
    assert alice.expect(483)
    house.network.advance(1)
    assert not bob.messages


@pytest.mark.parametrize("value", ["many", "-1", "1.5", ""])
def test_malformed_max_forwards(house: Any, alice: Any, bob: Any, value: str) -> None:
    text = house.request("MESSAGE", BOB, max_forwards=None, extra=[f"Max-Forwards: {value}"])
    house.send(alice, text)
    assert "Max-Forwards" in alice.expect(400).reason
    assert not bob.messages


def test_proxy_require(house: Any, alice: Any, bob: Any) -> None:
    house.send(alice, house.request("MESSAGE", BOB, extra=["Proxy-Require: foo, bar", "Proxy-Require: baz"]))
    assert alice.expect(420).headers.first("unsupported") == "foo, bar, baz"
    # RFC 3841 section 5: caller preferences are understood.
    house.send(alice, house.request("OPTIONS", BOB, branch="pref", extra=["Proxy-Require: Pref"]))
    bob.answer(bob.expect("OPTIONS"), 200)
    # An empty one asks for nothing.
    house.send(alice, house.request("MESSAGE", BOB, branch="two", extra=["Proxy-Require: "]))
    bob.answer(bob.expect("MESSAGE"), 200)
    # Require is for the user agent alone (section 8.2.2.3).
    house.send(alice, house.request("MESSAGE", BOB, branch="three", extra=["Require: foo"]))
    bob.answer(bob.expect("MESSAGE"), 200)


def test_foreign_scheme(house: Any, alice: Any) -> None:
    house.send(alice, house.request("MESSAGE", "http://example.com/", to="<sip:x@example.com>"))
    assert alice.expect(416).to.tag


def test_tel_without_a_route_is_not_found(house: Any, alice: Any) -> None:
    house.send(alice, house.request("MESSAGE", "tel:+15551234"))
    assert alice.expect(404)


def test_no_user_and_no_binding(house: Any, alice: Any) -> None:
    house.send(alice, house.request("MESSAGE", "sip:example.com"))
    assert alice.expect(404)
    house.send(alice, house.request("MESSAGE", "sip:nobody@example.com", branch="two"))
    assert alice.expect(480).to.tag


def test_merged_requests_are_no_error(house: Any, alice: Any, bob: Any) -> None:
    """Section 16.3: a proxy must not treat them as one."""
    house.send(alice, house.request("MESSAGE", BOB, branch="one"))
    house.send(alice, house.request("MESSAGE", BOB, branch="two"))
    for _ in range(2):
        bob.answer(bob.expect("MESSAGE"), 200)
    assert alice.expect(200) and alice.expect(200)


def test_malformed_parts_that_are_none_of_our_business(house: Any, alice: Any, bob: Any) -> None:
    house.send(
        alice, house.request("MESSAGE", BOB, contact="", extra=["Date: yesterday", "Accept: ;;;", "Contact: <<<"])
    )
    got = bob.expect("MESSAGE")
    assert got.headers.first("date") == "yesterday"
    assert got.headers.first("contact") == "<<<"
    bob.answer(got, 200)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("From: <sip:alice@example.net>;tag=a", "From: <sip:alice@", "From"),
        ("To: <sip:bob@example.com>", "To: <sip:bob@", "To"),
        ("CSeq: 1 MESSAGE", "CSeq: one MESSAGE", "CSeq"),
        ("CSeq: 1 MESSAGE", "CSeq: 1 INVITE", "CSeq"),
        ("Call-ID: call\n", "", "Call-ID"),
        ("To: <sip:bob@example.com>\n", "", "To"),
        ("MESSAGE sip:bob@example.com", "MESSAGE sip:bob@exa mple.com", ""),
        ("MESSAGE sip:bob@example.com", "MESSAGE sip:bob@[zz]", "Request-URI"),
        ("Max-Forwards: 70", "Max-Forwards: 70\nRoute: <sip:", "Route"),
        ("Max-Forwards: 70", "Max-Forwards: 70\nMax-Breadth: x", "Max-Breadth"),
    ],
)
def test_malformed_is_400_that_names_the_field(
    house: Any, alice: Any, bob: Any, old: str, new: str, named: str
) -> None:
    text = house.request("MESSAGE", BOB)
    assert old in text
    house.send(alice, text.replace(old, new))
    house.network.advance(1)
    # The field at fault stands in the answer as it came.
    [answer] = [arrival.data.decode() for arrival in alice.arrivals]
    status_line = answer.split("\r\n")[0]
    assert status_line.startswith("SIP/2.0 400 ") and named in status_line
    assert not bob.messages


# -- loops and spirals ---------------------------------------------------------------------


def back(invite: Any) -> Any:
    """Return *invite* as another proxy would send it back to us, with its Via on top."""
    copy = invite.copy()
    copy.headers.prepend("via", "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKother" + invite.top_via.branch[-4:])
    copy.headers.set("max-forwards", str(copy.max_forwards - 1))
    return copy


def test_loop(house: Any, alice: Any, bob: Any) -> None:
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    invite = bob.expect("INVITE")
    looped = back(invite)
    looped.set_uri(BOB)
    bob.send(looped, ("192.0.2.1", 5060))
    assert bob.expect(482).reason == "Loop Detected"
    bob.answer(invite, 482)
    house.send(alice, house.ack_for(text, alice.expect(482)))


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_spiral(house: Any, alice: Any, bob: Any, method: str) -> None:
    """With another Request-URI it is none (RFC 5393 section 4.2)."""
    carol = house.peer("192.0.2.11")
    house.bind("carol", "sip:carol@192.0.2.11")
    house.send(alice, house.request(method, BOB))
    first = bob.expect(method)
    again = back(first)
    again.set_uri("sip:carol@example.com")
    bob.send(again, ("192.0.2.1", 5060))
    second = carol.expect(method)
    assert len(second.vias) == 4
    carol.answer(second, 200)
    bob.expect(200)
    bob.answer(first, 200)
    assert alice.expect(200)


def test_loop_with_a_to_tag_through_the_location_service(house: Any, alice: Any, bob: Any) -> None:
    """A To tag gets nobody past the check: forks would multiply all the same."""
    house.send(alice, house.request("MESSAGE", BOB, to=f"<{BOB}>;tag=x"))
    looped = back(bob.expect("MESSAGE"))
    looped.set_uri(BOB)
    bob.send(looped, ("192.0.2.1", 5060))
    assert bob.expect(482)


def test_unreadable_via_below_ours_is_not_ours(house: Any, alice: Any, bob: Any) -> None:
    text = house.request("MESSAGE", BOB).replace("Max-Forwards", "Via: SIP/2.0/UDP ;;;\nMax-Forwards")
    house.send(alice, text)
    bob.answer(bob.expect("MESSAGE"), 404)


# -- Max-Breadth ---------------------------------------------------------------------------


def test_every_request_gets_one(house: Any, alice: Any, bob: Any) -> None:
    house.send(alice, house.request("MESSAGE", BOB))
    got = bob.expect("MESSAGE")
    assert got.headers.all("max-breadth") == ["60"]
    bob.answer(got, 200)


@pytest.mark.parametrize(("given", "sent"), [(1, 1), (7, 7), (60, 60), (1000, 60)])
def test_a_single_branch_keeps_it(house: Any, alice: Any, bob: Any, given: int, sent: int) -> None:
    """Section 5.3.3: no more than our maximum; never decremented by the hop."""
    house.send(alice, house.request("MESSAGE", BOB, extra=[f"Max-Breadth: {given}"]))
    got = bob.expect("MESSAGE")
    assert got.headers.all("max-breadth") == [str(sent)]
    bob.answer(got, 200)


def test_branches_share_it(house: Any, alice: Any, bob: Any) -> None:
    other = house.peer("192.0.2.11")
    house.bind("bob", "sip:bob@192.0.2.11")
    house.send(alice, house.request("MESSAGE", BOB, extra=["Max-Breadth: 5"]))
    first, second = bob.expect("MESSAGE"), other.expect("MESSAGE")
    assert int(first.headers.first("max-breadth")) + int(second.headers.first("max-breadth")) <= 5
    bob.answer(first, 404)
    other.answer(second, 404)


def test_too_little_for_a_parallel_fork_makes_it_serial(house: Any, alice: Any, bob: Any) -> None:
    other = house.peer("192.0.2.11")
    house.bind("bob", "sip:bob@192.0.2.11")
    house.send(alice, house.request("MESSAGE", BOB, extra=["Max-Breadth: 1"]))
    house.network.advance(1)
    first, second = (bob, other) if bob.messages else (other, bob)
    assert not second.messages
    got = first.expect("MESSAGE")
    assert got.headers.first("max-breadth") == "1"
    first.answer(got, 404)
    got = second.expect("MESSAGE")
    assert got.headers.first("max-breadth") == "1"
    second.answer(got, 200)
    assert alice.expect(200)


def test_none_left(house: Any, alice: Any, bob: Any) -> None:
    house.send(alice, house.request("MESSAGE", BOB, extra=["Max-Breadth: 0"]))
    response = alice.expect(lambda message: isinstance(message, Response))
    assert response.status in (400, 440)
    assert not bob.messages


def test_our_own_maximum(make_house: Any) -> None:
    house = make_house(settings=ProxySettings(max_breadth=2))
    alice = house.peer("192.0.2.2")
    bobs = [house.peer(f"192.0.2.{10 + place}") for place in range(3)]
    for bob in bobs:
        house.bind("bob", f"sip:bob@{bob.address.host}")
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(0.5)
    asked = [bob for bob in bobs if bob.messages]
    assert len(asked) == 2
    for bob in asked:
        got = bob.expect("MESSAGE")
        assert got.headers.first("max-breadth") == "1"
        bob.answer(got, 404)
    [last] = [bob for bob in bobs if bob not in asked]
    last.answer(last.expect("MESSAGE"), 200)
    assert alice.expect(200)
