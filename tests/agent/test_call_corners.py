"""What is told when: the 2xx that waits, calls that end while they are looked at, requests that come too late."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import LocalProtocolError, MediaRefused, RequestRefused

from .agents import FakeMedia, Scene, events
from .script import OFFER, Script
from .stranger import Stranger


@pytest.fixture
def scene() -> Any:
    made = Scene()
    made.network.conditions.delay = (0.01, 0.01)
    yield made
    made.stop()


def replacing(caller: Stranger, tag: str, call_id: str, **how: Any) -> Any:
    return caller.request(
        "INVITE", ("replaces", f"c1;to-tag={tag};from-tag=f"), call_id=call_id, tag="z", cseq=1, body=OFFER, **how
    )


def test_a_call_is_replaced_once(scene: Scene) -> None:
    caller = Stranger(scene, 9)
    tag = caller.up()
    waiting: list[Deferred[None]] = []

    def later(call: Any) -> Deferred[None]:
        waiting.append(Deferred())
        return waiting[-1]

    caller.bob.does = later
    for number in range(3):
        replacing(caller, tag, f"e{number}", wait=False)
    for waits in waiting:
        waits.callback(None)
    scene.run(0.3)
    assert [call.state.value for call in caller.bob.arrived] == ["ended", "established", "ended", "ended"]
    assert [call.ending.status for call in caller.bob.arrived[2:]] == [603, 603]


def test_answers_of_replacements_race(scene: Scene) -> None:
    """Both are being answered when one has done it (RFC 3891 section 3)."""
    caller = Stranger(scene, 9)
    tag = caller.up()
    descriptions: list[Deferred[Any]] = []

    def slow(call: Any) -> FakeMedia:
        media = scene.make_media(call)
        quick = media.answer

        def answer(offer: Any) -> Any:
            descriptions.append(Deferred())
            return descriptions[-1].addCallback(lambda _: quick(offer))

        media.answer = answer  # type: ignore[method-assign]
        return media

    caller.bob.make_media = slow
    for number in range(2):
        replacing(caller, tag, f"e{number}", wait=False)
    for waits in descriptions:
        waits.callback(None)
    scene.run(0.3)
    _, first, second = caller.bob.arrived
    assert first.established and second.ending.status == 603


def test_what_was_to_be_replaced_is_over(scene: Scene) -> None:
    caller = Stranger(scene, 9)
    tag = caller.up()
    caller.bob.does = lambda call: Deferred()
    replacing(caller, tag, "e", wait=False)
    caller.request("BYE", to_tag=tag, cseq=2)
    scene.run(0.3)
    assert caller.bob.arrived[1].ending.status == 603


def test_the_2xx_of_a_replacement_waits(scene: Scene) -> None:
    """It waits for a PRACK, and what it was to replace ends meanwhile."""
    caller = Stranger(scene, 9)
    tag = caller.up()
    caller.bob.does = lambda call: call.ring(183, early_media=True)
    ringing = replacing(caller, tag, "e", final=False)
    assert ringing.status == 183
    call = caller.bob.arrived[1]
    call.answer()
    caller.request("BYE", to_tag=tag, cseq=2)
    assert not call.over and not call.established
    rack = ("rack", f"{ringing.headers.first('rseq')} 1 INVITE")
    caller.request("PRACK", rack, call_id="e", tag="z", to_tag=ringing.to.tag, cseq=2)
    caller.request("ACK", call_id="e", tag="z", to_tag=ringing.to.tag, cseq=1, wait=False)
    scene.run(0.5)
    assert call.over and call.ending.by == "local"


def test_no_answer_before_the_2xx(scene: Scene) -> None:
    """RFC 3262 section 3: it waits for the PRACK of a description."""
    caller = Stranger(scene, 9)
    caller.bob.does = lambda call: call.ring(183, early_media=True)
    ringing = caller.request("INVITE", body=OFFER, cseq=1, final=False)
    call = caller.call
    answered: list[Any] = []
    call.answer().addCallback(answered.append)
    scene.run(0.1)
    assert events(call) == ["Progress"] and not call.established and not answered
    rack = ("rack", f"{ringing.headers.first('rseq')} 1 INVITE")
    caller.request("PRACK", rack, to_tag=ringing.to.tag, cseq=2)
    scene.run(0.1)
    assert answered == [call] and events(call) == ["Progress", "Answered"]


def test_no_prack_no_talk(scene: Scene) -> None:
    caller = Stranger(scene, 9)
    caller.bob.does = lambda call: call.ring(183, early_media=True)
    caller.request("INVITE", body=OFFER, cseq=1, final=False)
    caller.call.answer()
    scene.run(40)
    assert caller.call.ending.status == 504 and caller.call.ending.seconds == 0
    assert "Answered" not in events(caller.call)


@pytest.mark.parametrize("way", [("require", "100rel"), ("supported", "100rel")])
def test_ringing_without_an_offer(scene: Scene, way: tuple[str, str]) -> None:
    """RFC 3262 section 5: the first reliable response has ours."""
    caller = Stranger(scene, 9)
    caller.bob.does = lambda call: call.ring()
    caller.request("INVITE", way, cseq=1, wait=False)
    scene.run(0.5)
    [ringing] = [message for message in caller.peer.messages if getattr(message, "status", 0) == 180][:1]
    assert bool(ringing.body) == (way[0] == "require")


def test_requests_after_the_end(scene: Scene) -> None:
    """RFC 5407 section 3.2: none is acknowledged and lost."""
    caller = Stranger(scene, 9)
    tag = caller.up()
    caller.call.hangup()
    scene.run(0.1)
    for number, method in enumerate(("MESSAGE", "REFER", "INFO", "PUBLISH")):
        fields = [("refer-to", "<sip:y@198.51.100.9>")] if method == "REFER" else []
        assert caller.request(method, *fields, to_tag=tag, cseq=100 + number).status == 481


@pytest.mark.parametrize("full", [{"max_calls_per_account": 1}, {"max_calls": 1}])
def test_a_replacement_needs_no_room(scene: Scene, full: dict[str, int]) -> None:
    caller = Stranger(scene, 9, **full)
    tag = caller.up()
    busy = 486 if "max_calls_per_account" in full else 503
    assert caller.request("INVITE", call_id="other", tag="o", cseq=1, body=OFFER).status == busy
    caller.bob.does = lambda call: Deferred()
    replacing(caller, tag, "c2", wait=False)
    # But not for several at a time.
    assert replacing(caller, tag, "c3").status == busy
    caller.bob.arrived[1].answer()
    scene.run(0.3)
    assert caller.bob.arrived[1].established and caller.call.over


@pytest.mark.parametrize("kept", [True, False])
def test_callers_who_hang_up_are_no_news(scene: Scene, failures: list[Any], kept: bool) -> None:
    caller = Stranger(scene, 9)
    media = FakeMedia()
    media.answer = lambda offer: Deferred()  # type: ignore[assignment, method-assign, return-value]
    caller.bob.make_media = lambda call: media
    caller.bob.does = lambda call: call.answer() if kept else call.answer() and None
    caller.request("INVITE", body=OFFER, cseq=1, branch="z9hG4bKA", wait=False)
    caller.request("CANCEL", cseq=1, branch="z9hG4bKA", wait=False)
    scene.run(1)
    late: list[Any] = []
    caller.call.answered.addErrback(late.append)
    assert late[0].check(RequestRefused)
    _ = caller.call.answered
    caller.bob.arrived.clear()
    gc.collect()
    assert failures == []


def test_calls_that_come_to_nothing_are_told(scene: Scene, failures: list[Any]) -> None:
    """Those that we make ourselves."""
    alice = scene.agent("alice", 1)
    alice.call("sip:nobody@198.51.100.66").answered.addCallback(lambda call: None)
    scene.run(40)
    gc.collect()
    assert [type(value).__name__ for value in failures] == ["CallRefused"]


def test_a_program_that_was_refused_elsewhere(scene: Scene, failures: list[Any]) -> None:
    """Another call of the program came to nothing: so does this one, without a traceback."""
    caller = Stranger(scene, 9)
    caller.bob.does = lambda call: caller.bob.call("sip:nobody@198.51.100.66", timeout=5).answered
    caller.request("INVITE", body=OFFER, cseq=1, wait=False)
    scene.run(40)
    assert caller.call.ending.status == 480 and failures == []


def test_info_in_an_early_dialog(scene: Scene) -> None:
    script = Script(scene)
    script.answer(script.invited(), 180, "a")
    assert script.request("INFO", ("content-type", "application/x"), body=b"news").status == 200
    assert "InfoReceived" in events(script.call)
    script.end()
    scene.run(40)


@pytest.mark.parametrize("name", ["replaces", "join"])
def test_call_control_belongs_into_invite(scene: Scene, name: str) -> None:
    """RFC 3891 section 3, RFC 3911 section 4."""
    caller = Stranger(scene, 9)
    field = (name, "zz;to-tag=a;from-tag=b")
    assert caller.request("OPTIONS", field).status == 400
    tag = caller.up()
    assert caller.request("INFO", field, to_tag=tag, cseq=7).status == 400
    assert caller.call.established


def test_an_address_where_the_registrar_was_not_in_between() -> None:
    """A GRUU leads nowhere for who does not know the registrar's domain."""
    scene = Scene(server=True)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    scene.established(alice, bob)
    assert "gr" in bob.arrived[0].dialog.remote_target or "198.51.100.1" in bob.arrived[0].dialog.remote_target
    caller = Stranger(scene, 9, bob)
    bob.does = lambda call: call.answer()
    answer = caller.request("INVITE", cseq=1, body=OFFER, uri=f"sip:{bob.accounts[0].contact_user}@198.51.100.2")
    assert answer.contacts[0].uri.host == "198.51.100.2" and not answer.contacts[0].uri.params
    scene.stop()


