"""Routes asked about requests, without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.message.builders import build_request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.gateways.settings import Gateway, GatewaysSettings
from twisted_sip.proxy.gateways.table import Gateways
from twisted_sip.proxy.routes.ways import Ways
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter


class Incoming:
    """A request on its way.

    :ivar notes: what was noted: (room, text, key).
    """

    def __init__(
        self,
        uri: str,
        *,
        method: str = "INVITE",
        user: str = "sip:alice@example.com",
        from_: str = "sip:alice@example.com",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.request = build_request(
            method,
            uri,
            from_=f"<{from_}>;tag=f",
            to="<sip:y@example.com>",
            call_id="c",
            cseq=1,
            headers=[("via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1"), *headers],
        )
        self.user = user
        self.to_tag = "t"
        self.notes: list[tuple[str, str, str]] = []

    def note(self, room: str, text: str, key: str = "", *values: str) -> None:
        self.notes.append((room, text.format(*values) if values else text, key))


def is_local_uri(uri: URI) -> bool:
    return isinstance(uri, SIPURI) and uri.host == "example.com"


def gateways(**groups: Sequence[str]) -> Gateways:
    """Return gateways by group, each with its name as that of its host."""
    entries = [
        Gateway(group=group, uri=f"sip:{name}.example.net", name=name, priority=place)
        for group, names in groups.items()
        for place, name in enumerate(names)
    ]
    return Gateways(lambda: 0.0, entries, GatewaysSettings(), lambda below: 0)


class Desk:
    """A router, and what it has made of the last request.

    :ivar incoming: that request.
    """

    def __init__(self, *routes: dict[str, Any], **how: Any) -> None:
        how.setdefault("is_stranger", lambda incoming: not incoming.user)
        how.setdefault("ways", Ways(gateways(berlin=["b1", "b2"], munich=["m1"])))
        self.router = StaticRouter([StaticRoute(**route) for route in routes], is_local_uri=is_local_uri, **how)
        self.incoming: Any = None

    def ask(self, uri: str, **request: Any) -> Any:
        """Return the Request-URIs of the targets, best first, or the status of the answer."""
        self.incoming = Incoming(uri, **request)
        found: Any = self.router.route(self.incoming)
        if isawaitable(found):
            results: list[Any] = []
            (found if isinstance(found, Deferred) else Deferred.fromCoroutine(found)).addCallback(results.append)  # type: ignore[arg-type]
            [found] = results
        if isinstance(found, Response):
            return found.status
        assert sorted(found, key=lambda target: -target.q) == list(found)
        return [str(target.uri) for target in found]

    @property
    def keys(self) -> list[str]:
        """The keys that were noted."""
        return [key for _, _, key in self.incoming.notes]


@pytest.fixture
def desk() -> Callable[..., Desk]:
    return Desk
