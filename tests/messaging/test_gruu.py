"""A message for one device alone: it goes there, waits for it, and for no other (RFC 5627 section 6.1)."""

from __future__ import annotations

from typing import Any

import pytest

BOB = "sip:bob@example.com"
ONE, TWO = "<urn:uuid:AAAA0000-0000-1000-8000-00000000000A>", "<urn:uuid:bbbb0000-0000-1000-8000-00000000000b>"
GRUU = f"{BOB};gr={ONE[1:-1].lower()}"


def appear(house: Any, number: int, instance: str, **fields: Any) -> Any:
    peer = house.peer(f"192.0.2.{number}")
    house.bind("bob", f"sip:bob@{peer.address}", instance=instance, **fields)
    return peer


def test_it_goes_to_that_device_and_no_other(house: Any) -> None:
    alice, other, bob = house.peer("192.0.2.2"), appear(house, 4, TWO), appear(house, 3, ONE)
    plain = house.peer("192.0.2.5")
    house.bind("bob", f"sip:bob@{plain.address}")
    house.say(alice, to=GRUU)
    message = bob.expect("MESSAGE")
    # Section 6.1: the contact in the place of the GRUU, nothing of the GRUU in it.
    assert str(message.uri) == f"sip:bob@{bob.address}" and str(message.to.uri) == GRUU
    bob.answer(message, 200)
    alice.expect(200)
    for peer in (other, plain):
        peer.expect_nothing(within=1)
    house.settle()


SERIES = "1.0123456789abcdef"


def test_a_temporary_one(house: Any) -> None:
    """It means one device too, and none once its registrations have ended."""
    alice, other = house.peer("192.0.2.2"), appear(house, 4, TWO, series="1.aaaaaaaaaaaaaaaa")
    bob = appear(house, 3, ONE, series=SERIES)
    (binding,) = [each for each in house.location.lookup(BOB) if each.series == SERIES]
    gruu = house.element.temporary_gruus.make(binding)
    house.say(alice, to=gruu)
    message = bob.expect("MESSAGE")
    assert str(message.uri) == f"sip:bob@{bob.address}"
    bob.answer(message, 200)
    alice.expect(200)
    other.expect_nothing(within=1)
    house.unregister("bob")
    house.say(alice, to=gruu)
    alice.expect(404)
    house.say(alice, to="sip:tgruu.none@example.com;gr")
    alice.expect(404)
    house.settle()


def leave(house: Any, instance: str = ONE) -> None:
    """A device has been there, and is not any more."""
    house.bind("bob", "sip:bob@192.0.2.99", instance=instance)
    house.unregister("bob")


def test_it_waits_for_that_device(house: Any) -> None:
    leave(house)
    alice, other = house.peer("192.0.2.2"), appear(house, 4, TWO)
    house.say(alice, "for one", to=GRUU)
    alice.expect(202)
    other.expect_nothing(within=100)
    # Others are not held up by it.
    house.say(alice, "for all")
    message = other.expect("MESSAGE")
    assert message.body == b"for all"
    other.answer(message, 200)
    alice.expect(200)
    assert house.waiting() == ["for one"]
    bob = appear(house, 3, ONE)
    message = bob.expect("MESSAGE")
    assert message.body == b"for one" and "gr" not in getattr(message.uri, "params", ())
    bob.answer(message, 200)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()


def test_it_is_refused_by_that_device_alone(house: Any) -> None:
    alice, other, bob = house.peer("192.0.2.2"), appear(house, 4, TWO), appear(house, 3, ONE)
    house.say(alice, to=GRUU)
    bob.answer(bob.expect("MESSAGE"), 415)
    alice.expect(415)
    other.expect_nothing(within=1)
    house.settle()


def test_nobody_is_forwarded_to(house: Any) -> None:
    alice, carol = house.peer("192.0.2.2"), house.peer("192.0.2.4")
    house.bind("bob", "sip:carol@example.com", instance=ONE)
    house.bind("carol", f"sip:carol@{carol.address}", instance=ONE)
    house.say(alice, to=GRUU)
    alice.expect(202)
    carol.expect_nothing(within=10)
    house.messages.remove([found.key for found in house.messages.waiting(BOB)])
    house.settle()


