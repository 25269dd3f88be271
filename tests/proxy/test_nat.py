"""Phones behind NATs: requests of a dialog reach both ends (DESIGN of flow tokens: RFC 5626 sections 5.3 and 7)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.reachability import reachable
from twisted_sip.testing.nat import NAT

BOB = "sip:bob@example.com"


def behind(house: Any, public: str, private: str, stream: bool = False) -> Any:
    nat = NAT(house.network, public)
    return house.stream(private, behind=nat) if stream else house.peer(private, behind=nat)


@pytest.mark.parametrize("caller_stream", [False, True])
@pytest.mark.parametrize("callee_stream", [False, True])
@pytest.mark.parametrize("stranger", [False, True])
def test_ack_and_bye_reach_both_ends(house: Any, caller_stream: bool, callee_stream: bool, stranger: bool) -> None:
    alice = behind(house, "203.0.113.1", "10.0.0.2", caller_stream)
    bob = behind(house, "203.0.113.2", "10.0.0.3", callee_stream)
    house.register("bob", bob, "sip:bob@10.0.0.3")
    from_ = "<sip:alice@example.net>;tag=a" if stranger else "<sip:alice@example.com>;tag=a"
    house.admit.user = "" if stranger else "sip:alice@example.com"
    transport = "TCP" if caller_stream else "UDP"
    common = {"from_": from_, "via": "10.0.0.2;rport", "transport": transport, "contact": "<sip:alice@10.0.0.2>"}
    house.send(alice, house.request("INVITE", BOB, **common))
    invite = bob.expect("INVITE")
    assert invite.uri_text == "sip:bob@10.0.0.3"
    bob.answer(invite, 180, to_tag="b")
    alice.expect(180)
    bob.answer(invite, 200, [("contact", "<sip:bob@10.0.0.3>")], to_tag="b")
    routes = alice.expect(200).headers.elements("record-route")[::-1]
    to = f"<{BOB}>;tag=b"
    house.send(alice, house.in_dialog("ACK", "sip:bob@10.0.0.3", routes, branch="ack", to=to, **common))
    assert bob.expect("ACK").uri_text == "sip:bob@10.0.0.3"
    bye = house.in_dialog(
        "BYE",
        "sip:alice@10.0.0.2",
        invite.headers.elements("record-route"),
        branch="bye",
        via="10.0.0.3;rport",
        transport="TCP" if callee_stream else "UDP",
        from_=to,
        to=from_,
    )
    house.send(bob, bye)
    got = alice.expect("BYE")
    assert got.uri_text == "sip:alice@10.0.0.2"
    alice.answer(got, 200)
    assert bob.expect(200)


def test_token_of_a_lost_flow_finds_the_new_one(house: Any) -> None:
    """The callee's connection breaks in the middle of a call; it registers over another one."""
    alice, bob = house.peer("192.0.2.2"), house.stream("192.0.2.10")
    fields: Any = {"key": "k", "instance": "<urn:uuid:1>", "reg_id": 1}
    house.register("bob", bob, "sip:bob@10.0.0.3;transport=tcp", **fields)
    from_ = "<sip:alice@example.com>;tag=a"
    house.send(alice, house.request("INVITE", BOB, from_=from_))
    invite = bob.expect("INVITE")
    bob.answer(invite, 200, [("contact", "<sip:bob@10.0.0.3;transport=tcp>")], to_tag="b")
    routes = alice.expect(200).headers.elements("record-route")[::-1]
    bob.close()
    house.network.advance(1)
    to = f"<{BOB}>;tag=b"
    uri = "sip:bob@10.0.0.3;transport=tcp"
    house.send(alice, house.in_dialog("INFO", uri, routes, branch="1", from_=from_, to=to))
    assert alice.expect(430)
    # An ACK has no answer.
    house.send(alice, house.in_dialog("ACK", uri, routes, branch="ack", from_=from_, to=to))
    alice.expect_nothing()
    again = house.stream("192.0.2.11")
    house.register("bob", again, "sip:bob@10.0.0.3;transport=tcp", **fields)
    house.send(alice, house.in_dialog("BYE", uri, routes, branch="2", from_=from_, to=to))
    again.answer(again.expect("BYE"), 200)
    assert alice.expect(200)


