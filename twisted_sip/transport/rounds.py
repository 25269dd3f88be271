"""What a busy element does at one go: a socket that has rested is read, then comes what has waited for that.

A process that wakes up finds its memory in no cache: to take up one message or one timer costs many times what the
next one does. So where a socket rests anyway (see udp_port), timers may fire a little later, and what threads have
done may be told of, when its rest is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

_log = Logger()


class Patient(Protocol):
    """Timers that may fire late.

    :ivar grain: seconds that they may be late.
    """

    grain: float

    def catch_up(self) -> None:
        """Fire what is due."""


class Rounds:
    """The rounds of one element.

    It stands for the reactor where threads report (IReactorFromThreads).

    :ivar timers: what follows them; None for nothing.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._resting = 0
        self._waiting: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.timers: Patient | None = None

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None:
        """Call *callable* in the reactor's thread: at the end of this round where a socket rests, soon elsewhere."""
        self._waiting.append((callable, args))
        # In this order: a round that ends now either sees what waits, or is seen to be over.
        if not self._resting:
            self._reactor.callFromThread(self._finish)

    def begin(self, seconds: float) -> None:
        """A socket begins to rest, *seconds* at most."""
        self._resting += 1
        if self.timers is not None:
            # The next round may be that far away, with what it takes to do this one.
            self.timers.grain = 2 * seconds

    def over(self) -> None:
        """Its rest is over; it is read now, then comes :meth:`end`."""
        self._resting -= 1

    def end(self) -> None:
        """It has been read."""
        if self._waiting:
            self._finish()
        timers = self.timers
        if timers is not None:
            if not self._resting:
                timers.grain = 0.0
            timers.catch_up()

    def _finish(self) -> None:
        waiting = self._waiting
        # What these lead to has its turn with the next round.
        for _ in range(len(waiting)):
            callable, args = waiting.popleft()
            try:
                callable(*args)
            except Exception:
                _log.failure("what a thread has done could not be told of")
