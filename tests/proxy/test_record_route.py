"""Record-Route and the requests that come back by it (RFC 3261 section 16.6 step 4, RFC 5658, RFC 5626 section 5.3)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.name_addr import NameAddr
from twisted_sip.proxy.settings import ProxySettings

BOB = "sip:bob@example.com"
ALICE = "<sip:alice@example.com>;tag=a"


def call(house: Any, alice: Any, bob: Any, **fields: Any) -> tuple[Any, Any]:
    """Set a call from alice to bob up; return the INVITE that bob got and the 200 that alice got."""
    fields.setdefault("from_", ALICE)
    house.send(alice, house.request("INVITE", BOB, **fields))
    invite = bob.expect("INVITE")
    bob.answer(invite, 200, [("contact", f"<{invite.uri_text}>")], to_tag="b")
    return invite, alice.expect(200)


def forth_and_back(house: Any, alice: Any, bob: Any, invite: Any, ok: Any, alice_at: str) -> None:
    """Send ACK and INFO from alice to bob, BYE from bob to alice; each must arrive."""
    routes = ok.headers.elements("record-route")
    transport = ok.vias[0].transport
    for method in ("ACK", "INFO"):
        house.send(
            alice,
            house.in_dialog(
                method,
                invite.uri_text,
                routes[::-1],
                branch=method,
                from_=ALICE,
                to=f"<{BOB}>;tag=b",
                transport=transport,
            ),
        )
        got = bob.expect(method)
        assert "route" not in got.headers
        assert got.uri_text == invite.uri_text
    bob.answer(got, 200)
    assert alice.expect(200).cseq.method == "INFO"
    bye = house.in_dialog(
        "BYE",
        alice_at,
        invite.headers.elements("record-route"),
        branch="bye",
        via="192.0.2.10",
        transport=invite.top_via.transport,
        from_=f"<{BOB}>;tag=b",
        to=ALICE,
    )
    house.send(bob, bye)
    got = alice.expect("BYE")
    assert got.uri_text == alice_at
    alice.answer(got, 200)
    assert bob.expect(200).cseq.method == "BYE"


def test_one_value_between_reachable_phones_over_one_transport(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.register("bob", bob)
    invite, ok = call(house, alice, bob, extra=["Record-Route: <sip:other.example;lr>"])
    ours, other = invite.record_routes
    assert str(other) == "<sip:other.example;lr>"
    assert (ours.uri.host, ours.uri.port, ours.uri.lr, ours.uri.transport) == ("192.0.2.1", 5060, True, "")
    assert ok.headers.elements("record-route") == invite.headers.elements("record-route")


def test_dialog_between_reachable_phones(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.register("bob", bob)
    invite, ok = call(house, alice, bob)
    assert len(invite.record_routes) == 1
    forth_and_back(house, alice, bob, invite, ok, "sip:alice@192.0.2.2")


@pytest.mark.parametrize(
    ("caller", "callee"),
    [("udp", "tcp"), ("tcp", "udp"), ("tcp", "tcp"), ("udp", "tls"), ("tls", "udp"), ("tls", "tcp")],
)
def test_double_record_route(house: Any, caller: str, callee: str) -> None:
    """RFC 5658 section 5: each side finds the value that faces it nearest."""

    def phone(kind: str, host: str) -> Any:
        return house.peer(host) if kind == "udp" else house.stream(host, 5061 if kind == "tls" else 5060)

    alice, bob = phone(caller, "192.0.2.2"), phone(callee, "192.0.2.10")
    house.register("bob", bob)
    house.admit.user = "sip:alice@example.com"
    contact = f"sip:alice@192.0.2.2;transport={caller}"
    invite, ok = call(house, alice, bob, transport=caller.upper(), contact=f"<{contact}>")
    near_bob, near_alice = [route.uri for route in invite.record_routes]
    for uri, kind in ((near_bob, callee), (near_alice, caller)):
        assert uri.transport == ("" if kind == "udp" else kind)
        assert uri.port == (5061 if kind == "tls" else 5060)
        assert uri.lr
    forth_and_back(house, alice, bob, invite, ok, contact)


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "NEWMETHOD"])
def test_what_makes_dialogs_or_may(house: Any, method: str) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request(method, BOB))
    got = bob.expect(method)
    assert got.record_routes
    bob.answer(got, 200)
    alice.expect(200)


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "PUBLISH", "INFO"])
def test_what_makes_none(house: Any, method: str) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request(method, BOB))
    got = bob.expect(method)
    assert not got.record_routes
    bob.answer(got, 200)


def test_switched_off(make_house: Any) -> None:
    house = make_house(settings=ProxySettings(record_route=False))
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.register("bob", bob)
    invite, _ = call(house, alice, bob)
    assert not invite.record_routes


def test_spiral_through_us(house: Any) -> None:
    """A call that comes through here twice: requests of both ends skip what lies between."""
    alice, bob, other = house.peer("192.0.2.2"), house.peer("192.0.2.10"), house.peer("192.0.2.50")
    house.register("bob", bob)
    house.bind("carol", "sip:carol@192.0.2.50")
    house.send(alice, house.request("INVITE", "sip:carol@example.com", from_=ALICE))
    first = other.expect("INVITE")
    again = first.copy()
    again.headers.prepend("via", "SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKagain")
    again.set_uri(BOB)
    other.send(again, ("192.0.2.1", 5060))
    invite = bob.expect("INVITE")
    bob.answer(invite, 200, [("contact", f"<{invite.uri_text}>")], to_tag="b")
    back = other.expect(200).copy()
    back.headers.remove_first_element("via")
    other.send(back, ("192.0.2.1", 5060))
    ok = alice.expect(200)
    assert len(ok.headers.elements("record-route")) >= 2
    forth_and_back(house, alice, bob, invite, ok, "sip:alice@192.0.2.2")


# -- tokens ----------------------------------------------------------------------------------


def strangers_call(house: Any) -> Any:
    """Return a stranger, bob behind a flow, and the route set of the stranger's call to bob."""
    eve, bob = house.peer("203.0.113.5"), house.stream("192.0.2.10")
    house.register("bob", bob)
    invite, ok = call(house, eve, bob, via="203.0.113.5", from_="<sip:eve@example.net>;tag=a")
    return eve, bob, invite, ok.headers.elements("record-route")[::-1]


