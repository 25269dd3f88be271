"""Calls whose media go through the b2bua: silence, ports that are used up, pick-up, who rings for how long."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import parse_uri

from .scene import Scene
from .scripted import TYPE, Party, sdp


def limit(scene: Scene, sessions: int) -> None:
    """Let there be no more media than that."""
    scene.plane.settings = attrs.evolve(scene.plane.settings, most_sessions=sessions)


def silence(scene: Scene, *calls: Any) -> None:
    """Their devices are gone."""
    for call in calls:
        call.media.close()


def test_both_are_gone() -> None:
    scene = Scene(settings={"media": "relay"})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    silence(scene, call)
    scene.run(50)
    assert call.established
    silence(scene, other)
    scene.run(50)
    assert call.ending.reason == other.ending.reason == "No Media"
    assert scene.accounting.records[-1].ended_by == "server"
    scene.stop()


def test_both_are_silent_on_hold() -> None:
    scene = Scene(settings={"media": "relay"})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    call.hold()
    scene.run(2)
    silence(scene, call, other)
    scene.run(100)
    assert call.established and other.established
    scene.stop()


def test_nothing_is_said_before_the_answer() -> None:
    scene = Scene(settings={"media": "relay"})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run(60)
    assert call.state.value == "ringing"
    bob.arrived[0].answer()
    scene.run()
    scene.hear((call, bob.arrived[0]))
    scene.stop()


def test_no_ports_for_a_transfer() -> None:
    """Those that there are do."""
    scene = Scene(settings={"media": "relay"})
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, other = scene.established(alice, bob)
    limit(scene, 1)
    carol.does = lambda incoming: incoming.answer()
    call.transfer(carol.uri)
    scene.run(8)
    assert other.established and carol.arrived[0].established and call.over
    scene.hear((other, carol.arrived[0]))
    scene.stop()


@pytest.mark.parametrize("media", ["relay", "transcode"])
def test_no_ports_at_all(media: str) -> None:
    scene = Scene(settings={"media": media})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    limit(scene, 1)
    taken = scene.plane.relay()
    call = alice.call(bob.uri)
    click = scene.b2bua.click_to_call(alice.uri, bob.uri)
    failed: list[Any] = []
    click.connected.addErrback(failed.append)
    scene.run(3)
    assert call.ending.status == 503 and failed and not scene.b2bua.click_calls
    taken.close()
    scene.stop()


def test_no_ports_for_other_codecs() -> None:
    scene = Scene(settings={"media": "relay"})
    alice, bob = scene.agent("alice", 1, codecs=("PCMU",)), scene.agent("bob", 2, codecs=("PCMA",))
    bob.does = lambda call: call.answer()
    limit(scene, 1)
    call = alice.call(bob.uri)
    scene.run(3)
    assert call.ending.status == 488
    scene.stop()


def test_a_ringing_call_is_picked_up_where_media_end() -> None:
    scene = Scene(settings={"media": "transcode"})
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run(2)
    [ringing] = bob.arrived
    third = carol.call("sip:any@example.com", replaces=ringing.replaces_value(early_only=True))
    scene.run(3)
    assert third.established and call.established and ringing.over
    scene.hear((third, call))
    [record] = scene.accounting.under_way.values()
    assert record.answered is not None
    scene.stop()


@pytest.mark.parametrize("bob_leaves", [False, True])
def test_a_pick_up_that_fails_where_media_end(bob_leaves: bool) -> None:
    """Who wanted to take the call has nothing in common with us; it goes on ringing."""
    scene = Scene(settings={"media": "transcode"})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    carol = scene.agent("carol", 3)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run(2)
    [ringing] = bob.arrived
    limit(scene, 2)
    third = carol.call("sip:any@example.com", replaces=ringing.replaces_value(early_only=True))
    scene.run(2)
    assert third.over and not ringing.over
    if bob_leaves:
        ringing.reject(486)
        scene.run(2)
        assert call.ending.status == 486
    else:
        ringing.answer()
        scene.run(2)
        scene.hear((call, ringing))
    scene.stop()


class Routed(B2BUA):
    where: Any = ()

    def route(self, call: Any) -> Any:
        return self.where


def test_how_long_a_target_may_ring() -> None:
    """What a target says counts for more than the setting."""
    scene = Scene(kind=Routed)
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    scene.b2bua.where = [
        Target(uri=parse_uri(f"sip:{one.user}@{one.host}"), q=q, no_answer=seconds)
        for one, q, seconds in ((bob, 1000, 5.0), (carol, 500, 8.0))
    ]
    bob.does = carol.does = lambda call: call.ring()
    call = alice.call("sip:team@example.com")
    scene.run(4)
    assert not carol.arrived
    scene.run(3)
    assert bob.arrived[0].over and not carol.arrived[0].over
    scene.run(8)
    assert carol.arrived[0].over and call.ending.status == 480
    scene.stop()


def test_no_groups() -> None:
    scene = Scene(settings={"media": "relay"})
    scene.agent("bob", 2)
    party = Party(scene, "alice", 1)
    party.call("sip:bob@example.com", TYPE, body=sdp(4000, host="224.1.1.1/127"))
    refused = party.response(488)
    assert (refused.headers.first("warning") or "").startswith("330 ")
    assert not scene.agents["bob"].arrived
    scene.stop()


def test_a_callee_is_no_group() -> None:
    scene = Scene(settings={"media": "relay"})
    alice = scene.agent("alice", 1)
    party = Party(scene, "bob", 2)
    call = alice.call(party.uri)
    party.answer(party.invited(), 200, body=sdp(4000, host="224.1.1.1/127"))
    scene.run(5)
    assert call.over and call.ending.status == 488
    scene.stop()
