"""Room for watchers: strangers have a share of their own, and leave that of the others alone."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.decisions import Decisions

BOB = "SUBSCRIBE sip:bob@example.com SIP/2.0"


def stranger(desk: Any, name: str, host: Any = None) -> Any:
    """Return a watcher of another domain; *host* is another one, at whose address it is."""
    made = desk.watcher(name)
    if host is not None:
        made.peer, made.host = host.peer, host.host
    made.call_id += name
    made.claimed = {"from": f"From: <sip:{name}@example.net>;tag={made.tag}"}
    return made


def tries(watcher: Any, expires: int = 600, **changes: str) -> int:
    status: int = watcher.subscribe(expires, **{**watcher.claimed, **changes}).status
    if status == 200:
        watcher.notify()
    return status


def test_one_source_has_its_share(make_desk: Any) -> None:
    desk = make_desk(max_foreign_per_source=2)
    first = stranger(desk, "a")
    assert tries(first) == 200
    assert tries(stranger(desk, "b", first)) == 200
    assert tries(stranger(desk, "c", first), start=BOB) == 503, "whatever it calls itself, and whomever it watches"
    assert tries(stranger(desk, "d")) == 200
    # A refresh needs no more room.
    assert tries(first) == 200
    assert tries(first, 0) == 200
    desk.network.advance(0.1)
    assert tries(stranger(desk, "c", first), start=BOB) == 200


def test_one_resource_has_room_for_so_many_strangers(make_desk: Any) -> None:
    desk = make_desk(max_foreign_per_resource=1, max_foreign=2, retry_after=9)
    assert tries(stranger(desk, "a")) == 200
    late = stranger(desk, "b")
    response = late.subscribe(**late.claimed)
    assert (response.status, response.headers.first("retry-after")) == (503, "9")
    assert tries(late, start=BOB) == 200
    assert tries(stranger(desk, "c"), start="SUBSCRIBE sip:carol@example.com SIP/2.0") == 503, "there are two in all"
    assert desk.notifier.counts()["foreign"] == 2


def test_who_has_proved_who_he_is_finds_room(make_desk: Any) -> None:
    desk = make_desk(max_subscriptions=2, max_per_resource=2, max_per_watcher=1)
    for number in range(5):
        assert tries(stranger(desk, f"s{number}")) == 200
    desk.users = lambda request: request.from_.uri.address_of_record
    desk.subscribed("bob")
    desk.subscribed("carol")
    assert desk.watcher("dave").subscribe().status == 503
    counts = desk.notifier.counts()
    assert (counts["subscriptions"], counts["foreign"], counts["watchers"]) == (7, 5, 2)


def test_a_fetch_needs_no_room(make_desk: Any) -> None:
    desk = make_desk(max_foreign=0, max_subscriptions=1)
    assert tries(stranger(desk, "a")) == 503
    assert tries(stranger(desk, "b"), 0) == 200
    desk.subscribed("bob")
    fetching = desk.watcher("carol")
    assert fetching.subscribe(0).status == 200
    assert "terminated" in fetching.notify().headers.first("subscription-state")


def test_strangers_get_less_time(make_desk: Any) -> None:
    desk = make_desk(max_foreign_expires=300)
    watcher = stranger(desk, "a")
    response = watcher.subscribe(3600, **watcher.claimed)
    assert response.headers.first("expires") == "300"
    assert watcher.notify().headers.first("subscription-state") == "active;expires=300"
    response = watcher.subscribe(7200, **watcher.claimed)
    assert response.headers.first("expires") == "300"
    watcher.notify()
    assert desk.watcher("bob").subscribe(3600).headers.first("expires") == "3600"


def test_no_less_than_is_granted_at_all(make_desk: Any) -> None:
    desk = make_desk(max_foreign_expires=60, min_expires=120)
    watcher = stranger(desk, "a")
    assert watcher.subscribe(600, **watcher.claimed).headers.first("expires") == "120"
    watcher.notify()


def test_a_stranger_is_one_after_a_restart(make_desk: Any) -> None:
    desk = make_desk(max_foreign_per_source=1)
    first = stranger(desk, "a")
    assert tries(first) == 200
    desk.restart()
    first.notify()
    assert desk.only().source == first.host and desk.notifier.counts()["foreign"] == 1
    assert tries(stranger(desk, "b", first)) == 503


def test_a_telephone_number_proves_nothing(desk: Any) -> None:
    watcher = desk.watcher()
    assert watcher.subscribe(**{"from": f"From: <tel:+1>;tag={watcher.tag}"}).status == 200
    watcher.notify()
    assert desk.only().source == watcher.host


@pytest.mark.parametrize(
    ("settings", "foreign"),
    [
        ({"max_foreign": 1}, True),
        ({"max_foreign_per_source": 1}, True),
        ({"max_foreign_per_resource": 1}, True),
        ({"max_subscriptions": 1}, False),
        ({"max_per_watcher": 1}, False),
        ({"max_per_resource": 1}, False),
    ],
)
def test_which_limit_it_was_is_told_to_those_who_ask(make_desk: Any, settings: Any, foreign: bool) -> None:
    desk = make_desk(**settings)
    decisions = desk.element.decisions = Decisions(desk.network.clock.seconds)
    first = stranger(desk, "a") if foreign else desk.watcher("a")
    second = stranger(desk, "b", first) if foreign else desk.watcher("a" if "max_per_watcher" in settings else "b")
    if not foreign:
        first.claimed, second.claimed = {}, {}
        second.call_id += "2"
    assert tries(first) == 200
    assert tries(second) == 503
    told = [(one.text, one.key) for one in decisions.call(second.call_id) if one.room == "events"]
    assert told == [("503: the subscription is refused", f"events.{next(iter(settings))}")]


def test_which_key_asks_for_more_time(desk: Any) -> None:
    decisions = desk.element.decisions = Decisions(desk.network.clock.seconds)
    bob = desk.watcher("bob")
    assert bob.subscribe(5).status == 423
    assert [one.key for one in decisions.call(bob.call_id)] == ["events.min_expires", ""]
