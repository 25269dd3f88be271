"""The flows of RFC 3665 section 3 in which there is no session (3.8 to 3.11)."""

from __future__ import annotations

import pytest

from tests.flows.ladder import Stage
from tests.flows.test_rfc3665 import is_busy, rings, two_proxies
from twisted_sip.agent.call import Call

NO_ANSWER = """
F1 INVITE Alice -> Proxy 1
F2 INVITE Proxy 1 -> Proxy 2
F3 100 Trying Proxy 1 -> Alice
F4 INVITE Proxy 2 -> Bob
F5 100 Trying Proxy 2 -> Proxy 1
F6 180 Ringing Bob -> Proxy 2
F7 180 Ringing Proxy 2 -> Proxy 1
F8 180 Ringing Proxy 1 -> Alice
F9 CANCEL Alice -> Proxy 1
F10 200 OK Proxy 1 -> Alice
F11 CANCEL Proxy 1 -> Proxy 2
F12 200 OK Proxy 2 -> Proxy 1
F13 CANCEL Proxy 2 -> Bob
F14 200 OK Bob -> Proxy 2
F15 487 Request Terminated Bob -> Proxy 2
F16 ACK Proxy 2 -> Bob
F17 487 Request Terminated Proxy 2 -> Proxy 1
F18 ACK Proxy 1 -> Proxy 2
F19 487 Request Terminated Proxy 1 -> Alice
F20 ACK Alice -> Proxy 1
"""


def test_3_8_unsuccessful_no_answer(stage: Stage) -> None:
    first, second = two_proxies(stage)
    alice, bob = stage.agent("Alice", 1, first), stage.agent("Bob", 2, second, rings)
    call = alice.call(bob.uri)
    stage.run(20.0)
    call.hangup()
    stage.run()
    assert call.ending.status == 487 and bob.arrived[0].over
    stage.check(NO_ANSWER)


BUSY = """
F1 INVITE Alice -> Proxy 1
F2 INVITE Proxy 1 -> Proxy 2
F3 100 Trying Proxy 1 -> Alice
F4 INVITE Proxy 2 -> Bob
F5 100 Trying Proxy 2 -> Proxy 1
F6 486 Busy Here Bob -> Proxy 2
F7 ACK Proxy 2 -> Bob
F8 486 Busy Here Proxy 2 -> Proxy 1
F9 ACK Proxy 1 -> Proxy 2
F10 486 Busy Here Proxy 1 -> Alice
F11 ACK Alice -> Proxy 1
"""


def test_3_9_unsuccessful_busy(stage: Stage) -> None:
    first, second = two_proxies(stage)
    alice, bob = stage.agent("Alice", 1, first), stage.agent("Bob", 2, second, is_busy)
    call = alice.call(bob.uri)
    stage.run()
    assert call.ending.status == 486
    stage.check(BUSY)


NO_RESPONSE = """
F1 INVITE Alice -> Proxy 1
F2 INVITE Proxy 1 -> Proxy 2
F3 100 Trying Proxy 1 -> Alice
F4 INVITE Proxy 2 -> Bob
F5 100 Trying Proxy 2 -> Proxy 1
F6 INVITE Proxy 2 -> Bob
F7 INVITE Proxy 2 -> Bob
F8 INVITE Proxy 2 -> Bob
F9 INVITE Proxy 2 -> Bob
F10 INVITE Proxy 2 -> Bob
F11 INVITE Proxy 2 -> Bob
F12 480 No Response Proxy 2 -> Proxy 1
F13 ACK Proxy 1 -> Proxy 2
F14 480 No Response Proxy 1 -> Alice
F15 ACK Alice -> Proxy 1
"""


def test_3_10_unsuccessful_no_response_from_user_agent(stage: Stage) -> None:
    """The status is 408, as RFC 3261 section 16.7 has it for a branch that times out; the text says 480."""
    first, second = two_proxies(stage)
    bob = stage.agent("Bob", 2, second)
    alice = stage.agent("Alice", 1, first)
    # He is registered, and gone without a word.
    stage.agents.remove(bob)
    bob.node.crash()
    stage.silent("Bob", 2)
    call = alice.call(bob.uri)
    stage.run(40.0)
    assert call.ending.status == 408
    stage.check(NO_RESPONSE.replace("480 No Response", "408 Request Timeout"))
    # His binding expires.
    stage.run(3600.0)


UNAVAILABLE = """
F1 INVITE Alice -> Proxy 1
F2 INVITE Proxy 1 -> Proxy 2
F3 100 Trying Proxy 1 -> Alice
F4 INVITE Proxy 2 -> Bob
F5 100 Trying Proxy 2 -> Proxy 1
F6 180 Ringing Bob -> Proxy 2
F7 180 Ringing Proxy 2 -> Proxy 1
F8 180 Ringing Proxy 1 -> Alice
F9 480 Temporarily Unavailable Bob -> Proxy 2
F10 ACK Proxy 2 -> Bob
F11 480 Temporarily Unavailable Proxy 2 -> Proxy 1
F12 ACK Proxy 1 -> Proxy 2
F13 480 Temporarily Unavailable Proxy 1 -> Alice
F14 ACK Alice -> Proxy 1
"""


@pytest.mark.parametrize("who", ["the user", "the time"])
def test_3_11_unsuccessful_temporarily_unavailable(stage: Stage, who: str) -> None:
    first, second = two_proxies(stage)

    async def unavailable(call: Call) -> None:
        await rings(call)
        if who == "the user":
            call.reject(480)

    alice = stage.agent("Alice", 1, first)
    bob = stage.agent("Bob", 2, second, unavailable, settings={"ring_timeout": 30.0})
    call = alice.call(bob.uri)
    stage.run(31.0)
    assert call.ending.status == 480
    stage.check(UNAVAILABLE)
