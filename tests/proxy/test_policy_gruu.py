"""Call policies and GRUUs (RFC 5627 section 6.1)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"
INSTANCE = "urn:uuid:00000000-0000-1000-8000-000000000001"
GRUU = f"{BOB};gr={INSTANCE}"


@pytest.fixture
def house(make_house: Any) -> Any:
    made = make_house(routers=[StaticRouter([StaticRoute(host="example.org", status=403)])])
    made.policies = MemoryCallPolicyStore()
    made.proxy.routers.append(
        PolicyRouter(made.policies, made.element.domains.is_local_uri, lambda: 43200.0, lambda: made.proxy)
    )
    made.alice, made.phone, made.carol = (made.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    made.bind("bob", "sip:bob@192.0.2.10", instance=f"<{INSTANCE}>")
    made.bind("carol", "sip:carol@192.0.2.11")
    return made


def test_a_device_is_no_way_past_a_policy(house: Any) -> None:
    house.policies.set(BOB, CallPolicy(blocked=("alice@example.net",), forward_busy=CAROL))
    house.refused(house.alice, house.request("INVITE", GRUU), 603)
    house.phone.expect_nothing()


@pytest.mark.parametrize("rule", ["forward_always", "forward_busy"])
def test_calls_for_a_device_stay_with_it(house: Any, rule: str) -> None:
    house.policies.set(BOB, CallPolicy(**{rule: CAROL}))
    text = house.request("INVITE", GRUU)
    house.send(house.alice, text)
    house.phone.answer(house.phone.expect("INVITE"), 486)
    house.send(house.alice, house.ack_for(text, house.alice.expect(486)))
    house.carol.expect_nothing()


def test_devices_elsewhere_take_routes(house: Any) -> None:
    house.refused(house.alice, house.request("INVITE", "sip:x@example.org;gr=1"), 403)
