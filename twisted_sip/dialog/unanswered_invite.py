"""How long an INVITE of the peer may go without a final response, and what proxies are told meanwhile.

RFC 3261 sections 13.3.1 (Expires) and 13.3.1.1 (a provisional response each minute), RFC 3262 section 3.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.request import Request
from twisted_sip.transaction.timers import Timer, TimerQueue

#: Seconds after which a provisional response is repeated, and where the last one was reliable.
_REPEAT = 60.0
_REPEAT_RELIABLE = 150.0


class UnansweredInvite:
    """The two alarms of an INVITE that waits for our answer."""

    __slots__ = ("_deadline", "_expired", "_repeat", "_repeating", "_timers")

    def __init__(
        self,
        request: Request,
        timers: TimerQueue,
        longest: float,
        status: int,
        expired: Callable[[int], None],
        repeat: Callable[[], None],
    ) -> None:
        """Start with the deadline.

        :param longest: seconds; Expires makes it shorter.
        :param status: the status where *longest* is over; 487 where the invitation has expired.
        :param expired: called with the status.
        :param repeat: called when a provisional response is due again.
        """
        self._timers = timers
        self._expired = expired
        self._repeating = repeat
        self._repeat: Timer | None = None
        try:
            expires = request.expires
        except RemoteProtocolError:
            expires = None
        if expires is not None and expires < longest:
            longest, status = float(expires), 487
        self._deadline: Timer | None = timers.start(longest, self._deadline_passed, status)

    def _deadline_passed(self, status: int) -> None:
        self._deadline = None
        self._expired(status)

    def progressed(self, *, reliable: bool) -> None:
        """A provisional response has been sent."""
        if self._repeat is not None:
            self._repeat.cancel()
        self._repeat = self._timers.start(_REPEAT_RELIABLE if reliable else _REPEAT, self._repeat_due)

    def _repeat_due(self) -> None:
        self._repeat = None
        self._repeating()

    def stop(self) -> None:
        """It is answered."""
        for timer in (self._deadline, self._repeat):
            if timer is not None:
                timer.cancel()
        self._deadline = self._repeat = None
