"""The first timers of transactions, most of which never fire: the answer comes before.

Timers A and E at their first interval T1 over unreliable transports (RFC 3261 sections 17.1.1.2 and 17.1.2.2), and the
time after which 100 is due to a request other than INVITE (RFC 4320 section 4.1). All of one kind last equally long, so
they stand in a line in the order in which they began, and one timer serves the first that has not been answered.
Nothing is cancelled: who was answered is passed over when it is first in the line.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted_sip.transaction.states import TRYING
from twisted_sip.transaction.timers import Timer, TimerQueue

if TYPE_CHECKING:
    from twisted_sip.transaction.client import ClientTransaction
    from twisted_sip.transaction.server_non_invite import NonInviteServer

#: What a float loses by adding and subtracting, in seconds.
_ROUNDING = 1e-6


class _Line:
    """What both lines share. Each entry stays for *wait* seconds at most."""

    __slots__ = ("_line", "_now", "_start", "_timer", "_wait")

    def __init__(self, timers: TimerQueue, wait: float) -> None:
        self._now = timers.now
        self._start = timers.start
        self._wait = wait
        self._line: deque[Any] = deque()
        self._timer: Timer | None = None

    def _next_due(self) -> float | None:
        """Pass over those that do not wait any more; return when the first that does is due, None without one."""
        raise NotImplementedError

    def _fire(self) -> None:
        """Take the first one off the line and tell it that its time has come."""
        raise NotImplementedError

    def _end(self) -> None:
        now = self._now() + _ROUNDING
        try:
            while (due := self._next_due()) is not None and due <= now:
                self._fire()
        finally:
            # Whatever one of them has led to, the others have their turn.
            due = self._next_due()
            self._timer = None if due is None else self._start(max(due - self._now(), 0.0), self._end)

    def left(self) -> None:
        """Let go of the line where nobody waits: some have been ended before their time."""
        if self._timer is not None and self._next_due() is None:
            self.stop()

    def stop(self) -> None:
        """Forget everybody."""
        self._line.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Unanswered(_Line):
    """Requests of ours over unreliable transports until Timer A or E fires for the first time.

    The line has keys, so that it keeps nothing of what has been answered.
    """

    __slots__ = ("_clients",)

    _line: deque[tuple[float, tuple[str, str]]]

    def __init__(self, timers: TimerQueue, wait: float, clients: dict[tuple[str, str], ClientTransaction]) -> None:
        """Make an empty line.

        :param wait: T1 in seconds.
        :param clients: the transactions by key.
        """
        _Line.__init__(self, timers, wait)
        self._clients = clients

    def add(self, key: tuple[str, str]) -> float:
        """Let the transaction *key* wait from now on; return until when, on the clock's scale."""
        due = self._now() + self._wait
        self._line.append((due, key))
        if self._timer is None:
            self._timer = self._start(self._wait, self._end)
        return due

    def _next_due(self) -> float | None:
        line = self._line
        clients = self._clients
        while line:
            due, key = line[0]
            if key in clients and clients[key].awaits_first_timer(due):
                return due
            line.popleft()
        return None

    def _fire(self) -> None:
        self._clients[self._line.popleft()[1]].first_timer()


class AwaitingAnswer(_Line):
    """Server transactions for other requests than INVITE over unreliable transports until 100 is due."""

    __slots__ = ()

    _line: deque[NonInviteServer]

    def add(self, transaction: NonInviteServer) -> None:
        """Let *transaction*, which has just been made, send 100 when it has not been answered in time."""
        transaction.ends_at = self._now() + self._wait
        self._line.append(transaction)
        if self._timer is None:
            self._timer = self._start(self._wait, self._end)

    def _next_due(self) -> float | None:
        line = self._line
        while line:
            first = line[0]
            if first.state is TRYING:
                return first.ends_at
            line.popleft()
        return None

    def _fire(self) -> None:
        self._line.popleft().late()
