"""Watchers who wait for a decision (RFC 3857 section 4.7.1) and a server that is started anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import fail
from twisted.internet.task import Clock

from twisted_sip.documents.winfo import WinfoDocument
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.subscription import SubscriptionChange, SubscriptionRecord
from twisted_sip.presence import waiting
from twisted_sip.presence.waiting import WAITING_TIME, WaitingWatchers
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.testing.package_contract import FakeSubscription

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


class Store(MemorySubscriptionStore):
    """A store that counts what it is asked to write."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.commits = 0
        self.broken = False

    def commit(self, change: SubscriptionChange) -> Any:
        self.commits += 1
        return fail(StoreError("the disk is full")) if self.broken else super().commit(change)


class Room:
    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000.0)
        self.store = Store(self.clock)
        self.given_up: list[str] = []
        self.start()

    def start(self) -> None:
        self.table = WaitingWatchers(self.clock, lambda one: self.given_up.append(one.watcher), self.store)
        self.table.restore(self.store.load())

    def restart(self) -> None:
        self.table.stop()
        self.start()

    def add(self, watcher: str = BOB, id: str = "one", **how: Any) -> Any:
        return self.table.add(FakeSubscription(resource=ALICE, watcher=watcher, event="presence", **how), id)

    def records(self) -> list[SubscriptionRecord]:
        return list(self.store.load())


@pytest.fixture
def room() -> Room:
    return Room()


def test_who_waits_is_kept_as_he_was(room: Room) -> None:
    made = room.add(
        event_id="7", event_params=(("x", "y"),), accept=("application/pidf+xml",), supported=("eventlist",)
    )
    room.clock.advance(100)
    room.restart()
    (found,) = room.table.of(ALICE)
    assert found is not made
    for name in ("id", "watcher", "event", "event_id", "event_params", "accept", "supported", "since", "created_at"):
        assert getattr(found, name) == getattr(made, name), name
    assert (found.state, found.authorization.state, found.body) == ("terminated", "pending", ("", b""))
    room.clock.advance(WAITING_TIME - 101)
    assert room.given_up == []
    room.clock.advance(2)
    assert room.given_up == [BOB] and not room.records() and not len(room.table)


def test_a_write_at_the_begin_and_at_the_end(room: Room) -> None:
    first = room.add()
    # Who fetches every minute waits as one.
    for number in range(10):
        room.clock.advance(60)
        assert room.add(id=f"again{number}") is first
    assert room.store.commits == 1 and [record.key for record in room.records()] == ["waiting:one"]
    assert first.since == room.clock.seconds()
    # Long after it the record is put anew: it would be over too early.
    room.clock.advance(90_000)
    room.add()
    assert room.store.commits == 2 and room.records()[0].expires_at == room.clock.seconds() + WAITING_TIME
    room.table.remove(ALICE, BOB)
    room.table.remove(ALICE, BOB)
    assert room.store.commits == 3 and not room.records()


