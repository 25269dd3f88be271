"""A subscriber by script: the test is the notifier."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.dialog.subscriber import Notified, SubscriberSubscription
from twisted_sip.dialog.subscription_attempt import SubscriptionAttempt
from twisted_sip.dialog.subscription_terms import SubscriptionTerms
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.event_fields import Event
from twisted_sip.message.request import Request
from twisted_sip.transaction.timers import TimerQueue

Header = tuple[str, str]


class Script:
    """The user of the machines, and their peer."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.sent: list[Request] = []
        self.ended: list[SubscriberSubscription] = []
        self.over: list[SubscriptionAttempt] = []
        self.cseq = 100
        self.immediate = True

    # -- as the user

    def send_attempt(self, attempt: SubscriptionAttempt, request: Request) -> None:
        request.headers.set("contact", "<sip:alice@192.0.2.1>")
        self.sent.append(request)
        if self.immediate:
            attempt.sent(request)

    def send_subscribe(self, subscription: SubscriberSubscription, request: Request) -> None:
        self.sent.append(request)

    def attempt_over(self, attempt: SubscriptionAttempt) -> None:
        self.over.append(attempt)

    def terminated(self, subscription: SubscriberSubscription) -> None:
        self.ended.append(subscription)

    # -- as the peer

    def attempt(self, *, event: str = "presence", forks: int = 1, **how: Any) -> SubscriptionAttempt:
        how.setdefault("expires", 600)
        terms = SubscriptionTerms(event=Event.parse(event), **how)
        subscribe = build_request(
            "SUBSCRIBE",
            "sip:bob@example.com",
            from_="<sip:alice@example.com>;tag=a",
            to="<sip:bob@example.com>",
            call_id="c",
            cseq=1,
            headers=terms.fields(terms.expires),
        )
        made = SubscriptionAttempt(subscribe, terms, self, self.timers, forks=forks)
        made.start()
        return made

    def notify(self, state: str, *headers: Header, tag: str = "b", event: str = "presence", **how: Any) -> Request:
        self.cseq += 1
        fields = [("event", event), ("subscription-state", state), ("contact", "<sip:server.example.com>"), *headers]
        return build_request(
            "NOTIFY",
            "sip:alice@192.0.2.1",
            from_=f"<sip:bob@example.com>;tag={tag}",
            to="<sip:alice@example.com>;tag=a",
            call_id="c",
            cseq=how.pop("cseq", self.cseq),
            headers=[field for field in fields if field[1]],
            **how,
        )

    def active(self, state: str = "active;expires=600", *headers: Header, **how: Any) -> SubscriberSubscription:
        """Return a subscription that has had its first NOTIFY."""
        attempt = self.attempt(**how)
        self.answer(attempt, 200, ("expires", "600"))
        made = attempt.notify_received(self.notify(state, *headers))[1]
        assert made is not None
        self.sent.clear()
        return made

    def answer(self, machine: Any, status: int, *headers: Header) -> None:
        machine.response_received(response_to(self.sent[-1], status, headers=headers, to_tag="b"))

    def tell(self, subscription: SubscriberSubscription, state: str, *headers: Header, **how: Any) -> Notified:
        return subscription.notify_received(self.notify(state, *headers, **how))

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def settle(self) -> None:
        """Nothing is left behind."""
        assert self.timers.pending == 0


@pytest.fixture
def script() -> Script:
    """A fresh script."""
    return Script()
