"""Calls through a b2bua on a bad network: hold, transfers and hanging up at whatever moment.

In the end all agree on who talks with whom, and nothing is left.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from twisted_sip.agent.call import Call
from twisted_sip.errors import SIPError
from twisted_sip.testing.network import Conditions

from .scene import Scene

SEEDS = int(os.environ.get("SEEDS", "50")) // 2


def act(scene: Scene, chance: random.Random) -> None:
    """Do something to some call."""
    calls: list[Call] = [call for agent in scene.agents.values() for call in agent.calls]
    agent = chance.choice(list(scene.agents.values()))
    other = chance.choice([one for one in scene.agents.values() if one is not agent])
    what = chance.choice(["call", "hold", "resume", "blind", "attended", "hangup", "both", "late", "key", "replace"])
    try:
        if what == "call" or not calls:
            if len(agent.calls) < 3:
                agent.call(other.uri)
            return
        call = chance.choice(calls)
        if what in ("hold", "resume"):
            (call.hold() if what == "hold" else call.resume()).addErrback(forgive)
        elif what == "blind":
            call.transfer(other.uri).done.addErrback(forgive)
        elif what == "attended" and len(call.agent.calls) > 1:
            second = chance.choice([one for one in call.agent.calls if one is not call])
            call.transfer(second).done.addErrback(forgive)
        elif what == "hangup":
            call.hangup()
        elif what == "both":
            for one in chance.sample(calls, min(2, len(calls))):
                one.hangup()
        elif what == "late":
            call.update(late=True).addErrback(forgive)
        elif what == "key":
            call.send_dtmf("5", "info").addErrback(forgive)
        elif what == "replace":
            other.call("sip:any@example.com", replaces=call.replaces_value())
    except SIPError:
        # Not now: the call is not that far, or over.
        pass


def forgive(failure: Any) -> None:
    failure.trap(SIPError)


@pytest.mark.parametrize("media", ["direct", "relay"])
@pytest.mark.parametrize("seed", range(max(1, SEEDS)))
def test_all_agree(seed: int, media: str) -> None:
    chance = random.Random(seed)
    conditions = Conditions(loss=0.05, duplication=0.05, reordering=0.1, delay=(0.005, 0.05))
    scene = Scene(seed, conditions, settings={"media": media})
    for place, name in enumerate(("alice", "bob", "carol")):
        agent = scene.agent(name, place + 1)
        agent.does = lambda call: chance.choice([call.answer, call.ring, call.ring, lambda: call.reject(486)])()
    for _ in range(12):
        act(scene, chance)
        scene.run(chance.random() * 2)
        for agent in scene.agents.values():
            for call in agent.arrived:
                if call.state.value == "ringing" and chance.random() < 0.5 and not call.leg.answering:
                    call.answer().addErrback(forgive)
    for agent in scene.agents.values():
        agent.does = lambda call: call.answer()
    # Past the last retransmission, and the last call that rings or is waited for.
    scene.run(260)
    talking = [call for agent in scene.agents.values() for call in agent.calls]
    assert all(call.established for call in talking), talking
    assert len(talking) == 2 * len(scene.b2bua.bridged), (talking, list(scene.b2bua.bridged))
    scene.stop()