# -- a service that is started again -----------------------------------------------------------------------


@pytest.mark.parametrize("wait", [10.0, 0.0])
def test_an_agent_is_started_again(wait: float) -> None:
    scene = Scene(server=True)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    scene.established(alice, bob)
    back = alice.call_back("sip:bob@example.com")
    back.called.addErrback(lambda failure: failure.trap(RequestRefused))
    ends: list[Any] = []
    alice.stopService().addCallback(ends.append)
    if wait:
        scene.run(wait)
        assert ends == [None] and alice not in alice.element.chain
    alice.startService()
    assert ends == [None] and alice.element.chain.count(alice) == 1 and not alice.stopping
    scene.run(10)
    assert alice.running and alice.registrations[0].registered
    call, _ = scene.established(alice, bob)
    call.hangup()
    scene.run()
    assert scene.established(bob, alice)[1].established
    scene.stop()


def test_a_stop_whose_farewell_nobody_hears(scene: Scene, failures: list[Any]) -> None:
    """Subscriptions that do not end are given up quietly."""
    script = Script(scene)
    back = script.alice.call_back("sip:x@198.51.100.9")
    script.invite = subscribe = script.peer.expect("SUBSCRIBE")
    script.peer.answer(subscribe, 200, [("contact", "<sip:x@198.51.100.9>"), ("expires", "600")], to_tag="a")
    scene.run(0.1)
    script.request("NOTIFY", ("event", "dialog"), ("subscription-state", "active;expires=600"))
    ends: list[Any] = []
    script.alice.stopService().addCallback(ends.append)
    scene.run(10)
    del back
    scene.run(300)
    gc.collect()
    assert ends == [None] and failures == []


