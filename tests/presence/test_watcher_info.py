"""Who watches a presentity, told to the presentity (RFC 3857, RFC 3858); both packages by the contract."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from twisted_sip.documents.permissions import ALL_PERMISSIONS, NO_PERMISSIONS, Permissions, SubHandling
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.winfo import WatcherTable, WinfoDocument
from twisted_sip.interfaces.event_package import UNCHANGED, Authorization
from twisted_sip.presence import waiting, watcher_info
from twisted_sip.presence.package import PresencePackage
from twisted_sip.presence.service import PresenceService
from twisted_sip.presence.waiting import WAITING_TIME, WaitingWatchers
from twisted_sip.presence.watcher_info import WatcherInfoPackage
from twisted_sip.storage.publication_memory import MemoryPublicationStore
from twisted_sip.testing.package_contract import EventPackageContract, FakeHost, FakeSubscription

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
CONFIRM = Permissions(sub_handling=SubHandling.CONFIRM)
OPEN = Presence(ALICE).with_status("open")


class FakeElement:
    def __init__(self, clock: Clock) -> None:
        self.reactor = clock
        self.domains = self
        self._texts = 0

    def is_local_uri(self, uri: Any) -> bool:
        return bool(getattr(uri, "host", "") == "example.com")

    def random_text(self) -> str:
        self._texts += 1
        return f"text{self._texts}"


def make_service(clock: Clock) -> PresenceService:
    service = PresenceService(FakeElement(clock), MemoryPublicationStore(clock))
    service.publish(ALICE, OPEN, expires=86_400)
    return service


class PresencePackageContractTests(EventPackageContract, unittest.TestCase):
    def make_package(self, clock: Clock) -> PresencePackage:
        return PresencePackage(make_service(clock))

    def test_nothing_is_told_twice(self) -> None:
        for watcher in (self.watcher, "sip:stranger@example.net"):
            subscription = self.subscribed(watcher, id=watcher)
            first = self.told(subscription)
            assert first is not UNCHANGED and self.told(subscription) is UNCHANGED
            self.full_state_due(subscription)
            assert self.told(subscription) == first

    def test_rejected_is_rejected(self) -> None:
        subscription = self.subscribed()
        subscription.authorization = Authorization(state="terminated", reason="rejected", status=403)
        assert not self.told(subscription).body


class WatcherInfoPackageContractTests(EventPackageContract, unittest.TestCase):
    watcher = EventPackageContract.resource

    def make_package(self, clock: Clock) -> WatcherInfoPackage:
        return WatcherInfoPackage(make_service(clock), FakeElement(clock))

    def test_nobody_else_is_told(self) -> None:
        decided = self.package.authorize(self.subscription("sip:bob@example.com"))
        assert decided.status == 403


# -- the package alone ----------------------------------------------------------------------


class Watchers:
    """A package with one who is told, whose table is kept as the RFC says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.service = make_service(self.clock)
        self.package = self.service.watcher_info = WatcherInfoPackage(self.service, FakeElement(self.clock))
        self.host = FakeHost()
        self.package.attached(self.host)
        self.presentity = FakeSubscription(
            resource=ALICE, watcher=ALICE, event="presence.winfo", state="active", authorization=Authorization()
        )
        self.host.known.append(self.presentity)
        self.table = WatcherTable()
        self.last: Any = None

    def watcher(self, name: str = "bob", state: str = "active", **how: Any) -> FakeSubscription:
        made = FakeSubscription(
            resource=ALICE, watcher=f"sip:{name}@example.com", event="presence", id=name, **how
        )  # fmt: skip
        self.change(made, state)
        return made

    def change(self, subscription: FakeSubscription, state: str, reason: str = "") -> None:
        subscription.state, subscription.reason = state, reason
        if state != "terminated":
            subscription.authorization = Authorization(state=state)
        known = [one for one in self.host.known if one is not subscription]
        self.host.known = known if state == "terminated" else [*known, subscription]
        self.package.watchers_changed([subscription])

    def told(self) -> list[tuple[str, str, str]]:
        """Return what is told now."""
        self.last = WinfoDocument.parse(self.package.notification(self.presentity).body)
        assert self.table.receive(self.last)
        return [(each.uri[4:].partition("@")[0], each.status, each.event) for each in self.last.lists[0].watchers]

    def rows(self) -> list[str]:
        return [each.uri[4:].partition("@")[0] for each in self.table.watchers[ALICE, "presence"].values()]


