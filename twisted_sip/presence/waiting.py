"""Watchers who wait for a decision: their subscriptions have run out while they were pending (RFC 3857 section 4.7.1).

They are kept for a while, so that the presentity learns of them when it looks, and can decide before the next try.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from twisted_sip.interfaces.event_package import Authorization, PackageSubscription
from twisted_sip.storage.expiry import ExpirySchedule

#: How long a watcher waits, in seconds (section 4.7.1 leaves it to the server), and how many may wait for one
#: presentity and for all.
WAITING_TIME: Final = 14 * 86400.0
MOST_WAITING_EACH: Final = 100
MOST_WAITING: Final = 100_000

_PENDING = Authorization(state="pending")


class WaitingWatcher:
    """One who waits; a PackageSubscription for whoever has to decide about it, as it was when it ended.

    :ivar since: when it ended, seconds since the epoch.
    """

    __slots__ = (
        "accept",
        "authorization",
        "body",
        "created_at",
        "event",
        "event_id",
        "event_params",
        "expires_at",
        "id",
        "memory",
        "reason",
        "resource",
        "since",
        "state",
        "supported",
        "watcher",
    )

    def __init__(self, subscription: PackageSubscription, id: str, since: float) -> None:
        self.id = id
        self.resource = subscription.resource
        self.watcher = subscription.watcher
        self.event = subscription.event
        self.event_id = subscription.event_id
        self.event_params = subscription.event_params
        self.accept = subscription.accept
        self.supported = subscription.supported
        self.body = ("", b"")
        self.authorization = _PENDING
        self.state = "terminated"
        self.reason = "timeout"
        self.created_at = subscription.created_at
        self.expires_at = self.since = since
        self.memory: dict[str, Any] = {}

    def next_version(self) -> int:
        """It is told nothing."""
        return 0


class WaitingWatchers:
    """Those who wait, by presentity and watcher, both in the order in which they came.

    :param clock: a reactor; its seconds are seconds since the epoch.
    :param given_up: called with each who has waited for too long.
    """

    def __init__(self, clock: IReactorTime, given_up: Callable[[WaitingWatcher], None]) -> None:
        self._clock = clock
        self._given_up = given_up
        self._waiting: dict[str, dict[str, WaitingWatcher]] = {}
        self._count = 0
        self._dates = ExpirySchedule(clock, self._look)

    def __len__(self) -> int:
        return self._count

    def of(self, resource: str) -> list[WaitingWatcher]:
        """Return who waits for *resource*."""
        return list(self._waiting.get(resource, {}).values())

    def add(self, subscription: PackageSubscription, id: str) -> WaitingWatcher | None:
        """Have the watcher of *subscription* wait; return None where too many do."""
        waiting = self._waiting.get(subscription.resource, {})
        known = subscription.watcher in waiting
        if not known and (len(waiting) >= MOST_WAITING_EACH or self._count >= MOST_WAITING):
            return None
        now = self._clock.seconds()
        self._count += not known
        waiting.pop(subscription.watcher, None)
        made = waiting[subscription.watcher] = WaitingWatcher(subscription, id, now)
        self._waiting[subscription.resource] = waiting
        self._dates.at(subscription.resource, now + WAITING_TIME)
        return made

    def remove(self, resource: str, watcher: str) -> WaitingWatcher | None:
        """*watcher* waits no more; return what is known of it, None if it did not wait."""
        waiting = self._waiting.get(resource)
        found = waiting.pop(watcher, None) if waiting else None
        if found is not None:
            self._count -= 1
            if not waiting:
                del self._waiting[resource]
                self._dates.forget(resource)
        return found

    def _look(self, resource: str, now: float) -> float | None:
        """Those who have waited too long are given up (section 4.7.1)."""
        for each in self.of(resource):
            if each.since + WAITING_TIME <= now:
                self.remove(resource, each.watcher)
                self._given_up(each)
        return min((each.since + WAITING_TIME for each in self.of(resource)), default=None)

    def stop(self) -> None:
        """Forget everybody."""
        self._waiting.clear()
        self._count = 0
        self._dates.stop()
