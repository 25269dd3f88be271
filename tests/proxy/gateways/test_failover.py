"""From one gateway to the next (RFC 3261 sections 9.1, 16.6, 16.7 and 16.9)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.builders import build_request
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.static_routes import StaticRoute

from .conftest import quiet

ONE, TWO, THREE = "sip:192.0.2.50", "sip:192.0.2.51", "sip:192.0.2.52:5070"


def peers(made: Any, *numbers: int) -> list[Any]:
    return [made.house.peer(f"192.0.2.{number}") for number in numbers]


def test_the_request_keeps_its_user_and_goes_to_the_host_of_the_gateway(trunk: Any) -> None:
    made = trunk("sip:192.0.2.50;transport=udp")
    [one] = peers(made, 50)
    alice, _ = made.call()
    invite = one.expect("INVITE")
    assert invite.uri_text == "sip:0123@192.0.2.50;transport=udp"
    one.answer(invite, 200, [("contact", f"<{ONE}>")])
    alice.expect(200)
    [shown] = made.gateways.shown()
    assert (shown["requests"], shown["failed"]) == (1, 0)
    assert made.notes() == ["sent to sip:192.0.2.50;transport=udp: sip:0123@192.0.2.50;transport=udp"]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_the_next_one_is_tried_after_some_answers(trunk: Any, status: int) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, _ = made.call()
    one.answer(one.expect("INVITE"), status)
    invite = two.expect("INVITE")
    two.answer(invite, 200, [("contact", f"<{TWO}>")])
    alice.expect(200)
    assert made.states() == ["up", "up"]
    assert [shown["failed"] for shown in made.gateways.shown()] == [1, 0]
    assert f"{ONE} answered {status}: the next one is tried" in made.notes()


@pytest.mark.parametrize("status", [302, 404, 486, 501, 603])
def test_other_answers_are_those_of_the_callee(trunk: Any, status: int) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, text = made.call()
    one.answer(one.expect("INVITE"), status)
    made.house.send(alice, made.house.ack_for(text, alice.expect(status)))
    one.expect("ACK")
    two.expect_nothing(within=4.0)
    assert made.notes()[-1] == f"{ONE} answered {status}: nobody else is tried" or status >= 600


def test_after_ringing_nobody_else_is_tried_and_the_ringing_is_why(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, text = made.call()
    invite = one.expect("INVITE")
    one.answer(invite, 180)
    alice.expect(180)
    one.answer(invite, 503)
    made.house.send(alice, made.house.ack_for(text, alice.expect(500)))
    one.expect("ACK")
    two.expect_nothing(within=4.0)
    assert f"{ONE} has rung, and then answered 503: nobody else is tried" in made.notes()


def test_all_have_failed(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, text = made.call()
    one.answer(one.expect("INVITE"), 503)
    two.answer(two.expect("INVITE"), 503)
    # "SHOULD NOT forward a 503" (section 16.7 step 6).
    made.house.send(alice, made.house.ack_for(text, alice.expect(500)))


def test_a_gateway_that_says_nothing(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, _ = made.call()
    one.expect("INVITE")
    two.expect_nothing(within=2.8)
    invite = two.expect("INVITE", within=0.3)
    assert made.states() == ["suspect", "up"]
    two.answer(invite, 180)
    alice.expect(180)
    two.answer(invite, 200, [("contact", f"<{TWO}>")])
    alice.expect(200)
    # The one that was given up had no provisional response, and gets no CANCEL (section 9.1).
    assert not [message for message in one.messages if getattr(message, "method", "") == "CANCEL"]
    assert f"{ONE} gave no response: the next one is tried" in made.notes()


def test_nobody_waits_for_a_first_response(trunk: Any) -> None:
    """Timer B is the end then."""
    made = trunk(ONE, TWO, settings=quiet(no_response=0.0))
    one, two = peers(made, 50, 51)
    alice, _ = made.call()
    one.expect("INVITE")
    two.expect_nothing(within=30.0)
    two.answer(two.expect("INVITE", within=4.0), 200, [("contact", f"<{TWO}>")])
    alice.expect(200)
    assert made.states() == ["suspect", "up"]


def test_the_table_of_transactions_is_full(trunk: Any) -> None:
    """That is no fault of the gateway."""
    made = trunk(ONE, TWO, max_transactions=1)
    one, two = peers(made, 50, 51)
    # A request of ours that has no answer yet fills it.
    made.house.element.sender.request(build_request(
        "OPTIONS", "sip:192.0.2.70", from_="<sip:x@example.com>;tag=1", to="<sip:192.0.2.70>", call_id="o", cseq=1
    )).addErrback(lambda failure: None)  # fmt: skip
    alice, text = made.call()
    made.house.send(alice, made.house.ack_for(text, alice.expect(503)))
    assert made.states() == ["up", "up"] and not one.messages and not two.messages


def test_a_gateway_that_rings_too_late_is_told_so(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, _ = made.call()
    late = one.expect("INVITE")
    invite = two.expect("INVITE", within=3.1)
    one.answer(late, 180)
    one.answer(one.expect("CANCEL"), 200)
    one.answer(late, 487)
    one.expect("ACK")
    two.answer(invite, 200, [("contact", f"<{TWO}>")])
    alice.expect(200)
    # The caller has not heard of it.
    assert not [message for message in alice.messages if getattr(message, "status", 0) in (180, 487)]


def test_a_gateway_that_answers_too_late_has_the_call(trunk: Any) -> None:
    """A 2xx is forwarded whenever it comes (section 16.7 step 5), and the other one is cancelled."""
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, _ = made.call()
    late = one.expect("INVITE")
    invite = two.expect("INVITE", within=3.1)
    two.answer(invite, 180)
    one.answer(late, 200, [("contact", f"<{ONE}>")])
    alice.expect(200)
    cancel = two.expect("CANCEL")
    two.answer(cancel, 200)
    two.answer(invite, 487)
    two.expect("ACK")
    assert made.states() == ["up", "up"]


def test_both_answer(trunk: Any) -> None:
    """The caller gets both, acknowledges both and ends one (RFC 3261 section 13.2.2.4)."""
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, _ = made.call()
    late = one.expect("INVITE")
    invite = two.expect("INVITE", within=3.1)
    two.answer(invite, 200, [("contact", f"<{TWO}>")], to_tag="two")
    assert alice.expect(200).to.tag == "two"
    one.answer(late, 200, [("contact", f"<{ONE}>")], to_tag="one")
    assert alice.expect(200).to.tag == "one"


def test_the_caller_gives_up_while_a_gateway_is_silent(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, text = made.call()
    one.expect("INVITE")
    made.house.send(alice, text.replace("INVITE", "CANCEL"))
    alice.expect(200)
    two.expect_nothing(within=10.0)
    answer = alice.expect(487, within=60.0)
    made.house.send(alice, made.house.ack_for(text, answer))


def test_a_callee_that_has_rung_is_not_called_by_another_way(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice, text = made.call()
    invite = one.expect("INVITE")
    one.answer(invite, 180)
    alice.expect(180)
    one.answer(invite, 408)
    made.house.send(alice, made.house.ack_for(text, alice.expect(408)))
    one.expect("ACK")
    two.expect_nothing(within=4.0)


def test_who_does_not_answer_is_not_called_by_another_gateway_but_elsewhere(trunk: Any) -> None:
    route = StaticRoute(user="0*", to=("gateway:g", "sip:desk@192.0.2.60"), no_answer=10.0)
    made = trunk(ONE, TWO, route=route)
    one, two, desk = peers(made, 50, 51, 60)
    alice, _ = made.call()
    invite = one.expect("INVITE")
    one.answer(invite, 180)
    one.answer(one.expect("CANCEL", within=10.1), 200)
    one.answer(invite, 487)
    desk.answer(desk.expect("INVITE"), 200, [("contact", "<sip:desk@192.0.2.60>")])
    alice.expect(200)
    assert not two.messages


def test_a_gateway_without_a_way_to_it(trunk: Any) -> None:
    made = trunk("sip:192.0.2.50;transport=tcp", TWO)
    # The host is there, and nobody listens.
    _, two = peers(made, 50, 51)
    alice, _ = made.call()
    two.answer(two.expect("INVITE"), 200, [("contact", f"<{TWO}>")])
    alice.expect(200)
    assert made.states() == ["suspect", "up"]
    assert "sip:192.0.2.50;transport=tcp was not reached: the next one is tried" in made.notes()


def test_a_name_that_leads_nowhere(trunk: Any) -> None:
    made = trunk("sip:gone.example.net", TWO)
    [two] = peers(made, 51)
    alice, _ = made.call()
    two.answer(two.expect("INVITE"), 200, [("contact", f"<{TWO}>")])
    alice.expect(200)


def test_other_requests_go_on_too(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice = made.house.peer("192.0.2.2")
    made.house.send(alice, made.house.request("MESSAGE", "sip:0123@example.com"))
    late = one.expect("MESSAGE")
    two.answer(two.expect("MESSAGE", within=3.1), 200, to_tag="two")
    assert alice.expect(200).to.tag == "two"
    # What comes later changes nothing.
    one.answer(late, 200, to_tag="one")
    alice.expect_nothing(within=5.0)


def test_another_request_that_is_answered_late(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    one, two = peers(made, 50, 51)
    alice = made.house.peer("192.0.2.2")
    made.house.send(alice, made.house.request("MESSAGE", "sip:0123@example.com"))
    late = one.expect("MESSAGE")
    two.expect("MESSAGE", within=3.1)
    one.answer(late, 200, to_tag="one")
    assert alice.expect(200).to.tag == "one"


def test_another_request_over_a_connection_that_is_not_there_yet(trunk: Any) -> None:
    made = trunk("sip:192.0.2.50;transport=tcp", TWO)
    [two] = peers(made, 51)
    alice = made.house.peer("192.0.2.2")
    made.house.send(alice, made.house.request("MESSAGE", "sip:0123@example.com"))
    # Nobody says that there is no such host.
    two.answer(two.expect("MESSAGE", within=3.1), 200)
    alice.expect(200)


@pytest.mark.parametrize("fork", ["serial", "none", "parallel"])
def test_failover_is_no_forking(trunk: Any, fork: str) -> None:
    made = trunk(ONE, TWO)
    made.house.proxy.settings = ProxySettings(fork=fork)
    one, two = peers(made, 50, 51)
    alice, _ = made.call()
    one.answer(one.expect("INVITE"), 503)
    two.answer(two.expect("INVITE"), 200, [("contact", f"<{TWO}>")])
    alice.expect(200)


def test_groups_one_after_the_other(trunk: Any) -> None:
    made = trunk(ONE, TWO, route=StaticRoute(user="0*", to=("gateway:g", "sip:{user}@192.0.2.60")))
    one, two, last = peers(made, 50, 51, 60)
    alice, _ = made.call()
    one.answer(one.expect("INVITE"), 503)
    two.answer(two.expect("INVITE"), 503)
    invite = last.expect("INVITE")
    assert invite.uri_text == "sip:0123@192.0.2.60"
    last.answer(invite, 200, [("contact", "<sip:192.0.2.60>")])
    alice.expect(200)


def test_no_gateway_is_enabled(trunk: Any) -> None:
    made = trunk(ONE, TWO)
    assert made.gateways.enable(ONE, False) == made.gateways.enable(TWO, False) == 1
    alice = made.house.peer("192.0.2.2")
    made.house.refused(alice, made.house.request("INVITE", "sip:0123@example.com"), 503)
    assert made.notes() == ["no gateway is enabled and free"]
    assert made.gateways.enable(ONE, True)
    [one] = peers(made, 50)
    made.house.send(alice, made.house.request("INVITE", "sip:0123@example.com", branch="two", call_id="two"))
    one.answer(one.expect("INVITE"), 200, [("contact", f"<{ONE}>")])
    alice.expect(200)


def test_a_gateway_over_tls(trunk: Any) -> None:
    """A sips gateway is reached over TLS or not at all; here nobody is there (RFC 5630 section 5)."""
    made = trunk("sips:192.0.2.50", TWO)
    two = peers(made, 50, 51)[1]
    alice, _ = made.call()
    two.answer(two.expect("INVITE", within=10.0), 200, [("contact", f"<{TWO}>")])
    alice.expect(200)
