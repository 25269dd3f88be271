"""Nobody speaks as one of our users without proof (RFC 3261 section 22.1, RFC 3428 section 11.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.element.entry import EntryProcessor
from twisted_sip.messaging.service import MessagingService

BOB = "sip:bob@example.com"


class Noting(MessagingService):
    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.senders: list[str] = []

    def accept(self, sender: str, recipient: str, message: Any) -> bool:
        self.senders.append(sender)
        return True


class Trusting(Noting):
    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, authenticated=False, **how)


def prove(house: Any, user: str) -> None:
    def process(incoming: Any) -> None:
        incoming.user, incoming.admitted = user, True

    house.admit.process = process


#: Who seems to be a user of example.com.
CLAIMS = [
    "<sip:alice@example.com>",
    "sip:alice@EXAMPLE.com.",
    "<sips:alice@example.com>",
    "<sip:alice@example.com:5060>",
    "<sip:alice@example.com:7777>",
    "<sip:alice@example.com;maddr=192.0.2.9>",
    "<sip:alice@192.0.2.1>",
    "<im:alice@example.com>",
    "<pres:alice@Example.COM?x=y>",
]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("dialog", [False, True])
def test_what_is_not_proved_is_refused(make_house: Callable[..., Any], claim: str, dialog: bool) -> None:
    house = make_house(Noting)
    eve, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    prove(house, "")
    token = ["Route: <sip:token@192.0.2.1;lr>"] if dialog else []
    house.say(eve, from_=f"{claim};tag=t", extra=token)
    eve.expect(403)
    bob.expect_nothing(within=1)
    assert house.service.senders == [] and len(house.messages) == 0


@pytest.mark.parametrize(
    ("from_", "sender"),
    [
        ("<sip:eve@example.net>", "sip:eve@example.net"),
        ("<tel:+1234>", "tel:+1234"),
        ("<im:eve@example.net>", "im:eve@example.net"),
        # A phone beside the server.
        ("<sip:eve@192.0.2.1:7777>", "sip:eve@192.0.2.1:7777"),
        ("<sip:anonymous@anonymous.invalid>", "sip:anonymous@anonymous.invalid"),
    ],
)
def test_strangers_are_who_they_say(make_house: Callable[..., Any], from_: str, sender: str) -> None:
    house = make_house(Noting, store_for_strangers=True)
    eve = house.peer("192.0.2.2")
    prove(house, "")
    house.say(eve, from_=f"{from_};tag=t")
    eve.expect(202)
    assert house.service.senders == [sender] == [found.sender for found in house.messages.waiting(BOB)]


def test_where_everybody_is_trusted(make_house: Callable[..., Any]) -> None:
    house = make_house(Trusting)
    alice = house.peer("192.0.2.2")
    prove(house, "")
    for extra in ([], ["Route: <sip:token@192.0.2.1;lr>"]):
        house.say(alice, extra=extra)
        alice.expect(202)
    assert house.service.senders == ["sip:alice@example.com"] * 2


def test_the_schemes_of_messages_are_read(make_house: Callable[..., Any]) -> None:
    house = make_house(Noting)
    house.element.chain[0] = EntryProcessor(house.element.domains, ["im"])
    alice = house.peer("192.0.2.2")
    house.say(alice, to="im:bob@example.com")
    alice.expect(202)
    assert house.waiting() == ["hello"]
