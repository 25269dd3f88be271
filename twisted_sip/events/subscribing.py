"""SUBSCRIBE at the notifier: from the request to its response (RFC 6665 sections 4.2.1 and 4.5.2, RFC 5839 section 6).

Nothing changes before the package has agreed, nothing is acknowledged before it is stored, and a SUBSCRIBE that is
refused makes no subscription and no NOTIFY.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.dialog.dialog import Dialog, DialogID, record_route_of
from twisted_sip.dialog.dialogs import dialog_id_of, notifier_usage
from twisted_sip.dialog.notifier import AT_ONCE, NOTHING, TERMINATED
from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.events.answers import settled
from twisted_sip.events.conditional import entity_tag_of, holds
from twisted_sip.events.hosted import HostedPackage, HostedSubscription
from twisted_sip.events.subscribe_request import SubscribeRefused, SubscribeRequest
from twisted_sip.events.terms import apply_terms, restore_terms, terms_of
from twisted_sip.interfaces.event_package import Authorization, Notification
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, Verdict
from twisted_sip.message.builders import response_to
from twisted_sip.message.event_fields import Event
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted_sip.events.notifier import Notifier

_log = Logger()


class Subscribing:
    """Answers SUBSCRIBEs for a notifier."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._element = notifier.element

    # -- whose it is ----------------------------------------------------------------------------

    def claims(self, request: Request) -> bool:
        """Tell whether the SUBSCRIBE *request* is answered here.

        :raises RemoteProtocolError: a header field is malformed.
        """
        notifier = self._notifier
        uri = request.uri
        if not self._element.domains.is_local_uri(uri):
            # Within a dialog: the address where a proxy of RFC 2543 or our Contact has sent it.
            return bool(request.to.tag) and dialog_id_of(request) in notifier.dialogs
        if request.to.tag:
            return self._is_contact(uri) or dialog_id_of(request) in notifier.dialogs
        event: Event | None = request.typed("event")
        return notifier.claims_all or (event is not None and notifier.hosted(event.token) is not None)

    def _is_contact(self, uri: Any) -> bool:
        return isinstance(uri, SIPURI) and uri.user == self._notifier.settings.contact_user

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Answer the SUBSCRIBE *incoming*, or pass it on.

        :raises RemoteProtocolError: a header field is malformed.
        """
        request = incoming.request
        if not self.claims(request):
            return None
        try:
            if not self._notifier.started:
                raise SubscribeRefused(503, headers=(("retry-after", "2"),))
            event: Event | None = request.typed("event")
            if event is None:
                # RFC 6665 section 4.2.3.
                raise self._bad_event("Missing Event header field")
            if request.to.tag:
                return _run(self._within(incoming, dialog_id_of(request), event))
            if self._notifier.hosted(event.token) is None:
                raise self._bad_event()
            return _run(self._outside(incoming, event))
        except SubscribeRefused as refusal:
            return _refusal(incoming, refusal)

    def _bad_event(self, reason: str = "") -> SubscribeRefused:
        """RFC 6665 section 8.3.2."""
        return SubscribeRefused(489, reason, self._allow_events())

    def _allow_events(self) -> list[tuple[str, str]]:
        allowed = self._notifier.allow_events
        return [("allow-events", allowed)] if allowed else []

    # -- a new subscription -----------------------------------------------------------------------

    async def _outside(self, incoming: IncomingRequest, event: Event) -> Verdict:
        """A SUBSCRIBE outside of a dialog (section 4.2.1.1)."""
        request = incoming.request
        try:
            uri = request.uri
            assert isinstance(uri, SIPURI)  # claims() has seen to it
            resource = self._notifier.resource_of(uri)
            hosted = await self._notifier.serving(event.token, request, resource)
            assert hosted is not None
            asked = SubscribeRequest(request, event, hosted)
            dialog = Dialog.as_uas(request, self._element.random_text())
            return await self._make(incoming, asked, hosted, dialog, resource)
        except SubscribeRefused as refusal:
            return _refusal(incoming, refusal)

    async def _make(
        self,
        incoming: IncomingRequest,
        asked: SubscribeRequest,
        hosted: HostedPackage,
        dialog: Dialog,
        resource: str,
        *,
        shared: bool = False,
    ) -> Verdict:
        """Make the subscription that *asked* asks for, if its package agrees.

        :raises SubscribeRefused: it does not, or there is no room.
        """
        notifier = self._notifier
        now = notifier.delivery.seconds()
        subscription = HostedSubscription(
            notifier.delivery,
            hosted,
            dialog,
            id=self._element.random_text(),
            event_id=asked.event.id,
            resource=resource,
            watcher=notifier.watcher_of(incoming),
            created_at=now,
            expires_at=now,
        )
        subscription.shared = shared
        subscription.source = notifier.source_of(incoming)
        asked.expires = notifier.settings.granted(asked.expires, foreign=bool(subscription.source))
        apply_terms(subscription, incoming, asked, now, notifier.settings)
        if asked.expires:
            notifier.check_room(subscription)
        if not await settled(hosted.package.has_resource(resource)):
            raise SubscribeRefused(404)
        authorization: Authorization = await settled(hosted.package.authorize(subscription))
        if authorization.status or authorization.state == TERMINATED:
            # Section 4.2.1.3. Nobody is notified.
            raise SubscribeRefused(authorization.status or 403, authorization.phrase, key=authorization.key)
        if not incoming.claim_as_uas():
            return TAKEN
        subscription.authorization = authorization
        subscription.decide(authorization.state)
        text, key = "the subscription to {0} is {1}", authorization.key
        incoming.note("events", text, key, subscription.resource, authorization.state)
        if asked.expires == 0:
            # Section 4.4.3: the one NOTIFY of a fetch is its last one.
            subscription.end("timeout")
            self._accept(incoming, subscription, 200, new=True)
            hosted.tell((subscription,))
        else:
            # Nothing is sent before the response.
            subscription.busy = True
            notifier.check_room(subscription)
            notifier.take(subscription)
            try:
                await self._keep(subscription)
            except StoreError as error:
                subscription.stored = False
                notifier.ended(subscription, told=False)
                notifier.delivery.lost(subscription)
                raise self._not_stored(incoming, error) from error
            subscription.busy = False
            self._accept(incoming, subscription, 200, new=True)
            if subscription.state is not TERMINATED:
                hosted.tell((subscription,))
        # Section 4.2.1.2: at once, whatever was decided.
        subscription.owe(AT_ONCE)
        notifier.delivery.serve(subscription)
        return TAKEN

    # -- within a dialog ------------------------------------------------------------------------------

    async def _within(self, incoming: IncomingRequest, id: DialogID, event: Event) -> Verdict:
        """A SUBSCRIBE within a dialog: a refresh, or a further subscription (sections 4.2.1.4 and 4.5.2)."""
        try:
            return await self._within_or_refuse(incoming, id, event)
        except SubscribeRefused as refusal:
            return _refusal(incoming, refusal)

    async def _within_or_refuse(self, incoming: IncomingRequest, id: DialogID, event: Event) -> Verdict:
        notifier = self._notifier
        request = incoming.request
        dialog = notifier.dialogs.get(id)
        if dialog is None:
            raise SubscribeRefused(481)
        usages = notifier.dialogs.usages(id)
        sibling = next((usage for usage in usages.values() if isinstance(usage, HostedSubscription)), None)
        if sibling is None:
            # Section 4.5.2: the dialog of somebody else's session.
            raise SubscribeRefused(403, "Dialog Sharing Not Supported")
        if (sibling.authenticated and not incoming.user) or notifier.watcher_of(incoming) != sibling.watcher:
            # Nobody goes on with the subscription of somebody else, whatever tags he knows.
            raise SubscribeRefused(403)
        # Before it is judged any further: a replay is one whatever it asks for (RFC 3261 section 12.2.2).
        dialog.receive(request, refresh=False)
        known = usages.get(notifier_usage(event))
        if notifier.hosted(event.token) is None:
            raise self._bad_event()
        if known is None:
            hosted = await notifier.serving(event.token, request, sibling.resource)
            assert hosted is not None
            asked = SubscribeRequest(request, event, hosted)
            for usage in usages.values():
                if isinstance(usage, HostedSubscription):
                    usage.shared = True
            # The Request-URI is our Contact: what is watched is what the dialog is about.
            return await self._make(incoming, asked, hosted, dialog, sibling.resource, shared=True)
        assert isinstance(known, HostedSubscription)
        if known.state is TERMINATED:
            # Section 4.4.1: its last NOTIFY is under way.
            raise SubscribeRefused(481)
        asked = SubscribeRequest(request, event, known.hosted)
        # It knows our tag, which went to where it is.
        known.heard = True
        asked.expires = notifier.settings.granted(asked.expires, foreign=bool(known.source))
        if asked.expires == 0:
            return await self._unsubscribe(incoming, known, asked)
        return await self._refresh(incoming, known, asked)

    async def _refresh(
        self, incoming: IncomingRequest, subscription: HostedSubscription, asked: SubscribeRequest
    ) -> Verdict:
        """Section 4.2.1.4."""
        notifier = self._notifier
        package = subscription.hosted.package
        now = notifier.delivery.seconds()
        authorization: Authorization = await settled(package.authorize(subscription))
        if subscription.state is TERMINATED:
            raise SubscribeRefused(481)
        # What it was asked before counts no more.
        subscription.asked += 1
        subscription.deciding = False
        if authorization.status or authorization.state == TERMINATED:
            subscription.authorization = authorization
            notifier.end(subscription, authorization.reason or "rejected")
            raise SubscribeRefused(authorization.status or 403, authorization.phrase, key=authorization.key)
        if not incoming.claim_as_uas():
            return TAKEN
        changed = notifier.apply(subscription, authorization)
        if subscription.state is TERMINATED:
            # It was active and is to be pending: told so by its last NOTIFY, which asks for a new subscription.
            self._accept(incoming, subscription, 200)
            notifier.delivery.owe(subscription, AT_ONCE)
            return TAKEN
        subscription.hosted.full_state_due(subscription)
        known = bool(asked.condition) and await self._is_known(subscription, asked.condition)
        if self._is_over(subscription):
            raise SubscribeRefused(481)
        before = terms_of(subscription)
        rates = subscription.rates
        subscription.dialog.refresh_target(incoming.request)
        apply_terms(subscription, incoming, asked, now, notifier.settings)
        ends = subscription.expires_at
        try:
            await self._keep(subscription)
        except StoreError as error:
            if subscription.expires_at == ends:
                # As if it had not been asked for; unless it has been asked for again.
                restore_terms(subscription, before)
            raise self._not_stored(incoming, error) from error
        # It may have ended meanwhile: then its last NOTIFY says so.
        subscription.retry_at = 0.0
        told = rates.params if rates is not None else ""
        same_rates = told == (subscription.rates.params if subscription.rates is not None else "")
        if known and same_rates and not changed and subscription.owed != AT_ONCE:
            # RFC 5839 section 6.3: what else is owed is what the watcher has.
            subscription.owed = NOTHING
            self._accept(incoming, subscription, 204)
            notifier.delivery.schedule(subscription)
            return TAKEN
        self._accept(incoming, subscription, 200)
        notifier.delivery.schedule(subscription)
        subscription.owe(AT_ONCE)
        notifier.delivery.serve(subscription)
        return TAKEN

    async def _unsubscribe(
        self, incoming: IncomingRequest, subscription: HostedSubscription, asked: SubscribeRequest
    ) -> Verdict:
        """Section 4.2.1.4: Expires is 0."""
        notifier = self._notifier
        known = bool(asked.condition) and await self._is_known(subscription, asked.condition)
        if not incoming.claim_as_uas():
            return TAKEN
        subscription.stored = False
        try:
            await notifier.records.forget((subscription.id,))
        except StoreError as error:
            subscription.stored = True
            raise self._not_stored(incoming, error) from error
        subscription.dialog.refresh_target(incoming.request)
        if known and not self._is_over(subscription):
            # RFC 5839 section 5.7: that was its end.
            self._accept(incoming, subscription, 204, expires=0)
            subscription.drop("timeout")
            notifier.delivery.lost(subscription)
            return TAKEN
        subscription.condition = asked.condition
        self._accept(incoming, subscription, 200, expires=0)
        notifier.end(subscription, "timeout")
        notifier.delivery.serve(subscription)
        return TAKEN

    async def _is_known(self, subscription: HostedSubscription, condition: str) -> bool:
        """Tell whether the watcher has what it would be told now (RFC 5839 section 6.3)."""
        if subscription.busy:
            # It will have what is on its way to it.
            return False
        # In full: what it was told last is not what it says that it has.
        subscription.hosted.full_state_due(subscription)
        answer = await settled(subscription.hosted.package.notification(subscription))
        # Whatever it was, it is not sent.
        subscription.hosted.full_state_due(subscription)
        if subscription.busy or not isinstance(answer, Notification):
            return False
        return holds(condition, entity_tag_of(answer, subscription.event))

    @staticmethod
    def _is_over(subscription: HostedSubscription) -> bool:
        """Tell whether it has ended while something was waited for."""
        return subscription.state is TERMINATED

    # -- what all have in common ---------------------------------------------------------------------

    async def _keep(self, subscription: HostedSubscription) -> None:
        """Store *subscription* with room for its next NOTIFYs; StoreError is the caller's."""
        notifier = self._notifier
        limit = subscription.cseq_limit
        if not subscription.shared or not limit:
            highest = max(subscription.dialog.local_cseq or 0, subscription.version)
            limit = max(limit, highest + 1 + notifier.settings.cseq_block)
        await notifier.records.keep((subscription,), limit)
        subscription.cseq_limit = max(subscription.cseq_limit, limit)

    def _not_stored(self, incoming: IncomingRequest, error: StoreError) -> SubscribeRefused:
        _log.error("SUBSCRIBE not stored: {reason}", reason=str(error), call_id=incoming.request.call_id)
        return self._notifier.full(key=error.key) if isinstance(error, StoreFull) else SubscribeRefused(500)

    def _accept(
        self,
        incoming: IncomingRequest,
        subscription: HostedSubscription,
        status: int,
        *,
        new: bool = False,
        expires: int | None = None,
    ) -> None:
        """Send the 200 or 204 (sections 3.1.1 and 4.4.4, RFC 5839 section 7.1)."""
        notifier = self._notifier
        if expires is None:
            left = subscription.expires_at - notifier.delivery.seconds()
            expires = max(0, int(left + 0.5))
        headers: list[tuple[str, str]] = [("expires", str(expires))]
        if new:
            headers += record_route_of(incoming.request)
            headers += self._allow_events()
        headers += self._further(subscription)
        response = response_to(incoming.request, status, "", headers, b"", subscription.dialog.local_tag)
        response.headers.names.append("contact")
        response.headers.lines.append(notifier.delivery.contact_line(incoming.flow, subscription.dialog.secure))
        incoming.send(response)

    def _further(self, subscription: HostedSubscription) -> Iterable[tuple[str, str]]:
        further = subscription.hosted.response_headers
        return () if further is None else further(subscription)


def _refusal(incoming: IncomingRequest, refusal: SubscribeRefused) -> Response:
    incoming.note("events", "{0}: the subscription is refused", refusal.key, str(refusal.status))
    return response_to(incoming.request, refusal.status, refusal.reason, refusal.headers, b"", incoming.to_tag)


def _run(work: Coroutine[Any, Any, Verdict]) -> Verdict | Deferred[Verdict]:
    """Return what *work* gives, at once where nothing has to be waited for.

    What it raises then is raised here, so that a request refused so needs no place to wait in.
    """
    running = Deferred.fromCoroutine(work)
    if not running.called or running.paused:
        return running
    outcome: Any = running.result
    if isinstance(outcome, Failure):
        running.addErrback(lambda failure: None)
        outcome.raiseException()
    verdict: Verdict = outcome
    return verdict
