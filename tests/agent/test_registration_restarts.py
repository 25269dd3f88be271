"""Registrations that are stopped and begun again, in odd orders (RFC 3261 section 10.2.2)."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from twisted_sip.agent.registration import Registration
from twisted_sip.agent.registration_events import Registered, RegistrationState

from .agents import Scene
from .conftest import RegistrarScene


@pytest.fixture
def failures() -> Any:
    """What was logged with a traceback."""
    found: list[Any] = []

    def keep(event: Any) -> None:
        if event.get("log_failure") is not None:
            found.append(event["log_failure"].value)

    globalLogPublisher.addObserver(keep)
    yield found
    gc.collect()
    globalLogPublisher.removeObserver(keep)
    assert found == []


def test_stopped_twice_and_begun_again(registrar: RegistrarScene) -> None:
    registration = registrar.register()
    registrar.accept(registrar.expect())
    over: list[Any] = []
    registration.stop().addCallback(over.append)
    registration.stop().addCallback(over.append)
    again: list[Any] = []
    registration.start().addCallback(again.append)
    registrar.answer(registrar.expect(), 200)
    registrar.accept(registrar.expect())
    assert over == [None, None] and again == [registration]
    assert registration.state is RegistrationState.REGISTERED and not registration.log.closed
    assert isinstance(registration.log.kept()[-2], Registered)


def test_a_stop_that_nobody_waits_for_any_more(registrar: RegistrarScene, failures: list[Any]) -> None:
    registration: Registration = registrar.register()
    registrar.accept(registrar.expect())
    leaving = registration.stop()
    over: list[Any] = []
    leaving.addCallback(over.append)
    assert registrar.expect().typed("contact")[0].expires == 0
    leaving.cancel()
    assert over == [None] and registration.state is RegistrationState.ENDED
    del leaving
    registration.start()
    registrar.accept(registrar.expect())
    assert registration.state is RegistrationState.REGISTERED
    registration.stop()
    registrar.network.advance(6)
    assert registrar.leftovers() == {}


def test_an_agent_with_less_patience(failures: list[Any]) -> None:
    """It has stopped before its registration has, and is started again at once."""
    scene = Scene(server=True)
    alice = scene.agent("alice", 1, farewell=1.0)
    scene.network.conditions.loss = 1.0
    ends: list[Any] = []
    alice.stopService().addCallback(ends.append)
    scene.run(2)
    assert ends == [None]
    scene.network.conditions.loss = 0.0
    alice.startService()
    scene.run(60)
    assert alice.registrations[0].registered
    scene.stop()


def test_a_refresh_that_is_refused_meanwhile(registrar: RegistrarScene) -> None:
    """What it was to refresh stands as before."""
    registration = registrar.register()
    registrar.accept(registrar.expect())
    registration.refresh()
    refresh = registrar.expect()
    over: list[Any] = []
    registration.stop().addCallback(over.append)
    registrar.answer(refresh, 503)
    last = registrar.expect()
    assert last.typed("contact")[0].expires == 0 and not over
    registrar.answer(last, 200)
    assert over and registrar.leftovers() == {}