def test_the_life_of_watchers() -> None:
    watchers = Watchers()
    bob = watchers.watcher()
    assert watchers.told() == [("bob", "active", "subscribe")] and watchers.last.full
    carol = watchers.watcher("carol", "pending")
    assert watchers.told() == [("carol", "pending", "subscribe")] and not watchers.last.full
    watchers.change(carol, "pending")
    watchers.change(carol, "active")
    assert watchers.told() == [("carol", "active", "approved")]
    watchers.change(bob, "terminated", "noresource")
    watchers.change(carol, "terminated", "invariant")
    assert watchers.told() == [("bob", "terminated", "noresource"), ("carol", "terminated", "timeout")]
    assert watchers.rows() == [] and not len(watchers.package.waiting)


def test_watchers_that_nobody_is_told_of() -> None:
    watchers = Watchers()
    watchers.told()
    watchers.host.calls.clear()
    own = watchers.watcher("alice")
    # A fetch that is allowed (section 4.7.2).
    fetch = FakeSubscription(resource=ALICE, watcher=BOB, event="presence", authorization=Authorization())
    watchers.change(fetch, "terminated", "timeout")
    assert watchers.host.calls == [] and watchers.package.watchers(ALICE) == ()
    del own


@pytest.mark.parametrize("reason", ["timeout", "giveup"])
def test_who_ran_out_of_time_waits(reason: str) -> None:
    watchers = Watchers()
    watchers.told()
    bob = watchers.watcher("bob", "pending")
    watchers.change(bob, "terminated", reason)
    assert watchers.told() == [("bob", "waiting", "timeout")]
    # Another try: the one who waited is gone (section 4.7.1).
    again = watchers.watcher("bob", "pending", created_at=1001.0)
    again.id = "bob2"
    watchers.change(again, "terminated", "timeout")
    watchers.package.full_state_due(watchers.presentity)
    assert watchers.told() == [("bob", "waiting", "timeout")] and len(watchers.package.waiting) == 1
    watchers.clock.advance(WAITING_TIME + 1)
    assert watchers.told() == [("bob", "terminated", "giveup")]
    assert not len(watchers.package.waiting)


def test_who_comes_again_waits_no_more() -> None:
    watchers = Watchers()
    watchers.change(watchers.watcher("bob", "pending"), "terminated", "timeout")
    watchers.told()
    again = FakeSubscription(resource=ALICE, watcher=BOB, event="presence", id="another")
    watchers.change(again, "active")
    assert watchers.told() == [("bob", "terminated", "giveup"), ("bob", "active", "subscribe")]
    assert watchers.rows() == ["bob"]


def test_a_fetch_that_nobody_has_decided_about_waits() -> None:
    """Section 4.7.1: so that it can be decided about."""
    watchers = Watchers()
    fetch = FakeSubscription(
        resource=ALICE, watcher=BOB, event="presence", authorization=Authorization(state="pending")
    )
    watchers.change(fetch, "terminated", "timeout")
    assert watchers.told() == [("bob", "waiting", "timeout")]


