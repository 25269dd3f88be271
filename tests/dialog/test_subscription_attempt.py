"""From the SUBSCRIBE to the first NOTIFY: notify_wait (RFC 6665 sections 4.1.2.4, 4.1.4 and 4.4.1)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.subscription_attempt import check_event
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.event_fields import Event


def refused(attempt: Any, notify: Any) -> int:
    """Return the status that answers *notify*."""
    with pytest.raises(RemoteProtocolError) as caught:
        attempt.notify_received(notify)
    return caught.value.status


def test_response_then_notify(script: Any) -> None:
    attempt = script.attempt()
    assert script.sent[0].headers.first("expires") == "600"
    script.answer(attempt, 200, ("expires", "300"))
    notified, subscription = attempt.notify_received(script.notify("active", body=b"x"))
    assert (notified.state, notified.body, notified.reason) == ("active", b"x", "")
    assert notified.dialog == ("c", "a", "b")
    assert subscription.state == "active"
    # The response has shortened it.
    assert subscription.expires_at == 300
    assert script.over == [attempt]
    subscription.end()
    script.settle()


def test_notify_before_the_response(script: Any) -> None:
    """Section 4.1.2.4: the subscriber must be prepared for that."""
    attempt = script.attempt()
    subscription = attempt.notify_received(script.notify("pending;expires=500"))[1]
    assert (subscription.state, subscription.expires_at) == ("pending", 500)
    script.answer(attempt, 200, ("expires", "400"))
    assert subscription.expires_at == 400
    script.answer(attempt, 200, ("expires", "600"))
    assert subscription.expires_at == 400


def test_subscription_state_has_the_last_word(script: Any) -> None:
    attempt = script.attempt()
    script.answer(attempt, 200, ("expires", "600"))
    subscription = attempt.notify_received(script.notify("active;expires=60"))[1]
    assert subscription.expires_at == 60


def test_timer_n(script: Any) -> None:
    attempt = script.attempt()
    script.answer(attempt, 200)
    script.advance(31.9)
    assert not attempt.over
    script.advance(0.1)
    assert attempt.over and attempt.status == 408
    assert script.over == [attempt]
    assert refused(attempt, script.notify("active")) == 481
    script.settle()


def test_timer_n_starts_when_the_request_is_sent(script: Any) -> None:
    script.immediate = False
    attempt = script.attempt()
    script.advance(40)
    assert not attempt.over
    attempt.sent(script.sent[0])
    script.advance(20)
    # Again, with credentials.
    attempt.sent(script.sent[0])
    script.advance(20)
    assert not attempt.over
    script.advance(12)
    assert attempt.over


def test_refused(script: Any) -> None:
    attempt = script.attempt()
    script.answer(attempt, 489, ("retry-after", "7"))
    assert (attempt.over, attempt.status, attempt.retry_after) == (True, 489, 7)
    assert refused(attempt, script.notify("active")) == 481
    script.settle()


def test_no_response(script: Any) -> None:
    attempt = script.attempt()
    attempt.failed(503)
    assert (attempt.over, attempt.status) == (True, 503)


def test_refused_after_a_notify(script: Any) -> None:
    """One branch of a fork has accepted it: what the others say does not matter."""
    attempt = script.attempt(forks=2)
    subscription = attempt.notify_received(script.notify("active"))[1]
    attempt.failed(408)
    assert not attempt.over and subscription.state == "active"
    script.advance(32)
    assert attempt.over and attempt.status == 0 and subscription.state == "active"


def test_response_after_the_end(script: Any) -> None:
    attempt = script.attempt()
    attempt.close()
    attempt.close()
    assert script.over == [attempt]
    script.answer(attempt, 423, ("min-expires", "900"))
    attempt.sent(script.sent[0])
    assert len(script.sent) == 1
    script.settle()


def test_terminated_at_once(script: Any) -> None:
    """Section 4.4.1: it makes no dialog."""
    attempt = script.attempt(expires=0)
    notified, subscription = attempt.notify_received(script.notify("terminated;reason=timeout", body=b"state"))
    assert subscription is None
    assert (notified.state, notified.reason, notified.body) == ("terminated", "timeout", b"state")
    assert (attempt.over, attempt.reason, attempt.status) == (True, "timeout", 0)
    script.settle()


class TestForks:
    def test_one_dialog_alone(self, script: Any) -> None:
        """Section 5.4.9: the second notifier is told 481."""
        attempt = script.attempt()
        attempt.notify_received(script.notify("active"))
        assert refused(attempt, script.notify("active", tag="fork2")) == 481

    def test_several(self, script: Any) -> None:
        """Section 4.1.4: each has a dialog and a machine of its own, until Timer N."""
        attempt = script.attempt(forks=3)
        first = attempt.notify_received(script.notify("active"))[1]
        script.advance(20)
        second = attempt.notify_received(script.notify("pending", tag="fork2"))[1]
        assert (first.dialog.remote_tag, second.dialog.remote_tag) == ("b", "fork2")
        assert refused(attempt, script.notify("active")) == 481
        second.unsubscribe()
        assert script.sent[-1].to.tag == "fork2"
        script.advance(12)
        assert attempt.over
        assert refused(attempt, script.notify("active", tag="fork3")) == 481
        assert first.state == "active"

    def test_too_many(self, script: Any) -> None:
        attempt = script.attempt(forks=2)
        attempt.notify_received(script.notify("active"))
        attempt.notify_received(script.notify("terminated", tag="fork2"))
        assert attempt.over
        assert refused(attempt, script.notify("active", tag="fork3")) == 481


class TestTooBrief:
    def test_asks_for_longer(self, script: Any) -> None:
        attempt = script.attempt(expires=60)
        script.answer(attempt, 423, ("min-expires", "3600"))
        first, second = script.sent
        assert (first.cseq.number, second.cseq.number) == (1, 2)
        assert second.call_id == first.call_id and second.from_ == first.from_
        assert second.headers.first("expires") == "3600"
        assert attempt.terms.expires == 3600
        script.answer(attempt, 200)
        subscription = attempt.notify_received(script.notify("active"))[1]
        assert subscription.expires_at == 3600
        # The dialog goes on from the number used last.
        assert subscription.dialog.local_cseq == 2

    def test_not_over_and_over(self, script: Any) -> None:
        attempt = script.attempt(expires=60)
        for seconds in (70, 80, 90):
            script.answer(attempt, 423, ("min-expires", str(seconds)))
        assert len(script.sent) == 3
        assert (attempt.over, attempt.status) == (True, 423)

    @pytest.mark.parametrize("expires", [0, 600])
    def test_without_sense(self, script: Any, expires: int) -> None:
        attempt = script.attempt(expires=expires)
        script.answer(attempt, 423, ("min-expires", "600"))
        assert (attempt.over, attempt.status) == (True, 423)


@pytest.mark.parametrize("name", ["subscription-state", "contact"])
def test_malformed_notify(script: Any, name: str) -> None:
    attempt = script.attempt()
    notify = script.notify("active")
    notify.headers.remove(name)
    assert refused(attempt, notify) == 400
    assert not attempt.over and not attempt.notified


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("presence;id=1", 0),
        ("presence;x=y;id=1", 0),
        ("presence", 481),
        ("presence;id=2", 481),
        ("Presence;id=1", 489),
        ("presence.winfo;id=1", 489),
        ("", 489),
        (";", 400),
    ],
)
def test_event(script: Any, told: str, status: int) -> None:
    """Section 8.2.1."""
    notify = script.notify("active", event=told)
    event = Event.parse("presence;id=1;max-rate=3")
    if status:
        with pytest.raises(RemoteProtocolError) as caught:
            check_event(notify, event)
        assert caught.value.status == status
    else:
        check_event(notify, event)
