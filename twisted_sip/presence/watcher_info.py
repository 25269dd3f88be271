"""The event package ``presence.winfo``: who watches a presentity, told to the presentity alone (RFC 3857, 3858).

A watcher whose subscription ran out while it was pending is *waiting*: the presentity learns of it when it looks, so
that it can decide before the next try.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from zope.interface import implementer

from twisted_sip.documents.winfo import MEDIA_TYPE, Watcher, WatcherList, WinfoDocument
from twisted_sip.interfaces.event_package import (
    Authorization,
    IEventPackage,
    Notification,
    NotifierHost,
    PackageSubscription,
)

if TYPE_CHECKING:
    from twisted_sip.presence.service import PresenceService

PRESENCE: Final = "presence"

#: How long a watcher waits for a decision, in seconds (RFC 3857 section 4.7.1 leaves it to the server), and how many
#: may wait for one presentity and for all.
WAITING_TIME: Final = 14 * 86400.0
_MOST_WAITING_EACH: Final = 100
_MOST_WAITING: Final = 100_000

# What is noted at subscriptions: the last event of a watcher, what a presentity has to be told.
_EVENT: Final = "winfo.event"
_STATUS: Final = "winfo.status"
_CHANGES: Final = "changes"
_WHOLE: Final = "whole"

_REASONS: Final = frozenset(("deactivated", "probation", "rejected", "timeout", "giveup", "noresource"))


class _Waiting:
    """A watcher who waits for a decision."""

    __slots__ = ("id", "since", "uri")

    def __init__(self, id: str, uri: str, since: float) -> None:
        self.id = id
        self.uri = uri
        self.since = since


@implementer(IEventPackage)
class WatcherInfoPackage:
    """Tells presentities about their watchers. Hears of them from the package ``presence``."""

    event = "presence.winfo"
    # Section 4.3.
    default_expires = 3600
    content_types = (MEDIA_TYPE,)
    body_types: tuple[str, ...] = ()
    min_interval = 0.0

    def __init__(self, service: PresenceService, element: Any) -> None:
        """Make the package that goes with *service*."""
        self._service = service
        self._seconds = element.reactor.seconds
        self._host: NotifierHost | None = None
        # By presentity, then by watcher; both in the order in which they came.
        self._waiting: dict[str, dict[str, _Waiting]] = {}
        self._count = 0

    def __len__(self) -> int:
        """The number of watchers who wait for a decision."""
        return self._count

    # -- IEventPackage -------------------------------------------------------------------

    def attached(self, host: NotifierHost) -> None:
        self._host = host

    def has_resource(self, resource: str) -> bool:
        return True

    def authorize(self, subscription: PackageSubscription) -> Authorization:
        # Section 4.5: presentities may watch their own watchers; nobody else.
        if subscription.watcher == subscription.resource:
            return Authorization()
        return Authorization(state="terminated", reason="rejected", status=403)

    def notification(self, subscription: PackageSubscription) -> Notification:
        if subscription.authorization.state != "active":
            return Notification()
        memory = subscription.memory
        changes: dict[str, Watcher] = memory.pop(_CHANGES, {})
        whole = memory.setdefault(_WHOLE, True)
        if whole:
            memory[_WHOLE] = False
            watchers = self.watchers(subscription.resource)
        else:
            watchers = tuple(changes.values())
        document = WinfoDocument(
            version=subscription.next_version(),
            full=whole,
            lists=(WatcherList(resource=subscription.resource, package=PRESENCE, watchers=watchers),),
        )
        return Notification(content_type=MEDIA_TYPE, body=document.to_xml())

    def full_state_due(self, subscription: PackageSubscription) -> None:
        subscription.memory[_WHOLE] = True

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Nobody is told who watches the watchers."""

    # -- watchers ----------------------------------------------------------------------------

    def watchers(self, resource: str) -> tuple[Watcher, ...]:
        """Return who watches *resource*, or waits to."""
        host = self._host
        found = [self._watcher(each) for each in host.subscriptions(PRESENCE, resource)] if host is not None else []
        self._forget_old(resource)
        found += [self._as_watcher(each, "waiting", "timeout") for each in self._waiting.get(resource, {}).values()]
        return tuple(found)

    def watchers_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """These subscriptions to presence were made, have another state or have ended."""
        for subscription in subscriptions:
            if subscription.watcher == subscription.resource:
                # Whoever watches himself knows.
                continue
            watcher = self._changed(subscription)
            if watcher is not None:
                self._tell(subscription.resource, watcher)

    def _changed(self, subscription: PackageSubscription) -> Watcher | None:
        """Note the state that *subscription* has now; return what is to be told of it, None for nothing."""
        memory, state = subscription.memory, subscription.state
        before = memory.get(_STATUS)
        if before == state:
            return None
        memory[_STATUS] = state
        waited = self._stop_waiting(subscription.resource, subscription.watcher) if state != "terminated" else None
        if state == "terminated":
            reason = subscription.reason if subscription.reason in _REASONS else "timeout"
            memory[_EVENT] = reason
            if before == "pending" and reason in ("timeout", "giveup"):
                # Section 4.7.1: nobody has decided yet.
                return self._wait(subscription)
        else:
            memory[_EVENT] = "approved" if state == "active" and before == "pending" else "subscribe"
        watcher = self._watcher(subscription)
        if waited is not None:
            # The same watcher as far as the presentity is concerned: the one who waited is gone.
            self._tell(subscription.resource, self._as_watcher(waited, "terminated", "giveup"))
        return watcher

    def _watcher(self, subscription: PackageSubscription) -> Watcher:
        now = self._seconds()
        over = subscription.state == "terminated"
        return Watcher(
            id=_id(subscription.id),
            uri=subscription.watcher,
            status=subscription.state,
            event=subscription.memory.get(_EVENT, "subscribe"),
            expiration=None if over else max(0, int(subscription.expires_at - now)),
            duration_subscribed=max(0, int(now - subscription.created_at)),
        )

    def _tell(self, resource: str, watcher: Watcher) -> None:
        host = self._host
        if host is None:
            return
        for subscription in host.subscriptions(self.event, resource):
            subscription.memory.setdefault(_CHANGES, {})[watcher.id] = watcher
            host.notify(subscription)

    # -- those who wait ------------------------------------------------------------------------

    def _wait(self, subscription: PackageSubscription) -> Watcher | None:
        waiting = self._waiting.setdefault(subscription.resource, {})
        self._forget_old(subscription.resource)
        if len(waiting) >= _MOST_WAITING_EACH or self._count >= _MOST_WAITING:
            return self._watcher(subscription)
        made = _Waiting(_id(subscription.id), subscription.watcher, self._seconds())
        if subscription.watcher not in waiting:
            self._count += 1
        self._waiting.setdefault(subscription.resource, waiting)[subscription.watcher] = made
        return self._as_watcher(made, "waiting", "timeout")

    def _stop_waiting(self, resource: str, watcher: str) -> _Waiting | None:
        waiting = self._waiting.get(resource)
        found = waiting.pop(watcher, None) if waiting else None
        if found is not None:
            self._count -= 1
            if not waiting:
                del self._waiting[resource]
        return found

    def _forget_old(self, resource: str) -> None:
        """Those who have waited too long are given up (section 4.7.1)."""
        limit = self._seconds() - WAITING_TIME
        for watcher in [each for each in self._waiting.get(resource, {}).values() if each.since <= limit]:
            self._stop_waiting(resource, watcher.uri)

    def decided(self, resource: str) -> None:
        """The rules of *resource* have changed: whoever waited may try again and is not told of any more."""
        for watcher in list(self._waiting.get(resource, {}).values()):
            self._stop_waiting(resource, watcher.uri)
            self._tell(resource, self._as_watcher(watcher, "terminated", "giveup"))

    @staticmethod
    def _as_watcher(watcher: _Waiting, status: str, event: str) -> Watcher:
        return Watcher(id=watcher.id, uri=watcher.uri, status=status, event=event)


def _id(text: str) -> str:
    """Return an identifier for the subscription that *text* names, which holds tags that are nobody's business."""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=9).hexdigest()
