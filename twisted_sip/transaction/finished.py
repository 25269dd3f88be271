"""Non-INVITE client transactions in Completed of whom only the key is left (RFC 3261 section 17.1.2.2, Timer K).

Once the user has the final response, all that there is to do is to absorb retransmissions of it for T4. The key is
enough for that; one line and one timer for the first in it serve all of them.
"""

from __future__ import annotations

from collections import deque

from twisted_sip.transaction.timers import Timer, TimerQueue

#: Seconds between two looks at a line that is not empty: keys are kept up to this much longer, never shorter.
_GRAIN = 0.02

#: What a float loses by adding and subtracting, in seconds.
_ROUNDING = 1e-6


class Finished:
    """The keys that wait for Timer K.

    :ivar keys: all of them.
    """

    __slots__ = ("_line", "_now", "_start", "_timer", "_wait", "keys")

    def __init__(self, timers: TimerQueue, wait: float) -> None:
        """Make an empty line.

        :param wait: the length of Timer K in seconds.
        """
        self._now = timers.now
        self._start = timers.start
        self._wait = wait
        self._line: deque[tuple[float, tuple[str, str]]] = deque()
        self._timer: Timer | None = None
        self.keys: set[tuple[str, str]] = set()

    def add(self, key: tuple[str, str]) -> None:
        """Keep *key* until its time has come."""
        self.keys.add(key)
        self._line.append((self._now() + self._wait, key))
        if self._timer is None:
            self._timer = self._start(self._wait, self._end)

    def _end(self) -> None:
        now = self._now() + _ROUNDING
        line = self._line
        while line:
            ends_at, key = line[0]
            if ends_at > now:
                self._timer = self._start(max(ends_at - now, _GRAIN), self._end)
                return
            line.popleft()
            self.keys.discard(key)
        self._timer = None

    def stop(self) -> None:
        """Forget all of them."""
        self._line.clear()
        self.keys.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
