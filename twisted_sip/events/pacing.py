"""NOTIFYs to many watchers leave at a pace, not in a burst (RFC 6665 section 5.4.10 speaks of each watcher alone)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted_sip.transaction.timers import Timer, TimerQueue

Item = TypeVar("Item")

#: Seconds between two rounds of work that had to wait.
TICK = 0.02


class PacedQueue(Generic[Item]):
    """Does work for items in order: at once while there is a credit, the rest at a steady rate.

    Its length is that of what may be put in: owners put each item in once at a time.

    :ivar rate: items per second.
    :ivar burst: the most credit.
    """

    __slots__ = ("_credit", "_credited_at", "_timer", "_timers", "_waiting", "_work", "burst", "rate")

    def __init__(self, timers: TimerQueue, work: Callable[[Item], None], *, rate: float, burst: int) -> None:
        """Make an empty queue with a full credit.

        :param work: called with each item; must not raise.
        """
        self.rate = rate
        self.burst = burst
        self._timers = timers
        self._work = work
        self._waiting: deque[Item] = deque()
        self._credit = float(burst)
        self._credited_at = timers.now()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> None:
        """Do the work for *item* now, or when its turn has come."""
        if not self._waiting:
            credit = self._earn()
            if credit >= 1.0:
                self._credit = credit - 1.0
                self._work(item)
                return
        self._waiting.append(item)
        if self._timer is None:
            self._timer = self._timers.start(TICK, self._round)

    def spend(self, items: int) -> None:
        """So many are done beside the queue, out of the same credit; who waits for credit loses none by that."""
        if not self._waiting:
            now = self._timers.now()
            earned = self._credit + (now - self._credited_at) * self.rate
            self._credited_at = now
            # As _earn() does, for each change that a few watch.
            left = (earned if earned < self.burst else float(self.burst)) - items
            self._credit = left if left > 0.0 else 0.0

    def stop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _earn(self) -> float:
        now = self._timers.now()
        self._credit = min(float(self.burst), self._credit + (now - self._credited_at) * self.rate)
        self._credited_at = now
        return self._credit

    def _round(self) -> None:
        self._timer = None
        self._earn()
        waiting = self._waiting
        while waiting and self._credit >= 1.0:
            self._credit -= 1.0
            self._work(waiting.popleft())
        if waiting and self._timer is None:
            self._timer = self._timers.start(TICK, self._round)
