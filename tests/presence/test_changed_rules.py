"""Rules that change while somebody watches: what the watcher is told, and the presentity (RFC 5025 section 3.2.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.winfo import WinfoDocument

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
OPEN = Presence(ALICE).with_status("open", id="phone", contact="sip:alice@192.0.2.1")
BUSY = Presence(ALICE).with_status("open", id="phone", contact="sip:alice@192.0.2.1", activity="busy")


def rules(handling: str) -> str:
    return f"""<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
      <rule id="a"><conditions><identity><one id="{BOB}"/></identity></conditions>
      <actions><pr:sub-handling>{handling}</pr:sub-handling></actions>
      <transformations><pr:provide-all-attributes/><pr:provide-services><pr:all-services/></pr:provide-services>
      <pr:provide-persons><pr:all-persons/></pr:provide-persons></transformations></rule></ruleset>"""


def state_of(notify: Any) -> str:
    """Return state and reason, without the time that is left."""
    told = notify.typed("subscription-state")
    return f"{told.state} {told.reason}".strip()


def basics(notify: Any) -> list[str]:
    return [service.basic for service in Presence.parse(notify.body).services]


def told_of_bob(winfo: Any) -> tuple[str, str]:
    (watcher,) = WinfoDocument.parse(winfo.notify().body).lists[0].watchers
    assert watcher.uri == BOB
    return watcher.status, watcher.event


@pytest.fixture
def watched(desk: Any) -> Any:
    """Alice, Bob who may watch her, and who tells her of that."""
    desk.put("pres-rules", rules("allow"))
    alice = desk.user("alice")
    alice.publish(OPEN)
    watching = desk.user("bob").watch()
    assert watching.notify().body == OPEN.to_xml()
    winfo = alice.watch(ALICE, 600, event="presence.winfo")
    assert told_of_bob(winfo) == ("active", "subscribe")
    return alice, watching, winfo


def test_back_to_pending_and_active_again(desk: Any, watched: Any) -> None:
    alice, watching, winfo = watched
    desk.put("pres-rules", rules("confirm"))
    told = watching.notify()
    assert state_of(told) == "pending" and not told.body and "content-type" not in told.headers
    assert told_of_bob(winfo) == ("pending", "subscribe")
    assert [record.state for record in desk.subscriptions.load() if record.event == "presence"] == ["pending"]
    # No further documents, and nothing that tells when something happens.
    alice.publish(BUSY)
    watching.quiet()
    watching.subscribe(600)
    again = watching.notify()
    assert state_of(again) == "pending" and not again.body
    desk.put("pres-rules", rules("allow"))
    told = watching.notify()
    assert state_of(told) == "active" and told.body == BUSY.to_xml()
    assert told_of_bob(winfo) == ("active", "approved")


def test_a_difference_is_not_told_of_what_was_withheld(desk: Any) -> None:
    """After the wait it is the whole document that partial presence begins with (RFC 5263 section 4.4)."""
    desk.put("pres-rules", rules("allow"))
    alice = desk.user("alice")
    alice.publish(OPEN)
    watching = desk.user("bob").watch(ALICE, 600, "Accept: application/pidf-diff+xml")
    assert b"pidf-full" in watching.notify().body
    desk.put("pres-rules", rules("confirm"))
    assert not watching.notify().body
    alice.publish(BUSY)
    desk.put("pres-rules", rules("allow"))
    told = watching.notify()
    assert b"pidf-full" in told.body and b"busy" in told.body


@pytest.mark.parametrize("before", ["allow", "confirm", "polite-block"])
def test_blocked_from_any_state(desk: Any, watched: Any, before: str) -> None:
    alice, watching, winfo = watched
    if before != "allow":
        desk.put("pres-rules", rules(before))
        watching.notify()
    desk.put("pres-rules", rules("block"))
    told = watching.notify()
    assert state_of(told) == "terminated rejected" and not told.body
    # What came before it was within the five seconds of RFC 3857 section 4.10.
    assert told_of_bob(winfo) == ("terminated", "rejected")
    alice.publish(BUSY)
    watching.quiet()


@pytest.mark.parametrize("before", ["allow", "confirm"])
def test_politely_blocked_looks_like_offline(desk: Any, watched: Any, before: str) -> None:
    alice, watching, winfo = watched
    if before != "allow":
        desk.put("pres-rules", rules(before))
        watching.notify()
        assert told_of_bob(winfo) == ("pending", "subscribe")
    desk.put("pres-rules", rules("polite-block"))
    told = watching.notify()
    assert state_of(told) == "active" and basics(told) == ["closed"]
    if before == "allow":
        # The same state: that is between Alice and her rules.
        winfo.quiet()
    else:
        assert told_of_bob(winfo) == ("active", "approved")
    alice.publish(BUSY)
    watching.quiet()


def test_what_is_under_way_is_followed_by_what_counts_now(desk: Any, watched: Any) -> None:
    alice, watching, _ = watched
    alice.publish(BUSY)
    under_way = watching.notify(None)
    desk.put("pres-rules", rules("confirm"))
    watching.user.peer.skip()
    watching.user.peer.answer(under_way, 200, to_tag=watching.tag)
    told = watching.notify()
    assert state_of(told) == "pending" and not told.body


def test_who_was_put_back_is_pending_after_a_restart(desk: Any, watched: Any) -> None:
    _, watching, _ = watched
    desk.put("pres-rules", rules("confirm"))
    assert state_of(watching.notify()) == "pending"
    desk.restart()
    told = watching.notify()
    assert state_of(told) == "pending" and not told.body


def test_who_waits_in_vain(make_desk: Callable[..., Any]) -> None:
    """Its time runs out: the last NOTIFY tells nothing either (RFC 3857 section 4.7.1)."""
    desk = make_desk(default_handling="confirm").start()
    desk.user("alice").publish(OPEN)
    watching = desk.user("bob").watch(ALICE, 60)
    assert state_of(watching.notify()) == "pending"
    last = watching.notify(within=70)
    assert state_of(last) == "terminated timeout" and not last.body
