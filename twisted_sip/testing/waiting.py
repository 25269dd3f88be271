"""The answers of what a contract tests, which may come at once, as a Deferred or as a coroutine."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

#: When the tests of a contract begin, in seconds since the epoch.
START = 1_800_000_000.0


def result_of(value: Any, clock: Clock, who: str) -> Any:
    """Return the result of *value*, waited for where that is needed, or raise its failure.

    :param clock: the time that is let pass meanwhile, a second at most.
    :param who: what should answer, as the error calls it.
    :raises AssertionError: it does not answer.
    """
    if not isinstance(value, Deferred):
        if not isawaitable(value):
            return value
        value = Deferred.fromCoroutine(value)  # type: ignore[arg-type]
    results: list[Any] = []
    value.addBoth(results.append)
    for _ in range(100):
        if results:
            break
        clock.advance(0.01)
    if not results:
        raise AssertionError(f"{who} does not answer")
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]
