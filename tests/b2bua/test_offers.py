"""Offers and answers in calls that are answered, whatever the two sides make of them (RFC 3264, RFC 6337, RFC 6141)."""

from __future__ import annotations

from typing import Any

import pytest

from .scene import Scene
from .scripted import Talk, sdp

HOLD = sdp(4000, "a=sendonly", version=2)
HELD = sdp(5000, "a=recvonly", version=2)


@pytest.fixture(params=["direct", "relay"])
def scene(request: Any) -> Any:
    made = Scene(settings={"media": request.param})
    yield made
    made.stop()


@pytest.fixture
def talk(scene: Scene) -> Talk:
    return Talk(scene).established()


def agree(talk: Talk) -> None:
    """The call is in good order: a change passes."""
    alice, bob = talk.alice, talk.bob
    talk.scene.run(6)
    for one, other, port in ((alice, bob, 4010), (bob, alice, 5010)):
        invite = one.request("INVITE", body=sdp(port, "a=ptime:30", version=9))
        asked = other.invited()
        assert b"a=ptime:30" in asked.body
        other.answer(asked, 200, body=sdp(9000 - port, version=9))
        other.asked("ACK")
        one.response(200, "INVITE")
        one.ack(cseq=invite.cseq.number)
        talk.scene.run(0.5)
    [bridged] = talk.scene.bridged
    assert bridged.bridge is not None and not bridged.bridge.busy
    talk.over()


def test_by_update_where_the_other_side_does_not_know_it(scene: Scene) -> None:
    """What it says in Allow is not true: 501 (RFC 3311 section 5.1)."""
    talk = Talk(scene).established()
    talk.alice.request("UPDATE", body=HOLD)
    talk.bob.answer(talk.bob.asked("UPDATE"), 501)
    invite = talk.bob.invited()
    assert b"a=sendonly" in invite.body
    talk.bob.answer(invite, 200, body=HELD)
    assert b"a=recvonly" in talk.alice.response(200, "UPDATE").body
    agree(talk)


def test_update_that_is_answered_too_late(scene: Scene) -> None:
    """The other side needs a re-INVITE, and its user time: 504, and what it agrees to afterwards is undone."""
    talk = Talk(scene).established(allow="INVITE, ACK, BYE, CANCEL")
    alice, bob = talk.alice, talk.bob
    alice.request("UPDATE", body=HOLD)
    invite = bob.invited()
    bob.answer(invite, 180)
    scene.run(10)
    bob.answer(invite, 180)
    scene.run(7)
    alice.response(504, "UPDATE")
    cancel = bob.asked("CANCEL")
    bob.answer(cancel, 200)
    bob.answer(invite, 200, body=HELD)
    bob.asked("ACK")
    again = bob.invited()
    assert b"a=sendonly" not in again.body
    bob.answer(again, 200, body=sdp(5000, version=3))
    bob.asked("ACK")
    agree(talk)


def test_a_change_that_is_cancelled(talk: Talk) -> None:
    """CANCEL of a re-INVITE goes on to the other side (section 9.1)."""
    alice, bob = talk.alice, talk.bob
    invite = alice.request("INVITE", body=HOLD)
    asked = bob.invited()
    bob.answer(asked, 180)
    talk.scene.run(0.5)
    alice.cancel(invite)
    alice.response(487, "INVITE")
    bob.answer(bob.asked("CANCEL"), 200)
    bob.answer(asked, 487)
    agree(talk)


def test_a_change_that_is_cancelled_too_late(talk: Talk) -> None:
    alice, bob = talk.alice, talk.bob
    invite = alice.request("INVITE", body=HOLD)
    asked = bob.invited()
    bob.answer(asked, 180)
    talk.scene.run(0.5)
    alice.cancel(invite)
    alice.response(487, "INVITE")
    bob.asked("CANCEL")
    bob.answer(asked, 200, body=HELD)
    bob.asked("ACK")
    again = bob.invited()
    assert b"a=sendonly" not in again.body
    bob.answer(again, 200, body=sdp(5000, version=3))
    bob.asked("ACK")
    agree(talk)


@pytest.mark.parametrize("status", [488, 500, 415])
def test_a_change_that_is_refused(talk: Talk, status: int) -> None:
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE", body=HOLD)
    bob.answer(bob.invited(), status)
    alice.response(status, "INVITE")
    agree(talk)


def test_a_change_that_is_answered_with_nonsense() -> None:
    """Who has offered hears of it, who has answered is told what is in force."""
    scene = Scene(settings={"media": "relay"})
    talk = Talk(scene).established()
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE", body=HOLD)
    bob.answer(bob.invited(), 200, body=b"v=0\r\nnonsense")
    alice.response(400, "INVITE")
    again = bob.invited()
    assert b"a=sendonly" not in again.body
    bob.answer(again, 200, body=b"nonsense")
    bob.asked("ACK")
    bob.peer.skip()
    agree(talk)
    scene.stop()


def test_nonsense_is_not_passed_on(talk: Talk) -> None:
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE", body=b"nonsense")
    alice.response(400, "INVITE")
    alice.request("INVITE", ("content-type", "application/x-y"), ("content-disposition", "session"), body=b"other")
    alice.peer.expect(lambda message: getattr(message, "status", 0) == 415)
    assert not bob.silent(1)
    agree(talk)


