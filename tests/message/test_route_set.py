"""Route sets and next hops, by RFC 3261 sections 12.2.1.1, 16.4, 16.6 step 6 and the examples of 16.12.1."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import (
    apply_route_set,
    check_route_uri,
    enter_proxy,
    leave_proxy,
    next_hop,
    route_set_of_uac,
    route_set_of_uas,
)
from twisted_sip.message.uri import SIPURI, parse_uri


def request(uri: str, *routes: str) -> Request:
    return Request("BYE", uri, [("route", route) for route in routes])


def ours(uri: SIPURI) -> bool:
    return uri.host == "p1.example.com"


def test_next_hop_is_the_topmost_route_else_the_request_uri() -> None:
    assert str(next_hop(request("sip:a@b", "<sip:p1;lr>, <sip:p2;lr>"))) == "sip:p1;lr"
    assert str(next_hop(request("sip:a@b"))) == "sip:a@b"


def test_route_sets_of_both_ends() -> None:
    fields = [("record-route", "<sip:p2;lr>, <sip:p1;lr>"), ("record-route", "<sip:p0;lr>")]
    assert route_set_of_uac(Response(200, "", fields)) == ("<sip:p0;lr>", "<sip:p1;lr>", "<sip:p2;lr>")
    assert route_set_of_uas(Request("INVITE", "sip:a@b", fields)) == ("<sip:p2;lr>", "<sip:p1;lr>", "<sip:p0;lr>")


def test_requests_through_loose_and_strict_routers() -> None:
    message = request("sip:x@y", "<sip:old;lr>")
    apply_route_set(message, ["<sip:p1;lr>", "<sip:p2;lr>"], "sip:bob@h")
    assert message.uri_text == "sip:bob@h" and message.headers.elements("route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    apply_route_set(message, ["<sip:p1;method=INVITE>", "<sip:p2;lr>"], "sip:bob@h")
    assert message.uri_text == "sip:p1" and message.headers.elements("route") == ["<sip:p2;lr>", "<sip:bob@h>"]
    apply_route_set(message, [], "sip:bob@h")
    assert message.uri_text == "sip:bob@h" and "route" not in message.headers


def test_a_proxy_takes_its_own_routes_off() -> None:
    message = request("sip:bob@h", "<sip:p1.example.com;lr>", "<sip:tok@p1.example.com;lr>, <sip:p2;lr>")
    taken = enter_proxy(message, ours, lambda uri: False)
    assert [uri.user for uri in taken] == [None, "tok"]
    assert message.headers.elements("route") == ["<sip:p2;lr>"]
    assert enter_proxy(message, ours, lambda uri: False) == []
    message = request("sip:bob@h", "<sip:p1.example.com;lr>")
    enter_proxy(message, ours, lambda uri: False)
    assert "route" not in message.headers
    assert enter_proxy(message, ours, lambda uri: False) == []


@pytest.mark.parametrize("where", ["p1.example.com", "p1.example.com:5070", "192.0.2.1:5060", "[2001:db8::1]:5061"])
def test_a_route_with_a_token_is_read_in_two_parts(where: str) -> None:
    uri = f"sip:tok-_9@{where};lr"
    message = request("sip:bob@h", f"<{uri}>")
    assert message.routes
    (taken,) = enter_proxy(message, lambda uri: True, lambda uri: False)
    whole = SIPURI.parse(uri)
    for name in ("scheme", "user", "password", "host", "port", "headers", "text", "address_of_record", "lr"):
        assert getattr(taken, name) == getattr(whole, name)
    assert taken.params.items() == whole.params.items()
    assert "route" not in message.headers and message.routes == []


def test_a_route_with_a_token_that_is_not_ours_or_no_uri_stays() -> None:
    message = request("sip:bob@h", "<sip:tok@p2;lr>")
    assert enter_proxy(message, ours, ours) == []
    assert message.headers.elements("route") == ["<sip:tok@p2;lr>"]
    with pytest.raises(RemoteProtocolError):
        enter_proxy(request("sip:bob@h", "<sip:tok@p1.example.com:99999;lr>"), ours, ours)
    # A strict router before us has put our own Record-Route into the Request-URI.
    message = request("sip:p1.example.com;lr", "<sip:bob@p1.example.com;lr>")
    assert [uri.text for uri in enter_proxy(message, ours, ours)] == ["sip:p1.example.com;lr"]
    assert message.uri_text == "sip:bob@p1.example.com;lr"


def test_what_a_strict_router_made_is_undone() -> None:
    message = request("sip:p1.example.com;lr", "<sip:p2;lr>, <sip:bob@h>")
    assert [str(uri) for uri in enter_proxy(message, ours, ours)] == ["sip:p1.example.com;lr"]
    assert message.uri_text == "sip:bob@h" and message.headers.elements("route") == ["<sip:p2;lr>"]
    message = request("sip:p1.example.com;lr", "<sip:bob@h>")
    enter_proxy(message, ours, ours)
    assert message.uri_text == "sip:bob@h" and "route" not in message.headers


def test_room_for_a_strict_router() -> None:
    message = request("sip:bob@h", "<sip:strict@p2>, <sip:p3;lr>")
    leave_proxy(message)
    assert message.uri_text == "sip:strict@p2" and message.headers.elements("route") == ["<sip:p3;lr>", "<sip:bob@h>"]
    message = request("sip:bob@h", "<sip:p2;lr>")
    leave_proxy(message)
    assert message.uri_text == "sip:bob@h"
    leave_proxy(request("sip:bob@h"))


def test_only_sip_uris_are_next_hops() -> None:
    assert check_route_uri(parse_uri("sips:a@b")).secure
    with pytest.raises(RemoteProtocolError) as caught:
        check_route_uri(parse_uri("tel:+1"))
    assert caught.value.status == 416
