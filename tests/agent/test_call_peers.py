"""An agent and a peer by script: forks, UPDATE, PRACK, races, and what goes wrong (RFC 3261, 3262, 3311, 6228)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.call_events import CallState
from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.message.builders import build_request
from twisted_sip.message.response import Response

from .agents import Scene, events
from .script import AGENT, HELD, OFFER, Script


@pytest.fixture
def script() -> Any:
    scene = Scene()
    # Nothing overtakes anything.
    scene.network.conditions.delay = (0.01, 0.01)
    made = Script(scene)
    yield made
    made.end()
    scene.stop()


def test_an_offer_in_an_update(script: Script) -> None:
    call = script.established()
    answer = script.request("UPDATE", body=HELD)
    assert answer.status == 200 and b"m=audio" in answer.body
    assert call.held and events(call)[-2:] == ["HoldChanged", "MediaChanged"]
    assert script.request("UPDATE").status == 200
    assert script.request("UPDATE", body=b"nonsense").status == 400
    assert events(call)[-1] == "MediaRejected"
    assert script.request("INVITE", body=OFFER).status == 200
    assert not call.held
    # Without an offer we make one; nobody answers it in the ACK.
    assert b"m=audio" in script.request("INVITE").body


def test_replays_and_wrong_order(script: Script) -> None:
    script.established()
    script.number = 10
    assert script.request("INFO").status == 200
    script.number = 4
    assert script.request("INFO").status == 500
    assert script.request("BYE", tag="other").status == 481
    script.number = 20
    assert script.request("MESSAGE").status == 200
    script.number = 18
    assert script.request("MESSAGE").status == 500
    script.number = 30
    assert script.request("PUBLISH").status == 405
    assert script.request("BYE").status == 200
    assert script.call.ending.by == "remote"


def test_forks(script: Script) -> None:
    """RFC 3261 section 13.2.2.4: the first answer wins, and its media."""
    invite = script.invited()
    script.answer(invite, 180, "a")
    script.answer(invite, 183, "b", HELD)
    script.answer(invite, 183, "c", OFFER)
    call = script.call
    assert call.state is CallState.RINGING and call.session is None
    media = script.scene.media[0]
    assert media.remote is not None and not media.remote.is_held
    script.answer(invite, 200, "b", HELD)
    assert call.established and call.dialog.remote_tag == "b"
    assert media.remote.is_held and call.held
    assert script.peer.expect("ACK")
    # The second answer is acknowledged and hung up.
    script.answer(invite, 200, "c", OFFER)
    assert script.peer.expect("ACK").to.tag == "c"
    bye = script.peer.expect("BYE")
    assert bye.to.tag == "c"
    script.peer.answer(bye, 200)
    assert call.established


def test_a_fork_that_ends(script: Script) -> None:
    invite = script.invited()
    script.answer(invite, 183, "a", OFFER)
    script.answer(invite, 199, "a", b"", ("reason", "SIP;cause=486"))
    assert script.call.state is CallState.RINGING
    script.answer(invite, 486, "a")
    assert script.call.ending.status == 486


def test_the_answer_crosses_the_cancel(script: Script) -> None:
    invite = script.invited()
    script.answer(invite, 180, "a")
    script.call.hangup()
    script.peer.expect("CANCEL")
    script.answer(invite, 200, "a", OFFER)
    assert script.peer.expect("ACK")
    script.peer.answer(script.peer.expect("BYE"), 200)
    assert script.call.over and script.call.ending.cause == "cancel" and script.call.ending.status == 487


def test_a_2xx_without_answer(script: Script) -> None:
    script.answer(script.invited(), 200, "a")
    assert script.peer.expect("ACK") and script.peer.expect("BYE")
    assert script.call.over
    assert script.call.ending.cause == "no-answer"


def test_an_answer_that_is_none(script: Script) -> None:
    script.answer(script.invited(), 200, "a", b"nonsense")
    assert script.peer.expect("ACK") and script.peer.expect("BYE")
    assert (script.call.ending.cause, script.call.ending.status) == ("media", 488)


def test_reliable_progress(script: Script) -> None:
    """RFC 3262: the answer is in the 183, the 200 has none."""
    invite = script.invited()
    script.answer(invite, 183, "a", OFFER, ("require", "100rel"), ("rseq", "7"))
    prack = script.peer.expect("PRACK")
    assert prack.headers.first("rack") == f"7 {invite.cseq.number} INVITE"
    script.answer(prack, 200, "a")
    script.answer(invite, 200, "a")
    assert script.call.established and script.scene.media[0].remote is not None


def test_our_progress_is_reliable_where_that_is_wanted(script: Script) -> None:
    script.alice.does = lambda call: call.ring(183, early_media=True)
    invite = build_request(
        "INVITE",
        "sip:alice@198.51.100.1",
        from_="<sip:x@198.51.100.9>;tag=a",
        to="<sip:alice@198.51.100.1>",
        call_id="c",
        cseq=1,
        headers=[
            ("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1"),
            ("contact", "<sip:x@198.51.100.9>"),
            ("require", "100rel"),
            ("content-type", "application/sdp"),
        ],
        body=OFFER,
    )
    script.peer.send(invite, AGENT)
    progress = script.peer.expect(183)
    assert progress.body
    [call] = script.alice.arrived
    call.answer()
    prack = build_request(
        "PRACK",
        progress.contacts[0].uri,
        from_="<sip:x@198.51.100.9>;tag=a",
        to=str(progress.to),
        call_id="c",
        cseq=2,
        headers=[
            ("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK2"),
            ("rack", f"{progress.headers.first('rseq')} 1 INVITE"),
        ],
    )
    script.peer.send(prack, AGENT)
    final = script.peer.expect(lambda message: isinstance(message, Response) and message.cseq.method == "INVITE")
    assert final.status in (183, 200)
    script.call = call
    script.scene.run(0.5)
    assert call.established
    # Nobody sends the ACK: in the end the call is over (section 13.3.1.4).
    script.scene.run(33)
    assert (call.ending.cause, call.ending.by) == ("no-ack", "network")


def test_a_cancel_that_says_why(script: Script) -> None:
    script.alice.does = lambda call: call.ring()
    head = (
        "{method} sip:alice@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1\nMax-Forwards: 70\n"
        "From: <sip:x@198.51.100.9>;tag=1\nTo: <sip:alice@198.51.100.1>\nCall-ID: c\nCSeq: 1 {method}\n"
        "Contact: <sip:x@198.51.100.9>\n"
    )
    script.peer.send(head.format(method="INVITE") + "\n", AGENT)
    script.peer.expect(180)
    script.peer.send(head.format(method="CANCEL") + 'Reason: SIP;cause=200;text="elsewhere"\n\n', AGENT)
    assert script.peer.expect(487)
    [call] = script.alice.arrived
    assert (call.ending.cause, call.ending.reason) == ("elsewhere", "elsewhere")


def test_a_change_that_is_refused_for_good(script: Script) -> None:
    call = script.established()
    failures: list[Any] = []
    call.hold().addErrback(failures.append)
    call.resume().addErrback(failures.append)
    script.answer(script.peer.expect("INVITE"), 481)
    script.scene.run(1)
    assert call.over and len(failures) == 2
    script.peer.answer(script.peer.expect("BYE"), 481)


def test_the_peer_is_faster(script: Script) -> None:
    """Our offer takes its time, and the peer changes the session meanwhile."""
    from twisted.internet.defer import Deferred

    call = script.established()
    media = script.scene.media[0]
    offer = media.offer
    waiting: Deferred[Any] = Deferred()
    media.offer = lambda: waiting
    done: list[Any] = []
    call.update().addCallback(done.append)
    assert not done
    script.number += 1
    script.peer.send(
        build_request(
            "INVITE",
            script.invite.contacts[0].uri,
            from_="<sip:x@198.51.100.9>;tag=a",
            to=str(script.invite.from_),
            call_id=script.invite.call_id,
            cseq=script.number,
            headers=[
                ("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKp{script.number}"),
                ("contact", "<sip:x@198.51.100.9>"),
                ("content-type", "application/sdp"),
            ],
            body=HELD,
        ),
        AGENT,
    )
    assert script.peer.expect(200)
    waiting.callback(offer())
    assert not done
    media.offer = offer
    ack = build_request(
        "ACK",
        script.invite.contacts[0].uri,
        from_="<sip:x@198.51.100.9>;tag=a",
        to=str(script.invite.from_),
        call_id=script.invite.call_id,
        cseq=script.number,
        headers=[("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKack")],
    )
    script.peer.send(ack, AGENT)
    script.answer(script.peer.expect("INVITE"), 200, "a", OFFER)
    assert done == [call] and media.rollbacks == 1


def test_session_timers(script: Script) -> None:
    """RFC 4028: refreshes go on with re-INVITE where the peer knows no UPDATE."""
    invite = script.invited()
    script.peer.answer(
        invite,
        200,
        [
            ("contact", "<sip:x@198.51.100.9>"),
            ("content-type", "application/sdp"),
            ("allow", "INVITE, ACK, BYE, CANCEL"),
            ("require", "timer"),
            ("session-expires", "100;refresher=uac"),
        ],
        OFFER,
        to_tag="a",
    )
    assert script.peer.expect("ACK")
    for _ in range(3):
        refresh = script.peer.expect("INVITE", within=60)
        fields = [("contact", "<sip:x@198.51.100.9>"), ("content-type", "application/sdp"), ("require", "timer")]
        script.peer.answer(refresh, 200, [*fields, ("session-expires", "100;refresher=uac")], OFFER, to_tag="a")
        assert script.peer.expect("ACK")
    assert script.call.established
    # No answer any more: the session ends.
    script.scene.run(150)
    assert script.call.over and script.call.ending.by == "network"


def test_an_answer_to_a_change_that_is_of_no_use(script: Script) -> None:
    call = script.established()
    script.scene.media[0].refuses = MediaRefused("no")
    failures: list[Any] = []
    call.update().addErrback(failures.append)
    script.answer(script.peer.expect("INVITE"), 200, "a", OFFER)
    assert script.peer.expect("ACK")
    # What was agreed before stays.
    assert call.established and "MediaRejected" in events(call)


def test_media_that_break(script: Script) -> None:
    call = script.established()
    media = script.scene.media[0]

    def broken(*arguments: Any) -> Any:
        raise ValueError("a mistake")

    offer, answer = media.offer, media.answer
    media.offer = media.answer = broken
    failures: list[Any] = []
    call.update().addErrback(failures.append)
    assert failures[0].check(ValueError)
    assert script.request("INVITE", body=OFFER).status == 500
    assert script.request("UPDATE", body=OFFER).status == 500
    assert script.request("INVITE").status == 500
    media.offer, media.answer = offer, answer
    assert script.request("UPDATE", body=OFFER).status == 200
    assert call.established


def test_so_many_changes_may_wait(script: Script) -> None:
    call = script.established()
    failures: list[Any] = []
    for _ in range(12):
        call.update().addErrback(failures.append)
    assert len(failures) == 3 and all(failure.check(LocalProtocolError) for failure in failures)
    assert not call.changes.idle
    invite = script.peer.expect("INVITE")
    call.hangup()
    # What waited comes to nothing; the answer crosses the BYE.
    assert len(failures) == 12
    script.answer(invite, 200, "a", OFFER)
    assert script.peer.expect("ACK")
    assert call.over


def test_an_offer_of_a_fork_that_does_not_count(script: Script) -> None:
    script.established()
    script.answer(script.invite, 183, "b", OFFER, ("require", "100rel"), ("rseq", "1"))
    script.scene.run(1)
    assert script.call.established and script.call.dialog.remote_tag == "a"


def test_an_offer_that_comes_in_the_answer(script: Script) -> None:
    """The call has no offer: the peer's is in the 2xx, and ours goes with the ACK."""
    media = script.scene.make_media(None)
    media.offer = lambda: None  # type: ignore[method-assign, assignment, return-value]
    from twisted_sip.dialog.session_terms import SessionBody
    from twisted_sip.sdp.description import SessionDescription

    invite = script.invited(media=None)
    assert not invite.body
    script.call.on_offer = lambda call, offer: SessionBody(
        "application/sdp", media.answer(SessionDescription.parse(offer.data)).to_bytes()
    )
    script.answer(invite, 200, "a", OFFER)
    assert script.peer.expect("ACK").body and script.call.established
    # A call of its own that cannot answer is hung up.
    script.call.on_offer = None
    media.close()


def test_an_offer_in_the_answer_that_is_of_no_use(script: Script) -> None:
    invite = script.invited(media=None)
    script.answer(invite, 200, "a", OFFER)
    assert script.peer.expect("ACK") and script.peer.expect("BYE")
    assert script.call.over and "MediaRejected" in events(script.call)
