"""Entity-tags and the conditions on them (RFC 5839)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.events.conditional import entity_tag_of
from twisted_sip.interfaces.event_package import Authorization, Notification

ALICE = "sip:alice@example.com"


def tag_of(notify: Any) -> str:
    return str(notify.headers.first("sip-etag"))


def bare(notify: Any) -> bool:
    return notify.body == b"" and "content-type" not in notify.headers.names


def test_the_tag_tells_entities_apart() -> None:
    one = Notification(content_type="text/plain", body=b"one")
    tags = {
        entity_tag_of(one, "presence"),
        entity_tag_of(one, "dialog"),
        entity_tag_of(Notification(content_type="text/html", body=b"one"), "presence"),
        entity_tag_of(Notification(content_type="text/plain", body=b"two"), "presence"),
        entity_tag_of(Notification(content_type="text/plain", body=b"one", headers=(("A", "b"),)), "presence"),
        entity_tag_of(Notification(etag="own"), "presence"),
    }
    assert len(tags) == 6 and "own" in tags
    assert entity_tag_of(one, "presence") == entity_tag_of(one, "presence")
    assert entity_tag_of(Notification(etag="*"), "presence") != "*"


def test_polling(desk: Any) -> None:
    # Figure 3.
    desk.package.texts[ALICE] = "state"
    watcher = desk.watcher()
    watcher.subscribe(0)
    first = watcher.notify()
    assert first.body == b"state"
    for known in (tag_of(first), "*"):
        watcher.again()
        assert watcher.subscribe(0, more=f"Suppress-If-Match: {known}").status == 200
        notify = watcher.notify()
        assert bare(notify) and tag_of(notify) == tag_of(first)
        assert notify.typed("subscription-state").terminated
    watcher.again()
    desk.package.texts[ALICE] = "other"
    watcher.subscribe(0, more=f"Suppress-If-Match: {tag_of(first)}")
    assert watcher.notify().body == b"other"


def test_resuming(desk: Any) -> None:
    # Figure 4.
    desk.package.texts[ALICE] = "state"
    watcher = desk.watcher()
    watcher.subscribe(0)
    known = tag_of(watcher.notify())
    watcher.again()
    assert watcher.subscribe(600, more=f"Suppress-If-Match: {known}").status == 200
    assert bare(watcher.notify())
    # As long as the condition is true there is nothing to tell.
    desk.package.put("state")
    watcher.quiet()
    desk.package.put("other")
    assert watcher.notify().body == b"other"
    # The watcher has the other state now, whatever it said when it came back.
    desk.package.put("state")
    assert watcher.notify().body == b"state"


def test_refreshing(desk: Any) -> None:
    # Figure 5.
    desk.package.texts[ALICE] = "state"
    watcher = desk.watcher()
    watcher.subscribe(600)
    known = tag_of(watcher.notify())
    desk.network.advance(300)
    response = watcher.subscribe(600, more=f"Suppress-If-Match: {known}")
    assert (response.status, response.expires) == (204, 600)
    watcher.quiet()
    desk.network.advance(400)
    assert desk.only().state == "active" and desk.stored()[0].expires_at == desk.only().expires_at
    desk.package.put("other")
    assert watcher.notify().body == b"other"
    assert watcher.subscribe(600, more=f"Suppress-If-Match: {known}").status == 200
    assert watcher.notify().body == b"other"


def test_terminating(desk: Any) -> None:
    # Figure 6.
    desk.package.texts[ALICE] = "state"
    watcher = desk.watcher()
    watcher.subscribe(600)
    known = tag_of(watcher.notify())
    desk.network.advance(1)
    response = watcher.subscribe(0, more=f"Suppress-If-Match: {known}")
    assert (response.status, response.expires) == (204, 0)
    watcher.quiet()
    assert not desk.notifier.counts()["subscriptions"] and not desk.stored() and not len(desk.notifier.dialogs)
    assert desk.package.changes[-1] == "terminated timeout"


def test_terminating_with_an_old_tag(desk: Any) -> None:
    watcher = desk.subscribed()
    assert watcher.subscribe(0, more="Suppress-If-Match: old").status == 200
    assert watcher.notify().body == b"none"


def test_a_dormant_subscription(desk: Any) -> None:
    watcher = desk.subscribed()
    assert watcher.subscribe(600, more="Suppress-If-Match: *").status == 204
    for text in ("one", "two"):
        desk.package.put(text)
    watcher.quiet()
    # Changes of the subscription are told all the same, without a body.
    desk.notifier.terminate(desk.only(), "noresource")
    notify = watcher.notify()
    assert bare(notify) and notify.typed("subscription-state").reason == "noresource"


def test_a_dormant_subscription_wakes_up(desk: Any) -> None:
    watcher = desk.subscribed()
    watcher.subscribe(600, more="Suppress-If-Match: *")
    desk.package.put("one")
    assert watcher.subscribe(600).status == 200
    assert watcher.notify().body == b"one"
    desk.package.put("two")
    assert watcher.notify().body == b"two"


def test_a_change_of_the_subscription_is_told(desk: Any) -> None:
    desk.package.decision = Authorization(state="pending")
    watcher = desk.watcher()
    watcher.subscribe(600)
    watcher.notify()
    desk.network.advance(0.1)
    desk.package.decision = Authorization()
    assert watcher.subscribe(600, more="Suppress-If-Match: *").status == 200
    notify = watcher.notify()
    assert bare(notify) and notify.typed("subscription-state").state == "active"


def test_rates_that_change_are_told(desk: Any) -> None:
    watcher = desk.subscribed()
    assert watcher.subscribe(600, more="Suppress-If-Match: *", event="Event: presence;max-rate=0.1").status == 200
    notify = watcher.notify()
    assert bare(notify) and str(notify.typed("subscription-state")).endswith(";max-rate=0.1")
    assert watcher.subscribe(600, more="Suppress-If-Match: *", event="Event: presence;max-rate=0.1").status == 204


def test_what_is_under_way_comes_first(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    notify = watcher.notify(status=None)
    # It may have said so before the NOTIFY came.
    assert watcher.subscribe(600, more=f"Suppress-If-Match: {tag_of(notify)}").status == 200
    watcher.peer.answer(notify, 200, to_tag=watcher.tag)
    assert bare(watcher.notify())


@pytest.mark.parametrize("expires", [600, 0])
def test_a_package_that_takes_its_time(desk: Any, expires: int) -> None:
    watcher = desk.subscribed()
    answers: list[Deferred[Any]] = []
    plain = desk.package.plain(desk.only())
    desk.package.telling = lambda subscription: answers.append(Deferred()) or answers[-1]
    watcher.send(watcher.text(expires, more="Suppress-If-Match: *"))
    desk.network.advance(0.1)
    # Something is told while the package thinks: then this has to be told too.
    desk.package.put("meanwhile")
    answers[0].callback(plain)
    desk.package.telling = None
    watcher.peer.expect(200)
    answers[1].callback(plain)
    watcher.notify()


def test_a_package_that_answers_nonsense(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()
    desk.package.telling = lambda subscription: succeed("nonsense")
    assert watcher.subscribe(600, more="Suppress-If-Match: *").status == 200
    assert bare(watcher.notify())
    desk.package.telling = None
    failures.texts.clear()


@pytest.mark.parametrize("expires", [600, 0])
def test_what_ends_while_a_condition_is_looked_at(desk: Any, expires: int) -> None:
    watcher = desk.subscribed()
    answers: list[Deferred[Any]] = []
    plain = desk.package.plain(desk.only())
    desk.package.telling = lambda subscription: answers.append(Deferred()) or answers[-1]
    watcher.send(watcher.text(expires, more="Suppress-If-Match: *"))
    desk.network.advance(0.1)
    desk.package.telling = None
    desk.notifier.terminate(desk.only(), "noresource")
    notify = watcher.notify()
    assert notify.typed("subscription-state").reason == "noresource"
    answers[0].callback(plain)
    watcher.peer.expect(200 if expires == 0 else 481)
    assert not desk.stored()
