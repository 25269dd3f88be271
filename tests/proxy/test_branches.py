"""Branches that end in unusual ways (RFC 3261 sections 16.8, 16.9, 17.2.1 and 18.2.2)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import parse_uri
from twisted_sip.testing.peer import StreamAcceptor

BOB = "sip:bob@example.com"


class Refusing:
    """A policy that refuses branches to one host with a status of its own."""

    def __init__(self, host: str, status: int) -> None:
        self._host = host
        self._status = status

    def branch(self, request: Any, target: Any, incoming: Any) -> None:
        if self._host in request.uri_text:
            raise RemoteProtocolError("refused here", status=self._status)

    def response(self, response: Any, context: Any) -> None:
        """Every response may pass."""


@pytest.mark.parametrize("hosts", [("10", "11"), ("11", "10"), ("11", "11")])
def test_6xx_made_while_the_branches_start(make_house: Any, hosts: tuple[str, str]) -> None:
    house = make_house(policies=[Refusing("192.0.2.11", 603)])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    for place, host in enumerate(hosts):
        house.bind("bob", f"sip:bob{place}@192.0.2.{host}", registered_at=-place)
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    if hosts == ("10", "11"):
        # The first is on its way already.
        invite = bob.expect("INVITE")
        bob.answer(invite, 180)
        bob.answer(bob.expect("CANCEL"), 200)
        bob.answer(invite, 487)
    got = alice.expect(603)
    assert got.reason == "refused here"
    house.send(alice, house.ack_for(text, got))
    assert bool(bob.messages) is (hosts == ("10", "11"))


def test_timer_c_with_servers_that_are_all_silent(house: Any) -> None:
    """Section 16.8: without a provisional response as if it were 408; here while servers are still tried."""
    alice = house.peer("192.0.2.2")
    for place in range(8):
        house.peer(f"192.0.2.{50 + place}")
        house.dns.srv("_sip._udp.example.org", place, 0, 5060, f"s{place}.example.org")
        house.dns.a(f"s{place}.example.org", f"192.0.2.{50 + place}")
    text = house.request("INVITE", "sip:carol@example.org")
    house.send(alice, text)
    start = house.network.clock.seconds()
    got = alice.expect(408, within=400)
    assert 180 < house.network.clock.seconds() - start < 185
    house.send(alice, house.ack_for(text, got))


def test_client_that_never_acknowledges(house: Any) -> None:
    """Timer H."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("INVITE", BOB))
    bob.answer(bob.expect("INVITE"), 486)
    house.network.advance(40)
    assert sum(message.status == 486 for message in alice.messages) > 5


def test_client_whose_connection_broke(house: Any) -> None:
    """Section 18.2.2: the response goes to where the Via says; nothing is cancelled (section 16.9)."""
    bob = house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    alice = house.stream("192.0.2.2")
    acceptor = StreamAcceptor(alice.node)
    house.send(alice, house.request("MESSAGE", BOB, transport="TCP"))
    got = bob.expect("MESSAGE")
    alice.close()
    house.network.advance(0.5)
    bob.answer(got, 200)
    house.network.advance(2)
    assert acceptor.peers[0].expect(200)


def test_ack_to_a_gruu_through_a_store_that_takes_its_time(make_house: Any) -> None:
    waiting: list[Deferred[Any]] = []

    class SlowStore:
        def lookup(self, aor: str) -> Any:
            waiting.append(Deferred())
            return waiting[-1]

    house = make_house(location=SlowStore())
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10", instance="<urn:uuid:1>")
    found = house.store.lookup(BOB)
    token = house.element.dialog_tokens.make("call", "a")
    gruu = "sip:bob@example.com;gr=urn:uuid:1"
    for branch, answer in (("1", found), ("2", [])):
        text = house.in_dialog("ACK", gruu, [f"<sip:{token}@192.0.2.1;lr>"], branch=branch, to=f"<{BOB}>;tag=b")
        house.send(alice, text)
        house.network.advance(0.1)
        waiting[-1].callback(answer)
        house.network.advance(0.1)
    assert [message.method for message in bob.messages] == ["ACK"]
    assert not alice.messages


def test_ack_to_a_gruu_without_record_route(house: Any) -> None:
    """Who has a GRUU is reached by way of us alone; not so an ACK for a response that we have sent statelessly."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10", instance="<urn:uuid:1>")
    house.bind("loop", "sip:loop@example.com", instance="<urn:uuid:2>")
    gruu = "sip:bob@example.com;gr=urn:uuid:1"
    house.send(alice, house.in_dialog("ACK", gruu, [], branch="1", to=f"<{BOB}>;tag=b"))
    assert bob.expect("ACK")
    invite = house.in_dialog("INVITE", gruu, [], branch="2", to=f"<{BOB}>").replace(
        "Max-Forwards: 70", "Max-Forwards: 0"
    )
    house.send(alice, invite)
    tag = alice.expect(483).to.tag
    house.send(alice, house.in_dialog("ACK", gruu, [], branch="2", to=f"<{BOB}>;tag={tag}"))
    house.send(
        alice, house.in_dialog("ACK", "sip:loop@example.com;gr=urn:uuid:2", [], branch="3", to="<sip:l@h>;tag=b")
    )
    house.network.advance(1)
    assert [message.method for message in bob.messages] == ["ACK"]


def test_targets_of_mixed_schemes(make_house: Any) -> None:
    """RFC 5630 section 5.3: for a sip request, sips targets become sip ones over secure transports."""

    class Router:
        def route(self, incoming: Any) -> Any:
            return [Target(uri=parse_uri(uri)) for uri in ("sips:a@192.0.2.50;transport=udp", "sip:b@192.0.2.10")]

    house = make_house(routers=[Router()])
    alice, bob, other = house.peer("192.0.2.2"), house.peer("192.0.2.10"), house.peer("192.0.2.50")
    house.send(alice, house.request("MESSAGE", BOB))
    bob.answer(bob.expect("MESSAGE"), 200)
    assert alice.expect(200)
    assert not other.messages


def test_users_that_forward_too_often(house: Any) -> None:
    """A chain of forwarding has an end."""
    alice, phone = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    for place in range(20):
        house.bind(f"user{place}", f"sip:user{place + 1}@example.com")
    house.bind("user5", "sip:user5@192.0.2.10", q=1)
    house.send(alice, house.request("MESSAGE", "sip:user0@example.com"))
    phone.answer(phone.expect("MESSAGE"), 200)
    assert alice.expect(200)
