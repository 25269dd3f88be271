"""What waits keeps its order for each device, and holds up nobody who could have the next one."""

from __future__ import annotations

from typing import Any

BOB = "sip:bob@example.com"
SIPS_BOB = "sips:bob@example.com"


def keep(house: Any, alice: Any, *texts: str, **fields: Any) -> None:
    """Have alice write to bob, who is away."""
    for text in texts:
        house.say(alice, text, **fields)
        alice.expect(202)


def appear(house: Any, number: int, **fields: Any) -> Any:
    """Have bob register a device at 192.0.2.*number*."""
    bob = house.peer(f"192.0.2.{number}")
    house.bind("bob", f"sip:bob@{bob.address}", **fields)
    return bob


def take(peer: Any, text: str, status: int = 200, within: float = 2) -> None:
    """Answer the next message of *peer*, which is *text*."""
    message = peer.expect("MESSAGE", within=within)
    assert message.body == text.encode()
    peer.answer(message, status)


def test_what_is_for_sips_contacts_holds_up_no_other(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    keep(house, alice, "secret", to=SIPS_BOB, extra=["Expires: 800"])
    keep(house, alice, "plain")
    bob = appear(house, 3)
    take(bob, "plain")
    house.network.advance(1)
    assert house.waiting() == ["secret"]
    # Nor does what comes then have to wait.
    house.say(alice, "next")
    take(bob, "next")
    alice.expect(200)
    bob.expect_nothing(within=300)
    assert house.waiting() == ["secret"]
    house.settle()


def test_what_one_device_refused_and_the_other_cannot_take_holds_up_no_other(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    keep(house, alice, "one", "two", "three")
    bob, away = appear(house, 3), appear(house, 4, registered_at=0)
    take(bob, "one", 415)
    take(away, "one", 480)
    take(bob, "two")
    take(bob, "three")
    # For the other device it is the first one still.
    take(away, "one", within=100)
    away.expect_nothing(within=100)
    house.settle()


def test_a_device_gets_them_in_order(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    keep(house, alice, "one", "two")
    bob = appear(house, 3)
    first = bob.expect("MESSAGE")
    # One that comes while the first is on its way does not get the second before it.
    other = appear(house, 4)
    bob.answer(first, 480)
    take(other, "one")
    take(other, "two")
    bob.expect_nothing(within=100)
    house.settle()


def test_a_message_that_a_device_fails_over_does_not_hold_up_the_others(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    keep(house, alice, "bad", "good")
    bob = appear(house, 3)
    take(bob, "bad", 500)
    take(bob, "good")
    take(bob, "bad", 500, within=61)
    keep(house, alice, "better")
    take(bob, "better")
    take(bob, "bad", within=130)
    house.settle()


def test_a_device_that_fails_over_all_of_them_has_its_rest(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    keep(house, alice, "one", "two", "three")
    bob = appear(house, 3)
    take(bob, "one", 500)
    take(bob, "two", 500)
    bob.expect_nothing(within=50)
    for text in ("one", "two", "three"):
        take(bob, text, within=20)
    house.settle()


def test_a_device_in_trouble_is_not_given_the_next_one(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    keep(house, alice, "one", "two")
    bob = appear(house, 3)
    take(bob, "one", 503)
    bob.expect_nothing(within=50)
    take(bob, "one", within=20)
    take(bob, "two")
    house.settle()


def test_a_refusal_of_the_first_copy_is_one_of_the_message_alone(house: Any) -> None:
    alice, bob, away = house.peer("192.0.2.2"), appear(house, 3), appear(house, 4, registered_at=0)
    house.say(alice, "one")
    take(bob, "one", 415)
    take(away, "one", 480)
    alice.expect(202)
    house.say(alice, "two")
    alice.expect(202)
    # It is neither asked for the first again nor left alone.
    take(away, "one", 480)
    take(bob, "two", within=1)
    bob.expect_nothing(within=300)
    away.skip()
    assert house.waiting() == ["one"]
    take(away, "one", within=300)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()


def test_a_late_refusal_counts_too(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), appear(house, 3)
    house.say(alice, "one")
    first = bob.expect("MESSAGE")
    alice.expect(202, within=15)
    bob.skip()
    bob.answer(first, 415)
    bob.expect_nothing(within=100)
    assert house.waiting() == []
    house.settle()


def test_a_device_that_registers_again_is_there(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    keep(house, alice, "one")
    bob = appear(house, 3)
    take(bob, "one", 480)
    for _ in range(4):
        take(bob, "one", 480, within=1000)
    bob.expect_nothing(within=200)
    house.bind("bob", f"sip:bob@{bob.address}")
    take(bob, "one", 480)
    # Not more than once in a while, however often it registers.
    for _ in range(5):
        house.bind("bob", f"sip:bob@{bob.address}")
        bob.expect_nothing(within=6)
    message = bob.expect("MESSAGE", within=5)
    bob.answer(message, 480, [("retry-after", "300")])
    house.network.advance(50)
    house.bind("bob", f"sip:bob@{bob.address}")
    # What it asked for itself it gets.
    bob.expect_nothing(within=240)
    take(bob, "one", within=20)
    house.settle()
