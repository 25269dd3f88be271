"""The first links of the chain (RFC 3261 sections 8.2.2, 11.2, 16.3 step 2 and 16.4)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.entry import EntryProcessor, OptionsProcessor
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP, TransportKind
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

BOB = "sip:bob@example.com"
TOKEN = "AbCdEfGhIjKlMnOp"


class Domains:
    """example.com and 192.0.2.1 with ports 5060 and 5061."""

    def is_local(self, host: str, port: int | None = None, secure: bool = False) -> bool:
        return host in ("example.com", "192.0.2.1") and port in (None, 5060, 5061)

    def is_local_uri(self, uri: Any) -> bool:
        return (
            isinstance(uri, SIPURI)
            and self.is_local(uri.host, uri.port)
            and (not uri.maddr or self.is_local(uri.maddr, uri.port))
        )


class Flow:
    def __init__(self, kind: TransportKind, port: int) -> None:
        self.kind = kind
        self.local = Address("192.0.2.1", port)


class Incoming:
    def __init__(self, request: Request, kind: TransportKind = UDP, port: int = 5060, first: bool = True) -> None:
        self.request = request
        self.flow = Flow(kind, port)
        self.own_routes: list[Any] = []
        self.to_tag = "tag"
        self.user = "sip:alice@example.com"
        self.stateless: list[tuple[int, Any]] = []
        self._first = first
        self.notes: list[tuple[str, ...]] = []

    def note(self, *what: str) -> None:
        self.notes.append(what)

    def respond_statelessly(self, status: int, reason: str = "", headers: Any = ()) -> None:
        self.stateless.append((status, dict(headers)))

    def claim_as_uas(self) -> bool:
        return self._first


def enter(uri: str, *routes: str, **how: Any) -> tuple[Any, Incoming]:
    """Return the verdict on a request, and the request behind the link."""
    fields = [("via", "SIP/2.0/UDP h;branch=z9hG4bKx"), ("to", "<sip:b@c>")]
    incoming = Incoming(Request("MESSAGE", uri, [*fields, *(("route", route) for route in routes)]), **how)
    return EntryProcessor(Domains()).process(incoming), incoming  # type: ignore[arg-type]


@pytest.mark.parametrize("uri", ["http://example.com", "urn:service:sos", "x:y"])
def test_foreign_schemes(uri: str) -> None:
    verdict, _ = enter(uri)
    assert verdict.status == 416
    assert verdict.to.tag == "tag"


@pytest.mark.parametrize("uri", [BOB, "sips:bob@example.com", "tel:+1555"])
def test_known_schemes(uri: str) -> None:
    verdict, incoming = enter(uri)
    assert verdict is None
    assert incoming.request.uri_text == uri


@pytest.mark.parametrize(
    ("uri", "taken"),
    [
        ("im:bob@example.com", "sip:bob@example.com"),
        ("pres:b%6fb@example.com", "sip:b%6fb@example.com"),
        ("im:bob@example.com?subject=x", "sip:bob@example.com"),
        ("im:bob@example.net", ""),
        ("im:example.com", ""),
        ("im:@", ""),
        ("xmpp:bob@example.com", ""),
    ],
)
def test_schemes_that_stand_for_users_of_ours(uri: str, taken: str) -> None:
    """RFC 3428 section 5 and RFC 3856 section 5: im and pres URIs, where they mean our users."""
    incoming = Incoming(Request("MESSAGE", uri, [("via", "SIP/2.0/UDP h;branch=z9hG4bKx"), ("to", "<sip:b@c>")]))
    verdict = EntryProcessor(Domains(), ["im", "pres"]).process(incoming)  # type: ignore[arg-type]
    if taken:
        assert verdict is None and incoming.request.uri_text == taken
    else:
        assert verdict.status == 416
        assert incoming.request.uri_text == uri


@pytest.mark.parametrize("uri", ["sip:", "sip:@", "sip:bob@[x]"])
def test_malformed_request_uri(uri: str) -> None:
    with pytest.raises(RemoteProtocolError):
        enter(uri)


def test_malformed_route() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        enter(BOB, "<sip:")
    assert caught.value.header == "Route"


@pytest.mark.parametrize(("value", "right"), [("0", True), ("300", True), ("abc", False), ("-1", False), ("", False)])
def test_max_forwards_of_requests_that_end_here(value: str, right: bool) -> None:
    incoming = Incoming(Request("OPTIONS", "sip:example.com", [("via", "SIP/2.0/UDP h"), ("max-forwards", value)]))
    processor = EntryProcessor(Domains())  # type: ignore[arg-type]
    if right:
        assert processor.process(incoming) is None  # type: ignore[arg-type]
        return
    with pytest.raises(RemoteProtocolError) as caught:
        processor.process(incoming)  # type: ignore[arg-type]
    assert caught.value.header == "Max-Forwards"


def test_our_routes_go_off_and_others_stay() -> None:
    _, incoming = enter("sip:x@example.net", f"<sip:{TOKEN}@192.0.2.1;lr>, <sip:example.com;lr>", "<sip:192.0.2.9;lr>")
    assert [uri.user for uri in incoming.own_routes] == [TOKEN, None]
    assert incoming.request.headers.elements("route") == ["<sip:192.0.2.9;lr>"]
    _, incoming = enter("sip:x@example.net", "<sip:192.0.2.9;lr>, <sip:example.com;lr>")
    assert incoming.own_routes == []
    assert len(incoming.request.routes) == 2


def test_strict_router_before_us() -> None:
    ours = f"sip:{TOKEN}@192.0.2.1;lr"
    _, incoming = enter(ours, f"<{ours}>, <sip:192.0.2.9;lr>, <{BOB}>")
    assert incoming.request.uri_text == BOB
    assert incoming.request.headers.elements("route") == ["<sip:192.0.2.9;lr>"]
    assert [uri.user for uri in incoming.own_routes] == [TOKEN, TOKEN]


@pytest.mark.parametrize("uri", ["sip:example.com;lr", f"sip:{TOKEN}@192.0.2.1", f"sip:{TOKEN}@192.0.2.9;lr"])
def test_what_is_no_record_route_of_ours(uri: str) -> None:
    _, incoming = enter(uri, f"<{BOB}>")
    assert incoming.request.uri_text == uri


@pytest.mark.parametrize(
    ("uri", "kind", "port", "left"),
    [
        ("sip:bob@example.com;maddr=192.0.2.1", UDP, 5060, BOB),
        ("sip:bob@example.com:5060;maddr=192.0.2.1;a=b", UDP, 5060, "sip:bob@example.com:5060;a=b"),
        ("sip:bob@example.com:5061;maddr=192.0.2.1;transport=tls", TLS, 5061, BOB),
        ("sips:bob@example.com;maddr=192.0.2.1", TLS, 5061, "sips:bob@example.com"),
        ("sips:bob@example.com:5061;maddr=192.0.2.1;transport=tcp", TLS, 5061, "sips:bob@example.com:5061"),
        ("sip:bob@other.example;maddr=example.com;transport=tcp", TCP, 5060, "sip:bob@other.example"),
        # Another transport, another port, somebody else: nothing is stripped.
        ("sip:bob@example.com;maddr=192.0.2.1;transport=tcp", UDP, 5060, ""),
        ("sip:bob@example.com;maddr=192.0.2.1", TCP, 5060, ""),
        ("sip:bob@example.com:5061;maddr=192.0.2.1", UDP, 5060, ""),
        ("sip:bob@example.com;maddr=192.0.2.9", UDP, 5060, ""),
    ],
)
def test_maddr(uri: str, kind: TransportKind, port: int, left: str) -> None:
    _, incoming = enter(uri, kind=kind, port=port)
    assert incoming.request.uri_text == (left or uri)


# -- OPTIONS -------------------------------------------------------------------------------------


def options(uri: str, *headers: tuple[str, str], method: str = "OPTIONS", first: bool = True, tags: Any = ()) -> Any:
    request = Request(method, uri, [("via", "SIP/2.0/UDP h;branch=z9hG4bKx"), ("to", "<sip:b@c>"), *headers])
    link = OptionsProcessor(Domains(), lambda: tags)  # type: ignore[arg-type]
    return link.process(Incoming(request, first=first))  # type: ignore[arg-type]


def test_options_for_the_server() -> None:
    got = options("sip:example.com", tags=("path", "gruu"))
    assert got.status == 200 and got.to.tag == "tag"
    assert {"INVITE", "ACK", "REGISTER"} <= set(got.headers.elements("allow"))
    # Section 11.2.
    for name in ("accept", "accept-encoding", "accept-language"):
        assert got.headers.first(name)
    assert got.headers.first("supported") == "path, gruu"
    assert "supported" not in options("sips:192.0.2.1").headers


@pytest.mark.parametrize(
    ("uri", "method", "headers"),
    [
        (BOB, "OPTIONS", ()),
        ("sip:example.net", "OPTIONS", ()),
        ("tel:+1555", "OPTIONS", ()),
        ("sip:example.com", "MESSAGE", ()),
        ("sip:example.com", "OPTIONS", (("route", "<sip:192.0.2.9;lr>"),)),
    ],
)
def test_options_for_others(uri: str, method: str, headers: Any) -> None:
    assert options(uri, *headers, method=method) is None


def test_what_it_requires_is_not_there() -> None:
    got = options("sip:example.com", ("require", "foo"), ("require", "bar"))
    assert got.status == 420
    assert got.headers.first("unsupported") == "foo, bar"


def test_merged_options() -> None:
    assert options("sip:example.com", first=False) is TAKEN


def test_options_of_anybody_keep_nothing() -> None:
    request = Request("OPTIONS", "sip:example.com", [("via", "SIP/2.0/UDP h;branch=z9hG4bKx"), ("to", "<sip:b@c>")])
    incoming = Incoming(request, first=False)
    incoming.user = ""
    assert OptionsProcessor(Domains()).process(incoming) is TAKEN  # type: ignore[arg-type]
    [(status, headers)] = incoming.stateless
    assert status == 200 and "INVITE" in headers["allow"]


def test_only_what_is_served_is_allowed() -> None:
    request = Request("OPTIONS", "sip:example.com", [("via", "SIP/2.0/UDP h;branch=z9hG4bKx"), ("to", "<sip:b@c>")])
    incoming = Incoming(request, first=False)
    incoming.user = ""
    registrar = OptionsProcessor(Domains(), methods=("REGISTER", "OPTIONS"))  # type: ignore[arg-type]
    assert registrar.process(incoming) is TAKEN
    [(_, headers)] = incoming.stateless
    assert headers["allow"] == "REGISTER, OPTIONS"
