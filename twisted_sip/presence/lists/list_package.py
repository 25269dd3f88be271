"""An event package for lists: what the package is for one resource, this is for all resources of a list (RFC 4662).

It is a variant of the package for the same event, and serves those URIs that are lists. A list in a list is a virtual
subscription to this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.dialog.notifier import ACTIVE, PENDING, TERMINATED
from twisted_sip.documents import rlmi
from twisted_sip.events.virtual import VirtualSubscription
from twisted_sip.interfaces.event_package import Authorization, IEventPackage, Notification, PackageSubscription
from twisted_sip.presence.lists.ad_hoc import BODY_TYPES, OPTION_TAG
from twisted_sip.presence.lists.list_body import REQUIRE, ListBody
from twisted_sip.presence.lists.list_watch import ListWatch
from twisted_sip.presence.lists.resources import FlatList, ListedResource, ListRefused, subscribable
from twisted_sip.presence.lists.row import NoSource, Source, VirtualSource
from twisted_sip.presence.published_body import reason_phrase

if TYPE_CHECKING:
    from twisted_sip.events.notifier import Notifier
    from twisted_sip.message.request import Request
    from twisted_sip.presence.lists.server import ResourceListServer

_log = Logger()

#: The option tag (section 8.1).
EVENTLIST: Final = "eventlist"
_WATCH: Final = "lists.watch"
_SHARES: Final = "lists.shares"
_MULTIPART: Final = "multipart/related"


@implementer(IEventPackage)
class ListPackage:
    """Lists for one event package.

    ``authorization.detail`` is the FlatList.
    """

    variant = EVENTLIST
    # Section 4.1.
    required_options = (EVENTLIST,)
    option_tags = (EVENTLIST, OPTION_TAG)
    # Section 4.3.
    required_types = (_MULTIPART, rlmi.MEDIA_TYPE)
    body_types = BODY_TYPES
    #: Who sees nothing new of any resource is not told.
    tells_differences = True
    # RFC 5367 section 5.1: a list in a further SUBSCRIBE means nothing.
    refresh_body_types: tuple[str, ...] = ()

    def __init__(self, server: ResourceListServer, package: Any) -> None:
        """Make lists of the resources of *package*."""
        self.event: str = package.event
        # Section 4.2.
        self.default_expires: int = package.default_expires
        self.content_types: tuple[str, ...] = package.content_types
        self.min_interval: float = package.min_interval
        self._server = server
        self._host: Notifier | None = None
        self._watching: dict[PackageSubscription, ListWatch] = {}

    @property
    def key(self) -> str:
        """By what the notifier knows it."""
        return f"{self.event};{self.variant}"

    def __len__(self) -> int:
        """The number of subscriptions that it watches resources for."""
        return len(self._watching)

    # -- IEventPackage -------------------------------------------------------------------

    def attached(self, host: Any) -> None:
        self._host = host

    async def serves(self, request: Request, resource: str) -> bool:
        """Tell whether *resource* is a list.

        :raises SubscribeRefused: it is, but not for this event, or not so.
        """
        return await self._server.serves(request, resource, self.event)

    async def has_resource(self, resource: str) -> bool:
        return await self._server.is_list(resource)

    async def authorize(self, subscription: PackageSubscription) -> Authorization:
        try:
            found = await self._server.find(subscription)
            if isinstance(found, FlatList):
                self._take_share(subscription, found)
        except ListRefused as error:
            _log.info("no list for {watcher}: {reason}", watcher=subscription.watcher, reason=str(error))
            phrase = reason_phrase(str(error))
            return Authorization(state=TERMINATED, reason="giveup", status=error.status, phrase=phrase)
        if isinstance(found, FlatList):
            return Authorization(detail=found)
        return Authorization(state=TERMINATED, reason="noresource" if found == 404 else "rejected", status=found)

    def notification(self, subscription: PackageSubscription) -> Notification | Deferred[Notification]:
        told: list[Notification] = []

        def keep(found: Notification) -> Notification:
            told.append(found)
            return found

        telling = Deferred.fromCoroutine(self._notification(subscription)).addCallback(keep)
        return told[0] if told else telling

    async def _notification(self, subscription: PackageSubscription) -> Notification:
        found = subscription.authorization.detail
        ended = subscription.state == TERMINATED
        if (
            not isinstance(found, FlatList)
            or subscription.state == PENDING
            or (ended and subscription.reason not in ("timeout", ""))
        ):
            return self._nothing(subscription)
        watch: ListWatch | None = subscription.memory.get(_WATCH)
        if watch is None:
            watch = subscription.memory[_WATCH] = self._watch(subscription)
            if not ended:
                self._watching[subscription] = watch
        if not ended or len(watch) == 0:
            watch.watch(found)
        if ended:
            # Of a fetch, nothing is left (section 4.6).
            watch.stop("timeout")
        return await watch.notification()

    def full_state_due(self, subscription: PackageSubscription) -> None:
        watch: ListWatch | None = subscription.memory.get(_WATCH)
        if watch is not None:
            watch.full_state_due()

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """What a list subscription needs ends with it."""
        for subscription in subscriptions:
            if subscription.state == TERMINATED:
                _root(subscription).memory.get(_SHARES, {}).pop(subscription, None)
                watch = self._watching.pop(subscription, None)
                if watch is not None:
                    watch.stop(subscription.reason or "timeout")

    def response_headers(self, subscription: PackageSubscription) -> Iterable[tuple[str, str]]:
        """Say in the 200 that this is a list (section 4.1)."""
        return REQUIRE

    # -- the resources of a subscription -----------------------------------------------------

    def _take_share(self, subscription: PackageSubscription, found: FlatList) -> None:
        """Count the resources of all lists in one subscription together.

        :raises ListRefused: they are too many.
        """
        shares: dict[PackageSubscription, int] = _root(subscription).memory.setdefault(_SHARES, {})
        shares[subscription] = 0
        if sum(shares.values()) + len(found.resources) > self._server.settings.max_resources:
            raise ListRefused(403, "the lists in the list have too many resources")
        shares[subscription] = len(found.resources)

    def _nothing(self, subscription: PackageSubscription) -> Notification:
        """Tell a watcher of nothing: it has no right to know any more, or the list is gone."""
        version = subscription.next_version()
        body = ListBody(subscription.resource, (), key=subscription.id, version=version, full=version == 0)
        return body.notification("")

    def _watch(self, subscription: PackageSubscription) -> ListWatch:
        host = self._host
        assert host is not None
        settings = self._server.settings
        # Changes of a list in a list are gathered once, by the outermost.
        gather = 0.0 if isinstance(subscription, VirtualSubscription) else settings.gather
        return ListWatch(
            subscription,
            self._server.timers,
            settings,
            partial(self._source, subscription),
            partial(host.notify, subscription),
            gather,
        )

    def _source(self, subscription: PackageSubscription, resource: ListedResource, news: Callable[[], None]) -> Source:
        uri = subscribable(resource.uri)
        host = self._host
        assert uri is not None and host is not None
        accept = tuple(name for name in subscription.accept if name not in self.required_types)
        if not self._server.is_local(uri):
            return self._server.remote_source(subscription, str(uri), self.event, news) or NoSource("giveup")
        address = uri.address_of_record
        key = self.event
        if self._server.is_nested_list(address, subscription.watcher):
            chain = _chain(subscription)
            if address in [each.resource for each in chain] or len(chain) > self._server.settings.max_depth:
                # Section 7.4: a list in itself.
                return NoSource("rejected")
            key, accept = self.key, subscription.accept
        hosted = host.hosted(key)
        assert hosted is not None
        virtual = VirtualSubscription(
            hosted,
            address,
            subscription,
            name=resource.uri,
            accept=accept,
            reactor=self._server.reactor,
            on_news=lambda _: news(),
            timeout=host.settings.answer_timeout,
        )
        if subscription.state == ACTIVE:
            virtual.begin()
        else:
            virtual.fetch()
        return VirtualSource(virtual)

    def close(self) -> None:
        """Tell nobody anything any more: the server stops."""
        for watch in self._watching.values():
            watch.close()

    def lists_changed(self, owner: str) -> None:
        """The lists of *owner* are others now, or gone."""
        host = self._host
        found = [
            subscription
            for subscription, watch in self._watching.items()
            # The global tree is everybody's.
            if watch.found is not None and watch.found.owner and owner in (watch.found.owner, "")
        ]
        if host is not None:
            for resource in dict.fromkeys(subscription.resource for subscription in found):
                host.reauthorize(self.key, resource)


def _chain(subscription: PackageSubscription) -> list[PackageSubscription]:
    """Return *subscription* and those that it is for, the watcher's own last."""
    chain = [subscription]
    while isinstance(subscription, VirtualSubscription):
        subscription = subscription.parent
        chain.append(subscription)
    return chain


def _root(subscription: PackageSubscription) -> PackageSubscription:
    return _chain(subscription)[-1]
