"""Subscriptions that go on: back-off and new attempts, NOTIFYs in order, the ways that SUBSCRIBEs take."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.dialog.dialogs import INVITE_USAGE, Dialogs
from twisted_sip.dialog.rates import Rates
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.events.subscriber import can_subscribe, contact_uri
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.response import Response
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.scripted_notifier import ScriptedNotifier
from twisted_sip.testing.scripted_sending import ScriptedFlow


@pytest.fixture
def desk() -> ScriptedNotifier:
    return ScriptedNotifier()


class TestRenewal:
    def test_deactivated(self, desk: ScriptedNotifier) -> None:
        """RFC 6665 section 4.4.2: at once, in a new dialog, by a new route."""
        subscription = desk.active()
        first = desk.last.request
        desk.notify("terminated;reason=deactivated;retry-after=60")
        assert subscription.state == "init"
        desk.element.advance(0.1)
        second = desk.last.request
        assert subscription.state == "notify_wait"
        assert second.uri_text == "sip:resource@example.com"
        assert second.call_id != first.call_id and second.from_.tag != first.from_.tag
        assert desk.subscriber.awaited == 1
        desk.accept()
        desk.notify("active;expires=600")
        assert subscription.state == "active"
        assert desk.states() == ["active", "terminated", "active"]

    @pytest.mark.parametrize(
        ("told", "seconds"),
        [
            ("probation;retry-after=300", 300),
            ("probation", 60),
            ("giveup;retry-after=7", 7),
            ("", 0),
            ("odd;retry-after=9", 9),
        ],
    )
    def test_later(self, desk: ScriptedNotifier, told: str, seconds: int) -> None:
        desk.active()
        desk.notify(f"terminated;reason={told}" if told else "terminated")
        if seconds:
            desk.element.advance(seconds - 1)
            assert len(desk.sent) == 1
        desk.element.advance(1)
        assert len(desk.sent) == 2

    @pytest.mark.parametrize("reason", ["rejected", "noresource", "invariant"])
    def test_never(self, desk: ScriptedNotifier, reason: str) -> None:
        subscription = desk.active()
        desk.notify(f"terminated;reason={reason};retry-after=1")
        assert (subscription.state, subscription.reason) == ("terminated", reason)
        desk.check_empty()

    def test_patience_grows(self, desk: ScriptedNotifier) -> None:
        """A notifier that says "at once" each time does not make us a machine gun."""
        desk.active()
        gaps = []
        for _ in range(6):
            desk.notify("terminated;reason=deactivated")
            count, gap = len(desk.sent), 0
            while len(desk.sent) == count:
                desk.element.advance(1)
                gap += 1
            gaps.append(gap)
        assert gaps == [1, 2, 4, 8, 16, 32]
        # One that lasts for a while is forgiven.
        desk.notify("active;expires=600")
        desk.element.advance(100)
        desk.notify("terminated;reason=deactivated")
        desk.element.advance(1)
        assert len(desk.sent) == 8

    def test_lost_by_the_notifier(self, desk: ScriptedNotifier) -> None:
        """481 to a refresh: it has restarted (section 4.1.2.2: an unrelated initial SUBSCRIBE)."""
        subscription = desk.active()
        desk.element.advance(540)
        desk.last.answer(481)
        desk.element.advance(1)
        assert len(desk.sent) == 3
        assert desk.last.request.to.tag == ""
        desk.accept()
        desk.notify("active")
        assert subscription.state == "active"
        assert len(desk.subscriber.dialogs) == 1

    def test_no_answer_to_a_refresh(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active()
        desk.element.advance(540)
        desk.last.fail(408)
        assert subscription.state == "active"
        desk.element.advance(32)
        assert subscription.state in ("init", "notify_wait")
        desk.element.advance(1)
        assert len(desk.sent) == 3

    def test_gone(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active()
        subscription.refresh()
        desk.last.answer(404)
        assert (subscription.state, subscription.status) == ("terminated", 404)
        desk.check_empty()

    def test_persistent_from_the_first(self, desk: ScriptedNotifier) -> None:
        subscription = desk.subscribe(persistent=True)
        desk.last.answer(503, ("retry-after", "20"))
        assert subscription.state == "init"
        desk.element.advance(20)
        assert len(desk.sent) == 2
        desk.last.answer(403)
        assert (subscription.state, subscription.status) == ("terminated", 403)
        desk.check_empty()

    def test_unsubscribe_between_attempts(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active()
        desk.notify("terminated;reason=probation")
        over: list[Any] = []
        subscription.unsubscribe().addCallback(over.append)
        subscription.when_over().addCallback(over.append)
        assert over == [None, None]
        desk.element.advance(100)
        assert len(desk.sent) == 1
        desk.check_empty()

    def test_what_a_423_has_taught(self, desk: ScriptedNotifier) -> None:
        subscription = desk.subscribe(expires=60)
        desk.last.answer(423, ("min-expires", "900"))
        assert desk.last.request.headers.count("contact") == 1
        desk.accept(900)
        desk.notify("active;expires=900")
        assert subscription.terms.expires == 900

    def test_what_a_423_has_taught_in_the_dialog(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active()
        subscription.refresh()
        desk.last.answer(423, ("min-expires", "900"))
        desk.notify("terminated;reason=deactivated")
        desk.element.advance(1)
        assert desk.last.request.headers.first("expires") == "900"

    def test_body_and_conditions_of_the_first(self, desk: ScriptedNotifier) -> None:
        desk.active(body=b"filter", body_headers=[("content-type", "text/plain")], etag="e1")
        first = desk.last.request
        assert (first.body, first.headers.first("content-type")) == (b"filter", "text/plain")
        assert first.headers.first("suppress-if-match") == "e1"
        desk.notify("terminated;reason=deactivated")
        desk.element.advance(1)
        second = desk.last.request
        assert second.body == b"filter" and "suppress-if-match" not in second.headers


class TestDialogs:
    def test_no_room(self) -> None:
        desk = ScriptedNotifier(dialogs=Dialogs(limit=0))
        subscription = desk.subscribe()
        with pytest.raises(RemoteProtocolError) as caught:
            desk.notify("active")
        assert caught.value.status == 503
        assert subscription.state == "terminated"
        desk.check_empty()

    def test_destroyed_with_its_other_usages(self, desk: ScriptedNotifier) -> None:
        """RFC 5057 section 5.1."""
        subscription = desk.active()
        id = desk.told[0].dialog
        dialog = desk.subscriber.dialogs.get(id)
        assert dialog is not None
        told: list[int] = []

        class Call:
            def dialog_destroyed(self, status: int) -> None:
                told.append(status)

        desk.subscriber.dialogs.add(dialog, INVITE_USAGE, Call())
        subscription.refresh()
        desk.last.answer(500)
        assert told == [] and subscription.state == "active"
        subscription.refresh()
        desk.last.answer(482)
        assert told == [482] and subscription.state == "terminated"
        desk.check_empty()

    def test_malformed_contact_in_a_response(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active()
        subscription.refresh()
        desk.last.answer(200, ("contact", "*"), ("expires", "600"))
        subscription.refresh()
        assert desk.last.request.uri_text == "sip:server.example.com"

    def test_numbers_used_by_challenges(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active()
        subscription.refresh()
        desk.last.challenge()
        desk.last.fail(503)
        subscription.refresh()
        assert desk.last.request.cseq.number == 4


class TestNotifies:
    def test_read_in_order(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active(on_notify=None)
        read: list[str] = []

        async def reading() -> None:
            async for notified in subscription:
                read.append(notified.state)

        done = Deferred.fromCoroutine(reading())
        assert read == ["active"]
        desk.notify("pending")
        desk.notify("active")
        assert read == ["active", "pending", "active"]
        desk.notify("terminated;reason=noresource")
        assert read == ["active", "pending", "active", "terminated"]
        assert done.called
        desk.check_empty()

    def test_reader_that_gives_up(self, desk: ScriptedNotifier) -> None:
        subscription = desk.active(on_notify=None)
        read: list[str] = []

        async def reading() -> None:
            async for notified in subscription:
                read.append(notified.state)

        first = Deferred.fromCoroutine(reading())
        first.addErrback(lambda failure: None)
        first.cancel()
        desk.notify("pending")
        Deferred.fromCoroutine(reading())
        assert read == ["active", "pending"]
        desk.notify("active")
        assert read == ["active", "pending", "active"]

    def test_nobody_reads(self) -> None:
        """What is not read is not acknowledged either: the notifier is told to come again."""
        desk = ScriptedNotifier(backlog=2)
        subscription = desk.active(on_notify=None)
        assert desk.notify("active").status == 200
        refused = desk.notify("active")
        assert refused.answers[0][0] == 503 and refused.answers[0][1]["retry-after"] == "10"
        assert len(subscription._waiting) == 2

    def test_callback_that_refuses(self, desk: ScriptedNotifier) -> None:
        def refuse(notified: Any) -> None:
            raise RemoteProtocolError("Unsupported Media Type", status=415)

        desk.subscribe(on_notify=refuse)
        with pytest.raises(RemoteProtocolError) as caught:
            desk.notify("active")
        assert caught.value.status == 415

    def test_callback_that_fails(self, desk: ScriptedNotifier) -> None:
        def fail(notified: Any) -> None:
            raise ValueError("mine")

        with LoggedFailures() as failures:
            desk.subscribe(on_notify=fail)
            assert desk.notify("active").status == 200
        assert len(failures.texts) == 1

    def test_two_readers(self, desk: ScriptedNotifier) -> None:
        """What one has is not given to the other; both end."""
        subscription = desk.active(on_notify=None)
        read: list[str] = []

        async def reading() -> None:
            async for notified in subscription:
                read.append(notified.state)

        both = [Deferred.fromCoroutine(reading()) for _ in range(2)]
        desk.notify("pending")
        desk.notify("terminated;reason=noresource")
        assert read == ["active", "pending", "terminated"]
        assert all(done.called for done in both)

    def test_callback_that_unsubscribes(self, desk: ScriptedNotifier) -> None:
        subscription = desk.subscribe(on_notify=lambda notified: subscription.unsubscribe())
        assert desk.notify("active").status == 200
        desk.notify("terminated")
        desk.check_empty()

    def test_extensions(self, desk: ScriptedNotifier) -> None:
        """RFC 3261 section 8.2.2.3: RFC 4662 requires eventlist in the NOTIFYs of lists."""
        desk.subscribe(headers=[("Supported", "eventlist, 100rel")])
        assert desk.notify("active", ("require", "EventList")).status == 200
        refused = desk.notify("active", ("require", "eventlist, frobnication"))
        assert refused.status == 420 and refused.answers[0][1]["unsupported"] == "frobnication"

    def test_other_rates_before_the_first(self, desk: ScriptedNotifier) -> None:
        subscription = desk.subscribe(rates=Rates(max_rate=0.1))
        subscription.set_rates(Rates(max_rate=1))
        assert desk.notify("active").answers[0][1]["event"] == "presence;max-rate=1"

    def test_rates(self, desk: ScriptedNotifier) -> None:
        """RFC 6446 sections 4.1 and 9.3."""
        subscription = desk.subscribe(rates=Rates(max_rate=0.1))
        assert desk.last.request.headers.first("event") == "presence;max-rate=0.1"
        desk.notify("active;max-rate=0.05", ("sip-etag", "e"))
        assert subscription.rates == Rates(max_rate=0.05) and subscription.etag == "e"
        subscription.set_rates(Rates(max_rate=1))
        answer = desk.notify("active;max-rate=0.05")
        assert answer.answers[0][1]["event"] == "presence;max-rate=1"


class TestWays:
    def test_flow_while_it_is_open(self, desk: ScriptedNotifier) -> None:
        flow = ScriptedFlow(TCP, "192.0.2.1:40000")
        subscription = desk.active(flow=flow)
        assert desk.last.how["flow"] is flow
        assert desk.last.request.contacts[0].uri_text == (
            f"sip:{desk.subscriber.contact_user}@192.0.2.1:40000;transport=tcp"
        )
        flow.open = False
        subscription.refresh()
        assert desk.last.how["flow"] is None

    def test_outbound_proxy(self, desk: ScriptedNotifier) -> None:
        desk.subscribe(route=["<sip:proxy.example.com;lr>"], from_=NameAddr.build("sip:u@example.com", "U"))
        assert desk.last.request.headers.first("route") == "<sip:proxy.example.com;lr>"
        assert desk.last.request.from_.display_name == "U"

    def test_sips(self, desk: ScriptedNotifier) -> None:
        subscription = desk.subscribe(uri="sips:resource@example.com", flow=ScriptedFlow(TLS))
        assert desk.last.request.contacts[0].uri_text.startswith("sips:")
        with pytest.raises(RemoteProtocolError):
            desk.notify("active")
        assert subscription.state == "notify_wait"

    @pytest.mark.parametrize(
        ("uri", "route", "kind", "contact"),
        [
            ("sip:b@h", "", UDP, "sip:x@192.0.2.1:5060"),
            ("sip:b@h", "", TLS, "sip:x@192.0.2.1:5060;transport=tls"),
            ("sips:b@h", "", TLS, "sips:x@192.0.2.1:5060"),
            ("sip:b@h", "<sips:p;lr>", TLS, "sips:x@192.0.2.1:5060"),
            ("sip:b@h", "<sip:p;lr>", TCP, "sip:x@192.0.2.1:5060;transport=tcp"),
        ],
    )
    def test_contact(self, uri: str, route: str, kind: Any, contact: str) -> None:
        """RFC 3261 section 8.1.1.8."""
        headers = [("route", route)] if route else []
        request = build_request(
            "SUBSCRIBE", uri, from_="<sip:a@h>", to="<sip:b@h>", call_id="c", cseq=1, headers=headers
        )
        assert contact_uri(request, ScriptedFlow(kind), "x") == contact


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ([], None),
        ([("allow", "INVITE, SUBSCRIBE")], None),
        ([("allow", "INVITE")], False),
        ([("allow-events", "dialog, presence")], True),
        ([("allow-events", "dialog")], False),
    ],
)
def test_allow_events(headers: Any, answer: bool | None) -> None:
    """RFC 6665 sections 4.1.1 and 4.4.4."""
    response = Response(200, headers=headers)
    assert can_subscribe(response, "presence") is answer
    assert can_subscribe(response, "presence.winfo") is answer
