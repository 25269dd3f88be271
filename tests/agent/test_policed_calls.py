"""Call policies before a listener of an agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from twisted_sip.agent.policed_calls import PolicedCalls
from twisted_sip.interfaces.call_policy import CallPolicy, Hours
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

from .agents import Agent, Scene

CAROL = "sip:carol@198.51.100.9"
#: A Thursday, the first of January 1970, at noon.
NOON = 43200.0


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.events: list[Any] = []
        self.does: Callable[[Any], Any] = lambda call: call.ring()

    def incoming_call(self, call: Any) -> Any:
        self.calls.append(call)
        return self.does(call)

    def call_event(self, call: Any, event: Any) -> None:
        self.events.append(event)


class Policed:
    """Alice calls Bob, who has a policy."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.alice = self.scene.agent("alice", 1, follow_redirects=0)
        self.bob = self.scene.agent("bob", 2)
        self.listener = Listener()
        self.store = MemoryCallPolicyStore()
        self.bob.listener = PolicedCalls(self.listener, self.store, lambda: NOON, busy_at=1)
        # Its own hook would be asked in place of the listener.
        self.bob.incoming_call = lambda call: super(Agent, self.bob).incoming_call(call)

    def policy(self, **fields: Any) -> None:
        self.store.set("sip:bob@198.51.100.2", CallPolicy(**fields))

    def call(self) -> Any:
        made = self.alice.call(self.bob.uri)
        self.scene.run()
        return made


@pytest.fixture
def policed() -> Iterator[Policed]:
    made = Policed()
    yield made
    made.scene.stop()


def outcome(call: Any) -> int:
    assert call.ending is not None
    status: int = call.ending.status
    return status


def test_who_has_no_policy_is_asked(policed: Policed) -> None:
    call = policed.call()
    assert call.state.value == "ringing"
    assert [found.remote.uri_text for found in policed.listener.calls] == ["sip:alice@198.51.100.1"]
    assert policed.listener.events
    call.hangup()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"forward_always": CAROL}, 302), ({"blocked": ("@198.51.100.1",)}, 603), ({"do_not_disturb": True}, 480),
        ({"hours": (Hours.parse("thu 13:00-14:00"),)}, 480), ({"allowed_only": True}, 603),
    ],
)  # fmt: skip
def test_what_is_decided_at_once(policed: Policed, fields: dict[str, Any], status: int) -> None:
    policed.policy(**fields)
    call = policed.call()
    assert outcome(call) == status
    assert policed.listener.calls == []


def test_busy(policed: Policed) -> None:
    first = policed.call()
    assert outcome(policed.call()) == 486
    policed.policy(forward_busy=CAROL)
    assert outcome(policed.call()) == 302
    assert len(policed.listener.calls) == 1
    first.hangup()


def test_no_answer(policed: Policed) -> None:
    policed.policy(forward_no_answer=CAROL, no_answer_after=10)
    call = policed.call()
    assert call.state.value == "ringing"
    policed.scene.run(11)
    assert outcome(call) == 302


def test_who_is_answered_in_time_stays(policed: Policed) -> None:
    policed.policy(forward_no_answer=CAROL, no_answer_after=10)
    policed.listener.does = lambda call: call.answer()
    call = policed.call()
    policed.scene.run(11)
    assert call.established
    call.hangup()


def test_nobody_to_forward_to_goes_on_ringing(policed: Policed) -> None:
    policed.policy(forward_no_answer=CAROL, no_answer_after=10)
    call = policed.call()
    call.hangup()
    policed.scene.run(20)
    assert not policed.bob.calls
