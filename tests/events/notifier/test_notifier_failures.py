"""NOTIFYs and packages that fail (RFC 6665 section 4.2.2, RFC 5057 section 5)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import LocalProtocolError, TransportError
from twisted_sip.interfaces.event_package import Notification

ALICE = "sip:alice@example.com"


def state_of(notify: Any) -> str:
    return str(notify.typed("subscription-state"))


def test_a_package_that_never_answers_does_not_hold_the_end_up(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()
    desk.package.telling = lambda subscription: Deferred()
    desk.package.put("one")
    desk.network.advance(10.5)
    # News that could not be told are dropped; the end is told without a body.
    watcher.subscribe(0)
    desk.network.advance(10)
    notify = watcher.notify()
    assert state_of(notify) == "terminated;reason=timeout" and notify.body == b""
    assert "content-type" not in notify.headers.names
    failures.texts.clear()


@pytest.mark.parametrize("how", ["raise", "fail", "nonsense", "late nonsense", "bad type", "bad header"])
def test_a_package_that_fails(desk: Any, failures: Any, how: str) -> None:
    watcher = desk.subscribed()

    def telling(subscription: Any) -> Any:
        if how == "raise":
            raise RuntimeError("oh")
        if how == "fail":
            failed: Deferred[Any] = Deferred()
            failed.errback(RuntimeError("oh"))
            return failed
        if how == "late nonsense":
            nonsense: Deferred[Any] = Deferred()
            nonsense.callback("nonsense")
            return nonsense
        if how == "bad type":
            return Notification(content_type="text/plain\r\nX: y")
        if how == "bad header":
            return Notification(headers=(("X", "a\r\nb"),))
        return "nonsense"

    desk.package.telling = telling
    desk.package.put("one")
    watcher.quiet(1)
    assert watcher.subscribe(600).status == 200
    assert watcher.notify().body == b""
    desk.package.telling = None
    desk.package.put("two")
    assert watcher.notify().body == b"two"
    assert failures.texts
    failures.texts.clear()


def test_a_package_that_fails_to_hear(desk: Any, failures: Any) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("oh")

    desk.package.subscriptions_changed = desk.package.full_state_due = broken
    watcher = desk.subscribed()
    assert watcher.subscribe(0).status == 200
    watcher.notify()
    assert failures.texts
    failures.texts.clear()


@pytest.mark.parametrize("status", [404, 405, 410, 416, 480, 481, 482, 484, 485, 489, 501, 502, 604, 408])
def test_failures_that_end_a_subscription(desk: Any, status: int) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    watcher.notify(status)
    desk.network.advance(0.1)
    assert not desk.notifier.counts()["subscriptions"] and not desk.stored() and not len(desk.notifier.dialogs)
    assert desk.package.changes[-1] == "terminated"
    desk.package.put("two")
    watcher.quiet(60)
    assert watcher.subscribe(600).status == 481


@pytest.mark.parametrize("status", [300, 400, 401, 403, 413, 488, 491, 513, 603])
def test_failures_of_one_notify_alone(desk: Any, status: int) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    desk.package.due.clear()
    watcher.notify(status)
    watcher.quiet(60)
    assert desk.package.due
    desk.package.put("two")
    assert watcher.notify().body == b"two"


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (500, [], 10),
        (503, [("retry-after", "30")], 30),
        (503, [("retry-after", "soon")], 10),
        (600, [], 10),
        (486, [("retry-after", "20")], 20),
    ],
)
def test_failures_for_a_while(desk: Any, status: int, headers: Any, pause: int) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    watcher.notify(status, headers)
    desk.package.put("two")
    watcher.quiet(pause - 1)
    assert watcher.notify().body == b"two"
    watcher.quiet(60)
    assert desk.only().failures == 0


def test_pauses_grow_and_a_subscribe_ends_them(desk: Any) -> None:
    watcher = desk.subscribed(expires=3600)
    desk.package.put("one")
    for pause in (10, 20, 40):
        watcher.notify(500)
        watcher.quiet(pause - 1)
    watcher.notify(500)
    desk.network.advance(0.1)
    assert watcher.subscribe(3600).status == 200
    assert watcher.notify().body == b"one"


def test_a_watcher_that_is_gone(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    watcher.notify(status=None)
    # Timer F.
    desk.network.advance(33)
    assert not desk.notifier.counts()["subscriptions"] and not desk.stored()


def test_the_end_of_a_dialog_is_the_end_of_all_its_subscriptions(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;id=1")
    watcher.subscribe(600, event="Event: presence;id=2")
    watcher.notify()
    desk.network.advance(0.1)
    desk.notifier.notify(desk.notifier.subscriptions("presence")[0])
    watcher.notify(404)
    desk.network.advance(0.1)
    assert not desk.notifier.counts()["subscriptions"] and not desk.stored()


def test_one_usage_may_end_alone(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;id=1")
    watcher.subscribe(600, event="Event: presence;id=2")
    watcher.notify()
    desk.network.advance(0.1)
    desk.notifier.notify(desk.notifier.subscriptions("presence")[0])
    watcher.notify(481)
    desk.network.advance(0.1)
    assert desk.only().event_id == "2" and len(desk.stored()) == 1


def test_a_dialog_that_ends_while_a_notify_is_under_way(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;id=1")
    watcher.subscribe(600, event="Event: presence;id=2")
    watcher.notify()
    desk.network.advance(0.1)
    desk.package.put("one")
    first, second = watcher.notify(status=None), watcher.notify(status=None)
    watcher.peer.answer(first, 404, to_tag=watcher.tag)
    desk.network.advance(0.1)
    watcher.peer.answer(second, 200, to_tag=watcher.tag)
    desk.network.advance(0.1)
    assert not desk.notifier.counts()["subscriptions"]


def test_a_connection_that_fails_is_left_for_another_way(desk: Any) -> None:
    watcher = desk.subscribed()
    subscription = desk.only()

    class Broken:
        open = True

        def __init__(self, real: Any) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def send(self, data: bytes, message: Any) -> None:
            raise TransportError("gone")

    subscription.way = Broken(subscription.way)
    desk.package.put("one")
    assert watcher.notify().body == b"one"
    assert subscription.way is None
    desk.package.put("two")
    assert watcher.notify().body == b"two"


def test_a_full_table_of_transactions_is_no_fault_of_the_way(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.network.advance(40)
    way = desk.only().way
    desk.element.transactions.max_transactions = 0
    desk.package.put("one")
    watcher.quiet(1)
    desk.element.transactions.max_transactions = 1000
    assert watcher.notify(within=11).body == b"one"
    assert desk.only().way is way


def test_a_dialog_that_goes_while_the_package_thinks(desk: Any, failures: Any) -> None:
    for outcome in (Notification(), RuntimeError("oh")):
        desk.subscribed(f"user{outcome!r}"[:8])
        answers: list[Deferred[Any]] = []
        desk.package.telling = lambda subscription, answers=answers: answers.append(Deferred()) or answers[-1]
        desk.package.put("one")
        desk.notifier.dialogs.destroy(desk.only().dialog.id, 404)
        if isinstance(outcome, Exception):
            answers[0].errback(outcome)
        else:
            answers[0].callback(outcome)
        desk.package.telling = None
        assert not desk.notifier.counts()["subscriptions"]
    failures.texts.clear()


def test_a_fault_of_ours_is_not_the_end(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()

    def send(*args: Any, **how: Any) -> None:
        raise LocalProtocolError("oh")

    sender = type("Sender", (), {"send": staticmethod(send), "start_straight": staticmethod(send)})
    real, desk.element.sender = desk.element.sender, sender()
    desk.package.put("one")
    desk.element.sender = real
    assert watcher.notify(within=11).body == b"one"
    failures.texts.clear()
