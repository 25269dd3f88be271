"""Strangers by UDP, whose address may be forged, hear of a call once it goes somewhere (RFC 3261 section 26.3.2.4)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.builders import build_request
from twisted_sip.message.response import Response

from .scene import HOST, Scene


class Waiting(B2BUA):
    """Looks for a while where calls go."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        super().__init__(*arguments, **how)
        self.gate: Deferred[Any] = Deferred()

    def route(self, call: Any) -> Any:
        return self.gate


class Admission:
    """Lets everybody in, as it does with calls to users of ours."""

    user = ""

    def process(self, incoming: IncomingRequest) -> None:
        incoming.admitted = True
        incoming.user = self.user


@pytest.fixture
def scene() -> Any:
    made = Scene(kind=Waiting, trusts_everybody=False)
    made.b2bua.element.chain.insert(0, Admission())
    yield made
    made.stop()


def call(scene: Scene) -> Any:
    """Send an INVITE, and return what gets the answers."""
    peer = scene.peer()
    via = "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1"
    invite = build_request(
        "INVITE", "sip:bob@example.com", from_="<sip:eve@example.net>;tag=1", to="<sip:bob@example.com>", call_id="x",
        cseq=1, headers=[("via", via), ("contact", "<sip:eve@198.51.100.9>")],
    )  # fmt: skip
    peer.send(invite, (HOST, 5060))
    peer.invite = invite  # type: ignore[attr-defined]
    return peer


def statuses(peer: Any) -> list[int]:
    return [message.status for message in peer.messages if isinstance(message, Response)]


def test_one_answer(scene: Scene) -> None:
    peer = call(scene)
    scene.run(5)
    assert statuses(peer) == []
    scene.b2bua.gate.callback(403)
    scene.run(40)
    assert statuses(peer) == [403]


def test_the_answer_comes_again_when_it_is_asked_for(scene: Scene) -> None:
    peer = call(scene)
    scene.run(1)
    scene.b2bua.gate.callback(403)
    scene.run(1)
    peer.send(peer.invite, (HOST, 5060))
    scene.run(1)
    assert statuses(peer) == [403, 403]


def test_users_hear_of_it_at_once(scene: Scene) -> None:
    scene.b2bua.element.chain[0].user = "sip:eve@example.com"  # type: ignore[attr-defined]
    peer = call(scene)
    scene.run(1)
    assert statuses(peer) == [100]
    scene.b2bua.gate.callback(403)
    scene.run(40)
    assert len(statuses(peer)) > 5


def test_what_takes_long(scene: Scene) -> None:
    """Timer B: who has heard nothing gives up."""
    peer = call(scene)
    scene.run(15)
    assert statuses(peer) == []
    scene.run(2)
    assert statuses(peer) == [100]
    scene.b2bua.gate.callback(403)


def test_a_call_that_is_made(scene: Scene) -> None:
    peer = call(scene)
    scene.run(1)
    # Nobody is there.
    scene.b2bua.gate.callback("sip:bob@198.51.100.77")
    scene.run(0.1)
    assert statuses(peer) == []
    scene.run(0.2)
    assert statuses(peer) == [100]


def test_what_is_cancelled(scene: Scene) -> None:
    peer = call(scene)
    scene.run(1)
    invite = peer.invite
    via = invite.headers.first("via")
    cancel = build_request(
        "CANCEL", "sip:bob@example.com", from_=invite.from_, to=invite.to, call_id="x", cseq=1, headers=[("via", via)]
    )
    peer.send(cancel, (HOST, 5060))
    scene.run(40)
    assert sorted(statuses(peer)) == [200, 487]
    scene.b2bua.gate.callback(403)
