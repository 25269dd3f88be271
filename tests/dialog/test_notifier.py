"""The notifier's side of one subscription as a machine (RFC 6665 section 4.2.2, RFC 5057 section 5.1)."""

from __future__ import annotations

import pytest

from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.notifier import (
    ACTIVE,
    AT_ONCE,
    NEWS,
    NOTHING,
    PENDING,
    TERMINATED,
    NotifierSubscription,
    Outcome,
)

NOW = 1_000.0


def make(route_set: tuple[str, ...] = (), remote_tag: str = "w", event_id: str = "") -> NotifierSubscription:
    dialog = Dialog(
        call_id="call",
        local_tag="n",
        remote_tag=remote_tag,
        local_uri="<sip:alice@example.com>",
        remote_uri='"Bob" <sip:bob@example.com>',
        local_cseq=None,
        remote_cseq=1,
        route_set=route_set,
        remote_target="sip:bob@192.0.2.7",
    )
    return NotifierSubscription(dialog, "presence", event_id, NOW + 600)


def send(subscription: NotifierSubscription) -> str:
    subscription.begin()
    request = subscription.notify(NOW, "", [], [], b"")
    return request.headers.first("subscription-state") or ""


@pytest.mark.parametrize(
    ("before", "said", "after", "reason"),
    [
        (PENDING, PENDING, PENDING, ""),
        (PENDING, ACTIVE, ACTIVE, ""),
        (PENDING, TERMINATED, TERMINATED, "rejected"),
        (ACTIVE, ACTIVE, ACTIVE, ""),
        (ACTIVE, PENDING, PENDING, ""),
        (ACTIVE, TERMINATED, TERMINATED, "rejected"),
        (ACTIVE, "new", ACTIVE, ""),
        (TERMINATED, ACTIVE, TERMINATED, "timeout"),
        (TERMINATED, TERMINATED, TERMINATED, "timeout"),
    ],
)
def test_what_policy_says(before: str, said: str, after: str, reason: str) -> None:
    subscription = make()
    if before == ACTIVE:
        subscription.decide(ACTIVE)
    elif before == TERMINATED:
        subscription.end("timeout")
    subscription.begin()
    assert subscription.decide(said) is (before != after)
    assert (subscription.state, subscription.reason) == (after, reason)
    assert subscription.owed == (NOTHING if before == after else AT_ONCE)


def test_reasons_that_policy_gives() -> None:
    subscription = make()
    subscription.decide(TERMINATED, "giveup", 30)
    assert send(subscription) == "terminated;reason=giveup;retry-after=30"


def test_what_is_owed_grows() -> None:
    subscription = make()
    for what, owed in ((NEWS, NEWS), (AT_ONCE, AT_ONCE), (NEWS, AT_ONCE), (NOTHING, AT_ONCE)):
        subscription.owe(what)
        assert subscription.owed == owed
    assert subscription.begin() == AT_ONCE and subscription.owed == NOTHING and subscription.busy
    subscription.owe(NEWS)
    assert subscription.owed == NEWS


def test_the_request() -> None:
    subscription = make(event_id="7")
    subscription.begin()
    request = subscription.notify(NOW + 0.4, ";max-rate=1", ["x"], ["X: y"], b"body")
    assert (request.method, request.uri_text, request.body) == ("NOTIFY", "sip:bob@192.0.2.7", b"body")
    assert list(request.headers) == [
        ("Max-Forwards", "70"),
        ("From", "<sip:alice@example.com>;tag=n"),
        ("To", '"Bob" <sip:bob@example.com>;tag=w'),
        ("Call-ID", "call"),
        ("CSeq", "1 NOTIFY"),
        ("Event", "presence;id=7"),
        ("Subscription-State", "pending;expires=600;max-rate=1"),
        ("X", "y"),
    ]
    assert subscription.notify(NOW + 601, "", [], [], b"").headers.first("cseq") == "2 NOTIFY"
    assert subscription.subscription_state(NOW + 601) == "pending;expires=0"


def test_routes_and_peers_without_tags() -> None:
    loose = make(("<sip:p1;lr>", "<sip:p2;lr>"), remote_tag="").notify(NOW, "", [], [], b"")
    assert loose.headers.first("route") == "<sip:p1;lr>, <sip:p2;lr>" and loose.uri_text == "sip:bob@192.0.2.7"
    assert loose.headers.first("to") == '"Bob" <sip:bob@example.com>'
    strict = make(("<sip:p1>",)).notify(NOW, "", [], [], b"")
    assert strict.uri_text == "sip:p1" and strict.headers.first("route") == "<sip:bob@192.0.2.7>"


@pytest.mark.parametrize("status", [200, 202, 299, 300, 403, 404, 481, 408, 500, 503])
def test_there_is_one_last_notify(status: int) -> None:
    subscription = make()
    assert subscription.end("timeout") and not subscription.end("rejected")
    assert send(subscription) == "terminated;reason=timeout" and subscription.closed
    subscription.owe(AT_ONCE)
    assert subscription.owed == NOTHING
    assert subscription.answered(status, NOW, None) in (Outcome.OVER, Outcome.DIALOG_OVER)
    assert not subscription.busy and subscription.owed == NOTHING


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((200, 202, 204), Outcome.TOLD),
        ((405, 480, 481, 489, 501, 408), Outcome.OVER),
        ((404, 410, 416, 482, 483, 484, 485, 502, 604), Outcome.DIALOG_OVER),
        ((300, 400, 401, 402, 403, 406, 407, 413, 415, 420, 423, 486, 488, 491, 505, 513, 603, 606), Outcome.REFUSED),
        ((500, 503, 504, 580, 600), Outcome.LATER),
    ],
)
def test_how_a_notify_ends(statuses: tuple[int, ...], outcome: Outcome) -> None:
    for status in statuses:
        subscription = make()
        send(subscription)
        assert subscription.answered(status, NOW) is outcome, status
        gone = outcome in (Outcome.OVER, Outcome.DIALOG_OVER)
        assert (subscription.state == TERMINATED, subscription.closed) == (gone, gone)
        assert subscription.owed == (NEWS if outcome is Outcome.LATER else NOTHING)


def test_pauses() -> None:
    subscription = make()
    pauses = []
    for _ in range(9):
        send(subscription)
        subscription.answered(503, NOW)
        pauses.append(subscription.retry_at - NOW)
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    send(subscription)
    subscription.answered(403, NOW, retry_after=5)
    assert subscription.retry_at == NOW + 5
    send(subscription)
    assert subscription.answered(200, NOW) is Outcome.TOLD and subscription.failures == 0


def test_one_that_ended_while_its_notify_failed_is_told_at_once() -> None:
    subscription = make()
    send(subscription)
    subscription.end("noresource")
    assert subscription.answered(503, NOW, 30) is Outcome.LATER
    assert subscription.retry_at == 0 and subscription.owed == AT_ONCE


def test_dropping() -> None:
    subscription = make()
    assert subscription.drop("timeout") and not subscription.drop()
    assert (subscription.state, subscription.reason, subscription.closed) == (TERMINATED, "timeout", True)
    assert not subscription.end("rejected") and not subscription.decide(ACTIVE)
    nameless = make()
    nameless.end("")
    assert nameless.subscription_state(NOW) == "terminated"
