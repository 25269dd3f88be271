"""Transfers, pick-up and replaced calls that go wrong, cross each other, or come from outside of the dialog."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import RemoteProtocolError

from .scene import HOST, Scene
from .scripted import Party, Talk, sdp


class Transferring(B2BUA):
    """Transfers go where a test says."""

    where: Any = None

    def route_transfer(self, call: Any, leg: Any, referral: Any) -> Any:
        return self.where() if self.where is not None else super().route_transfer(call, leg, referral)


@pytest.fixture(params=["direct", "relay", "transcode"])
def scene(request: Any) -> Any:
    made = Scene(settings={"media": request.param}, kind=Transferring)
    yield made
    made.stop()


@pytest.fixture
def plain() -> Any:
    made = Scene(kind=Transferring)
    yield made
    made.stop()


def three(scene: Scene) -> Any:
    return [scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol"), 1)]


def told(transfer: Any) -> list[Any]:
    """Return where the outcome of *transfer* will stand."""
    done: list[Any] = []
    transfer.done.addCallbacks(done.append, lambda failure: done.append(failure.value.status))
    return done


def test_outside_of_the_dialog(scene: Scene) -> None:
    """RFC 4538: the Target-Dialog says which call it is about."""
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    carol.does = lambda incoming: incoming.answer()
    done = told(alice.refer(f"sip:{scene.b2bua.user}@{HOST}", f"<{carol.uri}>", about=call))
    scene.run(3)
    assert done == [200] and carol.arrived[0].established and other.established
    scene.run(40)
    assert call.over


def test_outside_of_the_dialog_by_strangers() -> None:
    """Whoever has seen a message knows the identifiers (section 8)."""
    scene = Scene(trusts_everybody=False)
    alice, bob, carol = three(scene)
    call, _ = scene.established(alice, bob)
    done = told(alice.refer(f"sip:{scene.b2bua.user}@{HOST}", f"<{carol.uri}>", about=call))
    nobody = told(alice.refer(f"sip:{scene.b2bua.user}@{HOST}", f"<{carol.uri}>"))
    scene.run(3)
    assert done == [603] and nobody == [404] and call.established and not carol.arrived
    scene.stop()


def test_while_it_is_not_answered(plain: Scene) -> None:
    alice, bob, carol = three(plain)
    bob.does = lambda call: call.ring(183, early_media=True)
    alice.call(bob.uri)
    plain.run(2)
    done = told(bob.refer(f"sip:{plain.b2bua.user}@{HOST}", f"<{carol.uri}>", about=bob.arrived[0]))
    plain.run(3)
    assert done == [481] and not carol.arrived


@pytest.mark.parametrize(
    ("where", "status"),
    [
        (lambda: 1 / 0, 500),
        (lambda: 410, 410),
        (lambda: "tel:+1234", 416),
        (lambda: "no uri", 400),
        (lambda: Deferred.fromCoroutine(late_status()), 404),
    ],
    ids=["broken", "status", "tel", "no uri", "later"],
)
def test_nowhere(plain: Scene, where: Any, status: int) -> None:
    alice, bob, carol = three(plain)
    call, other = plain.established(alice, bob)
    plain.b2bua.where = where
    done = told(call.transfer(carol.uri))
    plain.run(3)
    assert done == [status] and call.established and other.established


async def late_status() -> int:
    return 404


def test_a_route_that_comes_too_late(plain: Scene) -> None:
    alice, bob, carol = three(plain)
    call, other = plain.established(alice, bob)
    later: Deferred[Any] = Deferred()
    plain.b2bua.where = lambda: later
    done = told(call.transfer(carol.uri))
    plain.run(1)
    other.hangup()
    plain.run(2)
    later.callback(carol.uri)
    plain.run(2)
    assert done != [200] and not carol.arrived and not plain.bridged


def test_a_route_that_fails_too_late(plain: Scene) -> None:
    alice, bob, carol = three(plain)
    call, other = plain.established(alice, bob)
    later: Deferred[Any] = Deferred()
    plain.b2bua.where = lambda: later
    call.transfer(carol.uri).done.addErrback(lambda _: None)
    plain.run(1)
    other.hangup()
    plain.run(2)
    later.errback(RemoteProtocolError("Gone", status=410))
    plain.run(2)
    # Nobody is called, and nothing is told of a transfer that is over.
    assert call.over and not carol.arrived and not plain.bridged and not len(plain.b2bua.referring)


def test_to_several_at_once(scene: Scene) -> None:
    """The first who answers takes the call, the others stop ringing."""
    from twisted_sip.interfaces.routing import Target
    from twisted_sip.message.uri import parse_uri

    alice, bob, carol = three(scene)
    dave = scene.agent("dave", 4)
    call, other = scene.established(alice, bob)
    scene.b2bua.where = lambda: [Target(uri=parse_uri(f"sip:{one.user}@{one.host}")) for one in (carol, dave)]
    carol.does = dave.does = lambda incoming: incoming.ring()
    done = told(call.transfer("sip:team@example.com"))
    scene.run(2)
    dave.arrived[0].answer()
    scene.run(3)
    assert done == [200] and carol.arrived[0].over and dave.arrived[0].established
    scene.hear((other, dave.arrived[0]))


def test_one_at_a_time(plain: Scene) -> None:
    alice, bob, carol = three(plain)
    call, other = plain.established(alice, bob)
    carol.does = lambda incoming: incoming.ring()
    first = told(call.transfer(carol.uri))
    plain.run(1)
    second = told(other.transfer(carol.uri))
    plain.run(2)
    assert second == [491] and len(carol.arrived) == 1
    carol.arrived[0].answer()
    plain.run(2)
    assert first == [200]


def test_no_ports_for_who_is_to_be_called() -> None:
    import attrs

    scene = Scene(settings={"media": "transcode"})
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    scene.plane.settings = attrs.evolve(scene.plane.settings, most_sessions=2)
    done = told(call.transfer(carol.uri))
    scene.run(3)
    assert done == [503] and call.established and other.established and not carol.arrived
    scene.stop()


def test_who_is_to_be_called_is_picked_up(scene: Scene) -> None:
    """It rings at one desk, and somebody answers at another one."""
    alice, bob, carol = three(scene)
    dave = scene.agent("dave", 4)
    call, other = scene.established(alice, bob)
    carol.does = lambda incoming: incoming.ring()
    done = told(call.transfer(carol.uri))
    scene.run(2)
    third = dave.call("sip:any@example.com", replaces=carol.arrived[0].replaces_value(early_only=True))
    scene.run(3)
    assert done == [200] and third.established and carol.arrived[0].over and other.established
    scene.hear((third, other))
    scene.run(40)
    assert call.over


def test_one_who_wants_a_transfer_is_replaced(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    dave = scene.agent("dave", 4)
    call, other = scene.established(alice, bob)
    carol.does = lambda incoming: incoming.ring()
    call.transfer(carol.uri).done.addErrback(lambda _: None)
    scene.run(2)
    third = dave.call("sip:any@example.com", replaces=call.replaces_value())
    scene.run(3)
    assert third.established and call.over and carol.arrived[0].over
    scene.hear((third, other))


def test_a_replacement_that_the_other_side_refuses(plain: Scene) -> None:
    """Whoever was to be replaced stays."""
    talk = Talk(plain).established()
    dave = Party(plain, "dave", 6)
    value = f"{talk.alice.call_id};to-tag={talk.alice.remote.rpartition('tag=')[2]};from-tag=alice"
    dave.call("sip:any@example.com", ("replaces", value), body=sdp(6000))
    talk.bob.answer(talk.bob.invited(), 488)
    dave.response(488, "INVITE")
    talk.alice.request("INVITE", body=sdp(4002, "a=ptime:30"))
    asked = talk.bob.invited()
    assert b"a=ptime:30" in asked.body
    talk.bob.answer(asked, 200, body=sdp(5002))
    talk.alice.response(200, "INVITE")
    talk.alice.ack(cseq=2)
    plain.run(0.5)
    talk.over()


def test_attended_by_who_does_not_know_what_he_says(plain: Scene) -> None:
    """The call that he names is not one of his, or is none that can be connected."""
    alice, bob, carol = three(plain)
    call, other = plain.established(alice, bob)
    uri = f"<{carol.uri}?Replaces={quote(str(call.replaces_value()), safe='')}>"
    same = told(alice.refer(f"sip:{plain.b2bua.user}@{HOST}", uri, about=call))
    plain.run(3)
    assert same == [481] and call.established and other.established


def test_attended_while_one_is_busy(plain: Scene) -> None:
    alice, bob, carol = three(plain)
    dave = plain.agent("dave", 4)
    call, _ = plain.established(alice, bob)
    second, third = plain.established(alice, carol)
    dave.does = lambda incoming: incoming.ring()
    third.transfer(dave.uri).done.addErrback(lambda _: None)
    plain.run(2)
    done = told(call.transfer(second))
    plain.run(3)
    assert done == [491] and call.established


def test_attended_between_different_media() -> None:
    """One call is decoded here, the other one is not."""
    scene = Scene(settings={"media": "relay"})
    alice = scene.agent("alice", 1)
    bob, carol = scene.agent("bob", 2), scene.agent("carol", 3, codecs=("PCMA",))
    call, _ = scene.established(alice, bob)
    wanted = scene.agent("dave", 4, codecs=("PCMU",))
    second, _ = scene.established(wanted, carol)
    assert {bridged.media for bridged in scene.bridged} == {"relay", "transcode"}
    leg = next(bridged for bridged in scene.bridged if bridged.media == "relay").caller.leg
    session = next(bridged for bridged in scene.bridged if bridged.media == "transcode").caller.session
    assert scene.b2bua.transfers._attended(leg.bridged, leg, session) == 488
    assert call.established and second.established
    scene.stop()


@pytest.mark.parametrize("mine", [b"nonsense", None])
def test_a_pick_up_that_cannot_be(plain: Scene, mine: Any) -> None:
    """Neither makes an offer; or one makes none that anybody can read."""
    talk = Talk(plain)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, body=b"" if mine is None else sdp(4000))
    bob.answer(bob.invited(), 180)
    plain.run(0.5)
    dave = Party(plain, "dave", 6)
    value = f"{bob.call_id};to-tag={bob.remote.rpartition('tag=')[2]};from-tag=bob"
    dave.call("sip:any@example.com", ("replaces", value), body=mine or b"")
    dave.response(488 if mine is None else 400, "INVITE")
    bob.answer(bob.invite, 200, body=sdp(5000))
    alice.response(200, "INVITE")
    alice.ack(b"" if mine else sdp(4000))
    plain.run(0.5)
    assert plain.bridged[0].answered
    talk.over()


def test_a_pick_up_of_a_click() -> None:
    """Nobody is there yet to be taken over."""
    scene = Scene()
    alice, bob, carol = three(scene)
    alice.does = lambda call: call.ring()
    scene.b2bua.click_to_call(alice.uri, bob.uri)
    scene.run(2)
    third = carol.call("sip:any@example.com", replaces=alice.arrived[0].replaces_value(early_only=True))
    scene.run(2)
    assert third.ending.status == 488 and not alice.arrived[0].over
    scene.stop()


def test_nobody_joins(plain: Scene) -> None:
    """RFC 3911: who requires it is told that it is not known, who only wishes it that it may not be."""
    alice, bob, carol = three(plain)
    call, _ = plain.established(alice, bob)
    third = carol.call("sip:any@example.com", join=call.join_value())
    value = call.join_value()
    wish = carol.call("sip:any@example.com", headers=[("join", value)])
    plain.run(2)
    assert (third.ending.status, wish.ending.status) == (420, 403)


def test_transfers_of_calls_that_say_nothing_of_media(plain: Scene) -> None:
    """The new leg makes the offer; who stays refuses it, and both are left with nobody."""
    alice, bob, carol = three(plain)
    call, other = plain.established(alice, bob)
    carol.does = lambda incoming: incoming.answer(
        body=SessionBody("application/sdp", sdp(1)[:-30] + b"m=x\r\n"), media=None
    )
    call.transfer(carol.uri).done.addErrback(lambda _: None)
    plain.run(5)
    assert other.over == (not plain.bridged)