@pytest.mark.parametrize("answered", [False, True])
def test_hanging_up_with_what_cannot_be_sent(scene: Scene, answered: bool) -> None:
    """The call goes on, and can be ended after all."""
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer() if answered else call.ring()
    call = alice.call(bob.uri)
    scene.run()
    with pytest.raises(LocalProtocolError):
        call.hangup(headers=[("x-why", "two\r\nlines")])
    assert not call.leaving
    call.hangup()
    scene.run()
    assert call.over and bob.arrived[0].over
    assert bob.arrived[0].ending.cause == ("bye" if answered else "cancel")


class Clumsy(FakeMedia):
    """Makes a mistake in what *wrong* names."""

    wrong = ""

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "wrong"):
            return lambda *_: 1 / 0
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("wrong", ["answered", "close", "offer", "answer"])
def test_media_that_make_mistakes(scene: Scene, failures: list[Any], wrong: str) -> None:
    """The call ends, whoever hangs up, and nothing of it is left."""
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    media = Clumsy()
    bob.does = lambda call: call.answer(media=media if wrong == "answer" else FakeMedia())
    media.wrong = wrong
    call = alice.call(bob.uri, media=media)
    outcome: list[Any] = []
    call.answered.addBoth(outcome.append)
    call.ended.addBoth(outcome.append)
    scene.run(1)
    call.hangup()
    scene.run(40)
    assert len(outcome) == 2 and call.over and not len(alice.table) and not len(bob.table)
    assert failures and all(isinstance(error, ZeroDivisionError) for error in failures)


