"""The services of RFC 5359 section 2 that are the proxy's: forwarding, find-me, screening (see docs/howto/services.md).

The 181 (Call Is Being Forwarded) of the text, in brackets there, is not sent.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.ladder import Stage
from twisted_sip.agent.call import Call
from twisted_sip.auth.client import DigestClient
from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB = "sip:bob@example.com"
#: The proxy says 100 with each further branch.
MORE_TRYING = "F1 100 Trying Proxy -> Alice\n"


async def rings_and_answers(call: Call) -> None:
    await call.ring()
    await call.answer()


async def rings(call: Call) -> None:
    await call.ring()


def refuses(status: int) -> Any:
    return lambda call: call.reject(status)


def routed(stage: Stage, name: str, to: tuple[str, ...]) -> Any:
    """Return a proxy that sends calls for Bob *to* some places, one after the other."""
    proxy = stage.proxy(name, 1)
    proxy.proxy.routers.append(StaticRouter([StaticRoute(user="bob", to=to, fork="serial", no_answer=20.0)]))
    return proxy


UNCONDITIONAL = """
F1 INVITE Alice -> Proxy
F2 (100 Trying) Proxy -> Alice
F3 (181 Call is Being Forwarded) Proxy -> Alice
F4 INVITE Proxy -> Gateway
F5 180 Ringing Gateway -> Proxy
F6 180 Ringing Proxy -> Alice
F7 200 OK Gateway -> Proxy
F8 200 OK Proxy -> Alice
F9 ACK Alice -> Proxy
F10 ACK Proxy -> Gateway
F11 BYE Alice -> Proxy
F12 BYE Proxy -> Gateway
F13 200 OK Gateway -> Proxy
F14 200 OK Proxy -> Alice
"""


def test_2_7_call_forwarding_unconditional(stage: Stage) -> None:
    gateway = stage.agent("Gateway", 3, does=rings_and_answers)
    proxy = routed(stage, "Proxy", (f"sip:+19727293660@{gateway.node.hosts[0]}",))
    gateway.accounts.clear()
    alice = stage.agent("Alice", 1, proxy)
    call = alice.call(BOB)
    stage.run()
    assert stage.last("INVITE", "Gateway").uri_text.startswith("sip:+19727293660@")
    call.hangup()
    stage.run()
    stage.check(UNCONDITIONAL, without=["F3"])


ON_BUSY = """
F1 INVITE Alice -> Proxy
F2 INVITE Proxy -> B1
F3 (100 Trying) Proxy -> Alice
F4 486 Busy Here B1 -> Proxy
F5 ACK Proxy -> B1
F6 (181 Call is Being Forwarded) Proxy -> Alice
F7 INVITE Proxy -> B2
F8 180 Ringing B2 -> Proxy
F9 180 Ringing Proxy -> Alice
F10 200 OK B2 -> Proxy
F11 200 OK Proxy -> Alice
F12 ACK Alice -> Proxy
F13 ACK Proxy -> B2
F14 BYE Alice -> Proxy
F15 BYE Proxy -> B2
F16 200 OK B2 -> Proxy
F17 200 OK Proxy -> Alice
"""


def test_2_8_call_forwarding_busy(stage: Stage) -> None:
    proxy = routed(stage, "Proxy", ("sip:b1@example.com", "sip:b2@example.com"))
    alice = stage.agent("Alice", 1, proxy)
    stage.agent("B1", 2, proxy, refuses(486))
    stage.agent("B2", 3, proxy, rings_and_answers)
    call = alice.call(BOB)
    stage.run()
    assert call.established
    call.hangup()
    stage.run()
    stage.check(ON_BUSY, without=["F6"], extra=MORE_TRYING)


ON_NO_ANSWER = """
F1 INVITE Alice -> Proxy
F2 INVITE Proxy -> B1
F3 (100 Trying) Proxy -> Alice
F4 180 Ringing B1 -> Proxy
F5 180 Ringing Proxy -> Alice
F6 CANCEL Proxy -> B1
F7 200 OK B1 -> Proxy
F8 487 Request Terminated B1 -> Proxy
F9 ACK Proxy -> B1
F10 (181 Call is Being Forwarded) Proxy -> Alice
F11 INVITE Proxy -> B2
F12 180 Ringing B2 -> Proxy
F13 180 Proxy -> Alice
F14 200 OK B2 -> Proxy
F15 200 OK Proxy -> Alice
F16 ACK Alice -> Proxy
F17 ACK Proxy -> B2
F18 BYE Alice -> Proxy
F19 BYE Proxy -> B2
F20 200 OK B2 -> Proxy
F21 200 OK Proxy -> Alice
"""


def test_2_9_call_forwarding_no_answer(stage: Stage) -> None:
    proxy = routed(stage, "Proxy", ("sip:b1@example.com", "sip:b2@example.com"))
    alice = stage.agent("Alice", 1, proxy)
    stage.agent("B1", 2, proxy, rings)
    stage.agent("B2", 3, proxy, rings_and_answers)
    call = alice.call(BOB)
    stage.run(19.0)
    assert not call.established
    stage.run(2.0)
    assert call.established
    call.hangup()
    stage.run()
    stage.check(ON_NO_ANSWER, without=["F10"], extra=MORE_TRYING)


FIND_ME = """
F1 INVITE Alice -> Proxy
F2 INVITE Proxy -> B1
F3 (100 Trying) Proxy -> Alice
F4 180 Ringing B1 -> Proxy
F5 180 Ringing Proxy -> Alice
F6 CANCEL Proxy -> B1
F7 200 OK B1 -> Proxy
F8 487 Request Terminated B1 -> Proxy
F9 ACK Proxy -> B1
F10 INVITE Proxy -> B2
F11 480 Not Logged In B2 -> Proxy
F12 ACK Proxy -> B2
F13 INVITE Proxy -> B3
F14 486 Busy Here B3 -> Proxy
F15 ACK Proxy -> B3
F16 INVITE Proxy -> B4
F17 180 Ringing B4 -> Proxy
F18 180 Ringing Proxy -> Alice
F19 200 OK B4 -> Proxy
F20 200 OK Proxy -> Alice
F21 ACK Alice -> Proxy
F22 ACK Proxy -> B4
F23 BYE B4 -> Proxy
F24 BYE Proxy -> Alice
F25 200 OK Alice -> Proxy
F26 200 OK Proxy -> B4
"""


def test_2_12_find_me(stage: Stage) -> None:
    proxy = routed(stage, "Proxy", tuple(f"sip:b{number}@example.com" for number in (1, 2, 3, 4)))
    alice = stage.agent("Alice", 1, proxy)
    stage.agent("B1", 2, proxy, rings)
    stage.agent("B2", 3, proxy, refuses(480))
    stage.agent("B3", 4, proxy, refuses(486))
    last = stage.agent("B4", 5, proxy, rings_and_answers)
    call = alice.call(BOB)
    stage.run(21.0)
    assert call.established
    last.arrived[0].hangup()
    stage.run()
    stage.check(FIND_ME, extra=3 * MORE_TRYING)


@pytest.mark.parametrize("flow", ["busy", "no answer", "find-me"])
def test_2_8_2_9_2_12_by_a_b2bua(stage: Stage, flow: str) -> None:
    """The same to everybody's eyes; each ringing is told of reliably (RFC 3262)."""
    phones = {"busy": (486, 0), "no answer": (180, 0), "find-me": (180, 480, 486, 0)}[flow]
    made = [
        stage.agent(f"B{number}", number + 1, does={0: rings_and_answers, 180: rings}.get(does) or refuses(does))
        for number, does in enumerate(phones, 1)
    ]
    route = StaticRoute(user="bob", to=tuple(phone.uri for phone in made), fork="serial")
    stage.back_to_back("Proxy", 1, routes=[route], settings=B2BUASettings(target_timeout=20.0))
    alice = stage.agent("Alice", 1, route=("<sip:192.0.2.1;lr>",))
    call = alice.call(BOB)
    stage.run(25.0)
    assert call.established
    (made[-1].arrived[0] if flow == "find-me" else call).hangup()
    stage.run()
    ladder, without = {"busy": (ON_BUSY, ["F3", "F6"]), "no answer": (ON_NO_ANSWER, ["F3", "F10"])}.get(
        flow, (FIND_ME, ["F3"])
    )
    # Which of the two answers to CANCEL and INVITE comes first is all the same.
    seventh, eighth = "F7 200 OK B1 -> Proxy\n", "F8 487 Request Terminated B1 -> Proxy\n"
    ladder = ladder.replace(seventh + eighth, eighth + seventh)
    reliably = "F1 PRACK Alice -> Proxy\nF2 200 OK Proxy -> Alice\n"
    stage.check(ladder, without=without, extra=reliably * (1 if flow == "busy" else 2))


