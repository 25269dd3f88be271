"""RFC 3261 section 18.1.1: large requests go over TCP, over UDP if TCP is refused, and the Via says which."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.destination_walk import wire_size
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP

U1, U2 = "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060"
T1, T2 = "TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"


@pytest.fixture(autouse=True)
def server(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]


def filled(desk: Any, size: int, **how: Any) -> Any:
    """Return a request that takes *size* bytes on the wire with its Via."""
    probe = desk.request("MESSAGE", body=b"x" * 100, **how)
    desk.sender.send(probe, desk.user, flow=desk.flow("UDP 192.0.2.250:5060"))
    request = desk.request("MESSAGE", body=b"x" * (size - len(probe.to_bytes()) + 100), **how)
    if size >= 1000 + len(probe.to_bytes()) - 100:
        # Content-Length has a digit more.
        request.body = request.body[:-1]
    return request


@pytest.mark.parametrize(("size", "transport"), [(1299, "UDP"), (1300, "UDP"), (1301, "TCP"), (5000, "TCP")])
def test_more_than_1300_bytes_go_over_tcp(desk: Any, size: int, transport: str) -> None:
    request = filled(desk, size)
    outgoing = desk.sender.send(request, desk.user)
    assert len(outgoing.request.to_bytes()) == size
    assert outgoing.request.top_via.transport == transport
    assert outgoing.destination.kind.token == transport
    desk.answer(outgoing.transaction.flow, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_what_the_user_puts_in_counts(desk: Any) -> None:
    request = filled(desk, 1250)
    desk.user.on_prepare = lambda request, flow: request.headers.prepend("record-route", f"<sip:{'r' * 50}.example;lr>")
    outgoing = desk.sender.send(request, desk.user)
    assert outgoing.request.top_via.transport == "TCP"
    assert outgoing.request.headers.count("record-route") == 1


def test_bytes_count_not_characters(desk: Any) -> None:
    request = filled(desk, 1100)
    outgoing = desk.sender.send(request, desk.user)
    assert outgoing.request.top_via.transport == "UDP"
    request = filled(desk, 1100)
    request.headers.append("subject", "é" * 120)
    assert wire_size(request) == len(request.to_bytes())
    outgoing = desk.sender.send(request, desk.user)
    assert outgoing.request.top_via.transport == "TCP"


def test_the_limit_can_be_set(desk: Any) -> None:
    desk.settings(datagram_limit=8800)
    assert desk.sender.send(filled(desk, 5000), desk.user).request.top_via.transport == "UDP"


def test_a_refused_connection_falls_back_to_udp_and_is_remembered(desk: Any) -> None:
    desk.transports.refuse.add(T1)
    request = filled(desk, 2000)
    again = request.copy()
    outgoing = desk.sender.send(request, desk.user)
    assert outgoing.request.top_via.transport == "UDP"
    assert outgoing.request.headers.count("via") == 1
    assert outgoing.destination.kind is UDP
    assert desk.transports.asked == [U1, T1]
    desk.answer(U1, 200)
    desk.sender.send(again, desk.user)
    assert desk.transports.asked == [U1, T1, U1]
    assert desk.dead.suspected(TCP, Address("192.0.2.1", 5060))
    desk.answer(U1, 200)
    desk.settle()


def test_a_connection_refused_later_falls_back_to_udp(desk: Any) -> None:
    desk.transports.refuse.add(T1)
    desk.transports.slow.add(T1)
    outgoing = desk.sender.send(filled(desk, 2000), desk.user)
    assert desk.flow(U1).sent == []
    desk.transports.connected()
    assert outgoing.request.top_via.transport == "UDP"
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_a_connection_that_comes_later(desk: Any) -> None:
    desk.transports.slow.add(T1)
    outgoing = desk.sender.send(filled(desk, 2000), desk.user)
    desk.transports.connected()
    assert outgoing.request.top_via.transport == "TCP"
    assert desk.flow(U1).sent == []
    desk.answer(T1, 200)
    desk.settle()


def test_an_explicit_transport_is_respected(desk: Any) -> None:
    request = filled(desk, 2000)
    request.set_uri("sip:bob@example.com;transport=udp")
    assert desk.sender.send(request, desk.user).request.top_via.transport == "UDP"


def test_a_given_flow_is_respected(desk: Any) -> None:
    outgoing = desk.sender.send(filled(desk, 2000), desk.user, flow=desk.flow(U1))
    assert outgoing.request.top_via.transport == "UDP"


def test_failover_chooses_anew_for_each_server(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]
    desk.transports.refuse.add(T1)
    outgoing = desk.sender.send(filled(desk, 2000), desk.user)
    desk.answer(U1, 503)
    assert outgoing.request.top_via.transport == "TCP"
    assert outgoing.request.headers.count("via") == 1
    desk.answer(T2, 200)
    assert desk.user.told == [200]
    assert desk.transports.asked == [U1, T1, U2, T2]
    desk.settle()


def test_wire_size_is_exact(desk: Any) -> None:
    for body in (b"", b"x" * 9, b"x" * 1000):
        request = desk.request("MESSAGE", body=body)
        size = wire_size(request)
        assert size == len(request.to_bytes())
        assert wire_size(request) == size
