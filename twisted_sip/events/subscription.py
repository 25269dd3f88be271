"""One subscription as its user holds it: attempts, dialogs, back-off and the NOTIFYs in order (RFC 6665 section 4.1).

It outlives the machines of the dialog floor: where the notifier asks for it, or is lost, a new one is begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from twisted_sip.dialog.dialog import DialogID
from twisted_sip.dialog.dialogs import UsageKey, subscriber_usage
from twisted_sip.dialog.rates import Rates
from twisted_sip.dialog.subscriber import ACTIVE, NOTIFY_WAIT, PENDING, TERMINATED, Notified, SubscriberSubscription
from twisted_sip.dialog.subscription_attempt import SubscriptionAttempt, check_event
from twisted_sip.dialog.subscription_terms import SubscriptionTerms, resubscription_delay, retry_delay
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.request import Request
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.events.subscriber import Subscriber

_log = Logger()

#: Between two attempts: the state before the first SUBSCRIBE of figure 1.
INIT = "init"

#: Seconds between attempts in a row: at once, then these, doubled up to the last.
_FIRST_PATIENCE, _MOST_PATIENCE = 2.0, 900.0
#: Seconds for which NOTIFYs are held off when nobody reads them.
_BACKLOG_PATIENCE = 10


@attrs.frozen(slots=True, kw_only=True)
class Outcome:
    """Why an attempt, or the last of its dialogs, is over.

    :ivar reason: the reason of the NOTIFY that said so, empty without one.
    :ivar status: the response that said so, 408 for Timer N, 0 without one.
    :ivar retry_after: seconds to wait, None where that is not said.
    """

    reason: str = ""
    status: int = 0
    retry_after: int | None = None

    def delay(self) -> float | None:
        """Return after how many seconds to subscribe anew, None for never."""
        if self.status:
            return retry_delay(self.status, self.retry_after)
        return resubscription_delay(self.reason, self.retry_after)


_NOTHING_SAID = Outcome()


class Subscription:
    """A subscription of ours, made by ``Subscriber.subscribe``.

    Iterate over it with ``async for`` to get what each NOTIFY tells, in order, if no *on_notify* was given. The
    iteration ends with the subscription.

    :ivar uri: what is subscribed to.
    :ivar terms: what is asked for.
    :ivar reason: why it is terminated: the reason of the last NOTIFY, empty without one.
    :ivar status: the response that terminated it, 408 for Timer N or a timeout, 0 where it was a NOTIFY or we.
    :ivar established: a NOTIFY has come.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        uri: str,
        terms: SubscriptionTerms,
        make: Callable[[Subscription], Request],
        *,
        on_notify: Callable[[Notified], object] | None,
        persistent: bool,
        forks: int,
        backlog: int,
    ) -> None:
        self.uri = uri
        self.terms = terms
        self.reason = ""
        self.status = 0
        self.established = False
        self._subscriber = subscriber
        self._make = make
        self._on_notify = on_notify
        self._persistent = persistent
        self._forks = forks
        self._attempt: SubscriptionAttempt | None = None
        self._dialogs: dict[DialogID, SubscriberSubscription] = {}
        self._key = ("", "")
        self._over = False
        self._unsubscribing = False
        self._patience = 0.0
        self._began = 0.0
        self._retry: Timer | None = None
        self._outcome: Outcome | None = None
        self._last: Outcome | None = None
        # What is being told now must reach the user before the end does.
        self._telling = False
        self._ends: list[Deferred[None]] = []
        self._backlog = backlog
        self._waiting: deque[Notified] = deque()
        self._reader: Deferred[None] | None = None

    # -- for the user ---------------------------------------------------------------

    @property
    def state(self) -> str:
        """``init`` (a new attempt is due), ``notify_wait``, ``pending``, ``active`` or ``terminated``; the best where a
        SUBSCRIBE was forked."""
        if self._over:
            return TERMINATED
        states = {dialog.state for dialog in self._dialogs.values()}
        for state in (ACTIVE, PENDING):
            if state in states:
                return state
        return NOTIFY_WAIT if self._attempt is not None else INIT

    @property
    def etag(self) -> str:
        """The entity-tag of the last state told (RFC 5839), empty without one or where there are several notifiers."""
        etags = [dialog.etag for dialog in self._dialogs.values()]
        return etags[0] if len(etags) == 1 else ""

    @property
    def rates(self) -> Rates:
        """The rates that the notifier keeps (RFC 6446 section 4.2); none where there are several notifiers."""
        rates = [dialog.rates for dialog in self._dialogs.values()]
        return rates[0] if len(rates) == 1 else Rates()

    def refresh(
        self, *, conditional: bool = False, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Refresh it now: a NOTIFY with full state follows (RFC 6665 section 4.1.2.2).

        :param conditional: none follows if the state is what we know (RFC 5839 section 5.6).
        :param body: a body, and *headers*, its Content-Type above all.
        """
        for dialog in list(self._dialogs.values()):
            dialog.refresh(conditional=conditional, body=body, headers=headers)

    def set_rates(self, rates: Rates) -> None:
        """Ask for other rates: with the next SUBSCRIBE, and with the 200 to the next NOTIFY if there are rates now (RFC
        6446 section 4.1). Call :meth:`refresh` to ask at once."""
        self.terms = attrs.evolve(self.terms, rates=rates)
        for dialog in self._dialogs.values():
            dialog.terms = attrs.evolve(dialog.terms, rates=rates)

    def unsubscribe(self) -> Deferred[None]:
        """End it (RFC 6665 section 4.1.2.3).

        :return: fires with None once it is over: after the last NOTIFY, or at once where there is no dialog; at the
            latest after Timer N. Never fails.
        """
        end = self.when_over()
        if not self._over and not self._unsubscribing:
            self._unsubscribing = True
            if self._retry is not None:
                self._retry.cancel()
                self._retry = None
            if self._attempt is not None:
                # A NOTIFY that is yet to come is told 481, and that ends it at the notifier.
                self._attempt.close()
            for dialog in list(self._dialogs.values()):
                dialog.unsubscribe()
            if not self._dialogs:
                self._finish(Outcome())
        return end

    def when_over(self) -> Deferred[None]:
        """Return a Deferred that fires with None once it is terminated for good. Never fails."""
        if self._over:
            return succeed(None)
        end: Deferred[None] = Deferred()
        self._ends.append(end)
        return end

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Notified:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            if self._reader is None or self._reader.called:
                self._reader = Deferred()
            await self._reader
        return self._waiting.popleft()

    # -- attempts ---------------------------------------------------------------------

    def begin(self) -> None:
        """Send a SUBSCRIBE outside of any dialog, with a fresh Call-ID and From tag (RFC 6665 section 4.1.2.2)."""
        self._retry = self._last = None
        request = self._make(self)
        self._subscriber.forget(self._key)
        self._key = (request.call_id, request.from_.tag)
        self._subscriber.remember(self._key, self)
        timers = self._subscriber.element.timers
        timeout = self._subscriber.element.timer_values.timeout
        self._attempt = SubscriptionAttempt(request, self.terms, self, timers, forks=self._forks, timeout=timeout)
        self._attempt.start()

    def send_attempt(self, attempt: SubscriptionAttempt, request: Request) -> None:
        """Send a SUBSCRIBE outside of any dialog."""
        self._subscriber.send(self, attempt, request)

    def attempt_over(self, attempt: SubscriptionAttempt) -> None:
        """No further notifier comes; if there is none at all, this was that."""
        if self._attempt is attempt:
            self._attempt = None
        # A 423 has taught us for how long to ask.
        self.terms = attrs.evolve(self.terms, expires=attempt.terms.expires)
        if not self._dialogs and not self._unsubscribing:
            outcome = Outcome(reason=attempt.reason, status=attempt.status, retry_after=attempt.retry_after)
            self._ended(self._last if self._last is not None and outcome == _NOTHING_SAID else outcome)

    def send_subscribe(self, subscription: SubscriberSubscription, request: Request) -> None:
        """Send a SUBSCRIBE within a dialog."""
        self._subscriber.send(self, subscription, request)

    def terminated(self, subscription: SubscriberSubscription) -> None:
        """One of the dialogs is over."""
        id = subscription.dialog.id
        if self._dialogs.pop(id, None) is None:
            # It was over before it was one of ours.
            return
        self._subscriber.dialogs.end_usage(id, self._usage())
        self.terms = attrs.evolve(self.terms, expires=subscription.terms.expires)
        self._last = Outcome(
            reason=subscription.reason, status=subscription.status, retry_after=subscription.retry_after
        )
        if not self._dialogs and self._attempt is None:
            self._ended(self._last)

    def _usage(self) -> UsageKey:
        return subscriber_usage(self.terms.event)

    def _ended(self, outcome: Outcome) -> None:
        self._outcome = outcome
        if not self._telling:
            self._settle()

    def _settle(self) -> None:
        """Begin anew after a while, or be over."""
        outcome, self._outcome = self._outcome, None
        if outcome is None or self._over or self._dialogs or self._attempt is not None:
            return
        delay = outcome.delay()
        wanted = self.terms.expires > 0 and not self._unsubscribing and (self.established or self._persistent)
        if delay is None or not wanted:
            self._finish(outcome)
        else:
            timers = self._subscriber.element.timers
            if timers.now() - self._began >= _MOST_PATIENCE / 10:
                # It has lasted for a while: no need for patience.
                self._patience = 0.0
            delay = max(delay, self._patience)
            self._patience = min(_MOST_PATIENCE, max(_FIRST_PATIENCE, 2 * self._patience))
            self._began = timers.now() + delay
            self._subscriber.forget(self._key)
            self._retry = timers.start(delay, self.begin)

    def _finish(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        self.reason, self.status = outcome.reason, outcome.status
        self._subscriber.ended(self, self._key)
        self._wake_reader()
        ends, self._ends = self._ends, []
        for end in ends:
            end.callback(None)

    # -- NOTIFYs ------------------------------------------------------------------------

    def notify_received(self, incoming: IncomingRequest) -> None:
        """Answer a NOTIFY with our Call-ID and tag, and tell the user of it (RFC 6665 section 4.1.3).

        :raises RemoteProtocolError: what to answer instead of 200.
        """
        notify = incoming.request
        check_event(notify, self.terms.event)
        if unsupported := self.terms.unsupported(notify):
            incoming.respond(420, headers=[("unsupported", ", ".join(unsupported))])
            return
        if len(self._waiting) >= self._backlog:
            # Not acknowledged, and asked for again: nothing is lost.
            incoming.respond(503, headers=[("retry-after", str(_BACKLOG_PATIENCE))])
            return
        self._telling = True
        try:
            id = DialogID(notify.call_id, notify.to.tag, notify.from_.tag)
            dialog = self._dialogs.get(id)
            notified = self._first_notify(notify) if dialog is None else dialog.notify_received(notify)
            self.established = True
            self._tell(notified)
            dialog = self._dialogs.get(id)
            incoming.respond(200, headers=dialog.answer_fields() if dialog is not None else ())
        finally:
            self._telling = False
            self._settle()

    def _first_notify(self, notify: Request) -> Notified:
        """Take a NOTIFY of a notifier that is new to us (RFC 6665 section 4.4.1)."""
        if self._attempt is None:
            raise RemoteProtocolError("Subscription Does Not Exist", status=481)
        notified, subscription = self._attempt.notify_received(notify)
        if subscription is not None:
            if not self._subscriber.dialogs.add(subscription.dialog, self._usage(), subscription):
                subscription.end(503)
                raise RemoteProtocolError("Too Many Dialogs", status=503)
            subscription.terms = attrs.evolve(subscription.terms, rates=self.terms.rates)
            self._dialogs[subscription.dialog.id] = subscription
            if self.terms.expires == 0:
                # Section 4.4.3: it should have ended with this NOTIFY.
                subscription.unsubscribe()
        return notified

    def _tell(self, notified: Notified) -> None:
        if self._on_notify is None:
            self._waiting.append(notified)
            self._wake_reader()
            return
        try:
            self._on_notify(notified)
        except RemoteProtocolError:
            # The body, for instance, is not what it should be: that is the answer.
            raise
        except Exception:
            _log.failure("on_notify of {subscription}", subscription=repr(self))

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.called:
            reader.callback(None)

    def __repr__(self) -> str:
        return f"<Subscription {self.terms.event} of {self.uri} {self.state}>"
