"""Room for subscriptions: how many there may be, and whose (RFC 6665 section 7.2).

Watchers of other domains have proved nothing: a From costs nothing, and one host may invent as many as it likes. What
they take is a share of its own, so that those who have proved who they are find room whatever strangers do. A fetch
takes none: it is over with its NOTIFY.
"""

from __future__ import annotations

from typing import TypeVar

from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.notifier_settings import NotifierSettings

_Key = TypeVar("_Key", str, tuple[str, str])


class Room:
    """Counts subscriptions.

    :ivar proved: subscriptions of those who have proved who they are, or are believed.
    :ivar foreign: subscriptions of the others.
    """

    def __init__(self) -> None:
        """There is nobody yet."""
        self.proved = 0
        self.foreign = 0
        self._watchers: dict[str, int] = {}
        self._sources: dict[str, int] = {}
        # Of foreign ones, by package and resource.
        self._resources: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return self.proved + self.foreign

    @property
    def watchers(self) -> int:
        """How many of those who have proved who they are watch something."""
        return len(self._watchers)

    def limit(self, subscription: HostedSubscription, settings: NotifierSettings) -> str:
        """Return the key of the limit that leaves no room for *subscription*, empty where there is room."""
        place = _place(subscription)
        foreign_here = self._resources.get(place, 0)
        if subscription.source:
            if self.foreign >= settings.max_foreign:
                return "events.max_foreign"
            if self._sources.get(subscription.source, 0) >= settings.max_foreign_per_source:
                return "events.max_foreign_per_source"
            return "" if foreign_here < settings.max_foreign_per_resource else "events.max_foreign_per_resource"
        known = subscription.hosted.by_resource.get(subscription.resource, ())
        if self.proved >= settings.max_subscriptions:
            return "events.max_subscriptions"
        if self._watchers.get(subscription.watcher, 0) >= settings.max_per_watcher:
            return "events.max_per_watcher"
        return "" if len(known) - foreign_here < settings.max_per_resource else "events.max_per_resource"

    def add(self, subscription: HostedSubscription) -> None:
        """Count *subscription*."""
        if subscription.source:
            self.foreign += 1
            _more(self._sources, subscription.source)
            _more(self._resources, _place(subscription))
        else:
            self.proved += 1
            _more(self._watchers, subscription.watcher)

    def remove(self, subscription: HostedSubscription) -> None:
        """Count *subscription* no more."""
        if subscription.source:
            self.foreign -= 1
            _less(self._sources, subscription.source)
            _less(self._resources, _place(subscription))
        else:
            self.proved -= 1
            _less(self._watchers, subscription.watcher)


def _place(subscription: HostedSubscription) -> tuple[str, str]:
    return subscription.hosted.key, subscription.resource


def _more(counts: dict[_Key, int], key: _Key) -> None:
    counts[key] = counts.get(key, 0) + 1


def _less(counts: dict[_Key, int], key: _Key) -> None:
    left = counts.get(key, 0) - 1
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
