"""How long a call may last: the most seconds, and what an authorisation grants, asked for again in time (prepaid)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.waiting import then
from twisted_sip.errors import RemoteProtocolError

if TYPE_CHECKING:
    from twisted_sip.transaction.timers import Timer, TimerQueue

_log = Logger()

#: How many seconds before a grant is used up the next one is asked for, at most, and which part of it.
_AHEAD, _PART = 5.0, 0.1

#: Why a call ends that has lasted for as long as any may.
TOO_LONG = "Maximum Call Duration"


def granted(answer: Any) -> float | None:
    """Return for how many seconds an *answer* of ``authorize_call`` lets a call last, None for without end.

    :raises RemoteProtocolError: it does not: answer 403.
    """
    if answer is None or answer is True:
        return None
    seconds = float(answer)
    if not seconds > 0:
        raise RemoteProtocolError("Forbidden", status=403)
    return seconds


class CallLimits:
    """The limits of one call, from its answer on."""

    def __init__(
        self,
        timers: TimerQueue,
        most: float,
        grant: float | None,
        ask: Callable[[], Any],
        expired: Callable[[str], object],
    ) -> None:
        """Begin to count.

        :param most: seconds that it may last in all, 0 for no limit.
        :param grant: seconds that it is authorised for, None for no limit.
        :param ask: asks for more; returns what ``authorize_call`` does.
        :param expired: called with a text when it must end.
        """
        self._timers = timers
        self._ask = ask
        self._expired = expired
        self._over = False
        self._end: Timer | None = timers.start(most, self._stop, TOO_LONG) if most else None
        self._grant: Timer | None = None
        self._asking: Timer | None = None
        if grant is not None:
            self._count(grant)

    def _count(self, seconds: float) -> None:
        if self._grant is not None:
            self._grant.cancel()
        ahead = min(_AHEAD, seconds * _PART)
        self._grant = self._timers.start(seconds, self._stop, "Credit Exhausted")
        self._asking = self._timers.start(seconds - ahead, self._again)

    def _again(self) -> None:
        self._asking = None

        def answered(answer: Any) -> None:
            if self._over:
                return
            try:
                more = granted(answer)
            except RemoteProtocolError:
                # What was granted may be talked.
                return
            if more is None:
                if self._grant is not None:
                    self._grant.cancel()
                    self._grant = None
            elif self._grant is not None:
                # After what is left.
                self._count(self._grant.due - self._timers.now() + more)

        def failed(failure: Failure) -> None:
            if failure.check(RemoteProtocolError) is None:
                _log.failure("a call was not authorised again", failure)

        then(self._ask, answered, failed)

    def _stop(self, reason: str) -> None:
        if not self._over:
            self.cancel()
            self._expired(reason)

    def cancel(self) -> None:
        """The call is over. Harmless when repeated."""
        self._over = True
        for timer in (self._end, self._grant, self._asking):
            if timer is not None:
                timer.cancel()
        self._end = self._grant = self._asking = None
