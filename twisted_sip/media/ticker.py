"""One timer for all who send at regular times: deadlines are multiples of the interval, so that no error adds up."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()


class Ticker:
    """Calls everybody once in each interval while there is anybody.

    :ivar interval: in seconds.
    :ivar skipped: intervals that were left out since the process was too late for them.
    """

    #: So many intervals are made up for after a delay; what is older is left out.
    CATCH_UP = 5

    def __init__(self, clock: IReactorTime, interval: float = 0.02) -> None:
        """Make one over *clock*; it does nothing before the first :meth:`add`."""
        self._clock = clock
        self.interval = interval
        self.skipped = 0
        self._users: dict[Callable[[float], object], None] = {}
        self._round: tuple[Callable[[float], object], ...] | None = None
        self._start = 0.0
        self._count = 0
        self._call: IDelayedCall | None = None
        self._in_round = False

    def __len__(self) -> int:
        """How many are called."""
        return len(self._users)

    def add(self, called: Callable[[float], object]) -> None:
        """Call ``called(now)`` once in each interval from now on; *now* is the time of the clock in seconds."""
        self._users[called] = None
        self._round = None
        # Within a round the next one is arranged at its end.
        if self._call is None and not self._in_round:
            self._start = self._clock.seconds()
            self._count = 1
            self._call = self._clock.callLater(self.interval, self._tick)

    def remove(self, called: Callable[[float], object]) -> None:
        """Call it no longer. Harmless when repeated."""
        self._users.pop(called, None)
        self._round = None
        if not self._users and self._call is not None:
            self._call.cancel()
            self._call = None

    def _tick(self) -> None:
        self._call = None
        now = self._clock.seconds()
        behind = int((now - self._start) / self.interval + 1e-6) - self._count
        if behind < 0:
            # The clock went back, or came early by a hair.
            if behind < -1:
                self._start, self._count = now, 0
            behind = 0
        rounds = behind + 1
        if rounds > self.CATCH_UP:
            self.skipped += rounds - self.CATCH_UP
            self._count += rounds - self.CATCH_UP
            rounds = self.CATCH_UP
        self._in_round = True
        for _ in range(rounds):
            self._count += 1
            self._once(now)
        self._in_round = False
        if self._users:
            delay = self._start + self._count * self.interval - self._clock.seconds()
            self._call = self._clock.callLater(max(0.0, delay), self._tick)

    def _once(self, now: float) -> None:
        users = self._round
        if users is None:
            users = self._round = tuple(self._users)
        for called in users:
            if self._round is None and called not in self._users:
                # Removed by one before it in this round.
                continue
            try:
                called(now)
            except Exception:
                # One call must not cost the others their sound.
                _log.failure("A media stream failed in its turn")