def test_what_is_damaged_or_too_much_is_dropped(room: Room, failures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c", "d", "e"):
        room.add(f"sip:{name}@example.com", name)
    records = {record.key[-1]: record for record in room.records()}
    bad = (
        attrs.evolve(records["a"], options="{"),
        attrs.evolve(records["b"], options="[]"),
        attrs.evolve(records["c"], options='{"params": [1]}'),
        attrs.evolve(records["d"], key="waiting:x", watcher="sip:e@example.com"),
    )
    room.store.commit(SubscriptionChange(bad))
    monkeypatch.setattr(waiting, "MOST_WAITING_EACH", 1)
    room.restart()
    assert [each.watcher for each in room.table.of(ALICE)] == ["sip:d@example.com"]
    assert [record.key for record in room.records()] == ["waiting:d"]
    assert len(failures.texts) == 3
    failures.texts.clear()


def test_a_store_that_fails_forgets(room: Room, failures: Any) -> None:
    room.store.broken = True
    room.add()
    assert len(room.table) == 1 and "disk is full" in failures.texts.pop()
    room.table.remove(ALICE, BOB)
    assert "disk is full" in failures.texts.pop()


def test_nobody_is_lost_without_a_store() -> None:
    table = WaitingWatchers(Clock(), lambda one: None)
    table.restore([SubscriptionRecord(**_record(options="{"))])
    assert not len(table)


def _record(**changes: Any) -> dict[str, Any]:
    return {
        "key": "waiting:x",
        "event": "presence",
        "resource": ALICE,
        "watcher": BOB,
        "state": "waiting",
        "expires_at": 1e10,
        "created_at": 0.0,
        "dialog": "",
        "cseq_limit": 0,
        **changes,
    }


# -- with a server ------------------------------------------------------------------------------


def told(notify: Any) -> list[tuple[str, str, str]]:
    return [(each.uri, each.status, each.event) for each in WinfoDocument.parse(notify.body).lists[0].watchers]


def test_the_presentity_learns_of_them_after_a_restart(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(default_handling="confirm").start()
    bob = desk.user("bob")
    watching = bob.watch(ALICE, 60)
    watching.notify()
    watching.notify(within=70)
    assert [record.state for record in desk.subscriptions.load()] == ["waiting"]
    desk.restart()
    assert desk.notifier.counts()["subscriptions"] == 0
    winfo = desk.user("alice").watch(ALICE, 600, event="presence.winfo")
    assert told(winfo.notify()) == [(BOB, "waiting", "timeout")]
    # He comes again: it is one of both.
    bob.watch(ALICE, 60).notify()
    assert sorted(told(winfo.notify())) == [(BOB, "pending", "subscribe"), (BOB, "terminated", "giveup")]
    assert "waiting" not in [record.state for record in desk.subscriptions.load()]


def test_a_removed_user_is_waited_for_no_more(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(default_handling="confirm").start()
    carol = "sip:carol@example.com"
    desk.user("bob").watch(ALICE, 0).notify()
    desk.user("alice").watch(carol, 0).notify()
    desk.user("bob").watch(carol, 0).notify()
    winfo = desk.user("carol").watched(carol, event="presence.winfo")
    assert desk.watcher_info.forget(ALICE) == 2 and desk.watcher_info.forget(ALICE) == 0
    assert told(winfo.notify()) == [(ALICE, "terminated", "giveup")]
    records = [record for record in desk.subscriptions.load() if record.state == "waiting"]
    assert [(record.resource, record.watcher) for record in records] == [(carol, BOB)]


def test_it_is_decided_about_them_after_a_restart(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(default_handling="confirm").start()
    assert desk.user("bob").watch(ALICE, 0).notify()
    desk.restart()
    winfo = desk.user("alice").watched(ALICE, event="presence.winfo")
    desk.put(
        "pres-rules",
        '<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a"><actions><s:sub-handling '
        'xmlns:s="urn:ietf:params:xml:ns:pres-rules">allow</s:sub-handling></actions></rule></ruleset>',
    )
    assert told(winfo.notify()) == [(BOB, "terminated", "approved")]
    assert "waiting" not in [record.state for record in desk.subscriptions.load()]


def test_a_server_without_watcher_information_drops_them(make_desk: Callable[..., Any], failures: Any) -> None:
    desk = make_desk(default_handling="confirm").start()
    desk.user("bob").watch(ALICE, 0).notify()
    desk.service.watcher_info = None
    desk.notifier.package("presence").waiting_restored(desk.subscriptions.load())
    desk.service.watcher_info = desk.watcher_info
    # A package that knows of none.
    desk.subscriptions.commit(SubscriptionChange((SubscriptionRecord(**_record(event="presence.winfo")),)))
    desk.restart()
    assert [record.event for record in desk.subscriptions.load()] == ["presence"]
    assert failures.texts.pop()
