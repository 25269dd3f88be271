"""Non-INVITE client transactions in Completed of whom only the key is left (RFC 3261 section 17.1.2.2, Timer K).

Once the user has the final response, all that there is to do is to absorb retransmissions of it for T4. The key is
enough for that. Keys that came within one part of T4 go together, when T4 is over for the last of them.
"""

from __future__ import annotations

from collections import deque

from twisted_sip.transaction.timers import Timer, TimerQueue

#: Into how many parts Timer K is cut: keys are kept up to one part longer, never shorter.
_PARTS = 8


class Finished:
    """The keys that wait for Timer K.

    :ivar keys: all of them.
    """

    __slots__ = ("_latest", "_parts", "_start", "_step", "_timer", "keys")

    def __init__(self, timers: TimerQueue, wait: float) -> None:
        """Make an empty line.

        :param wait: the length of Timer K in seconds.
        """
        self._start = timers.start
        self._step = wait / _PARTS
        # The keys of the parts that are over, the oldest first, and those of the part that is not.
        self._parts: deque[list[tuple[str, str]]] = deque()
        self._latest: list[tuple[str, str]] = []
        self._timer: Timer | None = None
        self.keys: set[tuple[str, str]] = set()

    def add(self, key: tuple[str, str]) -> None:
        """Keep *key* until its time has come."""
        self.keys.add(key)
        self._latest.append(key)
        if self._timer is None:
            self._timer = self._start(self._step, self._part_over)

    def _part_over(self) -> None:
        self._parts.append(self._latest)
        self._latest = []
        if len(self._parts) > _PARTS:
            self.keys.difference_update(self._parts.popleft())
        if self.keys:
            self._timer = self._start(self._step, self._part_over)
        else:
            self._parts.clear()
            self._timer = None

    def stop(self) -> None:
        """Forget all of them."""
        self._parts.clear()
        self._latest = []
        self.keys.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
