"""What is judged after a soak: memory that grows, tables that are not empty, faults in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

#: Growth of memory that is allowed within an hour, as a share.
HOURLY = 0.02
#: What is allowed besides, however long it takes: what allocators keep and caches that are still filling.
ALLOWANCE = 3 * 1024 * 1024
#: Seconds after which bounded caches are taken for full, if so many things have been done by then; where growth is told
#: without that, half of the time. What parsers keep of addresses, thousands of each kind, fills with what is new in
#: calls.
WARM_UP = 900.0
FILLING = 50_000
#: Seconds that have to be left after it, for memory to be judged.
LEFT = 600.0
_MEGABYTE = 1024 * 1024


@attrs.frozen
class Sample:
    """What was seen at one time.

    :ivar at: seconds since the load began.
    :ivar memory: bytes.
    :ivar counts: of the status page.
    """

    at: float
    memory: int
    counts: Mapping[str, Any]


@attrs.frozen
class Growth:
    """A straight line through the memory of some time.

    :ivar seconds: how long it was looked at.
    :ivar mean: bytes.
    :ivar slope: bytes per second.
    """

    seconds: float
    mean: float
    slope: float

    @property
    def bytes(self) -> float:
        """By how much it grows in that time."""
        return self.slope * self.seconds

    @property
    def allowed(self) -> float:
        """By how much it may."""
        return ALLOWANCE + self.mean * HOURLY * self.seconds / 3600

    @property
    def hourly(self) -> float:
        """By what share it grows in an hour."""
        return self.slope * 3600 / self.mean if self.mean else 0.0

    def __str__(self) -> str:
        return (
            f"{self.mean / _MEGABYTE:.1f} MB on average, {self.bytes / _MEGABYTE:+.2f} MB in {self.seconds:.0f} s "
            f"({self.allowed / _MEGABYTE:.2f} MB allowed), {self.hourly:+.1%} per hour"
        )


def growth(samples: Sequence[Sample], warm_up: float | None = None) -> Growth | None:
    """Return the line of least squares through *samples* after the warm-up, None for too few of them.

    :param warm_up: seconds; half of the time unless given, :data:`WARM_UP` at most.
    """
    if warm_up is None:
        warm_up = min(WARM_UP, samples[-1].at / 2) if samples else 0.0
    points = [(sample.at, sample.memory) for sample in samples if sample.at >= warm_up]
    if len(points) < 3:
        return None
    middle = sum(at for at, _ in points) / len(points)
    mean = sum(memory for _, memory in points) / len(points)
    spread = sum((at - middle) ** 2 for at, _ in points)
    slope = sum((at - middle) * (memory - mean) for at, memory in points) / spread if spread else 0.0
    return Growth(points[-1][0] - points[0][0], mean, slope)


def may_judge(seconds: float, filled: float | None) -> bool:
    """Tell whether memory is to be judged.

    :param seconds: how long the load lasted.
    :param filled: when bounded caches were taken for full, None for never.
    """
    return filled is not None and seconds - filled >= LEFT


def judge(
    grown: Growth | None,
    held: Mapping[str, str],
    log: Sequence[str],
    never: Mapping[str, int],
    *,
    alive: bool = True,
    others: Sequence[str] = (),
) -> list[str]:
    """Return one line for each fault.

    :param grown: the memory after the warm-up.
    :param held: what tables hold at the end, by name.
    :param log: lines of the log that should not be there.
    :param never: counts that should be 0.
    :param alive: the server ran until it was stopped.
    :param others: further faults.
    """
    faults = [] if alive else ["the server has died"]
    if grown is not None and grown.bytes > grown.allowed:
        faults.append(f"memory grows: {grown}")
    faults += [f"table not at its base line: {name}: {what}" for name, what in held.items()]
    faults += [f"{name}: {count}" for name, count in never.items() if count]
    faults += [f"log: {line}" for line in log[:10]]
    if len(log) > 10:
        faults.append(f"log: {len(log) - 10} more lines")
    return [*faults, *others]