INCOMING_SCREENING = """
F1 INVITE Alice -> Bob
F2 305 Use Proxy Bob -> Alice
F3 ACK Alice -> Bob
F4 INVITE Alice -> Proxy 1
F5 407 Proxy Authentication Required Proxy 1 -> Alice
F6 ACK Alice -> Proxy 1
F7 INVITE Alice -> Proxy 1
F8 603 Decline Proxy 1 -> Alice
F9 ACK Alice -> Proxy 1
"""


def test_2_13_incoming_call_screening(stage: Stage) -> None:
    """The call policy declines with 603, the text with 403. F10 to F14 fetch an announcement that Error-Info names; an
    agent leaves that to the program."""
    proxy = stage.proxy("Proxy 1", 1, passwords={"alice": "secret", "bob": "secret"})
    store = MemoryCallPolicyStore()
    store.set(BOB, CallPolicy(blocked=("alice@example.com",)))
    is_local, now = proxy.element.domains.is_local_uri, stage.network.clock.seconds
    proxy.proxy.routers.append(PolicyRouter(store, is_local, now, lambda: proxy.proxy))
    # RFC 3261 section 21.3.4: whoever is not called by way of the proxy sends its caller there.
    bob = stage.agent("Bob", 2, does=lambda call: call.reject(305, headers=[("contact", f"<{BOB}>")]))
    alice = stage.agent("Alice", 1)
    account = alice.account(
        "sip:alice@example.com", credentials=DigestClient("alice", "secret", realms=["example.com"])
    )
    call = alice.call(bob.uri, account=account)
    stage.run()
    assert call.ending.status == 603
    stage.check(INCOMING_SCREENING)


OUTGOING_SCREENING = """
F1 INVITE Alice -> Proxy 1
F2 407 Proxy Authentication Required Proxy 1 -> Alice
F3 ACK Alice -> Proxy 1
F4 INVITE Alice -> Proxy 1
F5 403 Screening Failure (Originating) Proxy 1 -> Alice
F6 ACK Alice -> Proxy 1
"""


def test_2_14_outgoing_call_screening(stage: Stage) -> None:
    proxy = stage.proxy("Proxy 1", 1, passwords={"alice": "secret"})
    route = StaticRoute(user="900*", status=403, reason="Screening Failure (Originating)")
    proxy.proxy.routers.append(StaticRouter([route]))
    alice = stage.agent("Alice", 1, proxy, password="secret")
    call = alice.call("sip:9001234@example.net")
    stage.run()
    assert (call.ending.status, call.ending.reason) == (403, "Screening Failure (Originating)")
    stage.check(OUTGOING_SCREENING)
