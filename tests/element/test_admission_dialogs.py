"""Admission of requests in dialogs and with Routes: tokens, ACK and CANCEL, no relay through preloaded Routes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.digest import ha1s
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.element.tokens import DialogTokens
from twisted_sip.interfaces.credentials import Credential
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import enter_proxy
from twisted_sip.message.uri import SIPURI

REALM = "example.com"
TOKENS = DialogTokens(b"key")
TOKEN = TOKENS.make("call", "f")
OWN = f"<sip:{TOKEN}@192.0.2.10;lr>"
LOCAL, FOREIGN = "<sip:alice@example.com>", "<sip:eve@example.net>"


class Domains:
    def is_local(self, host: str, port: int | None = None) -> bool:
        return host in ("example.com", "192.0.2.10") and port in (None, 5060)

    def is_local_uri(self, uri: Any) -> bool:
        return isinstance(uri, SIPURI) and self.is_local(uri.host, uri.port)


class Store:
    def lookup(self, user: str, realm: str) -> Credential | None:
        return Credential(user, realm, ha1s(user, realm, "secret")) if user == "alice" else None


class Flow:
    remote = Address("198.51.100.7", 5070)


class Incoming:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.flow = Flow()
        self.user = ""
        self.admitted = False
        self.own_routes: list[SIPURI] = []
        self.statuses: list[int] = []
        self.headers: list[tuple[str, str]] = []
        self.notes: list[tuple[str, ...]] = []

    def note(self, *what: str) -> None:
        self.notes.append(what)

    def respond(self, status: int, reason: str = "", headers: Any = (), body: bytes = b"") -> None:
        self.statuses.append(status)

    def respond_statelessly(self, status: int, reason: str = "", headers: Any = ()) -> None:
        self.statuses.append(status)
        self.headers = list(headers)


def link(route_admits: Callable[[Any], bool] | None = None, kind: Any = AdmissionProcessor, **settings: Any) -> Any:
    authenticator = Authenticator.build(  # type: ignore[arg-type]
        Store(), AuthSettings(**settings), Clock().seconds, random.Random(3).randbytes
    )
    if route_admits is None:
        return kind(Domains(), TOKENS, authenticator)
    return kind(Domains(), TOKENS, authenticator, route_admits)


def enter(request: Request) -> Incoming:
    """Return *request* as it is behind the link that takes our own Routes off."""
    incoming = Incoming(request)
    domains = Domains()
    incoming.own_routes = enter_proxy(request, domains.is_local_uri, lambda uri: uri.lr and domains.is_local_uri(uri))
    return incoming


def run(chain: Any, request: Request) -> tuple[Any, Incoming]:
    incoming = enter(request)
    return chain.process(incoming), incoming


def message(
    method: str,
    uri: str = "sip:carol@203.0.113.5",
    *routes: str,
    from_: str = LOCAL,
    from_tag: str = "f",
    to_tag: str = "t",
    call_id: str = "call",
    fields: Iterable[tuple[str, str]] = (),
) -> Request:
    to = f"<sip:carol@example.net>;tag={to_tag}" if to_tag else "<sip:carol@example.net>"
    return Request(
        method,
        uri,
        [
            ("From", f"{from_};tag={from_tag}"),
            ("To", to),
            ("Call-ID", call_id),
            ("CSeq", f"2 {method}"),
            *(("Route", route) for route in routes),
            *fields,
        ],
    )


@pytest.mark.parametrize("method", ["BYE", "INVITE", "ACK", "UPDATE", "INFO", "NOTIFY", "UNKNOWN"])
@pytest.mark.parametrize("tags", [("f", "t"), ("t", "f")])
@pytest.mark.parametrize("from_", [LOCAL, FOREIGN])
def test_a_valid_token_admits_both_sides_unchallenged(method: str, tags: tuple[str, str], from_: str) -> None:
    """No 403 on a callee's BYE, whatever its From says."""
    request = message(method, "sip:carol@203.0.113.5", OWN, from_=from_, from_tag=tags[0], to_tag=tags[1])
    verdict, incoming = run(link(), request)
    assert verdict is None
    assert (incoming.admitted, incoming.statuses) == (True, [])


