"""Subscriptions whose NOTIFY did not arrive and is to be tried again later (RFC 5057 section 5.1).

The pause grows with each failure. Whoever learns that a watcher can be reached again ends it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.dialog.notifier import NOTHING
from twisted_sip.events.hosted import HostedSubscription


class HeldOff:
    """These subscriptions, by watcher: no more than there are subscriptions, each until it is over.

    :ivar back: tells whether the watcher of a subscription has come back since its last NOTIFY was sent.
    """

    def __init__(self, owe: Callable[[HostedSubscription, int], None]) -> None:
        """Make an empty table.

        :param owe: has a watcher told in its turn what it is owed.
        """
        self.back: Callable[[HostedSubscription], bool] = lambda subscription: False
        self._owe = owe
        self._held: dict[str, dict[HostedSubscription, None]] = {}

    def __len__(self) -> int:
        """How many subscriptions are known."""
        return sum(map(len, self._held.values()))

    def add(self, subscription: HostedSubscription) -> None:
        """A NOTIFY of *subscription* has failed for a while."""
        self._held.setdefault(subscription.watcher, {})[subscription] = None
        if self.back(subscription):
            # While that NOTIFY was under way: the next one may go another way.
            subscription.retry_at = 0.0

    def discard(self, subscription: HostedSubscription) -> None:
        """*subscription* is over. Harmless when repeated."""
        held = self._held.get(subscription.watcher)
        if held is not None:
            held.pop(subscription, None)
            if not held:
                del self._held[subscription.watcher]

    def of(self, watcher: str) -> list[HostedSubscription]:
        """Return the subscriptions of *watcher* that had to be tried again, now or in the past."""
        return list(self._held.get(watcher, ()))

    def retry(self, subscription: HostedSubscription) -> None:
        """The watcher of *subscription* can be reached again: what it is owed is told in its turn, not later."""
        subscription.failures = 0
        if subscription.retry_at:
            subscription.retry_at = 0.0
            self._owe(subscription, NOTHING)
