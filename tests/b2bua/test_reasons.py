"""Why one leg has ended is told on the other as it was said: all protocols, all causes (RFC 3326)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.builders import build_request, response_to

from .scene import HOST, Scene
from .scripted import Party, sdp

#: As gateways say it (section 2), and phones whose call was taken elsewhere (section 3.1).
BUSY = 'Q.850;cause=17;text="User busy"'
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def test_a_bye_with_two_reasons(scene: Scene) -> None:
    alice, bob = Party(scene, "alice", 8), Party(scene, "bob", 9)
    alice.call(bob.uri, body=sdp())
    bob.answer(bob.invited(), 200, body=sdp(5000))
    alice.response(200, "INVITE")
    alice.ack()
    bob.asked("ACK")
    alice.request("BYE", ("reason", BUSY), ("reason", "SIP;cause=486"))
    bye = bob.asked("BYE")
    assert bye.headers.elements("reason") == [BUSY, "SIP;cause=486"]
    bob.answer(bye, 200)
    alice.response(200, "BYE")


def test_a_call_that_another_device_of_the_callee_has_taken(scene: Scene) -> None:
    """Its phone does not show it as missed."""
    alice, bob = Party(scene, "alice", 8), Party(scene, "bob", 9)
    invite = alice.call(bob.uri, body=sdp())
    bob.answer(bob.invited(), 180)
    alice.response(180)
    alice.peer.send(
        build_request(
            "CANCEL", invite.uri_text, from_=invite.from_, to=invite.to, call_id=invite.call_id,
            cseq=invite.cseq.number,
            headers=[("via", invite.headers.first("via") or ""), ("reason", ELSEWHERE)],
        ),
        (HOST, 5060),
    )  # fmt: skip
    got = bob.asked("CANCEL")
    assert got.headers.elements("reason") == [ELSEWHERE]
    bob.answer(got, 200)
    bob.answer(bob.invite, 487)
    alice.response(487)
    alice.ack()
    bob.asked("ACK")


def test_programs_are_told(scene: Scene) -> None:
    alice = scene.agent("alice", 1)
    bob = Party(scene, "bob", 9)
    call = alice.call(bob.uri)
    bob.answer(bob.invited(), 200, body=sdp(5000))
    bob.asked("ACK")
    bob.request("BYE", ("reason", BUSY))
    bob.response(200, "BYE")
    scene.run()
    assert [(one.protocol, one.cause, one.text) for one in call.ending.reasons] == [("Q.850", 17, "User busy")]
    assert call.ending.reason == "User busy"


@pytest.mark.parametrize(
    ("how", "reason", "warnings"),
    [
        ({}, "Busy Here", []),
        ({"hide_callee": False}, "At Lunch", ['399 phone "back at one"']),
        ({"hide_callee": False, "pass_headers": ["warning"]}, "At Lunch", ['399 phone "back at one"']),
    ],
)
def test_what_the_callee_says_of_a_refusal(how: dict[str, Any], reason: str, warnings: list[str]) -> None:
    scene = Scene(settings=how)
    caller, callee = Party(scene, "alice", 9), Party(scene, "bob", 8)
    caller.call(callee.uri, body=sdp())
    invite = callee.invited()
    refusal = response_to(invite, 486, "At Lunch", [("warning", '399 phone "back at one"')], to_tag="bob")
    callee.peer.send(refusal, (HOST, 5060))
    answer = caller.response(486)
    assert answer.reason == reason and answer.headers.all("warning") == warnings
    scene.run(40)
    scene.stop()
