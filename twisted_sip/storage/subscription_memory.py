"""A subscription store that forgets with the process: for tests, and for notifiers whose watchers come back by
themselves (RFC 6665)."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionChange, SubscriptionRecord

#: How many subscriptions a store holds at most, unless told.
MAX_SUBSCRIPTIONS = 1_000_000


@implementer(ISubscriptionStore)
class MemorySubscriptionStore:
    """Keeps subscriptions in memory; a change is as durable as it gets when commit returns."""

    def __init__(self, clock: IReactorTime, *, max_subscriptions: int = MAX_SUBSCRIPTIONS) -> None:
        """Make an empty store.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        """
        self._clock = clock
        self._most = max_subscriptions
        self._records: dict[str, SubscriptionRecord] = {}
        self._open = True

    def __len__(self) -> int:
        """The number of subscriptions held, for metrics."""
        return len(self._records)

    def load(self) -> Sequence[SubscriptionRecord]:
        now = self._clock.seconds()
        return [record for record in self._records.values() if record.expires_at > now]

    def commit(self, change: SubscriptionChange) -> Deferred[None]:
        if not self._open:
            return fail(StoreError("subscriptions: closed"))
        records = self._records
        # Every subscription that ends is removed by its notifier: what has expired is not looked for here.
        if len(records) + len(change.put) > self._most:
            left = records.keys() - set(change.remove)
            if len(left | {record.key for record in change.put}) > self._most:
                return fail(StoreFull(f"subscriptions: there are {self._most}"))
        for key in change.remove:
            records.pop(key, None)
        for record in change.put:
            records[record.key] = record
        return succeed(None)

    def close(self) -> Deferred[None]:
        self._open = False
        return succeed(None)
