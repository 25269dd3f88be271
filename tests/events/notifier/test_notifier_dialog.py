"""SUBSCRIBE within a dialog: refresh, end, fetch, several subscriptions (RFC 6665 sections 4.2.1.4, 4.4.3, 4.5.2)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.dialog.dialogs import INVITE_USAGE
from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.event_package import Authorization


def state_of(notify: Any) -> str:
    return str(notify.typed("subscription-state"))


def test_a_refresh_moves_the_end_and_is_told(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.network.advance(400)
    desk.package.due.clear()
    assert watcher.subscribe(900).expires == 900
    assert state_of(watcher.notify()) == "active;expires=900"
    assert desk.package.due, "full state was due"
    desk.network.advance(700)
    assert desk.notifier.counts()["subscriptions"] == 1
    assert desk.stored()[0].expires_at == desk.only().expires_at
    assert state_of(watcher.notify(within=300)) == "terminated;reason=timeout"


def test_a_refresh_may_bring_the_end_near(desk: Any) -> None:
    watcher = desk.subscribed(expires=3600)
    assert watcher.subscribe(60).expires == 60
    watcher.notify()
    assert state_of(watcher.notify(within=61)) == "terminated;reason=timeout"
    assert not desk.stored() and desk.package.changes == ["active", "terminated timeout"]
    assert watcher.subscribe(60).status == 481


def test_exactly_one_last_notify(desk: Any) -> None:
    watcher = desk.subscribed(expires=60)
    notify = watcher.notify(status=None, within=61)
    assert state_of(notify) == "terminated;reason=timeout"
    desk.package.put("too late")
    desk.notifier.terminate(desk.package.host.subscriptions("none") or notify_target(desk), "deactivated")
    # Still there for its dialog, but not for anything else.
    assert len(desk.notifier.dialogs) == 1
    assert watcher.subscribe(60).status == 481
    watcher.peer.answer(notify, 200, to_tag=watcher.tag)
    desk.network.advance(1)
    assert not len(desk.notifier.dialogs)
    watcher.peer.skip()
    watcher.quiet(60)


def notify_target(desk: Any) -> Any:
    """Return the one subscription, which is over."""
    (dialog_id,) = desk.notifier.dialogs._entries
    (usage,) = desk.notifier.dialogs.usages(dialog_id).values()
    return usage


def test_unsubscribing(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.texts["sip:alice@example.com"] = "bye"
    response = watcher.subscribe(0)
    assert (response.status, response.expires) == (200, 0)
    notify = watcher.notify()
    assert state_of(notify) == "terminated;reason=timeout" and notify.body == b"bye"
    watcher.quiet()
    assert not desk.stored() and not len(desk.notifier.dialogs) and not desk.notifier.counts()["subscriptions"]
    assert desk.package.changes == ["active", "terminated timeout"]


def test_fetching(desk: Any) -> None:
    desk.package.texts["sip:alice@example.com"] = "now"
    watcher = desk.watcher()
    commits = desk.store.commits
    response = watcher.subscribe(0)
    assert (response.status, response.expires) == (200, 0)
    notify = watcher.notify()
    assert state_of(notify) == "terminated;reason=timeout" and notify.body == b"now"
    assert desk.store.commits == commits and not desk.notifier.counts()["subscriptions"]
    watcher.quiet()
    desk.package.put("later")
    watcher.quiet()
    assert desk.package.changes == ["terminated timeout"]


def test_a_fetch_by_one_who_has_to_wait_tells_nothing(desk: Any) -> None:
    desk.package.decision = Authorization(state="pending")
    watcher = desk.watcher()
    watcher.subscribe(0)
    notify = watcher.notify()
    assert state_of(notify) == "terminated;reason=timeout" and notify.body == b""


@pytest.mark.parametrize("status", [200, 404, 500])
def test_however_a_fetch_is_answered_it_is_over(desk: Any, status: int) -> None:
    watcher = desk.watcher()
    watcher.subscribe(0)
    watcher.notify(status)
    watcher.quiet(60)


def test_replays_are_refused(desk: Any) -> None:
    watcher = desk.subscribed()
    watcher.subscribe(700)
    watcher.notify()
    assert watcher.subscribe(0, cseq="CSeq: 1 SUBSCRIBE").status == 500
    assert watcher.subscribe(0, cseq="CSeq: 2 SUBSCRIBE").status == 500
    watcher.quiet()
    assert desk.notifier.counts()["subscriptions"] == 1


def test_nobody_goes_on_with_the_subscription_of_somebody_else(desk: Any) -> None:
    users = {"bob": "sip:bob@example.com"}
    desk.users = lambda request: users.get(str(request.from_.uri.user), "")
    watcher = desk.subscribed()
    for user in ("sip:mallory@example.com", ""):
        users["bob"] = user
        assert watcher.subscribe(0).status == 403
        # What somebody else sends does not even count.
        assert desk.only().dialog.remote_cseq == 1
    users["bob"] = "sip:bob@example.com"
    assert watcher.subscribe(0).status == 200
    watcher.notify()


def test_who_was_not_asked_may_go_on(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.users = lambda request: "sip:bob@example.com"
    assert watcher.subscribe(600).status == 200
    watcher.notify()
    assert desk.only().authenticated
    desk.users = lambda request: "sip:other@example.com"
    assert watcher.subscribe(600).status == 403


def test_other_tags_are_another_dialog(desk: Any) -> None:
    watcher = desk.subscribed()
    assert watcher.subscribe(0, **{"from": "From: <sip:bob@example.com>;tag=other"}).status == 481
    assert watcher.subscribe(0, to="To: <sip:alice@example.com>;tag=other").status == 481
    assert desk.notifier.counts()["subscriptions"] == 1


def test_several_subscriptions_in_one_dialog(desk: Any, package_type: Any) -> None:
    other = package_type("dialog")
    desk.restart(desk.package, other)
    watcher = desk.subscribed(event="Event: presence;id=1")
    assert watcher.subscribe(300, event="Event: presence;id=2").status == 200
    notify = watcher.notify()
    assert notify.headers.first("event") == "presence;id=2" and notify.cseq.number == 2
    assert watcher.subscribe(900, event="Event: dialog").status == 200
    assert watcher.notify().headers.first("event") == "dialog"
    assert len(desk.notifier.dialogs) == 1 and desk.notifier.counts()["subscriptions"] == 3
    assert {one.resource for one in desk.notifier.subscriptions("presence")} == {"sip:alice@example.com"}
    assert watcher.subscribe(0, event="Event: presence;id=1").status == 200
    assert state_of(watcher.notify()) == "terminated;reason=timeout"
    desk.package.put("news")
    notify = watcher.notify()
    assert notify.headers.first("event") == "presence;id=2" and notify.body == b"news"
    # They end each by itself.
    assert state_of(watcher.notify(within=301)) == "terminated;reason=timeout"
    assert len(desk.notifier.dialogs) == 1
    other.put("still here")
    assert watcher.notify().headers.first("event") == "dialog"
    assert watcher.subscribe(0, event="Event: dialog").status == 200
    watcher.notify()
    desk.network.advance(1)
    assert not len(desk.notifier.dialogs)


def test_a_fetch_within_a_dialog(desk: Any) -> None:
    watcher = desk.subscribed()
    assert watcher.subscribe(0, event="Event: presence;id=2").status == 200
    assert state_of(watcher.notify()) == "terminated;reason=timeout"
    watcher.quiet()
    assert len(desk.notifier.dialogs) == 1 and desk.notifier.counts()["subscriptions"] == 1


def test_an_event_without_a_package_within_a_dialog(desk: Any) -> None:
    watcher = desk.subscribed()
    assert watcher.subscribe(event="Event: dialog").status == 489
    assert watcher.subscribe(event="").status == 489
    assert desk.notifier.counts()["subscriptions"] == 1


def test_the_dialog_of_a_session_is_not_shared(desk: Any) -> None:
    watcher = desk.subscribed()
    subscription = desk.only()

    class Session:
        def dialog_destroyed(self, status: int) -> None:
            raise AssertionError

    desk.notifier.dialogs.add(subscription.dialog, INVITE_USAGE, Session())
    watcher.subscribe(0)
    watcher.notify()
    desk.network.advance(1)
    response = watcher.subscribe(600)
    assert (response.status, response.reason) == (403, "Dialog Sharing Not Supported")
    desk.notifier.dialogs.end_usage(subscription.dialog.id, INVITE_USAGE)


def test_a_refresh_takes_what_the_watcher_says_now(desk: Any) -> None:
    watcher = desk.subscribed(more="Accept: text/html", event="Event: presence;a=1")
    assert desk.only().event_params == (("a", "1"),)
    watcher.subscribe(more="Supported: gruu", contact="Contact: <sip:bob@192.0.2.11:5060;x=1>")
    notify = watcher.notify()
    assert notify.uri_text == "sip:bob@192.0.2.11:5060;x=1"
    subscription = desk.only()
    assert (subscription.accept, subscription.supported, subscription.event_params) == (("text/html",), ("gruu",), ())
    watcher.subscribe(more="Accept: text/plain")
    watcher.notify()
    assert subscription.accept == ("text/plain",)


@pytest.mark.parametrize("error", [StoreError("gone"), StoreFull("full")])
def test_a_refresh_that_is_not_stored_changes_nothing(desk: Any, failures: Any, error: StoreError) -> None:
    watcher = desk.subscribed()
    before = desk.only().expires_at
    desk.store.broken = error
    response = watcher.subscribe(5000, contact="Contact: <sip:bob@192.0.2.99>")
    assert response.status == (503 if isinstance(error, StoreFull) else 500)
    assert watcher.subscribe(0).status == response.status
    desk.store.broken = None
    assert desk.only().expires_at == before and desk.only().dialog.remote_target == "sip:bob@192.0.2.11;transport=udp"
    watcher.quiet()
    assert watcher.subscribe(700).status == 200
    watcher.notify()
    failures.texts.clear()


def test_refreshes_that_overtake_each_other(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()
    desk.store.slow = True
    watcher.send(watcher.text(5000))
    desk.network.advance(1)
    watcher.send(watcher.text(6000))
    desk.network.advance(1)
    (first, lost), second = desk.store.waiting
    desk.store.waiting = []
    desk.store.slow = False
    lost.errback(StoreError("gone"))
    desk.store.waiting = [second]
    desk.store.write()
    assert watcher.peer.expect(500) and watcher.peer.expect(200)
    assert first.put[0].expires_at < desk.only().expires_at == desk.stored()[0].expires_at
    watcher.notify()
    failures.texts.clear()


def test_a_watcher_may_lose_its_right_at_a_refresh(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.decision = Authorization(state="terminated", reason="rejected", status=403)
    assert watcher.subscribe().status == 403
    assert state_of(watcher.notify()) == "terminated;reason=rejected"
    watcher.quiet()
    assert not desk.stored()


def test_who_was_active_may_have_to_wait_now(desk: Any) -> None:
    """RFC 5025 section 3.2.1."""
    watcher = desk.subscribed()
    desk.package.decision = Authorization(state="pending")
    assert watcher.subscribe().status == 200
    assert state_of(watcher.notify()).startswith("pending;expires=")
    watcher.quiet()
    assert [record.state for record in desk.stored()] == ["pending"]


def test_what_ends_while_a_refresh_is_decided(desk: Any) -> None:
    watcher = desk.subscribed()
    answers: list[Deferred[Any]] = []
    desk.package.decision = lambda subscription: answers.append(Deferred()) or answers[-1]
    watcher.send(watcher.text())
    desk.network.advance(0.1)
    desk.notifier.terminate(desk.only(), "noresource")
    answers[0].callback(Authorization())
    watcher.peer.expect(481)


def test_what_ends_while_it_is_stored(desk: Any) -> None:
    desk.store.slow = True
    watcher = desk.watcher()
    watcher.send(watcher.text())
    desk.network.advance(0.1)
    desk.notifier.terminate(desk.only(), "noresource")
    desk.store.slow = False
    desk.store.write()
    assert watcher.peer.expect(200)
    assert state_of(watcher.notify()) == "terminated;reason=noresource"
    watcher.quiet()


def test_an_end_is_stored_before_it_is_acknowledged(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.store.slow = True
    watcher.send(watcher.text(0))
    watcher.quiet(0.3)
    desk.store.slow = False
    desk.store.write()
    watcher.peer.expect(200)
    assert state_of(watcher.notify()) == "terminated;reason=timeout"


def test_a_merged_refresh_is_refused(desk: Any) -> None:
    watcher = desk.subscribed()
    incoming: list[Any] = []
    claim = "claim_as_uas"

    class Unclaimed:
        def __init__(self, real: Any) -> None:
            object.__setattr__(self, "real", real)

        def __getattr__(self, name: str) -> Any:
            if name == claim:
                return self.refuse
            return getattr(self.real, name)

        def refuse(self) -> bool:
            incoming.append(self)
            self.real.respond(482)
            return False

    process = desk.notifier._subscribing.process
    desk.notifier._subscribing.process = lambda real: process(Unclaimed(real))
    assert watcher.subscribe(600).status == 482 and watcher.subscribe(0).status == 482
    assert len(incoming) == 2 and desk.notifier.counts()["subscriptions"] == 1
    watcher.quiet()
