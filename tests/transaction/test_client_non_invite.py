"""The non-INVITE client transaction: every cell of figure 6 of RFC 3261, and matching (section 17.1.3)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, TransactionLimitReached, TransportError
from twisted_sip.message.parser import parse_message

BOTH = pytest.mark.parametrize("reliable", [False, True])


def test_timer_e_and_f_unreliable(stage: Any) -> None:
    transaction = stage.client("OPTIONS")
    assert transaction.state == "Trying"
    stage.run(100)
    assert stage.udp.times("OPTIONS") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert stage.user.calls == [(32.0, "timed_out", None)]
    stage.assert_empty()


@BOTH
def test_timer_f_in_proceeding(stage: Any, reliable: bool) -> None:
    """Timer E goes on in Proceeding, at T2 from the next time on (section 17.1.2.2)."""
    transaction = stage.client("OPTIONS", reliable)
    stage.run(0.7)
    assert stage.answer(transaction.request, 100, reliable=reliable) == [("response", 100)]
    assert transaction.state == "Proceeding"
    stage.run(100)
    late = [] if reliable else [0.5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    assert stage.flow(reliable).times("OPTIONS") == [0, *late]
    assert stage.user.calls == [(32.0, "timed_out", None)]
    stage.assert_empty()


@BOTH
@pytest.mark.parametrize("first", [None, 100])
@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
def test_final_response(stage: Any, reliable: bool, first: int | None, status: int) -> None:
    transaction = stage.client("MESSAGE", reliable)
    if first:
        stage.answer(transaction.request, first, reliable=reliable)
        assert stage.answer(transaction.request, first, reliable=reliable) == [("response", first)]
    assert stage.answer(transaction.request, status, reliable=reliable) == [("response", status)]
    if reliable:
        assert transaction.state == "Terminated"
        stage.assert_empty()
        return
    assert transaction.state == "Completed"
    assert stage.answer(transaction.request, status) == []
    assert stage.answer(transaction.request, 100) == []
    stage.run(4.9)
    assert transaction.state == "Completed"
    stage.run(5)
    assert transaction.state == "Terminated"
    assert stage.udp.words == ["MESSAGE"]
    stage.assert_empty()


@BOTH
def test_transport_error(stage: Any, reliable: bool) -> None:
    stage.flow(reliable).broken = TransportError("gone")
    stage.client("OPTIONS", reliable)
    assert stage.user.calls == []
    stage.advance(0)
    assert stage.user.names() == [("failed", "gone")]
    stage.assert_empty()


def test_closed_flow(stage: Any) -> None:
    """Requests without any response fail at once; others may be answered over another connection."""
    waiting = stage.client("OPTIONS", True)
    invite = stage.client("INVITE", True, branch="z9hG4bKb")
    ringing = stage.client("INVITE", True, branch="z9hG4bKc")
    stage.answer(ringing.request, 180)
    stage.user.names()
    stage.layer.flow_closed(stage.udp)
    assert stage.user.names() == []
    stage.layer.flow_closed(stage.tcp)
    assert stage.user.names() == [("failed", "the connection was closed")] * 2
    assert waiting.state == invite.state == "Terminated"
    assert stage.answer(ringing.request, 486) == [("response", 486)]
    stage.assert_empty()


def test_responses_match_by_branch_and_method(stage: Any) -> None:
    transaction = stage.client("OPTIONS", branch="z9hG4bKAbc")
    other = stage.message("OPTIONS", branch="z9hG4bKother")
    assert stage.answer(other, 200) == [("stray", 200)]
    assert stage.answer(stage.message("INFO", branch="z9hG4bKAbc"), 200) == [("stray", 200)]
    # Parameter values are case-insensitive (section 7.3.1).
    assert stage.answer(stage.message("OPTIONS", branch="Z9HG4BKaBC"), 200) == [("response", 200)]
    assert transaction.response.status == 200


def test_damaged_responses_are_strays(stage: Any) -> None:
    transaction = stage.client("INVITE")
    for name in ("via", "cseq", "to"):
        response = stage.response(transaction.request, 486)
        response.headers.remove(name)
        stage.layer.response_received(response, stage.udp)
        assert stage.user.names() == [("stray", 486)]
    assert stage.udp.words == ["INVITE"]


def test_what_cannot_be_started(stage: Any, make_stage: Any) -> None:
    layer = stage.layer
    with pytest.raises(LocalProtocolError, match="no branch"):
        layer.start_client(stage.message("OPTIONS", branch=""), stage.udp, stage.user)
    with pytest.raises(LocalProtocolError, match="ACK"):
        layer.start_client(stage.message("ACK"), stage.udp, stage.user)
    stage.client("OPTIONS")
    with pytest.raises(LocalProtocolError, match="in use"):
        stage.client("OPTIONS")
    damaged = stage.message("INVITE", branch="z9hG4bKz")
    damaged.headers.remove("cseq")
    with pytest.raises(RemoteProtocolError):
        layer.start_client(damaged, stage.udp, stage.user)
    assert len(layer.clients) == 1


def test_the_branch_may_be_given(stage: Any) -> None:
    transaction = stage.layer.start_client(stage.message("OPTIONS"), stage.udp, stage.user, branch="z9hG4bKA1")
    assert transaction.key == ("z9hg4bka1", "OPTIONS")
    assert "OPTIONS" in repr(transaction)


def test_limit_spares_cancel(make_stage: Any) -> None:
    stage = make_stage(max_transactions=1)
    transaction = stage.client("INVITE")
    with pytest.raises(TransactionLimitReached):
        stage.client("OPTIONS")
    stage.answer(transaction.request, 180)
    stage.layer.cancel(transaction)
    cancel: Any = parse_message(stage.udp.data[-1])
    assert cancel.method == "CANCEL"


def test_terminate_tells_nobody(stage: Any) -> None:
    stage.client("OPTIONS").terminate()
    stage.client("INVITE").terminate()
    stage.run(100)
    assert stage.user.calls == []
    stage.assert_empty()
