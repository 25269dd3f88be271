"""The bindings of this node in memory: what every embedded location store answers from (RFC 3261 section 10).

The bindings of one address-of-record are a dict by key, in the order in which they were first made, that is replaced
whole and never changed: whoever holds one holds a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twisted_sip.errors import StoreFull
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.expiry import ExpirySchedule

#: How many bindings a store holds at most, unless told.
MAX_BINDINGS = 1_000_000

#: The bindings of one address-of-record by key.
Bindings = Mapping[str, Binding]

_NONE: Bindings = {}


def changed(bindings: Bindings, change: LocationChange) -> dict[str, Binding]:
    """Return *bindings* as *change* leaves them: removals first, then additions in order."""
    made = dict(bindings)
    if change.remove:
        for key in change.remove:
            made.pop(key, None)
    for binding in change.put:
        made[binding.key] = binding
    return made


class LocationTable:
    """All bindings by address-of-record, their expiry, and who wants to hear of changes."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        *,
        max_bindings: int = MAX_BINDINGS,
        expired: Callable[[LocationChange], None] | None = None,
    ) -> None:
        """Make an empty table.

        :param clock: its seconds are seconds since the epoch, as those of a reactor are.
        :param max_bindings: how many bindings there may be.
        :param expired: called with each removal by expiry, before the observers.
        """
        self._clock = clock
        self._now = clock.seconds
        self._max = max_bindings
        self._expired = expired
        self._aors: dict[str, Bindings] = {}
        self._size = 0
        self._expiry: ExpirySchedule[str] = ExpirySchedule(clock, self._look)
        self._observers: dict[object, Callable[[LocationChange], None]] = {}

    def __len__(self) -> int:
        return self._size

    def lookup(self, aor: str) -> list[Binding]:
        """Return the unexpired bindings of *aor* in the order in which they were first made."""
        bindings = self._aors.get(aor)
        if bindings is None:
            return []
        now = self._now()
        for binding in bindings.values():
            if binding.expires_at <= now:
                return [binding for binding in bindings.values() if binding.expires_at > now]
        return list(bindings.values())

    def bindings(self) -> Iterator[Binding]:
        """Give every unexpired binding."""
        now = self._clock.seconds()
        for bindings in list(self._aors.values()):
            for binding in bindings.values():
                if binding.expires_at > now:
                    yield binding

    def snapshot(self, aor: str) -> Bindings:
        """Return all bindings of *aor*, just expired ones included."""
        return self._aors.get(aor, _NONE)

    def load(self, bindings: Iterable[Binding]) -> None:
        """Fill the empty table; nobody is told, no limit applies."""
        loaded: dict[str, dict[str, Binding]] = {}
        for binding in bindings:
            loaded.setdefault(binding.aor, {})[binding.key] = binding
        for aor, known in loaded.items():
            self.restore(aor, known)

    def apply(self, change: LocationChange) -> Bindings:
        """Make *change* visible.

        :return: what the bindings of the address-of-record were before.
        :raises StoreFull: there would be too many bindings; nothing has changed.
        """
        aor = change.aor
        before = self._aors.get(aor, _NONE)
        now = self._clock.seconds()
        for binding in before.values():
            if binding.expires_at <= now:
                # Its end has come though nobody has looked: what is made now is made anew, not refreshed.
                self._look(aor, now)
                before = self._aors.get(aor, _NONE)
                break
        put = change.put
        if len(put) == 1 == len(before) and put[0].key in before and not change.remove:
            # The usual change, told apart since each step below costs: the only binding there is, refreshed.
            only = put[0]
            self._aors[aor] = {only.key: only}
            self._expiry.at(aor, only.expires_at)
            return before
        after = changed(before, change)
        if len(after) > len(before) and self._size + len(after) - len(before) > self._max:
            raise StoreFull(f"the limit of {self._max} bindings is reached", key="storage.max_bindings")
        self._put(aor, before, after)
        return before

    def restore(self, aor: str, bindings: Bindings) -> None:
        """Make *bindings* all there are of *aor*; nobody is told."""
        self._put(aor, self._aors.get(aor, _NONE), bindings)

    def _put(self, aor: str, before: Bindings, after: Bindings) -> None:
        self._size += len(after) - len(before)
        if not after:
            if before:
                del self._aors[aor]
                self._expiry.forget(aor)
            return
        self._aors[aor] = after
        if len(after) == 1:
            (only,) = after.values()
            self._expiry.at(aor, only.expires_at)
        else:
            self._expiry.at(aor, min([binding.expires_at for binding in after.values()]))

    def _look(self, aor: str, now: float) -> float | None:
        """Drop what has expired; return when to look again."""
        before = self._aors.get(aor, _NONE)
        gone = tuple(key for key, binding in before.items() if binding.expires_at <= now)
        if gone:
            change = LocationChange(aor, remove=gone)
            after = changed(before, change)
            self._size -= len(gone)
            if after:
                self._aors[aor] = after
            else:
                del self._aors[aor]
            if self._expired is not None:
                self._expired(change)
            self.tell(change)
        # Read anew: an observer may have changed the bindings, and with them the date, which then counts.
        now_there = self._aors.get(aor, _NONE)
        return min((binding.expires_at for binding in now_there.values()), default=None)

    def observe(self, observer: Callable[[LocationChange], None]) -> Callable[[], None]:
        """Call *observer* with each change that :meth:`tell` is told; return what ends it."""
        token = object()
        self._observers[token] = observer

        def end() -> None:
            self._observers.pop(token, None)

        return end

    def tell(self, change: LocationChange) -> None:
        """Call the observers; one that raises is logged and does not stop the others."""
        if not self._observers:
            return
        for observer in list(self._observers.values()):
            try:
                observer(change)
            except Exception:
                self._log.failure("an observer of the location store failed for {aor}", aor=change.aor)

    def close(self) -> None:
        """Forget everything."""
        self._expiry.stop()
        self._aors.clear()
        self._observers.clear()
        self._size = 0
