"""The RequestSender's usual day: next hop, Via, one server, one outcome; and sips, which is never downgraded."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.element.conftest import FakeFlow
from twisted_sip.element.destination_walk import push_via
from twisted_sip.errors import (
    LocalProtocolError,
    ResolutionError,
    TransactionTimeout,
    TransportError,
)
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TLS, UDP
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, parse_uri

U1 = "UDP 192.0.2.1:5060"
T1 = "TCP 192.0.2.1:5060"
S1 = "TLS 192.0.2.1:5061"


def test_a_request_and_its_answer(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    outgoing = desk.send("MESSAGE", body=b"hello")
    (sent,) = desk.flow(U1).sent
    assert sent.headers.lines[0] == "Via: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKb1;rport"
    assert outgoing.request is sent
    assert outgoing.destination.address.host == "192.0.2.1"
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    assert outgoing.done
    desk.settle()


def test_every_response_is_passed_on(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.send()
    for status in (100, 180, 200, 200):
        desk.answer(U1, status)
    assert desk.user.told == [100, 180, 200, 200]
    desk.settle()


def test_a_final_response_other_than_2xx_is_acknowledged_and_passed_on_once(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.send()
    desk.answer(U1, 486)
    desk.answer(U1, 486)
    assert desk.user.told == [486]
    assert desk.methods(U1) == ["INVITE", "ACK"]
    desk.settle()


def test_a_given_flow_is_used_whatever_the_uris_say(desk: Any) -> None:
    flow = desk.flow("TCP 198.51.100.7:40000")
    outgoing = desk.send(
        flow=flow, headers=[("route", "<sip:elsewhere.example;lr>")], uri=parse_uri("sip:third.example")
    )
    assert desk.resolver.asked == []
    assert desk.transports.asked == []
    assert flow.sent[0].headers.lines[0].startswith("Via: SIP/2.0/TCP 192.0.2.100:5060;branch=z9hG4bK")
    assert outgoing.destination is None
    desk.answer(flow, 200)
    desk.settle()


def test_the_next_hop(desk: Any) -> None:
    desk.resolver["example.com"] = desk.resolver["route.example"] = desk.resolver["given.example"] = [U1]
    desk.send(flow=None)
    desk.send(headers=[("route", "<sip:route.example;lr>, <sip:other.example;lr>")])
    desk.send(headers=[("route", "<sip:route.example;lr>")], uri=parse_uri("sip:given.example"))
    assert desk.resolver.asked == ["sip:bob@example.com", "sip:route.example;lr", "sip:given.example"]


def test_the_via_goes_on_top_of_those_that_are_there(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    request = desk.request(headers=[("via", "SIP/2.0/UDP client.example;branch=z9hG4bKclient")])
    assert request.top_via.branch == "z9hG4bKclient"
    desk.sender.send(request, desk.user, branch_suffix="-loop")
    assert [via.branch for via in request.vias] == ["z9hG4bKb1-loop", "z9hG4bKclient"]
    assert request.top_via.branch == "z9hG4bKb1-loop"


def test_the_user_prepares_each_request_for_its_flow(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.user.on_prepare = lambda request, flow: request.headers.prepend("record-route", f"<sip:{flow.sent_by};lr>")
    desk.send()
    assert desk.user.prepared == [(U1.replace(" ", "-"), False)]
    assert desk.flow(U1).sent[0].headers.names[:2] == ["via", "record-route"]


def test_a_multicast_via_has_maddr_and_ttl(desk: Any) -> None:
    desk.resolver["all.example"] = ["UDP 224.0.1.75:5060"]
    desk.resolver["near.example"] = ["UDP 22.0.1.75:5060"]
    desk.resolver["six.example"] = ["UDP 2200::1:5060"]
    desk.send("REGISTER", "sip:all.example")
    desk.send("REGISTER", "sip:near.example")
    desk.send("REGISTER", "sip:six.example")
    assert desk.flow("UDP 224.0.1.75:5060").sent[0].top_via.maddr == "224.0.1.75"
    assert desk.flow("UDP 224.0.1.75:5060").sent[0].top_via.ttl == 1
    assert desk.flow("UDP 22.0.1.75:5060").sent[0].top_via.maddr == ""
    assert desk.flow("UDP 2200::1:5060").sent[0].top_via.maddr == ""


def test_a_deferred_from_the_resolver_is_waited_for(desk: Any) -> None:
    waiting: Deferred[Any] = Deferred()
    desk.resolver["example.com"] = waiting
    desk.send()
    assert len(desk.sender.waiting) == 1
    waiting.callback(desk.destinations(U1))
    assert not desk.sender.waiting
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_a_connection_is_waited_for(desk: Any) -> None:
    desk.resolver["example.com"] = [T1]
    desk.transports.slow.add(T1)
    desk.send()
    assert len(desk.sender.waiting) == 1
    desk.transports.connected()
    desk.answer(T1, 200)
    assert desk.user.told == [200]
    desk.settle()


# -- nowhere to go ----------------------------------------------------------------


def test_nothing_is_told_from_within_send(desk: Any) -> None:
    desk.resolver["example.com"] = ResolutionError("no such name")
    outgoing = desk.send()
    assert desk.user.told == []
    assert outgoing.done
    desk.clock.advance(0)
    assert desk.user.told == ["503 Service Unavailable"]
    outgoing.cancel()
    desk.settle()
    assert desk.user.told == ["503 Service Unavailable"]


def test_a_name_that_does_not_resolve_later(desk: Any) -> None:
    waiting: Deferred[Any] = Deferred()
    desk.resolver["example.com"] = waiting
    outgoing = desk.send()
    waiting.errback(ResolutionError("no such name"))
    assert desk.user.told == ["503 Service Unavailable"]
    assert isinstance(outgoing.error, ResolutionError)
    desk.settle()


@pytest.mark.parametrize("uri", ["tel:+358555", "mailto:bob@example.com"])
def test_a_next_hop_that_is_no_sip_uri(desk: Any, uri: str) -> None:
    desk.send(uri=parse_uri(uri))
    desk.clock.advance(0)
    assert desk.user.told == ["416 Unsupported URI Scheme"]
    desk.settle()


def test_a_tel_uri_behind_a_route_is_no_obstacle(desk: Any) -> None:
    desk.resolver["route.example"] = [U1]
    desk.send(uri=None, headers=[("route", "<sip:route.example;lr>")])
    assert len(desk.flow(U1).sent) == 1


def test_a_malformed_route(desk: Any) -> None:
    desk.send(headers=[("route", "<sip:>")])
    desk.clock.advance(0)
    (told,) = desk.user.told
    assert told.startswith("400 ")
    desk.settle()


def test_a_full_transaction_table_is_service_unavailable(desk: Any) -> None:
    desk.transactions.max_transactions = 0
    desk.resolver["example.com"] = [U1]
    desk.send()
    desk.clock.advance(0)
    assert desk.user.told == ["503 Service Unavailable"]
    assert desk.flow(U1).sent == []
    desk.settle()


def test_a_callers_mistake_is_raised(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    with pytest.raises(LocalProtocolError):
        desk.send("ACK")


def test_what_breaks_later_is_logged_and_told(desk: Any) -> None:
    waiting: Deferred[Any] = Deferred()
    desk.resolver["example.com"] = waiting
    outgoing = desk.send()

    def broken(request: Any, flow: Any) -> None:
        raise ZeroDivisionError

    desk.user.on_prepare = broken
    waiting.callback(desk.destinations(U1))
    assert desk.user.told == ["500 Server Internal Error"]
    assert outgoing.done
    desk.settle()


# -- sips (RFC 5630 section 5) -------------------------------------------------------


def test_a_sips_request_over_a_sip_route_is_resolved_as_sips(desk: Any) -> None:
    desk.resolver["route.example"] = [S1]
    desk.send(uri=None, headers=[("route", "<sip:route.example;lr>")])
    request = desk.request("INVITE", "SIPS:bob@example.com", headers=[("route", "<sip:route.example;lr>")])
    desk.sender.send(request, desk.user)
    assert desk.resolver.asked == ["sip:route.example;lr", "sips:route.example;lr"]


@pytest.mark.parametrize(
    "how",
    [
        {"uri": "sips:bob@example.com"},
        {"uri": "sip:bob@example.com", "secure_required": True},
        {"uri": "sip:bob@other.example", "headers": [("route", "<sips:example.com;lr>")]},
    ],
)
def test_insecure_answers_of_a_resolver_are_not_used(desk: Any, how: dict[str, Any]) -> None:
    desk.resolver["example.com"] = [U1, S1, T1]
    request = desk.request("INVITE", how.pop("uri"), headers=how.pop("headers", []))
    desk.sender.send(request, desk.user, **how)
    assert desk.transports.asked == [S1]
    desk.transports.flow(S1).broken = True
    desk.resolver["example.com"] = [U1, T1]
    desk.sender.send(request.copy(), desk.user, secure_required=True)
    desk.clock.advance(0)
    assert desk.transports.asked == [S1]
    assert "480 SIPS Not Allowed" in desk.user.told


@pytest.mark.parametrize("route", ["", "<sip:route.example;lr>"])
def test_sips_does_not_go_over_an_insecure_flow(desk: Any, route: str) -> None:
    headers = [("route", route)] if route else []
    for flow in (desk.flow(U1), desk.flow(T1)):
        desk.sender.send(desk.request("INVITE", "sips:bob@example.com", headers=headers), desk.user, flow=flow)
        desk.sender.send(desk.request(headers=headers), desk.user, flow=flow, secure_required=True)
        assert flow.sent == []
    desk.clock.advance(0)
    assert desk.user.told == ["480 SIPS Not Allowed"] * 4
    secure = desk.flow(S1)
    desk.sender.send(desk.request("INVITE", "sips:bob@example.com", headers=headers), desk.user, flow=secure)
    assert len(secure.sent) == 1


def test_a_sips_route_does_not_go_over_an_insecure_flow(desk: Any) -> None:
    headers = [("route", "<sips:route.example;lr>")]
    desk.send(headers=headers, flow=desk.flow(U1))
    desk.clock.advance(0)
    assert desk.user.told == ["480 SIPS Not Allowed"]
    desk.send(headers=headers, flow=desk.flow(S1))
    assert len(desk.flow(S1).sent) == 1
    desk.send(headers=[("route", "<sip:route.example;lr>")], flow=desk.flow(U1))
    assert len(desk.flow(U1).sent) == 1


# -- as a Deferred ----------------------------------------------------------------------


def outcomes(result: Deferred[Any]) -> list[Any]:
    seen: list[Any] = []
    result.addCallbacks(seen.append, lambda failure: seen.append(failure.value))
    return seen


def test_a_deferred_of_the_final_response(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    provisional: list[int] = []
    seen = outcomes(
        desk.sender.request(desk.request(), provisional=lambda response: provisional.append(response.status))
    )
    desk.answer(U1, 180)
    desk.answer(U1, 404)
    assert [response.status for response in seen] == [404]
    assert provisional == [180]
    desk.settle()


def test_provisional_responses_need_no_listener_and_further_2xx_are_dropped(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    seen = outcomes(desk.sender.request(desk.request()))
    for status in (180, 200, 200):
        desk.answer(U1, status)
    assert [response.status for response in seen] == [200]
    desk.settle()


def test_a_deferred_that_fails_with_what_went_wrong(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    desk.resolver["none.example"] = ResolutionError("no such name")
    desk.resolver["gone.example"] = [T1]
    desk.transports.refuse.add(T1)
    silent = outcomes(desk.sender.request(desk.request("OPTIONS")))
    nowhere = outcomes(desk.sender.request(desk.request("OPTIONS", "sip:none.example")))
    refused = outcomes(desk.sender.request(desk.request("OPTIONS", "sip:gone.example")))
    desk.advance(33)
    assert isinstance(silent[0], TransactionTimeout)
    assert isinstance(nowhere[0], ResolutionError)
    assert isinstance(refused[0], TransportError)
    desk.settle()


def test_cancelling_the_deferred_gives_the_request_up(desk: Any) -> None:
    desk.resolver["example.com"] = [U1]
    result = desk.sender.request(desk.request())
    seen = outcomes(result)
    desk.answer(U1, 180)
    result.cancel()
    assert len(seen) == 1
    assert desk.methods(U1) == ["INVITE", "CANCEL"]
    desk.answer(U1, 487)
    desk.answer_cancel(U1)
    desk.settle()


def test_a_request_given_up_by_its_outgoing_fails_the_deferred(desk: Any) -> None:
    desk.resolver["example.com"] = Deferred()
    seen = outcomes(desk.sender.request(desk.request()))
    (outgoing,) = desk.sender.waiting
    assert "bob@example.com" in repr(outgoing)
    outgoing.cancel()
    desk.clock.advance(0)
    assert isinstance(seen[0], TransportError)


def test_cancelling_the_deferred_before_anything_was_sent(desk: Any) -> None:
    waiting: Deferred[Any] = Deferred()
    desk.resolver["example.com"] = waiting
    result = desk.sender.request(desk.request())
    seen = outcomes(result)
    result.cancel()
    waiting.callback(desk.destinations(U1))
    assert len(seen) == 1
    assert desk.flow(U1).sent == []
    desk.settle()


def test_a_sip_uri_may_be_given_in_place_of_the_next_hop(desk: Any) -> None:
    desk.resolver["192.0.2.1"] = [U1]
    desk.send(uri=SIPURI("192.0.2.1"))
    assert len(desk.flow(U1).sent) == 1


def test_a_connection_that_may_carry_requests_back_says_so() -> None:
    """RFC 5923 section 8.1, over TLS alone."""
    for kind, offers, alias in ((TLS, True, True), (TLS, False, False), (UDP, True, False)):
        flow: Any = FakeFlow(kind, Address("192.0.2.1", 5061))
        flow.offers_alias = offers
        request = Request("OPTIONS", "sip:example.com", [])
        push_via(request, flow, "x", None)
        assert ("alias" in request.top_via.params) is alias
