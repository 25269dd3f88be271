"""Redirections that the proxy follows (RFC 3261 section 16.7 step 4)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.recursion import MOST_FORWARDINGS
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB = "sip:bob@example.com"


@pytest.fixture
def house(make_house: Any) -> Any:
    return made(make_house)


def made(make_house: Any, **how: Any) -> Any:
    house = make_house(settings=ProxySettings(recurse=True, **how.pop("settings", {})), **how)
    house.bind("bob", "sip:bob@192.0.2.10")
    return house


def moved(house: Any, peer: Any, *contacts: str, status: int = 302, headers: Any = (), method: str = "INVITE") -> Any:
    """Redirect the next request at *peer*."""
    request = peer.expect(method)
    peer.answer(request, status, [*(("contact", contact) for contact in contacts), *headers])
    return request


def test_to_somebody_elsewhere(house: Any) -> None:
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    house.send(alice, house.request("INVITE", BOB))
    moved(house, bob, "<sip:carol@192.0.2.11>")
    alice.expect(181)
    carol.answer(carol.expect("INVITE"), 200, [("contact", "<sip:carol@192.0.2.11>")])
    alice.expect(200)


def test_to_a_user_of_ours(house: Any) -> None:
    house.bind("carol", "sip:carol@192.0.2.11")
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    house.send(alice, house.request("INVITE", BOB))
    moved(house, bob, "<sip:carol@example.com>", status=301)
    assert carol.expect("INVITE").uri_text == "sip:carol@192.0.2.11"


def test_in_the_order_of_q(house: Any) -> None:
    alice, bob, first, second = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11, 12))
    house.send(alice, house.request("INVITE", BOB))
    moved(house, bob, "<sip:b@192.0.2.12>;q=0.2", "<sip:a@192.0.2.11>;q=0.7", status=300)
    first.answer(first.expect("INVITE"), 486)
    second.answer(second.expect("INVITE"), 200, [("contact", "<sip:b@192.0.2.12>")])
    alice.expect(200)


def test_the_others_ring_on(house: Any) -> None:
    house.bind("bob", "sip:bob@192.0.2.13")
    alice, bob, carol, other = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11, 13))
    house.send(alice, house.request("INVITE", BOB))
    ringing = other.expect("INVITE")
    other.answer(ringing, 180)
    moved(house, bob, "<sip:carol@192.0.2.11>")
    carol.answer(carol.expect("INVITE"), 200, [("contact", "<sip:carol@192.0.2.11>")])
    alice.expect(200)
    other.answer(other.expect("CANCEL"), 200)
    other.answer(ringing, 487)


def test_before_those_that_are_less_preferred(house: Any) -> None:
    house.bind("bob", "sip:bob@192.0.2.13", q=100)
    alice, bob, carol, other = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11, 13))
    house.send(alice, house.request("INVITE", BOB))
    moved(house, bob, "<sip:carol@192.0.2.11>")
    invite = carol.expect("INVITE")
    other.expect_nothing(within=1.0)
    carol.answer(invite, 486)
    other.answer(other.expect("INVITE"), 200, [("contact", "<sip:bob@192.0.2.13>")])
    alice.expect(200)


def test_what_is_not_followed_goes_back(house: Any) -> None:
    """What was followed is taken out of the response."""
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>", "<tel:+15551234>", "<mailto:b@example.com>", "<sip:")
    carol.answer(carol.expect("INVITE"), 486)
    response = alice.expect(302)
    assert response.headers.elements("contact") == ["<tel:+15551234>", "<mailto:b@example.com>", "<sip:"]
    house.send(alice, house.ack_for(text, response))


def test_when_all_of_them_fail(house: Any) -> None:
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>")
    carol.answer(carol.expect("INVITE"), 486)
    house.send(alice, house.ack_for(text, alice.expect(486)))


@pytest.mark.parametrize("contacts", [["<tel:+15551234>"], ["<sip:bob@192.0.2.10>"], ["<sip:nobody@example.com>"], []])
def test_nowhere_to_go(house: Any, contacts: list[str]) -> None:
    """Nobody is called twice (section 16.5); the response goes back as it is."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    moved(house, bob, *contacts)
    response = alice.expect(302)
    assert response.headers.elements("contact") == contacts
    house.send(alice, house.ack_for(text, response))


@pytest.mark.parametrize("status", [305, 380])
def test_other_redirections_are_the_callers(house: Any, status: int) -> None:
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>", status=status)
    house.send(alice, house.ack_for(text, alice.expect(status)))
    carol.expect_nothing(within=1.0)


def test_not_unless_configured(make_house: Any) -> None:
    house = make_house()
    house.bind("bob", "sip:bob@192.0.2.10")
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>")
    house.send(alice, house.ack_for(text, alice.expect(302)))


def test_not_for_those_who_are_not_ours(house: Any) -> None:
    """Section 16.5: the target set is not ours to add to."""
    house.admit.user = "sip:alice@example.com"
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    text = house.request("INVITE", "sip:bob@192.0.2.10")
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>")
    house.send(alice, house.ack_for(text, alice.expect(302)))
    carol.expect_nothing(within=1.0)


def test_not_if_the_caller_does_not_wish_it(house: Any) -> None:
    """RFC 3841 section 9.1."""
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    text = house.request("INVITE", BOB, extra=["Request-Disposition: no-recurse"])
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>")
    house.send(alice, house.ack_for(text, alice.expect(302)))
    carol.expect_nothing(within=1.0)


