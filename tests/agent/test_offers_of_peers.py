"""Offers that cannot be answered at once, or at all (RFC 3261 section 14.2, RFC 3311 section 5.2)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError

from .agents import Scene, events
from .script import HELD, OFFER, Script


@pytest.fixture
def script() -> Any:
    scene = Scene()
    scene.network.conditions.delay = (0.01, 0.01)
    made = Script(scene)
    yield made
    made.end()
    scene.stop()


def slow(script: Script) -> Deferred[Any]:
    """Have the media think about the next offer."""
    media = script.scene.media[0]
    quick = media.answer
    thinks: Deferred[Any] = Deferred()

    def answer(offer: Any) -> Any:
        return thinks.addCallback(lambda _: quick(offer))

    media.answer = answer  # type: ignore[method-assign]
    return thinks


def test_the_call_ends_meanwhile(script: Script) -> None:
    call = script.established()
    thinks = slow(script)
    with pytest.raises(AssertionError):
        script.request("INVITE", body=HELD)
    call.hangup()
    script.scene.run(0.1)
    thinks.callback(None)
    assert call.over and not call.held


def test_an_answer_to_an_update_that_comes_too_late(script: Script) -> None:
    """RFC 3311 section 5.2: 504; what the media have agreed to by then is undone."""
    call = script.established()
    thinks = slow(script)
    with pytest.raises(AssertionError):
        script.request("UPDATE", body=HELD)
    script.scene.run(20)
    told = events(call)
    thinks.callback(None)
    script.scene.run(0.1)
    assert script.scene.media[0].rollbacks == 1
    assert not call.held and events(call) == told
    assert call.established


def test_the_call_ends_and_there_is_no_answer(script: Script) -> None:
    call = script.established()
    thinks = slow(script)
    with pytest.raises(AssertionError):
        script.request("INVITE", body=HELD)
    call.hangup()
    thinks.errback(LocalProtocolError("closed"))
    script.scene.run(0.1)
    assert call.over and "MediaRejected" not in events(call)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(
    ("error", "status"), [(LocalProtocolError("an offer is open"), 488), (ValueError("oops"), 500)]
)
def test_media_that_do_not_answer(script: Script, method: str, error: Exception, status: int) -> None:
    call = script.established()

    def answer(offer: Any) -> Any:
        raise error

    script.scene.media[0].answer = answer  # type: ignore[method-assign]
    assert script.request(method, body=HELD).status == status
    assert call.established and events(call)[-1] == "MediaRejected"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_what_must_not_fail(script: Script, method: str) -> None:
    """A mistake in the program must not leave a call hanging."""
    call = script.established()

    def agreed(body: Any) -> None:
        raise ValueError("oops")

    call.media_agreed = agreed
    script.request(method, body=HELD)
    script.end()
    assert call.over and call.ending.by == "local"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_program_that_has_no_answer(script: Script, method: str) -> None:
    script.answer(script.invited(media=None, body=SessionBody("application/sdp", OFFER)), 200, "a", OFFER)
    assert script.peer.expect("ACK")
    script.call.on_offer = lambda call, offer: None
    assert script.request(method, body=HELD).status in (488, 500)
    assert script.call.established


def test_forks_that_have_lost(script: Script) -> None:
    """What they say counts no more."""
    invite = script.invited()
    script.answer(invite, 183, "a", OFFER, ("require", "100rel"), ("rseq", "1"))
    script.peer.answer(script.peer.expect("PRACK"), 200)
    script.answer(invite, 180, "c")
    script.answer(invite, 200, "b", OFFER)
    assert script.peer.expect("ACK") and script.call.established
    before = script.scene.media[0].version
    assert script.request("UPDATE", body=HELD).status in (481, 488)
    assert script.request("INFO", ("content-type", "application/x"), body=b"n").status == 481
    assert script.scene.media[0].version == before and not script.call.held
    assert "InfoReceived" not in events(script.call)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_answer_that_comes_too_late(method: str) -> None:
    """The offer has been answered 504 meanwhile: what was agreed before stays."""
    scene = Scene()
    scene.network.conditions.delay = (0.01, 0.01)
    script = Script(scene, ring_timeout=3)
    call = script.established()
    thinks = slow(script)
    if method == "UPDATE":
        with pytest.raises(AssertionError):
            script.request(method, body=HELD)
        assert script.peer.expect(lambda message: getattr(message, "status", 0) == 504, within=20)
    else:
        assert script.request(method, body=HELD).status == 504
    thinks.callback(None)
    assert scene.media[0].rollbacks == 1 and call.established and not call.held
    assert "MediaChanged" not in events(call)
    script.end()
    scene.stop()


def test_ringing_that_comes_too_late() -> None:
    """The caller is refused while the media still think about their early answer."""
    from .stranger import Stranger

    scene = Scene()
    caller = Stranger(scene, 9)
    thinks: Deferred[Any] = Deferred()
    media: list[Any] = []

    def make(call: Any) -> Any:
        media.append(scene.make_media(call))
        quick = media[0].answer
        media[0].answer = lambda offer: thinks.addCallback(lambda _: quick(offer))
        return media[0]

    caller.bob.make_media = make
    failures: list[Any] = []
    caller.bob.does = lambda call: call.ring(183, early_media=True).addErrback(failures.append) and None
    caller.request("INVITE", cseq=1, body=OFFER, wait=False)
    caller.call.leg.invite.answered = True
    thinks.callback(None)
    assert failures[0].check(LocalProtocolError)
    assert media[0].rollbacks == 1
    leg = caller.call.leg
    leg.invite.answered = False
    caller.call.reject(486)
    assert leg.quiet is False
    scene.run(1)
    scene.stop()


def test_what_other_sessions_say_does_not_count(script: Script) -> None:
    """Nothing but the session of a call changes it."""
    call = script.established()
    other: Any = SimpleNamespace(offers=None)
    refused: list[Any] = []
    offer: Any = SimpleNamespace(refuse=lambda *how, **more: refused.append(how))
    leg, before = call.leg, len(events(call))
    leg.answer_received(other, SessionBody("application/sdp", HELD))
    leg.offer_received(other, offer)
    leg.rolled_back(other)
    leg.modified(other, "INVITE", 200)
    leg.offer_wanted(other, "refresh")
    leg.free(other)
    with pytest.raises(RemoteProtocolError) as raised:
        leg.info_received(other, script.invite, "")
    assert raised.value.status == 481
    assert refused and len(events(call)) == before and not call.held and not script.scene.media[0].rollbacks
