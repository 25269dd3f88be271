"""Virtual subscriptions to a package that waits, fails, and changes its mind (RFC 4662 section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from twisted_sip.events.hosted import HostedPackage
from twisted_sip.events.virtual import VirtualSubscription
from twisted_sip.interfaces.event_package import UNCHANGED, Authorization, IEventPackage, Notification
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.package_contract import FakeSubscription

ALICE = "sip:alice@example.com"
BLOCKED = Authorization(state="terminated", reason="rejected", status=403)
PENDING = Authorization(state="pending")


@implementer(IEventPackage)
class Package:
    event = "presence"
    default_expires = 3600
    content_types = ("text/plain",)
    min_interval = 0.0

    def __init__(self) -> None:
        self.there: Any = True
        self.decision: Any = Authorization()
        self.answer: Any = Notification(content_type="text/plain", body=b"hello")
        self.changes: list[tuple[str, str, str]] = []
        self.due = 0

    def attached(self, host: Any) -> None:
        """There is nothing to ask of it."""

    def has_resource(self, resource: str) -> Any:
        return self.there

    def authorize(self, subscription: Any) -> Any:
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision

    def notification(self, subscription: Any) -> Any:
        return self.answer(subscription) if callable(self.answer) else self.answer

    def full_state_due(self, subscription: Any) -> None:
        self.due += 1

    def subscriptions_changed(self, subscriptions: Any) -> None:
        self.changes += [(each.state, each.reason, each.id) for each in subscriptions]


class Desk:
    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.package = Package()
        self.hosted = HostedPackage(self.package, min_expires=60, max_expires=3600, option_tags=frozenset())
        self.parent = FakeSubscription(resource="sip:list@example.com", watcher="sip:bob@example.com", event="presence")
        self.news = 0

    def make(self) -> VirtualSubscription:
        def on_news(_: VirtualSubscription) -> None:
            self.news += 1

        return VirtualSubscription(
            self.hosted, ALICE, self.parent, name="a", accept=("text/plain",), reactor=self.clock, on_news=on_news
        )

    def begun(self) -> VirtualSubscription:
        made = self.make()
        made.begin()
        return made


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def failures() -> Iterator[LoggedFailures]:
    with LoggedFailures() as observer:
        yield observer


def told(subscription: VirtualSubscription, **how: bool) -> list[Any]:
    results: list[Any] = []
    Deferred.fromCoroutine(subscription.told(**how)).addBoth(results.append)
    return results


def test_from_the_beginning_to_the_end(desk: Desk) -> None:
    made = desk.begun()
    assert made.state == "active" and made.id == "s1/a/1" and made.expires_at == desk.parent.expires_at
    assert desk.hosted.virtual.of(ALICE) == [made] == desk.hosted.virtual.of(None) and len(desk.hosted.virtual) == 1
    made.begin()
    assert len(desk.hosted.virtual) == 1
    assert told(made) == [desk.package.answer]
    before = desk.news
    desk.hosted.virtual.changed(ALICE)
    desk.hosted.virtual.changed("sip:carol@example.com")
    assert desk.news - before == 1
    made.end("timeout")
    made.end("timeout")
    assert desk.package.changes == [("active", "", "s1/a/1"), ("terminated", "timeout", "s1/a/1")]
    assert not len(desk.hosted.virtual) and not desk.hosted.virtual._by_resource
    assert (made.next_version(), made.next_version()) == (0, 1)


def test_several_watch_the_same(desk: Desk) -> None:
    one, other = desk.begun(), desk.begun()
    one.end("timeout")
    assert desk.hosted.virtual.of(ALICE) == [other]


def test_an_answer_that_comes_late(desk: Desk) -> None:
    waiting: Deferred[Authorization] = Deferred()
    desk.package.decision = waiting
    made = desk.begun()
    assert made.state == "unknown" and desk.news < 1 and desk.hosted.virtual.of(ALICE) == []
    made.news()
    assert desk.news < 1
    waiting.callback(PENDING)
    assert made.state == "pending" and desk.news > 0


def test_an_answer_that_comes_too_late(desk: Desk, failures: LoggedFailures) -> None:
    waiting: Deferred[Authorization] = Deferred()
    desk.package.decision = waiting
    made = desk.begun()
    desk.clock.advance(11.0)
    assert made.state == "unknown" and len(failures.texts) == 1
    desk.package.decision = Authorization()
    made.retry()
    assert made.state == "active"
    made.retry()
    assert len(desk.package.changes) == 1


def test_an_answer_after_the_end_does_not_count(desk: Desk) -> None:
    waiting: Deferred[Authorization] = Deferred()
    desk.package.decision = waiting
    made = desk.begun()
    made.end("timeout")
    waiting.callback(Authorization())
    assert made.state == "unknown" and desk.package.changes == []


def test_the_last_question_counts(desk: Desk) -> None:
    waiting: Deferred[Authorization] = Deferred()
    desk.package.decision = waiting
    made = desk.begun()
    desk.package.decision = PENDING
    desk.hosted.virtual.reauthorize(ALICE)
    waiting.callback(Authorization())
    assert made.state == "pending"


def test_a_package_that_fails(desk: Desk, failures: LoggedFailures) -> None:
    desk.package.decision = ValueError("oops")
    made = desk.begun()
    assert made.state == "unknown"
    desk.package.decision = "yes"
    made.retry()
    assert made.state == "unknown" and len(failures.texts) == 2
    desk.package.decision = Authorization()
    made.retry()
    desk.package.answer = None
    (failure,) = told(made)
    assert "gave None" in str(failure.value)


def test_rights_come_and_go(desk: Desk) -> None:
    made = desk.begun()
    decisions = [PENDING, PENDING, BLOCKED, BLOCKED, Authorization(), Authorization(detail=1), Authorization(detail=1)]
    seen = []
    for decision in decisions:
        desk.package.decision = decision
        made.reauthorize()
        seen.append((made.state, made.reason, made.id[-1], desk.news))
    assert seen == [
        ("pending", "", "1", 2),
        ("pending", "", "1", 2),
        ("terminated", "rejected", "1", 3),
        ("terminated", "rejected", "1", 3),
        ("active", "", "2", 4),
        ("active", "", "2", 5),
        ("active", "", "2", 5),
    ]
    assert desk.package.changes == [
        ("active", "", "s1/a/1"),
        ("pending", "", "s1/a/1"),
        ("terminated", "rejected", "s1/a/1"),
        ("active", "", "s1/a/2"),
    ]


def test_other_rights_of_a_package_that_tells_differences(desk: Desk) -> None:
    desk.hosted.tells_differences = True
    made = desk.begun()
    due = desk.package.due
    desk.package.decision = Authorization(detail=1)
    made.reauthorize()
    assert desk.package.due == due and desk.news == 2


def test_there_is_no_such_resource(desk: Desk) -> None:
    desk.package.there = False
    made = desk.begun()
    assert (made.state, made.reason) == ("terminated", "noresource")
    desk.package.there = True
    desk.package.decision = Authorization(state="terminated", status=404)
    made.retry()
    assert made.reason == "noresource" and desk.package.changes == []


def test_one_who_fetches(desk: Desk) -> None:
    made = desk.make()
    made.fetch()
    assert made.state == "active" and not len(desk.hosted.virtual) and desk.package.changes == []
    made.end("timeout")
    assert desk.package.changes == [("terminated", "timeout", "s1/a/1")]


def test_the_package_ends_it(desk: Desk) -> None:
    made = desk.begun()
    made.terminate("noresource")
    made.terminate("noresource")
    assert (made.state, made.reason, desk.news) == ("terminated", "noresource", 2)


def test_nothing_new(desk: Desk) -> None:
    hello = desk.package.answer
    made = desk.begun()
    due = desk.package.due
    desk.package.answer = lambda subscription: hello if desk.package.due > due else UNCHANGED
    assert told(made, news=True) == [UNCHANGED]
    assert told(made) == [hello]
