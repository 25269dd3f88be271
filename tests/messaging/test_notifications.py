"""What the server itself tells senders of messages that it has kept (RFC 5438 sections 8 and 12.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.documents.cpim import CPIMMessage, parse_cpim
from twisted_sip.documents.imdn import HEADER_NAMESPACE, Category, Notification, is_notification, parse_imdn
from twisted_sip.storage.message_table import MessageLimits

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"

#: What asks for everything.
ALL = "positive-delivery, negative-delivery, processing, display"


def cpim(asks: str = ALL, *headers: str, content: str = "text/plain", body: str = "hello") -> str:
    lines = [
        "From: Alice <im:alice@example.com>",
        "To: Bob <im:bob@example.com>",
        "NS: imdn <urn:ietf:params:imdn>",
        "imdn.Message-ID: 34jk324j",
        "DateTime: 2006-04-04T12:16:49-05:00",
        f"imdn.Disposition-Notification: {asks}",
        *headers,
    ]
    return "\n".join([*lines, "", f"Content-type: {content}", "", body])


def say(house: Any, peer: Any, text: str, status: int = 202, **fields: Any) -> None:
    house.say(peer, text, content_type="message/cpim", **fields)
    peer.expect(status)


def told(message: Any) -> Notification:
    """Return what *message*, a MESSAGE, tells."""
    body: CPIMMessage = parse_cpim(message.body)
    assert is_notification(body) and body.first("Message-ID", HEADER_NAMESPACE) not in (None, "34jk324j")
    assert not body.all("Disposition-Notification", HEADER_NAMESPACE)
    assert body.sender is not None and body.sender.uri == "im:bob@example.com"
    assert (str(message.from_.uri), str(message.to.uri)) == (BOB, ALICE)
    found = parse_imdn(body.body)
    assert (found.message_id, found.date_time) == ("34jk324j", "2006-04-04T12:16:49-05:00")
    assert found.recipient_uri == "im:bob@example.com"
    return found


def phone_of_alice(house: Any) -> Any:
    alice = house.peer("192.0.2.9")
    house.bind("alice", f"sip:alice@{alice.address}")
    return alice


def test_stored_then_failed(house: Any) -> None:
    peer, alice, bob = house.peer("192.0.2.2"), phone_of_alice(house), house.peer("192.0.2.3")
    say(house, peer, cpim())
    message = alice.expect("MESSAGE")
    assert (told(message).category, told(message).status) == (Category.PROCESSING, "stored")
    alice.answer(message, 200)
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE"), 415)
    message = alice.expect("MESSAGE")
    assert (told(message).category, told(message).status) == (Category.DELIVERY, "failed")
    alice.answer(message, 200)
    alice.expect_nothing(within=100)
    house.settle()


def test_a_message_that_expires(house: Any) -> None:
    peer, alice = house.peer("192.0.2.2"), phone_of_alice(house)
    say(house, peer, cpim("negative-delivery"), extra=["Expires: 60"])
    say(house, peer, cpim("display"), extra=["Expires: 60"])
    alice.expect_nothing(within=59)
    message = alice.expect("MESSAGE", within=40)
    assert (told(message).category, told(message).status) == (Category.DELIVERY, "failed")
    alice.answer(message, 200)
    alice.expect_nothing(within=100)
    assert len(house.messages) == 0
    house.settle()


def test_what_expires_while_it_is_on_its_way_is_not_given_up(house: Any) -> None:
    peer, alice, bob = house.peer("192.0.2.2"), phone_of_alice(house), house.peer("192.0.2.3")
    say(house, peer, cpim("negative-delivery"), extra=["Expires: 25"])
    house.network.advance(20)
    house.bind("bob", f"sip:bob@{bob.address}")
    message = bob.expect("MESSAGE")
    house.network.advance(15)
    bob.answer(message, 200)
    alice.expect_nothing(within=100)
    assert len(house.messages) == 0
    house.settle()


def test_what_is_delivered_is_for_the_device_to_tell(house: Any) -> None:
    peer, alice, bob = house.peer("192.0.2.2"), phone_of_alice(house), house.peer("192.0.2.3")
    say(house, peer, cpim("positive-delivery, negative-delivery"))
    house.bind("bob", f"sip:bob@{bob.address}")
    message = bob.expect("MESSAGE")
    assert message.body.decode() == cpim("positive-delivery, negative-delivery").replace("\n", "\r\n")
    bob.answer(message, 200)
    alice.expect_nothing(within=5)
    # The device's own notification goes the way of every message, the store included.
    house.unregister("alice")
    house.send(bob, cpim_request("positive-delivery", "message/imdn+xml", from_=f"<{BOB}>;tag=b", uri=ALICE))
    bob.expect(202)
    assert len(house.waiting(ALICE)) == 1


def cpim_request(asks: str, content: str, *, from_: str, uri: str) -> str:
    lines = [f"MESSAGE {uri} SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKimdn", "Max-Forwards: 70"]
    lines += [f"From: {from_}", f"To: <{uri}>", "Call-ID: imdn", "CSeq: 1 MESSAGE", "Content-Type: message/cpim"]
    return "\n".join([*lines, "", cpim(asks, content=content)])


@pytest.mark.parametrize(
    "text",
    [
        cpim("positive-delivery, display"),
        cpim(content="message/imdn+xml"),
        cpim(ALL, "imdn.IMDN-Record-Route: <im:list@example.net>"),
        cpim(content="no type at all"),
        "From: no cpim",
        cpim().replace("<im:alice", "<im:ali\0ce").replace("hello", "\0"),
    ],
)
def test_who_asks_for_nothing_is_told_nothing(house: Any, text: str) -> None:
    peer = house.peer("192.0.2.2")
    say(house, peer, text, extra=["Expires: 60"])
    house.network.advance(100)
    assert len(house.messages) == 0


def test_strangers_are_told_nothing(make_house: Callable[..., Any]) -> None:
    """Who writes in their name must not have them flooded (section 14)."""
    house = make_house(store_for_strangers=True)
    peer = house.peer("192.0.2.2")
    say(house, peer, cpim(), from_="<sip:eve@example.net>;tag=e")
    say(house, peer, cpim(), from_="<tel:+1>;tag=e")
    assert len(house.messages) == 2
    house.network.advance(700_000)
    assert len(house.messages) == 0


def test_it_can_be_switched_off(make_house: Callable[..., Any]) -> None:
    house = make_house(notifications=False)
    peer = house.peer("192.0.2.2")
    say(house, peer, cpim(), extra=["Expires: 60"])
    house.network.advance(100)
    assert len(house.messages) == 0


def test_a_sender_whose_store_is_full_is_not_told(make_house: Callable[..., Any]) -> None:
    house = make_house(limits=MessageLimits(per_user=1))
    peer = house.peer("192.0.2.2")
    house.say(peer, "for alice", to=ALICE)
    peer.expect(202)
    say(house, peer, cpim(), extra=["Expires: 60"])
    house.network.advance(100)
    assert house.waiting(ALICE) == ["for alice"]


def test_the_same_message_is_told_of_once(house: Any) -> None:
    """Should it come again, or should what was told not be known after a crash."""
    peer = house.peer("192.0.2.2")
    for _ in range(2):
        say(house, peer, cpim(), call_id="same", extra=["Expires: 60"])
    house.network.advance(100)
    kept = house.messages.waiting(ALICE)
    assert [parse_imdn(parse_cpim(found.body).body).status for found in kept] == ["stored", "failed"]
    assert len({found.key for found in kept}) == len({found.call_id for found in kept}) == 2


def test_what_waits_for_who_is_removed_goes(house: Any) -> None:
    peer, alice = house.peer("192.0.2.2"), phone_of_alice(house)
    say(house, peer, cpim("negative-delivery"))
    house.say(peer, "plain")
    peer.expect(202)
    dropped: list[int] = []
    Deferred.fromCoroutine(house.service.delivery.forget(BOB)).addCallback(dropped.append)
    assert dropped == [2] and house.waiting() == []
    message = alice.expect("MESSAGE")
    assert (told(message).category, told(message).status) == (Category.DELIVERY, "failed")
    alice.answer(message, 200)
    house.settle()