def test_either_of_two_record_routes_will_do() -> None:
    other = "<sip:192.0.2.10:5060;transport=tcp;lr>"
    for routes in ((other, OWN), (OWN, other), (f"{other}, {OWN}",)):
        _, incoming = run(link(), message("BYE", "sip:carol@203.0.113.5", *routes, "<sip:next.example.net;lr>"))
        assert incoming.admitted


def test_a_strict_router_before_us() -> None:
    request = message("BYE", f"sip:{TOKEN}@192.0.2.10;lr", "<sip:carol@203.0.113.5>")
    verdict, incoming = run(link(), request)
    assert verdict is None and incoming.admitted
    assert incoming.request.uri_text == "sip:carol@203.0.113.5"


@pytest.mark.parametrize(
    "change",
    [{"call_id": "other"}, {"from_tag": "x", "to_tag": "y"}],
    ids=["another call", "other tags"],
)
def test_a_token_is_good_for_its_dialog_alone(change: dict[str, str]) -> None:
    verdict, incoming = run(link(), message("BYE", "sip:carol@203.0.113.5", OWN, **change))  # type: ignore[arg-type]
    assert verdict is TAKEN
    assert (incoming.admitted, incoming.statuses) == (False, [481])


@given(st.text(alphabet="abcXYZ019-_", min_size=1, max_size=60))
def test_no_token_is_guessed(token: str) -> None:
    _, incoming = run(link(), message("BYE", "sip:carol@203.0.113.5", f"<sip:{token}@192.0.2.10;lr>"))
    assert (incoming.admitted, incoming.statuses) == (False, [481])


@pytest.mark.parametrize("from_", [LOCAL, FOREIGN])
@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("uri", "routes"),
    [
        ("sip:carol@203.0.113.5", ()),
        ("sip:bob@example.com", ("<sip:203.0.113.5;lr>",)),
        ("sip:carol@203.0.113.5", ("<sip:192.0.2.10;lr>",)),
        ("sip:192.0.2.10;lr", ("<sip:carol@203.0.113.5>",)),
    ],
)
def test_a_to_tag_without_a_token_relays_nothing(from_: str, required: bool, uri: str, routes: tuple[str, ...]) -> None:
    for method in ("INVITE", "BYE", "MESSAGE"):
        verdict, incoming = run(link(required=required), message(method, uri, *routes, from_=from_))
        assert verdict is TAKEN
        assert (incoming.admitted, incoming.statuses) == (False, [403])


def test_a_to_tag_gets_nobody_past_a_challenge() -> None:
    _, incoming = run(link(), message("INVITE", "sip:bob@example.com"))
    assert incoming.statuses == [407]
    _, incoming = run(link(), message("SUBSCRIBE", "sip:192.0.2.10:5060"))
    assert incoming.statuses == [401]
    _, incoming = run(link(), message("INVITE", "sip:bob@example.com", from_=FOREIGN))
    assert incoming.admitted


@pytest.mark.parametrize(
    ("uri", "routes", "passes"),
    [
        ("sip:carol@203.0.113.5", (), False),
        ("sip:bob@example.com", ("<sip:203.0.113.5;lr>",), False),
        ("sip:carol@203.0.113.5", ("<sip:x@192.0.2.10;lr>",), False),
        ("sip:bob@example.com", (), True),
        ("sip:bob@example.com", ("<sip:192.0.2.10;lr>",), True),
    ],
)
@pytest.mark.parametrize("to_tag", ["", "t"])
def test_ack_is_never_answered(uri: str, routes: tuple[str, ...], passes: bool, to_tag: str) -> None:
    verdict, incoming = run(link(), message("ACK", uri, *routes, to_tag=to_tag))
    assert incoming.statuses == []
    assert incoming.admitted is passes
    assert verdict is (None if passes else TAKEN)


