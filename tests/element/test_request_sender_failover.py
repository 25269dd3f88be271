"""RFC 3263 section 4.3: on 503, timeout and transport failure the next server is tried, as a new transaction."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP

U1, U2, U3 = (f"UDP 192.0.2.{n}:5060" for n in (1, 2, 3))
T1, T2 = (f"TCP 192.0.2.{n}:5060" for n in (1, 2))


@pytest.fixture(autouse=True)
def two_servers(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]


def branches(desk: Any, *flows: str) -> list[str]:
    return [flow.sent[0].top_via.branch for flow in map(desk.flow, flows)]


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_503_leads_to_the_next_server_with_a_new_branch(desk: Any, method: str) -> None:
    outgoing = desk.send(method, branch_suffix="-x")
    desk.answer(U1, 503)
    assert desk.user.told == []
    desk.answer(U2, 200)
    assert desk.user.told == [200]
    assert branches(desk, U1, U2) == ["z9hG4bKb1-x", "z9hG4bKb2-x"]
    first, second = desk.flow(U1).sent[0], desk.flow(U2).sent[0]
    assert second.headers.count("via") == first.headers.count("via") == 1
    assert second.cseq == first.cseq
    assert outgoing.request is second
    desk.settle()


def test_a_server_that_said_503_is_tried_last_for_a_while(desk: Any) -> None:
    desk.send("OPTIONS")
    desk.answer(U1, 503)
    desk.answer(U2, 200)
    desk.send("OPTIONS")
    assert len(desk.flow(U1).sent) == 1 and len(desk.flow(U2).sent) == 2
    desk.answer(U2, 200)
    desk.settle()


def test_the_user_prepares_each_attempt_anew(desk: Any) -> None:
    desk.user.on_prepare = lambda request, flow: request.headers.prepend("record-route", f"<sip:{flow.token};lr>")
    desk.send()
    desk.answer(U1, 503)
    assert desk.flow(U2).sent[0].headers.all("record-route") == ["<sip:UDP-192.0.2.2:5060;lr>"]
    assert desk.flow(U1).sent[0].headers.all("record-route") == ["<sip:UDP-192.0.2.1:5060;lr>"]


def test_the_last_503_is_passed_on(desk: Any) -> None:
    desk.send()
    desk.answer(U1, 503)
    desk.answer(U2, 503)
    assert desk.user.told == [503]
    desk.settle()


def test_503_over_a_given_flow_is_passed_on(desk: Any) -> None:
    desk.send(flow=desk.flow(U1))
    desk.answer(U1, 503, [("retry-after", "100")])
    assert desk.user.told == [503]
    assert len(desk.dead) == 0
    desk.settle()


def test_a_503_stands_where_all_others_are_silent(desk: Any) -> None:
    desk.send()
    desk.answer(U1, 503)
    desk.advance(33)
    assert desk.user.told == [503]
    desk.settle()


def test_other_failures_are_answers(desk: Any) -> None:
    desk.send()
    desk.answer(U1, 500)
    assert desk.user.told == [500]
    assert desk.flow(U2).sent == []


def test_an_invite_that_nobody_answers_goes_on_to_the_next_server(desk: Any) -> None:
    desk.send()
    desk.advance(31.9)
    assert desk.flow(U2).sent == []
    desk.advance(1)
    assert desk.methods(U2) == ["INVITE"]
    desk.answer(U2, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_when_every_server_is_silent_it_counts_as_408(desk: Any) -> None:
    desk.send()
    desk.advance(65)
    assert desk.user.told == ["408 Request Timeout"]
    assert desk.dead.suspected(UDP, Address("192.0.2.2", 5060))
    desk.settle()


def test_a_server_that_has_rung_is_alive_and_its_timeout_final(desk: Any) -> None:
    outgoing = desk.send()
    desk.answer(U1, 180)
    desk.transactions.clients[outgoing.transaction.key]._time_out()
    assert desk.user.told == [180, "408 Request Timeout"]
    assert desk.flow(U2).sent == []
    assert len(desk.dead) == 0
    desk.settle()


def test_a_non_invite_has_no_time_left_after_timer_f(desk: Any) -> None:
    # RFC 4320: whoever sent it has given up as well.
    desk.send("MESSAGE")
    desk.advance(33)
    assert desk.user.told == ["408 Request Timeout"]
    assert desk.flow(U2).sent == []
    # But the next one starts with the server that may be alive.
    desk.send("MESSAGE")
    assert len(desk.flow(U2).sent) == 1
    desk.answer(U2, 200)
    desk.settle()


def test_a_non_invite_fails_over_after_timer_f_if_asked_to(desk: Any) -> None:
    desk.send("MESSAGE", failover_after_timeout=True)
    desk.advance(33)
    desk.answer(U2, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_a_transport_failure_leads_to_the_next_server(desk: Any) -> None:
    desk.flow(U1).broken = True
    desk.send("MESSAGE")
    desk.clock.advance(0)
    desk.answer(U2, 200)
    assert desk.user.told == [200]
    assert desk.dead.suspected(UDP, Address("192.0.2.1", 5060))
    desk.settle()


def test_transport_failures_to_the_end_count_as_503(desk: Any) -> None:
    desk.flow(U1).broken = desk.flow(U2).broken = True
    outgoing = desk.send()
    desk.settle()
    assert desk.user.told == ["503 Service Unavailable"]
    assert isinstance(outgoing.error, TransportError)


def test_a_given_flow_that_fails_counts_as_503(desk: Any) -> None:
    desk.flow(T1).broken = True
    desk.send(flow=desk.flow(T1))
    assert desk.user.told == []
    desk.settle()
    assert desk.user.told == ["503 Service Unavailable"]


def test_refused_connections_are_passed_over(desk: Any) -> None:
    desk.resolver["example.com"] = [T1, T2, U3]
    desk.transports.refuse |= {T1, T2}
    desk.transports.slow.add(T2)
    desk.send()
    assert desk.transports.asked == [T1, T2]
    desk.transports.connected()
    desk.answer(U3, 200)
    assert desk.user.told == [200]
    assert desk.dead.suspected(TCP, Address("192.0.2.2", 5060))
    desk.settle()


def test_refused_to_the_end(desk: Any) -> None:
    desk.resolver["example.com"] = [T1, T2]
    desk.transports.refuse |= {T1, T2}
    desk.transports.slow.add(T2)
    desk.send()
    desk.transports.connected()
    assert desk.user.told == ["503 Service Unavailable"]
    desk.settle()


def test_a_connection_that_closes_under_a_request(desk: Any) -> None:
    desk.resolver["example.com"] = [T1, T2]
    desk.send()
    desk.transactions.flow_closed(desk.flow(T1))
    desk.answer(T2, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_udp_that_is_refused_leads_to_the_next_server(desk: Any) -> None:
    desk.send("OPTIONS")
    desk.send("INVITE")
    desk.answer(U1, 100)
    desk.sender.destination_refused(Address("192.0.2.1", 5060))
    # The INVITE was answered: the server lived.
    assert [message.method for message in desk.flow(U2).sent] == ["OPTIONS"]
    assert desk.dead.suspected(UDP, Address("192.0.2.1", 5060))
    desk.answer(U2, 200)
    desk.answer(U1, 486)
    assert desk.user.told == [100, 200, 486]
    desk.settle()


def test_a_server_is_not_asked_more_often_than_the_settings_say(desk: Any) -> None:
    desk.settings(max_servers=2)
    desk.resolver["example.com"] = [U1, U2, U3]
    desk.send()
    desk.answer(U1, 503)
    desk.answer(U2, 503)
    assert desk.user.told == [503]
    assert desk.flow(U3).sent == []
    desk.settle()


def test_a_user_that_raises_on_the_way_is_told(desk: Any) -> None:
    desk.send()

    def broken(request: Any, flow: Any) -> None:
        raise ZeroDivisionError

    desk.user.on_prepare = broken
    desk.answer(U1, 503)
    assert desk.user.told == [503]
    desk.settle()


# -- the memory of dead targets ------------------------------------------------------------


def test_suspects_are_tried_last_for_a_while(desk: Any) -> None:
    desk.flow(U1).broken = True
    desk.send()
    desk.clock.advance(0)
    desk.flow(U1).broken = False
    desk.send()
    assert (len(desk.flow(U1).sent), len(desk.flow(U2).sent)) == (0, 2)
    desk.clock.advance(30)
    desk.send()
    assert len(desk.flow(U1).sent) == 1


def test_a_suspect_that_answers_is_trusted_again(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.dead.suspect(UDP, Address("192.0.2.1", 5060))
    desk.send()
    desk.answer(U1, 100)
    assert len(desk.dead) == 0


def test_retry_after_is_honoured(desk: Any) -> None:
    desk.send()
    desk.answer(U1, 503, [("retry-after", "120 (maintenance)")])
    desk.answer(U2, 200)
    desk.clock.advance(60)
    desk.send("OPTIONS")
    assert desk.methods(U2) == ["INVITE", "OPTIONS"]
    desk.answer(U2, 503, [("retry-after", "600")])
    assert desk.user.told == [200, 503]
    # Both have asked to be left alone.
    outgoing = desk.send("OPTIONS")
    desk.clock.advance(0)
    assert desk.user.told[-1] == "503 Service Unavailable"
    assert "60 s" in str(outgoing.error)
    # What belongs to a dialog has nowhere else to go.
    desk.send("BYE", to="<sip:bob@example.com>;tag=b")
    desk.send("UPDATE", to="<sip:bob@example.com>;tag=b")
    assert desk.methods(U1)[-2:] == ["BYE", "UPDATE"]
    desk.clock.advance(61)
    desk.send("OPTIONS")
    assert desk.methods(U1)[-1] == "OPTIONS"
    desk.settle()


def test_a_malformed_retry_after_is_none(desk: Any) -> None:
    desk.send()
    desk.answer(U1, 503, [("retry-after", "soon")])
    assert len(desk.flow(U2).sent) == 1
    desk.answer(U2, 200)
    desk.send("OPTIONS")
    # It is tried last for a while, but nothing keeps requests from it.
    desk.answer(U2, 503, [("retry-after", "soon")])
    assert desk.methods(U1)[-1] == "OPTIONS"


# -- giving up early while there are others --------------------------------------------------


def test_a_silent_server_is_given_up_early_while_there_are_others(desk: Any) -> None:
    desk.settings(try_next_after=4.0)
    desk.send("MESSAGE")
    desk.advance(4.1)
    assert len(desk.flow(U2).sent) == 1
    desk.advance(33)
    # The last one has the whole time.
    assert desk.user.told == ["408 Request Timeout"]
    desk.settle()


def test_any_response_ends_the_haste(desk: Any) -> None:
    desk.settings(try_next_after=4.0)
    desk.send()
    desk.answer(U1, 100)
    desk.advance(20)
    assert desk.flow(U2).sent == []
    desk.answer(U1, 200)
    desk.settle()


def test_an_invite_that_was_given_up_is_cancelled_when_it_rings_after_all(desk: Any) -> None:
    desk.settings(try_next_after=4.0)
    desk.send()
    desk.advance(4.1)
    desk.answer(U1, 180)
    assert desk.methods(U1) == ["INVITE", "CANCEL"]
    assert desk.user.told == []
    desk.answer(U1, 487)
    desk.answer_cancel(U1)
    desk.answer(U2, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_a_2xx_of_a_server_that_was_given_up_is_passed_on(desk: Any) -> None:
    desk.settings(try_next_after=4.0)
    desk.send()
    desk.advance(4.1)
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    desk.answer(U2, 486)
    assert desk.user.told == [200, 486]
    desk.settle()


def test_what_was_given_up_times_out_unheard(desk: Any) -> None:
    desk.settings(try_next_after=4.0)
    desk.send()
    desk.advance(4.1)
    desk.answer(U2, 100)
    desk.advance(33)
    assert desk.user.told == [100]
    desk.answer(U2, 200)
    assert desk.user.told == [100, 200]
    desk.settle()


def test_a_given_up_invite_that_rings_while_the_next_connects(desk: Any) -> None:
    desk.settings(try_next_after=4.0)
    desk.resolver["example.com"] = [U1, T2]
    desk.transports.slow.add(T2)
    desk.send()
    desk.advance(4.1)
    desk.answer(U1, 180)
    desk.answer(U1, 487)
    desk.answer_cancel(U1)
    assert desk.user.told == []
    desk.transports.connected()
    desk.answer(T2, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_an_ack_that_is_lost_is_not_a_second_failure(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2, U3]
    desk.send()
    desk.flow(U1).broken = True
    desk.answer(U1, 503)
    assert [len(desk.flow(flow).sent) for flow in (U2, U3)] == [1, 0]
    desk.answer(U2, 486)
    desk.flow(U2).broken = True
    desk.answer(U2, 486)
    assert desk.user.told == [486]
    desk.settle()


def test_failover_waits_for_a_slow_resolver_too(desk: Any) -> None:
    waiting: Deferred[Any] = Deferred()
    desk.resolver["example.com"] = waiting
    desk.send()
    waiting.callback(desk.destinations(U1, U2))
    desk.answer(U1, 503)
    desk.answer(U2, 200)
    assert desk.user.told == [200]
    desk.settle()
