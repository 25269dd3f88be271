"""Calls between two agents (RFC 3261 sections 13 to 15, RFC 3264)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.call_events import CallRefused, CallState
from twisted_sip.errors import LocalProtocolError, MediaRefused

from .agents import Scene, events


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def test_a_call(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri)
    answered: list[Any] = []
    ended: list[Any] = []
    call.answered.addCallback(answered.append)
    call.ended.addCallback(ended.append)
    scene.run()
    [other] = bob.arrived
    assert (call.state, other.state) == (CallState.TRYING, CallState.TRYING)
    assert other.remote.uri_text == alice.uri and other.local.uri_text == bob.uri
    other.ring()
    scene.run()
    assert (call.state, other.state) == (CallState.RINGING, CallState.RINGING)
    other.answer()
    scene.run()
    assert answered == [call] and call.established and other.established
    assert scene.media[0].remote is not None and scene.media[1].remote is not None
    scene.run(100)
    other.hangup("had enough")
    scene.run()
    assert (ended[0].by, ended[0].cause, ended[0].reason) == ("remote", "bye", "had enough")
    assert 99 < ended[0].seconds < 103
    assert other.ending is not None and other.ending.by == "local"
    assert events(call) == ["Progress", "Answered", "Confirmed", "Ended"]
    assert events(other) == ["Progress", "Answered", "Confirmed", "Ended"]
    assert [media.closed for media in scene.media] == [1, 1]
    again: list[Any] = []
    call.answered.addCallback(again.append)
    call.ended.addCallback(again.append)
    assert again == [call, ended[0]]


def test_refused(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.reject(486)
    call = alice.call(bob.uri)
    failures: list[Any] = []
    call.answered.addErrback(failures.append)
    scene.run()
    assert failures[0].check(CallRefused) and failures[0].value.status == 486
    assert failures[0].value.response.reason == "Busy Here"
    assert (call.ending.by, call.ending.cause, call.ending.status) == ("remote", "refused", 486)
    late: list[Any] = []
    call.answered.addErrback(late.append)
    assert late[0].value.status == 486


def test_hung_up_before_the_answer(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run()
    call.hangup()
    scene.run()
    assert (call.ending.by, call.ending.cause, call.ending.status) == ("local", "cancel", 487)
    assert (bob.arrived[0].ending.by, bob.arrived[0].ending.cause) == ("remote", "cancel")


def test_hung_up_at_once(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri)
    call.hangup()
    assert call.state is CallState.ENDING
    scene.run()
    assert call.ending.cause == "cancel"
    bob.does = lambda call: call.hangup()
    call = alice.call(bob.uri)
    scene.run()
    assert (call.ending.status, call.ending.cause) == (603, "refused")


def test_redirected(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    bob.does = lambda call: call.redirect("sip:nobody@198.51.100.77", carol.uri)
    carol.does = lambda call: call.answer()
    call = alice.call(bob.uri)
    scene.run(40)
    assert call.established and "Redirected" in events(call)
    assert call.request.cseq.number > 1 and carol.arrived[0].id == call.id
    bob.does = lambda call: call.redirect(bob.uri)
    call = alice.call(bob.uri)
    scene.run()
    assert call.ending.status == 302


def test_hold_and_resume(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    done: list[Any] = []
    call.hold().addCallback(done.append)
    assert call.on_hold
    scene.run()
    assert done == [call] and other.held and not call.held
    call.resume().addCallback(done.append)
    scene.run()
    assert len(done) == 2 and not other.held and not call.on_hold
    assert events(other)[2:] == ["HoldChanged", "MediaChanged", "HoldChanged", "MediaChanged"]
    # One after the other, whatever the program does.
    for change in (call.hold, call.resume, call.update, call.hold):
        change().addCallback(done.append)
    scene.run(3)
    assert len(done) == 6 and other.held
    other.hangup()
    scene.run()
    failures: list[Any] = []
    call.hold().addErrback(failures.append)
    assert failures[0].check(LocalProtocolError)


def test_glare(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    done: list[Any] = []
    call.hold().addCallback(done.append)
    other.hold().addCallback(done.append)
    scene.run(10)
    assert sorted(map(repr, done)) == sorted(map(repr, (call, other)))
    assert call.held and other.held


def test_a_refused_change_changes_nothing(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    scene.media[1].refuses = MediaRefused("no", warning_code=305, warning_text="no codec")
    failures: list[Any] = []
    call.hold().addErrback(failures.append)
    scene.run()
    assert failures[0].value.status == 488
    assert not call.on_hold and not scene.media[0].holding and scene.media[0].rollbacks == 1
    assert call.established and other.established
    assert events(other)[-1] == events(call)[-1] == "MediaRejected"


def test_media_that_do_not_fit(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)

    def answer(call: Any) -> None:
        media = scene.make_media(call)
        media.refuses = MediaRefused("no", warning_code=305, warning_text="no codec")
        call.answer(media=media).addErrback(lambda failure: None)

    bob.does = answer
    call = alice.call(bob.uri)
    scene.run()
    assert call.ending.status == 488
    assert '305 198.51.100.2 "no codec"' in call.answer_response.headers.first("warning")
    bob.does = lambda call: call.answer()
    call = alice.call(bob.uri)
    scene.media[-1].refuses = MediaRefused("no")
    scene.run()
    assert (call.ending.by, call.ending.cause, call.ending.status) == ("local", "media", 488)
    assert bob.arrived[-1].ending.cause == "bye"


def test_early_media(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.ring(183, early_media=True)
    call = alice.call(bob.uri)
    scene.run()
    assert scene.media[0].remote is not None and not call.established
    bob.arrived[0].answer()
    scene.run()
    assert call.established
    assert call.log.kept()[0].early_media


def test_nobody_answers(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri, timeout=20)
    scene.run(30)
    assert (call.ending.by, call.ending.cause) == ("network", "timeout")
    call = alice.call("sip:x@198.51.100.99")
    scene.run(40)
    assert (call.ending.by, call.ending.cause, call.ending.status) == ("network", "timeout", 408)


def test_a_call_without_offer(scene: Scene) -> None:
    """The callee makes the offer, the caller's answer is in the ACK."""
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer()
    media = scene.make_media(None)
    call = alice.call(bob.uri, media=None)
    call.on_offer = lambda call, offer: None if offer is None else scene_answer(media, offer)
    scene.run()
    assert call.established and bob.arrived[0].established
    assert scene.media[1].remote is not None
    call.update(late=True)
    scene.run()
    assert events(call)[-1] == "MediaChanged"
    media.close()


