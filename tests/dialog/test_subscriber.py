"""The subscriber's machine from the first NOTIFY on (RFC 6665 section 4.1, figure 1)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from twisted_sip.dialog.rates import Rates
from twisted_sip.errors import RemoteProtocolError


class TestNotify:
    def test_pending_then_active_then_terminated(self, script: Any) -> None:
        subscription = script.active("pending")
        assert subscription.state == "pending"
        told = script.tell(subscription, "active", ("content-type", "application/pidf+xml"), body=b"<presence/>")
        assert (subscription.state, told.content_type, told.body) == ("active", "application/pidf+xml", b"<presence/>")
        told = script.tell(subscription, "terminated;reason=Rejected;retry-after=5;expires=60")
        assert (told.state, told.reason) == ("terminated", "rejected")
        assert (subscription.state, subscription.reason, subscription.retry_after) == ("terminated", "rejected", 5)
        assert subscription.status == 0
        assert script.ended == [subscription]
        script.settle()

    def test_unknown_state(self, script: Any) -> None:
        subscription = script.active()
        assert script.tell(subscription, "waiting").state == "waiting"
        assert subscription.state == "pending"

    def test_expires_adjusts(self, script: Any) -> None:
        subscription = script.active()
        script.tell(subscription, "active;expires=100")
        assert subscription.expires_at == 100
        script.tell(subscription, "active")
        assert subscription.expires_at == 100
        script.tell(subscription, "active;expires=9000")
        assert subscription.expires_at == 9000

    def test_out_of_order(self, script: Any) -> None:
        """RFC 3261 section 12.2.2; an old state never follows a new one."""
        subscription = script.active()
        with pytest.raises(RemoteProtocolError) as caught:
            script.tell(subscription, "terminated", cseq=script.cseq)
        assert caught.value.status == 500
        assert subscription.state == "active"

    @pytest.mark.parametrize(
        ("name", "value"), [("subscription-state", ""), ("subscription-state", "active;expires=x"), ("contact", "*")]
    )
    def test_malformed(self, script: Any, name: str, value: str) -> None:
        subscription = script.active()
        notify = script.notify("terminated")
        notify.headers.remove(name)
        if value:
            notify.headers.append(name, value)
        with pytest.raises(RemoteProtocolError) as caught:
            subscription.notify_received(notify)
        assert caught.value.status == 400
        assert subscription.state == "active"
        assert subscription.dialog.remote_cseq == script.cseq - 1

    def test_target_refresh(self, script: Any) -> None:
        subscription = script.active()
        notify = script.notify("active")
        notify.headers.set("contact", "<sip:other.example.com>")
        subscription.notify_received(notify)
        subscription.refresh()
        assert script.sent[-1].uri_text == "sip:other.example.com"


class TestRefresh:
    def test_before_it_expires(self, script: Any) -> None:
        subscription = script.active()
        script.advance(539)
        assert not script.sent
        script.advance(1)
        request = script.sent[0]
        assert request.method == "SUBSCRIBE"
        assert (request.headers.first("event"), request.headers.first("expires")) == ("presence", "600")
        assert (request.from_.tag, request.to.tag, request.cseq.number) == ("a", "b", 2)
        script.answer(subscription, 200, ("expires", "600"))
        script.tell(subscription, "active;expires=600")
        assert subscription.expires_at == 1140
        script.advance(540)
        assert len(script.sent) == 2

    def test_notify_before_the_response(self, script: Any) -> None:
        subscription = script.active()
        subscription.refresh()
        script.tell(subscription, "active;expires=600")
        script.answer(subscription, 200, ("expires", "300"))
        assert subscription.expires_at == 300
        script.advance(200)
        script.advance(63)
        assert len(script.sent) == 2

    def test_timer_n(self, script: Any) -> None:
        """Figure 1: the re-subscription times out."""
        subscription = script.active()
        subscription.refresh()
        script.answer(subscription, 200, ("expires", "600"))
        script.advance(32)
        assert (subscription.state, subscription.status) == ("terminated", 408)
        assert script.ended == [subscription]
        script.answer(subscription, 200)
        subscription.failed(408)
        script.settle()

    @pytest.mark.parametrize("status", [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604])
    def test_responses_that_end_it(self, script: Any, status: int) -> None:
        """Section 4.1.2.2."""
        subscription = script.active()
        subscription.refresh()
        script.answer(subscription, status, ("retry-after", "30"))
        assert (subscription.state, subscription.status, subscription.retry_after) == ("terminated", status, 30)
        script.settle()

    @pytest.mark.parametrize("status", [400, 401, 403, 500, 502, 503, 603])
    def test_responses_that_do_not(self, script: Any, status: int) -> None:
        """Section 4.1.2.2: it is valid for as long as was agreed, and no NOTIFY is waited for."""
        subscription = script.active()
        subscription.refresh()
        script.answer(subscription, status)
        assert subscription.state == "active"
        script.advance(33)
        assert subscription.state == "active"
        assert len(script.sent) == 2
        script.answer(subscription, status)
        script.advance(63)
        assert len(script.sent) == 2
        script.advance(2)
        assert len(script.sent) == 3
        script.answer(subscription, 200)
        script.tell(subscription, "active;expires=600")
        assert subscription.expires_at == 33 + 65 + 600

    def test_retry_after(self, script: Any) -> None:
        subscription = script.active()
        subscription.refresh()
        script.answer(subscription, 503, ("retry-after", "100"))
        script.advance(99)
        assert len(script.sent) == 1
        script.advance(1)
        assert len(script.sent) == 2

    def test_fails_until_it_expires(self, script: Any) -> None:
        subscription = script.active("active;expires=60")
        script.advance(30)
        script.answer(subscription, 500)
        script.advance(30)
        assert (subscription.state, subscription.reason) == ("terminated", "timeout")

    def test_no_response(self, script: Any) -> None:
        """408 leaves it to Timer N: the NOTIFY may be on its way."""
        subscription = script.active()
        subscription.refresh()
        subscription.failed(408)
        assert subscription.state == "active"
        script.tell(subscription, "active;expires=600")
        script.advance(40)
        assert subscription.state == "active"
        subscription.refresh()
        subscription.failed(408)
        script.advance(32)
        assert (subscription.state, subscription.status) == ("terminated", 408)

    def test_no_response_after_the_notify(self, script: Any) -> None:
        subscription = script.active()
        subscription.refresh()
        script.tell(subscription, "active;expires=600")
        subscription.failed(408)
        script.advance(32)
        assert len(script.sent) == 2 and subscription.state == "active"

    def test_one_at_a_time(self, script: Any) -> None:
        subscription = script.active()
        subscription.refresh()
        subscription.refresh(body=b"old", headers=(("content-type", "text/plain"),))
        subscription.refresh(body=b"filter", headers=(("content-type", "text/plain"),))
        assert len(script.sent) == 1
        script.answer(subscription, 200)
        assert len(script.sent) == 2
        assert (script.sent[1].body, script.sent[1].headers.first("content-type")) == (b"filter", "text/plain")
        script.answer(subscription, 200)
        assert len(script.sent) == 2

    def test_too_brief(self, script: Any) -> None:
        subscription = script.active()
        subscription.refresh()
        script.answer(subscription, 423, ("min-expires", "1800"))
        assert script.sent[1].headers.first("expires") == "1800"
        assert script.sent[1].cseq.number == 3
        script.answer(subscription, 423, ("min-expires", "3600"))
        script.answer(subscription, 423, ("min-expires", "7200"))
        assert len(script.sent) == 3
        assert subscription.state == "active"

    def test_too_brief_without_sense(self, script: Any) -> None:
        subscription = script.active()
        subscription.refresh()
        script.answer(subscription, 423)
        assert len(script.sent) == 1 and subscription.state == "active"

    def test_no_cseq_left(self, script: Any) -> None:
        subscription = script.active()
        subscription.dialog.local_cseq = 2**32 - 1
        subscription.refresh()
        assert (subscription.state, subscription.status) == ("terminated", 481)

    def test_after_the_end(self, script: Any) -> None:
        subscription = script.active()
        subscription.end(404)
        subscription.end(500)
        subscription.refresh()
        subscription.unsubscribe()
        subscription.granted(5)
        assert (subscription.status, script.sent, len(script.ended)) == (404, [], 1)
        script.settle()

    def test_dialog_destroyed(self, script: Any) -> None:
        subscription = script.active()
        subscription.dialog_destroyed(482)
        assert (subscription.state, subscription.status) == ("terminated", 482)


class TestUnsubscribe:
    def test_last_notify(self, script: Any) -> None:
        subscription = script.active()
        subscription.unsubscribe()
        subscription.unsubscribe()
        assert [request.headers.first("expires") for request in script.sent] == ["0"]
        script.answer(subscription, 200, ("expires", "0"))
        assert subscription.state == "active"
        told = script.tell(subscription, "terminated;reason=timeout", body=b"last")
        assert (told.body, subscription.state) == (b"last", "terminated")
        script.settle()

    def test_last_notify_before_the_response(self, script: Any) -> None:
        subscription = script.active()
        subscription.unsubscribe()
        script.tell(subscription, "terminated;reason=timeout")
        script.answer(subscription, 200)
        assert len(script.ended) == 1

    def test_a_notify_that_crosses_does_not_stop_timer_n(self, script: Any) -> None:
        subscription = script.active("active;expires=10")
        subscription.unsubscribe()
        script.tell(subscription, "active;expires=10")
        script.answer(subscription, 200, ("expires", "0"))
        script.advance(20)
        assert subscription.state == "active"
        script.advance(12)
        assert (subscription.state, subscription.status) == ("terminated", 0)
        script.settle()

    @pytest.mark.parametrize("status", [481, 500, 408, 423])
    def test_refused(self, script: Any, status: int) -> None:
        """RFC 5057 section 5.1, note 13."""
        subscription = script.active()
        subscription.unsubscribe()
        script.answer(subscription, status, ("min-expires", "60"))
        assert (subscription.state, subscription.status) == ("terminated", 0)
        script.settle()

    @pytest.mark.parametrize(
        ("status", "header"), [(200, ("expires", "600")), (423, ("min-expires", "900")), (503, ("x", "y"))]
    )
    def test_while_a_refresh_is_in_flight(self, script: Any, status: int, header: Any) -> None:
        subscription = script.active()
        subscription.refresh()
        subscription.refresh()
        subscription.unsubscribe()
        subscription.refresh()
        assert len(script.sent) == 1
        script.answer(subscription, status, header)
        assert [request.headers.first("expires") for request in script.sent] == ["600", "0"]
        script.answer(subscription, 200)
        script.tell(subscription, "terminated")
        script.settle()


class TestConditional:
    """RFC 5839 section 5."""

    def make(self, script: Any) -> Any:
        return script.active("active;expires=600", ("sip-etag", "e1"), conditional=True)

    def test_refresh_without_notify(self, script: Any) -> None:
        subscription = self.make(script)
        script.advance(540)
        assert script.sent[0].headers.first("suppress-if-match") == "e1"
        script.answer(subscription, 204, ("expires", "300"))
        script.advance(33)
        assert (subscription.state, subscription.expires_at) == ("active", 840)
        assert len(script.sent) == 1

    def test_the_newest_entity_tag(self, script: Any) -> None:
        subscription = self.make(script)
        assert script.tell(subscription, "active", ("sip-etag", "e2")).etag == "e2"
        script.tell(subscription, "active")
        assert script.tell(subscription, "active", ("sip-etag", "not a token")).etag == ""
        subscription.refresh()
        assert script.sent[0].headers.first("suppress-if-match") == "e2"

    def test_full_state_when_asked_for(self, script: Any) -> None:
        subscription = self.make(script)
        subscription.refresh(conditional=False)
        assert "suppress-if-match" not in script.sent[0].headers

    def test_unsubscribe(self, script: Any) -> None:
        subscription = self.make(script)
        subscription.unsubscribe()
        assert script.sent[0].headers.first("suppress-if-match") == "e1"
        script.answer(subscription, 204)
        assert subscription.state == "terminated"
        script.settle()

    def test_unconditional_by_default(self, script: Any) -> None:
        subscription = script.active("active;expires=600", ("sip-etag", "e1"))
        subscription.refresh()
        assert "suppress-if-match" not in script.sent[0].headers


class TestRates:
    """RFC 6446 section 4."""

    def test_agreed(self, script: Any) -> None:
        subscription = script.active("active;max-rate=0.2", rates=Rates(max_rate=0.1))
        assert subscription.rates == Rates(max_rate=0.2)
        assert subscription.answer_fields() == []
        subscription.refresh()
        assert script.sent[0].headers.first("event") == "presence;max-rate=0.1"

    def test_changed_in_the_answer_to_a_notify(self, script: Any) -> None:
        subscription = script.active("active;max-rate=0.1", rates=Rates(max_rate=0.1))
        subscription.terms = attrs.evolve(subscription.terms, rates=Rates(max_rate=1, min_rate=0.01))
        assert subscription.answer_fields() == [("event", "presence;max-rate=1;min-rate=0.01")]
        subscription.refresh()
        assert subscription.answer_fields() == []
        script.answer(subscription, 200)
        script.tell(subscription, "terminated")
        subscription.terms = attrs.evolve(subscription.terms, rates=Rates())
        assert subscription.answer_fields() == []

    def test_not_where_the_subscribe_had_none(self, script: Any) -> None:
        subscription = script.active()
        subscription.terms = attrs.evolve(subscription.terms, rates=Rates(max_rate=1))
        assert subscription.answer_fields() == []


def test_repr(script: Any) -> None:
    assert repr(script.active()) == "<SubscriberSubscription presence active <Dialog c a b>>"
