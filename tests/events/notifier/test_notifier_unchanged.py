"""Packages that say that there is nothing new for a watcher (IEventPackage.notification, UNCHANGED)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.event_package import UNCHANGED, Authorization, Notification

ALICE = "sip:alice@example.com"


@pytest.fixture
def quiet(desk: Any) -> Any:
    """A desk whose package tells nobody the same thing twice."""
    had: dict[Any, bytes] = {}
    package = desk.package

    def telling(subscription: Any) -> Notification:
        told = package.plain(subscription)
        if had.get(subscription) == told.body:
            return UNCHANGED
        had[subscription] = told.body
        return told

    def full_state_due(subscription: Any) -> None:
        had.pop(subscription, None)

    package.telling = telling
    package.full_state_due = full_state_due
    return desk


def test_the_same_is_not_told_twice(quiet: Any) -> None:
    watcher = quiet.subscribed()
    quiet.package.put("none")
    watcher.quiet()
    quiet.package.put("one")
    assert watcher.notify().body == b"one"
    # What changes back while a NOTIFY is under way is told, for it is not what is under way.
    quiet.package.put("two")
    busy = watcher.notify(None)
    quiet.package.put("three")
    quiet.package.put("two")
    watcher.peer.skip()
    watcher.peer.answer(busy, 200, to_tag=watcher.tag)
    watcher.quiet()
    assert watcher.subscribe().status == 200
    assert watcher.notify().body == b"two"


def test_what_is_owed_in_any_case_is_told(quiet: Any) -> None:
    """RFC 6446 section 6: a minimum rate; RFC 6665 section 4.2.2: the last NOTIFY."""
    watcher = quiet.subscribed(event="Event: presence;min-rate=0.1", expires=60)
    for _ in range(3):
        assert watcher.notify(within=11).body == b"none"
    quiet.notifier.terminate(quiet.only(), "noresource")
    assert watcher.notify().body == b"none"


def test_a_package_that_has_nothing_when_it_has_to(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()
    desk.package.telling = lambda subscription: UNCHANGED
    assert watcher.subscribe().status == 200
    assert watcher.notify().body == b""
    assert "had no full state" in failures.texts.pop()
    watcher.subscribe(0)
    assert watcher.notify().body == b""
    failures.texts.clear()


def test_a_condition_is_held_against_the_full_state(quiet: Any) -> None:
    """RFC 5839 section 6.3: what was told last says nothing about what the watcher says that it has."""
    watcher = quiet.subscribed()
    watcher.subscribe()
    tag = watcher.notify().headers.first("sip-etag")
    assert watcher.subscribe(suppress=f"Suppress-If-Match: {tag}").status == 204
    assert watcher.subscribe(0, suppress=f"Suppress-If-Match: {tag}").status == 204


@pytest.mark.parametrize("differences", [False, True])
def test_other_rights_that_make_no_difference(quiet: Any, differences: bool) -> None:
    watcher = quiet.subscribed()
    quiet.notifier.hosted("presence").tells_differences = differences
    quiet.package.decision = Authorization(detail="other rights")
    quiet.notifier.reauthorize("presence", ALICE)
    if differences:
        watcher.quiet()
    else:
        assert watcher.notify().body == b"none"