def test_a_part_of_a_body(talk: Talk) -> None:
    """The description is what counts of a body with several parts (RFC 5621)."""
    alice, bob = talk.alice, talk.bob
    parts = [
        b"--x\r\nContent-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\n\r\nhello\r\n",
        b"--x\r\nContent-Type: application/sdp\r\n\r\n" + HOLD + b"\r\n--x--\r\n",
    ]
    alice.request("INVITE", ("content-type", "multipart/mixed;boundary=x"), body=b"".join(parts))
    asked = bob.invited()
    assert asked.headers.first("content-type") == "application/sdp" and b"a=sendonly" in asked.body
    bob.answer(asked, 200, body=HELD)
    alice.response(200, "INVITE")
    alice.ack(cseq=alice.cseq)
    agree(talk)


def test_more_streams_than_are_relayed() -> None:
    scene = Scene(settings={"media": "relay"})
    talk = Talk(scene).established()
    talk.alice.request("INVITE", body=sdp(4000) + b"m=audio 4 RTP/AVP 0\r\n" * 9)
    refused = talk.alice.response(488, "INVITE")
    assert refused.headers.first("warning")
    agree(talk)
    scene.stop()


def test_a_late_offer(talk: Talk) -> None:
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE")
    asked = bob.invited()
    assert not asked.body
    bob.answer(asked, 200, body=sdp(5002, "a=ptime:40", version=2))
    assert b"a=ptime:40" in alice.response(200, "INVITE").body
    alice.ack(sdp(4002, "a=ptime:40", version=2), cseq=alice.cseq)
    assert b"a=ptime:40" in bob.asked("ACK").body
    agree(talk)


@pytest.mark.parametrize("status", [488, 491])
def test_a_late_offer_that_is_not_made(talk: Talk, status: int) -> None:
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE")
    bob.answer(bob.invited(), status)
    alice.response(status, "INVITE")
    agree(talk)


def test_a_late_offer_without_words(talk: Talk) -> None:
    """A 2xx without an offer to who has asked for one."""
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE")
    bob.answer(bob.invited(), 200)
    alice.response(488, "INVITE")
    talk.scene.run(40)


def test_a_late_offer_of_nonsense(talk: Talk) -> None:
    """There is no way to refuse it but to hang up (RFC 6337 section 2.3)."""
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE")
    bob.answer(bob.invited(), 200, body=b"nonsense")
    alice.response(400, "INVITE")
    bob.answer(bob.asked("BYE"), 200)
    alice.answer(alice.asked("BYE"), 200)


def test_a_late_offer_that_is_not_wanted_any_more(talk: Talk) -> None:
    """CANCEL before it has come: it is an offer like any other."""
    alice, bob = talk.alice, talk.bob
    invite = alice.request("INVITE")
    asked = bob.invited()
    bob.answer(asked, 180)
    talk.scene.run(0.5)
    alice.cancel(invite)
    alice.response(487, "INVITE")
    bob.answer(asked, 200, body=sdp(5002, "a=ptime:40", version=2))
    offer = alice.invited()
    assert b"a=ptime:40" in offer.body
    alice.answer(offer, 200, body=sdp(4002, "a=ptime:40", version=2))
    alice.asked("ACK")
    assert b"a=ptime:40" in bob.asked("ACK").body
    agree(talk)


def test_a_late_offer_that_is_not_answered(talk: Talk) -> None:
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE")
    bob.answer(bob.invited(), 200, body=sdp(5002, "a=ptime:40", version=2))
    alice.response(200, "INVITE")
    alice.ack(cseq=alice.cseq)
    bob.asked("ACK")
    bob.answer(bob.asked("BYE"), 200)
    alice.answer(alice.asked("BYE"), 200)


def test_offers_of_both_at_once(talk: Talk) -> None:
    """One is under way: the other one is told 491, as if both had crossed."""
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE", body=HOLD)
    asked = bob.invited()
    bob.answer(asked, 180)
    bob.request("UPDATE", body=sdp(5002, "a=inactive", version=2))
    assert bob.peer.expect(lambda message: getattr(message, "status", 0) in (491, 500))
    bob.answer(asked, 200, body=HELD)
    alice.response(200, "INVITE")
    alice.ack(cseq=alice.cseq)
    agree(talk)


def test_questions_of_both_at_once(talk: Talk) -> None:
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE", body=HOLD)
    asked = bob.invited()
    bob.answer(asked, 180)
    bob.request("INVITE")
    bob.response(491, "INVITE")
    bob.answer(asked, 200, body=HELD)
    alice.response(200, "INVITE")
    alice.ack(cseq=alice.cseq)
    agree(talk)


def test_a_refresh_goes_no_further(talk: Talk) -> None:
    alice, bob = talk.alice, talk.bob
    alice.request("INVITE", body=sdp(4000))
    alice.response(200, "INVITE")
    alice.ack(cseq=alice.cseq)
    assert not bob.silent(1)
    agree(talk)
