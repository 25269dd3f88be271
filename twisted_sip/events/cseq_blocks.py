"""CSeq numbers and document versions are reserved in the store in blocks.

So a NOTIFY needs no write of its own, and a watcher that was served before a restart accepts what comes after it (RFC
3261 section 12.2.2).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.records import SubscriptionRecords

_log = Logger()

#: Seconds until a limit that could not be stored is tried again.
_STORE_PAUSE = 5.0


class CSeqBlocks:
    """Keeps the numbers of subscriptions below the limits in their records."""

    __slots__ = ("_asking", "_block", "_came", "_dialogs", "_records")

    def __init__(
        self,
        records: SubscriptionRecords,
        dialogs: Dialogs,
        block: int,
        came: Callable[[HostedSubscription, float], None],
    ) -> None:
        """Reserve *block* numbers at a time.

        :param came: called with each subscription that has a new block, and 0, or with one that got none, and the
            seconds to wait before it asks again.
        """
        self._records = records
        self._dialogs = dialogs
        self._block = block
        self._came = came
        # Who is waiting in has_next for a store that may answer at once.
        self._asking: HostedSubscription | None = None

    def has_next(self, subscription: HostedSubscription) -> bool:
        """Tell whether the next NOTIFY may have its number; a new block is reserved in good time.

        If not, *came* is called once it may.
        """
        highest = subscription.dialog.local_cseq or 0
        if highest < subscription.version:
            highest = subscription.version
        if highest + self._block // 4 < subscription.cseq_limit:
            return True
        if not subscription.reserving:
            self._asking = subscription
            self._reserve(subscription, highest)
            self._asking = None
        return highest + 1 < subscription.cseq_limit

    def _reserve(self, subscription: HostedSubscription, highest: int) -> None:
        group = self.group_of(subscription)
        limit = max(highest, *(one.version for one in group), 0) + 1 + self._block
        for one in group:
            one.reserving = True
        self._records.keep(group, limit).addCallbacks(self._reserved, self._not_reserved, (group, limit), {}, (group,))

    def group_of(self, subscription: HostedSubscription) -> list[HostedSubscription]:
        """Return the subscriptions that share the numbers of its dialog: all of their records have to know."""
        if not subscription.shared:
            return [subscription]
        usages = self._dialogs.usages(subscription.dialog.id).values()
        group = [usage for usage in usages if isinstance(usage, HostedSubscription) and usage.stored]
        return group if subscription in group else [*group, subscription]

    def _reserved(self, _: object, group: list[HostedSubscription], limit: int) -> None:
        for one in group:
            one.reserving = False
            one.cseq_limit = max(one.cseq_limit, limit)
        for one in group:
            if one is not self._asking:
                self._came(one, 0.0)

    def _not_reserved(self, failure: Failure, group: list[HostedSubscription]) -> None:
        _log.error("no CSeq numbers could be reserved: {reason}", reason=str(failure.value))
        for one in group:
            one.reserving = False
            self._came(one, _STORE_PAUSE)
