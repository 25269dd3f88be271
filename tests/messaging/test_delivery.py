"""What was kept gets to its recipient: in order, when a device registers, and again where it has to (RFC 3428)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.errors import StoreError

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


def keep(house: Any, *texts: str, **fields: Any) -> Any:
    """Have alice write to bob, who is away."""
    alice = house.peer("192.0.2.2") if not hasattr(house, "alice") else house.alice
    house.alice = alice
    for text in texts:
        house.say(alice, text, **fields)
        alice.expect(202)
    return alice


def appear(house: Any, number: int = 3, **fields: Any) -> Any:
    """Have bob register a device at 192.0.2.*number*."""
    bob = house.peer(f"192.0.2.{number}")
    house.bind("bob", f"sip:bob@{bob.address}", **fields)
    return bob


def test_it_is_delivered_in_order_one_at_a_time(house: Any) -> None:
    keep(house, "one", "two", "three", extra=["Subject: s"])
    began = house.node.seconds()
    bob = appear(house)
    for text in (b"one", b"two", b"three"):
        message = bob.expect("MESSAGE")
        assert message.body == text
        assert house.node.seconds() - began >= 0.5, "the 200 to the REGISTER comes first"
        bob.expect_nothing(within=0.3)
        bob.answer(message, 200)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()


def test_it_is_what_it_was(house: Any) -> None:
    extra = ["Subject: größer", "Date: Sat, 13 Nov 2010 23:29:00 GMT", "X-End: to-end", "Reply-To: <sip:a@b>"]
    secret = ["Authorization: Digest x", "P-Asserted-Identity: <sip:boss@example.com>", "Contact: <sip:x@y>"]
    keep(house, "body", extra=[*extra, *secret], call_id="cid", cseq=7, content_type="text/plain;charset=utf-8")
    bob = appear(house, path=("<sip:192.0.2.3;lr>",))
    message = bob.expect("MESSAGE")
    assert (message.call_id, message.cseq.number, str(message.from_)) == ("cid", 7, f"<{ALICE}>;tag=a")
    assert (str(message.to), message.body, message.max_forwards) == (f"<{BOB}>", b"body", 70)
    lines = [f"{name}: {value}" for name, value in message.headers]
    assert [line for line in lines if line in extra] == extra
    assert "Content-Type: text/plain;charset=utf-8" in lines and "Route: <sip:192.0.2.3;lr>" in lines
    assert not [line for line in lines if line in secret] and len(message.vias) == 1


def test_a_device_that_is_silent_or_away_is_tried_again_ever_later(house: Any) -> None:
    keep(house, "one", "two")
    bob = appear(house)
    first = bob.expect("MESSAGE")
    bob.answer(first, 480)
    dates = []
    for _ in range(3):
        began = house.node.seconds()
        again = bob.expect("MESSAGE", within=2000)
        assert (again.body, again.call_id, again.cseq, again.from_) == (b"one", first.call_id, first.cseq, first.from_)
        assert again.top_via.branch != first.top_via.branch
        dates.append(round(house.node.seconds() - began))
        bob.answer(again, 486)
    assert dates == [60, 120, 240]
    again = bob.expect("MESSAGE", within=2000)
    bob.answer(again, 200)
    bob.answer(bob.expect("MESSAGE"), 200)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()


def test_retry_after_is_kept_to(house: Any) -> None:
    keep(house, "one")
    bob = appear(house)
    bob.answer(bob.expect("MESSAGE"), 480, [("retry-after", "300")])
    bob.expect_nothing(within=290)
    bob.answer(bob.expect("MESSAGE", within=20), 480, [("retry-after", "soon")])
    bob.expect("MESSAGE", within=130)


def test_a_registration_is_a_reason_to_try(house: Any) -> None:
    keep(house, "one")
    bob = appear(house)
    bob.answer(bob.expect("MESSAGE"), 486)
    house.network.advance(1)
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE", within=1), 480)
    # Not twice in a row.
    house.network.advance(1)
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.expect_nothing(within=29)
    bob.answer(bob.expect("MESSAGE", within=4), 480)
    bob.expect_nothing(within=50)
    bob.answer(bob.expect("MESSAGE", within=11), 480)
    bob.expect_nothing(within=100)
    house.unregister("bob")
    bob.expect_nothing(within=100)
    house.bind("bob", f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE", within=1), 480)
    other = appear(house, 4)
    other.answer(other.expect("MESSAGE", within=1), 200)
    bob.expect_nothing(within=100)
    assert house.waiting() == []


def test_a_try_that_is_taken_for_a_loop_waits_until_it_is_none(house: Any) -> None:
    keep(house, "one")
    bob = appear(house)
    bob.answer(bob.expect("MESSAGE"), 486)
    house.network.advance(1)
    house.bind("bob", f"sip:bob@{bob.address}")
    # RFC 3261 section 8.2.2.2: it remembers the first one.
    bob.answer(bob.expect("MESSAGE", within=1), 482)
    bob.expect_nothing(within=29)
    bob.answer(bob.expect("MESSAGE", within=3), 482)
    # It cannot be that now.
    bob.expect_nothing(within=115)
    bob.answer(bob.expect("MESSAGE", within=10), 200)
    house.network.advance(1)
    assert house.waiting() == []


def test_a_message_on_top_is_a_reason_to_try_at_once_who_has_answered(house: Any) -> None:
    alice = keep(house, "one")
    bob = appear(house)
    bob.answer(bob.expect("MESSAGE"), 486)
    house.network.advance(1)
    house.say(alice, "two")
    alice.expect(202)
    for text in (b"one", b"two"):
        message = bob.expect("MESSAGE", within=1)
        assert message.body == text
        bob.answer(message, 200)
    house.network.advance(1)
    assert house.waiting() == []
    # Who is silent would have all others wait.
    bob.skip()
    house.say(alice, "three")
    bob.expect("MESSAGE")
    alice.expect(202, within=15)
    house.network.advance(60)
    bob.skip()
    house.say(alice, "four")
    alice.expect(202)
    bob.expect_nothing(within=20)


def test_a_message_on_top_comes_behind_and_is_a_reason_to_try(house: Any) -> None:
    alice = keep(house, "one")
    bob = appear(house)
    for _ in range(3):
        bob.answer(bob.expect("MESSAGE", within=300), 480)
    house.network.advance(70)
    house.say(alice, "two")
    alice.expect(202)
    for text in (b"one", b"two"):
        message = bob.expect("MESSAGE", within=1)
        assert message.body == text
        bob.answer(message, 200)
    house.network.advance(1)
    house.say(alice, "three")
    bob.answer(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    house.settle()


def test_what_a_device_refuses_is_for_another_one(house: Any) -> None:
    keep(house, "one", "two")
    bob = appear(house)
    message = bob.expect("MESSAGE")
    other = appear(house, 4)
    house.unregister("bob")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.bind("bob", f"sip:bob@{other.address}", registered_at=0)
    bob.answer(message, 415)
    # The devices that were there when it was sent have all refused it.
    bob.answer(bob.expect("MESSAGE"), 480)
    message = other.expect("MESSAGE")
    assert message.body == b"two"
    other.answer(message, 200)
    house.network.advance(1)
    assert house.waiting() == []


def test_a_device_that_has_refused_is_not_asked_again(house: Any) -> None:
    keep(house, "one")
    bob, other = appear(house), appear(house, 4, registered_at=0)
    bob.answer(bob.expect("MESSAGE"), 415)
    other.answer(other.expect("MESSAGE"), 480)
    other.answer(other.expect("MESSAGE", within=100), 488)
    house.network.advance(1)
    bob.expect_nothing(within=300)
    assert house.waiting() == []
    house.settle()


def test_what_the_user_declines_is_dropped(house: Any) -> None:
    keep(house, "one", "two")
    bob, other = appear(house), appear(house, 4, registered_at=0)
    bob.answer(bob.expect("MESSAGE"), 603)
    bob.answer(bob.expect(lambda found: found.body == b"two"), 200)
    other.expect_nothing(within=1)
    assert house.waiting() == []


def test_expires_is_kept_to(house: Any) -> None:
    alice = keep(house, "short", extra=["Expires: 60"])
    keep(house, "long")
    house.say(alice, "now or never", extra=["Expires: 0"])
    alice.expect(480)
    house.say(alice, "was", extra=["Expires: 60", "Date: Sat, 13 Nov 2010 23:29:00 GMT"])
    alice.expect(480)
    house.say(alice, "is", extra=["Expires: 90", "Date: Sat, 13 Nov 2060 23:29:00 GMT"])
    alice.expect(202)
    house.network.advance(100)
    assert house.waiting() == ["long"]
    bob = appear(house)
    message = bob.expect("MESSAGE")
    assert message.body == b"long"
    bob.answer(message, 200)
    house.settle()


def test_without_expires_there_is_an_end_too(make_house: Callable[..., Any]) -> None:
    house = make_house(lifetime=100, max_lifetime=1000)
    keep(house, "one")
    keep(house, "two", extra=["Expires: 100000", "Date: nonsense"])
    house.network.advance(101)
    assert house.waiting() == ["two"]
    house.network.advance(1000)
    assert house.waiting() == [] and len(house.messages) == 0
    house.settle()


def test_it_does_not_begin_while_devices_may_take_it_yet(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), appear(house)
    house.say(alice, "one")
    message = bob.expect("MESSAGE")
    alice.expect(202, within=15)
    house.say(alice, "two")
    alice.expect(202)
    other = appear(house, 4)
    other.expect_nothing(within=10)
    bob.answer(message, 200)
    # What came behind goes on then.
    other.answer(other.expect("MESSAGE", within=2), 200)
    assert house.waiting() == [] or house.network.advance(1) or house.waiting() == []
    house.settle()


def test_a_device_that_never_answered_is_tried_again(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), appear(house)
    house.say(alice, "one")
    first = bob.expect("MESSAGE")
    alice.expect(202, within=15)
    house.network.advance(30)
    bob.skip()
    again = bob.expect("MESSAGE", within=100)
    assert again.call_id == first.call_id and again.top_via.branch != first.top_via.branch
    bob.answer(again, 200)
    house.network.advance(1)
    assert house.waiting() == []


def test_large_messages_go_safe_ways_only_and_hold_nobody_up(house: Any) -> None:
    alice, bob = house.stream("192.0.2.2"), house.stream("192.0.2.3")
    house.register("bob", bob)
    house.say(alice, "x" * 2000)
    bob.answer(bob.expect("MESSAGE"), 480)
    alice.expect(202)
    house.unregister("bob")
    house.say(alice, "small")
    alice.expect(202)
    plain = house.peer("192.0.2.4")
    house.bind("bob", f"sip:bob@{plain.address}")
    message = plain.expect("MESSAGE", within=2)
    assert message.body == b"small"
    plain.answer(message, 200)
    # It is in nobody's way.
    house.network.advance(1)
    house.say(alice, "next")
    plain.answer(plain.expect("MESSAGE"), 200)
    alice.expect(200)
    plain.expect_nothing(within=10)
    house.register("bob", bob)
    large = bob.expect("MESSAGE", within=100)
    assert large.body == b"x" * 2000
    bob.answer(large, 200)
    house.network.advance(1)
    assert house.waiting() == []


def test_so_many_recipients_at_a_time(make_house: Callable[..., Any]) -> None:
    house = make_house(max_deliveries=2)
    alice = house.peer("192.0.2.2")
    bob = house.peer("192.0.2.3")
    for number in range(5):
        house.say(alice, str(number), to=f"sip:user{number}@example.com")
        alice.expect(202)
    for number in range(5):
        house.bind(f"user{number}", f"sip:user{number}@{bob.address}")
    house.network.advance(0.9)
    first = [found for found in bob.messages if found.body]
    assert {found.body for found in first} == {b"0", b"1"} and house.service.delivery.running == 2
    bob.skip()
    answered = set()
    for found in first:
        if found.body not in answered:
            bob.answer(found, 200)
            answered.add(found.body)
    while len(answered) < 5:
        message = bob.expect(lambda found: found.body not in answered)
        bob.answer(message, 200)
        answered.add(message.body)
    house.network.advance(1)
    assert len(house.messages) == 0
    house.settle()


def test_after_a_restart_those_who_are_there_get_theirs(house: Any) -> None:
    alice = keep(house, "one", "two")
    house.service.stopService()
    bob = appear(house)
    bob.expect_nothing(within=10)
    house.service.startService()
    for text in (b"one", b"two"):
        message = bob.expect("MESSAGE", within=2)
        assert message.body == text
        bob.answer(message, 200)
    house.network.advance(1)
    house.say(alice, "three")
    bob.answer(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    house.settle()


def test_a_stop_in_the_middle(house: Any) -> None:
    keep(house, "one", "two")
    bob, other = appear(house), appear(house, 4, registered_at=0)
    message = bob.expect("MESSAGE")
    house.service.stopService()
    bob.answer(message, 480)
    other.expect_nothing(within=300)
    assert house.waiting() == ["one", "two"]


def test_a_store_that_fails_is_no_end(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(house, "one")

    def fails(recipient: str) -> Any:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(house.messages, "waiting", fails)
        bob = appear(house)
        bob.expect_nothing(within=10)
    other = appear(house, 4)
    other.answer(other.expect("MESSAGE", within=2), 200)
    house.network.advance(1)
    assert house.waiting() == []


def test_what_nobody_foresaw_is_logged(house: Any, monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    keep(house, "one")

    def fails(recipient: str) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(house.messages, "waiting", fails)
        appear(house)
        house.network.advance(10)
    assert len(logged) == 1
    logged.clear()
