"""Answered non-INVITE server transactions until Timer J fires (RFC 3261 section 17.2.2, figure 8).

They absorb retransmissions for 64*T1 each, so they end in the order in which they were answered: one line, and one
timer for the first in it, serve all of them. There are more of these than of anything else in a busy server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.transaction.seams import NOBODY
from twisted_sip.transaction.states import COMPLETED, TERMINATED
from twisted_sip.transaction.timers import Timer, TimerQueue

if TYPE_CHECKING:
    from twisted_sip.transaction.server_non_invite import NonInviteServer

#: Seconds between two looks at a line that is not empty: transactions end up to this much late, never early.
_GRAIN = 0.1

#: What a float loses by adding and subtracting, in seconds.
_ROUNDING = 1e-6


class Lingering:
    """The line of those that wait for Timer J."""

    __slots__ = ("_ended", "_line", "_now", "_start", "_timer", "_wait")

    def __init__(self, timers: TimerQueue, wait: float, ended: Callable[[NonInviteServer], None]) -> None:
        """Make an empty line.

        :param wait: the length of Timer J in seconds.
        :param ended: told of each transaction that has terminated.
        """
        self._ended = ended
        self._now = timers.now
        self._start = timers.start
        self._wait = wait
        self._line: deque[NonInviteServer] = deque()
        self._timer: Timer | None = None

    def add(self, transaction: NonInviteServer) -> None:
        """Let *transaction*, which has just entered Completed, terminate when its time has come."""
        transaction.ends_at = self._now() + self._wait
        self._line.append(transaction)
        if self._timer is None:
            self._timer = self._start(self._wait, self._end)

    def _end(self) -> None:
        now = self._now() + _ROUNDING
        line = self._line
        while line:
            first = line[0]
            if first.ends_at > now:
                self._timer = self._start(max(first.ends_at - now, _GRAIN), self._end)
                return
            line.popleft()
            # It may have been ended before its time.
            if first.state is COMPLETED:
                # What its terminate() does, as far as it is needed here.
                first.state = TERMINATED
                first.user = NOBODY
                self._ended(first)
        self._timer = None

    def left(self) -> None:
        """Let go of those at either end who were terminated before their time; others go when it has come."""
        line = self._line
        while line and line[-1].state is not COMPLETED:
            line.pop()
        while line and line[0].state is not COMPLETED:
            line.popleft()
        if not line:
            self.stop()

    def stop(self) -> None:
        """Forget everybody."""
        self._line.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