def test_decisions_about_those_who_wait(failures: Any) -> None:
    watchers = Watchers()
    answers: dict[str, Any] = {}

    def authorize(resource: str, watcher: str, subscription: Any) -> Any:
        assert (subscription.state, subscription.memory, subscription.next_version()) == ("terminated", {}, 0)
        answer = answers[watcher[4:].partition("@")[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    watchers.service.authorize_watcher = authorize  # type: ignore[method-assign]
    names = ["allowed", "blocked", "still", "later", "failing", "gone"]
    for name in names:
        watchers.change(watchers.watcher(name, "pending"), "terminated", "timeout")
    watchers.told()

    async def fails() -> Permissions:
        raise ValueError("no idea")

    async def gone() -> Permissions:
        watchers.package.waiting.remove(ALICE, "sip:gone@example.com")
        return ALL_PERMISSIONS

    answers |= {
        "allowed": ALL_PERMISSIONS,
        "blocked": NO_PERMISSIONS,
        "still": CONFIRM,
        "later": succeed(ALL_PERMISSIONS),
        "failing": fails(),
        "gone": gone(),
    }
    watchers.package.decided(ALICE)
    assert watchers.told() == [
        ("allowed", "terminated", "approved"),
        ("blocked", "terminated", "rejected"),
        ("later", "terminated", "approved"),
    ]
    assert [each.watcher for each in watchers.package.waiting.of(ALICE)] == [
        "sip:still@example.com",
        "sip:failing@example.com",
    ]
    assert "no idea" in failures.texts.pop()
    watchers.package.stop()
    assert not len(watchers.package.waiting) and not watchers.clock.getDelayedCalls()[1:]


def test_many_changes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_info, "MOST_CHANGES", 3)
    watchers = Watchers()
    watchers.told()
    for number in range(10):
        watchers.watcher(f"w{number}")
        assert len(watchers.presentity.memory["changes"]) <= 4
    assert len(watchers.told()) == 10 and watchers.last.full
    watchers.watcher("one")
    assert len(watchers.told()) == 1 and not watchers.last.full


def test_the_undecided_come_first_and_not_everybody_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_info, "MOST_LISTED", 5)
    watchers = Watchers()
    for number in range(4):
        watchers.watcher(f"a{number}")
    watchers.watcher("p", "pending")
    watchers.change(watchers.watcher("w", "pending"), "terminated", "timeout")
    assert [name for name, _, _ in watchers.told()] == ["p", "w", "a3", "a2", "a1"]
    for number in range(6):
        watchers.watcher(f"p{number}", "pending")
    watchers.package.full_state_due(watchers.presentity)
    assert [state for _, state, _ in watchers.told()] == ["pending"] * 5 + ["waiting"]


def test_our_users_come_before_strangers() -> None:
    watchers = Watchers()
    stranger = FakeSubscription(resource=ALICE, watcher="sip:s@example.net", event="presence", id="s")
    watchers.change(stranger, "pending")
    watchers.watcher("p", "pending")
    assert [each.uri for each in watchers.package.watchers(ALICE)] == ["sip:p@example.com", "sip:s@example.net"]


def test_what_does_not_fit_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_info, "MOST_BYTES", 500)
    watchers = Watchers()
    for number in range(5):
        watchers.watcher(f"w{number}")
    notified = watchers.host.calls
    notified.clear()
    assert len(watchers.told()) == 2 and watchers.last.full and notified == [("notify", watchers.presentity)]
    # What changes meanwhile is told as it is then, and once.
    left = next(each for each in watchers.host.known if each.id == "w0")
    watchers.change(left, "terminated", "timeout")
    assert [state for _, state, _ in watchers.told()] == ["active", "active"] and not watchers.last.full
    notified.clear()
    assert watchers.told() == [("w0", "terminated", "timeout")] and not notified
    assert len(watchers.table.watchers[ALICE, "presence"]) == 4
    # Full state begins anew.
    watchers.package.full_state_due(watchers.presentity)
    assert len(watchers.told()) == 2 and watchers.last.full
    watchers.package.full_state_due(watchers.presentity)
    assert len(watchers.told()) == 2 and watchers.last.full
    assert len(watchers.told()) == 2 and not watchers.last.full


def test_a_fetch_has_no_next_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_info, "MOST_BYTES", 1)
    watchers = Watchers()
    for name in ("one", "two"):
        watchers.watcher(name)
    watchers.host.calls.clear()
    watchers.presentity.state = "terminated"
    assert len(watchers.told()) == 1 and not watchers.host.calls