@pytest.mark.parametrize("uri", ["sip:bob@example.com", "sip:carol@203.0.113.5"])
def test_cancel_is_never_challenged(uri: str) -> None:
    verdict, incoming = run(link(), message("CANCEL", uri, to_tag=""))
    assert verdict is None
    assert (incoming.admitted, incoming.statuses) == (False, [])


# -- Routes outside of dialogs ------------------------------------------------------------


def signed(chain: Any, request: Request) -> Incoming:
    _, first = run(chain, request.copy())
    again = DigestClient("alice", "secret").authorize(request, Response(first.statuses[0], headers=first.headers))
    assert again is not None
    return run(chain, again)[1]


def test_a_route_to_ourselves_is_no_route() -> None:
    """As phones with an outbound proxy send it, and what Service-Route gives them."""
    request = message("INVITE", "sip:bob@example.com", "<sip:192.0.2.10;lr>, <sip:example.com:5060;lr>", to_tag="")
    assert signed(link(), request).admitted
    request = message("INVITE", "sip:bob@example.com", "<sip:192.0.2.10;lr>", to_tag="", from_=FOREIGN)
    assert run(link(), request)[1].admitted


@pytest.mark.parametrize("uri", ["sip:bob@example.com", "sip:carol@203.0.113.5", "sip:example.com"])
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "MESSAGE"])
def test_strangers_do_not_relay_through_preloaded_routes(uri: str, method: str) -> None:
    for routes in (
        ("<sip:203.0.113.5;lr>",),
        ("<sip:192.0.2.10;lr>", "<sip:203.0.113.5;lr>"),
        ("<sip:192.0.2.10:9999;lr>",),
        (OWN, "<sip:203.0.113.5;lr>"),
    ):
        verdict, incoming = run(link(lambda incoming: True), message(method, uri, *routes, to_tag="", from_=FOREIGN))
        assert verdict is TAKEN
        assert (incoming.admitted, incoming.statuses) == (False, [403])


def test_a_dialog_token_admits_nothing_outside_of_its_dialog() -> None:
    _, incoming = run(link(), message("INVITE", "sip:carol@203.0.113.5", OWN, to_tag="", from_=FOREIGN))
    assert (incoming.admitted, incoming.statuses) == (False, [403])


def test_authenticated_senders_may_be_allowed_a_route() -> None:
    request = message("INVITE", "sip:bob@example.com", "<sip:192.0.2.10;lr>, <sip:203.0.113.5;lr>", to_tag="")
    assert signed(link(), request).admitted

    class Strict(AdmissionProcessor):
        def may_follow_route(self, incoming: Any) -> bool:
            return False

    refused = signed(link(kind=Strict), request)
    assert (refused.admitted, refused.user, refused.statuses) == (False, "", [403])


def test_a_route_made_of_our_path_admits() -> None:
    """RFC 5626 section 5.3: the registrar's proxy sends to a phone by the flow in our Path value."""
    seen: list[Any] = []

    def path(incoming: Any) -> bool:
        seen.append(incoming.own_routes[0].user)
        return incoming.own_routes[0].user == "path-token"

    request = message("INVITE", "sip:bob@203.0.113.9", "<sip:path-token@192.0.2.10;lr>", to_tag="", from_=FOREIGN)
    assert run(link(path), request)[1].admitted
    request = message("INVITE", "sip:bob@203.0.113.9", "<sip:guess@192.0.2.10;lr>", to_tag="", from_=FOREIGN)
    assert run(link(path), request)[1].statuses == [403]
    assert seen == ["path-token", "guess"]
    request = message("INVITE", "sip:bob@203.0.113.9", "<sip:192.0.2.10;lr>", to_tag="", from_=FOREIGN)
    assert run(link(path), request)[1].statuses == [403]
    assert len(seen) == 2
