"""A SUBSCRIBE outside of a dialog and what comes of it: the state notify_wait of RFC 6665 figure 1.

Its NOTIFYs make the dialogs, one for each notifier that a forked SUBSCRIBE has reached (sections 4.1.2.4, 4.1.4 and
4.4.1).
"""

from __future__ import annotations

from typing import Protocol

import attrs

from twisted_sip.dialog.dialog import Dialog, DialogID
from twisted_sip.dialog.subscriber import (
    Notified,
    SubscriberSubscription,
    SubscriberUser,
    notified_by,
    read_subscription_state,
)
from twisted_sip.dialog.subscription_terms import SubscriptionTerms, expires_granted, min_expires_of, retry_after_of
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.event_fields import Event
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer, TimerQueue

#: How often in a row a 423 is given way to.
_MOST_TOO_BRIEF = 2


class AttemptUser(SubscriberUser, Protocol):
    """The user of an attempt and of the subscriptions that come of it."""

    def send_attempt(self, attempt: SubscriptionAttempt, request: Request) -> None:
        """Add a Contact and send *request*; tell ``sent``, then ``response_received`` or ``failed``."""

    def attempt_over(self, attempt: SubscriptionAttempt) -> None:
        """No NOTIFY makes a subscription any more; ``status`` tells why there is none, if there is none."""


class SubscriptionAttempt:
    """A SUBSCRIBE outside of a dialog.

    :ivar subscribe: the request, as last sent.
    :ivar terms: what it asks for.
    :ivar over: no NOTIFY makes a subscription any more.
    :ivar notified: a NOTIFY has come.
    :ivar status: the response that refused it, 408 for Timer N, 0 otherwise.
    :ivar reason: why the last NOTIFY ended what it began, as in section 4.1.3; empty otherwise.
    :ivar retry_after: seconds to wait, of that response or NOTIFY, None where that is not said.
    """

    def __init__(
        self,
        subscribe: Request,
        terms: SubscriptionTerms,
        user: AttemptUser,
        timers: TimerQueue,
        *,
        forks: int = 1,
        timeout: float = 32.0,
    ) -> None:
        """Make an attempt; :meth:`start` sends it.

        :param subscribe: the request, without Contact.
        :param forks: the most notifiers that may accept it (section 5.4.9: the event package says whether more than one
            may); further ones are told 481.
        :param timeout: Timer N in seconds: 64*T1.
        """
        self.subscribe = subscribe
        self.terms = terms
        self.over = False
        self.notified = False
        self.status = 0
        self.retry_after: int | None = None
        self.reason = ""
        self._user = user
        self._timers = timers
        self._forks = forks
        self._timeout = timeout
        self._timer_n: Timer | None = None
        self._granted: int | None = None
        self._known: set[DialogID] = set()
        self._subscriptions: list[SubscriberSubscription] = []
        self._too_brief = 0

    def start(self) -> None:
        """Send it."""
        self._user.send_attempt(self, self.subscribe.copy())

    def sent(self, request: Request) -> None:
        """The SUBSCRIBE is sent, as *request*: Timer N starts (section 4.1.2.4)."""
        self.subscribe = request
        if self._timer_n is not None:
            self._timer_n.cancel()
        if not self.over:
            self._timer_n = self._timers.start(self._timeout, self._timer_n_fired)

    def response_received(self, response: Response) -> None:
        """Take the final response (section 4.1.2.1)."""
        status = response.status
        if 200 <= status < 300:
            self._granted = expires_granted(response, self.terms.expires)
            for subscription in self._subscriptions:
                subscription.granted(self._granted)
            return
        if status == 423 and not self.over and self._too_brief < _MOST_TOO_BRIEF:
            wanted = min_expires_of(response, self.terms.expires)
            if wanted is not None and self.terms.expires:
                self._ask_for(wanted)
                return
        self._refused(status, retry_after_of(response))

    def _ask_for(self, seconds: int) -> None:
        """423: the same again with a longer time (RFC 3261 sections 8.1.3.5 and 21.4.17)."""
        self._too_brief += 1
        self.terms = attrs.evolve(self.terms, expires=seconds)
        request = self.subscribe.copy()
        request.headers.remove("via")
        request.headers.set("expires", str(seconds))
        number, method = request.cseq
        request.headers.set("cseq", f"{number + 1} {method}")
        self._user.send_attempt(self, request)

    def failed(self, status: int) -> None:
        """There is no response: 408 after a timeout, 503 where it could not be sent."""
        self._refused(status, None)

    def _refused(self, status: int, retry_after: int | None) -> None:
        if self.over or self.notified:
            # Somebody has accepted it; who was asked besides does not matter.
            return
        self.status = status
        self.retry_after = retry_after
        self.close()

    def notify_received(self, notify: Request) -> tuple[Notified, SubscriberSubscription | None]:
        """Take a NOTIFY that belongs to no dialog yet and return what it tells; answer it 200.

        :return: what it tells, and the subscription that it has made; None if it has ended it in the same breath.
        :raises RemoteProtocolError: answer with its status: nobody waits for it (481), or it is malformed (400).
        """
        if self.over:
            raise RemoteProtocolError("Subscription Does Not Exist", status=481)
        told = read_subscription_state(notify)
        dialog = Dialog.as_notified(self.subscribe, notify)
        if dialog.id in self._known:
            raise RemoteProtocolError("Subscription Does Not Exist", status=481)
        self.notified = True
        self._known.add(dialog.id)
        subscription = None
        if told.terminated:
            # Section 4.4.1: this makes no dialog usage.
            notified = notified_by(dialog.id, notify, told)
            self.reason = told.reason
            self.retry_after = told.retry_after
        else:
            subscription = SubscriberSubscription(dialog, self.terms, self._user, self._timers, timeout=self._timeout)
            notified = subscription.notify_received(notify, first=True)
            if self._granted is not None:
                subscription.granted(self._granted)
            self._subscriptions.append(subscription)
        if len(self._known) >= self._forks:
            # Section 5.4.9: all others are told 481.
            self.close()
        return notified, subscription

    def _timer_n_fired(self) -> None:
        if not self.notified:
            self.status = 408
        self.close()

    def close(self) -> None:
        """Accept no NOTIFY any more."""
        if self.over:
            return
        self.over = True
        if self._timer_n is not None:
            self._timer_n.cancel()
            self._timer_n = None
        self._user.attempt_over(self)


def check_event(notify: Request, event: Event) -> None:
    """Check that *notify* is about *event* (RFC 6665 sections 4.1.3 and 8.2.1).

    :raises RemoteProtocolError: it is about another package (489) or another subscription (481), or Event is malformed.
    """
    told: Event | None = notify.typed("event")
    if told is None or told.token != event.token:
        raise RemoteProtocolError("Bad Event", status=489, header="Event")
    if told.id != event.id:
        raise RemoteProtocolError("Subscription Does Not Exist", status=481, header="Event")
