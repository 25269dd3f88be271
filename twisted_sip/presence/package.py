"""The event package ``presence`` (RFC 3856): what each watcher is told, and in which format."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.documents.permissions import Permissions, SubHandling
from twisted_sip.documents.pidf import Presence
from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.event_package import (
    UNCHANGED,
    Authorization,
    IEventPackage,
    Notification,
    NotifierHost,
    PackageSubscription,
)
from twisted_sip.interfaces.subscription import SubscriptionRecord
from twisted_sip.presence.authorization import by_default
from twisted_sip.presence.composition import offline
from twisted_sip.presence.filtering import filter_presence
from twisted_sip.presence.formats import CONTENT_TYPES, ETAG, etag_of, formatted, full_state_due

if TYPE_CHECKING:
    from twisted_sip.presence.service import PresenceService

#: Nothing at all about somebody who has said no, has not decided yet, or is no more.
_NEUTRAL = Notification()
# Where the entity-tag of what a watcher was told last is noted, and what stands there for nothing.
_TOLD: Final = "presence.told"
_NO_DOCUMENT: Final = ""


@implementer(IEventPackage)
class PresencePackage:
    """Tells watchers what the service knows, as far as the rules let them see it.

    ``authorization.detail`` is the watcher's Permissions, or None where the watcher is politely blocked.
    """

    event = "presence"
    # Section 6.4.
    default_expires = 3600
    content_types = CONTENT_TYPES
    body_types: tuple[str, ...] = ()
    #: A watcher who is politely blocked, or waits, must not learn when something happens (section 6.6.2).
    tells_differences = True

    def __init__(self, service: PresenceService) -> None:
        """Make the package of *service*."""
        self._service = service

    @property
    def min_interval(self) -> float:
        """The least seconds between two NOTIFYs (section 6.10), as configured."""
        return self._service.settings.min_interval

    def attached(self, host: NotifierHost) -> None:
        self._service.notifier = host

    def has_resource(self, resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        return self._service.has_presentity(resource)

    def authorize(
        self, subscription: PackageSubscription
    ) -> Authorization | Deferred[Authorization] | Awaitable[Authorization]:
        permissions = self._service.authorize_watcher(subscription.resource, subscription.watcher, subscription)
        if isinstance(permissions, Permissions):
            return self._authorization(permissions, subscription.watcher)
        if not isawaitable(permissions):
            raise LocalProtocolError(f"authorize_watcher gave {permissions!r}")
        return self._later(permissions, subscription.watcher)

    def _authorization(self, permissions: Permissions, watcher: str) -> Authorization:
        key = ""
        if by_default(permissions):
            key = "presence.default_handling" if self._service.is_ours(watcher) else "presence.foreign_handling"
        handling = permissions.sub_handling
        if handling is SubHandling.ALLOW:
            return Authorization(detail=permissions, key=key)
        if handling is SubHandling.POLITE_BLOCK:
            # Told what is told of everybody who is not there (RFC 5025 section 3.2.1).
            return Authorization(detail=None, key=key)
        if handling is SubHandling.CONFIRM:
            return Authorization(state="pending", key=key)
        return Authorization(state="terminated", reason="rejected", status=403, key=key)

    async def _later(self, permissions: Awaitable[Permissions], watcher: str) -> Authorization:
        decided = await permissions
        if not isinstance(decided, Permissions):
            raise LocalProtocolError(f"authorize_watcher gave {decided!r}")
        return self._authorization(decided, watcher)

    def notification(self, subscription: PackageSubscription) -> Notification | Deferred[Notification]:
        if subscription.reason not in ("timeout", ""):
            # Ended for a reason that takes the right to know with it.
            return _NEUTRAL
        authorization = subscription.authorization
        resource = subscription.resource
        if authorization.state == "pending":
            # RFC 5025 section 3.2.1: no document, and no NOTIFY when something changes.
            if subscription.memory.get(_TOLD) == _NO_DOCUMENT:
                return UNCHANGED
            subscription.memory[_TOLD] = _NO_DOCUMENT
            return _NEUTRAL
        if authorization.state != "active":
            return _NEUTRAL
        permissions: Any = authorization.detail
        if permissions is None:
            return self._told(offline(resource), subscription)
        presence = self._service.presence_of(resource)
        settling = self._service.settling(resource)
        if settling is not None:
            # Better late than wrong: it is asked for anew then.
            return settling.addCallback(lambda _: self.notification(subscription))
        return self._told(presence if permissions.unfiltered else filter_presence(presence, permissions), subscription)

    @staticmethod
    def _told(presence: Presence, subscription: PackageSubscription) -> Notification:
        etag = presence.variants.get(ETAG) or etag_of(presence)
        memory = subscription.memory
        if memory.get(_TOLD) == etag:
            return UNCHANGED
        memory[_TOLD] = etag
        return formatted(presence, subscription)

    def full_state_due(self, subscription: PackageSubscription) -> None:
        subscription.memory.pop(_TOLD, None)
        full_state_due(subscription)

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Watcher information tells of them (RFC 3857)."""
        watcher_info = self._service.watcher_info
        if watcher_info is not None:
            watcher_info.watchers_changed(subscriptions)

    def waiting_restored(self, records: Iterable[SubscriptionRecord]) -> None:
        """Take up watchers who waited before a restart (RFC 3857 section 4.7.1)."""
        watcher_info = self._service.watcher_info
        if watcher_info is not None:
            watcher_info.waiting.restore(records)
