"""The 2xx to an INVITE, sent again and again until its ACK comes (RFC 3261 section 13.3.1.4, RFC 6026 section 7.1)."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.transaction.timers import Timer, TimerQueue, TimerValues


class AcceptedResponse:
    """A 2xx that waits for its ACK: after T1, then twice as long each time up to T2, for 64*T1 in all."""

    __slots__ = ("_elapsed", "_interval", "_lost", "_send", "_timer", "_timers", "_values")

    def __init__(
        self, timers: TimerQueue, values: TimerValues, send: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        """Begin to wait; the 2xx has been sent once.

        :param send: sends it again.
        :param lost: called when no ACK has come.
        """
        self._timers = timers
        self._values = values
        self._send = send
        self._lost = lost
        self._elapsed = 0.0
        self._interval = values.T1
        self._timer: Timer | None = timers.start(self._interval, self._again)

    def _again(self) -> None:
        self._elapsed += self._interval
        left = self._values.timeout - self._elapsed
        if left <= 0:
            self._timer = None
            self._lost()
            return
        self._interval = min(2 * self._interval, self._values.T2, left)
        self._timer = self._timers.start(self._interval, self._again)
        self._send()

    def stop(self) -> None:
        """Its ACK has come, or nobody waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
