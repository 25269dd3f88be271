"""Routers and hooks give targets in any kind of sequence (RFC 3261 section 16.5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import parse_uri
from twisted_sip.proxy.service import ProxyService

BOB = "sip:bob@example.com"
AT_BOB = Target(uri=parse_uri("sip:bob@192.0.2.10"))


class Found(list[Target]):
    """Targets with more to them."""


class Pair(NamedTuple):
    first: Target
    second: Target


KINDS: list[Callable[[], Sequence[Target]]] = [
    lambda: Found([AT_BOB]),
    lambda: deque([AT_BOB]),
    lambda: Pair(AT_BOB, Target(uri=parse_uri("sip:bob@192.0.2.11"), q=100)),
]


class Router:
    def __init__(self, made: Callable[[], Sequence[Target]]) -> None:
        self.made = made

    def route(self, incoming: Any) -> Any:
        return self.made()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
@pytest.mark.parametrize("hook", [False, True])
def test_any_sequence_will_do(make_house: Any, method: str, kind: Callable[[], Sequence[Target]], hook: bool) -> None:
    class Proxy(ProxyService):
        def route(self, incoming: Any) -> Any:
            return kind()

    house = make_house(proxy=Proxy) if hook else make_house(routers=[Router(kind)])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    text = house.request(method, BOB)
    house.send(alice, text)
    bob.answer(bob.expect(method), 200)
    alice.expect(200)


@pytest.mark.parametrize("kind", [Found, deque])
def test_an_empty_one_is_none(make_house: Any, kind: Any) -> None:
    class Proxy(ProxyService):
        def route(self, incoming: Any) -> Any:
            return kind()

    house = make_house(proxy=Proxy)
    alice = house.peer("192.0.2.2")
    house.send(alice, house.request("MESSAGE", BOB))
    alice.expect(480)
