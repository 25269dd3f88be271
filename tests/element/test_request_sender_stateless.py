"""Requests without a transaction: the ACK for a 2xx (RFC 3261 section 13.2.2.4)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.errors import ResolutionError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP

U1, U2 = "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060"
T1, T2 = "TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"
S1 = "TLS 192.0.2.1:5061"


def ack(desk: Any, uri: str = "sip:bob@example.com", **how: Any) -> Any:
    return desk.request("ACK", uri, to="<sip:bob@example.com>;tag=b", **how)


def test_an_ack_is_sent_once(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.sender.send_ack(ack(desk), branch_suffix="-x")
    (sent,) = desk.flow(U1).sent
    assert sent.headers.lines[0] == "Via: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKb1-x;rport"
    desk.advance(5)
    assert len(desk.flow(U1).sent) == 1
    desk.settle()


def test_over_a_given_flow(desk: Any) -> None:
    desk.sender.send_ack(ack(desk), flow=desk.flow(T1))
    assert desk.flow(T1).sent[0].top_via.transport == "TCP"
    desk.flow(T1).broken = True
    desk.sender.send_ack(ack(desk), flow=desk.flow(T1))
    assert len(desk.flow(T1).sent) == 1
    desk.settle()


def test_the_route_is_followed(desk: Any) -> None:
    desk.resolver["route.example"] = [U1]
    desk.sender.send_ack(ack(desk, headers=[("route", "<sip:route.example;lr>")]))
    assert len(desk.flow(U1).sent) == 1


def test_the_next_server_is_tried_where_sending_fails_at_once(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]
    desk.flow(U1).broken = True
    desk.sender.send_ack(ack(desk))
    (sent,) = desk.flow(U2).sent
    assert sent.headers.count("via") == 1
    assert desk.dead.suspected(UDP, Address("192.0.2.1", 5060))


def test_a_connection_is_waited_for(desk: Any) -> None:
    desk.resolver["example.com"] = [T1, T2]
    desk.transports.slow |= {T1, T2}
    desk.transports.refuse.add(T1)
    desk.sender.send_ack(ack(desk))
    desk.transports.connected()
    desk.flow(T2).broken = True
    desk.transports.connected()
    assert not desk.sender.waiting
    assert desk.flow(T2).sent == []


def test_a_large_one_goes_over_tcp(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.sender.send_ack(ack(desk, body=b"x" * 1300))
    assert desk.flow(T1).sent[0].top_via.transport == "TCP"


def test_nobody_is_told_of_failure(desk: Any) -> None:
    desk.resolver["example.com"] = ResolutionError("no such name")
    desk.sender.send_ack(ack(desk))
    waiting: Deferred[Any] = Deferred()
    desk.resolver["example.com"] = waiting
    desk.sender.send_ack(ack(desk))
    waiting.errback(ResolutionError("no such name"))
    desk.settle()


def test_a_server_that_wants_no_requests_gets_its_acks(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.dead.hold(UDP, Address("192.0.2.1", 5060), 100)
    desk.sender.send_ack(ack(desk))
    assert len(desk.flow(U1).sent) == 1


def test_sips(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, S1]
    desk.sender.send_ack(ack(desk, "sips:bob@example.com"))
    assert desk.transports.asked == [S1]
    desk.sender.send_ack(ack(desk, "sips:bob@example.com"), flow=desk.flow(U1))
    desk.sender.send_ack(ack(desk, headers=[("route", "<sips:example.com;lr>")]), flow=desk.flow(U1))
    desk.sender.send_ack(ack(desk), flow=desk.flow(U1), secure_required=True)
    assert desk.flow(U1).sent == []
