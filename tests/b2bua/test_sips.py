"""Who is called by ``sips`` is not called in clear (RFC 5630 section 5.3)."""

from __future__ import annotations

import pytest

from twisted_sip.element.decisions import Decisions
from twisted_sip.message.request import Request
from twisted_sip.message.uri import parse_uri

from .scene import Scene
from .scripted import Party, sdp


def test_a_call() -> None:
    scene = Scene()
    notes = scene.b2bua.element.decisions = Decisions(scene.network.clock.seconds)
    caller, callee = Party(scene, "alice", 9), Party(scene, "bob", 8)
    caller.call("sips:bob@example.com", body=sdp())
    assert caller.response(480)
    scene.run(40)
    assert not [one for one in callee.peer.messages if isinstance(one, Request)]
    told = [one.text for one in notes.call(caller.call_id)]
    assert "480: sips:bob@example.com is not reached by sips" in told
    caller.ack()
    scene.stop()


@pytest.mark.parametrize("first", [True, False])
def test_click_to_call(first: bool) -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    alice.does = bob.does = lambda call: call.answer()
    refused: list[int] = []
    schemes = ("sips", "sip") if first else ("sip", "sips")
    call = scene.b2bua.click_to_call(f"{schemes[0]}:alice@example.com", f"{schemes[1]}:bob@example.com")
    call.connected.addErrback(lambda failure: refused.append(failure.value.status))
    scene.run(5)
    assert refused == [480] and not bob.arrived and bool(alice.arrived) is not first
    scene.stop()


def test_a_transfer() -> None:
    scene = Scene()
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, _ = scene.established(alice, bob)
    ends: list[int] = []
    call.transfer("sips:carol@example.com").done.addCallback(ends.append)
    scene.run(5)
    assert ends == [480] and not carol.arrived and call.established
    call.hangup()
    scene.stop()


def test_what_is_secure_is_called() -> None:
    targets = ["sip:a@192.0.2.7", "sips:b@192.0.2.7", "tel:+49123"]
    found = Scene().b2bua.targets_of(targets, parse_uri("sips:x@example.com"))
    assert not isinstance(found, int) and [str(target.uri) for target in found] == ["sips:b@192.0.2.7"]


def test_a_redirection() -> None:
    scene = Scene()
    caller, callee, other = Party(scene, "alice", 9), Party(scene, "bob", 8), Party(scene, "carol", 7)
    caller.call("sip:bob@example.com", body=sdp())
    callee.answer(callee.invited(), 302, ("contact", "<sips:carol@example.com>"))
    assert caller.response(480)
    scene.run(40)
    assert not [one for one in other.peer.messages if isinstance(one, Request)]
    caller.ack()
    scene.stop()
