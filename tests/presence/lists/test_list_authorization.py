"""A buddy in a list is watched by the same rules as anybody, and sees who watches (RFC 4662 section 7, RFC 5025)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.documents.winfo import WinfoDocument

ADAM = "sip:adam@example.com"
BOB = "sip:bob@example.com"
CAROL = "sip:carol@example.com"
BUDDIES = "sip:adam-buddies@example.com"


@pytest.fixture
def listed(site: Any) -> Any:
    site.put_list(BOB, CAROL)
    site.publish("bob")
    site.publish("carol")
    return site


def winfo(site: Any, user: str = BOB) -> Any:
    """Return a watcher of the watchers of *user*, who has been told."""
    watcher = site.watcher(user)
    assert watcher.subscribe(user, event="Event: presence.winfo", accept="", supported="").status == 200
    return watcher


def watchers(watcher: Any) -> list[tuple[str, str, str]]:
    # RFC 3857 section 4.10: at most every five seconds.
    document = WinfoDocument.parse(watcher.notify(within=6.0).body)
    return [(each.uri, each.status, each.event) for found in document.lists for each in found.watchers]


def test_a_buddy_who_has_not_said_yes_is_pending(listed: Any) -> None:
    listed.put_rules(BOB, "confirm")
    bob = winfo(listed)
    assert watchers(bob) == []
    watcher = listed.subscribed()
    assert watcher.table.state(BOB) == "pending" and watcher.table.basic(BOB) is None
    assert watcher.table.basic(CAROL) == "open"
    assert watchers(bob) == [(ADAM, "pending", "subscribe")]
    listed.publish("bob", "closed")
    watcher.quiet()

    listed.put_rules(BOB, "allow")
    state = watcher.told()
    assert [resource.uri for resource in state.resources] == [BOB]
    assert watcher.table.state(BOB) == "active" and watcher.table.basic(BOB) == "closed"
    assert watchers(bob) == [(ADAM, "active", "approved")]


def test_the_watcher_is_shown_while_the_list_is_subscribed_to(listed: Any) -> None:
    bob = winfo(listed)
    assert watchers(bob) == []
    watcher = listed.subscribed()
    assert watchers(bob) == [(ADAM, "active", "subscribe")]
    assert watcher.subscribe(expires=0).status == 200
    watcher.told_the_end()
    assert watchers(bob) == [(ADAM, "terminated", "timeout")]


def test_how_long_a_watcher_watches(listed: Any) -> None:
    listed.subscribed(expires=300)
    (virtual,) = listed.notifier.subscriptions("presence", BOB)
    (whole,) = listed.notifier.subscriptions("presence;eventlist", BUDDIES)
    assert virtual.expires_at == whole.expires_at
    assert "virtual" in repr(virtual).lower() and BOB in repr(virtual)


def test_blocked_and_let_in_again(listed: Any) -> None:
    watcher = listed.subscribed()
    bob = winfo(listed)
    assert watchers(bob) == [(ADAM, "active", "subscribe")]
    listed.put_rules(BOB, "block")
    watcher.told()
    assert watcher.table.state(BOB) == "terminated rejected" and watcher.table.rows[BOB][1] is None
    assert watchers(bob) == [(ADAM, "terminated", "rejected")]
    assert [each.resource for each in listed.notifier.subscriptions("presence")] == [CAROL]
    listed.publish("bob", "closed")
    watcher.quiet()
    listed.put_rules(BOB, "allow")
    watcher.told()
    assert watcher.table.state(BOB) == "active" and watcher.table.basic(BOB) == "closed"
    assert watchers(bob) == [(ADAM, "active", "subscribe")]


def test_who_is_blocked_from_the_start_is_not_shown(listed: Any) -> None:
    listed.put_rules(BOB, "block")
    bob = winfo(listed)
    assert watchers(bob) == []
    watcher = listed.subscribed()
    assert watcher.table.state(BOB) == "terminated rejected"
    bob.quiet()
    assert watcher.subscribe().status == 200
    assert watcher.told().full
    assert watcher.table.state(BOB) == "terminated rejected"
    watcher.quiet()


def test_a_right_that_is_taken_back_to_pending(listed: Any) -> None:
    watcher = listed.subscribed()
    listed.put_rules(BOB, "confirm")
    watcher.told()
    assert watcher.table.state(BOB) == "pending" and watcher.table.basic(BOB) is None


def test_politely_blocked_looks_like_offline(listed: Any) -> None:
    listed.put_rules(BOB, "polite-block")
    watcher = listed.subscribed()
    assert watcher.table.state(BOB) == "active" and watcher.table.basic(BOB) == "closed"
    assert watcher.table.basic(CAROL) == "open"
    listed.publish("bob", "closed")
    watcher.quiet()


def test_what_the_rules_hide_is_hidden_in_lists(listed: Any) -> None:
    listed.put_rules(BOB, "allow")
    listed.publish("bob", note="at home")
    watcher = listed.subscribed()
    assert watcher.table.basic(BOB) == "open" and b"at home" not in watcher.table.rows[BOB][1].body
    # A change of what it may not see is no news.
    listed.publish("bob", note="on holiday")
    watcher.quiet()
    listed.publish("bob", "closed", note="on holiday")
    assert len(watcher.told().resources) == 1


def test_who_is_in_his_own_list(site: Any) -> None:
    site.put_list(ADAM, BOB)
    site.put_rules(ADAM, "block")
    site.publish("adam")
    watcher = site.subscribed()
    assert watcher.table.basic(ADAM) == "open"


def test_a_fetch_is_told_what_there_is_and_leaves_nothing(listed: Any) -> None:
    bob = winfo(listed)
    assert watchers(bob) == []
    watcher = listed.watcher()
    assert watcher.subscribe(expires=0).status == 200
    state = watcher.told_the_end()
    assert state.full and state.version == 0
    assert watcher.table.state(BOB) == "active" and watcher.table.basic(BOB) == "open"
    assert not listed.virtual() and listed.lists.counts()["list subscriptions"] == 0
    # RFC 3857 section 4.7.2: that is not told of.
    bob.quiet()


def test_a_presentity_that_is_not_there(listed: Any) -> None:
    listed.presence.has_presentity = lambda resource: resource != BOB
    watcher = listed.subscribed()
    assert watcher.table.state(BOB) == "terminated noresource" and watcher.table.state(CAROL) == "active"
    listed.presence.has_presentity = lambda resource: True
    watcher.subscribe()
    assert watcher.told().full
    assert watcher.table.state(BOB) == "active"


def test_the_notifier_ends_a_virtual_subscription(listed: Any) -> None:
    watcher = listed.subscribed()
    (virtual,) = listed.notifier.subscriptions("presence", BOB)
    listed.notifier.terminate(virtual, "noresource")
    listed.notifier.terminate(virtual, "noresource")
    watcher.told()
    assert watcher.table.state(BOB) == "terminated noresource"
    listed.notifier.notify(virtual)
    watcher.quiet()
    (virtual,) = listed.notifier.subscriptions("presence", CAROL)
    listed.notifier.notify(virtual)
    # There is nothing new of her.
    watcher.quiet()


def test_partial_presence_within_lists(listed: Any) -> None:
    accept = "Accept: application/pidf-diff+xml, application/rlmi+xml, multipart/related"
    watcher = listed.subscribed(accept=accept)
    assert b"pidf-full" in watcher.table.rows[BOB][1].body
    listed.publish("bob", "closed")
    watcher.told()
    assert b"pidf-diff" in watcher.table.rows[BOB][1].body and b'version="2"' in watcher.table.rows[BOB][1].body
    # A NOTIFY that failed: full state of both kinds.
    listed.publish("bob", "open")
    watcher.notify(503)
    listed.network.advance(20)
    state = watcher.told()
    assert state.full and b"pidf-full" in watcher.table.rows[BOB][1].body
