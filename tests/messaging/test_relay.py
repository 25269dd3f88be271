"""A MESSAGE to all devices of its recipient, and what their answers lead to (RFC 3428 sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


def test_the_flow_of_rfc_3428_section_10(house: Any) -> None:
    alice, bob = house.stream("192.0.2.2"), house.stream("192.0.2.3")
    house.register("bob", bob)
    house.say(alice, "Watson, come here.")
    message = bob.expect("MESSAGE")
    assert (message.body, message.call_id[:4], message.cseq.number) == (b"Watson, come here.", "call", 1)
    assert (str(message.from_), str(message.to)) == (f"<{ALICE}>;tag=a", f"<{BOB}>")
    assert message.uri_text == "sip:bob@192.0.2.3:49152" and message.max_forwards == 69
    assert [via.host for via in message.vias] == ["192.0.2.1", "192.0.2.2"]
    assert message.headers.first("date") and not message.headers.first("record-route")
    bob.answer(message, 200, to_tag="b")
    answer = alice.expect(200)
    assert (answer.to.tag, [via.host for via in answer.vias], answer.body) == ("b", ["192.0.2.2"], b"")
    house.settle()
    assert house.waiting() == []


def test_every_device_gets_a_copy_whatever_its_q(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    devices = [house.peer(f"192.0.2.{number}") for number in (3, 4, 5)]
    for device, q in zip(devices, (1000, 500, 0), strict=True):
        house.bind("bob", f"sip:bob@{device.address}", q=q)
    house.say(alice)
    copies = [device.expect("MESSAGE") for device in devices]
    assert {copy.headers.first("max-breadth") for copy in copies} == {"20"}
    devices[1].answer(copies[1], 486)
    devices[2].answer(copies[2], 200)
    alice.expect(200)
    devices[0].answer(copies[0], 200)
    alice.expect_nothing(within=2)
    assert house.waiting() == []
    house.settle()


def test_flows_of_one_device_are_alternatives(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.stream("192.0.2.3")
    house.register("bob", bob, contact="sip:bob@10.0.0.1", instance="<urn:uuid:1>", reg_id=1, key="<urn:uuid:1>|1")
    house.bind(
        "bob", "sip:bob@10.0.0.1", instance="<urn:uuid:1>", reg_id=2, key="<urn:uuid:1>|2", flow="gone",
        received="TCP:192.0.2.3:9", registered_at=house.node.seconds() + 1,
    )  # fmt: skip
    house.say(alice)
    bob.answer(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    bob.expect_nothing(within=2)
    house.settle()


def test_a_flow_that_the_edge_proxy_has_lost(house: Any) -> None:
    alice, one, two = house.peer("192.0.2.2"), house.peer("192.0.2.3"), house.peer("192.0.2.4")
    for number, edge in ((2, one), (1, two)):
        house.bind(
            "bob", "sip:bob@10.0.0.1", instance="<urn:uuid:1>", reg_id=number, key=f"<urn:uuid:1>|{number}",
            path=(f"<sip:{edge.address};lr>",), registered_at=house.node.seconds() + number,
        )  # fmt: skip
    house.say(alice)
    message = one.expect("MESSAGE")
    assert str(message.routes[0].uri) == "sip:192.0.2.3:5060;lr" and message.uri_text == "sip:bob@10.0.0.1"
    one.answer(message, 430)
    two.answer(two.expect("MESSAGE"), 200)
    alice.expect(200)
    house.settle()


def test_without_a_device_it_is_kept(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    house.say(alice)
    answer = alice.expect(202)
    assert answer.to.tag and answer.reason == "Accepted" and "contact" not in answer.headers
    assert house.waiting() == ["hello"]
    [kept] = house.messages.waiting(BOB)
    assert (kept.sender, kept.recipient, kept.from_value) == (ALICE, BOB, f"<{ALICE}>;tag=a")
    assert sorted(name for name, _ in kept.headers) == ["Content-Type", "Date"]


@pytest.mark.parametrize("status", [404, 408, 410, 430, 480, 482, 486, 500, 503])
def test_what_speaks_of_the_moment_or_the_contact_keeps_it(house: Any, status: int) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    bob.answer(bob.expect("MESSAGE"), status)
    alice.expect(202)
    assert house.waiting() == ["hello"]


@pytest.mark.parametrize("status", [302, 400, 401, 403, 415, 420, 488, 501, 513, 603, 606])
def test_what_speaks_of_the_message_refuses_it(house: Any, status: int) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    bob.answer(bob.expect("MESSAGE"), status, [("warning", '399 bob "no"')])
    answer = alice.expect(status)
    assert answer.headers.first("warning") == '399 bob "no"' and len(answer.vias) == 1
    assert house.waiting() == []
    house.settle()


@pytest.mark.parametrize(
    ("answers", "status"), [((415, 480), 202), ((415, 406), 415), ((480, 603), 603), ((603, 200), 200)]
)
def test_devices_of_two_minds(house: Any, answers: tuple[int, int], status: int) -> None:
    alice, one, two = house.peer("192.0.2.2"), house.peer("192.0.2.3"), house.peer("192.0.2.4")
    for device in (one, two):
        house.bind("bob", f"sip:bob@{device.address}")
    house.say(alice)
    copies = one.expect("MESSAGE"), two.expect("MESSAGE")
    one.answer(copies[0], answers[0])
    alice.expect_nothing(within=1)
    two.answer(copies[1], answers[1])
    alice.expect(status)
    assert house.waiting() == (["hello"] if status == 202 else [])


def test_a_silent_device_is_given_up_in_time(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    began = house.node.seconds()
    house.say(alice)
    bob.expect("MESSAGE")
    alice.expect(202, within=20)
    assert 9.9 < house.node.seconds() - began < 10.1
    assert house.waiting() == ["hello"]


def test_a_late_2xx_takes_it_out_of_the_store(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    message = bob.expect("MESSAGE")
    alice.expect(202, within=20)
    bob.answer(message, 200)
    house.network.advance(1)
    assert house.waiting() == []
    alice.expect_nothing(within=1)
    house.settle()


def test_a_6xx_in_time_ends_it_though_another_device_is_silent(house: Any) -> None:
    alice, one, two = house.peer("192.0.2.2"), house.peer("192.0.2.3"), house.peer("192.0.2.4")
    for device in (one, two):
        house.bind("bob", f"sip:bob@{device.address}")
    house.say(alice)
    one.answer(one.expect("MESSAGE"), 603)
    alice.expect(603, within=40)
    assert house.waiting() == []
    house.settle()


def test_the_place_in_the_store_does_not_depend_on_who_is_asked_first(house: Any) -> None:
    """The same message that comes again, its answer lost with a crash, is kept once."""
    alice = house.peer("192.0.2.2")
    for _ in range(2):
        house.say(alice, call_id="same")
        alice.expect(202)
    house.say(alice, "other", call_id="same", cseq=2)
    alice.expect(202)
    assert house.waiting() == ["hello", "other"]


def test_typing_is_passed_on_and_never_kept(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    typing = {"text": "<x/>", "content_type": "application/im-iscomposing+xml"}
    house.say(alice, **typing)
    alice.expect(480)
    house.say(alice, "text")
    alice.expect(202)
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice, **typing)
    message = bob.expect(lambda found: found.body == b"<x/>")
    bob.answer(message, 200)
    alice.expect(200)
    inside = "From: <sip:a@b>\n\nContent-Type: application/im-iscomposing+xml\n\n<x/>"
    house.unregister("bob")
    house.say(alice, inside, content_type="message/cpim")
    alice.expect(480)
    parts = "--b\nContent-Type: application/im-iscomposing+xml\n\n<x/>\n--b--"
    house.say(alice, parts, content_type="multipart/mixed;boundary=b")
    alice.expect(480)
    assert house.waiting() == ["text"]


def test_typing_to_a_silent_device_needs_no_answer(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice, "<x/>", content_type="application/im-iscomposing+xml")
    bob.expect("MESSAGE")
    # RFC 4320 section 4.2: no 408; 100 at the time for it.
    alice.expect(100, within=6)
    house.network.advance(60)
    assert [found.status for found in alice.messages] == [100] * len(alice.messages)
    house.settle()


def test_a_policy_has_the_last_word(make_house: Callable[..., Any]) -> None:
    seen: list[Any] = []

    class Policy:
        def branch(self, request: Any, target: Any, incoming: Any) -> None:
            request.headers.append("x-policy", "yes")

        def response(self, response: Any, context: Any) -> None:
            seen.append((response.status, context.incoming.flow.remote.host))
            response.headers.append("x-policy", "too")

    house = make_house(policies=[Policy()])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    message = bob.expect("MESSAGE")
    assert message.headers.first("x-policy") == "yes"
    bob.answer(message, 200)
    assert alice.expect(200).headers.first("x-policy") == "too"
    assert seen == [(200, "192.0.2.2")]


def test_a_policy_that_fails(make_house: Callable[..., Any], logged: list[str]) -> None:
    class Policy:
        fails = "branch"

        def branch(self, request: Any, target: Any, incoming: Any) -> None:
            assert self.fails != "branch"

        def response(self, response: Any, context: Any) -> None:
            assert self.fails != "response"

    policy = Policy()
    house = make_house(policies=[policy])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    # It could not be sent, so it is kept; what it would have told is not known to be fit for the sender.
    alice.expect(202)
    policy.fails = "response"
    house.unregister("bob")
    house.say(alice, "two")
    alice.expect(500)
    assert len(logged) == 2
    logged.clear()


def test_a_flow_that_ends_while_it_is_used(house: Any) -> None:
    alice, one, two = house.peer("192.0.2.2"), house.stream("192.0.2.3"), house.stream("192.0.2.4")
    instance = "<urn:uuid:1>"
    for number, stream in ((2, one), (1, two)):
        house.register(
            "bob", stream, contact="sip:bob@10.0.0.1", instance=instance, reg_id=number, key=f"{instance}|{number}",
            registered_at=house.node.seconds() + number,
        )  # fmt: skip
    house.say(alice)
    one.expect("MESSAGE")
    one.close()
    two.expect("MESSAGE")
    two.close()
    # Nobody is left (RFC 5626 section 5.3.1).
    alice.expect(202)
    assert house.waiting() == ["hello"]


def test_contacts_that_cannot_be_used(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}", path=("nonsense",))
    house.bind("bob", f"sip:bob@{bob.address};method=MESSAGE?subject=x")
    house.say(alice)
    message = bob.expect("MESSAGE")
    assert message.uri_text == "sip:bob@192.0.2.3:5060"
    bob.answer(message, 200)
    alice.expect(200)
    house.settle()


def test_a_strict_router_on_the_way(house: Any) -> None:
    alice, edge = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", "sip:bob@10.0.0.1", path=(f"<sip:{edge.address}>",))
    house.say(alice)
    message = edge.expect("MESSAGE")
    assert (message.uri_text, str(message.routes[0].uri)) == ("sip:192.0.2.3:5060", "sip:bob@10.0.0.1")
    edge.answer(message, 200)
    alice.expect(200)


def test_a_sips_message_goes_to_sips_contacts_and_is_kept_as_one(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice, to="sips:bob@example.com")
    alice.expect(202)
    # With another scheme in To nobody would know later.
    house.send(alice, _to_sip("MESSAGE sips:bob@example.com"))
    alice.expect(480)
    bob.expect_nothing(within=5)
    assert house.waiting() == ["hello"]


def _to_sip(first: str) -> str:
    lines = [f"{first} SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKsips", "Max-Forwards: 70"]
    return "\n".join([*lines, f"From: <{ALICE}>;tag=a", f"To: <{BOB}>", "Call-ID: c", "CSeq: 1 MESSAGE", "", "x"])


def test_a_cancel_changes_nothing(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    text = _to_sip(f"MESSAGE {BOB}")
    house.send(alice, text)
    message = bob.expect("MESSAGE")
    house.send(alice, text.replace("MESSAGE", "CANCEL"))
    assert alice.expect(200).cseq.method == "CANCEL"
    bob.answer(message, 200)
    assert alice.expect(200).cseq.method == "MESSAGE"
    house.settle()


def test_a_response_without_the_vias_of_the_way(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    message = bob.expect("MESSAGE")
    first = message.headers.elements("via")[0]
    message.headers.set("via", first)
    bob.answer(message, 200)
    alice.expect(502)


def test_a_sender_whose_connection_is_gone(house: Any) -> None:
    alice, bob = house.stream("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    message = bob.expect("MESSAGE")
    alice.close()
    bob.answer(message, 100)
    house.network.advance(1)
    bob.answer(message, 200)
    house.settle()
    assert house.waiting() == []
