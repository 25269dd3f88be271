"""What is not tried again, and what ends the tries of a message that is kept (RFC 3261 sections 12.2.2 and 21.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.errors import StoreError
from twisted_sip.messaging.service import MessagingService

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


def keep(house: Any, *texts: str, **fields: Any) -> Any:
    alice = house.peer("192.0.2.2")
    for text in texts:
        house.say(alice, text, **fields)
        alice.expect(202)
    return alice


def test_a_tag_in_to_does_not_go_out_again(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    lines = [f"MESSAGE {BOB} SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKtag", "Max-Forwards: 70"]
    lines += [f"From: <{ALICE}>;tag=a", f'To: "Bob" <{BOB}>;tag=old;x=y', "Call-ID: tag", "CSeq: 2 MESSAGE"]
    house.send(alice, "\n".join([*lines, "", "again"]))
    live = bob.expect("MESSAGE")
    # As a proxy does: nothing of it is changed.
    assert live.to.tag == "old"
    bob.answer(live, 481)
    alice.expect(202)
    house.bind("bob", f"sip:bob@{bob.address}", registered_at=house.node.seconds() + 40)
    kept = bob.expect("MESSAGE", within=100)
    assert str(kept.to) == f'"Bob" <{BOB}>;x=y' and (kept.call_id, kept.body) == (live.call_id, b"again")
    bob.answer(kept, 200)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()


@pytest.mark.parametrize("status", [404, 410, 481])
def test_who_is_not_there_is_asked_again_when_it_registers(house: Any, status: int) -> None:
    alice = keep(house, "one")
    bob = house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE"), status)
    bob.expect_nothing(within=7200)
    assert house.waiting() == ["one"]
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE", within=40), status)
    bob.expect_nothing(within=7200)
    # Something new is a reason to look again.
    house.say(alice, "two")
    alice.expect(202)
    for text in (b"one", b"two"):
        message = bob.expect("MESSAGE", within=70)
        assert message.body == text
        bob.answer(message, 200)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()


@pytest.mark.parametrize("status", [404, 413])
def test_who_says_when_is_asked_then(house: Any, status: int) -> None:
    """RFC 3428 table 2, RFC 3261 section 21.4.11."""
    keep(house, "one")
    bob = house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE"), status, [("retry-after", "300")])
    bob.expect_nothing(within=290)
    bob.answer(bob.expect("MESSAGE", within=20), 200)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()


def test_another_device_takes_what_one_is_not_there_for(house: Any) -> None:
    keep(house, "one", "two")
    gone, bob = house.peer("192.0.2.3"), house.peer("192.0.2.4")
    house.bind("bob", f"sip:bob@{gone.address}")
    gone.answer(gone.expect("MESSAGE"), 404)
    gone.expect_nothing(within=100)
    house.bind("bob", f"sip:bob@{bob.address}")
    for text in (b"one", b"two"):
        message = bob.expect("MESSAGE")
        assert message.body == text
        bob.answer(message, 200)
    gone.expect_nothing(within=100)
    house.settle()


@pytest.mark.parametrize("status", [400, 401, 403, 405, 406, 407, 413, 415, 416, 420, 488, 493, 501, 505, 513, 603])
def test_refusals_end_it(house: Any, status: int) -> None:
    keep(house, "one")
    bob = house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE"), status)
    bob.expect_nothing(within=4000)
    assert house.waiting() == []
    house.settle()


def test_who_is_no_user_any_more_gets_nothing(make_house: Callable[..., Any]) -> None:
    known = [ALICE, BOB]
    house = make_house(known=known)
    alice = keep(house, "one")
    known.remove(BOB)
    bob = house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.expect_nothing(within=4000)
    assert house.waiting() == ["one"]
    # Nothing is lost should the user come back.
    known.append(BOB)
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE"), 200)
    house.network.advance(1)
    assert house.waiting() == []
    alice.expect_nothing(within=1)
    house.settle()


def test_where_nobody_can_tell_who_is_a_user_it_is_asked_again(
    make_house: Callable[..., Any], logged: list[str]
) -> None:
    class Lost(MessagingService):
        lost = False

        def user_known(self, aor: str) -> bool:
            if self.lost:
                raise StoreError("no answer")
            return True

    house = make_house(Lost)
    keep(house, "one")
    house.service.lost = True
    bob = house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.expect_nothing(within=30)
    house.service.lost = False
    bob.answer(bob.expect("MESSAGE", within=40), 200)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()
