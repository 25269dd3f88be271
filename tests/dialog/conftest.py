"""A subscriber by script: the test is the notifier."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.dialog.invite_attempt import InviteAttempt
from twisted_sip.dialog.session import Session
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.dialog.session_user import AttemptUser
from twisted_sip.dialog.subscriber import Notified, SubscriberSubscription
from twisted_sip.dialog.subscription_attempt import SubscriptionAttempt
from twisted_sip.dialog.subscription_terms import SubscriptionTerms
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.event_fields import Event
from twisted_sip.message.request import Request
from twisted_sip.testing.session_end import SessionEnd, SessionLink
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


class Pair:
    """Two ends of sessions on a link that loses nothing, unless told to."""

    def __init__(self) -> None:
        self.link = SessionLink(1)
        self.alice = SessionEnd(self.link, "alice")
        self.bob = SessionEnd(self.link, "bob")

    def again(self, alice: SessionTerms | None = None, bob: SessionTerms | None = None) -> Pair:
        """Begin anew with other terms."""
        self.link = SessionLink(1)
        self.alice = SessionEnd(self.link, "alice", alice)
        self.bob = SessionEnd(self.link, "bob", bob)
        return self

    def ringing(self, *, offer: bool = True, **how: Any) -> tuple[InviteAttempt, Session]:
        """Alice has called bob, who has not answered yet."""
        attempt = self.alice.call("bob", offer=offer, **how)
        self.link.advance(0.05)
        return attempt, self.bob.incoming[-1]

    def talking(self, **how: Any) -> tuple[Session, Session]:
        """Alice has called bob, who has answered."""
        attempt, session = self.ringing(**how)
        assert session.invite is not None
        session.invite.accept(self.bob.describe("answer"))
        self.link.advance(0.1)
        assert attempt.winner is not None
        for end in (self.alice, self.bob):
            end.told.clear()
        self.link.carried.clear()
        return attempt.winner, session

    def advance(self, seconds: float) -> None:
        self.link.advance(seconds)

    def settle(self) -> None:
        """Hang up, and see that nothing is left."""
        for end in (self.alice, self.bob):
            for session in end.sessions:
                session.close()
        self.link.advance(400.0, 1.0)
        assert self.alice.settled() and self.bob.settled()
        for end in (self.alice, self.bob):
            assert all(session.ending is not None for session in end.sessions)


@pytest.fixture
def pair() -> Pair:
    """A fresh pair."""
    return Pair()


_SDP = ("content-type", "application/sdp")
REL = (("require", "100rel"),)


class Peers:
    """Whoever the forks of alice's INVITE reach: the test."""

    def __init__(self, pair: Any, *, terms: SessionTerms | None = None, offer: bool = True, **how: Any) -> None:
        pair.again(terms)
        self.pair = pair
        self.alice = pair.alice
        user: AttemptUser = self.alice
        assert user is not None
        self.link = pair.link
        self.link.drop = lambda sender, message: True
        self.attempt: InviteAttempt = self.alice.call("bob", offer=offer, **how)

    def reply(
        self, status: int, tag: str = "b", *headers: Header, body: bytes = b"", contact: str | None = "<sip:bob>"
    ) -> None:
        outgoing = self.attempt._outgoing
        assert outgoing is not None
        fields = [*headers]
        if contact and status < 300:
            fields.append(("contact", contact))
        if body:
            fields.append(_SDP)
        outgoing.response_received(response_to(outgoing.request, status, "", fields, body, tag))

    def answer(self, method: str, status: int, body: bytes = b"") -> None:
        """Answer the last request of *method*."""
        outgoing = [known for known in self.alice._transactions if known.method == method][-1]
        headers = [_SDP] if body else []
        outgoing.response_received(response_to(outgoing.request, status, "", headers, body))

    def sent(self, method: str) -> list[Request]:
        return [m for _, m in self.link.carried if isinstance(m, Request) and m.method == method]

    def settle(self) -> None:
        for session in list(self.alice.sessions):
            session.close()
        self.link.advance(600.0, 2.0)
        assert self.alice.settled()


@pytest.fixture
def peers(pair: Pair) -> Peers:
    """Peers that get an INVITE with an offer."""
    return Peers(pair)
