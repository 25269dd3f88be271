"""Nobody has an agent call itself."""

from __future__ import annotations

from typing import Any

import pytest

from .agents import OPEN, Scene
from .stranger import Stranger


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("<sip:bob@198.51.100.1>", 603),
        ("<sip:bob@198.51.100.1:5060;transport=udp>", 603),
        ("<sip:bob@198.51.100.1?Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2>", 202),
        ("<sip:bob@198.51.100.8>", 202),
        ("<sip:somebody@198.51.100.1>", 202),
    ],
)
def test_a_refer_to_the_agent_itself(scene: Scene, target: str, status: int) -> None:
    caller = Stranger(scene, 9, **OPEN)
    tag = caller.up()
    answer = caller.request("REFER", ("refer-to", target), ("refer-sub", "false"), to_tag=tag, cseq=5)
    assert answer.status == status
    scene.run(40)


def test_a_refer_to_the_user_that_is_registered() -> None:
    scene = Scene(server=True)
    alice, bob = scene.agent("alice", 1, **OPEN), scene.agent("bob", 2, **OPEN)
    call, other = scene.established(alice, bob)
    transfer = call.transfer("sip:bob@example.com")
    scene.run()
    assert transfer.status == 603 and other.established
    gone = call.transfer("sip:+15550100@example.com;user=phone")
    scene.run()
    assert gone.status == 480
    call.hangup()
    scene.run()
    scene.stop()


def test_what_comes_back_by_another_name_counts_on(scene: Scene) -> None:
    """As where a router leads a strange address back to the agent."""
    caller = Stranger(scene, 9, max_referrals=2, **OPEN)
    caller.bob.referring.leads_back = lambda referral: False
    tag = caller.up()
    caller.bob.does = lambda call: call.answer()
    caller.request("REFER", ("refer-to", "<sip:bob@198.51.100.1>"), ("refer-sub", "false"), to_tag=tag, cseq=5)
    scene.run(2)
    assert [call.referrals for call in caller.bob.arrived] == [0, 1]
    for call in caller.bob.calls:
        call.hangup()
    scene.run()
