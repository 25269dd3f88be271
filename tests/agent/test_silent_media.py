"""Calls whose media have died, and callers who want too much of them (RFC 3326, RFC 3550)."""

from __future__ import annotations

from typing import Any

import pytest

from .agents import FakeMedia, Scene
from .script import OFFER
from .stranger import Stranger


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


class Watched(FakeMedia):
    """Media that know when nothing comes."""

    def __init__(self, call: Any, hook: Any = None) -> None:
        super().__init__(call)
        self.on_timeout = hook


def _call(scene: Scene, hook: Any = None) -> tuple[Any, Any, Any]:
    def make(call: Any) -> FakeMedia:
        scene.media.append(Watched(call, hook))
        return scene.media[-1]

    call, other = scene.established(scene.agent("alice", 1), scene.agent("bob", 2), media=make)
    return call, other, call.media


def test_a_call_without_media_ends(scene: Scene) -> None:
    call, other, media = _call(scene)
    media.on_timeout(30.02)
    scene.run()
    assert (call.ending.by, call.ending.cause, call.ending.reason) == ("local", "media", "nothing came for 30 s")
    assert (other.ending.by, other.ending.cause, other.ending.reason) == ("remote", "bye", "RTP timeout")


@pytest.mark.parametrize("who", ["we", "the peer"])
def test_on_hold_nobody_has_to_say_anything(scene: Scene, who: str) -> None:
    call, other, media = _call(scene)
    (call if who == "we" else other).hold()
    scene.run()
    media.on_timeout(30.0)
    scene.run()
    assert call.established and other.established
    (call if who == "we" else other).resume()
    scene.run()
    media.on_timeout(30.0)
    scene.run()
    assert call.over


def test_before_the_answer_silence_is_usual(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri, media=lambda call: scene.media.append(Watched(call)) or scene.media[-1])
    scene.run()
    call.media.on_timeout(30.0)
    scene.run()
    assert not call.over
    call.hangup()
    scene.run()


def test_a_program_that_has_set_the_hook_decides_itself(scene: Scene) -> None:
    told: list[float] = []
    call, _, media = _call(scene, told.append)
    media.on_timeout(30.0)
    scene.run()
    assert told == [30.0] and call.established


@pytest.mark.parametrize(("settings", "status"), [({}, 486), ({"servers": ("198.51.100.9",)}, 0), ({"max": 0}, 0)])
def test_one_address_has_so_many_calls(scene: Scene, settings: Any, status: int) -> None:
    limit = settings.pop("max", 2)
    stranger = Stranger(scene, 9, max_calls_per_source=limit, **settings)
    for number in range(3):
        stranger.request("INVITE", body=OFFER, call_id=f"c{number}", cseq=1, wait=False)
    assert len(stranger.bob.arrived) == (2 if status else 3)
    other = Stranger(scene, 8, stranger.bob)
    other.request("INVITE", body=OFFER, call_id="d", cseq=1, wait=False)
    assert len(stranger.bob.arrived) == (3 if status else 4)
    if status:
        answers = {one.status for one in stranger.peer.messages if getattr(one, "status", 0) >= 300}
        assert answers == {status}
