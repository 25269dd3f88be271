"""Answers that come after something else has happened: late offers in transfers, pick-ups and replacements."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from .scene import Scene
from .scripted import RELIABLE, Party, Talk, sdp
from .test_crossing import notified, refer, replaces


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


@pytest.fixture
def coded() -> Any:
    """Media are decoded here."""
    made = Scene(settings={"media": "transcode"})
    yield made
    made.stop()


def test_a_transfer_to_the_place_of_a_call_that_is_elsewhere(scene: Scene) -> None:
    """RFC 3891: whose dialog is not one of ours is told about it in the INVITE."""
    talk = Talk(scene).established()
    carol = Party(scene, "carol", 6)
    value = "elsewhere;to-tag=t;from-tag=f"
    talk.alice.request("REFER", ("refer-to", f"<{carol.uri}?Replaces={quote(value, safe='')}>"))
    talk.alice.response(202, "REFER")
    invite = carol.invited()
    assert (invite.headers.first("replaces"), "replaces" in invite.headers.elements("require")) == (value, True)
    carol.answer(invite, 481)
    while notified(talk.alice) != "SIP/2.0 481 Call/Transaction Does Not Exist":
        pass
    talk.over()


def test_the_new_one_answers_while_the_old_two_agree(scene: Scene) -> None:
    """An offer in a 2xx cannot be taken back: all are told that it is over."""
    talk = Talk(scene).established()
    alice, bob, carol = talk.alice, talk.bob, Party(scene, "carol", 6)
    refer(alice, carol)
    notified(alice)
    invite = carol.invited()
    carol.answer(invite, 180)
    bob.request("INVITE")
    asked = alice.invited()
    assert not asked.body
    alice.answer(asked, 200, body=sdp(4002, version=2))
    assert b"m=audio 4002 " in bob.response(200, "INVITE").body
    carol.answer(invite, 200, body=sdp(6000))
    carol.asked("ACK")
    # Nobody is left without a word, whoever acknowledges what now.
    bob.ack(sdp(5002), cseq=bob.cseq)
    for party in (carol, bob):
        party.answer(party.asked("BYE"), 200)
    scene.run(40)
    assert not scene.bridged


def test_a_fork_that_accepts_with_an_offer_after_another_has_offered_early(scene: Scene) -> None:
    """The caller has agreed with the first one; the second one is the one who answers."""
    alice, bob = Party(scene, "alice", 7), Party(scene, "bob", 8)
    alice.call(bob.uri, RELIABLE)
    bob.invited()
    bob.answer(bob.invite, 183, ("require", "100rel"), ("rseq", "1"), body=sdp(5000), tag="one")
    first = alice.response(183)
    alice.prack(first, sdp(4000))
    alice.response(200, "PRACK")
    bob.answer(bob.asked("PRACK"), 200, tag="one")
    bob.answer(bob.invite, 200, body=sdp(5500), tag="two")
    assert bob.asked("ACK").to.tag == "two"
    bye = bob.asked("BYE")
    assert bye.to.tag == "two"
    bob.answer(bye, 200, tag="two")
    scene.run(200)
    # No caller is left ringing, and no call without its other half.
    assert not scene.bridged and not scene.b2bua.calls


@pytest.mark.parametrize("answers", [True, False])
def test_a_replacement_whose_answer_comes_when_the_call_is_over(coded: Scene, answers: bool) -> None:
    alice, bob = coded.agent("alice", 1), coded.agent("bob", 2)
    dave = Party(coded, "dave", 6)
    call, other = coded.established(alice, bob)
    value = call.replaces_value()
    dave.call("sip:any@example.com", ("replaces", str(value)))
    assert b"m=audio " in dave.response(200, "INVITE").body
    other.hangup()
    coded.run(0.5)
    dave.ack(sdp(6000) if answers else b"")
    dave.answer(dave.asked("BYE"), 200)
    coded.run(40)
    assert call.over and not coded.bridged and not coded.b2bua.calls


@pytest.mark.parametrize("answers", [True, False])
def test_a_pick_up_whose_answer_comes_when_the_caller_has_gone(coded: Scene, answers: bool) -> None:
    alice, bob = coded.agent("alice", 1), Party(coded, "bob", 8)
    dave = Party(coded, "dave", 6)
    call = alice.call(bob.uri)
    bob.answer(bob.invited(), 180)
    coded.run(0.5)
    dave.call("sip:any@example.com", replaces(bob))
    assert b"m=audio " in dave.response(200, "INVITE").body
    call.hangup()
    bob.answer(bob.asked("CANCEL"), 200)
    bob.answer(bob.invite, 487)
    dave.ack(sdp(6000) if answers else b"")
    dave.answer(dave.asked("BYE"), 200)
    coded.run(40)
    assert call.over and not coded.bridged and not coded.b2bua.calls


@pytest.mark.parametrize("answers", [True, False])
def test_a_pick_up_while_the_phone_that_rings_refuses(coded: Scene, answers: bool) -> None:
    """The caller is connected with whoever has picked up, or is told that nobody is there."""
    alice, bob = coded.agent("alice", 1), Party(coded, "bob", 8)
    dave = Party(coded, "dave", 6)
    call = alice.call(bob.uri)
    bob.answer(bob.invited(), 180)
    coded.run(0.5)
    dave.call("sip:any@example.com", replaces(bob))
    dave.response(200, "INVITE")
    bob.answer(bob.invite, 486)
    coded.run(0.5)
    dave.ack(sdp(6000) if answers else b"")
    coded.run(1)
    assert call.established is answers
    if answers:
        call.hangup()
    dave.answer(dave.asked("BYE"), 200)
    coded.run(40)
    assert call.over and not coded.bridged and not coded.b2bua.calls


def test_who_is_picked_up_answers_after_all(scene: Scene) -> None:
    """A transfer rings at one desk and is taken at another one, while somebody lifts the receiver."""
    talk = Talk(scene).established()
    alice, bob, carol, dave = talk.alice, talk.bob, Party(scene, "carol", 6), Party(scene, "dave", 5)
    refer(alice, carol)
    notified(alice)
    invite = carol.invited()
    carol.answer(invite, 180)
    scene.run(0.5)
    dave.call("sip:any@example.com", replaces(carol), body=sdp(6500))
    asked = bob.invited()
    bob.answer(asked, 200, body=sdp(5002, version=2))
    assert b"m=audio 5002 " in dave.response(200, "INVITE").body
    dave.ack()
    # Before the CANCEL gets there.
    carol.answer(invite, 200, body=sdp(6000))
    carol.asked("ACK")
    carol.answer(carol.asked("BYE"), 200)
    while notified(alice) != "SIP/2.0 200 OK":
        pass
    alice.request("BYE")
    alice.response(200, "BYE")
    scene.run(1)
    assert scene.bridged[0].answered
    dave.request("BYE")
    bob.answer(bob.asked("BYE"), 200)
    dave.response(200, "BYE")
    scene.run(40)


def test_queued_and_forwarded(scene: Scene) -> None:
    """Provisional responses pass whatever they say, but for 100 and 199."""
    alice, bob = scene.agent("alice", 1), Party(scene, "bob", 8)
    call = alice.call(bob.uri)
    for status in (181, 182, 199):
        bob.answer(bob.invite or bob.invited(), status)
        scene.run(0.2)
    assert [event.status for event in call.log.kept()] == [181, 182]
    bob.answer(bob.invite, 486)
    scene.run(1)
    assert call.ending.status == 486


def test_what_the_fork_says_that_nobody_hears(scene: Scene) -> None:
    """Its offer is refused, and its keys are for nobody."""
    alice, bob = Party(scene, "alice", 7), Party(scene, "bob", 8)
    alice.call(bob.uri, RELIABLE, ("allow", "UPDATE, PRACK, INFO"), body=sdp(4000))
    bob.invited()
    bob.answer(bob.invite, 183, ("require", "100rel"), ("rseq", "1"), body=sdp(5000), tag="one")
    bob.answer(bob.asked("PRACK"), 200, tag="one")
    bob.answer(bob.invite, 183, ("require", "100rel"), ("rseq", "1"), body=sdp(5500), tag="two")
    prack = bob.asked("PRACK")
    assert prack.to.tag == "two"
    bob.answer(prack, 200, tag="two")
    first = alice.response(183)
    assert b"m=audio 5000 " in first.body
    alice.prack(first)
    alice.response(200, "PRACK")
    bob.local = bob.local.replace("tag=bob", "tag=two")
    bob.request("UPDATE", body=sdp(5502, version=2))
    assert bob.peer.expect(lambda one: getattr(one, "status", 0) >= 400 and one.cseq.method == "UPDATE")
    bob.request("INFO", ("content-type", "application/dtmf-relay"), body=b"Signal=5\r\n")
    bob.peer.expect(lambda one: getattr(one, "status", 0) >= 200 and one.cseq.method == "INFO")
    assert "INFO" not in alice.silent() and "UPDATE" not in alice.silent()
    bob.answer(bob.invite, 200, tag="one")
    bob.asked("ACK")
    alice.response(200, "INVITE")
    alice.ack(cseq=1)
    scene.run(40)
    assert scene.bridged[0].answered
    alice.request("BYE")
    bye = bob.asked("BYE")
    bob.answer(bye, 200, tag=bye.to.tag)
    scene.run(40)
