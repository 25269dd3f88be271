"""What a busy element does at one go: a socket that has rested is read, then comes what has waited for that.

A process that wakes up finds its memory in no cache: to take up one message or one timer costs many times what the
next one does. So where a socket rests anyway (see udp_port), timers may fire a little later, and what threads have
done may be told of, when its rest is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
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


class Pause:
    """What :meth:`Rounds.callLater` is going to call."""

    __slots__ = ("call", "due", "function")

    def __init__(self, due: float, function: Callable[[], object]) -> None:
        self.due = due
        self.function: Callable[[], object] | None = function
        self.call: Any = None

    def cancel(self) -> None:
        """Do not call it."""
        self.function = None
        if self.call is not None:
            self.call.cancel()
            self.call = None

    def over(self) -> None:
        """Call it."""
        self.call = None
        function, self.function = self.function, None
        if function is not None:
            function()


class Rounds:
    """The rounds of one element.

    It stands for the reactor where threads report (IReactorFromThreads) and where what they do waits for company.

    :ivar timers: what follows them; None for nothing.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._resting = 0
        # From the first rest until the end of one that no other follows; how long the latest one is.
        self._busy = False
        self._seconds = 0.0
        self._pauses: list[Pause] = []
        self._waiting: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.timers: Patient | None = None

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None:
        """Call *callable* in the reactor's thread: at the end of this round where a socket rests, soon elsewhere."""
        self._waiting.append((callable, args))
        # In this order: a round that ends now either sees what waits, or is seen to be over.
        if not self._resting:
            self._reactor.callFromThread(self._finish)

    def callLater(self, delay: float, callable: Callable[..., object], *args: Any) -> Pause:
        """Call *callable* after *delay* seconds; at the end of the round nearest to that where sockets rest."""
        pause = Pause(self._reactor.seconds() + delay, partial(callable, *args))
        if self._busy:
            self._pauses.append(pause)
        else:
            pause.call = self._reactor.callLater(delay, pause.over)
        return pause

    def begin(self, seconds: float) -> None:
        """A socket begins to rest, *seconds* at most."""
        self._resting += 1
        self._busy = True
        self._seconds = seconds
        if self.timers is not None:
            # The next round may be that far away, with what it takes to do this one.
            self.timers.grain = 2 * seconds

    def over(self) -> None:
        """Its rest is over; it is read now, then comes :meth:`end`."""
        self._resting -= 1

    def end(self) -> None:
        """It has been read."""
        timers = self.timers
        if not self._resting:
            self._busy = False
            if timers is not None:
                timers.grain = 0.0
        if self._waiting:
            self._finish()
        if timers is not None:
            self._call(timers.catch_up)
        if self._pauses:
            self._end_pauses()

    def _end_pauses(self) -> None:
        pauses, self._pauses = self._pauses, []
        now = self._reactor.seconds()
        for pause in pauses:
            left = pause.due - now
            if pause.function is None:
                continue
            if left <= (self._seconds if self._busy else 0.0):
                self._call(pause.over)
            elif self._busy:
                self._pauses.append(pause)
            else:
                pause.call = self._reactor.callLater(left, pause.over)

    def _finish(self) -> None:
        waiting = self._waiting
        # What these lead to has its turn with the next round.
        for _ in range(len(waiting)):
            callable, args = waiting.popleft()
            self._call(callable, *args)

    def _call(self, callable: Callable[..., Any], *args: Any) -> None:
        try:
            callable(*args)
        except Exception:
            # The others have their turn, and the socket its rest.
            _log.failure("at the end of a round")
