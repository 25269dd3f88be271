"""Matching requests to server transactions (RFC 3261 sections 8.2.2.2, 9.2 and 17.2.3)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, TransactionLimitReached
from twisted_sip.message.parser import parse_message

OLD = "SIP/2.0/UDP 192.0.2.2:5060"
#: What makes a request one of an RFC 2543 client, or of one that gives the cookie and nothing else.
OLD_BRANCHES = pytest.mark.parametrize("branch", ["", ";branch=17", ";branch=z9hG4bK"])


def test_branch_sent_by_and_method(stage: Any) -> None:
    stage.server("OPTIONS")
    assert stage.receive(stage.message("OPTIONS", call_id="other", cseq="7 OPTIONS")) == []
    assert stage.receive(stage.message("OPTIONS", branch="Z9HG4BKA1")) == []
    assert stage.receive(stage.message("OPTIONS", branch="z9hG4bKa2")) == [("request", "OPTIONS")]
    assert stage.receive(stage.message("OPTIONS", via="SIP/2.0/UDP 192.0.2.3:5060;branch=z9hG4bKa1")) == [
        ("request", "OPTIONS")
    ]
    assert stage.receive(stage.message("INFO")) == [("request", "INFO")]
    # The layer makes no server transaction on its own.
    assert len(stage.layer.servers) == 1


def test_a_branch_used_twice(stage: Any) -> None:
    first = stage.server("INVITE")
    second = stage.server("INFO")
    assert stage.receive(first.request) == []
    assert stage.receive(second.request) == []
    assert stage.layer.counts()["reused"] == 1
    first.send(stage.response(first.request, 486))
    stage.receive(stage.message("ACK", cseq="1 ACK"))
    stage.run(10)
    assert first.state == "Terminated"
    assert stage.receive(second.request) == []
    with pytest.raises(LocalProtocolError):
        stage.layer.create_server(second.request, stage.udp, None)
    stage.run(40)
    stage.assert_empty()


@OLD_BRANCHES
def test_old_invite(stage: Any, branch: str) -> None:
    fields = {"via": OLD + branch}
    transaction = stage.server("INVITE", **fields)
    assert stage.receive(stage.message("INVITE", **fields)) == []
    other: dict[str, str]
    for other in (
        {"uri": "sip:carol@example.com"},
        {"to": "<sip:bob@example.com>;tag=x"},
        {"from_": "<sip:alice@example.com>;tag=f2"},
        {"call_id": "c2"},
        {"cseq": "2 INVITE"},
        {"via": "SIP/2.0/UDP 192.0.2.3:5060" + branch},
    ):
        assert stage.receive(stage.message("INVITE", **(fields | other))) == [("request", "INVITE")], other
    transaction.send(stage.response(transaction.request, 486, "t1"))
    # The To tag tells for which response the ACK is.
    assert stage.receive(stage.message("ACK", cseq="1 ACK", to="<sip:bob@example.com>;tag=t2", **fields)) == [
        ("ack", None)
    ]
    assert transaction.state == "Completed"
    ack = stage.message("ACK", cseq="1 ACK", to="<sip:bob@example.com>;tag=t1", **fields)
    assert stage.receive(ack) == []
    assert transaction.state == "Confirmed"
    assert stage.receive(ack) == []
    stage.run(10)
    assert stage.receive(ack) == [("ack", None)]
    stage.assert_empty()


@OLD_BRANCHES
def test_old_ack_for_2xx_goes_up(stage: Any, branch: str) -> None:
    """RFC 6026 section 6."""
    transaction = stage.server("INVITE", via=OLD + branch)
    transaction.send(stage.response(transaction.request, 200, "t1"))
    ack = stage.message("ACK", via=OLD + branch, cseq="1 ACK", to="<sip:bob@example.com>;tag=t1")
    assert stage.receive(ack) == [("ack", None)]
    assert transaction.state == "Accepted"


@OLD_BRANCHES
def test_old_cancel_and_non_invite(stage: Any, branch: str) -> None:
    transaction = stage.server("INVITE", via=OLD + branch)
    assert stage.receive(stage.message("CANCEL", via=OLD + branch, cseq="1 CANCEL")) == [("cancelled", "CANCEL")]
    assert stage.udp.words == ["200"]
    transaction.terminate()
    stage.server("INFO", via=OLD + branch, cseq="2 INFO")
    assert stage.receive(stage.message("INFO", via=OLD + branch, cseq="2 INFO")) == []


def test_ack_without_transaction(stage: Any) -> None:
    assert stage.receive(stage.message("ACK")) == [("ack", None)]
    stage.server("INFO")
    assert stage.receive(stage.message("ACK")) == [("ack", None)]


@pytest.mark.parametrize(("method", "told"), [("OPTIONS", "request"), ("ACK", "ack"), ("CANCEL", "cancel_unmatched")])
def test_damaged_requests_go_up(stage: Any, method: str, told: str) -> None:
    request = stage.message(method)
    request.headers.remove("via")
    assert [name for name, _ in stage.receive(request)] == [told]
    if method == "OPTIONS":
        with pytest.raises(RemoteProtocolError):
            stage.layer.create_server(request, stage.udp, None)


# -- CANCEL (section 9.2) -----------------------------------------------------


@pytest.mark.parametrize("reliable", [False, True])
def test_cancel_of_an_invite(make_stage: Any, reliable: bool) -> None:
    stage = make_stage(new_tag=lambda: "fresh")
    transaction = stage.server("INVITE", reliable)
    cancel = stage.message("CANCEL", cseq="1 CANCEL")
    assert stage.receive(cancel, reliable) == [("cancelled", "CANCEL")]
    answer: Any = parse_message(stage.flow(reliable).data[-1])
    assert (answer.status, answer.cseq.method, answer.to.tag) == (200, "CANCEL", "fresh")
    assert transaction.to_tag == "fresh"
    if not reliable:
        assert stage.receive(cancel) == []
        assert stage.udp.words == ["200", "200"]
    transaction.send(stage.response(transaction.request, 487, transaction.to_tag))
    stage.receive(stage.message("ACK", cseq="1 ACK"), reliable)
    stage.run(50)
    assert stage.user.names() == []
    stage.assert_empty()


@pytest.mark.parametrize("status", [200, 486])
def test_cancel_after_the_final_response_has_no_effect(stage: Any, status: int) -> None:
    transaction = stage.server("INVITE")
    transaction.send(stage.response(transaction.request, status, "mine"))
    assert stage.receive(stage.message("CANCEL", cseq="1 CANCEL")) == []
    answer: Any = parse_message(stage.udp.data[-1])
    assert (answer.status, answer.to.tag) == (200, "mine")


def test_cancel_of_another_method_is_answered_only(stage: Any) -> None:
    stage.server("OPTIONS")
    assert stage.receive(stage.message("CANCEL", cseq="1 CANCEL")) == []
    assert stage.udp.words == ["200"]


def test_cancel_of_nothing(stage: Any) -> None:
    cancel = stage.message("CANCEL", cseq="1 CANCEL")
    assert stage.receive(cancel) == [("cancel_unmatched", None)]
    transaction = stage.layer.create_server(cancel, stage.udp, None)
    transaction.send(stage.response(cancel, 481))
    assert stage.receive(cancel) == []
    assert stage.udp.words == ["481", "481"]
    stage.run(40)
    stage.assert_empty()


# -- places held ---------------------------------------------------------------


def test_hold_absorbs_and_ends(stage: Any) -> None:
    request = stage.message("OPTIONS")
    stage.receive(request)
    assert stage.layer.hold(request, stage.udp)
    assert stage.layer.hold(request, stage.udp)
    assert stage.receive(stage.message("OPTIONS")) == []
    stage.layer.release(request)
    stage.layer.release(request)
    assert stage.receive(stage.message("OPTIONS")) == [("request", "OPTIONS")]
    assert stage.layer.hold(request, stage.udp)
    stage.run(32)
    stage.assert_empty()


def test_hold_ack_is_nothing(stage: Any) -> None:
    ack = stage.message("ACK")
    assert stage.layer.hold(ack, stage.udp)
    stage.layer.release(ack)
    stage.assert_empty()
    with pytest.raises(LocalProtocolError):
        stage.layer.create_server(ack, stage.udp, None)


def test_cancel_while_held_is_told_to_the_transaction(make_stage: Any) -> None:
    stage = make_stage(new_tag=lambda: "fresh")
    request = stage.message("INVITE")
    stage.receive(request)
    stage.layer.hold(request, stage.udp)
    assert stage.receive(stage.message("ACK", cseq="1 ACK")) == []
    assert stage.receive(stage.message("CANCEL", cseq="1 CANCEL")) == []
    assert stage.udp.words == ["200"]
    transaction = stage.layer.create_server(request, stage.udp, stage.user)
    assert transaction.to_tag == "fresh"
    assert stage.user.names() == []
    stage.advance(0)
    assert stage.user.names() == [("cancelled", "CANCEL")]


# -- merged requests (section 8.2.2.2) ------------------------------------------


def test_merged_requests(stage: Any) -> None:
    first = stage.server("OPTIONS")
    second = stage.server("OPTIONS", branch="z9hG4bKb")
    assert stage.layer.claim_as_uas(first)
    assert stage.layer.claim_as_uas(first)
    assert not stage.layer.claim_as_uas(second)
    other = stage.server("OPTIONS", branch="z9hG4bKc", cseq="2 OPTIONS")
    assert stage.layer.claim_as_uas(other)
    inside = stage.server("OPTIONS", branch="z9hG4bKd", to="<sip:bob@example.com>;tag=x")
    assert stage.layer.claim_as_uas(inside)
    stage.run(40)
    stage.assert_empty()
    assert stage.layer.claim_as_uas(first)
    stage.assert_empty()


# -- limits and the end ------------------------------------------------------------


def test_limit(make_stage: Any) -> None:
    stage = make_stage(max_transactions=1)
    transaction = stage.server("INVITE")
    other = stage.message("OPTIONS", branch="z9hG4bKb")
    with pytest.raises(TransactionLimitReached):
        stage.layer.create_server(other, stage.udp, stage.user)
    assert not stage.layer.hold(other, stage.udp)
    assert stage.receive(stage.message("CANCEL", cseq="1 CANCEL")) == [("cancelled", "CANCEL")]
    with pytest.raises(LocalProtocolError):
        stage.layer.create_server(transaction.request, stage.udp, stage.user)
    stage.run(300)
    assert stage.layer.create_server(other, stage.udp, stage.user)


def test_stop(stage: Any) -> None:
    stage.server("INVITE")
    stage.server("OPTIONS", branch="z9hG4bKb")
    stage.layer.hold(stage.message("INFO", branch="z9hG4bKc"), stage.udp)
    stage.client("INVITE", True)
    stage.layer.stop()
    stage.assert_empty()
    stage.run(100)
    assert stage.user.calls == []
