"""What the proxy tells of its decisions: room, words and key of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.element.decisions import Decisions
from twisted_sip.proxy.settings import ProxySettings

BOB = "sip:bob@example.com"
ONE, TWO = "sip:bob@192.0.2.10", "sip:bob@192.0.2.11"
STAYS = ("proxy", "stays in the path of the dialog (Record-Route)", "proxy.record_route")

Why = Callable[[], list[tuple[str, str, str]]]


@pytest.fixture
def why(house: Any) -> Why:
    """Gives what was decided about the call."""
    decisions = house.element.decisions = Decisions(house.network.clock.seconds)
    return lambda: [(one.room, one.text, one.key) for one in decisions.call("call")]


def fails(house: Any, uri: str, status: int, **fields: Any) -> None:
    house.refused(house.peer("192.0.2.2"), house.request("INVITE", uri, **fields), status)


def test_one_contact_the_first_time_and_again(house: Any, why: Why) -> None:
    bob, alice = house.peer("192.0.2.10"), house.peer("192.0.2.2")
    house.bind("bob", ONE)
    for branch in ("one", "two"):
        text = house.request("INVITE", BOB, branch=branch, from_=f"<sip:alice@example.net>;tag={branch}")
        house.send(alice, text)
        bob.answer(bob.expect("INVITE"), 486)
        house.send(alice, house.ack_for(text, alice.expect(486)))
    once = [("location", f"{BOB} is at {ONE}", ""), STAYS, ("proxy", f"{ONE} has answered 486 Busy Here", "")]
    assert why() == once * 2


def test_several_contacts(house: Any, why: Why) -> None:
    alice, one, two = house.peer("192.0.2.2"), house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.bind("bob", ONE)
    house.bind("bob", TWO, q=500, path=("<sip:192.0.2.11;lr>",))
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    one.answer(one.expect("INVITE"), 404)
    two.answer(two.expect("INVITE"), 603)
    house.send(alice, house.ack_for(text, alice.expect(603)))
    assert why() == [
        ("location", f"{BOB} is at {ONE}", ""),
        ("location", f"{BOB} is at {TWO}, q=0.5, by way of its Path", ""),
        STAYS,
        ("proxy", f"asked: {ONE}", "proxy.fork"),
        ("proxy", f"{ONE} has answered 404 Not Found", ""),
        ("proxy", f"asked: {TWO}", "proxy.fork"),
        ("proxy", f"{TWO} leads to udp 192.0.2.11:5060", ""),
        ("proxy", f"{TWO} has answered 603 Decline", ""),
        ("proxy", "of 404, 603 goes back 603 Decline", ""),
    ]


def test_who_answers_first(house: Any, why: Why) -> None:
    alice, one, two = house.peer("192.0.2.2"), house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.bind("bob", ONE)
    house.bind("bob", TWO)
    house.send(alice, house.request("INVITE", BOB))
    one.answer(one.expect("INVITE"), 180)
    two.answer(two.expect("INVITE"), 200)
    alice.expect(200)
    rest = [text for room, text, _ in why() if room == "proxy"][1:]
    assert sorted(rest[0].removeprefix("asked: ").split(", ")) == [ONE, TWO]
    assert rest[1:] == [f"{TWO} has answered: the others are cancelled"]


def test_nobody_is_there(house: Any, why: Why) -> None:
    fails(house, BOB, 480)
    assert why() == [
        ("location", f"480: {BOB} is not registered", "server.domains"),
        ("answer", "480 Temporarily Unavailable", ""),
    ]


@pytest.mark.parametrize(
    ("uri", "status", "text", "key"),
    [
        ("tel:+4930123", 404, "404: tel:+4930123 is no SIP URI, and no route takes it", "route"),
        ("sip:example.com", 404, "404: sip:example.com names no user", "server.domains"),
        ("sip:bob@example.com;gr=", 404, "404: sip:bob@example.com;gr= is no GRUU that is good now", ""),
    ],
)
def test_what_leads_nowhere(house: Any, why: Why, uri: str, status: int, text: str, key: str) -> None:
    fails(house, uri, status)
    assert why()[0] == ("location", text, key)


def test_elsewhere(house: Any, why: Why) -> None:
    carol, alice = house.peer("192.0.2.30"), house.peer("192.0.2.2")
    house.dns.a("example.net", "192.0.2.30")
    text = house.request("INVITE", "sip:carol@example.net")
    house.send(alice, text)
    carol.answer(carol.expect("INVITE"), 503)
    house.send(alice, house.ack_for(text, alice.expect(500)))
    assert why() == [
        ("location", "sip:carol@example.net is in no domain of ours: it goes where its host leads", "server.domains"),
        STAYS,
        ("proxy", "sip:carol@example.net leads to udp 192.0.2.30:5060", ""),
        ("proxy", "sip:carol@example.net has answered 503 Service Unavailable", ""),
        ("proxy", "503 goes back as 500 Server Internal Error", ""),
    ]


def test_the_next_server(house: Any, why: Why) -> None:
    alice, second = house.peer("192.0.2.2"), house.peer("192.0.2.31")
    house.dns.srv("_sip._udp.example.net", 1, 1, 5060, "a.example.net")
    house.dns.srv("_sip._udp.example.net", 2, 1, 5060, "b.example.net")
    house.dns.a("a.example.net", "192.0.2.30")
    house.dns.a("b.example.net", "192.0.2.31")
    house.peer("192.0.2.30")
    text = house.request("INVITE", "sip:carol@example.net")
    house.send(alice, text)
    second.answer(second.expect("INVITE", within=40), 486)
    house.send(alice, house.ack_for(text, alice.expect(486)))
    texts = [text for _, text, _ in why()]
    assert "sip:carol@example.net leads to udp 192.0.2.30:5060" in texts
    assert "sip:carol@example.net has another server, it is tried: udp 192.0.2.31:5060" in texts


def test_nobody_answers(house: Any, why: Why) -> None:
    house.peer("192.0.2.10")
    house.bind("bob", ONE)
    alice = house.peer("192.0.2.2")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    house.send(alice, house.ack_for(text, alice.expect(408, within=40)))
    assert why()[-1] == ("proxy", f"{ONE} has not answered", "")


def test_it_rings_for_ever(house: Any, why: Why) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", ONE)
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    invite = bob.expect("INVITE")
    bob.answer(invite, 180)
    bob.answer(bob.expect("CANCEL", within=200), 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))
    assert ("proxy", f"{ONE} has rung for 181 s: given up", "proxy.timer_c") in why()


def test_the_caller_gives_up(house: Any, why: Why) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", ONE)
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    invite = bob.expect("INVITE")
    bob.answer(invite, 180)
    alice.expect(180)
    house.send(alice, house.request("CANCEL", BOB))
    bob.answer(bob.expect("CANCEL"), 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))
    assert ("proxy", "the caller has given up: what rings is cancelled", "") in why()


def test_a_lost_connection(house: Any, why: Why) -> None:
    house.bind("bob", "sip:bob@192.0.2.10;transport=tcp", flow="gone", received="TCP:192.0.2.10:5060", reg_id=1)
    fails(house, BOB, 430)
    texts = [text for _, text, _ in why()]
    assert f"{BOB} is at sip:bob@192.0.2.10;transport=tcp, its connection is gone" in texts
    assert "sip:bob@192.0.2.10;transport=tcp was not reached: its connection is gone" in texts


def test_refused_before_a_way_is_looked_for(house: Any, why: Why) -> None:
    fails(house, BOB, 483, max_forwards=0)
    assert why() == [("proxy", "483: Too Many Hops", ""), ("answer", "483 Too Many Hops", "")]


def test_no_breadth_and_no_sips(house: Any, why: Why) -> None:
    house.bind("bob", ONE)
    fails(house, BOB, 440, extra=["Max-Breadth: 0"])
    assert ("proxy", "440: its Max-Breadth is used up", "proxy.max_breadth") in why()
    alice = house.stream("192.0.2.3", 5061)
    text = house.request("INVITE", "sips:bob@example.com", transport="TLS", via="192.0.2.3", branch="s")
    house.refused(alice, text.replace("<sip:alice@192.0.2.2>", "<sips:alice@192.0.2.3>"), 480)
    assert ("proxy", "480: the Request-URI is sips, and no contact is", "") in why()


def test_its_own_route(house: Any, why: Why) -> None:
    carol = house.peer("192.0.2.30")
    alice = house.peer("192.0.2.2")
    text = house.request("INVITE", "sip:carol@example.net", extra=["Route: <sip:192.0.2.30;lr>"])
    house.send(alice, text)
    carol.answer(carol.expect("INVITE"), 404)
    house.send(alice, house.ack_for(text, alice.expect(404)))
    assert why()[0] == ("proxy", "goes where its Route or maddr says", "")


def test_out_of_the_path(make_house: Any) -> None:
    house = make_house(settings=ProxySettings(record_route=False))
    decisions = house.element.decisions = Decisions(house.network.clock.seconds)
    bob = house.peer("192.0.2.10")
    house.bind("bob", ONE)
    alice = house.peer("192.0.2.2")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    bob.answer(bob.expect("INVITE"), 404)
    house.send(alice, house.ack_for(text, alice.expect(404)))
    texts = [(one.text, one.key) for one in decisions.call("call")]
    assert ("does not stay in the path of the dialog", "proxy.record_route") in texts
