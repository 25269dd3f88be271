"""Three agents behind a server that do what chance tells them, on a bad network: both ends of each call agree, and
nothing is left. ``AGENT_SEEDS=500`` runs more of them."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallState
from twisted_sip.errors import LocalProtocolError
from twisted_sip.testing.network import Conditions

from .agents import Scene

SEEDS = range(int(os.environ.get("AGENT_SEEDS", "12")))
NAMES = ("alice", "bob", "carol")


def quietly(work: Any) -> None:
    """Let *work* fail."""
    work.addErrback(lambda failure: None)


class Play:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        conditions = Conditions(loss=0.08, duplication=0.05, reordering=0.1)
        self.scene = Scene(seed, conditions, server=True)
        self.agents = [self.scene.agent(name, number) for number, name in enumerate(NAMES, 1)]
        self.scene.run(40)
        for agent in self.agents:
            agent.does = self.takes
        self.calls: list[Call] = []

    def takes(self, call: Call) -> None:
        choice = self.chance.random()
        if choice < 0.1:
            call.reject(self.chance.choice((480, 486, 603)))
        elif choice < 0.3:
            quietly(call.ring(183, early_media=True))
            call.agent.table.later(self.chance.uniform(0, 5), lambda: self.answers(call), call)
        elif choice < 0.5:
            quietly(call.ring())
            call.agent.table.later(self.chance.uniform(0, 5), lambda: self.answers(call), call)
        else:
            self.answers(call)

    @staticmethod
    def answers(call: Call) -> None:
        quietly(call.answer())

    def step(self) -> None:
        agent = self.chance.choice(self.agents)
        choice = self.chance.random()
        calls = [call for call in agent.calls if call.state is not CallState.ENDING]
        if choice < 0.35 and len(agent.calls) < 4:
            other = self.chance.choice([one for one in self.agents if one is not agent])
            self.calls.append(agent.call(other.uri))
        elif calls:
            call = self.chance.choice(calls)
            try:
                self.does(agent, call, choice)
            except LocalProtocolError:
                # Not established, or something is under way.
                return

    def does(self, agent: Any, call: Call, choice: float) -> None:
        if choice < 0.5:
            call.hangup()
        elif choice < 0.7:
            quietly(call.hold() if not call.on_hold else call.resume())
        elif choice < 0.8:
            quietly(call.update())
        elif choice < 0.85:
            quietly(call.send_dtmf("1", "info"))
        elif choice < 0.9:
            quietly(call.transfer(self.chance.choice(self.agents).uri).done)
        else:
            others = [other for other in agent.calls if other is not call and other.established]
            if others:
                quietly(call.transfer(self.chance.choice(others)).done)

    def agree(self) -> None:
        """Every call that goes on has another end that does."""
        ends: dict[frozenset[str], list[Call]] = {}
        for agent in self.agents:
            for call in agent.calls:
                if call.dialog is not None:
                    key = frozenset((call.dialog.local_tag, call.dialog.remote_tag))
                    ends.setdefault(key, []).append(call)
        for pair in ends.values():
            assert [call.state for call in pair] == [CallState.ESTABLISHED] * 2, pair
            assert {call.outgoing for call in pair} == {True, False}
            one, other = pair
            assert (one.on_hold, one.held) == (other.held, other.on_hold), pair


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens(seed: int) -> None:
    play = Play(seed)
    for _ in range(40):
        play.step()
        play.scene.run(play.chance.uniform(0, 3))
    # Whatever is under way takes its course.
    play.scene.run(250)
    play.agree()
    play.scene.stop()
