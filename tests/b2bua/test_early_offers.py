"""Offers and answers before the call is answered: reliable responses, UPDATE, PRACK (RFC 3262, RFC 3311, RFC 6337)."""

from __future__ import annotations

from typing import Any

import pytest

from .scene import Scene
from .scripted import RELIABLE, Party, Talk, sdp


@pytest.fixture(params=["direct", "relay"])
def scene(request: Any) -> Any:
    made = Scene(settings={"media": request.param})
    yield made
    made.stop()


def early(scene: Scene) -> Talk:
    """Both have agreed in a reliable response."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, RELIABLE, ("allow", "UPDATE, PRACK"), body=sdp(4000))
    assert "100rel" in (bob.invited().headers.first("supported") or "")
    bob.reliably(183, sdp(5000))
    bob.answer(bob.asked("PRACK"), 200)
    response = alice.response(183)
    assert b"m=audio" in response.body and response.headers.first("rseq")
    talk.scene.run(0.5)
    alice.prack(response)
    alice.response(200, "PRACK")
    return talk


def answered(talk: Talk) -> None:
    talk.bob.answer(talk.bob.invite, 200)
    talk.bob.asked("ACK")
    assert talk.alice.response(200, "INVITE").body == b""
    talk.alice.ack(cseq=1)
    talk.scene.run(0.5)
    assert talk.scene.bridged[0].answered
    talk.over()


def test_update_of_the_caller(scene: Scene) -> None:
    talk = early(scene)
    talk.alice.request("UPDATE", body=sdp(4002, "a=sendonly", version=2))
    update = talk.bob.asked("UPDATE")
    assert b"a=sendonly" in update.body
    talk.bob.answer(update, 200, body=sdp(5002, "a=recvonly", version=2))
    assert b"a=recvonly" in talk.alice.response(200, "UPDATE").body
    answered(talk)


def test_update_of_the_callee(scene: Scene) -> None:
    talk = early(scene)
    talk.bob.request("UPDATE", body=sdp(5002, "a=sendonly", version=2))
    update = talk.alice.asked("UPDATE")
    assert b"a=sendonly" in update.body
    talk.alice.answer(update, 200, body=sdp(4002, "a=recvonly", version=2))
    assert b"a=recvonly" in talk.bob.response(200, "UPDATE").body
    answered(talk)


def test_update_that_is_refused(scene: Scene) -> None:
    talk = early(scene)
    talk.alice.request("UPDATE", body=sdp(4002, "a=sendonly", version=2))
    talk.bob.answer(talk.bob.asked("UPDATE"), 488)
    talk.alice.response(488, "UPDATE")
    answered(talk)


def test_update_that_nobody_can_take_yet(scene: Scene) -> None:
    """The callee has described nothing that it would have to change."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, ("allow", "UPDATE"), body=sdp(4000))
    bob.answer(bob.invited(), 180)
    alice.response(180)
    alice.request("UPDATE", body=sdp(4002, version=2))
    assert alice.peer.expect(lambda message: getattr(message, "status", 0) in (491, 500))
    bob.answer(bob.invite, 200, body=sdp(5000))
    alice.response(200, "INVITE")
    alice.ack(cseq=1)
    scene.run(0.5)
    talk.over()


def test_an_offer_in_prack(scene: Scene) -> None:
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, RELIABLE, ("allow", "UPDATE, PRACK"), body=sdp(4000))
    bob.invited()
    bob.reliably(183, sdp(5000))
    bob.answer(bob.asked("PRACK"), 200)
    alice.prack(alice.response(183), sdp(4002, "a=sendonly", version=2))
    update = bob.asked("UPDATE")
    assert b"a=sendonly" in update.body
    bob.answer(update, 200, body=sdp(5002, "a=recvonly", version=2))
    assert b"a=recvonly" in alice.response(200, "PRACK").body
    answered(talk)


