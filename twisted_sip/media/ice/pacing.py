"""The one pace of an agent: a transaction each Ta (RFC 8445 sections 5.1.1.2, 6.1.4.2 and 14.2)."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.transaction.timers import Timer, TimerQueue


class Pacer:
    """Calls *step* every *interval* seconds as long as it returns true; then it rests until it is woken.

    :ivar interval: Ta in seconds; may be raised (RFC 8839 section 5.5).
    """

    def __init__(self, timers: TimerQueue, interval: float, step: Callable[[], bool]) -> None:
        self._timers = timers
        self._step = step
        self._timer: Timer | None = None
        self._next = timers.now()
        self.interval = interval

    @property
    def resting(self) -> bool:
        return self._timer is None

    def wake(self) -> None:
        """There is something to do again; never sooner than Ta after the last step."""
        if self._timer is None:
            self._timer = self._timers.start(max(0.0, self._next - self._timers.now()), self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        if self._step():
            self._next = self._timers.now() + self.interval
            self.wake()
