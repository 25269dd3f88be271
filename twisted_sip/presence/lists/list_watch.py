"""One subscription to a list: its resources, what has changed of them, and when the watcher is told (RFC 4662
sections 4.5 and 4.8).

Full state goes out at first, after each SUBSCRIBE, and whenever the watcher may lack something; in between exactly the
resources that changed, those that change within a short time together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.dialog.notifier import TERMINATED
from twisted_sip.interfaces.event_package import UNCHANGED, Notification, PackageSubscription
from twisted_sip.presence.lists.list_body import ListBody, list_etag
from twisted_sip.presence.lists.resources import FlatList, ListedResource
from twisted_sip.presence.lists.row import NOTHING_KNOWN, Row, RowState, Source
from twisted_sip.transaction.timers import Timer, TimerQueue

if TYPE_CHECKING:
    from twisted_sip.presence.lists.settings import ListSettings

#: Makes the source of a resource; the second argument is to be called with each of its changes.
MakeSource = Callable[[ListedResource, Callable[[], None]], Source]


class ListWatch:
    """What is known of the resources for one list subscription.

    :ivar found: the list as it was resolved last.
    """

    def __init__(
        self,
        subscription: PackageSubscription,
        timers: TimerQueue,
        settings: ListSettings,
        make_source: MakeSource,
        notify: Callable[[], None],
        gather: float,
    ) -> None:
        """Begin without any resource; see :meth:`watch`.

        :param notify: asks for a NOTIFY.
        :param gather: seconds between a change and *notify*.
        """
        self.found: FlatList | None = None
        self._subscription = subscription
        self._timers = timers
        self._settings = settings
        self._make_source = make_source
        self._notify = notify
        self._gather = gather
        self._rows: dict[str, Row] = {}
        # Changed since the watcher was told, in that order.
        self._changed: dict[str, None] = {}
        self._full = True
        self._timer: Timer | None = None
        self._stopped = False

    def __len__(self) -> int:
        """The number of resources."""
        return len(self._rows)

    def watch(self, found: FlatList) -> None:
        """Watch the resources of *found*: new ones as well, and no others; try again where that has failed."""
        if found is self.found:
            return
        if self.found is not None and found != self.found:
            self._full = True
        self.found = found
        before, self._rows = self._rows, {}
        for resource in found.resources:
            row = before.pop(resource.uri, None)
            if row is None:
                row = Row(resource, self._make_source(resource, self._news_of(resource.uri)))
            else:
                row.resource = resource
                row.source.retry()
            self._rows[resource.uri] = row
        for row in before.values():
            row.source.end("noresource")

    def _news_of(self, uri: str) -> Callable[[], None]:
        def news() -> None:
            if self._stopped:
                return
            self._changed[uri] = None
            if self._timer is None:
                self._timer = self._timers.start(self._gather, self._gathered)

        return news

    def _gathered(self) -> None:
        self._timer = None
        self._notify()

    def full_state_due(self) -> None:
        """The watcher may lack what it was told last."""
        self._full = True
        for row in self._rows.values():
            row.source.full_state_due()

    def close(self) -> None:
        """Ask for no NOTIFY any more."""
        self._stopped = True
        self._cancel()

    def stop(self, reason: str) -> None:
        """The subscription is over; what is known is kept for its last NOTIFY."""
        self.close()
        for row in self._rows.values():
            row.source.end(reason)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def notification(self) -> Notification:
        """Return what the watcher is to be told now, UNCHANGED where that is nothing."""
        assert self.found is not None
        self._cancel()
        changed, self._changed = self._changed, {}
        full, self._full = self._full, False
        last = self._subscription.state == TERMINATED
        told: list[tuple[Row, RowState]] = []
        later: list[str] = []
        size = 0
        for uri in list(self._rows if full else changed):
            row = self._rows.get(uri)
            if row is None:
                continue
            if size >= self._settings.max_body and not last:
                later.append(uri)
                if full:
                    row.told = None
                    told.append((row, NOTHING_KNOWN))
                continue
            known = await row.source.state(news=not full)
            if known is None:
                continue
            digest = known.digest
            if full or digest != row.told or known.versioned:
                told.append((row, known))
                size += known.size
            row.told = digest
        if later:
            # The rest follows when this NOTIFY has been answered.
            self._changed = {**dict.fromkeys(later), **self._changed}
            self._notify()
        if not full and not told:
            return UNCHANGED
        subscription = self._subscription
        version = subscription.next_version()
        body = ListBody(subscription.resource, self.found.names, key=subscription.id, version=version, full=full)
        for row, known in told:
            body.add(row.resource, known)
        return body.notification(self._etag())

    def _etag(self) -> str:
        told = [(uri, row.told) for uri, row in self._rows.items()]
        known = [(uri, digest) for uri, digest in told if digest is not None]
        # Until everything has been told there is nothing that the watcher could have.
        return list_etag(self._subscription.resource, known) if len(known) == len(told) else ""