def late(scene: Scene) -> Talk:
    """The callee has made its offer in a reliable response."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, RELIABLE, ("allow", "UPDATE, PRACK"))
    assert bob.invited().body == b""
    bob.reliably(183, sdp(5000))
    return talk


def test_a_late_offer_in_a_reliable_response(scene: Scene) -> None:
    talk = late(scene)
    alice, bob = talk.alice, talk.bob
    response = alice.peer.expect(lambda message: getattr(message, "status", 0) == 183 and message.body)
    alice.remote, alice.target = response.headers.first("to"), response.contacts[0].uri_text
    alice.prack(response, sdp(4000, "a=recvonly"))
    alice.response(200, "PRACK")
    prack = bob.asked("PRACK")
    assert b"a=recvonly" in prack.body
    bob.answer(prack, 200)
    # What follows is no part of the set-up.
    bob.request("UPDATE", body=sdp(5002, "a=sendonly", version=2))
    update = alice.asked("UPDATE")
    alice.answer(update, 200, body=sdp(4002, "a=recvonly", version=2))
    bob.response(200, "UPDATE")
    answered(talk)


def test_a_late_offer_that_cannot_be_passed_on() -> None:
    scene = Scene(settings={"media": "relay"})
    talk = Talk(scene)
    talk.alice.call(talk.bob.uri, RELIABLE)
    talk.bob.invited()
    talk.bob.reliably(183, sdp(5000) + b"m=audio 4 RTP/AVP 0\r\n" * 9)
    # There is no other way to refuse it (RFC 6337 section 2.3).
    talk.bob.answer(talk.bob.asked("PRACK"), 200)
    talk.bob.answer(talk.bob.asked("BYE"), 200)
    talk.bob.answer(talk.bob.invite, 487)
    talk.alice.peer.expect(lambda message: getattr(message, "status", 0) >= 400)
    scene.run(40)
    assert not scene.bridged
    scene.stop()


def test_a_late_offer_that_is_not_acknowledged(scene: Scene) -> None:
    talk = late(scene)
    talk.alice.response(183)
    scene.run(33)
    assert talk.alice.peer.expect(504)
    talk.bob.answer(talk.bob.invite, 487)
    scene.run(40)
    assert not scene.bridged


def test_early_media_that_are_of_no_use(scene: Scene) -> None:
    """It rings all the same."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, body=sdp(4000))
    bob.answer(bob.invited(), 183, body=b"nonsense")
    assert alice.response(183).body == b""
    bob.answer(bob.invite, 200, body=sdp(5000))
    scene.run(0.5)
    assert not any(b"nonsense" in message.body for message in alice.peer.messages)
    alice.request("BYE", to=alice.remote)
    scene.run(40)


def test_the_second_offer_of_forks_is_not_wanted(scene: Scene) -> None:
    """Two devices ring, each of which makes an offer in a reliable response: the caller has one dialog."""
    talk = late(scene)
    alice, bob = talk.alice, talk.bob
    alice.peer.expect(lambda message: getattr(message, "status", 0) == 183 and message.body)
    bob.answer(bob.invite, 183, ("require", "100rel"), ("rseq", "1"), body=sdp(6000), tag="other")
    assert not alice.offered(0.4)
    bob.answer(bob.invite, 486)
    scene.run(40)
    assert not scene.bridged


def test_progress_that_cannot_be_passed_on(scene: Scene) -> None:
    """The caller wants every response reliably, the callee makes no offer before its 2xx."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, ("require", "100rel"))
    bob.answer(bob.invited(), 180)
    assert "180" not in alice.silent(0.4)
    bob.answer(bob.invite, 200, body=sdp(5000))
    response = alice.response(200, "INVITE")
    assert b"m=audio" in response.body
    alice.ack(sdp(4000))
    assert b"m=audio" in bob.asked("ACK").body
    talk.over()


def test_an_answer_that_does_not_come(scene: Scene) -> None:
    """The caller acknowledges the callee's offer without a word to it: there is no call."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri)
    bob.answer(bob.invited(), 200, body=sdp(5000))
    alice.response(200, "INVITE")
    alice.ack()
    bob.asked("ACK")
    bob.answer(bob.asked("BYE"), 200)
    alice.answer(alice.asked("BYE"), 200)
    scene.run(40)
    assert not scene.bridged


def test_an_answer_that_comes_too_late(scene: Scene) -> None:
    """CANCEL and 200 cross: nobody is left in a call."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    invite = alice.call(bob.uri, body=sdp(4000))
    bob.answer(bob.invited(), 180)
    alice.response(180)
    alice.cancel(invite)
    bob.asked("CANCEL")
    bob.answer(bob.invite, 200, body=sdp(5000))
    bob.asked("ACK")
    bob.answer(bob.asked("BYE"), 200)
    alice.response(487)
    scene.run(40)
    assert not scene.bridged


def test_forks_that_are_heard_and_answered(scene: Scene) -> None:
    """What one fork has said stays said: the caller agrees anew with the one that answers (section 13.2.1)."""
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, body=sdp(4000))
    bob.answer(bob.invited(), 183, body=sdp(5000), tag="one")
    heard = alice.response(183).body
    bob.answer(bob.invite, 180, tag="two")
    bob.local = bob.local.replace("tag=bob", "tag=two")
    bob.answer(bob.invite, 200, body=sdp(6000, "a=ptime:40"), tag="two")
    bob.asked("ACK")
    assert alice.response(200, "INVITE").body == heard
    alice.ack()
    again = bob.invited()
    assert again.body == b"" and again.to.tag == "two"
    bob.answer(again, 200, body=sdp(6000, "a=ptime:40", version=2))
    offer = alice.invited()
    assert b"a=ptime:40" in offer.body
    alice.answer(offer, 200, body=sdp(4000, "a=ptime:40", version=2))
    alice.asked("ACK")
    ack = bob.asked("ACK")
    assert b"a=ptime:40" in ack.body
    scene.run(0.5)
    assert not scene.bridged[0].bridge.busy
    talk.over()


def test_a_party_is_named() -> None:
    scene = Scene()
    assert Party(scene, "carol", 6).uri == "sip:carol@example.com"
    scene.stop()
