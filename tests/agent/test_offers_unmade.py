"""Offers of ours that are never made, or not sent: the peer is faster, or the media fail (RFC 3261 section 14.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import MediaRefused
from twisted_sip.message.response import Response
from twisted_sip.testing.media_network import MediaNetwork

from .agents import Scene
from .script import OFFER, Script

MOVED = OFFER.replace(b"audio 4000", b"audio 6000")


class Slow:
    """Takes part in offers and answers, and takes its time."""

    protocols = ()
    session_attributes = ()

    def __init__(self) -> None:
        self.offers: list[Deferred[None]] = []
        self.answers: list[Deferred[None]] = []

    def prepare(self, stream: Any, offered: Any) -> Any:
        waiting: Deferred[None] = Deferred()
        (self.offers if offered is None else self.answers).append(waiting)
        return waiting.addCallback(lambda _: stream)

    def agreed(self, local: Any, remote: Any, *, offered: bool) -> None:
        pass

    def close(self) -> None:
        pass


class SlowCall(Script):
    """A call with sound, whose descriptions take long from now on."""

    def __init__(self) -> None:
        scene = Scene()
        scene.network.conditions.delay = (0.01, 0.01)
        super().__init__(scene)
        self.plane = MediaNetwork(scene.network.clock).plane("198.51.100.1", timeout=0)
        self.established(media=self.plane)
        self.slow = Slow()
        self.call.media._extensions.append(self.slow)
        self.outcome: list[Any] = []


@pytest.fixture
def slow_call() -> Iterator[SlowCall]:
    made = SlowCall()
    yield made
    made.end()
    made.scene.stop()
    made.plane.close()


def test_the_peer_is_faster_and_its_answer_takes_long_too(slow_call: SlowCall) -> None:
    call, slow, peer = slow_call.call, slow_call.slow, slow_call.peer
    call.hold().addBoth(slow_call.outcome.append)
    with pytest.raises(AssertionError):
        slow_call.request("INVITE", body=MOVED)
    slow.offers[0].callback(None)
    slow.answers[0].callback(None)
    answered = peer.expect(lambda message: isinstance(message, Response) and message.status == 200)
    peer.send(peer_ack(slow_call, answered), ("198.51.100.1", 5060))
    slow_call.scene.run(0.1)
    assert call.media.remote.media[0].port == 6000
    # Then ours has its turn.
    slow.offers[1].callback(None)
    slow_call.answer(peer.expect("INVITE"), 200, "a", MOVED.replace(b"sendrecv", b"recvonly"))
    assert slow_call.outcome == [call] and call.on_hold


def peer_ack(script: SlowCall, answered: Response) -> Any:
    """The ACK for a 200 of the agent."""
    from twisted_sip.message.builders import build_request

    return build_request(
        "ACK",
        script.invite.contacts[0].uri,
        from_=answered.headers.first("from") or "",
        to=answered.headers.first("to") or "",
        call_id=answered.call_id,
        cseq=answered.cseq.number,
        headers=[("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKack")],
    )


def test_media_that_cannot_make_the_offer_hold_nobody(slow_call: SlowCall) -> None:
    call, slow = slow_call.call, slow_call.slow
    call.hold().addBoth(slow_call.outcome.append)
    slow.offers[0].errback(MediaRefused("no way"))
    assert slow_call.outcome[0].check(MediaRefused)
    assert not call.on_hold and not call.media.held and call.changes.idle
    call.hold().addBoth(slow_call.outcome.append)
    slow.offers[1].callback(None)
    slow_call.answer(slow_call.peer.expect("INVITE"), 200, "a", OFFER.replace(b"sendrecv", b"recvonly"))
    assert slow_call.outcome[1] is call and call.on_hold
