"""Watchers who wait for a decision: their subscriptions have run out while they were pending (RFC 3857 section 4.7.1).

They are kept for a while, so that the presentity learns of them when it looks, and can decide before the next try. The
store of subscriptions has them too, as subscriptions in the state ``waiting``, so that they outlive a restart: one
write when somebody begins to wait, one when that is over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twisted_sip.events.records import not_stored
from twisted_sip.interfaces.event_package import Authorization, PackageSubscription
from twisted_sip.interfaces.subscription import WAITING, ISubscriptionStore, SubscriptionChange, SubscriptionRecord
from twisted_sip.storage.expiry import ExpirySchedule

_log = Logger()

#: How long a watcher waits, in seconds (section 4.7.1 leaves it to the server), and how many may wait for one
#: presentity and for all.
WAITING_TIME: Final = 14 * 86400.0
MOST_WAITING_EACH: Final = 100
MOST_WAITING: Final = 100_000
#: The same for watchers who have proved nothing, a share of their own: they take no place of the others.
MOST_FOREIGN_EACH: Final = 20
MOST_FOREIGN: Final = 10_000

#: Seconds for which a record is good enough though the watcher has tried again since.
_KEPT_FOR: Final = 86_400.0
# What makes their keys others than those of subscriptions with a dialog.
_KEY: Final = "waiting:"

_PENDING = Authorization(state="pending")


class WaitingWatcher:
    """One who waits; a PackageSubscription for whoever has to decide about it, as it was when it ended.

    :ivar since: when it ended, seconds since the epoch.
    :ivar kept_since: the same in its record.
    :ivar foreign: it has proved nothing.
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
        "foreign",
        "id",
        "kept_since",
        "memory",
        "reason",
        "resource",
        "since",
        "state",
        "supported",
        "watcher",
    )

    def __init__(self, subscription: PackageSubscription, id: str, since: float, *, foreign: bool = False) -> None:
        self.id = id
        self.foreign = foreign
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
        self.expires_at = self.since = self.kept_since = since
        self.memory: dict[str, Any] = {}

    def next_version(self) -> int:
        """It is told nothing."""
        return 0

    @property
    def key(self) -> str:
        """The key of its record."""
        return f"{_KEY}{self.id}"

    def record(self) -> SubscriptionRecord:
        """Return what is kept of it: all but the body of its SUBSCRIBE, which nobody has to decide by."""
        return SubscriptionRecord(
            key=self.key,
            event=self.event,
            event_id=self.event_id,
            resource=self.resource,
            watcher=self.watcher,
            state=WAITING,
            expires_at=self.since + WAITING_TIME,
            created_at=self.created_at,
            dialog="",
            cseq_limit=0,
            accept=self.accept,
            options=json.dumps({"params": self.event_params, "supported": self.supported}),
        )


class _Restored:
    """What a record says of a subscription; as far as WaitingWatcher asks."""

    def __init__(self, record: SubscriptionRecord) -> None:
        """Read *record*.

        :raises ValueError: it is damaged.
        """
        try:
            options = json.loads(record.options)
            self.event_params = tuple((str(name), str(value)) for name, value in options.get("params", ()))
            self.supported = tuple(map(str, options.get("supported", ())))
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error
        self.resource = record.resource
        self.watcher = record.watcher
        self.event = record.event
        self.event_id = record.event_id
        self.accept = record.accept
        self.created_at = record.created_at


