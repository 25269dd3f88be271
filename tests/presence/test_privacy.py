"""What watchers must not learn, from the timing of NOTIFYs either (RFC 3856 section 6.6.2, RFC 5025 section 3.2.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.documents.permissions import ALL_PERMISSIONS
from twisted_sip.documents.pidf import Presence
from twisted_sip.element.decisions import Decisions
from twisted_sip.presence.service import PresenceService

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
OPEN = Presence(ALICE).with_status("open", id="phone", contact="sip:alice@192.0.2.1")
BUSY = Presence(ALICE).with_status("open", id="phone", contact="sip:alice@192.0.2.1", activity="busy")
AWAY = Presence(ALICE).with_status("open", id="phone", contact="sip:alice@192.0.2.1", activity="away")


def rules(handling: str, transformations: str = "", watcher: str = BOB, conditions: str = "") -> str:
    """Return a ruleset with one rule for *watcher*."""
    return f"""<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
      <rule id="a"><conditions><identity><one id="{watcher}"/></identity>{conditions}</conditions>
      <actions><pr:sub-handling>{handling}</pr:sub-handling></actions>
      <transformations>{transformations}</transformations></rule></ruleset>"""


SERVICES = "<pr:provide-services><pr:all-services/></pr:provide-services>"
EVERYTHING = (
    "<pr:provide-all-attributes/>" + SERVICES + "<pr:provide-persons><pr:all-persons/></pr:provide-persons>"
    "<pr:provide-devices><pr:all-devices/></pr:provide-devices>"
)


def parts(notify: Any) -> Any:
    """Return what a watcher can see of a NOTIFY, without what is random."""
    headers = [
        (name, line)
        for name, line in zip(notify.headers.names, notify.headers.lines, strict=True)
        if name not in ("via", "call-id", "from", "to", "cseq")
    ]
    return headers, notify.body


def same_for_both(desk: Any, blocked: str, offline: str, **how: Any) -> None:
    """Watch two resources and compare everything that is told."""
    bob = desk.user("bob")
    one, other = bob.watch(blocked, **how), bob.watch(offline, **how)
    assert (one.status, other.status) == (200, 200)
    first, second = one.notify(), other.notify()
    headers, body = parts(first)
    assert (headers, body.replace(blocked.encode(), offline.encode())) == parts(second)


@pytest.mark.parametrize("media", ["application/pidf+xml", "application/pidf-diff+xml", "application/xpidf+xml"])
def test_a_blocked_watcher_sees_what_it_sees_of_anybody_who_is_not_there(desk: Any, alice: Any, media: str) -> None:
    desk.put("pres-rules", rules("polite-block"))
    alice.publish(OPEN)
    bob = desk.user("bob")
    texts = []
    for uri in (ALICE, "sip:zelda@example.com"):
        watching = bob.watch(uri, 600, f"Accept: {media}")
        texts.append(watching.notify())
    first, second = (parts(text) for text in texts)
    assert first[1].replace(b"alice", b"zelda") == second[1]
    assert [line for name, line in first[0] if name != "sip-etag"] == [
        line for name, line in second[0] if name != "sip-etag"
    ]


@pytest.mark.parametrize("media", ["application/pidf+xml", "application/pidf-diff+xml", "application/xpidf+xml"])
def test_a_blocked_watcher_does_not_learn_when_something_happens(desk: Any, alice: Any, media: str) -> None:
    desk.put("pres-rules", rules("polite-block"))
    watching = desk.user("bob").watched(ALICE, f"Accept: {media}")
    carol = desk.user("carol")
    for body, expires in ((OPEN, 600), (BUSY, 600), (None, 600), (None, 0)):
        alice.publish(body, expires=expires)
    watching.quiet()
    # A refresh is always told of.
    watching.subscribe(600)
    assert watching.notify().body
    alice.publish(OPEN)
    watching.quiet()
    del carol


def test_who_waits_for_a_decision_learns_nothing_either(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(default_handling="confirm").start()
    alice = desk.user("alice")
    watching = desk.user("bob").watch()
    first = watching.notify()
    assert str(first.headers.first("subscription-state")).startswith("pending")
    # RFC 5025 section 3.2.1: no document.
    assert not first.body and "content-type" not in first.headers
    alice.publish(OPEN)
    watching.quiet()
    watching.subscribe(600)
    assert not watching.notify().body
    desk.put("pres-rules", rules("allow", EVERYTHING))
    told = watching.notify()
    assert str(told.headers.first("subscription-state")).startswith("active")
    assert told.body == OPEN.to_xml()


@pytest.mark.parametrize("media", ["application/pidf+xml", "application/pidf-diff+xml"])
def test_news_that_the_rules_take_away_are_none(desk: Any, alice: Any, media: str) -> None:
    desk.put("pres-rules", rules("allow", SERVICES))
    alice.publish(OPEN)
    watching = desk.user("bob").watched(ALICE, f"Accept: {media}")
    for body in (BUSY, AWAY, BUSY):
        alice.publish(body)
    watching.quiet()
    alice.publish(None, expires=0)
    told = watching.notify()
    assert b"closed" in told.body
    if "diff" in media:
        # No version is left out: the watcher would think that it has missed something (RFC 5262 section 5).
        assert b'version="2"' in told.body


def test_news_in_the_time_of_a_notify_are_told_once(desk: Any, alice: Any) -> None:
    watching = desk.user("bob").watched()
    alice.publish(OPEN)
    busy = watching.notify(None)
    alice.publish(BUSY)
    alice.publish(OPEN)
    watching.user.peer.skip()
    watching.user.peer.answer(busy, 200, to_tag=watching.tag)
    # It is as it was when it was told last.
    watching.quiet()


def test_what_did_not_arrive_is_told_again(desk: Any, alice: Any) -> None:
    watching = desk.user("bob").watched()
    alice.publish(OPEN)
    watching.notify(500)
    assert watching.notify(within=15).body == OPEN.to_xml()
    # A NOTIFY that was refused has not told anything (RFC 5057 section 5.1).
    alice.publish(BUSY)
    watching.notify(400)
    alice.publish(BUSY, expires=900)
    alice.publish(None, expires=900)
    watching.quiet(2.0)
    alice.publish(AWAY)
    assert watching.notify().body == AWAY.to_xml()


def test_a_condition_of_the_watcher_holds_beside_it(desk: Any, alice: Any) -> None:
    """RFC 5839."""
    desk.put("pres-rules", rules("polite-block"))
    watching = desk.user("bob").watched()
    watching.subscribe(600, "Suppress-If-Match: *")
    assert watching.status == 204
    alice.publish(OPEN)
    watching.quiet()
    watching.subscribe(600)
    tag = watching.notify().headers.first("sip-etag")
    watching.subscribe(600, f"Suppress-If-Match: {tag}")
    assert watching.status == 204
    desk.put("pres-rules", rules("allow", EVERYTHING))
    assert watching.notify().body == OPEN.to_xml()
    watching.subscribe(0, f"Suppress-If-Match: {tag}")
    assert watching.status == 200
    watching.notify()


def test_a_watcher_who_wants_to_hear_in_any_case_does(desk: Any, alice: Any) -> None:
    """RFC 6446 section 6: a minimum rate."""
    desk.put("pres-rules", rules("polite-block"))
    watching = desk.user("bob").watched(event="presence;min-rate=0.1")
    first = watching.told[-1]
    alice.publish(OPEN)
    for _ in range(3):
        watching.notify(within=11)
        assert watching.told[-1] == first
    watching.subscribe(0)


def test_blocking_whoever_is_not_there_is_not_told(desk: Any, alice: Any) -> None:
    desk.put("pres-rules", rules("allow", EVERYTHING))
    watching = desk.user("bob").watched()
    for handling, transformations in (("polite-block", ""), ("allow", SERVICES), ("polite-block", "")):
        desk.put("pres-rules", rules(handling, transformations))
        watching.quiet(2.0)
    alice.publish(OPEN)
    watching.quiet(2.0)
    desk.put("pres-rules", rules("allow", EVERYTHING))
    assert watching.notify().body == OPEN.to_xml()
    desk.put("pres-rules", rules("polite-block"))
    assert watching.presence().basic == "closed"
    desk.put("pres-rules", rules("block"))
    last = watching.notify()
    assert last.headers.first("subscription-state") == "terminated;reason=rejected" and not last.body


def test_the_last_notify_tells_the_blocked_what_it_always_told(desk: Any, alice: Any) -> None:
    desk.put("pres-rules", rules("polite-block"))
    alice.publish(OPEN, expires=3600)
    watching = desk.user("bob").watch(ALICE, 60)
    first = watching.notify()
    last = watching.notify(within=70)
    assert last.headers.first("subscription-state") == "terminated;reason=timeout"
    assert last.body == first.body


def test_strangers_wait_and_users_are_let_in(desk: Any, alice: Any) -> None:
    alice.publish(OPEN)
    assert desk.user("bob").watched().told == [OPEN.to_xml()]
    stranger = desk.user("bob", "example.net").watch()
    assert str(stranger.notify().headers.first("subscription-state")).startswith("pending")


@pytest.mark.parametrize(
    "claimed",
    ["sip:bob@192.0.2.1:5099", "sip:bob@192.0.2.1;maddr=203.0.113.9", "pres:bob@example.com", "tel:+358555123456"],
)
def test_nobody_is_taken_for_a_user_without_a_proof(make_desk: Callable[..., Any], claimed: str) -> None:
    """An address of ours with another port, or a maddr, is none of our users, and nobody was asked for a password."""
    desk = make_desk().start()
    stranger = desk.user("bob")
    stranger.aor = claimed
    watching = stranger.watch()
    assert str(watching.notify().headers.first("subscription-state")).startswith("pending")
    desk.put("pres-rules", rules("allow", EVERYTHING, "sip:bob@192.0.2.1"))
    last = watching.notify()
    assert "terminated" in last.headers.first("subscription-state")
    own = stranger.watch(claimed if claimed.startswith("sip:bob@192") else ALICE, event="presence.winfo")
    assert own.status in (403, 404)


def test_watching_without_authentication(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(foreign_handling="block", default_handling="polite-block")
    desk.authenticated = False
    desk.start()
    desk.user("alice").publish(OPEN)
    assert desk.user("bob").watched().told != [OPEN.to_xml()]
    assert desk.user("alice").watched().told == [OPEN.to_xml()]
    assert desk.user("bob", "example.net").watch().status == 403


@pytest.mark.parametrize(
    ("host", "key"), [("example.com", "presence.default_handling"), ("example.net", "presence.foreign_handling")]
)
@pytest.mark.parametrize("handling", ["allow", "confirm", "polite-block", "block"])
def test_which_setting_decides_is_told_to_those_who_ask(
    make_desk: Callable[..., Any], host: str, key: str, handling: str
) -> None:
    desk = make_desk(foreign_handling=handling, default_handling=handling).start()
    decisions = desk.element.decisions = Decisions(desk.network.clock.seconds)
    desk.user("bob", host).watch()
    call_id = decisions.newest("SUBSCRIBE")
    assert [one.key for one in decisions.call(call_id or "") if one.room == "events"] == [key]
    desk.put("pres-rules", rules("allow", EVERYTHING, f"sip:bob@{host}"))
    desk.user("carol", host).watch()
    call_id = decisions.newest("SUBSCRIBE")
    assert [one.key for one in decisions.call(call_id or "") if one.room == "events"] == [""]


def test_whom_to_watch_is_asked_and_nobody_learns_who_is_a_user(make_desk: Callable[..., Any]) -> None:
    class Own(PresenceService):
        def has_presentity(self, resource: str) -> bool:
            return resource == ALICE

    desk = make_desk(Own).start()
    assert desk.user("bob").watched().told
    assert desk.user("bob").watch("sip:zelda@example.com").status == 404


def test_the_rules_of_a_program(make_desk: Callable[..., Any], failures: Any) -> None:
    class Own(PresenceService):
        answer: Any = ALL_PERMISSIONS

        def authorize_watcher(self, resource: str, watcher: str, subscription: Any) -> Any:
            return self.answer

    async def later(answer: Any) -> Any:
        return answer

    desk = make_desk(Own).start()
    desk.user("alice").publish(OPEN)
    assert desk.user("bob").watched().told == [OPEN.to_xml()]
    for answer in ("everything", later("everything")):
        desk.service.answer = answer
        assert desk.user("bob").watch().status == 500
    failures.texts.clear()
    desk.service.answer = later(ALL_PERMISSIONS)
    assert desk.user("bob").watched().told == [OPEN.to_xml()]
