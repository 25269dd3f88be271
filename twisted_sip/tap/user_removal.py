"""What a running server removes of a user who is removed: the command of the control socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from twisted_sip.errors import DocumentConflict
from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.notifier import Notifier
from twisted_sip.interfaces.documents import IDocumentStore
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.presence.publication import Publications
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.tap.control import Command, CommandError
from twisted_sip.tap.part import Part

#: How often a document is looked at again that somebody has changed meanwhile.
_TRIES = 3


def removal_commands(
    location: ILocationStore,
    parts: Sequence[Part],
    user_known: Callable[[str], bool | Deferred[bool]] | None,
    credentials: SQLiteCredentialStore | None,
) -> dict[str, Command]:
    """Return the command that removes what a user has who is one no more.

    :param user_known: tells whether there is such a user; None where nobody has to be one.
    :param credentials: where somebody else has just removed the user.
    """

    async def removed(aor: str, keep_data: bool) -> dict[str, int]:
        if credentials is not None:
            credentials.changed()
        if user_known is not None and await _settled(user_known(aor)):
            raise CommandError(f"{aor.removeprefix('sip:')} is a user")
        counts = {"contacts": await remove_contacts(location, aor)}
        for part in parts:
            counts |= await part.remove_user(aor, keep_data)
        return {name: count for name, count in counts.items() if count}

    def remove(request: Mapping[str, Any]) -> Deferred[dict[str, int]]:
        aor = request.get("aor")
        if not isinstance(aor, str) or not aor:
            raise CommandError("aor is missing")
        return Deferred.fromCoroutine(removed(aor, request.get("keep_data") is True))

    return {"user-remove": remove}


async def remove_contacts(location: ILocationStore, aor: str) -> int:
    """Remove the bindings of *aor*; return how many.

    :raises StoreError: that is not durable.
    """
    lookup: Callable[[str], Any] = location.lookup
    found: Iterable[Binding] = await maybeDeferred(lookup, aor)
    keys = tuple(binding.key for binding in found)
    if keys:
        await location.commit(LocationChange(aor, remove=keys))
    return len(keys)


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
        found = await _settled(documents.owned(owner))
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


async def _settled(value: Any) -> Any:
    return await value if isawaitable(value) else value
