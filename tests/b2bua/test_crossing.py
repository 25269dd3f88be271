"""What crosses: answers and hang-ups, transfers and their parties, offers of forks; and what comes in odd carriers."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.b2bua.passage import RelayPassage, carried_answer
from twisted_sip.b2bua.session_lines import OwnSession
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import MediaRefused
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import parse_uri

from .scene import Scene
from .scripted import RELIABLE, Party, Talk, sdp


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


def refer(party: Party, to: Party, *headers: tuple[str, str]) -> None:
    party.request("REFER", ("refer-to", f"<{to.uri}>"), *headers)
    party.response(202, "REFER")


def notified(party: Party) -> str:
    """Wait for a NOTIFY; return its first line."""
    notify = party.asked("NOTIFY")
    party.answer(notify, 200)
    return notify.body.decode().partition("\r\n")[0]


def replaces(party: Party) -> tuple[str, str]:
    """Return what takes the place of *party*, as somebody else writes it."""
    return "replaces", f"{party.call_id};to-tag={party.remote.rpartition('tag=')[2]};from-tag={party.name}"


# -- transfers -----------------------------------------------------------------------------------


def test_who_stays_hangs_up_as_the_new_one_answers(scene: Scene) -> None:
    talk = Talk(scene).established()
    carol = Party(scene, "carol", 6)
    refer(talk.alice, carol)
    assert notified(talk.alice) == "SIP/2.0 100 Trying"
    invite = carol.invited()
    talk.bob.request("BYE")
    talk.bob.response(200, "BYE")
    # Before the CANCEL gets there.
    carol.answer(invite, 200, body=sdp(6000))
    carol.asked("ACK")
    carol.answer(carol.asked("BYE"), 200)
    assert notified(talk.alice) == "SIP/2.0 487 Request Terminated"
    talk.alice.answer(talk.alice.asked("BYE"), 200)
    scene.run(1)
    assert not scene.bridged


def test_the_callee_transfers_and_goes_at_once(scene: Scene) -> None:
    """RFC 5589 section 6.1 allows it: who stays is connected all the same."""
    talk = Talk(scene).established()
    carol = Party(scene, "carol", 6)
    refer(talk.bob, carol)
    notified(talk.bob)
    invite = carol.invited()
    talk.bob.request("BYE")
    talk.bob.response(200, "BYE")
    carol.answer(invite, 200, body=sdp(6000))
    asked = talk.alice.invited()
    assert b"m=audio 6000 " in asked.body
    talk.alice.answer(asked, 200, body=sdp(4000, version=2))
    talk.alice.asked("ACK")
    assert b"m=audio 4000 " in carol.asked("ACK").body
    assert notified(talk.bob) == "SIP/2.0 200 OK"
    scene.run(1)
    [bridged] = scene.bridged
    assert bridged.callee is not None and bridged.answered
    carol.request("BYE")
    talk.alice.answer(talk.alice.asked("BYE"), 200)
    carol.response(200, "BYE")


def test_one_of_several_who_are_to_be_called_is_picked_up() -> None:
    class Transferring(B2BUA):
        where: Any = None

        def route_transfer(self, call: Any, leg: Any, referral: Any) -> Any:
            return self.where

    scene = Scene(kind=Transferring)
    alice, bob, carol, dave, erin = (
        scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol", "dave", "erin"), 1)
    )
    call, other = scene.established(alice, bob)
    scene.b2bua.where = [Target(uri=parse_uri(f"sip:{one.user}@{one.host}")) for one in (carol, dave)]
    carol.does = dave.does = lambda incoming: incoming.ring()
    done: list[int] = []
    call.transfer("sip:team@example.com").done.addCallback(done.append)
    scene.run(2)
    third = erin.call("sip:any@example.com", replaces=carol.arrived[0].replaces_value(early_only=True))
    scene.run(3)
    assert done == [200] and third.established and carol.arrived[0].over and dave.arrived[0].over
    scene.hear((third, other))
    scene.stop()


def test_who_is_called_because_of_a_transfer_makes_its_offer_early(scene: Scene) -> None:
    """Nobody has said that this is understood: it is refused, and the answer counts."""
    talk = Talk(scene).established()
    carol = Party(scene, "carol", 6)
    refer(talk.alice, carol)
    notified(talk.alice)
    carol.invited()
    carol.reliably(183, sdp(6000))
    scene.run(1)
    carol.answer(carol.invite, 486)
    while notified(talk.alice) != "SIP/2.0 486 Busy Here":
        pass
    talk.over()


def test_a_replacement_without_codec_in_common(coded: Scene) -> None:
    alice, bob = coded.agent("alice", 1), coded.agent("bob", 2)
    dave = coded.agent("dave", 4, codecs=("L16/48000",))
    call, other = coded.established(alice, bob)
    third = dave.call("sip:any@example.com", replaces=call.replaces_value())
    coded.run(3)
    assert third.ending.status == 488 and call.established
    coded.hear((call, other))
    call.hangup()
    coded.run()
    assert other.over


def test_a_pick_up_without_codec_in_common(coded: Scene) -> None:
    """It goes on to ring, and can be answered."""
    alice, bob = coded.agent("alice", 1), coded.agent("bob", 2)
    dave = coded.agent("dave", 4, codecs=("L16/48000",))
    bob.does = lambda incoming: incoming.ring()
    call = alice.call(bob.uri)
    coded.run(2)
    third = dave.call("sip:any@example.com", replaces=bob.arrived[0].replaces_value(early_only=True))
    coded.run(2)
    assert third.ending.status == 488 and not bob.arrived[0].over
    bob.arrived[0].answer()
    coded.run(2)
    assert call.established
    coded.hear((call, bob.arrived[0]))


def test_a_pick_up_of_a_caller_who_makes_no_offer(scene: Scene) -> None:
    """What the one who picks up offers is what the caller answers, in its ACK."""
    alice, bob, dave = Party(scene, "alice", 7), Party(scene, "bob", 8), Party(scene, "dave", 6)
    alice.call(bob.uri)
    bob.answer(bob.invited(), 180)
    alice.response(180)
    dave.call("sip:any@example.com", replaces(bob), body=sdp(6000))
    assert b"m=audio 6000 " in alice.response(200, "INVITE").body
    alice.ack(sdp(4000))
    assert b"m=audio 4000 " in dave.response(200, "INVITE").body
    dave.ack()
    bob.answer(bob.asked("CANCEL"), 200)
    bob.answer(bob.invite, 487)
    scene.run(1)
    assert scene.bridged[0].answered
    alice.request("BYE")
    dave.answer(dave.asked("BYE"), 200)
    alice.response(200, "BYE")


# -- set-up -----------------------------------------------------------------------------------------


def test_two_forks_make_their_offers_early(scene: Scene) -> None:
    """The caller hears the first one; the second one is not taken for it."""
    alice, bob = Party(scene, "alice", 7), Party(scene, "bob", 8)
    alice.call(bob.uri, RELIABLE)
    bob.invited()
    answer = [("require", "100rel"), ("rseq", "1")]
    bob.answer(bob.invite, 183, *answer, body=sdp(5000), tag="one")
    first = alice.response(183)
    assert b"m=audio 5000 " in first.body
    bob.answer(bob.invite, 183, *answer, body=sdp(5500), tag="two")
    scene.run(1)
    alice.prack(first, sdp(4000))
    alice.response(200, "PRACK")
    prack = bob.asked("PRACK")
    while prack.to.tag != "one":
        bob.answer(prack, 200, tag=prack.to.tag)
        prack = bob.asked("PRACK")
    assert b"m=audio 4000 " in prack.body
    bob.answer(prack, 200, tag="one")
    bob.answer(bob.invite, 200, tag="one")
    bob.asked("ACK")
    alice.response(200, "INVITE")
    alice.ack()
    scene.run(1)
    assert scene.bridged[0].answered
    alice.request("BYE")
    bye = bob.asked("BYE")
    bob.answer(bye, 200, tag=bye.to.tag)
    alice.response(200, "BYE")
    scene.run(40)


def test_header_fields_of_a_program_that_cannot_be_sent() -> None:
    class Careless(B2BUA):
        def route(self, call: Any) -> Any:
            call.headers = [("x-account", "7\r\nx-evil: 1")]
            return super().route(call)

    scene = Scene(kind=Careless)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri)
    scene.run(2)
    assert call.ending.status == 500 and not bob.arrived
    scene.stop()


def test_a_program_that_hangs_up_before_the_answer(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda incoming: incoming.ring()
    call = alice.call(bob.uri)
    scene.run(1)
    [bridged] = scene.bridged
    bridged.hangup("enough")
    bridged.hangup("enough")
    scene.run(1)
    assert call.ending.status == 480 and bob.arrived[0].over and bridged.over


def test_no_ports_to_transcode_with() -> None:
    """The fall-back is none where there is no room for it."""
    import attrs

    scene = Scene(settings={"media": "relay"})
    alice, bob = scene.agent("alice", 1, codecs=("PCMU",)), scene.agent("bob", 2, codecs=("PCMA",))
    scene.plane.settings = attrs.evolve(scene.plane.settings, most_sessions=1)
    bob.does = lambda incoming: incoming.answer()
    call = alice.call(bob.uri)
    scene.run(2)
    assert call.ending.status == 488 and len(bob.arrived) == 1
    scene.stop()


# -- changes ------------------------------------------------------------------------------------------


def test_changes_where_media_are_decoded_here(coded: Scene) -> None:
    """Offers in re-INVITE and UPDATE, refusals and holds stay on their leg, but for the hold itself."""
    alice, bob = coded.agent("alice", 1), Party(coded, "bob", 8)
    call = alice.call(bob.uri)
    bob.answer(bob.invited(), 200, ("allow", "INVITE, ACK, BYE, UPDATE"), body=sdp(5000))
    bob.asked("ACK")
    coded.run(1)
    assert call.established
    bob.request("UPDATE", body=sdp(5002, version=2))
    bob.response(200, "UPDATE")
    # An offer is wanted.
    bob.request("INVITE")
    assert b"m=audio " in bob.response(200, "INVITE").body
    bob.ack(sdp(5002, version=3), cseq=bob.cseq)
    coded.run(1)
    call.hold()
    again = bob.invited()
    assert b"a=sendonly" in again.body or b"a=inactive" in again.body
    bob.answer(again, 488)
    coded.run(3)
    assert call.established
    # A key in INFO is heard, and told to the other leg in its own way.
    bob.request("INFO", ("content-type", "application/dtmf-relay"), body=b"Signal=5\r\nDuration=100\r\n")
    bob.response(200, "INFO")
    call.hangup()
    bob.answer(bob.asked("BYE"), 200)
    coded.run(1)


# -- clicks --------------------------------------------------------------------------------------------


def clicked(scene: Scene, flow: str = "IV") -> tuple[Any, Party, Party]:
    alice, bob = Party(scene, "alice", 7), Party(scene, "bob", 8)
    return scene.b2bua.click_to_call(alice.uri, bob.uri, flow=flow), alice, bob


def connected(scene: Scene) -> tuple[Any, Party, Party]:
    """Return a click by flow IV whose two hear each other."""
    click, alice, bob = clicked(scene)
    alice.answer(alice.invited(), 200, ("allow", "UPDATE"), body=sdp(4000)[: sdp(4000).index(b"m=")])
    alice.asked("ACK")
    bob.answer(bob.invited(), 200, ("allow", "UPDATE"), body=sdp(5000))
    asked = alice.invited()
    assert b"m=audio 5000 " in asked.body
    alice.answer(asked, 200, ("allow", "UPDATE"), body=sdp(4000, version=2))
    alice.asked("ACK")
    assert b"m=audio 4000 " in bob.asked("ACK").body
    scene.run(1)
    return click, alice, bob


def test_offers_between_two_who_were_connected(scene: Scene) -> None:
    _, alice, bob = connected(scene)
    alice.request("UPDATE", body=sdp(4002, version=3))
    update = bob.peer.expect(lambda one: getattr(one, "method", "") in ("UPDATE", "INVITE") and one.body != b"")
    assert b"m=audio 4002 " in update.body
    bob.answer(update, 200, body=sdp(5002, version=2))
    if update.method == "INVITE":
        bob.asked("ACK")
    assert b"m=audio 5002 " in alice.response(200, "UPDATE").body
    alice.request("BYE")
    bob.answer(bob.asked("BYE"), 200)
    alice.response(200, "BYE")


def test_a_click_that_is_given_up_as_the_first_one_answers(scene: Scene) -> None:
    click, alice, _ = clicked(scene)
    alice.answer(alice.invited(), 180)
    scene.run(0.5)
    click.hangup()
    alice.answer(alice.invite, 200, body=sdp(4000)[: sdp(4000).index(b"m=")])
    alice.asked("ACK")
    alice.answer(alice.asked("BYE"), 200)
    scene.run(40)
    assert click.over and not scene.b2bua.calls


@pytest.mark.parametrize("flow", ["I", "III", "IV"])
def test_the_second_one_says_nothing_about_media(scene: Scene, flow: str) -> None:
    """There is no session of two then: both are told so."""
    click, alice, bob = clicked(scene, flow)
    first = sdp(4000)[: sdp(4000).index(b"m=")] if flow == "IV" else sdp(4000)
    alice.answer(alice.invited(), 200, body=first)
    if flow != "I":
        alice.asked("ACK")
    bob.answer(bob.invited(), 200)
    for party in (alice, bob):
        party.answer(party.asked("BYE"), 200)
    scene.run(40)
    assert click.over and not scene.b2bua.calls


# -- passages -------------------------------------------------------------------------------------------


def test_a_relay_that_is_closed_refuses() -> None:
    scene = Scene(settings={"media": "relay"})
    passage = RelayPassage(scene.plane)
    passage.close()
    with pytest.raises(MediaRefused):
        passage.carry(sdp(), 0)
    passage = RelayPassage(scene.plane)
    with pytest.raises(Exception, match="Unsupported Session Description"):
        carried_answer(passage, SessionBody("text/plain", b"x"), 0, OwnSession(1, "192.0.2.1"), None)
    passage.close()
    scene.stop()
