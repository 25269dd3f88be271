"""The presence service: takes publications, composes them, tells watchers what they may see (RFC 3856, 3903, 5025).

Subclass it to decide otherwise: ``authorize_watcher``, ``authorize_publisher``, ``compose`` and ``has_presentity`` are
the hooks. A program on the server sets presence with :meth:`PresenceService.publish`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.documents.permissions import Permissions
from twisted_sip.documents.pidf import Presence
from twisted_sip.errors import DocumentError, RemoteProtocolError, StoreError, StoreFull
from twisted_sip.interfaces.documents import DocumentChange, IDocumentStore
from twisted_sip.interfaces.event_package import NotifierHost, PackageSubscription
from twisted_sip.interfaces.location import ILocationStore, LocationChange
from twisted_sip.interfaces.processing import IncomingRequest, Verdict
from twisted_sip.interfaces.publication import IPublicationStore, Publication
from twisted_sip.interfaces.services import IPresenceService
from twisted_sip.message.builders import response_to
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.presence.authorization import RULES_AUIDS, WatcherRules
from twisted_sip.presence.composition import Compositor, published
from twisted_sip.presence.publication import Publications
from twisted_sip.presence.publish_request import PublishRefused, PublishRequest
from twisted_sip.presence.published_body import PUBLISHED_TYPES, full_state
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.presence.watcher_info import WatcherInfoPackage

_log = Logger()

#: The event package.
PRESENCE = "presence"
#: The application usage of hard state (RFC 4827).
HARD_STATE_AUID = "pidf-manipulation"
_RETRY_AFTER = "30"
#: Composed documents that are kept.
_MOST_COMPOSED = 20_000


@implementer(IPresenceService)
class PresenceService(Service):
    """An event state compositor and presence agent for the users of our domains.

    :ivar element: the element it belongs to.
    :ivar settings: the current settings; may be replaced at any time.
    :ivar publications: what is published.
    :ivar notifier: the host of our event package, None until the package is attached to one.
    :ivar watcher_info: the package that tells presentities of their watchers, None for none.
    """

    name = "presence"

    def __init__(
        self,
        element: Any,
        store: IPublicationStore,
        *,
        settings: PresenceSettings | None = None,
        documents: IDocumentStore | None = None,
        location: ILocationStore | None = None,
        authenticated: bool = True,
        make_text: Callable[[], str] | None = None,
    ) -> None:
        """Make a service; nothing is loaded before it starts.

        :param store: keeps publications over restarts.
        :param documents: presence rules and hard state as XCAP keeps them; None for none.
        :param location: the bindings of our users, for presence without PUBLISH; None for none.
        :param authenticated: local users have to prove who they are before a request comes here; False on trusted
            networks, where From is believed.
        """
        self.element = element
        self.settings = settings or PresenceSettings()
        self.notifier: NotifierHost | None = None
        self.watcher_info: WatcherInfoPackage | None = None
        self._authenticated = authenticated
        self._documents = documents
        self._location = location
        self._is_local_uri = element.domains.is_local_uri
        clock = element.reactor
        self._rules = WatcherRules(documents, clock.seconds, self._default_handling)
        self.publications = Publications(
            store,
            clock,
            make_text or element.random_text,
            self._published,
            max_publications=self.settings.max_publications,
            max_per_resource=self.settings.max_publications_per_user,
        )
        self._composed: dict[str, Presence] = {}
        self._observers: list[Callable[[str], None]] = []
        self._stops: list[Callable[[], None]] = []

    # -- hooks -----------------------------------------------------------------

    def has_presentity(self, resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether *resource* may be watched; False answers 404.

        Default: every address in our domains, so that nobody learns by watching who is a user.
        """
        return True

    def authorize_watcher(
        self, resource: str, watcher: str, subscription: PackageSubscription
    ) -> Permissions | Deferred[Permissions] | Awaitable[Permissions]:
        """Return what *watcher* may see of *resource*: ``sub_handling`` decides about the subscription itself.

        Default: the presentity's presence rules, and the configured handling where there are none.
        """
        return self._rules.decide(
            resource, watcher, authenticated=self._is_ours(watcher), sphere=self._sphere(resource)
        )

    def authorize_publisher(self, incoming: IncomingRequest, resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether the sender of a PUBLISH may publish for *resource*; False answers 403 (RFC 3903 section 6).

        Default: users publish for themselves alone.
        """
        if incoming.user or self._authenticated:
            return incoming.user == resource
        claimed = incoming.request.from_.uri
        return isinstance(claimed, SIPURI) and claimed.address_of_record == resource

    def compose(
        self, resource: str, publications: Sequence[Publication], hard_state: Presence | None, registered: bool
    ) -> Presence:
        """Return the one document that *publications* make. Default: by the configured policy (composition.Compositor).

        :param hard_state: what the user keeps on the XCAP server, None for nothing.
        :param registered: whether a device of the user is registered.
        """
        settings = self.settings
        return Compositor(settings.composition, settings.registration_fallback).compose(
            resource, publications, hard_state, registered
        )

    # -- for programs ------------------------------------------------------------

    def presence_of(self, resource: str) -> Presence:
        """Return what is known about *resource*, a canonical address-of-record, before anybody's rules."""
        known = self._composed.get(resource)
        if known is None:
            known = self.compose(
                resource,
                self.publications.of(resource, PRESENCE),
                self._hard_state(resource),
                self._is_registered(resource),
            )
            if len(self._composed) >= _MOST_COMPOSED:
                self._composed.clear()
            self._composed[resource] = known
        return known

    def publish(self, resource: str, presence: Presence, *, expires: int = 3600, etag: str = "") -> Deferred[str]:
        """Publish on behalf of *resource*: what a device that speaks no SIP, or an automation, knows.

        :param expires: seconds that it lives unless it is published again.
        :param etag: the entity-tag that an earlier call gave, to replace what that published; empty for another one.
        :return: fires with the entity-tag once it is durable; fails with StoreError.
        """
        replaces = self.publications.tagged(resource, PRESENCE, etag) if etag else None
        made, committed = self.publications.publish(
            resource,
            PRESENCE,
            content_type="application/pidf+xml",
            body=presence.to_xml(),
            expires=expires,
            publisher=resource,
            replaces=replaces,
        )
        return committed.addCallback(lambda _: made.etag)

    def unpublish(self, resource: str, etag: str) -> Deferred[None]:
        """Withdraw what :meth:`publish` published; fires with None once that is durable."""
        publication = self.publications.tagged(resource, PRESENCE, etag)
        if publication is None:
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        return self.publications.remove(publication)

    def state_changed(self, resource: str) -> None:
        """Something that :meth:`compose` looks at has changed: compose anew and tell the watchers."""
        self._composed.pop(resource, None)
        if self.notifier is not None:
            self.notifier.changed(PRESENCE, resource)
        for observer in list(self._observers):
            try:
                observer(resource)
            except Exception:
                # One who looks on must not stop what he looks at.
                _log.failure("an observer of presence failed for {resource}", resource=resource)

    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        """Call *observer* with the resource whenever its state has changed; return what ends it."""
        self._observers.append(observer)

        def end() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return end

    def presentities(self) -> Sequence[str]:
        """Return everybody about whom something is published."""
        return self.publications.resources(PRESENCE)

    # -- life ------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what was published before a restart, and begin to observe the other stores.

        :raises StoreError: the store cannot be read.
        """
        await self.publications.load()
        if self._documents is not None:
            self._stops.append(self._documents.observe(self._document_changed))
        if self._location is not None:
            self._stops.append(self._location.observe(self._location_changed))

    def close(self) -> Deferred[None]:
        """Stop observing and close the store of publications; fires with None."""
        for stop in self._stops:
            stop()
        self._stops.clear()
        self._composed.clear()
        return self.publications.close()

    def _published(self, resource: str, package: str) -> None:
        self.state_changed(resource)

    def _document_changed(self, change: DocumentChange) -> None:
        document = change.after or change.before
        if document is None:
            return
        if document.auid in RULES_AUIDS:
            if self.notifier is not None:
                self.notifier.reauthorize(PRESENCE, document.owner)
            if self.watcher_info is not None:
                self.watcher_info.decided(document.owner)
        elif document.auid == HARD_STATE_AUID:
            self.state_changed(document.owner)

    def _location_changed(self, change: LocationChange) -> None:
        if self.settings.registration_fallback and not self.publications.of(change.aor, PRESENCE):
            known = self._composed.get(change.aor)
            if known is None or (known.basic == "open") != self._is_registered(change.aor):
                self.state_changed(change.aor)

    def _is_registered(self, resource: str) -> bool:
        if self._location is None:
            return False
        bindings = self._location.lookup(resource)
        # A store that has to look elsewhere is told of by its observers; until then nobody is there.
        return bool(bindings) and not isinstance(bindings, Deferred)

    def _hard_state(self, resource: str) -> Presence | None:
        if self._documents is None:
            return None
        document = self._documents.get(HARD_STATE_AUID, resource, "index")
        if document is None or isinstance(document, Deferred):
            return None
        try:
            return published(document.content, len(document.content))
        except DocumentError:
            return None

    def _sphere(self, resource: str) -> str | None:
        return self.presence_of(resource).sphere

    def _is_ours(self, watcher: str) -> bool:
        uri = _sip_uri(watcher)
        return uri is not None and bool(self._is_local_uri(uri))

    def _default_handling(self, watcher: str) -> str:
        return self.settings.default_handling if self._is_ours(watcher) else self.settings.foreign_handling

    # -- PUBLISH -----------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Answer a PUBLISH for one of our users, pass everything else on (RFC 3903 section 6).

        :raises RemoteProtocolError: a header field is malformed.
        """
        request = incoming.request
        if request.method != "PUBLISH":
            return None
        uri = request.uri
        # Step 1.
        if not isinstance(uri, SIPURI) or uri.user is None or not self._is_local_uri(uri):
            return None
        resource = uri.address_of_record
        allowed = self.authorize_publisher(incoming, resource)
        if allowed is True:
            return self._publish(incoming, resource)
        if allowed is False:
            return self._refuse(incoming, PublishRefused(403))
        return Deferred.fromCoroutine(self._authorize_and_publish(incoming, resource, allowed))

    async def _authorize_and_publish(
        self, incoming: IncomingRequest, resource: str, allowed: Awaitable[bool]
    ) -> Verdict:
        if not await allowed:
            return self._refuse(incoming, PublishRefused(403))
        outcome = self._publish(incoming, resource)
        return await outcome if isinstance(outcome, Deferred) else outcome

    def _publish(self, incoming: IncomingRequest, resource: str) -> Response | Deferred[Verdict]:
        settings = self.settings
        publications = self.publications
        try:
            asked = PublishRequest(incoming.request, settings, (PRESENCE,), PUBLISHED_TYPES)
            known = None
            if asked.if_match:
                # Step 3: whose entity-tag is not good is told so, and that alone.
                known = publications.tagged(resource, PRESENCE, asked.if_match)
                if known is None:
                    raise PublishRefused(412)
            content_type, body = full_state(asked, known, settings.max_body)
            if not asked.expires:
                return self._withdraw(incoming, known)
            made, committed = publications.publish(
                resource,
                PRESENCE,
                content_type=content_type,
                body=body,
                expires=asked.expires,
                publisher=incoming.user,
                replaces=known,
            )
        except PublishRefused as refusal:
            return self._refuse(incoming, refusal)
        except StoreFull:
            return self._refuse(incoming, PublishRefused(503, "", [("retry-after", _RETRY_AFTER)]))
        response = self._accepted(incoming, made.etag, asked.expires)
        return self._when_durable(incoming, committed, response)

    def _withdraw(self, incoming: IncomingRequest, known: Publication | None) -> Response | Deferred[Verdict]:
        """Section 4.5, or a first publication that lives no time at all: it has been and gone."""
        response = self._accepted(incoming, self.element.random_text(), 0)
        if known is None:
            return response
        return self._when_durable(incoming, self.publications.remove(known), response)

    def _when_durable(
        self, incoming: IncomingRequest, committed: Deferred[None], response: Response
    ) -> Response | Deferred[Verdict]:
        if committed.called and committed.result is None:
            return response
        # Nothing is acknowledged that could be lost; retransmissions meet the transaction meanwhile.
        incoming.start_transaction()
        return committed.addCallbacks(lambda _: response, self._not_stored, errbackArgs=(incoming,))

    def _not_stored(self, failure: Failure, incoming: IncomingRequest) -> Response:
        failure.trap(StoreError)
        _log.error("PUBLISH not stored: {reason}", reason=str(failure.value), call_id=incoming.request.call_id)
        if failure.check(StoreFull):
            return self._refuse(incoming, PublishRefused(503, "", [("retry-after", _RETRY_AFTER)]))
        return self._refuse(incoming, PublishRefused(500))

    def _accepted(self, incoming: IncomingRequest, etag: str, expires: int) -> Response:
        """Step 6."""
        headers = [("sip-etag", etag), ("expires", str(expires))]
        return response_to(incoming.request, 200, "", headers, b"", incoming.to_tag)

    def _refuse(self, incoming: IncomingRequest, refusal: PublishRefused) -> Response:
        return response_to(incoming.request, refusal.status, refusal.reason, refusal.headers, b"", incoming.to_tag)


def _sip_uri(text: str) -> SIPURI | None:
    try:
        return SIPURI.parse(text)
    except RemoteProtocolError:
        return None
