"""Call policies of users where the proxy routes."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

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
