"""The non-INVITE server transaction: every cell of figure 8 of RFC 3261, with RFC 4320."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, TransportError

BOTH = pytest.mark.parametrize("reliable", [False, True])


@BOTH
@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
def test_final_response(stage: Any, reliable: bool, status: int) -> None:
    transaction = stage.server("OPTIONS", reliable)
    flow = stage.flow(reliable)
    assert transaction.state == "Trying"
    assert stage.receive(transaction.request, reliable) == []
    assert flow.words == []
    transaction.trying()
    transaction.send(stage.response(transaction.request, status))
    assert flow.words == [str(status)]
    if reliable:
        assert transaction.state == "Terminated"
        stage.assert_empty()
        transaction.send(stage.response(transaction.request, 200))
        assert flow.words == [str(status)]
        return
    assert transaction.state == "Completed"
    transaction.send(stage.response(transaction.request, 200))
    transaction.send(stage.response(transaction.request, 100))
    transaction.abandon()
    assert stage.receive(transaction.request) == []
    assert flow.words == [str(status)] * 2
    stage.run(31.9)
    assert transaction.state == "Completed"
    stage.run(32)
    assert transaction.state == "Terminated"
    stage.assert_empty()


@BOTH
def test_100_is_due_when_timer_e_reaches_t2(stage: Any, reliable: bool) -> None:
    """RFC 4320 section 4.1; section 4.2: nothing is sent once the client has given up."""
    transaction = stage.server("OPTIONS", reliable)
    flow = stage.flow(reliable)
    stage.run(5)
    assert flow.log == [(3.5, "100")]
    assert transaction.state == "Proceeding"
    stage.receive(transaction.request, reliable)
    assert flow.words == ["100", "100"]
    transaction.send(stage.response(transaction.request, 100))
    assert flow.words == ["100", "100", "100"]
    stage.run(31.9)
    assert transaction.state == "Proceeding"
    stage.run(32)
    assert transaction.state == "Terminated"
    transaction.send(stage.response(transaction.request, 200))
    assert len(flow.words) == 3
    stage.assert_empty()


def test_early_100_waits_over_unreliable_transports(stage: Any) -> None:
    transaction = stage.server("OPTIONS")
    transaction.send(stage.response(transaction.request, 100))
    assert transaction.state == "Trying"
    stage.run(4)
    assert stage.udp.log == [(3.5, "100")]


def test_early_100_goes_over_reliable_transports(stage: Any) -> None:
    transaction = stage.server("OPTIONS", True)
    transaction.send(stage.response(transaction.request, 100))
    assert transaction.state == "Proceeding"
    stage.run(31.9)
    assert stage.tcp.log == [(0, "100")]
    transaction.send(stage.response(transaction.request, 200))
    assert stage.tcp.words == ["100", "200"]
    stage.assert_empty()


@BOTH
def test_other_provisional_responses_and_408_never_go(stage: Any, reliable: bool) -> None:
    transaction = stage.server("OPTIONS", reliable)
    transaction.send(stage.response(transaction.request, 180))
    assert transaction.state == "Trying"
    transaction.send(stage.response(transaction.request, 408))
    transaction.send(stage.response(transaction.request, 200))
    if not reliable:
        assert transaction.state == "Completed"
        assert stage.receive(transaction.request) == []
    assert stage.flow(reliable).words == []
    stage.run(32)
    stage.assert_empty()


def test_408_after_100(stage: Any) -> None:
    transaction = stage.server("OPTIONS")
    stage.run(4)
    transaction.abandon()
    stage.receive(transaction.request)
    assert stage.udp.words == ["100"]
    stage.run(40)
    stage.assert_empty()


@BOTH
def test_transport_error_and_another_way(stage: Any, reliable: bool) -> None:
    """RFC 6026 section 8.8: the state stays; RFC 3261 section 18.2.2: the user finds another way."""
    transaction = stage.server("OPTIONS", reliable)
    stage.flow(reliable).broken = TransportError("gone")
    transaction.send(stage.response(transaction.request, 200))
    assert stage.user.names() == [("failed", "gone")]
    assert transaction.state == ("Terminated" if reliable else "Completed")
    other = stage.flow(not reliable)
    transaction.reroute(other)
    assert other.words == ["200"]
    stage.run(40)
    stage.assert_empty()


def test_no_way_back_at_all(stage: Any) -> None:
    transaction = stage.server("OPTIONS")
    transaction.reroute(stage.udp)
    assert stage.udp.words == []
    other = stage.server("OPTIONS", branch="z9hG4bKb")
    stage.udp.unroutable = TransportError("no address")
    other.send(stage.response(other.request, 200))
    assert stage.user.names() == [("failed", "no address")]


def test_the_user_may_end_it_when_sending_fails(stage: Any) -> None:
    transaction = stage.server("OPTIONS")
    stage.udp.broken = TransportError("gone")
    stage.user.on_call = lambda name, subject: subject.terminate()
    transaction.send(stage.response(transaction.request, 200))
    assert transaction.state == "Terminated"
    stage.assert_empty()


def test_an_invite_cannot_be_abandoned(stage: Any) -> None:
    transaction = stage.server("INVITE")
    with pytest.raises(LocalProtocolError):
        transaction.abandon()
    assert "INVITE" in repr(transaction)


def test_those_who_linger_end_in_their_order(stage: Any) -> None:
    ended: list[tuple[float, int]] = []
    transactions = []
    for number, start in enumerate((0.0, 1.0, 1.001, 1.5, 1.505, 4.0)):
        stage.run(start)
        transaction = stage.server("OPTIONS", branch=f"z9hG4bK{number}")
        transaction.send(stage.response(transaction.request, 200))
        transactions.append(transaction)
    # Whoever leaves before his time lets nobody else wait longer or shorter.
    transactions[3].terminate()
    transactions[5].terminate()
    for moment in (31.9, 32.0, 32.9, 33.0, 33.0011, 33.11, 33.5, 33.61):
        stage.run(moment)
        ended.append((moment, sum(one.state == "Terminated" for one in transactions)))
    assert ended == [(31.9, 2), (32.0, 3), (32.9, 3), (33.0, 4), (33.0011, 4), (33.11, 5), (33.5, 5), (33.61, 6)]
    stage.assert_empty()
    assert not stage.clock.getDelayedCalls()


def test_nobody_lingers_in_a_stopped_layer(stage: Any) -> None:
    transaction = stage.server("OPTIONS")
    transaction.send(stage.response(transaction.request, 200))
    stage.layer.stop()
    stage.assert_empty()
