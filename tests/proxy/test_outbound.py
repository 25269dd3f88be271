"""Flows, several flows of one instance, GRUU, Path (RFC 5626 sections 5 and 7, RFC 5627 section 6, RFC 3327)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.name_addr import NameAddr

BOB = "sip:bob@example.com"
GRUU = "sip:bob@example.com;gr=urn:uuid:1"
ONE = "<urn:uuid:1>"
CARRIED = "<sip:alice@example.com>;tag=a"


@pytest.fixture
def alice(house: Any) -> Any:
    return house.peer("192.0.2.2")


# -- flows -------------------------------------------------------------------------------------


def test_requests_go_down_the_connection(house: Any, alice: Any) -> None:
    bob = house.stream("192.0.2.10")
    house.register("bob", bob, "sip:bob@10.0.0.9:40000;transport=tcp")
    house.send(alice, house.request("MESSAGE", BOB))
    bob.answer(bob.expect("MESSAGE"), 200)
    assert alice.expect(200)


def test_flow_lost_is_430(house: Any, alice: Any) -> None:
    bob = house.stream("192.0.2.10")
    house.register("bob", bob, "sip:bob@10.0.0.9;transport=tcp")
    bob.close()
    house.network.advance(1)
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(430)


def test_flow_lost_while_waiting_is_430(house: Any, alice: Any) -> None:
    bob = house.stream("192.0.2.10")
    house.register("bob", bob, "sip:bob@10.0.0.9;transport=tcp")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    bob.expect("INVITE")
    bob.close()
    house.send(alice, house.ack_for(text, alice.expect(430)))


def test_contact_that_is_reachable_needs_no_flow(house: Any, alice: Any) -> None:
    bob = house.peer("192.0.2.10")
    house.register("bob", bob)
    house.send(alice, house.request("MESSAGE", BOB))
    bob.answer(bob.expect("MESSAGE"), 200)


def test_contact_elsewhere_is_left_alone(house: Any, alice: Any) -> None:
    """Section 10.2 of RFC 3261: a registration may be for another place."""
    bob, other = house.peer("192.0.2.10"), house.peer("8.8.4.4")
    house.register("bob", bob, "sip:bob@8.8.4.4")
    house.send(alice, house.request("MESSAGE", BOB))
    other.answer(other.expect("MESSAGE"), 200)
    assert len(bob.messages) == 1


# -- several flows of one instance -------------------------------------------------------------


def flows(house: Any, *reg_ids: int, **fields: Any) -> list[Any]:
    made = []
    for reg_id in reg_ids:
        peer = house.stream(f"192.0.2.{10 + reg_id}")
        contact = f"sip:bob@192.0.2.{10 + reg_id};transport=tcp;ob"
        house.register("bob", peer, contact, instance=ONE, reg_id=reg_id, key=f"{ONE}|{reg_id}", **fields)
        house.network.advance(0.1)
        made.append(peer)
    return made


def test_one_flow_of_an_instance_at_a_time(house: Any, alice: Any) -> None:
    one, two = flows(house, 1, 2)
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(1)
    assert len(one.messages) + len(two.messages) == 3  # two answers to OPTIONS, one MESSAGE
    asked = two if len(two.messages) == 2 else one
    asked.answer(asked.expect("MESSAGE"), 486)
    # "The targeted instance has already provided its response."
    assert alice.expect(486)
    assert len(one.messages) + len(two.messages) == 3


@pytest.mark.parametrize("status", [430, 408])
def test_next_flow_after(house: Any, alice: Any, status: int) -> None:
    one, two = flows(house, 1, 2)
    house.send(alice, house.request("INVITE", BOB))
    house.network.advance(1)
    first, second = (two, one) if len(two.messages) == 2 else (one, two)
    first.answer(first.expect("INVITE"), status)
    second.answer(second.expect("INVITE"), 200)
    assert alice.expect(200)


def test_no_next_flow_when_nobody_waits(house: Any, alice: Any) -> None:
    """RFC 4320 section 4.2: the 408 comes when the client of a MESSAGE has given up."""
    one, two = flows(house, 1, 2)
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(80)
    assert len(one.messages) + len(two.messages) == 3  # two answers to OPTIONS, one MESSAGE


def test_503_of_the_instance_is_its_answer(house: Any, alice: Any) -> None:
    one, two = flows(house, 1, 2)
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    house.network.advance(1)
    first, second = (two, one) if len(two.messages) == 2 else (one, two)
    first.answer(first.expect("INVITE"), 503)
    house.send(alice, house.ack_for(text, alice.expect(500)))
    assert len(second.messages) == 1


def test_next_flow_if_the_first_is_lost(house: Any, alice: Any) -> None:
    one, two, three = flows(house, 1, 2, 3)
    three.close()
    two.close()
    house.network.advance(1)
    house.send(alice, house.request("MESSAGE", BOB))
    one.answer(one.expect("MESSAGE"), 200)
    assert alice.expect(200)


def test_all_flows_lost(house: Any, alice: Any) -> None:
    for peer in flows(house, 1, 2):
        peer.close()
    house.network.advance(1)
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(430)


def test_two_instances_are_forked_to(house: Any, alice: Any) -> None:
    [one] = flows(house, 1)
    other = house.peer("192.0.2.30")
    house.register("bob", other, instance="<urn:uuid:2>")
    house.send(alice, house.request("MESSAGE", BOB))
    one.answer(one.expect("MESSAGE"), 404)
    other.answer(other.expect("MESSAGE"), 200)
    assert alice.expect(200)


# -- GRUU ----------------------------------------------------------------------------------------


def test_gruu_reaches_its_instance_alone(house: Any, alice: Any) -> None:
    one, other = house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.register("bob", one, instance=ONE)
    house.register("bob", other, instance="<urn:uuid:2>")
    house.send(
        alice, house.request("MESSAGE", GRUU.upper().replace("SIP:BOB@EXAMPLE.COM;GR", "sip:bob@example.com;gr"))
    )
    got = one.expect("MESSAGE")
    # Section 6.1: gr is not carried forward.
    assert got.uri_text == "sip:bob@192.0.2.10:5060"
    one.answer(got, 200)
    assert len(other.messages) == 1


@pytest.mark.parametrize(
    ("uri", "status"),
    # Section 6.1: without a value it would be a temporary one, and it is none.
    [("sip:bob@example.com;gr=urn:uuid:9", 480), ("sip:bob@example.com;gr", 404)],
)
def test_gruu_without_a_contact(house: Any, alice: Any, uri: str, status: int) -> None:
    one = house.peer("192.0.2.10")
    house.register("bob", one, instance=ONE)
    house.send(alice, house.request("MESSAGE", uri))
    assert alice.expect(status)


def test_gruu_of_a_phone_that_restarted(house: Any, alice: Any) -> None:
    """Section 6.1, case 2: the contact refreshed last, whatever its q; the one before after 408 and 430 alone."""
    old, new = house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.register("bob", old, instance=ONE, q=1000)
    house.network.advance(5)
    house.register("bob", new, instance=ONE, q=100)
    house.send(alice, house.request("INVITE", GRUU))
    new.answer(new.expect("INVITE"), 408)
    old.answer(old.expect("INVITE"), 200)
    assert alice.expect(200)


def test_ack_and_bye_to_a_gruu(house: Any, alice: Any) -> None:
    """A Contact that is a GRUU: its requests come by our Route and are rewritten."""
    bob = house.stream("192.0.2.10")
    house.register("bob", bob, "sip:bob@10.0.0.1;transport=tcp", instance=ONE, reg_id=1)
    house.send(alice, house.request("INVITE", BOB, from_=CARRIED))
    invite = bob.expect("INVITE")
    bob.answer(invite, 200, [("contact", f"<{GRUU}>")], to_tag="b")
    routes = alice.expect(200).headers.elements("record-route")[::-1]
    for method in ("ACK", "BYE"):
        house.send(alice, house.in_dialog(method, GRUU, routes, branch=method, from_=CARRIED, to=f"<{BOB}>;tag=b"))
        got = bob.expect(method)
        assert got.uri_text == "sip:bob@10.0.0.1;transport=tcp"
    bob.answer(got, 200)
    assert alice.expect(200)


def test_gruu_with_routes_left_drops_the_path(house: Any, alice: Any) -> None:
    edge = house.peer("192.0.2.60")
    house.bind("bob", "sip:bob@10.0.0.1", instance=ONE, path=("<sip:path@192.0.2.61;lr>",))
    text = house.in_dialog("INFO", GRUU, ["<sip:192.0.2.60;lr>"], to=f"<{BOB}>;tag=b")
    house.send(alice, text)
    got = edge.expect("INFO")
    assert got.headers.elements("route") == ["<sip:192.0.2.60;lr>"]
    assert got.uri_text == "sip:bob@10.0.0.1"
    edge.answer(got, 200)


# -- Path ------------------------------------------------------------------------------------------


def test_path_of_the_binding_is_the_route(house: Any, alice: Any) -> None:
    """RFC 3327 section 5.4."""
    edge = house.peer("192.0.2.60")
    house.bind("bob", "sip:bob@10.0.0.1", path=("<sip:tok@192.0.2.60;lr;ob>", "<sip:192.0.2.61;lr>"))
    house.send(alice, house.request("MESSAGE", BOB))
    got = edge.expect("MESSAGE")
    assert got.headers.elements("route") == ["<sip:tok@192.0.2.60;lr;ob>", "<sip:192.0.2.61;lr>"]
    assert got.uri_text == "sip:bob@10.0.0.1"
    edge.answer(got, 200)


def edge_register(house: Any, phone: Any, *extra: str, via: str = "10.0.0.5", contact: str = "") -> Any:
    """Send a REGISTER of another domain through us; return what its registrar got."""
    registrar = house.peer("192.0.2.60")
    text = house.request(
        "REGISTER",
        "sip:192.0.2.60",
        via=via,
        transport="TCP",
        to="<sip:bob@192.0.2.60>",
        contact=contact or '<sip:bob@10.0.0.5;transport=tcp;ob>;+sip.instance="<urn:uuid:1>";reg-id=1',
        extra=extra,
    )
    house.send(phone, text)
    got = registrar.expect("REGISTER")
    registrar.answer(got, 200)
    assert phone.expect(200)
    return registrar, got


def test_edge_proxy_puts_a_token_into_path_and_follows_it(house: Any) -> None:
    """RFC 5626 sections 5.1 and 5.3.1: request in, dialog and all, over the flow of the REGISTER."""
    phone = house.stream("192.0.2.10")
    registrar, register = edge_register(house, phone, "Supported: path, outbound")
    [path] = register.headers.elements("path")
    uri = NameAddr.parse(path).uri
    assert uri.lr and "ob" in uri.params and uri.user
    assert "record-route" not in register.headers
    caller = "<sip:carol@192.0.2.60>;tag=c"
    to = "<sip:bob@192.0.2.60>"
    text = house.in_dialog("INVITE", "sip:bob@10.0.0.5;transport=tcp;ob", [path], via="192.0.2.60", from_=caller, to=to)
    house.send(registrar, text)
    invite = phone.expect("INVITE")
    assert "route" not in invite.headers
    phone.answer(invite, 200, [("contact", "<sip:bob@10.0.0.5;transport=tcp;ob>")], to_tag="b")
    ok = registrar.expect(200)
    routes = ok.headers.elements("record-route")[::-1]
    # "minus the ob parameter"
    assert not any("ob" in route.uri.params for route in ok.record_routes)
    for method in ("ACK", "BYE"):
        bye = house.in_dialog(
            method,
            "sip:bob@10.0.0.5;transport=tcp;ob",
            routes,
            via="192.0.2.60",
            branch=method,
            from_=caller,
            to=f"{to};tag=b",
        )
        house.send(registrar, bye)
        got = phone.expect(method)
    phone.answer(got, 200)
    assert registrar.expect(200)
    # The flow is gone: 430.
    phone.close()
    house.network.advance(1)
    again = house.in_dialog(
        "MESSAGE", "sip:bob@10.0.0.5;transport=tcp;ob", [path], via="192.0.2.60", branch="m", from_=caller, to=to
    )
    house.send(registrar, again)
    assert registrar.expect(430)


def test_ob_is_for_the_first_hop_to_say(house: Any) -> None:
    phone = house.stream("192.0.2.10")
    first = "10.0.0.5;branch=z9hG4bKfirst\nVia: SIP/2.0/TCP 10.0.0.7"
    _, register = edge_register(house, phone, "Supported: path, outbound", via=first)
    [path] = register.headers.elements("path")
    assert "ob" not in NameAddr.parse(path).uri.params


def test_no_ob_without_reg_id(house: Any) -> None:
    phone = house.stream("192.0.2.10")
    _, register = edge_register(house, phone, "Supported: Path", contact="<sip:bob@10.0.0.5>")
    [path] = register.headers.elements("path")
    assert "ob" not in NameAddr.parse(path).uri.params


def test_no_path_for_those_who_do_not_know_it(house: Any) -> None:
    """RFC 3327 section 5.2."""
    phone = house.stream("192.0.2.10")
    _, register = edge_register(house, phone, "Supported: outbound")
    assert "path" not in register.headers


def test_malformed_contact_of_a_register_that_is_not_ours(house: Any) -> None:
    phone = house.stream("192.0.2.10")
    _, register = edge_register(house, phone, "Supported: path", contact="<<<")
    assert register.headers.first("path")