def scene_answer(media: Any, offer: Any) -> Any:
    from twisted_sip.dialog.session_terms import SessionBody
    from twisted_sip.sdp.description import SessionDescription

    made = media.answer(SessionDescription.parse(offer.data))
    return SessionBody("application/sdp", made.to_bytes())


def test_signalling_alone(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1, media=False), scene.agent("bob", 2, media=False)
    call, _ = scene.established(alice, bob)
    assert call.media is None and call.local_body is None
    with pytest.raises(LocalProtocolError):
        call.play("x")
    failures: list[Any] = []
    call.hold().addErrback(failures.append)
    assert failures[0].check(LocalProtocolError)
    assert call.statistics().packets_sent == 0


def test_keys(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    done: list[Any] = []
    call.send_dtmf("1a,#", "info").addCallback(done.append)
    scene.run(5)
    assert done == [True]
    assert [(event.digit, event.how) for event in other.log.kept()[2:]] == [("1", "info"), ("A", "info"), ("#", "info")]
    call.send_dtmf("12")
    call.send_dtmf("12", "rtp")
    call.send_dtmf("12", "inband")
    assert scene.media[0].keys == [("12", None), ("12", False), ("12", True)]
    scene.media[1].on_dtmf("5", 0.2, "rtp")
    assert other.log.kept()[-1].digit == "5"
    for digits, how in (("x", "info"), ("1", "smoke"), ("", "rtp")):
        with pytest.raises(LocalProtocolError):
            call.send_dtmf(digits, how)
    call.send_dtmf("123", "info").addCallback(done.append)
    scene.run(0.1)
    other.hangup()
    scene.run(2)
    assert done == [True, False]


def test_events_in_order_for_several_readers(scene: Scene) -> None:
    from twisted.internet.defer import Deferred

    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    read: list[str] = []

    async def follow(call: Any) -> None:
        async for event in call.events():
            read.append(type(event).__name__)

    call, _ = scene.established(alice, bob)
    Deferred.fromCoroutine(follow(call))
    assert read == ["Answered", "Confirmed"]
    Deferred.fromCoroutine(follow(call))
    call.hangup()
    assert read == ["Answered", "Confirmed"] * 2 + ["Ended"] * 2


def test_the_service_stops(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    ringing = bob.call("sip:nobody@198.51.100.50")
    stopped: list[Any] = []
    bob.stopService().addCallback(stopped.append)
    scene.run(10)
    assert stopped and call.ending.by == "remote" and ringing.over and other.over
    with pytest.raises(LocalProtocolError):
        bob.call(alice.uri)


def test_limits(scene: Scene) -> None:
    alice = scene.agent("alice", 1)
    bob = scene.agent("bob", 2, max_calls=2, max_calls_per_account=1)
    scene.established(alice, bob)
    call = alice.call(bob.uri)
    scene.run()
    assert call.ending.status == 486
    bob.settings = type(bob.settings)(max_calls=1)
    call = alice.call(bob.uri)
    scene.run()
    assert call.ending.status == 503
    with pytest.raises(LocalProtocolError):
        bob.call(alice.uri)
