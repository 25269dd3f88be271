"""Outgoing.cancel in every phase: nothing more is tried, nothing is left behind, and the user is told once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import LocalProtocolError, ResolutionError

U1, U2 = "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060"
T1, T2 = "TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("resolved", [True, False])
def test_while_resolving(desk: Any, method: str, resolved: bool) -> None:
    waiting: Deferred[Any] = Deferred()
    desk.resolver["example.com"] = waiting
    outgoing = desk.send(method)
    outgoing.cancel()
    assert not desk.sender.waiting
    assert desk.user.told == []
    desk.clock.advance(0)
    assert desk.user.told == ["487 Request Terminated"]
    if resolved:
        waiting.callback(desk.destinations(U1))
    else:
        waiting.errback(ResolutionError("no such name"))
    assert desk.transports.asked == []
    outgoing.cancel()
    desk.settle()
    assert desk.user.told == ["487 Request Terminated"]


@pytest.mark.parametrize("refused", [True, False])
def test_while_connecting(desk: Any, refused: bool) -> None:
    desk.resolver["example.com"] = [T1, T2]
    desk.transports.slow.add(T1)
    outgoing = desk.send()
    outgoing.cancel()
    if refused:
        desk.transports.refuse.add(T1)
    desk.transports.connected()
    assert desk.flow(T1).sent == []
    assert desk.transports.asked == [T1]
    desk.settle()
    assert desk.user.told == ["487 Request Terminated"]


def test_before_any_response_the_cancel_waits_for_one(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    outgoing = desk.send()
    outgoing.cancel([("reason", "SIP;cause=200")])
    assert desk.methods(U1) == ["INVITE"]
    desk.answer(U1, 180)
    cancel = desk.flow(U1).sent[-1]
    assert cancel.method == "CANCEL"
    assert cancel.headers.first("reason") == "SIP;cause=200"
    assert cancel.top_via.branch == outgoing.request.top_via.branch
    desk.answer_cancel(U1)
    desk.answer(U1, 487)
    assert desk.user.told == [180, 487]
    desk.settle()


def test_after_a_provisional_response(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    outgoing = desk.send()
    desk.answer(U1, 180)
    outgoing.cancel()
    outgoing.cancel()
    assert desk.methods(U1) == ["INVITE", "CANCEL"]
    desk.answer_cancel(U1)
    desk.answer(U1, 200)
    # The call was answered while the CANCEL was under way.
    assert desk.user.told == [180, 200]
    desk.settle()


def test_after_the_final_response_nothing_happens(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    outgoing = desk.send()
    desk.answer(U1, 200)
    outgoing.cancel()
    assert desk.methods(U1) == ["INVITE"]
    assert not outgoing.cancelled
    desk.settle()


def test_a_peer_that_answers_neither_invite_nor_cancel(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]
    outgoing = desk.send()
    outgoing.cancel()
    desk.settle()
    assert desk.user.told == ["487 Request Terminated"]
    assert desk.flow(U2).sent == []


def test_a_peer_that_rings_on_after_the_cancel(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]
    outgoing = desk.send()
    desk.answer(U1, 180)
    outgoing.cancel()
    desk.settle()
    assert desk.user.told == [180, "487 Request Terminated"]
    assert desk.flow(U2).sent == []


def test_503_after_a_cancel_is_the_end(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]
    outgoing = desk.send()
    outgoing.cancel()
    desk.answer(U1, 503)
    assert desk.user.told == [503]
    assert desk.flow(U2).sent == []
    desk.settle()


def test_a_transport_failure_after_a_cancel_is_the_end(desk: Any) -> None:
    desk.resolver["example.com"] = [T1, T2]
    outgoing = desk.send()
    outgoing.cancel()
    desk.transactions.flow_closed(desk.flow(T1))
    assert desk.user.told == ["487 Request Terminated"]
    assert desk.flow(T2).sent == []
    desk.settle()


def test_a_non_invite_that_was_sent_runs_out_by_itself(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]
    outgoing = desk.send("MESSAGE", failover_after_timeout=True)
    outgoing.cancel()
    assert desk.methods(U1) == ["MESSAGE"]
    desk.settle()
    assert desk.user.told == ["487 Request Terminated"]
    assert desk.flow(U2).sent == []


def test_a_non_invite_that_was_sent_may_still_be_answered(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    outgoing = desk.send("MESSAGE")
    outgoing.cancel()
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_between_two_servers(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, T2]
    desk.transports.slow.add(T2)
    outgoing = desk.send()
    desk.answer(U1, 503)
    outgoing.cancel()
    desk.transports.connected()
    desk.settle()
    assert desk.user.told == ["487 Request Terminated"]
    assert desk.flow(T2).sent == []


def test_at_the_second_server(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]
    outgoing = desk.send()
    desk.answer(U1, 503)
    desk.answer(U2, 180)
    outgoing.cancel()
    assert desk.methods(U2) == ["INVITE", "CANCEL"]
    assert desk.methods(U1) == ["INVITE", "ACK"]
    desk.answer_cancel(U2)
    desk.answer(U2, 487)
    assert desk.user.told == [180, 487]
    desk.settle()


def test_while_a_silent_server_is_about_to_be_given_up(desk: Any) -> None:
    desk.settings(try_next_after=4.0)
    desk.resolver["example.com"] = [U1, U2]
    outgoing = desk.send()
    outgoing.cancel()
    desk.advance(10)
    assert desk.flow(U2).sent == []
    desk.settle()
    assert desk.user.told == ["487 Request Terminated"]


def test_a_bad_header_field_cancels_nothing(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    outgoing = desk.send()
    desk.answer(U1, 180)
    with pytest.raises(LocalProtocolError):
        outgoing.cancel([("reason", "a\r\nb")])
    assert not outgoing.cancelled
    outgoing.cancel()
    assert desk.methods(U1) == ["INVITE", "CANCEL"]
