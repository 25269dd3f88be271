"""When which subscription has to be looked at: one timer for all of them.

A subscription has one date, at or before all that is to happen to it. A refresh moves its end away and leaves the date
alone: when it comes, the owner looks, and sets the next. So a refresh costs one comparison.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from twisted_sip.transaction.timers import Timer, TimerQueue

#: The date of what needs none.
NEVER = float("inf")

#: Two dates this close (in seconds) are one: what a float loses by adding and subtracting must not cost a round.
_GRAIN = 0.001

#: Heap entries of the past that are put up with.
_SLACK = 64


class Dated(Protocol):
    """What has a date.

    :ivar wake_at: when it is looked at, NEVER for not at all; for :class:`Deadlines` alone to set.
    """

    wake_at: float


Item = TypeVar("Item", bound=Dated)


class Deadlines(Generic[Item]):
    """Dates of items, in seconds of *seconds*."""

    __slots__ = ("_due", "_heap", "_held", "_seconds", "_serial", "_timer", "_timer_date", "_timers")

    def __init__(self, timers: TimerQueue, seconds: Callable[[], float], due: Callable[[Item, float], None]) -> None:
        """Make an empty schedule.

        :param due: called with an item and the time when its date has come; it may set the next. Must not raise.
        """
        self._timers = timers
        self._seconds = seconds
        self._due = due
        # With a serial number, since items cannot be compared.
        self._heap: list[tuple[float, int, Item]] = []
        self._serial = 0
        self._held = 0
        self._timer: Timer | None = None
        self._timer_date = 0.0

    def __len__(self) -> int:
        return self._held

    def at(self, item: Item, date: float) -> None:
        """Look at *item* at *date* at the latest."""
        if item.wake_at <= date:
            return
        if item.wake_at == NEVER:
            self._held += 1
        item.wake_at = date
        self._serial += 1
        heap = self._heap
        heapq.heappush(heap, (date, self._serial, item))
        if len(heap) > 2 * self._held + _SLACK:
            self._sweep()
        if self._timer is None or date < self._timer_date:
            self._set_timer()

    def forget(self, item: Item) -> None:
        """Take the date of *item* away, if it has one."""
        if item.wake_at != NEVER:
            item.wake_at = NEVER
            self._held -= 1
            if not self._held:
                self.stop()
            elif len(self._heap) > 2 * self._held + _SLACK:
                self._sweep()

    def stop(self) -> None:
        """Forget every date."""
        for _, _, item in self._heap:
            item.wake_at = NEVER
        self._heap.clear()
        self._held = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        """Drop the entries of dates that were moved forward or taken away; peers must not pile them up."""
        self._heap = [entry for entry in self._heap if entry[0] == entry[2].wake_at]
        heapq.heapify(self._heap)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer_date = self._heap[0][0]
            self._timer = self._timers.start(max(0.0, self._timer_date - self._seconds()), self._run)

    def _run(self) -> None:
        self._timer = None
        now = self._seconds() + _GRAIN
        heap = self._heap
        ready: list[Item] = []
        while heap and heap[0][0] <= now:
            date, _, item = heapq.heappop(heap)
            if item.wake_at == date:
                item.wake_at = NEVER
                self._held -= 1
                ready.append(item)
        for item in ready:
            self._due(item, now)
        self._set_timer()
