"""Who may take a static route: one that leads away from our users is for our users, unless it says otherwise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from twisted_sip.message.builders import build_request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.routes.dialled import Dialled
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

GATEWAY = StaticRoute(user="0*", to=("sip:{user}@gateway.example.net",))
HOTLINE = StaticRoute(user="hotline", to=("sip:desk@192.0.2.7",), strangers=True)
HELP = StaticRoute(user="help", to=("sip:alice@example.com", "sip:bob@example.com"))
MIXED = StaticRoute(user="mixed", to=("sip:alice@example.com", "sip:desk@192.0.2.7"))
GONE = StaticRoute(user="gone", status=410)


def is_local_uri(uri: URI) -> bool:
    return isinstance(uri, SIPURI) and uri.host == "example.com"


def routed(user: str, sender: str) -> Any:
    router = StaticRouter(
        (GATEWAY, HOTLINE, HELP, MIXED, GONE),
        is_stranger=lambda incoming: not incoming.user,
        is_local_uri=is_local_uri,
    )
    request = build_request(
        "INVITE", f"sip:{user}@example.com", from_="<sip:x@example.net>;tag=f", to="<sip:y@example.com>", call_id="c",
        cseq=1, headers=[("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1")],
    )  # fmt: skip
    incoming: Any = SimpleNamespace(request=request, user=sender, to_tag="t", note=lambda *words: None)
    found = router.route(incoming)
    return found.status if isinstance(found, Response) else [str(target.uri) for target in found]


@pytest.mark.parametrize(
    ("user", "strangers_get", "ours_get"),
    [
        ("0123", 403, ["sip:0123@gateway.example.net"]),
        ("hotline", ["sip:desk@192.0.2.7"], ["sip:desk@192.0.2.7"]),
        ("help", ["sip:alice@example.com", "sip:bob@example.com"], ["sip:alice@example.com", "sip:bob@example.com"]),
        ("mixed", 403, ["sip:alice@example.com", "sip:desk@192.0.2.7"]),
        ("gone", 410, 410),
        ("nothing", [], []),
    ],
)
def test_strangers_are_not_led_away(user: str, strangers_get: Any, ours_get: Any) -> None:
    assert routed(user, "") == strangers_get
    assert routed(user, "sip:alice@example.com") == ours_get


@pytest.mark.parametrize(
    ("user", "alone"),
    [("0123", True), ("hotline", False), ("help", False), ("mixed", True), ("gone", False), ("nothing", False)],
)
def test_what_is_for_users_alone(user: str, alone: bool) -> None:
    """Known before anybody has proved anything, so that callers without a name can be asked for one."""
    assert asked_of(StaticRouter((GATEWAY, HOTLINE, HELP, MIXED, GONE), is_local_uri=is_local_uri), user) is alone


@pytest.mark.parametrize(
    ("to", "alone"),
    [
        ("gateway:g", True),
        ("enum", True),
        ("sip:{user}@example.com", False),
        ("sip:{1}@{host}", False),
        ("sip:x@{user}.example.com", True),
        ("sip:{user}@", True),
    ],
)
def test_where_a_template_leads(to: str, alone: bool) -> None:
    router = StaticRouter([StaticRoute(user="*", to=("sip:{user}@example.com",))], is_local_uri=is_local_uri)
    assert router._leads_out(to, Dialled("1", "example.com")) is alone


def asked_of(router: StaticRouter, user: str) -> bool:
    request = build_request(
        "INVITE", f"sip:{user}@example.com", from_="<sip:anonymous@anonymous.invalid>;tag=f", to="<sip:y@example.com>",
        call_id="c", cseq=1, headers=[("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1")],
    )  # fmt: skip
    incoming: Any = SimpleNamespace(request=request, user="", to_tag="t", note=lambda *words: None)
    return router.is_for_users(incoming)
