"""How many calls each user has: those who are in them, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.errors import LocalProtocolError
from twisted_sip.proxy.static_routes import StaticRoute

from .scene import Scene

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"


@pytest.fixture
def scene() -> Any:
    made = Scene(
        settings={"max_calls_per_user": 1},
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