def test_callers_flow_is_found_again_by_the_binding(house: Any) -> None:
    alice, bob = house.stream("192.0.2.2"), house.peer("192.0.2.10")
    house.register("alice", alice, "sip:alice@10.0.0.2;transport=tcp", key="k")
    house.register("bob", bob)
    house.admit.user = "sip:alice@example.com"
    from_ = "<sip:alice@example.com>;tag=a"
    contact = "<sip:alice@10.0.0.2;transport=tcp>"
    house.send(alice, house.request("INVITE", BOB, from_=from_, transport="TCP", contact=contact))
    invite = bob.expect("INVITE")
    bob.answer(invite, 200, to_tag="b")
    alice.expect(200)
    alice.close()
    house.network.advance(1)
    again = house.stream("192.0.2.3")
    house.register("alice", again, "sip:alice@10.0.0.2;transport=tcp", key="k")
    bye = house.in_dialog(
        "BYE",
        "sip:alice@10.0.0.2;transport=tcp",
        invite.headers.elements("record-route"),
        branch="bye",
        via="192.0.2.10",
        from_=f"<{BOB}>;tag=b",
        to=from_,
    )
    house.send(bob, bye)
    again.answer(again.expect("BYE"), 200)
    assert bob.expect(200)


@pytest.mark.parametrize(
    ("contact", "transport", "source", "as_written"),
    [
        ("sip:a@192.0.2.5", "UDP", ("192.0.2.5", 5060), True),
        ("sip:a@192.0.2.5:5070", "UDP", ("192.0.2.5", 5070), True),
        ("sip:a@[2001:db8::1]:5070", "UDP", ("2001:db8::1", 5070), True),
        ("sip:a@192.0.2.5", "TCP", ("192.0.2.5", 5060), False),
        ("sip:a@192.0.2.5:5070", "UDP", ("192.0.2.5", 5060), False),
        ("sip:a@10.0.0.1", "UDP", ("192.0.2.5", 5060), False),
        ("sip:a@192.168.1.1", "UDP", ("10.0.0.1", 5060), False),
        ("sip:a@100.64.0.1", "UDP", ("192.0.2.5", 5060), False),
        ("sip:a@[fd00::1]", "UDP", ("2001:db8::1", 5060), False),
        ("sip:a@8.8.8.8", "UDP", ("192.0.2.5", 5060), True),
        ("sip:a@8.8.8.8:5070", "UDP", ("8.8.8.8", 5060), False),
        ("sip:a@phone.example.org", "UDP", ("192.0.2.5", 5060), True),
        ("sip:a@phone.example.org", "TLS", ("192.0.2.5", 5060), False),
        ("sip:a@df7jal23ls0d.invalid", "UDP", ("192.0.2.5", 5060), False),
        ("sip:a@laptop", "UDP", ("192.0.2.5", 5060), False),
    ],
)
def test_reachable_as_written(contact: str, transport: str, source: tuple[str, int], as_written: bool) -> None:
    assert reachable(SIPURI.parse(contact), transport, str(Address(*source))) is as_written


def test_whose_flow_it_is(house: Any) -> None:
    phone, other = house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.register("bob", phone, key="k")
    router, flow, aor = house.proxy.location_router, house.last_flow(phone), "sip:bob@example.com"
    assert router.flow_of_binding(aor, "k") == flow
    assert router.is_flow_of_binding(aor, "k", flow)
    assert not router.is_flow_of_binding(aor, "k", house.last_flow(other))
    for who, key in ((aor, "z"), ("sip:eve@example.com", "k")):
        assert router.flow_of_binding(who, key) is None
        assert not router.is_flow_of_binding(who, key, flow)
