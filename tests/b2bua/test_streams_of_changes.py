"""Changes that are refused, and refreshes, with more in them than one plain stream (RFC 3264 section 8, RFC 4568)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .scene import Scene
from .scripted import Talk, sdp

VIDEO = "m=video {} RTP/AVP 31"
FIRST = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
SECOND = "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:" + "B" * 40
CHOSEN = "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:" + "C" * 40
PRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)


def ports(body: bytes) -> list[int]:
    """Return the port of each stream."""
    return [int(line.split()[1]) for line in body.decode().split("\r\n") if line.startswith("m=")]


@pytest.fixture(params=["direct", "relay"])
def scene(request: Any) -> Iterator[Scene]:
    made = Scene(settings={"media": request.param})
    yield made
    made.stop()


def established(scene: Scene, offer: bytes, answer: bytes) -> tuple[Talk, bytes, bytes]:
    """Return a call, and what each of its sides has been told."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, body=offer)
    invite = bob.invited()
    bob.answer(invite, 200, body=answer)
    bob.asked("ACK")
    answered = alice.response(200, "INVITE")
    alice.ack()
    scene.run(0.5)
    bob.cseq = 100
    return talk, answered.body, invite.body


@pytest.mark.parametrize("status", [488, 500])
def test_a_removal_that_is_refused_leaves_the_stream_where_it_is(scene: Scene, status: int) -> None:
    talk, alice_knows, bob_knows = established(scene, sdp(4000, VIDEO.format(4002)), sdp(5000, VIDEO.format(5002)))
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE", body=sdp(4000, VIDEO.format(0), version=2))
    asked = bob.invited()
    assert ports(asked.body)[1] == 0
    bob.answer(asked, status)
    alice.response(status, "INVITE")
    # A change of the other stream names the ports that both know.
    bob.request("INVITE", body=sdp(5000, "a=ptime:30", VIDEO.format(5002), version=2))
    asked = alice.invited()
    assert ports(asked.body) == ports(alice_knows)
    alice.answer(asked, 200, body=sdp(4000, VIDEO.format(4002), version=3))
    alice.asked("ACK")
    assert ports(bob.response(200, "INVITE").body) == ports(bob_knows)
    bob.ack(cseq=bob.cseq)
    talk.over()


def test_a_removal_that_is_agreed_frees_the_ports() -> None:
    scene = Scene(settings={"media": "relay"})
    talk, _, _ = established(scene, sdp(4000, VIDEO.format(4002)), sdp(5000, VIDEO.format(5002)))
    alice, bob = talk.alice, talk.bob
    before = scene.plane.ports.pairs
    alice.request("INVITE", body=sdp(4000, VIDEO.format(0), version=2))
    bob.answer(bob.invited(), 200, body=sdp(5000, VIDEO.format(0), version=2))
    bob.asked("ACK")
    alice.response(200, "INVITE")
    alice.ack(cseq=alice.cseq)
    assert scene.plane.ports.pairs == before - 2
    talk.over()
    scene.stop()


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        # An answer has one key.
        (sdp(4000, FIRST, SECOND), sdp(5000, CHOSEN)),
        # It says who opens.
        (sdp(4000, PRINT, "a=setup:actpass"), sdp(5000, PRINT, "a=setup:active")),
        # It keeps to the direction of the offer,
        (sdp(4000), sdp(5000, "a=sendonly")),
        # and to what the offer can do.
        (sdp(4000, "a=rtcp-mux"), sdp(5000)),
        (sdp(4000).replace(b"t=0 0\r\n", b"t=0 0\r\na=group:BUNDLE a\r\n") + b"a=mid:a\r\n", sdp(5000)),
    ],
)
def test_an_offer_of_ours_is_no_answer(scene: Scene, offer: bytes, answer: bytes) -> None:
    """The callee refreshes with what it has answered: the caller has to answer that."""
    talk, _, _ = established(scene, offer, answer)
    alice, bob = talk.alice, talk.bob
    bob.request("INVITE", body=answer)
    asked = alice.invited()
    own = sdp(4000, "a=recvonly", version=2) if b"sendonly" in asked.body else sdp(4000, CHOSEN, version=2)
    alice.answer(asked, 200, body=own)
    alice.asked("ACK")
    refreshed = bob.response(200, "INVITE").body
    assert own.partition(b"RTP/AVP 0\r\n")[2] in refreshed
    bob.ack(cseq=bob.cseq)
    talk.over()


def test_a_plain_refresh_of_the_callee_goes_no_further(scene: Scene) -> None:
    talk, _, told = established(scene, sdp(4000), sdp(5000))
    alice, bob = talk.alice, talk.bob
    bob.request("INVITE", body=sdp(5000))
    assert bob.response(200, "INVITE").body == told
    bob.ack(cseq=bob.cseq)
    assert not alice.silent(1)
    talk.over()


@pytest.mark.parametrize(
    ("answer", "streams"),
    [
        (sdp(5000), [True, False, False]),
        (sdp(5000).partition(b"m=")[0], [False, False, False]),
        (sdp(5000, *[VIDEO.format(port) for port in (5002, 5004, 5006)]), [True, True, True]),
    ],
)
def test_an_answer_has_as_many_streams_as_its_offer(scene: Scene, answer: bytes, streams: list[bool]) -> None:
    """Whatever the callee makes of it: what it leaves out is rejected (RFC 3264 section 6)."""
    talk, told, _ = established(scene, sdp(4000, VIDEO.format(4002), "m=text 4004 RTP/AVP 98"), answer)
    assert [port > 0 for port in ports(told)] == streams
    kinds = [line.partition(" ")[0] for line in told.decode().split("\r\n") if line.startswith("m=")]
    assert kinds[0] == "m=audio" and kinds[1] == "m=video"
    bob, alice = talk.bob, talk.alice
    bob.request("INVITE", body=sdp(5000, "a=ptime:30", version=2))
    asked = alice.invited()
    assert len(ports(asked.body)) == 3
    alice.answer(asked, 200, body=sdp(4000, VIDEO.format(0), "m=text 0 RTP/AVP 98", version=2))
    alice.asked("ACK")
    assert len(ports(bob.response(200, "INVITE").body)) == 1
    bob.ack(cseq=bob.cseq)
    talk.over()
