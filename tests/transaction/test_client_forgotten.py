"""What is left of client transactions whose users have no more to do with them (RFC 3261 section 17.1, RFC 6026)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, TransactionLimitReached, TransportError


def forget(name: str, transaction: Any) -> None:
    if name == "response":
        transaction.forget()


def test_the_key_absorbs_retransmissions(stage: Any) -> None:
    stage.user.on_call = forget
    transaction = stage.client("MESSAGE")
    request = transaction.request
    assert stage.answer(request, 200) == [("response", 200)]
    assert transaction.state == "Terminated"
    assert not stage.layer.clients and stage.layer.counts()["clients"] == 1
    assert stage.answer(request, 200) == stage.answer(request, 100) == []
    with pytest.raises(LocalProtocolError, match="in use"):
        stage.client("MESSAGE")
    stage.run(4.9)
    assert stage.answer(request, 200) == []
    # Timer K takes 5 seconds; those that came soon after one another go together.
    stage.run(5.63)
    assert stage.answer(request, 200) == [("stray", 200)]
    stage.assert_empty()


def test_each_has_its_time(stage: Any) -> None:
    stage.user.on_call = forget
    requests = []
    for number in range(3):
        requests.append(stage.client("INFO", branch=f"z9hG4bK{number}").request)
        stage.answer(requests[-1], 200)
        stage.run(stage.clock.seconds() + 0.5)
    left = [stage.layer.counts()["clients"]]
    for until in (5.0, 5.62, 5.63, 6.25):
        stage.run(until)
        left.append(stage.layer.counts()["clients"])
    assert left == [3, 3, 3, 1, 0]
    stage.assert_empty()


def test_forgotten_late_and_twice(stage: Any) -> None:
    transaction = stage.client("INFO")
    stage.answer(transaction.request, 200)
    stage.run(1)
    transaction.forget()
    transaction.forget()
    transaction.terminate()
    stage.run(5.9)
    assert stage.layer.counts()["clients"] == 1
    stage.run(6.63)
    stage.assert_empty()


def test_before_the_end_there_is_nothing_to_forget(stage: Any) -> None:
    for method in ("INFO", "INVITE"):
        transaction = stage.client(method)
        transaction.forget()
        assert stage.answer(transaction.request, 100) == [("response", 100)]
        transaction.terminate()
    stage.assert_empty()


def test_one_whose_user_raises_ends_all_the_same(stage: Any) -> None:
    def fail(name: str, transaction: Any) -> None:
        raise TransportError("of the user")

    stage.user.on_call = fail
    request = stage.client("INFO").request
    with pytest.raises(TransportError):
        stage.answer(request, 200)
    stage.run(5.63)
    stage.assert_empty()


def test_the_forgotten_count(make_stage: Any) -> None:
    stage = make_stage(max_transactions=2)
    stage.user.on_call = forget
    stage.answer(stage.client("INFO", branch="z9hG4bK1").request, 200)
    stage.client("INFO", branch="z9hG4bK2")
    with pytest.raises(TransactionLimitReached):
        stage.client("INFO", branch="z9hG4bK3")
    stage.layer.stop()
    stage.assert_empty()


def test_an_accepted_invite_keeps_no_messages_and_passes_on_every_2xx(stage: Any) -> None:
    stage.user.on_call = forget
    transaction = stage.client("INVITE")
    request = transaction.request
    assert stage.answer(request, 200) == [("response", 200)]
    assert transaction.request is not request
    assert stage.answer(request, 200, "t2") == [("response", 200)]
    assert not transaction.may_cancel
    stage.run(32)
    stage.assert_empty()


def test_a_refused_invite_keeps_its_ack(stage: Any) -> None:
    stage.user.on_call = forget
    transaction = stage.client("INVITE")
    request = transaction.request
    stage.answer(request, 486)
    assert transaction.request is not request
    stage.answer(request, 486)
    assert stage.udp.words == ["INVITE", "ACK", "ACK"]
    stage.run(32)
    stage.assert_empty()


def test_each_provisional_response_starts_the_limit_anew(stage: Any) -> None:
    transaction = stage.client("INVITE")
    for until in (0.1, 100.0, 300.0):
        stage.run(until)
        stage.answer(transaction.request, 180)
    stage.run(511.9)
    assert stage.user.names() == []
    stage.run(512.1)
    assert stage.user.names() == [("timed_out", None)]
    stage.assert_empty()


def test_keys_are_kept_for_timer_k_and_not_much_longer(stage: Any) -> None:
    stage.user.on_call = forget
    requests = []
    for moment in (0.0, 0.3, 0.7, 3.0):
        stage.run(moment)
        requests.append((moment, stage.client("MESSAGE", branch=f"z9hG4bK{moment}").request))
        stage.answer(requests[-1][1], 200)
    for moment, request in requests:
        stage.run(moment + 4.99)
        assert stage.answer(request, 200) == []
    for moment, request in requests:
        stage.run(moment + 5.63)
        assert stage.answer(request, 200) == [("stray", 200)]
    stage.assert_empty()
    assert not stage.clock.getDelayedCalls()
