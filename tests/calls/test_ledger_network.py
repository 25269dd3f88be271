"""Records of calls through a proxy on the simulated network: how they end, forks, held answers, restarts."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.calls.ledger import CallLedger
from twisted_sip.calls.settings import LedgerSettings
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.interfaces.call_policy import CallPolicy, Hours
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.accounting_memory import MemoryAccounting
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore
from twisted_sip.testing.behaviour import BUSY, DECLINE, NO_ANSWER, SILENT, Behaviour
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.server import SimulatedServer

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


class House:
    """A server with a ledger, and phones."""

    def __init__(self, sink: Any = None, **settings: Any) -> None:
        self.network = Network(7, Conditions(delay=(0.01, 0.01)))
        self.network.clock.advance(1_800_000_000.0)
        self.server = SimulatedServer(self.network)
        self.sink: Any = sink or MemoryAccounting()
        self.settings = LedgerSettings(**settings)
        self.phones = 0
        self.open()

    def open(self) -> None:
        """Have a ledger, as a server that has just started."""
        proxy = self.server.proxy
        self.ledger = CallLedger(
            self.server.node, self.server.element.domains.is_local_uri, self.sink, lambda: "m", self.settings
        )
        proxy.policies.append(self.ledger)
        proxy.refusals.append(self.ledger.refused)

    def phone(self, user: str, **how: Any) -> SimulatedPhone:
        self.phones += 1
        node = self.network.node(f"198.51.100.{self.phones}")
        made = SimulatedPhone(self.network, node, user, proxy=self.server.route(), **how)
        made.registration.start(600)
        self.network.advance(1.0)
        return made

    def only(self) -> CallRecord:
        """Return the one record that there is, of a call that is over; nothing else is left."""
        (record,) = self.sink.records
        assert not self.sink.under_way and not len(self.ledger.calls)
        self.network.advance(60)
        assert self.ledger.calls._sweep_call is None
        return record  # type: ignore[no-any-return]


@pytest.fixture
def house() -> House:
    return House()


def test_a_call_from_its_set_up_to_its_end(house: House) -> None:
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(rings_after=0.5, reacts_after=2.0, talks=100)
    begun = house.network.clock.seconds()
    alice.call(BOB, Behaviour(talks=20.0))
    house.network.advance(5)
    (live,) = house.ledger.records()
    assert live is house.sink.under_way[live.id] and live.result == "" and live.ended is None
    house.network.advance(30)
    record = house.only()
    assert (record.user, record.callee_user, record.caller, record.callee) == (ALICE, BOB, ALICE, BOB)
    assert (record.result, record.status, record.ended_by, record.target) == (
        "answered",
        200,
        "caller",
        bob.contact_uri,
    )
    assert record.caller_tag and record.callee_tag and record.call_id and record.legs == ()
    times = (record.set_up, record.ringing, record.answered, record.ended)
    assert [round(time - begun, 1) for time in times if time is not None] == [0.0, 0.5, 2.0, 22.0]
    assert record.known_until == record.ended and round(record.seconds) == 20


def test_the_callee_hangs_up(house: House) -> None:
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(talks=5)
    alice.call(BOB, Behaviour(talks=100.0, reinvites_after=2.0))
    house.network.advance(15)
    record = house.only()
    assert (record.result, record.ended_by) == ("answered", "callee")


@pytest.mark.parametrize(
    ("callee", "patience", "result", "status", "by"),
    [
        (Behaviour(reaction=BUSY), None, "refused", 486, "callee"),
        (Behaviour(reaction=DECLINE), None, "refused", 603, "callee"),
        (Behaviour(reaction=NO_ANSWER), 5.0, "cancelled", 487, "caller"),
        (Behaviour(reaction=SILENT), 5.0, "cancelled", 487, "caller"),
    ],
)
def test_calls_that_come_to_nothing(
    house: House, callee: Behaviour, patience: float | None, result: str, status: int, by: str
) -> None:
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = callee
    alice.call(BOB, Behaviour(patience=patience))
    house.network.advance(40)
    record = house.only()
    assert (record.result, record.status, record.ended_by) == (result, status, by)
    assert record.answered is None and record.ended is not None and record.seconds == 0.0
    assert record.ringing is not None
    assert record.callee_user == BOB and record.target == bob.contact_uri


def test_a_fork_that_is_busy_does_not_hide_that_the_caller_has_given_up(house: House) -> None:
    alice, ringing, busy = house.phone("alice"), house.phone("bob"), house.phone("bob")
    busy.behaviour, ringing.behaviour = Behaviour(reaction=BUSY), Behaviour(reaction=NO_ANSWER)
    alice.call(BOB, Behaviour(patience=5.0))
    house.network.advance(40)
    record = house.only()
    assert (record.result, record.status, record.ended_by) == ("cancelled", 486, "caller")
    assert {leg.status for leg in record.legs} == {486, 487}


def test_nobody_is_there(house: House) -> None:
    alice = house.phone("alice")
    alice.call(BOB)
    house.network.advance(5)
    record = house.only()
    assert (record.result, record.status, record.ended_by, record.callee_user) == ("failed", 480, "server", BOB)
    assert (record.user, record.caller, record.ringing, record.target) == (ALICE, ALICE, None, "")


@pytest.mark.parametrize(
    ("policy", "status", "reason"),
    [
        (CallPolicy(do_not_disturb=True), 480, "Do Not Disturb"),
        (CallPolicy(hours=(Hours.parse("mon 00:00-00:01"),)), 480, "Temporarily Unavailable"),
        (CallPolicy(blocked=("alice@example.com",)), 603, "Decline"),
    ],
)
@pytest.mark.parametrize("routed", [False, True])
def test_who_does_not_want_a_call_has_refused_it(
    house: House, policy: CallPolicy, status: int, reason: str, routed: bool
) -> None:
    """RFC 3261 section 21.4.18: 480 is for do-not-disturb too."""
    policies, proxy = MemoryCallPolicyStore(), house.server.proxy
    policies.set(BOB, policy)
    is_local = house.server.element.domains.is_local_uri
    if routed:
        proxy.routers.append(StaticRouter([StaticRoute(user="desk", to=(BOB,))]))
    proxy.routers.append(PolicyRouter(policies, is_local, house.network.clock.seconds, lambda: proxy))
    alice = house.phone("alice")
    house.phone("bob")
    alice.call("sip:desk@example.com" if routed else BOB)
    house.network.advance(5)
    record = house.only()
    assert (record.result, record.status, record.reason, record.ended_by) == ("refused", status, reason, "server")


def test_a_fork_has_legs(house: House) -> None:
    alice = house.phone("alice")
    slow, quick = house.phone("bob"), house.phone("bob")
    slow.behaviour = Behaviour(reaction=NO_ANSWER)
    quick.behaviour = Behaviour(reacts_after=3.0, talks=100)
    alice.call(BOB, Behaviour(talks=10.0))
    house.network.advance(30)
    record = house.only()
    assert record.target == quick.contact_uri and record.callee_user == BOB
    legs = {leg.uri: leg for leg in record.legs}
    assert set(legs) == {slow.contact_uri, quick.contact_uri}
    assert legs[quick.contact_uri].answered == record.answered and legs[quick.contact_uri].ended == record.ended
    assert legs[quick.contact_uri].callee_tag == record.callee_tag and legs[slow.contact_uri].answered is None


def test_refused_forks_have_legs_too(house: House) -> None:
    alice = house.phone("alice")
    for _ in range(2):
        house.phone("bob").behaviour = Behaviour(reaction=BUSY)
    alice.call(BOB)
    house.network.advance(10)
    assert [(leg.status, leg.reason) for leg in house.only().legs] == [(486, "Busy Here")] * 2


def test_both_forks_answer_it_ends_with_the_last_one(house: House) -> None:
    alice = house.phone("alice")
    phones = [house.phone("bob"), house.phone("bob")]
    for phone in phones:
        phone.behaviour = Behaviour(reacts_after=3.0, talks=40)
    alice.call(BOB, Behaviour(talks=10.0))
    house.network.advance(60)
    record = house.only()
    assert [leg.answered is not None for leg in record.legs] == [True, True]
    assert len({leg.callee_tag for leg in record.legs}) == 2 and record.result == "answered"


def test_a_call_whose_end_nobody_tells_is_over_in_time() -> None:
    house = House(max_duration=300)
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(talks=10_000)
    alice.call(BOB, Behaviour(talks=10_000))
    house.network.advance(10)
    answered = house.sink.under_way["m-1"].answered
    alice.node.crash()
    bob.node.crash()
    house.network.advance(340)
    record = house.only()
    assert (record.result, record.ended_by, record.reason) == ("answered", "network", "the longest duration")
    assert record.known_until == answered


class Slow(MemoryAccounting):
    """Lets answers wait."""

    def __init__(self) -> None:
        super().__init__()
        self.holds: list[Deferred[None]] = []

    def answered(self, record: CallRecord) -> Any:
        super().answered(record)
        self.holds.append(Deferred())
        return self.holds[-1]


def test_the_caller_is_told_when_the_record_is_durable() -> None:
    house = House(Slow())
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(reacts_after=1.0, talks=100)
    call = alice.call(BOB, Behaviour(talks=10.0))
    house.network.advance(5)
    # Bob has said it again meanwhile, and that waits, too.
    assert call.dialog is None and len(house.sink.holds) == 1
    house.sink.holds[0].callback(None)
    house.network.advance(1)
    assert call.dialog is not None
    house.network.advance(15)
    assert house.only().result == "answered"


class Broken:
    """Takes nothing."""

    def __init__(self) -> None:
        self.asked = 0

    def answered(self, record: CallRecord) -> None:
        self.asked += 1
        raise ValueError("full")

    ended = answered


def test_a_sink_that_fails_stops_no_call() -> None:
    house = House(Broken())
    alice, bob = house.phone("alice"), house.phone("bob")
    call = alice.call(BOB, Behaviour(talks=5.0))
    house.network.advance(4)
    assert call.dialog is not None
    house.network.advance(10)
    assert call.over and bob.alive and house.ledger.failed == 2 == house.sink.asked


def test_too_many_calls_at_a_time_have_records_all_the_same() -> None:
    house = House(max_calls=1)
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(talks=100)
    for _ in range(3):
        alice.call(BOB, Behaviour(talks=20.0))
    house.network.advance(5)
    assert house.ledger.unfollowed == 2 and len(house.sink.records) == 2 and len(house.sink.under_way) == 1
    house.network.advance(30)
    assert sorted(record.reason[:8] for record in house.sink.records) == ["", "too many", "too many"]


def left_behind(house: House, talks: float = 60.0) -> list[CallRecord]:
    """Have a call, and forget it as a crash would; return what the disk knows."""
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(talks=10_000)
    alice.call(BOB, Behaviour(talks=talks))
    house.network.advance(10)
    records = list(house.sink.under_way.values())
    house.ledger.stop()
    house.server.proxy.policies.remove(house.ledger)
    house.network.advance(5)
    house.open()
    return records


def test_a_call_goes_on_when_the_server_is_there_again(house: House) -> None:
    records = left_behind(house)
    assert house.ledger.resume(records, house.network.clock.seconds() - 5) == 1
    house.network.advance(60)
    record = house.only()
    assert (record.result, record.ended_by) == ("answered", "caller") and round(record.seconds) == 60


def test_a_call_of_which_nothing_is_heard_was_interrupted() -> None:
    house = House(max_duration=300)
    records = left_behind(house, talks=10_000.0)
    last_seen = house.network.clock.seconds() - 5
    assert house.ledger.resume(records, last_seen) == 1
    house.network.advance(400)
    record = house.only()
    assert (record.result, record.ended, record.known_until) == ("interrupted", last_seen, last_seen)
    assert record.ended_by == "server" and record.reason
    # What is over long since is not waited for, nor what has no tags: it was none of a proxy.
    for old in (records[0], CallRecord(id="x", caller=ALICE, callee=BOB, set_up=last_seen, answered=last_seen)):
        old.result, old.ended = "", None
        assert house.ledger.resume([old], None) == 0
        assert house.sink.records[-1].result == "interrupted"
