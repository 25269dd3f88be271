"""What one leg does and the other one gets: reliable provisionals, UPDATE, refusals, messages, forks, late offers."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.call_events import CallState, MessageReceived
from twisted_sip.b2bua.passage import DirectPassage, RelayPassage, foreign
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import MediaRefused, RemoteProtocolError

from .scene import HOST, Scene
from .scripted import Party

HEAD = "v=0\r\no=- {id} {version} IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n"
SDP = HEAD + "m=audio {port} RTP/AVP 0\r\n"
TYPE = [("content-type", "application/sdp")]


def sdp(port: int = 4000, version: int = 1) -> bytes:
    return SDP.format(id=1, version=version, port=port).encode()


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def test_no_codec_in_common_is_transcoded() -> None:
    scene = Scene(settings={"media": "relay"})
    alice = scene.agent("alice", 1, codecs=("PCMU",))
    bob = scene.agent("bob", 2, codecs=("PCMA",))
    call, other = scene.established(alice, bob)
    scene.hear((call, other))
    assert scene.bridged[0].media == "transcode"
    assert call.statistics().codec != other.statistics().codec
    scene.stop()


def test_no_codec_in_common_and_no_fallback() -> None:
    scene = Scene(settings={"media": "relay", "fallback": False})
    alice = scene.agent("alice", 1, codecs=("PCMU",))
    bob = scene.agent("bob", 2, codecs=("PCMA",))
    bob.does = lambda call: call.answer()
    call = alice.call(bob.uri)
    scene.run(2)
    assert call.ending.status == 488
    scene.stop()


def test_messages_pass(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    told: list[Any] = []
    other.observe(told.append)
    call.message("hello")
    scene.run()
    assert [event.body for event in told if isinstance(event, MessageReceived)] == [b"hello"]


def test_a_refused_change_changes_nothing(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    failed: list[Any] = []
    body = sdp().partition(b"m=")[0] + b"m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 X/1\r\n"
    call.update(SessionBody("application/sdp", body)).addErrback(failed.append)
    scene.run(3)
    assert failed[0].value.status == 488
    assert call.established and other.established


def test_changes_that_cross(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    call.hold()
    other.hold()
    scene.run(20)
    assert call.on_hold and other.on_hold and call.held and other.held


def test_refreshes_stay_on_their_leg() -> None:
    scene = Scene(settings={"session_expires": 90})
    alice = scene.agent("alice", 1, session_expires=90)
    bob = scene.agent("bob", 2, session_expires=0)
    call, other = scene.established(alice, bob)
    scene.run(400)
    assert call.established and other.established
    scene.stop()


def test_unreliable_early_media_that_change_sides(scene: Scene) -> None:
    """The fork that is heard early is not the one that answers: both agree anew."""
    alice, forked = scene.agent("alice", 1), Party(scene, "forked", 9)
    call = alice.call(forked.uri)
    invite = forked.invited()
    forked.answer(invite, 183, body=sdp(4000), tag="one")
    scene.run()
    assert call.state is CallState.RINGING and call.log.kept()[-1].early_media
    forked.answer(invite, 180, tag="two")
    forked.answer(invite, 200, body=sdp(5000), tag="two")
    forked.asked("ACK")
    scene.run(0.1)
    # What alice was told first counts (RFC 3261 section 13.2.1) until the re-INVITE: two is asked for an offer.
    assert call.established and b"m=audio 4000 " in call.remote_body.data
    again = forked.invited()
    assert again.to.tag == "two" and not again.body
    forked.answer(again, 200, body=sdp(5000, version=2), tag="two")
    assert b"m=audio " in forked.asked("ACK").body
    assert b"m=audio 5000 " in call.remote_body.data
    call.hangup()
    forked.answer(forked.asked("BYE"), 200, tag="two")
    scene.run(40)


def test_the_caller_wants_reliable_provisionals(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    terms = alice.terms
    import attrs

    call = alice.call(bob.uri, terms=attrs.evolve(terms, require_reliable=True))
    bob.does = lambda incoming: incoming.ring(183, early_media=True)
    scene.run(3)
    bob.arrived[0].answer()
    scene.run(3)
    assert call.established
    scene.hear((call, bob.arrived[0]))


def test_offers_of_the_callee(scene: Scene) -> None:
    """The caller makes no offer: the callee does, in its 2xx or in a reliable 183."""
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    for early in (False, True):
        bob.does = (lambda call: call.ring(183, early_media=True)) if early else (lambda call: call.answer())
        call = alice.call(bob.uri, media=None)
        call.use_media(alice.make_media(call))
        scene.run(2)
        if early:
            bob.arrived[-1].answer()
            scene.run(2)
        assert call.established
        scene.hear((call, bob.arrived[-1]))
        call.hangup()
        scene.run()


def test_descriptions_that_are_none(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer(body=SessionBody("application/sdp", b"nonsense"), media=None)
    call = alice.call(bob.uri)
    garbage = alice.call(bob.uri, media=None, body=SessionBody("application/sdp", b"nonsense"))
    scene.run(3)
    assert call.over and garbage.ending.status == 400
    scene.run(3)


def test_other_descriptions(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    other = SessionBody("application/x-y", b"offer")
    call = alice.call(bob.uri, media=None, body=other)
    scene.run(3)
    assert call.ending.status == 415
    assert foreign(DirectPassage(), other) is other
    plane = scene.media.plane("192.0.2.7")
    relay = RelayPassage(plane)
    with pytest.raises(RemoteProtocolError):
        foreign(relay, other)
    with pytest.raises(MediaRefused):
        relay.carry(sdp() + b"m=audio 4 RTP/AVP 0\r\n" * 9, 0)
    relay.close()


def test_numeric_callers_get_our_domain() -> None:
    scene = Scene(domain="example.com")
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer()
    alice.call(bob.uri, from_='"Al" <sip:alice@198.51.100.1>')
    scene.run(2)
    assert bob.arrived[0].remote.uri_text == "sip:alice@example.com"
    scene.stop()


def test_requests_for_nobody(scene: Scene) -> None:
    peer = scene.peer()
    for method, status in (("OPTIONS", 404), ("MESSAGE", 404), ("BYE", 404)):
        peer.send(
            f"{method} sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{method}\r\n"
            f"From: <sip:a@b>;tag=1\r\nTo: <sip:x@example.com>\r\nCall-ID: {method}\r\nCSeq: 1 {method}\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            (HOST, 5060),
        )
        assert peer.expect(status)
