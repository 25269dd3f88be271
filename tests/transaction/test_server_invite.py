"""The INVITE server transaction: every cell of figure 7 of RFC 6026."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import TransportError

BOTH = pytest.mark.parametrize("reliable", [False, True])


@BOTH
def test_100_after_200_ms(stage: Any, reliable: bool) -> None:
    transaction = stage.server("INVITE", reliable)
    assert transaction.state == "Proceeding"
    assert stage.receive(transaction.request, reliable) == []
    stage.run(1)
    assert stage.flow(reliable).log == [(0.2, "100")]
    assert stage.receive(transaction.request, reliable) == []
    assert stage.flow(reliable).words == ["100", "100"]


@BOTH
def test_no_100_after_another_response(stage: Any, reliable: bool) -> None:
    transaction = stage.server("INVITE", reliable)
    transaction.send(stage.response(transaction.request, 180))
    transaction.trying()
    stage.run(1)
    transaction.send(stage.response(transaction.request, 183))
    stage.receive(transaction.request, reliable)
    assert stage.flow(reliable).words == ["180", "183", "183"]


def test_trying_at_once(stage: Any) -> None:
    request = stage.message("INVITE")
    stage.receive(request)
    stage.layer.create_server(request, stage.udp, stage.user, trying=True)
    stage.run(1)
    assert stage.udp.log == [(0, "100")]
    assert b"tag=f1" in stage.udp.data[0]
    assert b"To: <sip:bob@example.com>\r\n" in stage.udp.data[0]


@BOTH
@pytest.mark.parametrize("status", [300, 404, 500, 603])
def test_lost_ack(stage: Any, reliable: bool, status: int) -> None:
    """Timers G and H."""
    transaction = stage.server("INVITE", reliable)
    transaction.send(stage.response(transaction.request, status))
    assert transaction.state == "Completed"
    stage.run(100)
    times = [0.0]
    if not reliable:
        times += [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert stage.flow(reliable).times(str(status)) == times
    assert stage.user.calls == [(32.0, "no_ack", None)]
    assert transaction.state == "Terminated"
    stage.assert_empty()


@BOTH
def test_completed_and_confirmed(stage: Any, reliable: bool) -> None:
    transaction = stage.server("INVITE", reliable)
    flow = stage.flow(reliable)
    response = stage.response(transaction.request, 486)
    transaction.send(response)
    transaction.send(response)
    transaction.send(stage.response(transaction.request, 200))
    transaction.send(stage.response(transaction.request, 180))
    assert flow.words == ["486"]
    stage.receive(transaction.request, reliable)
    assert flow.words == ["486", "486"]
    ack = stage.message("ACK", cseq="1 ACK", to="<sip:bob@example.com>;tag=t1")
    assert stage.receive(ack, reliable) == []
    if reliable:
        assert transaction.state == "Terminated"
        stage.assert_empty()
        assert stage.receive(ack, reliable) == [("ack", None)]
        return
    assert transaction.state == "Confirmed"
    assert stage.receive(ack) == []
    assert stage.receive(transaction.request) == []
    transaction.send(stage.response(transaction.request, 200))
    stage.run(4.9)
    assert transaction.state == "Confirmed"
    stage.run(5)
    assert transaction.state == "Terminated"
    assert flow.words == ["486", "486"]
    assert stage.user.names() == []
    stage.assert_empty()


@BOTH
def test_accepted(stage: Any, reliable: bool) -> None:
    """RFC 6026 section 7.1: INVITE is absorbed, 2xx of the user go out, ACK goes up, Timer L on every transport."""
    transaction = stage.server("INVITE", reliable)
    flow = stage.flow(reliable)
    first = stage.response(transaction.request, 200, "a")
    transaction.send(first)
    assert transaction.state == "Accepted"
    assert stage.receive(transaction.request, reliable) == []
    assert flow.words == ["200"]
    transaction.send(first)
    assert flow.data[0] == flow.data[1]
    transaction.send(stage.response(transaction.request, 200, "b"))
    assert b"tag=b" in flow.data[2]
    transaction.send(stage.response(transaction.request, 486))
    transaction.send(stage.response(transaction.request, 180))
    assert flow.words == ["200"] * 3
    # An ACK with the branch of the INVITE, as RFC 2543 clients and some others send it.
    assert stage.receive(stage.message("ACK", cseq="1 ACK"), reliable) == [("ack", None)]
    assert transaction.state == "Accepted"
    stage.run(31.9)
    assert transaction.state == "Accepted"
    stage.run(32)
    assert transaction.state == "Terminated"
    transaction.send(first)
    assert flow.words == ["200"] * 3
    stage.assert_empty()


def test_ack_in_proceeding_has_no_effect(stage: Any) -> None:
    transaction = stage.server("INVITE")
    assert stage.receive(stage.message("ACK", cseq="1 ACK")) == []
    assert transaction.state == "Proceeding"


@BOTH
@pytest.mark.parametrize(("status", "state"), [(180, "Proceeding"), (200, "Accepted"), (486, "Completed")])
def test_transport_error_keeps_the_state(stage: Any, reliable: bool, status: int, state: str) -> None:
    """RFC 6026 sections 7.1 and 8.8."""
    transaction = stage.server("INVITE", reliable)
    stage.flow(reliable).broken = TransportError("gone")
    transaction.send(stage.response(transaction.request, status))
    assert stage.user.names() == [("failed", "gone")]
    assert transaction.state == state
    other = stage.flow(not reliable)
    transaction.reroute(other)
    assert other.words == [str(status)]
    assert transaction.reply_flow is other
    stage.run(300)
    stage.assert_empty()


def test_timer_g_goes_on_after_transport_errors(stage: Any) -> None:
    transaction = stage.server("INVITE")
    transaction.send(stage.response(transaction.request, 486))
    stage.udp.broken = TransportError("gone")
    stage.run(1)
    stage.udp.broken = None
    stage.run(2)
    assert stage.udp.times("486") == [0, 1.5]
    assert stage.user.names() == [("failed", "gone")]


@BOTH
@pytest.mark.parametrize("last", [None, 180])
def test_a_silent_user_does_not_leave_it_behind(stage: Any, reliable: bool, last: int | None) -> None:
    transaction = stage.server("INVITE", reliable)
    if last:
        transaction.send(stage.response(transaction.request, last))
    stage.run(243)
    assert transaction.state == "Proceeding"
    stage.run(245)
    assert transaction.state == "Terminated"
    stage.assert_empty()


def test_to_tag(stage: Any) -> None:
    transaction = stage.server("INVITE")
    assert transaction.to_tag == ""
    transaction.trying()
    assert transaction.to_tag == ""
    transaction.send(stage.response(transaction.request, 180, "mine"))
    assert transaction.to_tag == "mine"
    damaged = stage.server("OPTIONS", branch="z9hG4bKb")
    response = stage.response(damaged.request, 400)
    response.headers.set("to", '"x <sip:bob')
    damaged.send(response)
    assert damaged.to_tag == ""


def test_silence_counts_from_the_last_word(stage: Any) -> None:
    transaction = stage.server("INVITE")
    transaction.trying()
    for after in (100, 200):
        stage.run(after)
        transaction.send(stage.response(transaction.request, 180))
    stage.run(443)
    assert transaction.state == "Proceeding"
    stage.run(445)
    assert transaction.state == "Terminated"
    stage.assert_empty()
