"""A publication store that forgets with the process: for tests, and where publishers come back by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.publication import IPublicationStore, Publication, PublicationChange


@implementer(IPublicationStore)
class MemoryPublicationStore:
    """Keeps publications in memory; a change is as durable as it gets when commit returns."""

    def __init__(self, clock: IReactorTime) -> None:
        """Make an empty store.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        """
        self._clock = clock
        self._kept: dict[tuple[str, str, str], Publication] = {}
        self._open = True

    def __len__(self) -> int:
        """The number of publications held."""
        return len(self._kept)

    def load(self) -> Sequence[Publication]:
        now = self._clock.seconds()
        return [publication for publication in self._kept.values() if publication.expires_at > now]

    def commit(self, change: PublicationChange) -> Deferred[None]:
        if not self._open:
            return fail(StoreError("publications: closed"))
        for key in change.remove:
            self._kept.pop(key, None)
        for publication in change.put:
            self._kept[publication.resource, publication.package, publication.key] = publication
        return succeed(None)

    def close(self) -> Deferred[None]:
        self._open = False
        return succeed(None)
