"""What calls have come to, for the metrics: an accounting sink that only counts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import get_args

from zope.interface import implementer

from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink, Result

#: Upper ends of the buckets of how long calls are talked, and of how long they take to ring, in seconds.
DURATIONS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
SETUPS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0)


class Histogram:
    """Counts values by size.

    :param ends: the upper ends of the buckets, rising.
    :ivar total: the sum of all values.
    """

    def __init__(self, ends: Sequence[float]) -> None:
        self._ends = ends
        self._counts = [0] * (len(ends) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count *value*."""
        self._counts[bisect_left(self._ends, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return the upper ends with how many values are not above each."""
        found: list[tuple[str, float]] = []
        below = 0
        for end, count in zip((*map(str, self._ends), "+Inf"), self._counts, strict=True):
            below += count
            found.append((end, float(below)))
        return found


@implementer(IAccountingSink)
class CallCounts:
    """Counts calls that are over.

    :ivar ended_by_result: how many, by result.
    :ivar durations: for how long those that were answered were talked.
    :ivar setups: how long it took until the callee rang, or answered without.
    """

    def __init__(self) -> None:
        # From the first scrape on: Prometheus sees an increase only if there was a number before.
        self.ended_by_result: dict[str, int] = {result: 0 for result in get_args(Result) if result}
        self.durations = Histogram(DURATIONS)
        self.setups = Histogram(SETUPS)

    def answered(self, record: CallRecord) -> None:
        """Wait for its end."""

    def ended(self, record: CallRecord) -> None:
        """Count *record*."""
        self.ended_by_result[record.result] = self.ended_by_result.get(record.result, 0) + 1
        rang = record.ringing if record.ringing is not None else record.answered
        if rang is not None:
            self.setups.add(max(0.0, rang - record.set_up))
        if record.answered is not None:
            self.durations.add(record.seconds)

    def close(self) -> None:
        """Nothing is kept."""
