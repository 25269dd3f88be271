"""In which order the gateways of a group are tried: by priority, then drawn by weight (in the manner of RFC 2782)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar


class Weighted(Protocol):
    """What is chosen among."""

    @property
    def priority(self) -> int: ...

    @property
    def weight(self) -> int: ...


W = TypeVar("W", bound=Weighted)


def in_order(choices: Iterable[W], randbelow: Callable[[int], int]) -> list[W]:
    """Return *choices* in the order in which to try them.

    The shares are exact, other than those of RFC 2782 with its extra number, and weight 0 comes after all others.

    :param randbelow: draws a number from 0 to below its argument.
    """
    by_priority: dict[int, list[W]] = {}
    for one in choices:
        by_priority.setdefault(one.priority, []).append(one)
    ordered: list[W] = []
    for priority in sorted(by_priority):
        left = by_priority[priority]
        total = sum(one.weight for one in left)
        while total:
            drawn = randbelow(total)
            place = 0
            while drawn >= left[place].weight:
                drawn -= left[place].weight
                place += 1
            ordered.append(left.pop(place))
            total -= ordered[-1].weight
        ordered += left
    return ordered
