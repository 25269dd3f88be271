"""Values of a program that SIP does not allow: it is told, and nothing has happened then (RFC 3261 section 8.1.1)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError

from .agents import Scene
from .script import Script


@pytest.fixture
def script() -> Any:
    made = Script(Scene())
    yield made
    made.end()
    made.scene.stop()


@pytest.mark.parametrize("name", ["From", "t", "Call-ID", "CSEQ", "v", "Max-Forwards"])
def test_fields_that_each_request_has_once(script: Script, name: str) -> None:
    with pytest.raises(LocalProtocolError):
        script.alice.call("sip:x@198.51.100.9", headers=[(name, "1")])
    assert not script.alice.calls


@pytest.mark.parametrize("hops", [-1, 256])
def test_proxies_on_the_way(script: Script, hops: int) -> None:
    with pytest.raises(LocalProtocolError):
        script.alice.call("sip:x@198.51.100.9", max_forwards=hops)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 2.0**32])
def test_for_how_long_it_rings(script: Script, seconds: float) -> None:
    with pytest.raises(LocalProtocolError):
        script.alice.call("sip:x@198.51.100.9", timeout=seconds)


def test_a_bye_that_cannot_be_sent(script: Script) -> None:
    call = script.established()
    for headers in ([("x-note", "a\r\nb")], [("x note", "a")]):
        with pytest.raises(LocalProtocolError):
            call.hangup(headers=headers)
    assert call.established
    call.hangup("good-bye", [("x-note", "a")])
    assert script.peer.expect("BYE").headers.first("x-note") == "a"


def test_a_registration_that_was_taken_back() -> None:
    scene = Scene(server=True)
    alice = scene.agent("alice", 1)
    [registration] = alice.registrations
    alice.unregister(registration)
    with pytest.raises(LocalProtocolError):
        alice.call("sip:bob@example.com", account=registration)
    scene.stop()