def test_token_moved_to_another_call_names_no_flow(house: Any) -> None:
    eve, bob, _, routes = strangers_call(house)
    moved = house.in_dialog(
        "INFO",
        "sip:bob@192.0.2.99",
        routes,
        via="203.0.113.5",
        branch="x",
        call_id="other",
        from_="<sip:eve@example.net>;tag=a",
        to=f"<{BOB}>;tag=b",
    )
    house.send(eve, moved)
    house.network.advance(2)
    assert not any(getattr(message, "method", "") == "INFO" for message in bob.messages)


def test_forged_token_names_no_flow(house: Any) -> None:
    eve, bob, _, routes = strangers_call(house)
    uris = [NameAddr.parse(route).uri for route in routes]
    forged = []
    for uri in uris:
        user = uri.user or ""
        changed = ("A" if user[0] != "A" else "B") + user[1:]
        forged.append(f"<{uri.replace(user=changed)}>")
    text = house.in_dialog(
        "INFO",
        "sip:bob@192.0.2.99",
        forged,
        via="203.0.113.5",
        branch="x",
        from_="<sip:eve@example.net>;tag=a",
        to=f"<{BOB}>;tag=b",
    )
    house.send(eve, text)
    house.network.advance(2)
    assert not any(getattr(message, "method", "") == "INFO" for message in bob.messages)


def test_in_dialog_requests_without_a_token_go_by_their_uri(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("BYE", "sip:bob@192.0.2.10", to=f"<{BOB}>;tag=b", contact=""))
    bob.answer(bob.expect("BYE"), 200)
    assert alice.expect(200)


def test_ack_with_no_forwards_left_ends_here(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("ACK", "sip:bob@192.0.2.10", to=f"<{BOB}>;tag=b", max_forwards=0))
    bob.expect_nothing()
    assert not alice.messages


def test_ack_for_a_stateless_answer_ends_here(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("ACK", BOB, to=f"<{BOB}>;tag=b"))
    bob.expect_nothing()


def test_notify_in_a_dialog_is_record_routed(house: Any) -> None:
    """RFC 6665 section 4.3: the first NOTIFY may be what makes the subscription."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("NOTIFY", "sip:bob@192.0.2.10", to=f"<{BOB}>;tag=b"))
    got = bob.expect("NOTIFY")
    assert got.record_routes
    bob.answer(got, 200)
    alice.expect(200)
