"""Hooks of subclasses: they may be ``async``, and what they raise harms nobody but the one call."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from twisted_sip.errors import RemoteProtocolError

from .agents import OPEN, Agent, Scene, events

AT_ONCE = [("call-info", "<sip:a>;answer-after=0")]


class Broken(Exception):
    """What programs raise."""


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def critical(logs: list[Any]) -> list[Any]:
    return [event for event in logs if event["log_level"] is LogLevel.critical]


@pytest.mark.parametrize("granted", [True, False])
def test_auto_answers_may_take_its_time(scene: Scene, granted: bool) -> None:
    asked: Deferred[None] = Deferred()

    class Slow(Agent):
        async def auto_answers(self, call: Any, incoming: Any) -> bool:
            await asked
            return granted

    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, kind=Slow)
    call = alice.call(bob.uri, headers=AT_ONCE)
    scene.run()
    # What is waited for is no yes.
    assert not call.established
    asked.callback(None)
    scene.run()
    assert call.established is granted
    call.hangup()
    scene.run()


def test_a_caller_who_gives_up_while_the_program_thinks(scene: Scene) -> None:
    asked: Deferred[bool] = Deferred()

    class Slow(Agent):
        def auto_answers(self, call: Any, incoming: Any) -> Any:
            return asked

    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, kind=Slow)
    call = alice.call(bob.uri, headers=AT_ONCE)
    bob.does = lambda arrived: arrived.ring()
    scene.run()
    call.hangup()
    scene.run()
    asked.callback(True)
    assert bob.arrived[0].over


def test_a_hook_about_automatic_answers_that_fails(scene: Scene) -> None:
    class Failing(Agent):
        def auto_answers(self, call: Any, incoming: Any) -> bool:
            raise Broken

    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, kind=Failing)
    bob.does = lambda arrived: arrived.ring()
    with capturedLogs() as logs:
        call = alice.call(bob.uri, headers=AT_ONCE)
        scene.run()
    # It rings, as if nothing had been asked.
    assert critical(logs) and not call.over and not call.established
    bob.arrived[0].answer()
    scene.run()
    assert call.established


@pytest.mark.parametrize("fails", [False, True])
def test_transferred_may_be_a_coroutine(scene: Scene, fails: bool) -> None:
    told: list[Any] = []

    class Following(Agent):
        async def transferred(self, old: Any, new: Any) -> None:
            told.append((old, new))
            if fails:
                raise Broken

    alice, carol = scene.agent("alice", 1), scene.agent("carol", 3)
    bob = scene.agent("bob", 2, kind=Following, **OPEN)
    call, other = scene.established(alice, bob)
    carol.does = lambda arrived: arrived.answer()
    with capturedLogs() as logs:
        transfer = call.transfer(carol.uri)
        scene.run()
    [(old, new)] = told
    assert old is other and new.established and transfer.status == 200
    assert bool(critical(logs)) is fails


@pytest.mark.parametrize("fails", [False, True])
def test_registration_failed_may_be_a_coroutine(scene: Scene, fails: bool) -> None:
    told: list[Any] = []

    class Telling(Agent):
        async def registration_failed(self, failure: Any, registration: Any) -> None:
            told.append(registration)
            if fails:
                raise Broken

    bob = scene.agent("bob", 2, kind=Telling)
    with capturedLogs() as logs:
        registration = bob.register("sip:bob@198.51.100.77", outbound_proxies=["sip:198.51.100.77"])
        scene.run(60)
    assert told == [registration] and bool(critical(logs)) is fails


@pytest.mark.parametrize("status", [200, 183, 700, True])
def test_screen_refuses_and_does_nothing_else(scene: Scene, status: Any) -> None:
    """With a 200 the caller would be in a call that nobody else knows of."""

    class Screening(Agent):
        async def screen(self, incoming: Any) -> Any:
            return status

    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, kind=Screening)
    with capturedLogs() as logs:
        call = alice.call(bob.uri)
        scene.run()
    assert call.ending.status == 500 and not bob.arrived
    assert "screen gave" in str(critical(logs)[0]["log_failure"].value)


def test_reasons_of_programs(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)

    async def refuse(call: Any) -> None:
        raise RemoteProtocolError("Gone fishing", status=480)

    bob.does = refuse
    call = alice.call(bob.uri)
    scene.run()
    assert (call.ending.status, call.ending.reason) == (480, "Gone fishing") and events(call)[-1] == "Ended"
