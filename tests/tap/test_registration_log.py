"""What people are told of a registration: one line for each change, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from tests.agent.conftest import CHALLENGE, RegistrarScene
from twisted_sip.agent.registration_events import FlowLost
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.tap.registration_log import LineCredentials, RegistrationLog

UNAVAILABLE = ("retry-after", "5")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    seen: list[str] = []

    def keep(event: Any) -> None:
        if event.get("log_namespace") == "twisted_sip.tap.registration_log":
            seen.append(f"{event['log_level'].name}: {formatEvent(event)}")

    globalLogPublisher.addObserver(keep)
    yield seen
    globalLogPublisher.removeObserver(keep)


def challenge(realm: str, algorithm: str = "MD5") -> tuple[str, str]:
    return "www-authenticate", CHALLENGE.format(realm=realm, nonce=1, algorithm=algorithm)


def begin(scene: RegistrarScene, password: str = "", **how: Any) -> RegistrationLog:
    credentials = LineCredentials("alice", password) if password else None
    registration = scene.register(credentials=credentials, **how)
    log = RegistrationLog(registration, credentials)
    registration.observe(log)
    return log


def test_a_wrong_password(lines: list[str]) -> None:
    scene = RegistrarScene()
    log = begin(scene, "wrong")
    for _ in range(2):
        scene.answer(scene.expect(), 401, challenge("example.com"))
    [line] = lines
    assert line.startswith("warn: sip:alice@example.com not registered: 401 Unauthorized, the password is wrong; tries")
    assert log.words == "not registered: 401 Unauthorized, the password is wrong"
    # The password may be mended at the registrar.
    for _ in range(2):
        request = scene.expect(within=60.0)
    scene.accept(request)
    assert lines[1].startswith("info: sip:alice@example.com registered as sip:") and log.words == "registered"


@pytest.mark.parametrize(
    ("password", "asked", "words"),
    [
        ("", challenge("example.com"), "a password is asked for, give one with --password-file"),
        ("x", challenge("asterisk"), 'the password is for other realms, trust this one with --realm "asterisk"'),
        ("x", challenge("example.com", "ROT13"), "it asks for a password in no way that is known here"),
        ("x", ("www-authenticate", "!"), "it asks for a password in no way that is known here"),
    ],
)
def test_passwords_that_do_not_help(lines: list[str], password: str, asked: tuple[str, str], words: str) -> None:
    scene = RegistrarScene()
    begin(scene, password)
    scene.answer(scene.expect(), 401, asked)
    assert len(lines) == 1 and f"401 Unauthorized, {words}" in lines[0], lines


def test_a_registrar_that_comes_back(lines: list[str]) -> None:
    scene = RegistrarScene()
    log = begin(scene, settings=RegistrationSettings(expires=600))
    scene.accept(scene.expect(), expires=600)
    assert log.words == "registered"
    scene.answer(scene.expect(within=600), 503, UNAVAILABLE)
    assert log.words == "registered, not refreshed: 503 Service Unavailable"
    scene.accept(scene.expect(within=60), expires=600)
    assert log.words == "registered"
    scene.accept(scene.expect(within=600), expires=600)
    words = [line.partition(" as ")[0].partition(";")[0] for line in lines]
    assert words == [
        "info: sip:alice@example.com registered",
        "warn: sip:alice@example.com not refreshed: 503 Service Unavailable",
        "info: sip:alice@example.com registered again",
    ]


def test_a_registration_that_runs_out(lines: list[str]) -> None:
    scene = RegistrarScene()
    log = begin(scene, settings=RegistrationSettings(expires=60, retry=False))
    scene.accept(scene.expect(), expires=60)
    scene.answer(scene.expect(within=60), 503)
    scene.network.advance(70)
    assert log.words == "not registered: 503 Service Unavailable"
    assert lines[1:] == [
        "warn: sip:alice@example.com not refreshed: 503 Service Unavailable",
        "warn: sip:alice@example.com: the registration has run out",
    ]


def test_a_flow_that_is_lost(lines: list[str]) -> None:
    scene = RegistrarScene()
    log = begin(scene)
    log(FlowLost(reg_id=1, reason="connection lost", retry_in=1.0))
    assert lines == ["warn: sip:alice@example.com: connection lost"]
    assert log.words == "not registered: connection lost"
