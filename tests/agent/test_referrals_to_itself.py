"""Nobody has an agent call itself."""

from __future__ import annotations

from typing import Any

import pytest

from .agents import OPEN, Scene
from .script import OFFER
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


@pytest.mark.parametrize("known", [True, False])
def test_who_the_agent_is_in_the_new_call(scene: Scene, known: bool) -> None:
    """The caller chooses what stands in To, and with it his own name for the one he has called; not for others."""
    caller, boss = Stranger(scene, 9, **OPEN), '"The Boss" <sip:boss@198.51.100.1>'
    bob = caller.bob
    if not known:
        bob.accounts.clear()
    bob.does = lambda call: call.answer()
    tag = caller.request("INVITE", body=OFFER, cseq=1, to=boss).to.tag
    caller.request("ACK", cseq=1, to_tag=tag, to=boss, wait=False)
    target = scene.peer(8)
    refer = [("refer-to", "<sip:x@198.51.100.8>"), ("refer-sub", "false")]
    assert caller.request("REFER", *refer, to_tag=tag, cseq=5, to=boss).status == 202
    invite = target.expect("INVITE")
    assert str(invite.from_.without("tag")) == ("<sip:bob@198.51.100.1>" if known else boss)
    target.answer(invite, 486)
