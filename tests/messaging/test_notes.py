"""What messaging tells of where a MESSAGE has gone, and of why it is kept or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.element.decisions import Decisions
from twisted_sip.storage.message_table import MessageLimits

BOB = "sip:bob@example.com"


def told(house: Any) -> Callable[[], list[tuple[str, str]]]:
    """Keep decisions in *house*; return what gives words and key of those of messaging."""
    decisions = house.element.decisions = Decisions(house.network.clock.seconds)
    return lambda: [(one.text, one.key) for one in decisions.call("call") if one.room == "messaging"]


def test_kept_for_one_who_is_away(house: Any) -> None:
    why, alice = told(house), house.peer("192.0.2.2")
    house.say(alice, call_id="call")
    alice.expect(202)
    assert why() == [
        (f"{BOB} is nowhere now", ""),
        (f"202: kept until {BOB} registers, or for so long", "messaging.lifetime"),
    ]


def test_kept_since_nobody_answers(house: Any) -> None:
    why, alice, bob = told(house), house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.register("bob", bob)
    house.say(alice, call_id="call")
    bob.expect("MESSAGE")
    alice.expect(202, within=15)
    assert why()[:2] == [
        (f"sent to a device of {BOB}", ""),
        ("no device has answered in time", "messaging.answer_within"),
    ]


def test_not_kept(make_house: Callable[..., Any]) -> None:
    house = make_house(store=False)
    why, alice = told(house), house.peer("192.0.2.2")
    house.say(alice, call_id="call")
    alice.expect(480)
    assert why() == [(f"{BOB} is nowhere now", ""), ("it is not kept", "messaging.store")]


def test_not_kept_for_strangers(house: Any) -> None:
    why, eve = told(house), house.peer("192.0.2.2")
    house.say(eve, call_id="call", from_="<sip:eve@example.net>;tag=e")
    eve.expect(480)
    assert why()[-1] == ("it is not kept", "messaging.store_for_strangers")


def test_too_many_wait(make_house: Callable[..., Any]) -> None:
    house = make_house(limits=MessageLimits(per_user=1))
    why, alice = told(house), house.peer("192.0.2.2")
    house.say(alice)
    alice.expect(202)
    house.say(alice, "another", call_id="call")
    alice.expect(480)
    text, key = why()[-1]
    assert text.startswith("it could not be kept: ") and key == "messaging.max_per_user"


@pytest.mark.parametrize(
    ("limits", "status", "key"),
    [
        (MessageLimits(bytes_per_user=10), 480, "messaging.max_bytes_per_user"),
        (MessageLimits(bytes=10), 500, "messaging.max_bytes"),
        (MessageLimits(messages=0), 500, "messaging.max_messages"),
    ],
)
def test_no_room(make_house: Callable[..., Any], limits: MessageLimits, status: int, key: str) -> None:
    house = make_house(limits=limits)
    why, alice = told(house), house.peer("192.0.2.2")
    house.say(alice, call_id="call")
    alice.expect(status)
    assert why()[-1][1] == key


def test_not_kept_for_nobody(make_house: Callable[..., Any]) -> None:
    house = make_house(known=[])
    why, alice = told(house), house.peer("192.0.2.2")
    house.say(alice, call_id="call")
    alice.expect(404)
    assert why()[-1] == (f"404: there is no user {BOB}", "auth.required")


def test_too_large(make_house: Callable[..., Any]) -> None:
    house = make_house(size_limit=200)
    why, alice = told(house), house.peer("192.0.2.2")
    house.say(alice, call_id="call")
    alice.expect(513)
    assert why() == [(f"513: too large for the way to {BOB}", "messaging.size_limit")]