def test_from_sips_to_sips_alone(house: Any) -> None:
    """Section 16.7 step 4."""
    alice, bob = house.stream("192.0.2.2", 5061), house.stream("192.0.2.20", 5061)
    house.unbind()
    house.register("bob", bob, "sips:bob@192.0.2.20", reg_id=1, instance="<urn:uuid:1>")
    text = house.request("INVITE", "sips:bob@example.com", transport="TLS", contact="<sips:alice@192.0.2.2>")
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>")
    house.send(alice, house.ack_for(text, alice.expect(302)))


def test_from_one_to_the_next_and_no_further(house: Any) -> None:
    """Whoever redirects to ever new places comes to an end."""
    alice = house.peer("192.0.2.2")
    peers = [house.peer(f"192.0.2.{number}") for number in range(10, 18)]
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    for place in range(MOST_FORWARDINGS + 1):
        moved(house, peers[place], f"<sip:bob@192.0.2.{place + 11}>")
    house.send(alice, house.ack_for(text, alice.expect(302)))
    peers[MOST_FORWARDINGS + 1].expect_nothing(within=1.0)


def test_other_requests_too(house: Any) -> None:
    alice, bob, carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    house.send(alice, house.request("MESSAGE", BOB))
    moved(house, bob, "<sip:carol@192.0.2.11>", method="MESSAGE")
    carol.answer(carol.expect("MESSAGE"), 200)
    alice.expect(200)
    assert 181 not in [getattr(each, "status", 0) for each in alice.messages]


def test_the_user_who_redirects_pays(make_house: Any) -> None:
    """A stranger's call goes to the gateway if Bob's phone says so, not if another gateway does."""
    routes = StaticRouter(
        [StaticRoute(user="0*", to=("sip:{user}@192.0.2.60",)), StaticRoute(user="desk", to=("sip:desk@192.0.2.10",))],
        is_stranger=lambda incoming: not incoming.user,
        is_local_uri=lambda uri: getattr(uri, "host", "") == "192.0.2.10",
    )
    house = made(make_house, routers=[routes])
    alice, bob, gateway = (house.peer(f"192.0.2.{number}") for number in (2, 10, 60))
    house.send(alice, house.request("INVITE", BOB))
    moved(house, bob, "<sip:0891@example.com>")
    gateway.answer(gateway.expect("INVITE"), 486)
    gateway.expect("ACK")
    text = house.request("INVITE", "sip:desk@example.com", branch="two", call_id="two")
    house.send(alice, text)
    moved(house, bob, "<sip:0891@example.com>")
    house.send(alice, house.ack_for(text, alice.expect(302)))
    gateway.expect_nothing(within=1.0)


class Slow:
    """A router that takes its time for those who are redirected."""

    def __init__(self) -> None:
        self.waiting: Deferred[Any] = Deferred()

    def route(self, incoming: Any) -> Any:
        return self.waiting if incoming.request.uri.user == "carol" else ()


@pytest.mark.parametrize("ends", ["cancelled", "answered", "broken", "in time"])
def test_while_the_way_is_looked_for(make_house: Any, logged: Any, ends: str) -> None:
    slow = Slow()
    house = made(make_house, routers=[slow])
    house.bind("bob", "sip:bob@192.0.2.13")
    alice, bob, carol, other = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11, 13))
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    ringing = other.expect("INVITE")
    moved(house, bob, "<sip:carol@192.0.2.11>")
    house.network.advance(1)
    if ends == "cancelled":
        cancel = text.replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL")
        other.answer(ringing, 486)
        house.network.advance(1)
        house.send(alice, cancel)
        alice.expect(200)
        slow.waiting.callback(())
        house.send(alice, house.ack_for(text, alice.expect(302)))
    elif ends == "answered":
        other.answer(ringing, 200, [("contact", "<sip:bob@192.0.2.13>")])
        alice.expect(200)
        slow.waiting.callback(())
    elif ends == "broken":
        other.answer(ringing, 486)
        house.network.advance(1)
        slow.waiting.errback(RuntimeError("broken"))
        house.send(alice, house.ack_for(text, alice.expect(302)))
        assert logged(RuntimeError) == 1
        carol.expect_nothing(within=1.0)
    else:
        other.answer(ringing, 486)
        house.network.advance(1)
        slow.waiting.callback(())
        carol.answer(carol.expect("INVITE"), 200, [("contact", "<sip:carol@192.0.2.11>")])
        alice.expect(200)


@pytest.mark.parametrize("rule", ["forward_busy", "forward_no_answer", "forward_unavailable"])
def test_who_has_redirected_is_neither_busy_nor_away(make_house: Any, rule: str) -> None:
    """Whatever becomes of it there."""
    policies = MemoryCallPolicyStore()
    policies.set(BOB, CallPolicy(**{rule: "sip:dave@192.0.2.12"}))
    house = made(make_house)
    house.proxy.routers.append(
        PolicyRouter(policies, house.element.domains.is_local_uri, lambda: 43200.0, lambda: house.proxy)
    )
    alice, bob, carol, dave = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11, 12))
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    moved(house, bob, "<sip:carol@192.0.2.11>")
    carol.answer(carol.expect("INVITE"), 486)
    house.refusal(alice, text, 486)
    dave.expect_nothing(within=1.0)
