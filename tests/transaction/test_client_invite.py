"""The INVITE client transaction: every cell of figure 5 of RFC 6026, CANCEL of RFC 3261 section 9.1."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, TransportError
from twisted_sip.message.parser import parse_message
from twisted_sip.transaction.timers import TimerValues

BOTH = pytest.mark.parametrize("reliable", [False, True])


def test_timer_a_and_b_unreliable(stage: Any) -> None:
    transaction = stage.client("INVITE")
    assert transaction.state == "Calling"
    stage.run(200)
    assert stage.udp.times("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert stage.user.calls == [(32.0, "timed_out", None)]
    assert transaction.state == "Terminated"
    stage.assert_empty()


def test_timer_b_reliable(stage: Any) -> None:
    stage.client("INVITE", True)
    assert stage.timers.pending == 1
    stage.run(200)
    assert stage.tcp.times("INVITE") == [0]
    assert stage.user.calls == [(32.0, "timed_out", None)]
    stage.assert_empty()


@BOTH
def test_1xx_stops_retransmission(stage: Any, reliable: bool) -> None:
    transaction = stage.client("INVITE", reliable)
    stage.run(0.7)
    assert stage.answer(transaction.request, 100, reliable=reliable) == [("response", 100)]
    assert transaction.state == "Proceeding"
    assert stage.answer(transaction.request, 180, reliable=reliable) == [("response", 180)]
    assert transaction.response.status == 180
    sent = len(stage.flow(reliable).log)
    stage.run(100)
    assert len(stage.flow(reliable).log) == sent
    assert transaction.state == "Proceeding"


@BOTH
@pytest.mark.parametrize("first", [None, 180])
@pytest.mark.parametrize("status", [300, 404, 503, 603, 699])
def test_final_response(stage: Any, reliable: bool, first: int | None, status: int) -> None:
    transaction = stage.client("INVITE", reliable)
    flow = stage.flow(reliable)
    if first:
        stage.answer(transaction.request, first, reliable=reliable)
        stage.user.names()
    assert stage.answer(transaction.request, status, reliable=reliable) == [("response", status)]
    assert flow.words == ["INVITE", "ACK"]
    if reliable:
        # Timer D is zero: nothing is kept.
        assert transaction.state == "Terminated"
        stage.advance(0)
        stage.assert_empty()
        assert stage.answer(transaction.request, status, reliable=True) == [("stray", status)]
        return
    assert transaction.state == "Completed"
    # Retransmissions get the ACK again and are not passed up; others have no effect.
    assert stage.answer(transaction.request, status) == []
    assert stage.answer(transaction.request, 486) == []
    assert stage.answer(transaction.request, 180) == []
    assert stage.answer(transaction.request, 200) == []
    assert flow.words == ["INVITE", "ACK", "ACK", "ACK"]
    stage.run(31.9)
    assert transaction.state == "Completed"
    stage.run(32.1)
    assert transaction.state == "Terminated"
    assert stage.user.names() == []
    stage.assert_empty()


def test_timer_d_follows_a_longer_t1(make_stage: Any) -> None:
    stage = make_stage(values=TimerValues(T1=1.0))
    transaction = stage.client("INVITE")
    stage.answer(transaction.request, 486)
    stage.run(63.9)
    assert transaction.state == "Completed"
    stage.run(64.1)
    stage.assert_empty()


@BOTH
@pytest.mark.parametrize("first", [None, 180])
def test_2xx_accepted(stage: Any, reliable: bool, first: int | None) -> None:
    """RFC 6026 section 7.2: all 2xx go up, none is acknowledged here, for 64*T1 on every transport."""
    transaction = stage.client("INVITE", reliable)
    if first:
        stage.answer(transaction.request, first, reliable=reliable)
    stage.run(2)
    sent = stage.flow(reliable).words
    assert stage.answer(transaction.request, 200, "a", reliable) == [("response", 200)]
    assert transaction.state == "Accepted"
    stage.run(30)
    assert stage.answer(transaction.request, 200, "a", reliable) == [("response", 200)]
    assert stage.answer(transaction.request, 202, "b", reliable) == [("response", 202)]
    assert stage.answer(transaction.request, 180, "b", reliable) == []
    assert stage.answer(transaction.request, 486, "c", reliable) == []
    stage.run(33.9)
    assert transaction.state == "Accepted"
    stage.run(34)
    assert transaction.state == "Terminated"
    assert stage.answer(transaction.request, 200, "a", reliable) == [("stray", 200)]
    assert stage.flow(reliable).words == sent
    stage.assert_empty()


def test_ack_is_built_from_request_and_response(stage: Any) -> None:
    """RFC 3261 section 17.1.1.3."""
    transaction = stage.client(
        "INVITE",
        via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx",
        more=["Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKy", "Route: <sip:p1;lr>", "Route: <sip:p2;lr>"],
        cseq="986759 INVITE",
    )
    stage.answer(transaction.request, 404, "99sa0xk")
    ack: Any = parse_message(stage.udp.data[-1])
    assert (ack.method, ack.uri_text) == ("ACK", "sip:bob@example.com")
    assert [str(via) for via in ack.vias] == ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"]
    assert ack.to.tag == "99sa0xk"
    assert ack.from_.tag == "f1"
    assert ack.call_id == "c1"
    assert (ack.cseq.number, ack.cseq.method) == (986759, "ACK")
    assert ack.headers.all("route") == ["<sip:p1;lr>", "<sip:p2;lr>"]


def test_only_provisional_responses_end_after_the_last_limit(stage: Any) -> None:
    transaction = stage.client("INVITE")
    stage.answer(transaction.request, 180)
    stage.run(100)
    stage.answer(transaction.request, 180)
    stage.user.names()
    stage.run(100 + 211.9)
    assert stage.user.names() == []
    stage.run(100 + 212)
    assert stage.user.names() == [("timed_out", None)]
    stage.assert_empty()


# -- transport errors (section 17.1.4) -------------------------------------


@BOTH
def test_first_send_fails_after_start_has_returned(stage: Any, reliable: bool) -> None:
    flow = stage.flow(reliable)
    flow.broken = TransportError("gone")
    transaction = stage.client("INVITE", reliable)
    assert stage.user.calls == []
    stage.advance(0)
    assert stage.user.names() == [("failed", "gone")]
    assert transaction.state == "Terminated"
    stage.assert_empty()


def test_retransmission_fails(stage: Any) -> None:
    stage.client("INVITE")
    stage.udp.broken = TransportError("gone")
    stage.run(10)
    assert stage.user.calls == [(0.5, "failed", "gone")]
    stage.assert_empty()


@BOTH
def test_ack_fails(stage: Any, reliable: bool) -> None:
    transaction = stage.client("INVITE", reliable)
    stage.flow(reliable).broken = TransportError("gone")
    assert stage.answer(transaction.request, 486, reliable=reliable) == [("response", 486), ("failed", "gone")]
    assert transaction.response.status == 486
    stage.run(1)
    stage.assert_empty()


def test_repeated_ack_fails(stage: Any) -> None:
    transaction = stage.client("INVITE")
    stage.answer(transaction.request, 486)
    stage.udp.broken = TransportError("gone")
    assert stage.answer(transaction.request, 486) == [("failed", "gone")]
    stage.run(1)
    stage.assert_empty()


# -- CANCEL (section 9.1) -----------------------------------------------------


@BOTH
def test_cancel_waits_for_1xx(stage: Any, reliable: bool) -> None:
    transaction = stage.client("INVITE", reliable, more=["Route: <sip:p1;lr>", "Require: 100rel"])
    flow = stage.flow(reliable)
    stage.layer.cancel(transaction, [("reason", "SIP;cause=200")])
    stage.layer.cancel(transaction)
    assert "CANCEL" not in flow.words
    stage.run(1)
    assert stage.answer(transaction.request, 100, reliable=reliable) == [("response", 100)]
    assert flow.times("CANCEL") == [1]
    cancel: Any = parse_message(flow.data[-1])
    assert str(cancel.top_via) == str(transaction.request.top_via)
    assert cancel.uri_text == transaction.request.uri_text
    assert str(cancel.to) == "<sip:bob@example.com>"
    assert str(cancel.from_) == "<sip:alice@example.com>;tag=f1"
    assert (cancel.call_id, cancel.cseq.number, cancel.cseq.method) == ("c1", 1, "CANCEL")
    assert cancel.headers.all("route") == ["<sip:p1;lr>"]
    assert cancel.headers.all("reason") == ["SIP;cause=200"]
    assert "require" not in cancel.headers
    # The answer to the CANCEL is nobody's; the 487 is the user's.
    assert stage.answer(cancel, 200, reliable=reliable) == []
    assert stage.answer(transaction.request, 180, reliable=reliable) == [("response", 180)]
    assert stage.answer(transaction.request, 487, reliable=reliable) == [("response", 487)]
    stage.run(40)
    stage.assert_empty()


def test_cancel_at_once_in_proceeding_and_is_retransmitted(stage: Any) -> None:
    transaction = stage.client("INVITE")
    stage.answer(transaction.request, 180)
    stage.layer.cancel(transaction)
    stage.run(2)
    assert stage.udp.times("CANCEL") == [0, 0.5, 1.5]
    # 64*T1 without a final response: the INVITE is considered cancelled.
    stage.user.names()
    stage.run(31.9)
    assert stage.user.names() == []
    stage.answer(transaction.request, 180)
    stage.user.names()
    stage.run(32)
    assert stage.user.names() == [("timed_out", None)]
    stage.assert_empty()


def test_cancel_loses_against_the_final_response(stage: Any) -> None:
    refused = stage.client("INVITE")
    stage.layer.cancel(refused)
    assert stage.answer(refused.request, 486) == [("response", 486)]
    stage.layer.cancel(refused)
    accepted = stage.client("INVITE", branch="z9hG4bKb")
    assert stage.answer(accepted.request, 200) == [("response", 200)]
    stage.layer.cancel(accepted)
    stage.run(40)
    stage.layer.cancel(accepted)
    assert "CANCEL" not in stage.udp.words
    stage.assert_empty()


def test_2xx_crosses_cancel(stage: Any) -> None:
    transaction = stage.client("INVITE")
    stage.answer(transaction.request, 180)
    stage.layer.cancel(transaction)
    assert stage.answer(transaction.request, 200) == [("response", 200)]
    assert transaction.state == "Accepted"
    stage.run(40)
    assert stage.user.names() == []
    stage.assert_empty()


def test_cancel_that_cannot_be_sent_tells_nobody(stage: Any) -> None:
    transaction = stage.client("INVITE")
    stage.answer(transaction.request, 180)
    stage.udp.broken = TransportError("gone")
    stage.layer.cancel(transaction)
    stage.run(31)
    assert stage.user.names() == []
    stage.run(32)
    assert stage.user.names() == [("timed_out", None)]
    stage.assert_empty()


def test_cancel_is_for_invite(stage: Any) -> None:
    transaction = stage.client("OPTIONS")
    with pytest.raises(LocalProtocolError):
        stage.layer.cancel(transaction)


def test_cancel_header_fields_are_checked_at_once(stage: Any) -> None:
    transaction = stage.client("INVITE")
    with pytest.raises(LocalProtocolError):
        stage.layer.cancel(transaction, [("reason", "a\r\nb")])
