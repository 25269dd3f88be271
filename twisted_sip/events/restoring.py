"""Subscriptions that come back from the store (RFC 6665 section 4.2): a notifier begins with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.hosted import HostedPackage, HostedSubscription
from twisted_sip.events.records import dialog_of, not_stored, restore
from twisted_sip.events.subscribe_request import SubscribeRefused
from twisted_sip.interfaces.subscription import WAITING, SubscriptionRecord

if TYPE_CHECKING:
    from twisted_sip.events.notifier import Notifier

_log = Logger()


def load(notifier: Notifier, records: Sequence[SubscriptionRecord]) -> list[HostedSubscription]:
    """Take the subscriptions of *records* into the tables of *notifier* and return them.

    What is damaged, or not served any more, is dropped from the store.
    """
    now = notifier.delivery.seconds()
    loaded: list[HostedSubscription] = []
    lost: list[str] = []
    waiting: dict[HostedPackage, list[SubscriptionRecord]] = {}
    for record in records:
        hosted = notifier.hosted(record.event)
        if record.state == WAITING and hosted is not None and hosted.waiting_restored is not None:
            waiting.setdefault(hosted, []).append(record)
            continue
        try:
            if hosted is None:
                raise LocalProtocolError(f"{record.event} is not served any more")
            dialog = dialog_of(record)
            known = notifier.dialogs.get(dialog.id)
            if known is not None:
                # Subscriptions that share a dialog share its numbers; the last SUBSCRIBE knows the rest best.
                known.local_cseq = max(known.local_cseq or 0, dialog.local_cseq or 0)
                known.remote_cseq = max(known.remote_cseq or 0, dialog.remote_cseq or 0)
                dialog = known
            subscription = restore(record, dialog, hosted, notifier.delivery, now)
            subscription.shared = known is not None
            notifier.take(subscription)
        except (LocalProtocolError, SubscribeRefused) as error:
            _log.error("subscription {id} is dropped: {reason}", id=record.key, reason=str(error))
            lost.append(record.key)
            continue
        if known is not None:
            for usage in notifier.dialogs.usages(dialog.id).values():
                if isinstance(usage, HostedSubscription):
                    usage.shared = True
        loaded.append(subscription)
    for hosted, found in waiting.items():
        assert hosted.waiting_restored is not None
        hosted.waiting_restored(found)
    if lost:
        notifier.records.forget(lost).addErrback(not_stored)
    return loaded
