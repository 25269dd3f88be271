"""Subscriber flows against a notifier by script (RFC 3856 section 8, RFC 6665 section 4.1)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, RequestRefused
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.testing.scripted_notifier import ScriptedNotifier
from twisted_sip.testing.scripted_sending import ScriptedIncoming


@pytest.fixture
def desk() -> ScriptedNotifier:
    return ScriptedNotifier()


def test_rfc_3856_section_8(desk: ScriptedNotifier) -> None:
    """The example flow, F1 to F6, and the end of it."""
    subscription = desk.subscribe(accept=["application/pidf+xml"], contact="sip:user@watcherhost.example.com")
    f1 = desk.last.request
    assert f1.uri_text == "sip:resource@example.com"
    assert str(f1.to) == "<sip:resource@example.com>"
    assert f1.from_.uri_text == "sip:user@example.com" and f1.from_.tag
    assert f1.headers.first("event") == "presence"
    assert f1.headers.first("accept") == "application/pidf+xml"
    assert f1.headers.first("contact") == "<sip:user@watcherhost.example.com>"
    assert f1.headers.first("expires") == "600"
    assert f1.max_forwards == 70
    assert subscription.state == "notify_wait" and not subscription.established
    desk.accept()  # F2
    assert subscription.state == "notify_wait"
    pidf = ("content-type", "application/pidf+xml")
    f4 = desk.notify("active;expires=599", pidf, body=b"[PIDF Document]")  # F3
    assert desk.verdict is TAKEN
    assert f4.status == 200
    assert subscription.state == "active" and subscription.established
    desk.element.advance(56)
    f6 = desk.notify("active;expires=543", pidf, body=b"[New PIDF Document]")  # F5
    assert f6.status == 200
    assert [notified.body for notified in desk.told] == [b"[PIDF Document]", b"[New PIDF Document]"]
    assert desk.told[0].content_type == "application/pidf+xml"
    assert len(desk.sent) == 1

    # It is refreshed before it expires ...
    desk.element.advance(489)
    refresh = desk.last.request
    assert len(desk.sent) == 2
    assert refresh.uri_text == "sip:server.example.com"
    assert (refresh.call_id, refresh.from_.tag, refresh.to.tag) == (f1.call_id, f1.from_.tag, "ffd2")
    assert refresh.headers.first("contact") == "<sip:user@watcherhost.example.com>"
    assert refresh.headers.first("accept") == "application/pidf+xml"
    desk.accept()
    assert desk.notify("active;expires=600").status == 200

    # ... and ended.
    over: list[Any] = []
    subscription.unsubscribe().addCallback(over.append)
    assert desk.last.request.headers.first("expires") == "0"
    desk.accept(0)
    assert over == []
    assert desk.notify("terminated;reason=timeout").status == 200
    assert over == [None]
    assert (subscription.state, subscription.reason, subscription.status) == ("terminated", "timeout", 0)
    assert desk.states() == ["active", "active", "active", "terminated"]
    desk.check_empty()


def test_notify_before_the_response_to_a_challenged_subscribe(desk: ScriptedNotifier) -> None:
    subscription = desk.subscribe(credentials=object())
    desk.last.challenge()
    assert desk.notify("pending").status == 200
    assert subscription.state == "pending"
    desk.last.answer(200)
    subscription.refresh()
    assert desk.last.request.cseq.number == 3


def test_refused(desk: ScriptedNotifier) -> None:
    subscription = desk.subscribe()
    desk.last.answer(100)
    desk.last.answer(489)
    assert (subscription.state, subscription.status) == ("terminated", 489)
    assert desk.notify("active").status == 481
    desk.check_empty()


def test_timer_n(desk: ScriptedNotifier) -> None:
    subscription = desk.subscribe()
    desk.accept()
    desk.element.advance(32)
    assert (subscription.state, subscription.status) == ("terminated", 408)
    desk.check_empty()


def test_unsubscribe_while_waiting_for_the_first_notify(desk: ScriptedNotifier) -> None:
    """The NOTIFY is told 481, which ends the subscription at the notifier (section 4.1.3)."""
    subscription = desk.subscribe()
    over: list[Any] = []
    subscription.unsubscribe().addCallback(over.append)
    assert over == [None]
    desk.accept()
    assert desk.notify("active").status == 481
    assert desk.told == []
    subscription.unsubscribe().addCallback(over.append)
    assert over == [None, None]
    desk.check_empty()


class TestMatching:
    def test_not_a_notify(self, desk: ScriptedNotifier) -> None:
        desk.active()
        incoming = desk.notify("active")
        incoming.request.method = "MESSAGE"
        assert desk.subscriber.process(incoming) is None

    def test_of_somebody_else(self, desk: ScriptedNotifier) -> None:
        desk.active()
        request = desk.notify("active").request.copy()
        request.headers.set("call-id", "other")
        request.set_uri("sip:bob@192.0.2.9")
        incoming = ScriptedIncoming(request)
        assert desk.subscriber.process(incoming) is None
        request.set_uri("sip:")
        assert desk.subscriber.process(incoming) is None
        request.headers.set("to", "<sip:x")
        assert desk.subscriber.process(incoming) is None
        assert incoming.status == 0

    def test_unmatched_at_our_contact(self, desk: ScriptedNotifier) -> None:
        desk.active()
        request = desk.notify("active").request.copy()
        request.headers.set("to", "<sip:user@example.com>;tag=gone")
        incoming = ScriptedIncoming(request)
        assert desk.subscriber.process(incoming) is TAKEN
        assert incoming.status == 481

    def test_another_package(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active()
        with pytest.raises(RemoteProtocolError) as caught:
            desk.notify("terminated", event="dialog")
        assert caught.value.status == 489
        assert subscription.state == "active"

    def test_another_notifier(self, desk: ScriptedNotifier) -> None:
        desk.active()
        with pytest.raises(RemoteProtocolError) as caught:
            desk.notify("active", tag="fork2")
        assert caught.value.status == 481

    def test_replay(self, desk: ScriptedNotifier) -> None:
        desk.active()
        request = desk.notify("active").request
        with pytest.raises(RemoteProtocolError) as caught:
            desk.subscriber.process(ScriptedIncoming(request))
        assert caught.value.status == 500
        assert len(desk.told) == 2


class TestForks:
    def test_each_notifier_has_its_dialog(self, desk: ScriptedNotifier) -> None:
        subscription = desk.subscribe(forks=2)
        desk.accept()
        subscribe = desk.last.request
        assert desk.notify("pending").status == 200
        assert desk.notify("active", tag="fork2", subscribe=subscribe).status == 200
        assert subscription.state == "active"
        assert [notified.dialog.remote_tag for notified in desk.told] == ["ffd2", "fork2"]
        assert len(desk.subscriber.dialogs) == 2
        assert subscription.etag == "" and not subscription.rates
        subscription.refresh()
        assert {outgoing.request.to.tag for outgoing in desk.sent[1:]} == {"ffd2", "fork2"}
        desk.notify("terminated;reason=rejected", tag="fork2", subscribe=subscribe)
        assert subscription.state == "pending"
        desk.notify("terminated;reason=rejected", subscribe=subscribe)
        assert (subscription.state, subscription.reason) == ("terminated", "rejected")
        desk.check_empty()

    def test_the_last_word_before_timer_n_counts(self, desk: ScriptedNotifier) -> None:
        subscription = desk.subscribe(forks=2)
        desk.accept()
        desk.notify("active")
        desk.notify("terminated;reason=noresource")
        assert subscription.state == "notify_wait"
        desk.element.advance(32)
        assert (subscription.state, subscription.reason) == ("terminated", "noresource")
        desk.check_empty()


class TestFetch:
    def test_fetch(self, desk: ScriptedNotifier) -> None:
        fetched: list[Any] = []
        desk.subscriber.fetch("sip:r@example.com", "presence", from_="sip:u@example.com", etag="e7").addCallback(
            fetched.append
        )
        assert desk.last.request.headers.first("expires") == "0"
        assert desk.last.request.headers.first("suppress-if-match") == "e7"
        desk.accept(0)
        desk.notify("terminated;reason=timeout", ("sip-etag", "e8"), body=b"state")
        assert (fetched[0].body, fetched[0].etag) == (b"state", "e8")
        desk.check_empty()

    def test_notifier_that_does_not_end_it(self, desk: ScriptedNotifier) -> None:
        """Section 4.4.3 wants a terminated one."""
        fetched: list[Any] = []
        desk.subscriber.fetch("sip:r@example.com", "presence", from_="sip:u@example.com").addCallback(fetched.append)
        desk.accept(0)
        subscribe = desk.last.request
        desk.notify("active;expires=3600", body=b"state")
        assert fetched[0].body == b"state"
        assert len(desk.sent) == 2 and desk.last.request.headers.first("expires") == "0"
        desk.notify("terminated;reason=timeout", subscribe=subscribe)
        desk.check_empty()

    @pytest.mark.parametrize(("answer", "status"), [(404, 404), (200, 408)])
    def test_refused(self, desk: ScriptedNotifier, answer: int, status: int) -> None:
        failures: list[Any] = []
        desk.subscriber.fetch("sip:r@example.com", "presence", from_="sip:u@example.com").addErrback(failures.append)
        desk.last.answer(answer)
        desk.element.advance(32)
        failures[0].trap(RequestRefused)
        assert failures[0].value.status == status
        desk.check_empty()

    def test_cancelled(self, desk: ScriptedNotifier) -> None:
        failures: list[Any] = []
        fetch = desk.subscriber.fetch("sip:r@example.com", "presence", from_="sip:u@example.com")
        fetch.addErrback(failures.append)
        fetch.cancel()
        assert len(failures) == 1
        desk.check_empty()


def test_limit() -> None:
    desk = ScriptedNotifier(limit=1)
    desk.active()
    with pytest.raises(LocalProtocolError, match="as many as there may be"):
        desk.subscribe()


@pytest.mark.parametrize(
    "how", [{"event": "a b"}, {"forks": 0}, {"expires": -1}, {"headers": [("x", "a\r\nb")]}, {"uri": "sip:a b"}]
)
def test_bad_values(desk: ScriptedNotifier, how: Any) -> None:
    with pytest.raises(LocalProtocolError):
        desk.subscribe(**how)
    desk.check_empty()


def test_stop(desk: ScriptedNotifier) -> None:
    desk.active()
    over: list[Any] = []
    desk.subscriber.stop().addCallback(over.append)
    assert over == []
    desk.notify("terminated")
    assert over == [None]
    desk.subscriber.stop().addCallback(over.append)
    assert over == [None, None]
    desk.check_empty()
