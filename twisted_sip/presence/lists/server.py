"""The resource list server: whose lists there are, who may subscribe to them, and what they come to.

RFC 4662 sections 4.4 and 7, RFC 4826 section 4.5, RFC 5367 section 5. Subclass it to decide otherwise:
``authorize_list``, ``opens_nested``, ``authorize_ad_hoc`` and ``back_end_identity``
are the hooks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sip.errors import DocumentError, StoreError
from twisted_sip.events.answers import settled
from twisted_sip.events.subscribe_request import SubscribeRefused
from twisted_sip.interfaces.documents import DocumentChange, IDocumentStore
from twisted_sip.interfaces.event_package import PackageSubscription
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI
from twisted_sip.presence.lists.ad_hoc import brings_list, recipient_list
from twisted_sip.presence.lists.back_ends import BackEnds, RemoteSource
from twisted_sip.presence.lists.list_package import ListPackage
from twisted_sip.presence.lists.references import AUID as LISTS_AUID
from twisted_sip.presence.lists.references import References
from twisted_sip.presence.lists.resources import FlatList, ListRefused, flatten, subscribable
from twisted_sip.presence.lists.settings import ListSettings
from twisted_sip.storage.service_index import AUID as SERVICES_AUID
from twisted_sip.storage.service_index import ServiceIndex

if TYPE_CHECKING:
    from twisted_sip.events.notifier import Notifier
    from twisted_sip.events.subscriber import Subscriber

_log = Logger()

#: Events whose state makes sense in a list.
LISTED = ("presence", "dialog", "message-summary")
#: What the answer to OPTIONS names (RFC 5367 section 5).
OPTION_TAGS = ("eventlist", "recipient-list-subscribe")


class ResourceListServer:
    """Serves lists for the packages that it is told of; RLS in RFC 4662.

    :ivar settings: the current settings; may be replaced at any time.
    :ivar index: which URIs are lists.
    """

    def __init__(
        self,
        notifier: Notifier,
        documents: IDocumentStore | None = None,
        subscriber: Subscriber | None = None,
        *,
        settings: ListSettings | None = None,
        xcap_path: str = "/xcap-root",
        index: ServiceIndex | None = None,
        is_user: Callable[[str], bool | Deferred[bool]] | None = None,
    ) -> None:
        """Make a server; call :meth:`add` for each package.

        :param documents: where users keep services and lists; None leaves lists in requests alone.
        :param subscriber: makes subscriptions to resources in other domains; None for none.
        :param xcap_path: the path of the XCAP root, by which references within this server are known.
        :param index: the index of *documents*, where there is one already.
        :param is_user: tells whether an address-of-record is a user's: that is never a list, whatever somebody has put
            into a document (RFC 4826 section 4.4.5); None where users are not known.
        """
        self.settings = settings or ListSettings()
        self.reactor = notifier.element.reactor
        self.timers = notifier.element.timers
        self._notifier = notifier
        self._is_local_uri = notifier.element.domains.is_local_uri
        self._documents = documents
        self._own_index = index is None and documents is not None
        self.index = ServiceIndex(documents) if index is None and documents is not None else index
        self._references = References(documents, xcap_path)
        self._back_ends = (
            None
            if subscriber is None
            else BackEnds(subscriber, lambda: self.settings, notifier.element.reactor.seconds)
        )
        self._is_user = is_user
        self._packages: list[ListPackage] = []
        self._stop: Callable[[], None] | None = None
        if documents is not None:
            # The index listens already, so it knows of a change first.
            self._stop = documents.observe(self._document_changed)

    def add(self, event: str) -> ListPackage:
        """Serve lists for *event*, whose package the notifier has already.

        :raises LocalProtocolError: lists are served for it already, or the notifier has begun.
        """
        package = ListPackage(self, self._notifier.package(event))
        self._notifier.add(package)
        self._packages.append(package)
        return package

    def add_known(self) -> None:
        """Serve lists for what the notifier has of :data:`LISTED` by now; may be called again when it has more."""
        served = [package.event for package in self._packages]
        for event in LISTED:
            if event not in served and self._notifier.package(event) is not None:
                self.add(event)

    def close(self) -> None:
        """Stop: no watcher is told any more. Subscriptions to lists stay in the store and alive; those elsewhere end
        with the subscriber."""
        for package in self._packages:
            package.close()
        if self._stop is not None:
            self._stop()
            self._stop = None
        if self._own_index and self.index is not None:
            self.index.close()

    def counts(self) -> Mapping[str, int]:
        """Return what there is, for a status page."""
        return {
            "list subscriptions": sum(map(len, self._packages)),
            "back-end subscriptions": 0 if self._back_ends is None else len(self._back_ends),
        }

    # -- hooks ---------------------------------------------------------------------------

    def authorize_list(self, resource: str, owner: str, watcher: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether *watcher* may subscribe to the list *resource* of *owner*; False answers 403.

        Default: its owner alone (RFC 4662 section 4.4).
        """
        return watcher == owner

    def opens_nested(self, resource: str, owner: str, watcher: str) -> bool:
        """Tell whether the list *resource* of *owner*, an entry of a list of *watcher*, is shown as a list; False shows
        it as a single resource, which is what it is to everybody but those who may subscribe to the list.

        Default: the watcher's own lists.
        """
        return watcher == owner

    def authorize_ad_hoc(self, watcher: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether *watcher* may bring a list of its own; False answers 403.

        Default: our own users, who have proved who they are (RFC 5363 section 5).
        """
        return self.is_ours(watcher)

    def back_end_identity(self, subscription: PackageSubscription) -> str:
        """Return the canonical URI in From of subscriptions elsewhere (RFC 4662 section 7.1).

        Default: the watcher where it is one of our users, whom we can vouch for; else the list itself, which sees what
        everybody sees (section 7.1.2).
        """
        return subscription.watcher if self.is_ours(subscription.watcher) else subscription.resource

    # -- what is asked by packages ----------------------------------------------------------

    def is_ours(self, watcher: str) -> bool:
        """Tell whether *watcher* is in one of our domains."""
        uri = subscribable(watcher)
        return uri is not None and self.is_local(uri)

    def is_local(self, uri: SIPURI) -> bool:
        """Tell whether *uri* is in one of our domains."""
        return bool(self._is_local_uri(uri))

    def takes_lists(self, resource: str) -> bool:
        """Tell whether *resource* is the URI that takes lists in requests."""
        user = self.settings.ad_hoc_user
        return bool(user) and resource.startswith(f"sip:{user}@")

    def is_known_list(self, resource: str) -> bool:
        """Tell whether *resource* is a list, as far as the documents have been read."""
        return self.index is not None and self.index.owner_of(resource) is not None

    def is_nested_list(self, resource: str, watcher: str) -> bool:
        """Tell whether the entry *resource* of a list of *watcher* is a list itself."""
        owner = None if self.index is None else self.index.owner_of(resource)
        return owner is not None and self.opens_nested(resource, owner, watcher)

    async def is_list(self, resource: str) -> bool:
        """Tell whether *resource*, a canonical URI, is a list, or takes lists.

        :raises SubscribeRefused: 500: nobody can tell.
        """
        if self.takes_lists(resource):
            return True
        if self.index is None:
            return False
        try:
            await self.index.ready()
        except StoreError as error:
            raise SubscribeRefused(500) from error
        if not self.is_known_list(resource):
            return False
        return self._is_user is None or not await settled(self._is_user(resource))

    async def serves(self, request: Request, resource: str, event: str) -> bool:
        """Tell whether a SUBSCRIBE for *event* of *resource* is for a list.

        :raises SubscribeRefused: it is, but it cannot be served so: 400, 413, 415, 489, 500.
        """
        if self.takes_lists(resource) and brings_list(request):
            if len(request.body) > self.settings.max_request_body:
                raise SubscribeRefused(413)
            return True
        if self.takes_lists(resource) and not self.is_known_list(resource):
            # As if it were anybody.
            return False
        if not await self.is_list(resource):
            return False
        if request.body:
            # Lists come to the URI for lists, filters (RFC 4660) are not known.
            raise SubscribeRefused(415)
        found = await self._service(resource)
        if found is not None and not found[1].serves(event):
            # RFC 4826 section 4.5.
            served = [package.event for package in self._packages if found[1].serves(package.event)]
            raise SubscribeRefused(489, headers=[("allow-events", ", ".join(served))] if served else [])
        return True

    async def _service(self, resource: str) -> Any:
        if self.index is None:
            return None
        try:
            return await self.index.find(resource)
        except StoreError as error:
            _log.error("the list {uri} cannot be read: {reason}", uri=resource, reason=str(error))
            raise SubscribeRefused(500) from error

    async def find(self, subscription: PackageSubscription) -> FlatList | int:
        """Return the list that *subscription* is to, or the status that refuses it: 403, 404.

        :raises ListRefused: 403, 502: it cannot be served.
        :raises SubscribeRefused: 400, 413, 415, 500.
        """
        content_type, body = subscription.body
        watcher = subscription.watcher
        if body:
            if not await settled(self.authorize_ad_hoc(watcher)):
                return 403
            return await flatten(recipient_list(content_type, body), "", self.settings)
        found = await self._service(subscription.resource)
        if found is None or not found[1].serves(subscription.event):
            return 404
        owner, service = found
        if not await settled(self.authorize_list(subscription.resource, owner, watcher)):
            return 403
        try:
            members = service.members
            if members is None:
                members = await self._references.list_at(owner, service.resource_list)
            return await flatten(members, owner, self.settings, self._references)
        except DocumentError as error:
            # RFC 4826 section 4.5.
            raise ListRefused(502, error.reason) from error
        except StoreError as error:
            raise SubscribeRefused(500) from error

    def remote_source(
        self, subscription: PackageSubscription, uri: str, event: str, news: Callable[[], None]
    ) -> RemoteSource | None:
        """Return the source of a resource elsewhere, None where there is none."""
        if self._back_ends is None or not self.settings.remote or subscription.state == "terminated":
            return None
        identity = self.back_end_identity(subscription)
        return self._back_ends.source(identity, uri, event, subscription.accept, news)

    def _document_changed(self, change: DocumentChange) -> None:
        document = change.after or change.before
        if document is not None and document.auid in (SERVICES_AUID, LISTS_AUID):
            for package in self._packages:
                package.lists_changed(document.owner)
