"""Who may write to whom, how much, and what programs may decide (RFC 3428)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed
from zope.interface.verify import verifyObject

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.services import IMessagingService
from twisted_sip.messaging.service import MessagingService
from twisted_sip.messaging.settings import MessagingSettings
from twisted_sip.storage.message_table import MessageLimits

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
STRANGER = "<sip:eve@example.net>;tag=e"


def test_it_is_a_messaging_service(house: Any) -> None:
    verifyObject(IMessagingService, house.service)


def test_settings_make_sense(make_house: Callable[..., Any]) -> None:
    with pytest.raises(LocalProtocolError, match="answer_within"):
        make_house(answer_within=32.0)
    with pytest.raises(LocalProtocolError, match="lifetime: 0"):
        MessagingSettings(lifetime=0)
    assert all(field.metadata["help"] for field in attrs.fields(MessagingSettings))
    assert MessagingSettings().limits == MessageLimits()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"to": "sip:example.com"}, 404),
        ({"to": "sip:bob@example.com;gr"}, 404),
        ({"method": "INFO"}, 480),
        ({"extra": ["Route: <sip:192.0.2.1;lr>, <sip:192.0.2.77;lr>"]}, 100),
        ({"extra": ["Proxy-Require: magic"]}, 420),
        ({"extra": ["Max-Breadth: 0"]}, 440),
        ({"extra": ["Expires: soon"]}, 400),
    ],
)
def test_what_is_not_kept(house: Any, fields: dict[str, Any], status: int) -> None:
    alice = house.peer("192.0.2.2")
    house.say(alice, **fields)
    alice.expect(status)
    assert len(house.messages) == 0


def test_what_is_in_a_dialog_passes_on(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.say(alice, to=f"sip:bob@{bob.address}")
    bob.answer(bob.expect("MESSAGE"), 486)
    alice.expect(486)
    house.send(alice, request("Max-Forwards: 7", "Route: <sip:192.0.2.3;lr>"))
    bob.expect("MESSAGE")
    assert len(house.messages) == 0


def in_dialog(body: str, *extra: str) -> str:
    lines = [
        f"MESSAGE {BOB} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{body[:3]}",
        "Max-Forwards: 70",
        *extra,
    ]
    lines += [f"From: <{ALICE}>;tag=a", f"To: <{BOB}>;tag=t", f"Call-ID: {body[:3]}", "CSeq: 2 MESSAGE", "", body]
    return "\n".join(lines)


@pytest.mark.parametrize("route", [[], ["Route: <sip:token@192.0.2.1;lr>"]])
def test_what_only_looks_like_in_a_dialog_is_for_the_user(make_house: Callable[..., Any], route: list[str]) -> None:
    class Picky(MessagingService):
        def accept(self, sender: str, recipient: str, message: Any) -> bool:
            return b"no" not in message.body

    house = make_house(Picky)
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    for body, status in (("no", 403), ("x" * 2000, 513)):
        house.send(alice, in_dialog(body, *route))
        alice.expect(status)
    bob.expect_nothing(within=1)
    house.unregister("bob")
    house.admit.proves = not route
    house.send(alice, in_dialog("yes", *route))
    # A dialog is no proof of who it is.
    alice.expect(403 if route else 202)


def test_it_can_be_switched_off(make_house: Callable[..., Any]) -> None:
    house = make_house(enabled=False)
    alice = house.peer("192.0.2.2")
    house.say(alice)
    alice.expect(480)


def test_it_may_have_no_store(make_house: Callable[..., Any]) -> None:
    house = make_house(store=False)
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.say(alice)
    alice.expect(480)
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    bob.answer(bob.expect("MESSAGE"), 486)
    alice.expect(486)
    assert len(house.messages) == 0


def test_what_nobody_has_admitted_passes_on(house: Any) -> None:
    house.element.chain.remove(house.admit)
    alice = house.peer("192.0.2.2")
    house.say(alice)
    alice.expect(403)


def test_max_forwards_ends_it(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    house.send(alice, request("Max-Forwards: 0"))
    alice.expect(483)


def request(*extra: str, uri: str = BOB, from_: str = f"<{ALICE}>;tag=a", via: str = "") -> str:
    lines = [f"MESSAGE {uri} SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx", *([via] if via else [])]
    return "\n".join([*lines, f"From: {from_}", f"To: <{uri}>", "Call-ID: c", "CSeq: 1 MESSAGE", *extra, "", "hello"])


def test_a_loop_ends(house: Any) -> None:
    alice, other = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:x@{other.address}")
    house.send(alice, request())
    message = other.expect("MESSAGE")
    # Back it comes, with our Via below that of the other one.
    copy = message.copy()
    copy.set_uri(BOB)
    copy.headers.prepend("via", "SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKback")
    other.send(copy, ("192.0.2.1", 5060))
    other.expect(482)
    copy.headers.replace_first_element("via", "SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKother")
    copy.set_uri("sip:carol@example.com")
    other.send(copy, ("192.0.2.1", 5060))
    other.expect(202)


def test_who_is_proved_to_be_somebody_writes_as_nobody_else(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    house.admit.proves = False

    def prove(incoming: Any) -> None:
        incoming.user = ALICE
        incoming.admitted = True

    house.admit.process = prove
    house.send(alice, request("Max-Forwards: 7", from_="<sip:mallory@example.com>;tag=m"))
    alice.expect(403)
    house.say(alice, from_='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=x')
    alice.expect(202)
    house.say(alice, from_="<sip:alice@EXAMPLE.com>;tag=x", extra=["P-Asserted-Identity: <sip:boss@example.com>"])
    alice.expect(202)
    assert [found.sender for found in house.messages.waiting(BOB)] == [ALICE, ALICE]


def test_unknown_users(make_house: Callable[..., Any]) -> None:
    house = make_house(known=["sip:bob@example.com"])
    peer = house.peer("192.0.2.2")
    house.say(peer, to="sip:nobody@example.com")
    peer.expect(404)
    house.say(peer)
    peer.expect(202)
    answers = []
    for user in ("nobody", "bob"):
        house.say(peer, to=f"sip:{user}@example.com", from_=STRANGER)
        answers.append(peer.expect(480))
    first, second = ([name for name, _ in answer.headers] for answer in answers)
    assert first == second and answers[0].reason == answers[1].reason


def test_strangers_where_that_is_set(make_house: Callable[..., Any]) -> None:
    house = make_house(store_for_strangers=True, known=[BOB])
    eve = house.peer("192.0.2.2")
    house.say(eve, from_=STRANGER)
    eve.expect(202)
    house.say(eve, from_="<tel:+1234>;tag=t")
    eve.expect(202)
    assert [found.sender for found in house.messages.waiting(BOB)] == ["sip:eve@example.net", "tel:+1234"]
    house.say(eve, to="sip:nobody@example.com", from_=STRANGER)
    eve.expect(404)


def test_the_size_of_a_message(house: Any) -> None:
    udp, tcp = house.peer("192.0.2.2"), house.stream("192.0.2.3")
    bob, carol = house.stream("192.0.2.4"), house.peer("192.0.2.5")
    large = "x" * 1300
    house.say(udp, "x" * 900)
    udp.expect(202)
    for peer in (udp, tcp):
        house.say(peer, large)
        peer.expect(513)
    house.messages.remove([found.key for found in house.messages.waiting(BOB)])
    house.register("bob", bob)
    house.say(udp, large)
    udp.expect(513)
    house.say(tcp, large)
    bob.answer(bob.expect("MESSAGE"), 200)
    tcp.expect(200)
    # A hop before the last one that was not safe.
    house.send(tcp, request("Max-Forwards: 7", "X: " + large, via="Via: SIP/2.0/udp 192.0.2.9;branch=z9hG4bKy"))
    tcp.expect(513)
    house.bind("bob", f"sip:bob@{carol.address}")
    house.say(tcp, large)
    tcp.expect(513)


def test_a_recipient_who_has_enough(make_house: Callable[..., Any]) -> None:
    house = make_house(limits=MessageLimits(per_user=1))
    alice = house.peer("192.0.2.2")
    house.say(alice)
    alice.expect(202)
    house.say(alice)
    answer = alice.expect(480)
    assert answer.headers.first("retry-after") == "3600"
    assert answer.headers.first("warning") == '399 192.0.2.1:5060 "Too many messages wait for this user"'
    assert house.waiting() == ["hello"]


def test_a_store_that_is_full(make_house: Callable[..., Any]) -> None:
    house = make_house(limits=MessageLimits(messages=1))
    alice = house.peer("192.0.2.2")
    house.say(alice, to="sip:carol@example.com")
    alice.expect(202)
    house.say(alice)
    assert alice.expect(500).headers.first("retry-after") == "60"


def test_a_store_that_fails_in_the_middle(house: Any, monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    results: list[Deferred[None]] = []

    def add(message: Any) -> Deferred[None]:
        results.append(Deferred())
        return results[-1]

    monkeypatch.setattr(house.messages, "add", add)
    house.say(alice)
    alice.expect_nothing(within=1)
    results[0].errback(StoreError("the disk is gone"))
    alice.expect(500)
    # While a device may take it yet nobody is told.
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    message = bob.expect("MESSAGE")
    house.network.advance(10)
    results[1].errback(StoreError("the disk is gone"))
    house.network.advance(1)
    bob.answer(message, 200)
    alice.expect(200)
    house.say(alice, "two")
    message = bob.expect(lambda found: found.body == b"two")
    house.network.advance(10)
    bob.answer(message, 200)
    alice.expect(200)
    results[2].errback(ZeroDivisionError())
    alice.expect_nothing(within=1)
    house.unregister("bob")
    house.say(alice, "three")
    house.network.advance(1)
    results[3].errback(ZeroDivisionError())
    alice.expect(500)
    assert len(logged) == 2
    logged.clear()


def test_quota_is_no_reason_not_to_ask_the_devices(make_house: Callable[..., Any]) -> None:
    house = make_house(limits=MessageLimits(per_user=1))
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.say(alice, "one")
    alice.expect(202)
    house.bind("bob", f"sip:bob@{bob.address}")
    # It does not fit behind the one that waits, so it goes straight.
    house.say(alice, "two")
    message = bob.expect(lambda found: found.body == b"two")
    bob.answer(message, 200)
    alice.expect(200)


# -- hooks -------------------------------------------------------------------------------


class Hooked(MessagingService):
    answers: list[Any] = []

    def accept(self, sender: str, recipient: str, message: Any) -> Any:
        self.answers.append((sender, recipient))
        return succeed(sender != "sip:mallory@example.com")

    async def deliver(self, message: Any, incoming: Any) -> bool:
        return bool(message.body == b"for the bot")

    def store(self, message: Any) -> Any:
        if message.body == b"no":
            return None
        return succeed(attrs.evolve(message, expires_at=message.received_at + 5))

    def user_known(self, aor: str) -> Any:
        return succeed(aor == BOB)


def test_hooks_decide(make_house: Callable[..., Any]) -> None:
    house = make_house(Hooked)
    alice = house.peer("192.0.2.2")
    house.say(alice, from_="<sip:mallory@example.com>;tag=m")
    alice.expect(403)
    assert Hooked.answers == [("sip:mallory@example.com", BOB)]
    house.say(alice, "for the bot")
    answer = alice.expect(200)
    assert answer.to.tag and not answer.body
    house.say(alice, "no")
    alice.expect(480)
    house.say(alice, to="sip:carol@example.com")
    alice.expect(404)
    house.say(alice, "kept")
    alice.expect(202)
    assert house.waiting() == ["kept"]
    house.network.advance(6)
    assert house.waiting() == []


def test_a_device_is_faster_than_the_hook(make_house: Callable[..., Any]) -> None:
    class Slow(MessagingService):
        decided: Any = None

        def store(self, message: Any) -> Any:
            self.decided = Deferred()
            return self.decided.addCallback(lambda _: message)

    house = make_house(Slow)
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    house.say(alice)
    message = bob.expect("MESSAGE")
    house.network.advance(11)
    bob.answer(message, 200)
    alice.expect(200)
    house.service.decided.callback(None)
    house.network.advance(1)
    assert house.waiting() == []
    house.settle()
