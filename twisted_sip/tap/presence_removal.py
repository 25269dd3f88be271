"""What the presence part removes of a user who is removed: subscriptions, publications, documents."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from twisted_sip.errors import DocumentConflict
from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.notifier import Notifier
from twisted_sip.interfaces.documents import IDocumentStore
from twisted_sip.presence.publication import Publications

#: How often a document is looked at again that somebody has changed meanwhile.
_TRIES = 3


def end_subscriptions(notifier: Notifier, watcher: str) -> int:
    """End what *watcher* subscribes to with a last NOTIFY (RFC 6665 section 4.1.3: rejected); return how many."""
    ended = [
        subscription
        for event in notifier.events
        for subscription in notifier.subscriptions(event)
        if subscription.watcher == watcher and isinstance(subscription, HostedSubscription)
    ]
    for subscription in ended:
        notifier.terminate(subscription, "rejected")
    return len(ended)


async def remove_publications(publications: Publications, aor: str, package: str) -> int:
    """Remove what is published of *aor*, and have watchers told; return how much.

    :raises StoreError: that is not durable.
    """
    found = publications.of(aor, package)
    for publication in found:
        await publications.remove(publication)
    return len(found)


async def remove_documents(documents: IDocumentStore, owner: str) -> int:
    """Remove the documents of *owner*; return how many.

    :raises StoreError: that is not durable.
    """
    count = 0
    for _ in range(_TRIES):
        owned: Any = documents.owned(owner)
        found = await owned if isawaitable(owned) else owned
        if not found:
            break
        for document in found:
            try:
                await documents.delete(document)
                count += 1
            except DocumentConflict:
                # What was put meanwhile goes as well.
                continue
    return count
