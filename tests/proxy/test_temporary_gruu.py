"""Requests to temporary GRUUs (RFC 5627 section 6.1)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.interfaces.location import Binding

BOB = "sip:bob@example.com"
SERIES = "1.0123456789abcdef"


@pytest.fixture
def alice(house: Any) -> Any:
    return house.peer("192.0.2.2")


def gruu(house: Any, series: str = SERIES) -> str:
    binding = Binding(
        aor=BOB, key="k", contact="sip:bob@192.0.2.10", call_id="r", cseq=1, expires_at=9e9, series=series
    )
    return str(house.element.temporary_gruus.make(binding))


def test_it_reaches_its_device_alone(house: Any, alice: Any) -> None:
    one, other = house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.register("bob", one, instance="<urn:uuid:1>", series=SERIES)
    house.register("bob", other, instance="<urn:uuid:2>", series="1.fedcba9876543210")
    house.send(alice, house.request("MESSAGE", gruu(house)))
    got = one.expect("MESSAGE")
    assert got.uri_text == "sip:bob@192.0.2.10:5060"
    one.answer(got, 200)
    assert alice.expect(200)
    assert len(other.messages) == 1


def test_one_that_has_ended(house: Any, alice: Any) -> None:
    """Sections 5.1 and 6.1: 404, not the 480 of a public one whose device is away."""
    phone = house.peer("192.0.2.10")
    house.register("bob", phone, instance="<urn:uuid:1>", series="2.aaaaaaaaaaaaaaaa")
    house.send(alice, house.request("MESSAGE", gruu(house)))
    assert alice.expect(404)
    house.unbind()
    house.send(alice, house.request("MESSAGE", gruu(house), branch="two", call_id="two"))
    assert alice.expect(404)


def test_one_that_was_never_given(house: Any, alice: Any) -> None:
    house.register("bob", house.peer("192.0.2.10"), instance="<urn:uuid:1>", series=SERIES)
    house.send(alice, house.request("MESSAGE", "sip:tgruu.made-up@example.com;gr"))
    assert alice.expect(404)


def test_of_contacts_without_reg_id_the_latest(house: Any, alice: Any) -> None:
    old, new = house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.register("bob", old, instance="<urn:uuid:1>", series=SERIES)
    house.network.advance(5)
    house.register("bob", new, instance="<urn:uuid:1>", series=SERIES, q=100)
    house.send(alice, house.request("INVITE", gruu(house)))
    new.answer(new.expect("INVITE"), 430)
    old.answer(old.expect("INVITE"), 200)
    assert alice.expect(200)


def test_with_a_store_that_answers_later(house: Any, alice: Any) -> None:
    phone = house.peer("192.0.2.10")
    house.register("bob", phone, instance="<urn:uuid:1>", series=SERIES)
    found = house.store.lookup(BOB)
    waiting: Deferred[Any] = Deferred()
    asked = []

    class Later:
        def lookup(self, aor: str) -> Any:
            asked.append(aor)
            return waiting

    house.proxy.location_router._store = Later()
    house.send(alice, house.request("MESSAGE", gruu(house)))
    house.network.advance(0.2)
    assert asked == [BOB]
    waiting.callback(found)
    phone.answer(phone.expect("MESSAGE"), 200)
    assert alice.expect(200)
