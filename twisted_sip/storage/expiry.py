"""When the bindings of which address-of-record, or the like, have to be looked at: one timer for all of them.

Each address-of-record has one date, at or before its first expiry. A refresh moves the expiry away and leaves the date
alone: when it comes, the owner looks, and sets the next. So a refresh costs one comparison.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: What has dates: an address-of-record, or that and something else.
Key = TypeVar("Key", str, tuple[str, str])

#: Two dates this close (in seconds) are one: what a float loses by adding and subtracting must not cost a round.
_GRAIN = 0.001


class ExpirySchedule(Generic[Key]):
    """Dates by address-of-record."""

    __slots__ = ("_clock", "_dates", "_due", "_heap", "_timer", "_timer_date")

    def __init__(self, clock: IReactorTime, due: Callable[[Key, float], float | None]) -> None:
        """Make an empty schedule.

        :param clock: its seconds are seconds since the epoch.
        :param due: called with an address-of-record and the time when its date has come; returns its next date, None
            for no more.
        """
        self._clock = clock
        self._due: Callable[[Key, float], float | None] = due
        self._dates: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._timer: IDelayedCall | None = None
        self._timer_date = 0.0

    def __len__(self) -> int:
        return len(self._dates)

    def at(self, aor: Key, date: float) -> None:
        """Look at *aor* at *date* at the latest."""
        known = self._dates.get(aor)
        if known is not None and known <= date:
            return
        self._dates[aor] = date
        heapq.heappush(self._heap, (date, aor))
        if len(self._heap) > 2 * len(self._dates) + 64:
            # Entries whose date was moved forward stay until they are reached; a peer must not pile them up.
            self._heap = [(date, aor) for aor, date in self._dates.items()]
            heapq.heapify(self._heap)
        if self._timer is None or date < self._timer_date:
            self._set_timer()

    def forget(self, aor: Key) -> None:
        """Take the date of *aor* away, if it has one."""
        if self._dates.pop(aor, None) is not None and not self._dates:
            self.stop()

    def stop(self) -> None:
        """Forget every date."""
        self._dates.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer_date = self._heap[0][0]
            self._timer = self._clock.callLater(max(0.0, self._timer_date - self._clock.seconds()), self._run)

    def _run(self) -> None:
        self._timer = None
        now = self._clock.seconds() + _GRAIN
        heap = self._heap
        while heap and heap[0][0] <= now:
            date, aor = heapq.heappop(heap)
            if self._dates.get(aor) != date:
                continue
            del self._dates[aor]
            following = self._due(aor, now)
            if following is not None:
                self._dates[aor] = following
                heapq.heappush(heap, (following, aor))
        self._set_timer()
