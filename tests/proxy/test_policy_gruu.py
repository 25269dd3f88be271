"""Call policies and GRUUs (RFC 5627 section 6.1)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import succeed

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.interfaces.location import Binding
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"
INSTANCE = "urn:uuid:00000000-0000-1000-8000-000000000001"
GRUU = f"{BOB};gr={INSTANCE}"
SERIES = "1.0123456789abcdef"


@pytest.fixture
def house(make_house: Any) -> Any:
    made = make_house(routers=[StaticRouter([StaticRoute(host="example.org", status=403)])])
    made.policies = MemoryCallPolicyStore()
    made.proxy.routers.append(
        PolicyRouter(
            made.policies,
            made.element.domains.is_local_uri,
            lambda: 43200.0,
            lambda: made.proxy,
            made.element.temporary_gruus.owner_of,
        )
    )
    made.alice, made.phone, made.carol = (made.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    made.bind("bob", "sip:bob@192.0.2.10", instance=f"<{INSTANCE}>", series=SERIES)
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


def temporary(house: Any, series: str = SERIES) -> str:
    binding = Binding(aor=BOB, key="k", contact="sip:b@h", call_id="r", cseq=1, expires_at=9e9, series=series)
    return str(house.element.temporary_gruus.make(binding))


@pytest.mark.parametrize("later", [False, True])
def test_nor_is_a_temporary_one(house: Any, later: bool) -> None:
    house.policies.set(BOB, CallPolicy(blocked=("alice@example.net",), forward_always=CAROL))
    if later:
        find = house.store.lookup
        house.store.lookup = lambda aor: succeed(find(aor))
    house.refused(house.alice, house.request("INVITE", temporary(house)), 603)
    house.phone.expect_nothing()
    house.carol.expect_nothing()


def test_temporary_ones_stay_with_their_device(house: Any) -> None:
    house.policies.set(BOB, CallPolicy(forward_always=CAROL, forward_busy=CAROL))
    text = house.request("INVITE", temporary(house))
    house.send(house.alice, text)
    house.phone.answer(house.phone.expect("INVITE"), 486)
    house.send(house.alice, house.ack_for(text, house.alice.expect(486)))
    house.carol.expect_nothing()


@pytest.mark.parametrize("made_up", [False, True])
def test_those_that_have_ended_are_nobodys(house: Any, made_up: bool) -> None:
    """Section 6.1: 404, whatever their owner wants to become of calls."""
    house.policies.set(BOB, CallPolicy(do_not_disturb=True))
    gruu = "sip:tgruu.AAAA@example.com;gr" if made_up else temporary(house, "2.aaaaaaaaaaaaaaaa")
    house.refused(house.alice, house.request("INVITE", gruu), 404)
