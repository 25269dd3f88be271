"""Gateways that carry so many calls and no more."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from twisted_sip.proxy.gateways.channels import ChannelPolicy

from .conftest import quiet

ONE, TWO = "sip:192.0.2.50", "sip:192.0.2.51"


@pytest.fixture
def made(trunk: Any) -> Any:
    """The first of two gateways carries two calls."""
    found = trunk(ONE, TWO, settings=quiet(max_call_time=3600.0))
    entries = [gateway.settings for gateway in found.gateways]
    found.gateways.adopt([attrs.evolve(entries[0], max_calls=2), entries[1]], quiet(max_call_time=3600.0))
    found.house.proxy.policies.append(ChannelPolicy(found.gateways))
    found.one, found.two = (found.house.peer(f"192.0.2.{number}") for number in (50, 51))
    found.alice = found.house.peer("192.0.2.2")
    found.sent = 0
    assert found.gateways.limited
    return found


def call(made: Any, at: Any, status: int = 200) -> Any:
    """Make a call that arrives *at* a gateway; return the final response."""
    made.sent += 1
    text = made.house.request("INVITE", "sip:0123@example.com", branch=f"b{made.sent}", call_id=f"c{made.sent}")
    made.house.send(made.alice, text)
    invite = at.expect("INVITE")
    at.answer(invite, status, [("contact", f"<sip:{at.address}>")] if status < 300 else ())
    final = made.alice.expect(status)
    if status >= 300:
        made.house.send(made.alice, made.house.ack_for(text, final))
    return final


def calls(made: Any) -> Any:
    return made.gateways.shown()[0]["calls"]


def test_one_more_goes_to_the_next(made: Any) -> None:
    first = call(made, made.one)
    call(made, made.one)
    assert calls(made) == 2
    call(made, made.two)
    assert made.gateways.shown()[1]["calls"] is None
    # The end of one makes room.
    made.house.send(
        made.alice,
        made.house.in_dialog(
            "BYE", ONE, first.headers.elements("record-route"), branch="bye", call_id="c1", cseq=2,
            to=str(first.headers.first("to")),
        ),
    )  # fmt: skip
    made.one.answer(made.one.expect("BYE"), 200)
    made.alice.expect(200)
    assert calls(made) == 1
    call(made, made.one)


def test_what_comes_to_nothing_is_no_call(made: Any) -> None:
    for _ in range(3):
        call(made, made.one, 486)
    assert calls(made) == 0


def test_one_that_says_nothing_has_none(made: Any) -> None:
    made.sent += 1
    made.house.send(made.alice, made.house.request("INVITE", "sip:0123@example.com"))
    late = made.one.expect("INVITE")
    assert calls(made) == 1
    invite = made.two.expect("INVITE", within=3.1)
    assert calls(made) == 0
    made.two.answer(invite, 486)
    made.one.answer(late, 200, [("contact", f"<{ONE}>")])
    made.house.network.advance(1.0)
    assert calls(made) in (0, 1)


def test_a_late_answer_is_a_call(made: Any) -> None:
    made.house.send(made.alice, made.house.request("INVITE", "sip:0123@example.com"))
    late = made.one.expect("INVITE")
    made.two.expect("INVITE", within=3.1)
    made.one.answer(late, 200, [("contact", f"<{ONE}>")])
    made.alice.expect(200)
    assert calls(made) == 1


def test_an_end_that_nobody_has_seen(made: Any) -> None:
    call(made, made.one)
    made.house.network.advance(1800.0)
    call(made, made.one)
    assert calls(made) == 2
    made.house.network.advance(1801.0)
    assert calls(made) == 1
    made.house.network.advance(1801.0)
    assert calls(made) == 0


def test_all_are_full(made: Any) -> None:
    made.gateways.enable(TWO, False)
    call(made, made.one)
    call(made, made.one)
    made.house.refused(made.alice, made.house.request("INVITE", "sip:0123@example.com", branch="x", call_id="x"), 503)
    assert made.notes("x") == ["no gateway is enabled and free"]
    # A request that is no call has no place either: the gateway is left alone.
    made.house.send(made.alice, made.house.request("MESSAGE", "sip:0123@example.com", branch="m", call_id="m"))
    made.alice.expect(503)


def test_one_call_id_for_all_calls(made: Any) -> None:
    for place, at in enumerate((made.one, made.one, made.two)):
        text = made.house.request(
            "INVITE", "sip:0123@example.com", branch=f"b{place}", from_=f"<sip:alice@example.net>;tag={place}"
        )
        made.house.send(made.alice, text)
        at.answer(at.expect("INVITE"), 200, [("contact", f"<sip:{at.address}>")])
        made.alice.expect(200)
    assert calls(made) == 2


def test_a_bye_outside_of_calls_ends_none(made: Any) -> None:
    call(made, made.one)
    made.house.send(made.alice, made.house.request("BYE", "sip:0123@example.com", branch="bye", call_id="c1"))
    made.one.answer(made.one.expect("BYE"), 481)
    made.alice.expect(481)
    assert calls(made) == 1
