"""Calls of an agent whose users have policies (RFC 5359 sections 2.7 to 2.9, 2.12, 2.13)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_sip.agent.policed_calls import PolicedCalls
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.interfaces.agent import ICallListener
from twisted_sip.interfaces.call_policy import CallPolicy

from .agents import Scene

BOB = "sip:bob@198.51.100.2"
CAROL = "sip:carol@198.51.100.3"


class Policies:
    """Keeps policies by user."""

    def __init__(self) -> None:
        self.kept: dict[str, CallPolicy] = {}
        self.waits = False

    def lookup(self, aor: str) -> Any:
        found = self.kept.get(aor)
        return succeed(found) if self.waits else found


@implementer(ICallListener)
class Phone:
    """Lets calls ring, or does what it is told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.events: list[Any] = []
        self.does: Any = lambda call: None

    def incoming_call(self, call: Any) -> Any:
        self.calls.append(call)
        call.ring()
        return self.does(call)

    def call_event(self, call: Any, event: Any) -> None:
        self.events.append(event)


class House:
    """Alice calls bob, whose phone minds his policy."""

    def __init__(self, scene: Scene, policy: CallPolicy | None, busy_at: int = 0) -> None:
        self.scene = scene
        self.alice = scene.agent("alice", 1)
        self.bob = scene.agent("bob", 2, kind=UserAgent)
        self.phone = Phone()
        self.policies = Policies()
        if policy is not None:
            self.policies.kept[BOB] = policy
        self.bob.listener = PolicedCalls(self.phone, self.policies, scene.network.clock.seconds, busy_at=busy_at)

    def called(self, seconds: float = 1) -> Any:
        call = self.alice.call(BOB)
        self.scene.run(seconds)
        return call


@pytest.fixture
def scene() -> Any:
    made = Scene()
    made.network.conditions.delay = (0.01, 0.01)
    yield made
    made.stop()


@pytest.mark.parametrize("waits", [False, True])
def test_who_has_no_wishes_is_called(scene: Scene, waits: bool) -> None:
    house = House(scene, None)
    house.policies.waits = waits
    house.phone.does = lambda call: call.answer()
    assert verifyObject(ICallListener, house.bob.listener)
    assert house.called().established and house.phone.calls[0].established
    assert {"Progress", "Answered"} <= {type(event).__name__ for event in house.phone.events}


def test_every_call_is_forwarded(scene: Scene) -> None:
    house = House(scene, CallPolicy(forward_always=CAROL))
    carol = scene.agent("carol", 3)
    carol.does = lambda call: call.answer()
    assert house.called(2).established and carol.arrived and not house.phone.calls


@pytest.mark.parametrize(
    ("policy", "status"), [({"blocked": ("alice@198.51.100.1",)}, 603), ({"do_not_disturb": True}, 480)]
)
def test_callers_are_declined(scene: Scene, policy: dict[str, Any], status: int) -> None:
    house = House(scene, CallPolicy(**policy))
    call = house.called()
    assert call.over and call.ending.status in (status, 486, 603) and not house.phone.calls


@pytest.mark.parametrize("forwards", [True, False])
def test_a_user_who_is_busy(scene: Scene, forwards: bool) -> None:
    house = House(scene, CallPolicy(forward_busy=CAROL) if forwards else None, busy_at=1)
    carol = scene.agent("carol", 3)
    house.phone.does = lambda call: call.answer()
    assert house.called().established
    second = house.called(2)
    assert len(house.phone.calls) == 1
    if forwards:
        assert len(carol.arrived) == 1 and not second.over
    else:
        assert second.ending.status == 486


def test_nobody_answers(scene: Scene) -> None:
    house = House(scene, CallPolicy(forward_no_answer=CAROL, no_answer_after=10))
    carol = scene.agent("carol", 3)
    call = house.called(9)
    assert len(house.phone.calls) == 1 and not carol.arrived
    scene.run(2)
    assert carol.arrived and not call.over


def test_somebody_answers_in_time(scene: Scene) -> None:
    house = House(scene, CallPolicy(forward_no_answer=CAROL, no_answer_after=10))
    house.phone.does = lambda call: call.answer()
    call = house.called()
    scene.run(20)
    assert call.established


def test_a_caller_who_does_not_wait_for_the_policy(scene: Scene) -> None:
    from twisted.internet.defer import Deferred

    house = House(scene, None)
    looking: Deferred[CallPolicy | None] = Deferred()
    house.policies.lookup = lambda aor: looking  # type: ignore[method-assign]
    call = house.called()
    call.hangup()
    scene.run(1)
    looking.callback(None)
    assert not house.phone.calls and not house.bob.calls
