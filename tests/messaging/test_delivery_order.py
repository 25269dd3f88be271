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
