"""Lists of this server: full state at first, then exactly what has changed (RFC 4662 sections 4.5 and 5)."""

from __future__ import annotations

from typing import Any

FIFTY = [f"sip:buddy{number}@example.com" for number in range(50)]
BUDDIES = "sip:adam-buddies@example.com"


def changed(state: Any) -> list[str]:
    return [resource.uri for resource in state.resources]


def test_two_of_fifty_buddies_change(site: Any) -> None:
    site.put_list(*FIFTY)
    for number in range(0, 50, 2):
        site.publish(f"buddy{number}")
    watcher = site.watcher()
    response = watcher.subscribe()
    assert response.status == 200 and "eventlist" in response.typed("require")
    state = watcher.told()
    assert state.full and state.version == 0 and state.uri == BUDDIES
    assert [name.text for name in state.names] == ["Buddies"]
    assert changed(state) == FIFTY
    assert [name.text for name in state.resources[7].names] == ["Buddy7"]
    assert {watcher.table.state(uri) for uri in FIFTY} == {"active"}
    assert watcher.table.basic(FIFTY[4]) == "open" and watcher.table.basic(FIFTY[5]) == "closed"
    watcher.quiet()

    site.publish("buddy7")
    site.publish("buddy8", "closed")
    state = watcher.told()
    assert not state.full and state.version == 1
    assert changed(state) == [FIFTY[7], FIFTY[8]]
    assert watcher.table.basic(FIFTY[7]) == "open" and watcher.table.basic(FIFTY[8]) == "closed"
    watcher.quiet()


def test_changes_of_a_short_time_go_together(make_site: Any) -> None:
    site = make_site(gather=0.5)
    site.put_list(*FIFTY[:5])
    watcher = site.subscribed()
    site.publish("buddy1")
    site.network.advance(0.4)
    site.publish("buddy3")
    site.publish("buddy1", note="twice")
    state = watcher.told()
    assert changed(state) == [FIFTY[1], FIFTY[3]]
    assert b"twice" in watcher.table.rows[FIFTY[1]][1].body
    site.publish("buddy3", "closed")
    assert changed(watcher.told()) == [FIFTY[3]]


def test_a_refresh_is_told_everything(site: Any) -> None:
    site.put_list(*FIFTY[:3])
    watcher = site.subscribed()
    site.publish("buddy1")
    assert not watcher.told().full
    assert watcher.subscribe().status == 200
    state = watcher.told()
    assert state.full and state.version == 2 and changed(state) == FIFTY[:3]
    assert watcher.table.basic(FIFTY[1]) == "open"
    watcher.quiet()


def test_who_unsubscribes_is_told_everything_once_more(site: Any) -> None:
    site.put_list(*FIFTY[:3])
    site.publish("buddy1")
    watcher = site.subscribed()
    assert watcher.subscribe(expires=0).status == 200
    state = watcher.told_the_end()
    assert state.full and watcher.table.basic(FIFTY[1]) == "open"
    assert not site.virtual()
    site.publish("buddy1", "closed")
    watcher.quiet()
