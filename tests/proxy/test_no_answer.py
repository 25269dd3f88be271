"""Targets that may ring for so long only (RFC 5359 sections 2.9 and 2.12)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.decisions import Decisions
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

FIRST, SECOND = "sip:first@192.0.2.10", "sip:second@192.0.2.11"


@pytest.fixture
def house(make_house: Any) -> Any:
    route = StaticRoute(user="desk", to=(FIRST, SECOND), fork="serial", no_answer=10.0)
    return make_house(routers=[StaticRouter([route])])


@pytest.mark.parametrize("says", [0, 100, 180])
def test_the_next_one_is_called_after_so_many_seconds(house: Any, says: int) -> None:
    alice, first, second = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    house.send(alice, house.request("INVITE", "sip:desk@example.com"))
    invite = first.expect("INVITE")
    if says:
        first.answer(invite, says)
        second.expect_nothing(within=9.0)
        # Each 18x would begin Timer C anew (RFC 3261 section 16.7); not this.
        first.answer(invite, says)
        cancel = first.expect("CANCEL", within=1.1)
        first.answer(cancel, 200)
        first.answer(invite, 487)
    answered = second.expect("INVITE", within=10.1)
    second.answer(answered, 200, [("contact", f"<{SECOND}>")])
    assert alice.expect(200)


def test_who_answers_at_the_last_moment_has_the_call(house: Any) -> None:
    alice, first, second = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    house.send(alice, house.request("INVITE", "sip:desk@example.com"))
    invite = first.expect("INVITE")
    first.answer(invite, 180)
    first.expect("CANCEL", within=11.0)
    first.answer(invite, 200, [("contact", f"<{FIRST}>")])
    assert alice.expect(200)
    second.expect_nothing(within=1.0)


def test_nobody_answers_in_time(house: Any) -> None:
    """The CANCEL was ours, so the caller is not told of a request that was terminated (RFC 3261 section 16.8)."""
    decisions = house.element.decisions = Decisions(house.network.clock.seconds)
    alice, first, second = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    house.send(alice, house.request("INVITE", "sip:desk@example.com"))
    for one in (first, second):
        invite = one.expect("INVITE", within=11.0)
        one.answer(invite, 180)
        cancel = one.expect("CANCEL", within=11.0)
        one.answer(cancel, 200)
        one.answer(invite, 487)
    assert alice.expect(408)
    rang = [(one.text, one.key) for one in decisions.call("call") if "has rung" in one.text]
    assert rang == [(f"{uri} has rung for 10 s: given up", "route[0].no_answer") for uri in (FIRST, SECOND)]


def test_several_users_of_one_device(make_house: Any) -> None:
    """They have the same Contact, which is called once (section 16.5)."""
    to = tuple(f"sip:{name}@example.com" for name in ("a", "b", "c"))
    route = StaticRoute(user="desk", to=to, fork="serial", no_answer=5.0)
    house = make_house(routers=[StaticRouter([route])])
    for name in "abc":
        house.bind(name, FIRST, instance="<urn:uuid:1>")
    alice, first = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("INVITE", "sip:desk@example.com"))
    invite = first.expect("INVITE")
    first.answer(invite, 180)
    first.answer(first.expect("CANCEL", within=6.0), 200)
    first.answer(invite, 487)
    assert alice.expect(408)
    house.network.advance(1)
    assert [one.method for one in first.messages if hasattr(one, "method")] == ["INVITE", "CANCEL", "ACK"]