@pytest.mark.parametrize("wrong", ["answered", "rolled_back", "hold", "offer"])
def test_media_that_make_mistakes_in_a_change(scene: Scene, failures: list[Any], wrong: str) -> None:
    """The call goes on, and the next change is made."""
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    media = Clumsy()
    bob.does = lambda call: call.answer()
    call = alice.call(bob.uri, media=media)
    scene.run(1)
    media.wrong = wrong
    if wrong == "rolled_back":
        scene.media[0].refuses = MediaRefused("no")
    outcome: list[Any] = []
    call.hold().addBoth(outcome.append)
    scene.run(1)
    assert len(outcome) == 1 and call.established
    media.wrong, media.offered, scene.media[0].refuses = "", False, None
    call.hold().addBoth(outcome.append)
    scene.run(1)
    assert outcome[1] is call and call.on_hold
    call.hangup()
    scene.run(40)
    assert not len(alice.table)


@pytest.mark.parametrize("more", [True, False])
def test_a_refresh_that_is_due_in_the_middle_of_a_change(scene: Scene, more: bool) -> None:
    """RFC 4028 section 7.4: the change refreshes the session as well; each is sent once, and ends once."""
    script = Script(scene, session_expires=100)
    allow = [("allow", "INVITE, ACK, BYE, CANCEL"), ("require", "timer"), ("session-expires", "100;refresher=uac")]
    fields = [("contact", "<sip:x@198.51.100.9>"), ("content-type", "application/sdp"), *allow]
    script.peer.answer(script.invited(), 200, fields, OFFER, to_tag="a")
    assert script.peer.expect("ACK")
    call, outcome = script.call, []
    scene.run(45)
    call.hold().addBoth(outcome.append)
    if more:
        call.resume().addBoth(outcome.append)
    change = script.peer.expect("INVITE")
    script.peer.answer(change, 180, to_tag="a")
    scene.run(20)
    script.peer.answer(change, 200, fields, OFFER, to_tag="a")
    assert script.peer.expect("ACK")
    if more:
        change = script.peer.expect("INVITE")
        script.peer.answer(change, 200, fields, OFFER, to_tag="a")
        assert script.peer.expect("ACK")
    assert outcome == [call] * (2 if more else 1)
    scene.run(30)
    sent = [one.message for one in script.peer.arrivals if getattr(one.message, "method", "") == "INVITE"]
    assert not [one for one in sent if one.cseq.number > change.cseq.number] and call.established
    script.end()
