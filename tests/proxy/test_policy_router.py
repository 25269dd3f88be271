"""Call policies of users where the proxy routes."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.element.decisions import Decisions
from twisted_sip.interfaces.call_policy import CallPolicy, Hours
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB = "sip:bob@example.com"


class LateStore(MemoryCallPolicyStore):
    """Answers with a Deferred."""

    def lookup(self, aor: str) -> Any:
        found: Deferred[Any] = succeed(super().lookup(aor))
        return found


@pytest.fixture(params=[MemoryCallPolicyStore, LateStore])
def house(make_house: Any, request: Any) -> Any:
    store = request.param()
    routers: list[Any] = []
    made = make_house(routers=routers)
    # A Thursday, the first of January 1970, at noon.
    made.proxy.routers.append(
        PolicyRouter(store, made.element.domains.is_local_uri, lambda: 43200.0, lambda: made.proxy)
    )
    made.policies = store
    made.bind("bob", "sip:bob@192.0.2.10")
    return made


def test_calls_go_where_the_user_says(house: Any) -> None:
    house.policies.set(BOB, CallPolicy(forward_always="sip:carol@192.0.2.50"))
    alice, carol = house.peer("192.0.2.2"), house.peer("192.0.2.50")
    house.send(alice, house.request("INVITE", BOB))
    assert carol.expect("INVITE").uri_text == "sip:carol@192.0.2.50"


def test_a_silent_device_is_no_ringing_one_and_it_is_told_which_key_would_have_held(house: Any) -> None:
    decisions = house.element.decisions = Decisions(house.network.clock.seconds)
    house.policies.set(BOB, CallPolicy(forward_no_answer="sip:carol@192.0.2.50", no_answer_after=2))
    alice, carol = house.peer("192.0.2.2"), house.peer("192.0.2.50")
    house.peer("192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    house.send(alice, house.ack_for(text, alice.expect(408, within=40)))
    assert not carol.messages
    told = [(one.room, one.text, one.key) for one in decisions.call("call")]
    assert ("proxy", "sip:bob@192.0.2.10 has said nothing for 2 s: given up", "policy.no_answer_after") in told
    assert (
        "policy", f"no device of {BOB} says anything, and nothing is set for that", "policy.forward_unavailable"
    ) in told  # fmt: skip


def test_forwarded_to_another_user(house: Any) -> None:
    house.policies.set(BOB, CallPolicy(forward_always="sip:carol@example.com"))
    house.bind("carol", "sip:carol@192.0.2.51")
    alice, carol = house.peer("192.0.2.2"), house.peer("192.0.2.51")
    house.send(alice, house.request("INVITE", BOB))
    assert carol.expect("INVITE").uri_text == "sip:carol@192.0.2.51"


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (CallPolicy(do_not_disturb=True), 480),
        (CallPolicy(blocked=("*",)), 603),
        (CallPolicy(hours=(Hours.parse("thu 13:00-14:00"),)), 480),
    ],
)
def test_declined(house: Any, policy: CallPolicy, status: int) -> None:
    house.policies.set(BOB, policy)
    house.refused(house.peer("192.0.2.2"), house.request("INVITE", BOB), status)


@pytest.mark.parametrize("policy", [None, CallPolicy(hours=(Hours.parse("thu 11:00-13:00"),))])
def test_let_through(house: Any, policy: CallPolicy | None) -> None:
    if policy is not None:
        house.policies.set(BOB, policy)
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("INVITE", BOB))
    bob.expect("INVITE")


def test_policies_are_for_calls_alone(house: Any) -> None:
    house.policies.set(BOB, CallPolicy(do_not_disturb=True))
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    bob.answer(bob.expect("MESSAGE"), 200)
