"""Changes that the peer accepts with an answer that cannot be used, or without one (RFC 3264 section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from twisted_sip.errors import RequestRefused
from twisted_sip.testing.media_network import MediaNetwork

from .agents import Scene, events
from .script import HELD, OFFER, Script

OTHER_CODEC = OFFER.replace(b"RTP/AVP 0", b"RTP/AVP 18")
ONE_STREAM_MORE = OFFER + b"m=video 0 RTP/AVP 31\r\n"
RECVONLY = HELD.replace(b"sendonly", b"recvonly")


class Held(Script):
    """A peer of an agent with sound."""

    def __init__(self) -> None:
        scene = Scene()
        scene.network.conditions.delay = (0.01, 0.01)
        super().__init__(scene)
        self.plane = MediaNetwork(scene.network.clock).plane("198.51.100.1", timeout=0)

    def changing(self, wanted: Any) -> tuple[Any, list[Any]]:
        """Return the re-INVITE that *wanted* sends, and where its outcome will be."""
        outcome: list[Any] = []
        wanted.addBoth(outcome.append)
        return self.peer.expect("INVITE"), outcome

    def stop(self) -> None:
        self.end()
        self.scene.stop()
        self.plane.close()


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.stop()


@pytest.mark.parametrize("useless", [OTHER_CODEC, ONE_STREAM_MORE, b""])
def test_the_call_stays_as_it_was_and_can_be_changed_later(held: Held, useless: bytes) -> None:
    call = held.established(media=held.plane)
    before = call.media.remote
    change, outcome = held.changing(call.hold())
    held.answer(change, 200, "a", useless)
    assert held.peer.expect("ACK")
    [failure] = outcome
    assert failure.check(RequestRefused) and failure.value.status == 488
    assert events(call)[2:] == ["MediaRejected"]
    assert call.established and not call.on_hold and not call.media.held and call.media.remote is before
    change, outcome = held.changing(call.hold())
    held.answer(change, 200, "a", RECVONLY)
    assert outcome == [call] and call.on_hold and events(call)[-1] == "MediaChanged"


def test_a_useless_preview_is_undone_once(held: Held) -> None:
    """The refusal that follows takes nothing else back."""
    call = held.established(media=held.plane)
    before = call.media.remote
    change, outcome = held.changing(call.hold())
    held.answer(change, 183, "a", OTHER_CODEC)
    held.answer(change, 488, "a")
    [failure] = outcome
    assert failure.check(RequestRefused) and not call.on_hold and call.media.remote is before
    assert call.media.local is not None


def test_a_preview_counts_for_nothing_once_the_change_is_refused(held: Held) -> None:
    call = held.established(media=held.plane)
    before = call.media.remote
    change, outcome = held.changing(call.hold())
    held.answer(change, 183, "a", RECVONLY)
    held.answer(change, 488, "a")
    assert outcome[0].check(RequestRefused)
    assert not call.on_hold and not call.media.held and call.media.remote is before


@pytest.mark.parametrize("status", [200, 488])
def test_an_offer_of_the_program_is_not_for_the_media(held: Held, status: int) -> None:
    call = held.established(media=held.plane)
    before = call.media.remote
    change, outcome = held.changing(call.update(HELD))
    held.answer(change, status, "a", RECVONLY if status == 200 else b"")
    assert call.media.remote is before and call.media.stream.terms.sends
    assert outcome == [call] if status == 200 else outcome[0].check(RequestRefused)
    change, outcome = held.changing(call.hold())
    held.answer(change, 200, "a", RECVONLY)
    assert outcome == [call] and call.on_hold
