"""A location store that forgets with the process: for tests, and for trying out (RFC 3261 section 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import StoreFull
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.storage.location_table import MAX_BINDINGS, LocationTable


@implementer(ILocationStore)
class MemoryLocationStore:
    """Keeps bindings in memory; a change is as durable as it gets when commit returns."""

    def __init__(self, clock: IReactorTime, *, max_bindings: int = MAX_BINDINGS) -> None:
        """Make an empty store.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        """
        self._table = LocationTable(clock, max_bindings=max_bindings)

    def lookup(self, aor: str) -> Sequence[Binding]:
        return self._table.lookup(aor)

    def commit(self, change: LocationChange) -> Deferred[None]:
        try:
            self._table.apply(change)
        except StoreFull as error:
            return fail(error)
        self._table.tell(change)
        return succeed(None)

    def observe(self, observer: Callable[[LocationChange], None]) -> Callable[[], None]:
        return self._table.observe(observer)

    def bindings(self) -> Iterable[Binding]:
        return self._table.bindings()

    def close(self) -> Deferred[None]:
        self._table.close()
        return succeed(None)