def test_without_a_host_nothing_is_known() -> None:
    watchers = Watchers()
    watchers.package._host = None
    watchers.watcher()
    assert watchers.package.watchers(ALICE) == ()


def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    table = WaitingWatchers(clock, lambda watcher: None)

    def add(resource: str, watcher: str) -> Any:
        return table.add(FakeSubscription(resource=resource, watcher=watcher, event="presence"), watcher)

    monkeypatch.setattr(waiting, "MOST_WAITING_EACH", 2)
    monkeypatch.setattr(waiting, "MOST_WAITING", 3)
    assert add(ALICE, "a") and add(ALICE, "b") and add(ALICE, "c") is None and add(ALICE, "a")
    assert add(BOB, "a") and add(BOB, "b") is None and len(table) == 3
    clock.advance(1000)
    assert table.remove(ALICE, "a") and table.remove(ALICE, "a") is None
    assert table.remove(ALICE, "b") and add(ALICE, "c") and len(table) == 2
    clock.pump([WAITING_TIME / 2] * 3)
    assert not len(table) and not clock.getDelayedCalls()
    assert table.remove(BOB, "a") is None


def test_strangers_take_no_place_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING_EACH", 2)
    monkeypatch.setattr(waiting, "MOST_WAITING", 2)
    monkeypatch.setattr(waiting, "MOST_FOREIGN_EACH", 2)
    monkeypatch.setattr(waiting, "MOST_FOREIGN", 3)
    clock = Clock()
    table = WaitingWatchers(clock, lambda watcher: None, is_ours=lambda watcher: watcher.endswith("@example.com"))

    def add(resource: str, watcher: str) -> Any:
        return table.add(FakeSubscription(resource=resource, watcher=watcher, event="presence"), watcher)

    assert add(ALICE, "a@example.net") and add(ALICE, "b@example.net") and add(ALICE, "c@example.net") is None
    assert add(ALICE, "a@example.com") and add(ALICE, "b@example.com") and add(ALICE, "c@example.com") is None
    assert add(BOB, "a@example.net") and add(BOB, "b@example.net") is None
    assert table.remove(ALICE, "a@example.net") and add(BOB, "b@example.net") and len(table) == 5
    table.stop()
    assert not len(table)


def test_more_than_may_wait_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING_EACH", 0)
    watchers = Watchers()
    watchers.told()
    watchers.change(watchers.watcher("bob", "pending"), "terminated", "timeout")
    assert watchers.told() == [("bob", "terminated", "timeout")]


# -- with a server ------------------------------------------------------------------------------


def test_a_presentity_learns_who_watches(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(default_handling="confirm").start()
    alice = desk.user("alice")
    winfo = alice.watched(ALICE, event="presence.winfo")
    assert WinfoDocument.parse(winfo.told[-1]).lists[0].watchers == ()
    bob = desk.user("bob").watch(ALICE, 60)
    bob.notify()
    (watcher,) = WinfoDocument.parse(winfo.notify().body).lists[0].watchers
    assert (watcher.uri, watcher.status) == (BOB, "pending")
    bob.notify(within=70)
    (watcher,) = WinfoDocument.parse(winfo.notify().body).lists[0].watchers
    assert (watcher.uri, watcher.status) == (BOB, "waiting")
    desk.put(
        "pres-rules",
        '<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a"><actions><s:sub-handling '
        'xmlns:s="urn:ietf:params:xml:ns:pres-rules">allow</s:sub-handling></actions></rule></ruleset>',
    )
    (watcher,) = WinfoDocument.parse(winfo.notify().body).lists[0].watchers
    assert (watcher.uri, watcher.status, watcher.event) == (BOB, "terminated", "approved")
    assert desk.user("bob").watched().status == 200
    desk.restart()
    winfo.contact = winfo.contact
    whole = WinfoDocument.parse(winfo.notify(within=10).body)
    assert whole.full and [each.uri for each in whole.lists[0].watchers] == [BOB]
