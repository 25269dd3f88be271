"""What a call tells its media about signalling, and what failing media mean for the call (RFC 4568 8.3, RFC 5763 5)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.call_events import CallState

from .agents import Scene


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("uri", "secure"),
    [
        ("sip:bob@198.51.100.2", False),
        ("sip:bob@198.51.100.2;transport=tcp", False),
        ("sip:bob@198.51.100.2;transport=TLS", True),
        ("sips:bob@198.51.100.2", True),
    ],
)
def test_a_call_knows_how_its_messages_leave(scene: Scene, uri: str, secure: bool) -> None:
    alice = scene.agent("alice", 1)
    call = alice.call(uri)
    call.answered.addErrback(lambda failure: None)
    assert call.signalling_is_secure is secure
    assert scene.media[0].call is call
    scene.run(100)


def test_a_call_that_came_knows_how_it_came(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri)
    scene.run()
    [other] = bob.arrived
    assert other.signalling_is_secure is False
    other.answer()
    scene.run()
    call.hangup()
    scene.run()


def test_media_that_fail_end_the_call(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)

    def with_hook(call: Any) -> Any:
        made = scene.make_media(call)
        made.on_failure = None  # type: ignore[attr-defined]
        return made

    call = alice.call(bob.uri, media=with_hook)
    ended: list[Any] = []
    call.ended.addCallback(ended.append)
    scene.run()
    bob.arrived[0].answer()
    scene.run()
    assert call.established
    scene.media[0].on_failure("the certificate is another one")  # type: ignore[attr-defined]
    scene.run()
    assert call.state is CallState.ENDED and (ended[0].by, ended[0].cause) == ("local", "media")
    assert bob.arrived[0].state is CallState.ENDED
