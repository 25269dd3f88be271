"""A subscription at the subscriber's side as a machine (RFC 6665 section 4.1 and figure 1, RFC 5839 section 5).

One for each notifier that has sent a NOTIFY; what comes before the first NOTIFY is in :mod:`subscription_attempt`.
Sans-I/O: requests go to the user of the machine, time comes from a TimerQueue.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from twisted_sip.dialog.dialog import Dialog, DialogID
from twisted_sip.dialog.rates import Rates
from twisted_sip.dialog.subscription_terms import (
    SubscriptionTerms,
    etag_of,
    expires_granted,
    min_expires_of,
    refresh_delay,
    retry_after_of,
)
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.event_fields import SubscriptionState
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer, TimerQueue

#: The states of figure 1.
NOTIFY_WAIT, PENDING, ACTIVE, TERMINATED = "notify_wait", "pending", "active", "terminated"

#: Responses to a refresh that end the subscription (RFC 6665 section 4.1.2.2).
_FATAL = frozenset((404, 405, 410, 416, *range(480, 486), 489, 501, 604))

#: How often in a row a 423 is given way to.
_MOST_TOO_BRIEF = 2


@attrs.frozen(slots=True, kw_only=True)
class Notified:
    """What one NOTIFY has told.

    :ivar dialog: the dialog: which notifier, where a SUBSCRIBE was forked.
    :ivar state: ``pending``, ``active`` or ``terminated``.
    :ivar reason: why it is terminated, as in RFC 6665 section 4.1.3; empty if that is not said.
    :ivar content_type: of the body, as it stood there; empty without one.
    :ivar body: the document. Empty where the state is what the entity-tag says (RFC 5839), often in the last NOTIFY.
    :ivar etag: the entity-tag of the full state (RFC 5839), empty without one.
    :ivar request: the NOTIFY.
    """

    dialog: DialogID
    state: str
    reason: str = ""
    content_type: str = ""
    body: bytes = b""
    etag: str = ""
    request: Request


class SubscriberUser(Protocol):
    """The user of the machine. Its state has changed already when a method is called."""

    def send_subscribe(self, subscription: SubscriberSubscription, request: Request) -> None:
        """Add a Contact and send *request*; its outcome goes to ``response_received`` or ``failed``."""

    def terminated(self, subscription: SubscriberSubscription) -> None:
        """It is over: ``reason``, ``status`` and ``retry_after`` tell why. Nothing is called after this."""


class SubscriberSubscription:
    """A subscription to one notifier.

    :ivar dialog: its dialog.
    :ivar terms: what the next SUBSCRIBE asks for.
    :ivar state: ``notify_wait``, ``pending``, ``active`` or ``terminated``.
    :ivar expires_at: when it ends without a refresh, on the timers' clock.
    :ivar etag: the entity-tag of the last state told, empty without one.
    :ivar rates: the rates that the notifier keeps (RFC 6446); none if it does not know of rates.
    :ivar reason: why it is terminated: the reason of the last NOTIFY, empty without one.
    :ivar status: the response that terminated it, 408 for Timer N, 0 where it was a NOTIFY or we.
    :ivar retry_after: seconds to wait before a new subscription, None where that is not said.
    :ivar unsubscribing: its end has been asked for.
    """

    __slots__ = (
        "_asked",
        "_expiry",
        "_failures",
        "_in_flight",
        "_rates_sent",
        "_refresh",
        "_timer_n",
        "_timers",
        "_user",
        "_wanted",
        "dialog",
        "etag",
        "expires_at",
        "rates",
        "reason",
        "retry_after",
        "state",
        "status",
        "terms",
        "timeout",
        "unsubscribing",
    )

    def __init__(
        self,
        dialog: Dialog,
        terms: SubscriptionTerms,
        user: SubscriberUser,
        timers: TimerQueue,
        *,
        timeout: float = 32.0,
    ) -> None:
        """Make a subscription in the state notify_wait, for the NOTIFY that made *dialog*.

        :param timeout: Timer N in seconds: 64*T1.
        """
        self.dialog = dialog
        self.terms = terms
        self.state = NOTIFY_WAIT
        self.expires_at = timers.now() + terms.expires
        self.etag = ""
        self.rates = Rates()
        self.reason = ""
        self.status = 0
        self.retry_after: int | None = None
        self.unsubscribing = False
        self.timeout = timeout
        self._user = user
        self._timers = timers
        self._timer_n: Timer | None = None
        self._refresh: Timer | None = None
        self._expiry: Timer | None = None
        self._in_flight = False
        # The refresh to send once the one in flight is answered: (conditional, body, header fields of the body).
        self._wanted: tuple[bool, bytes, tuple[tuple[str, str], ...]] | None = None
        # Of the last SUBSCRIBE in the dialog; none has been sent.
        self._asked = -1
        self._rates_sent = terms.rates
        self._failures = 0

    # -- NOTIFY -------------------------------------------------------------------

    def notify_received(self, notify: Request, *, first: bool = False) -> Notified:
        """Take a NOTIFY of this subscription (RFC 6665 section 4.1.3) and return what it tells; answer it 200.

        :param first: it has made the dialog, which has its CSeq already.
        :raises RemoteProtocolError: it is out of order (500), or Subscription-State or Contact is missing or malformed
            (400): answer with that; nothing has changed.
        """
        told = read_subscription_state(notify)
        if not first:
            self.dialog.receive(notify)
        if told.terminated or not self._ending:
            # What was on its way when we unsubscribed is not what Timer N waits for.
            self._stop(self._timer_n)
        etag = etag_of(notify)
        if etag:
            self.etag = etag
        self.rates = Rates.of(told.params)
        if told.terminated:
            self._end(reason=told.reason, retry_after=told.retry_after)
        else:
            self.state = ACTIVE if told.state == ACTIVE else PENDING
            if told.expires is not None:
                self._lasts(told.expires)
            elif first:
                self._lasts(self.terms.expires)
        return notified_by(self.dialog.id, notify, told)

    def answer_fields(self) -> list[tuple[str, str]]:
        """Return the header fields of the 200 to a NOTIFY: new rates, if they were changed (RFC 6446 section 9.3)."""
        # Section 4.1: only where the last SUBSCRIBE had rates.
        if self._rates_sent and self.terms.rates != self._rates_sent and self.state != TERMINATED:
            event = SubscriptionTerms(event=self.terms.event, rates=self.terms.rates).event_field()
            return [("event", event)]
        return []

    # -- SUBSCRIBE ----------------------------------------------------------------

    def refresh(
        self, *, conditional: bool | None = None, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Refresh it (RFC 6665 section 4.1.2.2), once what is in flight is answered.

        :param conditional: no NOTIFY if the state is what we know (RFC 5839 section 5.6); None: as the terms say.
        :param body: a body (a filter, a list), and *headers*, its Content-Type above all.
        """
        if self.state == TERMINATED or self.unsubscribing:
            return
        wanted = (self.terms.conditional if conditional is None else conditional, body, headers)
        if self._in_flight:
            self._wanted = wanted
        else:
            self._subscribe(self.terms.expires, *wanted)

    def unsubscribe(self) -> None:
        """End it (section 4.1.2.3): ``terminated`` is called after the last NOTIFY, a 204, a failure or Timer N."""
        if self.state == TERMINATED or self.unsubscribing:
            return
        self.unsubscribing = True
        self._stop(self._refresh)
        if not self._in_flight:
            self._subscribe(0, self.terms.conditional)
        else:
            # The answer to what is in flight is waited for.
            self._wanted = None

    def end(self, status: int = 0) -> None:
        """Be terminated without a word to the notifier; *status* says which response is to blame, 0 if none is."""
        if self.state != TERMINATED:
            self._end(status=status)

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone (RFC 5057 section 5.1)."""
        self.end(status)

    def _subscribe(
        self, expires: int, conditional: bool, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        fields = self.terms.fields(expires, self.etag if conditional else "")
        try:
            request = self.dialog.request("SUBSCRIBE", [*fields, *headers], body)
        except LocalProtocolError:
            # No CSeq number is left: a new dialog is needed.
            self._end(status=481)
            return
        self._asked = expires
        self._rates_sent = self.terms.rates
        self._in_flight = True
        self._stop(self._timer_n)
        self._stop(self._refresh)
        self._timer_n = self._timers.start(self.timeout, self._timer_n_fired)
        self._user.send_subscribe(self, request)

    def response_received(self, response: Response) -> None:
        """Take a final response to our last SUBSCRIBE (RFC 6665 section 4.1.2.2, RFC 5839 section 5.2)."""
        if self.state == TERMINATED:
            return
        self._in_flight = False
        status = response.status
        if 200 <= status < 300:
            self._accepted(response)
        elif status == 423 and self._asked and (wanted := min_expires_of(response, self._asked)) is not None:
            self._too_brief(wanted)
        else:
            self._refused(status, retry_after_of(response))
        self._go_on()

    def failed(self, status: int) -> None:
        """No response to our last SUBSCRIBE: 408 after a timeout, 503 where it could not be sent."""
        if self.state == TERMINATED:
            return
        self._in_flight = False
        self._refused(status, None)
        self._go_on()

    def _accepted(self, response: Response) -> None:
        self._failures = 0
        if response.status == 204:
            self._stop(self._timer_n)
            if self._ending:
                self._end()
        if not self._ending:
            self._lasts(expires_granted(response, self._asked))

    def _too_brief(self, wanted: int) -> None:
        """423: ask again for as long as the notifier *wanted*, but not over and over (RFC 3261 section 21.4.17)."""
        self.terms = attrs.evolve(self.terms, expires=wanted)
        self._failures += 1
        if self._failures > _MOST_TOO_BRIEF:
            self._refused(423, None)
        elif not self.unsubscribing:
            self._subscribe(wanted, self.terms.conditional)

    def _refused(self, status: int, retry_after: int | None) -> None:
        if self._ending:
            # RFC 5057 section 5.1 note 13: an attempt to end it that fails has ended it all the same.
            self._end()
        elif status in _FATAL:
            self._end(status=status, retry_after=retry_after)
        elif status != 408 or self._timer_n is None or not self._timer_n.active:
            # It still lasts for as long as was agreed; no NOTIFY will come of this.
            self._stop(self._timer_n)
            self._failures += 1
            remaining = self.expires_at - self._timers.now()
            patience = min(32 * 2 ** min(self._failures - 1, 10), max(1, int(remaining / 2)))
            self._refresh_after(float(patience if retry_after is None else max(1, retry_after)))
        # Otherwise, after 408, Timer N decides: the NOTIFY may be on its way.

    @property
    def _ending(self) -> bool:
        """True once the SUBSCRIBE that unsubscribes has been sent."""
        return self.unsubscribing and self._asked == 0

    def _go_on(self) -> None:
        """Send what had to wait for the SUBSCRIBE before it."""
        if self.state == TERMINATED or self._in_flight:
            return
        if self.unsubscribing:
            if not self._ending:
                self._subscribe(0, self.terms.conditional)
        elif self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self._subscribe(self.terms.expires, *wanted)

    # -- timers -------------------------------------------------------------------

    def granted(self, seconds: int) -> None:
        """The response to the SUBSCRIBE that made it grants *seconds* (section 4.1.2.1)."""
        if self.state != TERMINATED and self._timers.now() + seconds < self.expires_at:
            self._lasts(seconds)

    def _lasts(self, seconds: int) -> None:
        """It lasts for *seconds* from now, which may be less than before or more."""
        self._stop(self._expiry)
        self.expires_at = self._timers.now() + seconds
        self._expiry = self._timers.start(float(seconds), self._expired)
        if not self.unsubscribing and not self._in_flight:
            self._refresh_after(float(refresh_delay(seconds)))

    def _refresh_after(self, seconds: float) -> None:
        self._stop(self._refresh)
        self._refresh = self._timers.start(seconds, self._refresh_due)

    def _refresh_due(self) -> None:
        self._refresh = None
        self.refresh()

    def _expired(self) -> None:
        # The notifier says the same in its last NOTIFY, which is lost or late.
        if not self.unsubscribing:
            self._end(reason="timeout")

    def _timer_n_fired(self) -> None:
        self._end(status=0 if self.unsubscribing else 408)

    def _end(self, *, reason: str = "", status: int = 0, retry_after: int | None = None) -> None:
        self.state = TERMINATED
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        for timer in (self._timer_n, self._refresh, self._expiry):
            self._stop(timer)
        self._timer_n = self._refresh = self._expiry = None
        self._wanted = None
        self._user.terminated(self)

    @staticmethod
    def _stop(timer: Timer | None) -> None:
        if timer is not None:
            timer.cancel()

    def __repr__(self) -> str:
        return f"<SubscriberSubscription {self.terms.event} {self.state} {self.dialog!r}>"


def read_subscription_state(notify: Request) -> SubscriptionState:
    """Return the Subscription-State of *notify*.

    :raises RemoteProtocolError: it is missing or malformed (RFC 6665 section 4.1.3).
    """
    told: SubscriptionState | None = notify.typed("subscription-state")
    if told is None:
        raise RemoteProtocolError("Missing Subscription-State header field", header="Subscription-State")
    return told


def notified_by(dialog: DialogID, notify: Request, told: SubscriptionState) -> Notified:
    """Return what *notify*, with the Subscription-State *told*, says."""
    return Notified(
        dialog=dialog,
        state=told.state,
        reason=told.reason if told.terminated else "",
        content_type=notify.headers.first("content-type") or "",
        body=notify.body,
        etag=etag_of(notify),
        request=notify,
    )