class WaitingWatchers:
    """Those who wait, by presentity and watcher, both in the order in which they came.

    :param clock: a reactor; its seconds are seconds since the epoch.
    :param given_up: called with each who has waited for too long.
    :param store: keeps them over restarts, None for nobody.
    :param is_ours: tells whether a watcher is one of our users, who has proved it; None believes everybody.
    """

    def __init__(
        self,
        clock: IReactorTime,
        given_up: Callable[[WaitingWatcher], None],
        store: ISubscriptionStore | None = None,
        is_ours: Callable[[str], bool] | None = None,
    ) -> None:
        self._clock = clock
        self._is_ours = is_ours
        self._given_up = given_up
        self._store = store
        self._waiting: dict[str, dict[str, WaitingWatcher]] = {}
        self._count = self._foreign = 0
        self._dates: ExpirySchedule[str] = ExpirySchedule(clock, self._look)

    def __len__(self) -> int:
        return self._count

    def of(self, resource: str) -> list[WaitingWatcher]:
        """Return who waits for *resource*."""
        return list(self._waiting.get(resource, {}).values())

    def concerning(self, aor: str) -> list[WaitingWatcher]:
        """Return who waits for *aor*, and for whom *aor* waits."""
        everybody = [each for waiting in self._waiting.values() for each in waiting.values()]
        return [each for each in everybody if aor in (each.resource, each.watcher)]

    def add(self, subscription: PackageSubscription, id: str) -> WaitingWatcher | None:
        """Have the watcher of *subscription* wait; return None where too many do.

        Who waits already, and has fetched again, goes on waiting under the same *id*.
        """
        now = self._clock.seconds()
        known = self._waiting.get(subscription.resource, {}).pop(subscription.watcher, None)
        if known is not None:
            self._waiting[subscription.resource][subscription.watcher] = known
            known.since = known.expires_at = now
            if now - known.kept_since >= _KEPT_FOR:
                known.kept_since = now
                self._commit(put=known)
            return known
        made = self._make(subscription, id, now)
        if not self._take(made):
            return None
        self._commit(put=made)
        return made

    def _make(self, subscription: PackageSubscription, id: str, since: float) -> WaitingWatcher:
        foreign = self._is_ours is not None and not self._is_ours(subscription.watcher)
        return WaitingWatcher(subscription, id, since, foreign=foreign)

    def _has_room(self, made: WaitingWatcher, waiting: Mapping[str, WaitingWatcher]) -> bool:
        foreign_here = sum(each.foreign for each in waiting.values())
        if made.foreign:
            return foreign_here < MOST_FOREIGN_EACH and self._foreign < MOST_FOREIGN
        return len(waiting) - foreign_here < MOST_WAITING_EACH and self._count - self._foreign < MOST_WAITING

    def _take(self, made: WaitingWatcher) -> bool:
        waiting = self._waiting.get(made.resource, {})
        if not self._has_room(made, waiting):
            return False
        self._count += 1
        self._foreign += made.foreign
        waiting[made.watcher] = made
        self._waiting[made.resource] = waiting
        self._dates.at(made.resource, made.since + WAITING_TIME)
        return True

    def restore(self, records: Iterable[SubscriptionRecord]) -> None:
        """Take up those who waited before a restart; what is damaged, or too much, is dropped from the store."""
        lost: list[str] = []
        for record in records:
            try:
                known: Any = _Restored(record)
            except ValueError as error:
                _log.error("{id} waits no more: {reason}", id=record.key, reason=str(error))
                lost.append(record.key)
                continue
            made = self._make(known, record.key.removeprefix(_KEY), record.expires_at - WAITING_TIME)
            if made.watcher in self._waiting.get(made.resource, {}) or not self._take(made):
                lost.append(record.key)
        if lost and self._store is not None:
            self._store.commit(SubscriptionChange((), tuple(lost))).addErrback(not_stored)

    def _commit(self, put: WaitingWatcher | None = None, remove: WaitingWatcher | None = None) -> None:
        if self._store is not None:
            change = SubscriptionChange(() if put is None else (put.record(),), () if remove is None else (remove.key,))
            self._store.commit(change).addErrback(not_stored)

    def remove(self, resource: str, watcher: str) -> WaitingWatcher | None:
        """*watcher* waits no more; return what is known of it, None if it did not wait."""
        waiting = self._waiting.get(resource)
        found = waiting.pop(watcher, None) if waiting else None
        if found is not None:
            self._count -= 1
            self._foreign -= found.foreign
            self._commit(remove=found)
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
        """Forget everybody; the store remembers."""
        self._waiting.clear()
        self._count = self._foreign = 0
        self._dates.stop()