def test_in_a_dialog_it_is_not_kept(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), appear(house, 3, ONE)
    house.say(alice, to=GRUU)
    bob.answer(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    house.unregister("bob")
    for route in ([], ["Route: <sip:token@192.0.2.1;lr>"]):
        number = len(route)
        lines = [f"MESSAGE {GRUU} SIP/2.0", f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKd{number}", "Max-Forwards: 70"]
        lines += [*route, "From: <sip:alice@example.com>;tag=a", f"To: <{GRUU}>;tag=b", f"Call-ID: d{number}"]
        house.send(alice, "\n".join([*lines, "CSeq: 2 MESSAGE", "", "hello"]))
        alice.expect(480)
    assert len(house.messages) == 0
    house.settle()


@pytest.mark.parametrize("uri", [f"{BOB};gr", f"{BOB};gr="])
def test_what_is_no_gruu_of_ours(house: Any, uri: str) -> None:
    alice = house.peer("192.0.2.2")
    house.say(alice, to=uri)
    alice.expect(404)
    house.settle()


def test_a_device_that_nobody_knows(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    for _ in range(2):
        house.say(alice, to=GRUU)
        alice.expect(404)
    appear(house, 4, TWO)
    house.say(alice, to=GRUU)
    alice.expect(404)
    outcome = house.service.send("sip:bot@example.com", GRUU, "ready")
    house.network.advance(1)
    assert outcome.result.status == 404 and not len(house.messages)
    house.settle()


def test_a_device_is_known_for_as_long_as_messages_wait(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    leave(house)
    instances = house.service.instances
    assert len(instances) == 1
    house.network.advance(house.service.settings.lifetime - 100)
    house.say(alice, "late", to=GRUU)
    alice.expect(202)
    house.network.advance(100_000)
    assert not len(instances)
    # For what waits already the device is known still.
    house.say(alice, "later", to=GRUU)
    alice.expect(202)
    house.messages.remove([found.key for found in house.messages.waiting(BOB)])
    house.say(alice, to=GRUU)
    alice.expect(404)
    house.settle()


def test_a_device_that_refreshes_stays_known(house: Any) -> None:
    instances, lifetime = house.service.instances, house.service.settings.lifetime
    leave(house)
    house.network.advance(lifetime / 2)
    leave(house)
    house.network.advance(lifetime * 0.75)
    assert len(instances) == 1
    house.service.stopService()
    assert not len(instances)
    house.service.startService()


def test_no_more_are_remembered_than_may_be(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_sip.messaging.instances.MOST_KNOWN", 1)
    alice = house.peer("192.0.2.2")
    leave(house, TWO)
    leave(house)
    assert len(house.service.instances) == 1
    house.say(alice, to=GRUU)
    alice.expect(404)
    house.bind("bob", "sip:carol@example.com", instance=ONE)
    house.say(alice, to=GRUU)
    alice.expect(202)
    house.messages.remove([found.key for found in house.messages.waiting(BOB)])
    house.settle()


def test_behind_a_proxy_the_proxy_knows_the_device(house: Any) -> None:
    proxy = house.peer("192.0.2.7")
    house.bind("bob", BOB, path=(f"<sip:{proxy.address};lr>",))
    alice = house.peer("192.0.2.2")
    house.say(alice, to=GRUU)
    message = proxy.expect("MESSAGE")
    assert str(message.uri) == GRUU
    proxy.answer(message, 200)
    alice.expect(200)
    house.settle()


def test_programs_write_to_one_device(house: Any) -> None:
    other, bob = appear(house, 4, TWO), appear(house, 3, ONE)
    outcome = house.service.send("sip:bot@example.com", GRUU, "ready")
    bob.answer(bob.expect("MESSAGE"), 200)
    house.network.advance(1)
    assert outcome.result.status == 200
    other.expect_nothing(within=1)
    house.settle()
