"""Requests to devices that sleep: they are woken, and what waits goes where they are then (RFC 8599)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.proxy.conftest import record_routes
from twisted_sip.interfaces.push import PushNotification
from twisted_sip.registrar.push_bucket import PushBucket
from twisted_sip.registrar.settings import PushSettings

BOB = "sip:bob@example.com"
PUSH = "apns team.app.voip 00fc"
PN = "pn-provider=apns;pn-param=team.app.voip;pn-prid=00fc"


class Sent:
    """Notes what is sent; *wakes* is called with it."""

    def __init__(self) -> None:
        self.all: list[PushNotification] = []
        self.wakes: Any = None

    def notify(self, notification: PushNotification) -> None:
        self.all.append(notification)
        if self.wakes is not None:
            self.wakes()


@pytest.fixture
def sent(house: Any) -> Any:
    sent = Sent()
    house.bucket = PushBucket(sent, house.store, house.node, PushSettings(providers=("apns",)))
    house.element.waker = house.bucket
    yield sent
    assert len(house.bucket) == 0
    house.bucket.stop()


@pytest.fixture
def alice(house: Any) -> Any:
    return house.peer("192.0.2.2")


def asleep(house: Any, host: str = "192.0.2.10", **fields: Any) -> Any:
    """Return a phone of bob that registered a while ago."""
    phone = house.peer(host)
    bind(house, phone, **fields)
    house.network.advance(60)
    return phone


def bind(house: Any, phone: Any, **fields: Any) -> None:
    contact = f"sip:bob@{phone.address.host};{PN}"
    house.bind("bob", contact, **{"key": "mobile", "push": PUSH, **fields})


def test_a_call_waits_until_it_has_registered(house: Any, alice: Any, sent: Sent) -> None:
    old = asleep(house)
    house.send(alice, house.request("INVITE", BOB))
    alice.expect(100)
    house.network.advance(2)
    assert [each.method for each in sent.all] == ["INVITE"]
    assert old.messages == []
    new = house.peer("198.51.100.10")
    bind(house, new)
    invite = new.expect("INVITE")
    assert invite.uri_text == f"sip:bob@198.51.100.10;{PN}"
    new.answer(invite, 200)
    assert alice.expect(200)
    assert old.messages == []


def test_a_device_that_is_awake_is_not_woken(house: Any, alice: Any, sent: Sent) -> None:
    phone = asleep(house)
    bind(house, phone)
    house.send(alice, house.request("MESSAGE", BOB))
    phone.answer(phone.expect("MESSAGE"), 200)
    assert alice.expect(200) and sent.all == []


@pytest.mark.parametrize(("method", "seconds"), [("INVITE", 15), ("MESSAGE", 5)])
def test_one_that_does_not_come(house: Any, alice: Any, sent: Sent, method: str, seconds: int) -> None:
    phone = asleep(house)
    text = house.request(method, BOB)
    house.send(alice, text)
    got = alice.expect(480, within=seconds + 1)
    assert "warning" not in got.headers
    if method == "INVITE":
        house.send(alice, house.ack_for(text, got))
    assert phone.messages == []


def test_the_desk_phone_rings_meanwhile(house: Any, alice: Any, sent: Sent) -> None:
    mobile, desk = asleep(house), house.peer("192.0.2.11")
    house.bind("bob", "sip:bob@192.0.2.11")
    house.send(alice, house.request("INVITE", BOB))
    invite = desk.expect("INVITE", within=0.5)
    desk.answer(invite, 200)
    assert alice.expect(200)
    assert len(sent.all) == 1 and len(house.bucket) == 0, "nobody waits any more"
    bind(house, mobile)
    house.network.advance(1)
    assert mobile.messages == []


def test_the_caller_hangs_up_meanwhile(house: Any, alice: Any, sent: Sent) -> None:
    mobile = asleep(house)
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    alice.expect(100)
    house.send(alice, house.request("CANCEL", BOB, contact=""))
    alice.expect(200)
    house.send(alice, house.ack_for(text, alice.expect(487)))
    assert len(house.bucket) == 0
    bind(house, mobile)
    house.network.advance(1)
    assert mobile.messages == []


def test_the_caller_hangs_up_afterwards(house: Any, alice: Any, sent: Sent) -> None:
    mobile = asleep(house)
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    alice.expect(100)
    bind(house, mobile)
    invite = mobile.expect("INVITE")
    mobile.answer(invite, 180)
    house.send(alice, house.request("CANCEL", BOB, contact=""))
    mobile.answer(mobile.expect("CANCEL"), 200)
    mobile.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))


def test_a_6xx_of_another_phone_ends_it(house: Any, alice: Any, sent: Sent) -> None:
    asleep(house)
    desk = house.peer("192.0.2.11")
    house.bind("bob", "sip:bob@192.0.2.11")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    desk.answer(desk.expect("INVITE"), 603)
    house.send(alice, house.ack_for(text, alice.expect(603)))
    assert len(house.bucket) == 0


def test_both_may_be_asleep(house: Any, alice: Any, sent: Sent) -> None:
    one = asleep(house)
    asleep(house, "192.0.2.12", key="other", push="apns team.app.voip 77")
    house.send(alice, house.request("INVITE", BOB))
    alice.expect(100)
    house.network.advance(1)
    assert len(sent.all) == 2
    bind(house, one)
    one.answer(one.expect("INVITE"), 200)
    assert alice.expect(200)


def test_a_connection_that_is_lost(house: Any, alice: Any, sent: Sent) -> None:
    """It is asleep though it has just registered, and is reached over its new connection."""
    phone = house.stream("192.0.2.10")
    fields: dict[str, Any] = {"key": "mobile", "push": PUSH, "instance": "<urn:uuid:1>", "reg_id": 1}
    house.register("bob", phone, f"sip:bob@10.0.0.1;transport=tcp;{PN}", **fields)
    phone.close()
    house.network.advance(1)
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(1)
    assert len(sent.all) == 1
    back = house.stream("192.0.2.13")
    house.register("bob", back, f"sip:bob@10.0.0.1;transport=tcp;{PN}", **fields)
    back.answer(back.expect("MESSAGE"), 200)
    assert alice.expect(200)


def test_it_comes_and_its_connection_is_lost(house: Any, alice: Any, sent: Sent) -> None:
    asleep(house)
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(1)
    house.bind("bob", "sip:bob@10.0.0.1", key="mobile", push=PUSH, flow="gone", received="TCP:1.2.3.4:5", reg_id=1)
    assert alice.expect(430)


def test_it_comes_with_what_cannot_be_used(house: Any, alice: Any, sent: Sent) -> None:
    asleep(house)
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(1)
    house.bind("bob", "tel:+15550100", key="mobile", push=PUSH)
    assert alice.expect(480)


def test_it_comes_without_what_sips_needs(house: Any, sent: Sent) -> None:
    phone = house.peer("192.0.2.10")
    house.bind("bob", f"sips:bob@192.0.2.10;{PN}", key="mobile", push=PUSH)
    house.network.advance(60)
    alice = house.stream("192.0.2.2", 5061)
    house.send(alice, house.request("MESSAGE", "sips:bob@example.com", transport="TLS"))
    house.network.advance(1)
    house.bind("bob", f"sip:bob@192.0.2.10;{PN}", key="mobile", push=PUSH)
    assert alice.expect(480)
    assert phone.messages == []


def test_a_notifier_that_fails(house: Any, alice: Any, sent: Sent) -> None:
    asleep(house)

    def fails() -> None:
        raise ValueError("no key")

    sent.wakes = fails
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(480, within=1)


def test_a_waker_that_fails(house: Any, alice: Any, sent: Sent, logged: Any) -> None:
    asleep(house)

    class Broken:
        def asleep(self, binding: Any) -> bool:
            return True

        def wake(self, binding: Any, method: str) -> Any:
            from twisted.internet.defer import fail

            return fail(ZeroDivisionError())

    house.element.waker = Broken()
    house.send(alice, house.request("MESSAGE", BOB))
    assert alice.expect(500)
    assert logged(ZeroDivisionError) == 1


def test_a_gruu_wakes_its_device(house: Any, alice: Any, sent: Sent) -> None:
    asleep(house, instance="<urn:uuid:1>")
    asleep(house, "192.0.2.12", key="other", instance="<urn:uuid:2>", push="apns team.app.voip 77")
    house.send(alice, house.request("INVITE", "sip:bob@example.com;gr=urn:uuid:1"))
    alice.expect(100)
    house.network.advance(1)
    assert [each.prid for each in sent.all] == ["00fc"]
    phone = house.peer("198.51.100.10")
    bind(house, phone, instance="<urn:uuid:1>")
    phone.answer(phone.expect("INVITE"), 200)
    assert alice.expect(200)


def test_those_who_do_not_wait(house: Any, sent: Sent) -> None:
    asleep(house)
    (binding,) = house.store.lookup(BOB)
    router = house.proxy.location_router
    assert router.reaching(binding) == router.target_of(binding)
    assert [each.method for each in sent.all] == ["MESSAGE"]
    assert router.reaching(attrs.evolve(binding, push="")) and len(sent.all) == 1


# -- in a dialog (section 6.2) ---------------------------------------------------------------


def call(house: Any, alice: Any, phone: Any, purr: str) -> Any:
    """Set a call up whose callee may be woken; return the arguments of a BYE of the caller."""
    house.send(alice, house.request("INVITE", BOB))
    invite = phone.expect("INVITE")
    contact = f"<sip:bob@{phone.address.host};pn-purr={purr}>"
    phone.answer(invite, 200, headers=[("contact", contact)])
    ok = alice.expect(200)
    return {
        "uri": contact[1:-1], "routes": record_routes(ok)[::-1], "to": ok.headers.first("to"), "cseq": 2,
        "branch": "bye",
    }  # fmt: skip


def purr_of(house: Any) -> str:
    (binding,) = house.store.lookup(BOB)
    return str(house.element.temporary_gruus.make_purr(binding))


def test_a_request_in_a_dialog_wakes_it(house: Any, alice: Any, sent: Sent) -> None:
    phone = house.peer("192.0.2.10")
    bind(house, phone)
    bye = call(house, alice, phone, purr_of(house))
    house.network.advance(60)
    house.send(alice, house.in_dialog("BYE", **bye))
    house.network.advance(1)
    assert [each.method for each in sent.all] == ["BYE"]
    assert len(phone.messages) == 1
    bind(house, phone)
    phone.answer(phone.expect("BYE"), 200)
    assert alice.expect(200)


def test_in_a_dialog_it_may_come_over_another_connection(house: Any, alice: Any, sent: Sent) -> None:
    phone = house.stream("192.0.2.10")
    fields: dict[str, Any] = {"key": "mobile", "push": PUSH, "instance": "<urn:uuid:1>", "reg_id": 1}
    contact = f"sip:bob@10.0.0.1;transport=tcp;{PN}"
    house.register("bob", phone, contact, **fields)
    purr = purr_of(house)
    house.send(alice, house.request("INVITE", BOB))
    phone.answer(phone.expect("INVITE"), 200, headers=[("contact", f"<sip:bob@10.0.0.1;pn-purr={purr}>")])
    ok = alice.expect(200)
    phone.close()
    house.network.advance(1)
    house.send(
        alice,
        house.in_dialog(
            "BYE", f"sip:bob@10.0.0.1;pn-purr={purr}", record_routes(ok)[::-1], to=ok.headers.first("to"), cseq=2,
            branch="bye",
        ),
    )  # fmt: skip
    house.network.advance(1)
    assert len(sent.all) == 1
    back = house.stream("192.0.2.13")
    house.register("bob", back, contact, **fields)
    back.answer(back.expect("BYE"), 200)
    assert alice.expect(200)


@pytest.mark.parametrize("purr", ["nonsense", "other"])
def test_a_purr_that_is_none_wakes_nobody(house: Any, alice: Any, sent: Sent, purr: str) -> None:
    phone = house.peer("192.0.2.10")
    bind(house, phone)
    if purr == "other":
        (binding,) = house.store.lookup(BOB)
        purr = house.element.temporary_gruus.make_purr(attrs.evolve(binding, push="apns x y"))
    bye = call(house, alice, phone, purr)
    house.network.advance(60)
    house.send(alice, house.in_dialog("BYE", **bye))
    phone.answer(phone.expect("BYE"), 200)
    assert alice.expect(200) and sent.all == []


def test_in_a_dialog_one_that_is_awake_is_not_woken(house: Any, alice: Any, sent: Sent) -> None:
    phone = house.peer("192.0.2.10")
    bind(house, phone)
    bye = call(house, alice, phone, purr_of(house))
    house.send(alice, house.in_dialog("BYE", **bye))
    phone.answer(phone.expect("BYE"), 200)
    assert alice.expect(200) and sent.all == []
