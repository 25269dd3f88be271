"""From what a watcher is owed to the NOTIFY that tells it (RFC 6665 section 4.2.2).

At most one NOTIFY of a subscription is under way: what changes meanwhile is told when it has been answered, so order is
kept and states coalesce. News wait for their turn in one paced queue, and for the rate of their watcher (RFC 6446); the
NOTIFY after a SUBSCRIBE waits for neither.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.dialog.notifier import AT_ONCE, NEWS, NOTHING, TERMINATED, Outcome
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, SIPError
from twisted_sip.events import long_notify
from twisted_sip.events.answers import deferred_answer, retry_after_of
from twisted_sip.events.conditional import entity_tag_of, holds
from twisted_sip.events.cseq_blocks import CSeqBlocks
from twisted_sip.events.deadlines import Deadlines
from twisted_sip.events.held_off import HeldOff
from twisted_sip.events.hosted import UNDECIDED, HostedSubscription
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.events.notify_under_way import send_notify
from twisted_sip.events.own_contact import OwnContact
from twisted_sip.events.pacing import PacedQueue
from twisted_sip.events.rates import RateControl, rates_in
from twisted_sip.events.records import SubscriptionRecords
from twisted_sip.interfaces.event_package import UNCHANGED, Notification
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.header_map import make_line
from twisted_sip.message.header_names import canonical
from twisted_sip.message.response import Response

_log = Logger()

#: Two moments this close (in seconds) are one.
_GRAIN = 0.001

#: What is told where the package could not say, and where the watcher has the body already (RFC 5839 section 6.2).
_EMPTY = Notification()


@lru_cache(maxsize=256)
def _content_type_line(content_type: str) -> str:
    return make_line("content-type", content_type)


def no_flow(subscription: HostedSubscription) -> Flow | None:
    """Know no other way to a watcher than its remote target."""
    return None


class Delivery:
    """Tells watchers what they are owed.

    :ivar settings: the current settings.
    :ivar queue: subscriptions that wait for their turn.
    :ivar deadlines: when subscriptions have to be looked at.
    :ivar contact_line: gives the Contact for a flow (events.own_contact).
    :ivar ended: called with each subscription that is over, perhaps more than once.
    :ivar held_off: subscriptions whose NOTIFY is to be tried again later.
    :ivar decide: called with each subscription whose package has to be asked first; it calls :meth:`owe` then.
    """

    def __init__(
        self,
        element: Any,
        settings: NotifierSettings,
        dialogs: Dialogs,
        records: SubscriptionRecords,
        flow_for: Callable[[HostedSubscription], Flow | None],
        *,
        ended: Callable[[HostedSubscription], None],
        decide: Callable[[HostedSubscription], None],
    ) -> None:
        self.settings = settings
        self.queue: PacedQueue[HostedSubscription] = PacedQueue(
            element.timers, self._turn, rate=settings.notify_rate, burst=settings.notify_burst
        )
        self.seconds: Callable[[], float] = element.reactor.seconds
        self.deadlines: Deadlines[HostedSubscription] = Deadlines(element.timers, self.seconds, self._date_came)
        self.ended = ended
        self.decide = decide
        self.held_off = HeldOff(self.owe)
        self._element = element
        self._dialogs = dialogs
        self._numbers = CSeqBlocks(records, dialogs, settings.cseq_block, self._number_came)
        self._flow_for = flow_for
        self.contact_line = OwnContact(settings.contact_user).line

    # -- what is owed -------------------------------------------------------------------

    def owe(self, subscription: HostedSubscription, what: int = NEWS) -> None:
        """Tell the watcher in its turn."""
        subscription.owe(what)
        if not subscription.busy and not subscription.queued and subscription.owed:
            subscription.queued = True
            self.queue.add(subscription)

    def news(self, subscriptions: Collection[HostedSubscription]) -> None:
        """Owe all *subscriptions* news: :meth:`owe` for many. Where they are few, what may be sent is sent now."""
        few = len(subscriptions) <= self.settings.notify_few
        if few:
            self.queue.spend(len(subscriptions))
        for subscription in subscriptions:
            if not subscription.owed and not subscription.closed:
                subscription.owed = NEWS
            if not subscription.busy and not subscription.queued:
                if few:
                    self.serve(subscription)
                else:
                    subscription.queued = True
                    self.queue.add(subscription)

    def _turn(self, subscription: HostedSubscription) -> None:
        subscription.queued = False
        self.serve(subscription)

    def serve(self, subscription: HostedSubscription) -> None:
        """Send what is owed, if it may be sent now; otherwise it will be as soon as it may."""
        owed = subscription.owed
        if subscription.busy or not owed:
            return
        soon = self.seconds() + _GRAIN
        paced = owed == NEWS and (subscription.rates is not None or subscription.hosted.min_interval)
        if subscription.retry_at > soon or (paced and subscription.gap_end() > soon):
            self.schedule(subscription)
            return
        if subscription.authorization is UNDECIDED:
            self.decide(subscription)
            return
        if subscription.stored and not self._numbers.has_next(subscription):
            return
        self._ask(subscription)

    def _number_came(self, subscription: HostedSubscription, pause: float) -> None:
        """There are CSeq numbers for *subscription*, or there may be some after *pause* seconds."""
        if pause:
            subscription.retry_at = max(subscription.retry_at, self.seconds() + pause)
            self.schedule(subscription)
        elif not subscription.queued:
            self.serve(subscription)

    # -- dates ---------------------------------------------------------------------------

    def schedule(self, subscription: HostedSubscription) -> None:
        """Set the date on which *subscription* has to be looked at next."""
        if subscription.state is TERMINATED:
            return
        date = subscription.expires_at
        if not subscription.busy:
            if subscription.owed:
                may = subscription.retry_at
                if subscription.owed == NEWS:
                    may = max(may, subscription.gap_end())
                date = min(date, may)
            elif subscription.rates is not None:
                latest = subscription.rates.latest(subscription.sent_at)
                if latest is not None:
                    date = min(date, latest)
        self.deadlines.at(subscription, date)

    def _date_came(self, subscription: HostedSubscription, now: float) -> None:
        if now >= subscription.expires_at:
            # RFC 6665 section 4.2.1.4.
            if subscription.end("timeout"):
                self.ended(subscription)
                self.owe(subscription, AT_ONCE)
            return
        if not subscription.busy:
            rates = subscription.rates
            if not subscription.owed and rates is not None:
                latest = rates.latest(subscription.sent_at)
                if latest is not None and latest <= now:
                    # RFC 6446 sections 6.2 and 7.2: the current state, though there is no news.
                    subscription.owe(AT_ONCE if not subscription.condition else NEWS)
            if subscription.owed and subscription.retry_at <= now:
                self.owe(subscription)
        if subscription.queued:
            # Its turn sets the next date but for its end.
            self.deadlines.at(subscription, subscription.expires_at)
        else:
            self.schedule(subscription)

    # -- what to tell -----------------------------------------------------------------------

    def _ask(self, subscription: HostedSubscription) -> None:
        # As begin() does.
        owed, subscription.owed = subscription.owed, NOTHING
        subscription.busy = True
        if subscription.untold:
            self._tell(subscription, _EMPTY, owed)
            return
        try:
            answer = subscription.hosted.package.notification(subscription)
            if type(answer) is Notification:
                # The usual case: told before the package goes on.
                self._tell(subscription, answer, owed)
            else:
                self._wait(subscription, answer, owed)
        except Exception:
            self._nothing_to_tell(Failure(), subscription, owed)

    def _wait(self, subscription: HostedSubscription, answer: Any, owed: int) -> None:
        waiting = deferred_answer(answer)
        waiting.addTimeout(self.settings.answer_timeout, self._element.reactor)
        waiting.addCallback(self._answer_came, subscription, owed, subscription.state)
        waiting.addErrback(self._nothing_to_tell, subscription, owed)

    def _answer_came(self, answer: Any, subscription: HostedSubscription, owed: int, state: str) -> None:
        if subscription.closed:
            # The dialog has gone meanwhile.
            subscription.busy = False
            return
        if not isinstance(answer, Notification):
            raise LocalProtocolError(f"the package {subscription.event} gave {answer!r}")
        if subscription.state is not state:
            # It was asked about a subscription in another state, which may be told more, or less.
            subscription.busy = False
            subscription.hosted.full_state_due(subscription)
            self.owe(subscription, AT_ONCE)
            return
        self._tell(subscription, answer, owed)

    def _nothing_to_tell(self, failure: Failure, subscription: HostedSubscription, owed: int) -> None:
        """The package failed: where a NOTIFY is due in any case it goes without a body."""
        _log.failure(
            "the package {event} could not say what to tell", failure, event=subscription.event, id=subscription.id
        )
        if subscription.closed:
            subscription.busy = False
            return
        subscription.hosted.full_state_due(subscription)
        if owed == AT_ONCE or subscription.owed == AT_ONCE:
            self._tell(subscription, _EMPTY, AT_ONCE)
        else:
            subscription.busy = False
            self.owe(subscription, NOTHING)

    def _tell(self, subscription: HostedSubscription, notification: Notification, owed: int) -> None:
        now = self.seconds()
        if notification is UNCHANGED:
            if owed != AT_ONCE and subscription.owed != AT_ONCE:
                self._leave_out(subscription)
                return
            # It is due though nothing is new.
            subscription.hosted.full_state_due(subscription)
            answer = subscription.hosted.package.notification(subscription)
            if type(answer) is not Notification:
                self._wait(subscription, answer, AT_ONCE)
                return
            if answer is UNCHANGED:
                raise LocalProtocolError(f"the package {subscription.event} had no full state")
            notification = answer
        etag = notification.etag
        if not (etag.isalnum() and etag.isascii()):
            etag = entity_tag_of(notification, subscription.event)
        if subscription.condition:
            if not holds(subscription.condition, etag):
                # From now on it has what it did not ask for.
                subscription.condition = ""
            else:
                subscription.hosted.full_state_due(subscription)
                if owed != AT_ONCE:
                    # RFC 5839 section 6.3: nothing that the watcher does not know.
                    subscription.sent_at = now
                    self._leave_out(subscription)
                    return
                notification = _EMPTY
        names = ["sip-etag"]
        lines = [f"SIP-ETag: {etag}"]
        if notification.content_type:
            names.append("content-type")
            lines.append(_content_type_line(notification.content_type))
        for name, value in notification.headers:
            name = canonical(name)
            names.append(name)
            lines.append(make_line(name, value))
        rates = subscription.rates
        params = ""
        if rates is not None:
            params = rates.params
            rates.note(now)
        subscription.sent_at = now
        way = subscription.way
        if way is None or not way.open:
            subscription.way = None
            way = self._flow_for(subscription) if subscription.flow else None
        request = subscription.notify(now, params, names, lines, notification.body)
        try:
            if not send_notify(self._element.sender, request, subscription, way):
                long_notify.too_long(self, subscription)
        except SIPError as error:
            # What is sent has been read or checked before, so this is a fault of ours.
            _log.failure("a NOTIFY could not be sent", Failure(error), id=subscription.id)
            self._end_of_notify(subscription, 500, None)

    def _leave_out(self, subscription: HostedSubscription) -> None:
        """The NOTIFY that was begun is not sent: it would tell what the watcher has."""
        subscription.busy = False
        self.owe(subscription, NOTHING)
        self.schedule(subscription)

    # -- how it ended ----------------------------------------------------------------------

    def answered(self, subscription: HostedSubscription, response: Response) -> None:
        """The NOTIFY of *subscription* has had its final response."""
        status = response.status
        subscription.moved = False
        if status >= 300:
            self._end_of_notify(subscription, status, retry_after_of(response))
            return
        # All that NotifierSubscription.answered does about a 2xx.
        subscription.busy = False
        subscription.failures = 0
        if subscription.closed:
            self.lost(subscription)
            return
        headers = response.headers.names
        if "contact" in headers:
            try:
                subscription.dialog.refresh_target(response)
            except RemoteProtocolError as error:
                _log.debug("a NOTIFY was answered with {error}", error=error.reason)
        if subscription.rates is not None:
            rates = rates_in(response, subscription.event) if "event" in headers else None
            if rates is not None:
                now = self.seconds()
                remaining = subscription.expires_at - now
                subscription.rates = RateControl(rates, now, remaining=remaining, most=self.settings.max_min_rate)
            self.schedule(subscription)
        if subscription.owed:
            self.owe(subscription)

    def failed(self, subscription: HostedSubscription, status: int, *, way_failed: bool) -> None:
        """The NOTIFY of *subscription* was not answered, or could not be sent.

        :param way_failed: nothing can be sent over the flow that it took.
        """
        if subscription.noted and long_notify.failed(self, subscription, way_failed=way_failed):
            return
        if (
            subscription.way is not None
            and not subscription.closed
            and (way_failed or (status == 408 and self._moves(subscription)))
        ):
            # The connection is gone. There may be another one, or a way to the remote target: try at once, but once.
            if way_failed:
                subscription.way = None
            long_notify.again(self, subscription)
            return
        self._end_of_notify(subscription, status, None)

    def _moves(self, subscription: HostedSubscription) -> bool:
        """Have *subscription* take another flow of the same device, where there is one; once, until one answers.

        A device that has gone to another network leaves a connection behind that nobody has closed.
        """
        token, subscription.flow = subscription.flow, ""
        other = None if subscription.moved else self._flow_for(subscription)
        if other is None or other.token == token:
            subscription.flow = token
            return False
        subscription.way, subscription.flow, subscription.moved = other, other.token, True
        return True

    def _end_of_notify(self, subscription: HostedSubscription, status: int, retry_after: int | None) -> None:
        _log.debug("a NOTIFY failed: {status}", status=status, id=subscription.id)
        outcome = subscription.answered(status, self.seconds(), retry_after)
        if outcome is Outcome.DIALOG_OVER:
            self._dialogs.destroy(subscription.dialog.id, status)
        if outcome in (Outcome.DIALOG_OVER, Outcome.OVER):
            self.lost(subscription)
            return
        if outcome is Outcome.LATER and retry_after is None:
            self.held_off.add(subscription)
        subscription.hosted.full_state_due(subscription)
        self.owe(subscription, NOTHING)
        self.schedule(subscription)

    def lost(self, subscription: HostedSubscription) -> None:
        """The subscription is gone: its last NOTIFY has ended, or there can be none. Harmless when repeated."""
        subscription.drop()
        self.held_off.discard(subscription)
        self.deadlines.forget(subscription)
        if self._dialogs.usage(subscription.dialog.id, subscription.usage_key) is subscription:
            self._dialogs.end_usage(subscription.dialog.id, subscription.usage_key)
        self.ended(subscription)

    def stop(self) -> None:
        """Tell nobody anything any more."""
        self.queue.stop()
        self.deadlines.stop()
