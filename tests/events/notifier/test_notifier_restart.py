"""Restarts: what is stored goes on, with full state and numbers that watchers accept (RFC 3261 section 12.2.2)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.event_package import Authorization
from twisted_sip.interfaces.subscription import SubscriptionChange

ALICE = "sip:alice@example.com"


def state_of(notify: Any) -> str:
    return str(notify.typed("subscription-state"))


@pytest.mark.parametrize("graceful", [True, False])
def test_watchers_are_told_anew(desk: Any, graceful: bool) -> None:
    watcher = desk.subscribed(more="Accept: text/html\nSupported: gruu", event="Event: presence;id=7;max-rate=0.5;a=b")
    for text in ("one", "two"):
        desk.network.advance(3)
        desk.package.put(text)
        last = watcher.notify().cseq.number
    desk.network.advance(1)
    before = desk.only()
    desk.restart(graceful=graceful, away=20)
    watcher.peer.skip()
    desk.package.texts[ALICE] = "after"
    notify = watcher.notify()
    assert notify.cseq.number > last and notify.headers.first("event") == "presence;id=7"
    assert state_of(notify).startswith("active;expires=5") and "max-rate=0.5" in state_of(notify)
    after = desk.only()
    for name in (
        "id", "resource", "watcher", "expires_at", "created_at", "accept", "supported", "event_params", "event_id",
        "flow",
    ):  # fmt: skip
        assert getattr(after, name) == getattr(before, name), name
    assert desk.package.due and after.next_version() >= 4096
    assert watcher.subscribe(300, event="Event: presence;id=7").status == 200
    assert watcher.notify().cseq.number == notify.cseq.number + 1


def test_numbers_never_come_twice_however_often_it_dies(make_desk: Any) -> None:
    desk = make_desk(cseq_block=4)
    watcher = desk.subscribed(expires=6000)
    seen = [1]
    for _ in range(5):
        for text in ("one", "two", "three"):
            desk.package.put(text)
            seen.append(watcher.notify().cseq.number)
            desk.network.advance(0.1)
        desk.restart(graceful=False)
        seen.append(watcher.notify().cseq.number)
        desk.network.advance(0.1)
    assert seen == sorted(set(seen))


def test_replays_are_refused_after_a_restart(desk: Any) -> None:
    watcher = desk.subscribed()
    watcher.subscribe(600)
    watcher.notify()
    desk.restart()
    watcher.notify()
    assert watcher.subscribe(600, cseq="CSeq: 2 SUBSCRIBE").status == 500


def test_what_ran_out_meanwhile_is_gone(desk: Any) -> None:
    watcher = desk.subscribed(expires=60)
    desk.restart(away=61)
    watcher.peer.skip()
    watcher.quiet(60)
    assert not desk.notifier.counts()["subscriptions"]
    assert watcher.subscribe(60).status == 481
    desk.store._records.clear()


def test_watchers_are_asked_about_anew(desk: Any) -> None:
    allowed, refused, waiting = (desk.subscribed(user) for user in ("allowed", "refused", "waiting"))
    desk.node.crash()
    package = type(desk.package)()
    package.decision = lambda subscription: {
        "sip:allowed@example.com": Authorization(detail="x"),
        "sip:refused@example.com": Authorization(state="terminated", status=403),
        "sip:waiting@example.com": Authorization(state="pending"),
    }[subscription.watcher]
    desk.restart(package)
    assert state_of(allowed.notify()).startswith("active")
    assert state_of(refused.notify()) == "terminated;reason=rejected"
    assert state_of(waiting.notify()).startswith("pending")
    assert sorted(record.state for record in desk.stored()) == ["active", "pending"]


def test_who_had_to_wait_may_be_let_in_by_then(desk: Any) -> None:
    desk.package.decision = Authorization(state="pending")
    watcher = desk.subscribed()
    desk.restart()
    assert state_of(watcher.notify()).startswith("active")
    assert desk.package.changes == ["pending", "active"]


def test_a_package_that_cannot_say_yet(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()
    package = type(desk.package)()
    package.decision = lambda subscription: 1 / 0
    desk.restart(package)
    assert state_of(watcher.notify()).startswith("active")
    failures.texts.clear()


def test_news_while_a_restored_watcher_is_decided_about(desk: Any) -> None:

    watcher = desk.subscribed()
    answers: list[Deferred[Any]] = []
    package = type(desk.package)()
    package.decision = lambda subscription: answers.append(Deferred()) or answers[-1]
    desk.restart(package)
    package.put("news")
    assert len(answers) == 1
    answers[0].callback(Authorization())
    assert watcher.notify().body == b"news"
    watcher.quiet(1)


def test_shared_dialogs_go_on(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;id=1")
    watcher.subscribe(600, event="Event: presence;id=2")
    notify = watcher.notify()
    desk.network.advance(0.1)
    desk.restart()
    assert len(desk.notifier.dialogs) == 1
    numbers = [watcher.notify().cseq.number, watcher.notify().cseq.number]
    assert numbers == sorted(set(numbers)) and numbers[0] > notify.cseq.number
    assert all(record.cseq_limit > numbers[1] for record in desk.stored())


def test_a_restart_is_paced(make_desk: Any) -> None:
    desk = make_desk(notify_rate=10.0, notify_burst=2)
    for number in range(8):
        desk.subscribed(f"user{number}")
    desk.restart()
    assert desk.notifier.counts()["waiting"] == 6
    desk.network.advance(1)
    assert desk.notifier.counts()["waiting"] == 0
    for usage in desk.notifier.subscriptions("presence"):
        usage.busy = False
        desk.notifier.delivery.lost(usage)


def test_what_cannot_be_read_is_dropped(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()
    (good,) = desk.stored()
    bad = [
        attrs.evolve(good, key="1", event="none"),
        attrs.evolve(good, key="2", dialog="{"),
        attrs.evolve(good, key="3", dialog="[]"),
        attrs.evolve(good, key="4", dialog="{}"),
        attrs.evolve(good, key="5", state="terminated"),
        attrs.evolve(good, key="6", options="{"),
        attrs.evolve(good, key="7", options="[]"),
        attrs.evolve(good, key="8", options='{"params": 1}'),
        attrs.evolve(good, key="9", options='{"body": ["", "x"]}'),
        attrs.evolve(good, key="10", options='{"rates": [["a b", "1"]]}'),
    ]
    desk.store.commit(SubscriptionChange(tuple(bad)))
    desk.restart()
    watcher.notify()
    assert [record.key for record in desk.stored()] == [good.key]
    assert len(failures.texts) == len(bad)
    failures.texts.clear()


def test_bodies_and_conditions_outlive_a_restart(desk: Any) -> None:
    watcher = desk.watcher()
    desk.users = lambda request: "sip:bob@example.com"
    more = "Content-Type: application/xml\nSuppress-If-Match: *"
    assert watcher.subscribe(600, more=more, body="<x/>").status == 200
    watcher.notify()
    desk.restart()
    watcher.notify()
    subscription = desk.only()
    assert subscription.body == ("application/xml", b"<x/>") and subscription.condition == "*"
    assert subscription.authenticated


def test_too_many_to_go_on_with(desk: Any, failures: Any) -> None:
    for user in ("one", "two"):
        desk.subscribed(user)
    desk.settings = attrs.evolve(desk.settings, max_subscriptions=1, max_foreign=0)
    desk.restart()
    assert desk.notifier.counts()["subscriptions"] == 1 and len(desk.stored()) == 1
    failures.texts.clear()
    desk.network.advance(1)


def test_nothing_is_answered_before_it_is_loaded(desk: Any, failures: Any) -> None:

    watcher = desk.subscribed()
    loading: Deferred[Any] = Deferred()
    load, desk.store.load = desk.store.load, lambda: loading
    desk.restart()
    response = watcher.subscribe(600)
    assert (response.status, response.headers.first("retry-after")) == (503, "2")
    loading.callback(load())
    desk.store.load = load
    watcher.notify()
    assert watcher.subscribe(600).status == 200
    watcher.notify()
    desk.notifier.stop()
    assert watcher.subscribe(600).status == 503
    desk.restart()
    watcher.notify()


def test_a_store_that_cannot_be_read_stops_the_start(desk: Any) -> None:
    def load() -> Any:
        raise StoreError("damaged")

    real, desk.store.load = desk.store.load, load
    desk.restart()
    failed: list[Any] = []
    desk.started.addErrback(failed.append)
    assert failed[0].check(StoreError) and not desk.notifier.started
    desk.store.load = real


def test_what_could_not_be_stored_of_an_end(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed(expires=60)
    desk.store.broken = StoreError("full")
    assert state_of(watcher.notify(within=61)) == "terminated;reason=timeout"
    assert failures.texts
    failures.texts.clear()
    desk.store._records.clear()


def test_packages_are_added_once_and_before_the_start(desk: Any) -> None:
    with pytest.raises(LocalProtocolError):
        desk.notifier.add(type(desk.package)("other"))
    desk.notifier.started = False
    with pytest.raises(LocalProtocolError):
        desk.notifier.add(desk.package)
    with pytest.raises(TypeError):
        desk.notifier.add(type("None", (), {"event": "x"})())
    desk.notifier.started = True


@pytest.mark.parametrize("how", ["expires", "is refused", "unsubscribes", "fails", "is asked twice"])
def test_what_happens_to_a_restored_watcher_before_its_package_has_answered(desk: Any, failures: Any, how: str) -> None:
    watcher = desk.subscribed(expires=60)
    answers: list[Any] = []
    package = type(desk.package)()
    package.decision = lambda subscription: answers.append(Deferred()) or answers[-1]
    desk.restart(package)
    assert len(answers) == 1 and desk.only().state == "active"
    if how == "expires":
        desk.only().expires_at = desk.notifier.delivery.seconds() + 1
        desk.notifier.delivery.schedule(desk.only())
        desk.network.advance(2)
        answers[0].callback(Authorization())
    elif how == "is refused":
        package.decision = Authorization(status=403, state="terminated")
        assert watcher.subscribe(60).status == 403
        answers[0].callback(Authorization())
    elif how == "unsubscribes":
        assert watcher.subscribe(0).status == 200
        answers[0].callback(Authorization())
    elif how == "fails":
        package.decision = lambda subscription: 1 / 0
        assert watcher.subscribe(60).status == 500
        answers[0].callback(Authorization(state="terminated", reason="rejected"))
        failures.texts.clear()
    else:
        desk.notifier.reauthorize("presence", ALICE)
        answers[0].callback(Authorization())
        answers[1].callback(Authorization(state="terminated", reason="rejected"))
    assert state_of(watcher.notify()).startswith("terminated")
    desk.network.advance(0.1)
    assert not len(desk.notifier.dialogs) and not desk.stored()
