"""How many calls each user has: those who are in them, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.b2bua.users import took_place
from twisted_sip.errors import LocalProtocolError
from twisted_sip.proxy.static_routes import StaticRoute

from .scene import Scene

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"


@pytest.fixture(params=["direct"])
def scene(request: Any) -> Any:
    made = Scene(
        settings={"max_calls_per_user": 1, "media": request.param},
        routes=[
            StaticRoute(user="team", to=(BOB, CAROL)),
            StaticRoute(user="line", to=(BOB, CAROL), fork="serial", no_answer=5),
        ],
    )
    for number, name in enumerate(("alice", "bob", "carol", "dave"), 1):
        made.agent(name, number).does = lambda call: call.answer()
    yield made
    made.stop()


def called(scene: Scene, by: str, user: str) -> Any:
    call = scene.agents[by].call(f"sip:{user}@example.com")
    scene.run(3)
    return call


def test_who_does_not_answer_first(scene: Scene) -> None:
    """Bob's phone has rung, too; Bob is not in the call."""
    bob = scene.agents["bob"]
    bob.does = lambda call: call.ring()
    assert called(scene, "alice", "team").established
    bob.does = lambda call: call.answer()
    assert called(scene, "dave", "carol").ending.status == 486
    assert called(scene, "dave", "bob").established


def test_who_rings_has_a_call(scene: Scene) -> None:
    for name in ("bob", "carol"):
        scene.agents[name].does = lambda call: call.ring()
    call = called(scene, "alice", "team")
    assert called(scene, "dave", "bob").ending.status == 486
    call.hangup()
    scene.run()


@pytest.mark.parametrize("status", [0, 404])
def test_who_was_called_before(scene: Scene, status: int) -> None:
    scene.agents["bob"].does = lambda call: call.reject(status) if status else call.ring()
    scene.agents["carol"].does = lambda call: call.ring()
    call = called(scene, "alice", "line")
    scene.run(0.1 if status else 4.0)
    scene.agents["bob"].does = lambda call: call.answer()
    assert scene.agents["carol"].arrived and not call.over
    assert called(scene, "dave", "bob").established


def test_click_to_call(scene: Scene) -> None:
    b2bua = scene.b2bua
    click = b2bua.click_to_call("sip:alice@example.com", "sip:team@example.com", user="sip:boss@example.com")
    scene.run(3)
    assert click.answered and len(b2bua.users) == 3
    with pytest.raises(LocalProtocolError):
        b2bua.click_to_call(BOB, CAROL, user="sip:boss@example.com")
    assert called(scene, "dave", "alice").ending.status == 486
    again = b2bua.click_to_call("sip:dave@example.com", "sip:alice@example.com")
    scene.run(3)
    assert again.over and again.status == 486
    assert called(scene, "alice", "dave").ending.status == 486
    click.hangup()
    scene.run()
    assert called(scene, "dave", "alice").established


def test_a_limit_that_is_lifted_and_comes_back(scene: Scene) -> None:
    """Calls that have ended meanwhile are not counted any more."""
    call = called(scene, "alice", "bob")
    b2bua = scene.b2bua
    b2bua.configure(B2BUASettings(), trusts_everybody=True)
    call.hangup()
    scene.run()
    b2bua.configure(B2BUASettings(max_calls_per_user=1), trusts_everybody=True)
    assert called(scene, "alice", "bob").established


def transferred(scene: Scene, by: Any, to: Any) -> None:
    done: list[Any] = []
    by.transfer(to).done.addCallback(done.append)
    scene.run(3)
    assert done == [200]
    by.hangup()
    scene.run()


@pytest.mark.parametrize("early", [False, True])
def test_who_has_had_a_call_transferred(scene: Scene, early: bool) -> None:
    """He is out of it, and who has taken it is in it."""
    scene.agents["carol"].does = lambda call: call.ring()
    call = called(scene, "alice", "bob")
    [other] = scene.agents["bob"].arrived
    done: list[Any] = []
    other.transfer(CAROL).done.addCallback(done.append)
    scene.run()
    if early:
        other.hangup()
        scene.run()
    scene.agents["carol"].arrived[0].answer()
    scene.run(3)
    if not early:
        assert done == [200]
        other.hangup()
        scene.run()
    assert call.established
    assert called(scene, "dave", "carol").ending.status == 486
    assert called(scene, "dave", "bob").established


def test_who_transfers_to_nobody_of_ours_pays_for_it(scene: Scene) -> None:
    gateway = scene.agent("gateway", 5)
    gateway.does = lambda call: call.answer()
    called(scene, "alice", "bob")
    transferred(scene, scene.agents["bob"].arrived[0], f"sip:{gateway.user}@{gateway.host}")
    assert called(scene, "dave", "bob").ending.status == 486


def test_an_attended_transfer(scene: Scene) -> None:
    scene.b2bua.users.most = 2
    call = called(scene, "alice", "bob")
    second = called(scene, "bob", "carol")
    scene.b2bua.users.most = 1
    transferred(scene, scene.agents["bob"].arrived[0], second)
    assert call.established
    assert called(scene, "dave", "carol").ending.status == 486
    assert called(scene, "dave", "bob").established


@pytest.mark.parametrize("scene", ["direct", "transcode"], indirect=True)
def test_a_replaced_call(scene: Scene) -> None:
    call = called(scene, "alice", "bob")
    taken = scene.agents["dave"].call(BOB, replaces=scene.agents["bob"].arrived[0].replaces_value())
    scene.run(3)
    assert taken.established and call.established and scene.agents["bob"].arrived[0].over
    assert called(scene, "carol", "dave").ending.status == 486
    assert called(scene, "carol", "bob").established


@pytest.mark.parametrize("scene", ["direct", "transcode"], indirect=True)
def test_a_call_that_is_picked_up(scene: Scene) -> None:
    bob = scene.agents["bob"]
    bob.does = lambda call: call.ring()
    call = called(scene, "alice", "bob")
    bob.does = lambda call: call.answer()
    taken = scene.agents["dave"].call(BOB, replaces=bob.arrived[0].replaces_value(early_only=True))
    scene.run(3)
    assert taken.established and call.established and bob.arrived[0].over
    assert called(scene, "carol", "dave").ending.status == 486
    assert called(scene, "carol", "bob").established


def test_a_call_that_has_ended_counts_for_nobody(scene: Scene) -> None:
    """Whoever takes somebody's place in it comes too late."""
    call = called(scene, "alice", "bob")
    [bridged] = scene.bridged
    assert bridged.callee is not None
    call.hangup()
    scene.run()
    took_place(bridged, bridged.callee, bridged.callee)
    assert not len(scene.b2bua.users)
