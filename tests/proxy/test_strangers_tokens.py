"""A stranger's dialog token leads to the two ends of that dialog and nowhere else, whichever way it is presented."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product

import pytest

from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.message.request import Request
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.server import SimulatedServer

SERVER = ("192.0.2.1", 5060)
VICTIM = "sip:victim@203.0.113.9"
_branches = count()


class Scene:
    """A server without passwords for example.com, alice, a stranger and somebody who has no part in their calls."""

    def __init__(self) -> None:
        self.network = Network(3)
        self.server = SimulatedServer(self.network, passwords=None)
        self.alice = Peer(self.network.node("198.51.100.2"))
        self.stranger = Peer(self.network.node("203.0.113.5"))
        self.victim = Peer(self.network.node("203.0.113.9"))

    def bind(self, contact: str) -> None:
        aor = "sip:alice@example.com"
        expires = self.server.node.seconds() + 3600
        made = Binding(aor=aor, key="k", contact=contact, call_id="r", cseq=1, expires_at=expires)
        self.server.location.commit(LocationChange(aor, put=(made,)))

    def text(self, method: str, uri: str, from_: str, to: str, contact: str, *extra: str) -> str:
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 198.18.0.1;rport;branch=z9hG4bK{next(_branches)}",
            f"From: {from_}",
            f"To: {to}",
            "Call-ID: call",
            f"CSeq: {10 + next(_branches)} {method}",
            f"Contact: <{contact}>",
            *extra,
        ]
        return "\n".join([*lines, "", ""])

    def call(self, caller: Peer, callee: Peer, uri: str, from_: str, contact: str) -> list[str]:
        """Set a call up; return its Record-Route values as the callee has them."""
        caller.send(self.text("INVITE", uri, f"{from_};tag=caller", f"<{uri}>", contact), SERVER)
        invite: Request = callee.expect("INVITE")
        callee.answer(invite, 200, headers=[("Contact", f"<sip:{callee.node.hosts[0]}>")], to_tag="callee")
        caller.expect(200)
        return invite.headers.elements("record-route")

    def relays(self, sender: Peer, routes: list[str]) -> list[str]:
        """Try to reach the victim with every choice of tokens, tags, further Routes and methods; return what came."""
        chosen = [[route] for route in routes] + [routes, routes[::-1]]
        tags = product(("", ";tag=caller", ";tag=callee", ";tag=other"), (";tag=caller", ";tag=callee", ";tag=other"))
        for tokens, (from_tag, to_tag), beyond, method in product(
            chosen, list(tags), ("", f"<{VICTIM};lr>"), ("MESSAGE", "INVITE", "NOTIFY", "ACK")
        ):
            route = ", ".join([*tokens, beyond] if beyond else tokens)
            who = ("<sip:alice@example.com>", "<sip:x@example.net>")
            for one, other in (who, who[::-1]):
                text = self.text(method, VICTIM, one + from_tag, other + to_tag, "sip:x@203.0.113.5", f"Route: {route}")
                sender.send(text, SERVER)
        self.network.advance(1.0)
        return [str(arrival.message) for arrival in self.victim.arrivals]


@pytest.fixture
def scene() -> Iterator[Scene]:
    yield Scene()


def test_a_stranger_who_called_reaches_nobody_else(scene: Scene) -> None:
    scene.bind("sip:alice@198.51.100.2")
    routes = scene.call(
        scene.stranger, scene.alice, "sip:alice@example.com", "<sip:x@example.net>", "sip:x@203.0.113.5"
    )
    assert scene.relays(scene.stranger, routes) == []


def test_a_stranger_who_was_called_reaches_nobody_else(scene: Scene) -> None:
    routes = scene.call(
        scene.alice, scene.stranger, "sip:x@203.0.113.5", "<sip:alice@example.com>", "sip:alice@198.51.100.2"
    )
    assert scene.relays(scene.stranger, routes) == []


def test_a_stranger_behind_a_contact_of_our_user_reaches_nobody_else(scene: Scene) -> None:
    # alice has registered somebody else's address: calls from bob go there.
    scene.bind("sip:x@203.0.113.5")
    bob = Peer(scene.network.node("198.51.100.3"))
    routes = scene.call(bob, scene.stranger, "sip:alice@example.com", "<sip:bob@example.com>", "sip:bob@198.51.100.3")
    assert scene.relays(scene.stranger, routes) == []


def test_the_token_of_an_unsolicited_notify_is_no_better(scene: Scene) -> None:
    scene.bind("sip:alice@198.51.100.2")
    notify = scene.text(
        "NOTIFY", "sip:alice@example.com", "<sip:x@example.net>;tag=caller", "<sip:alice@example.com>;tag=callee",
        "sip:x@203.0.113.5", "Event: message-summary", "Subscription-State: active",
    )  # fmt: skip
    scene.stranger.send(notify, SERVER)
    routes = scene.alice.expect("NOTIFY").headers.elements("record-route")
    assert routes
    assert scene.relays(scene.stranger, routes) == []


def test_our_user_follows_a_stranger_who_moves(scene: Scene) -> None:
    routes = scene.call(
        scene.alice, scene.stranger, "sip:x@203.0.113.5", "<sip:alice@example.com>", "sip:alice@198.51.100.2"
    )
    caller = ("<sip:alice@example.com>;tag=caller", "<sip:x@example.net>;tag=callee", "sip:alice@198.51.100.2")
    route = f"Route: {', '.join(routes[::-1])}"
    scene.alice.send(scene.text("BYE", VICTIM, *caller, route), SERVER)
    assert scene.victim.expect("BYE").uri_text == VICTIM
    # From another address of hers it still reaches the one she has called.
    moved = Peer(scene.network.node("198.51.100.77"))
    moved.send(scene.text("BYE", "sip:x@203.0.113.5", *caller, route), SERVER)
    assert scene.stranger.expect("BYE")


def test_both_ends_of_a_strangers_call_reach_each_other(scene: Scene) -> None:
    routes = scene.call(
        scene.alice, scene.stranger, "sip:x@203.0.113.5", "<sip:alice@example.com>", "sip:alice@198.51.100.2"
    )
    scene.stranger.send(
        scene.text(
            "BYE", "sip:alice@198.51.100.2", "<sip:x@example.net>;tag=callee", "<sip:alice@example.com>;tag=caller",
            "sip:x@203.0.113.5", f"Route: {', '.join(routes)}",
        ),
        SERVER,
    )  # fmt: skip
    assert scene.alice.expect("BYE")
