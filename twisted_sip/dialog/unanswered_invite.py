"""How long an INVITE of the peer may go without a final response, and what proxies are told meanwhile.

RFC 3261 sections 13.3.1 (Expires) and 13.3.1.1 (a provisional response each minute), RFC 3262 section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.transaction.timers import Timer, TimerQueue

if TYPE_CHECKING:
    from twisted_sip.dialog.server_invite import ServerInvite

#: Seconds after which a provisional response is repeated, and where the last one was reliable.
_REPEAT = 60.0
_REPEAT_RELIABLE = 150.0

_NEVER = float("inf")

#: Seconds that sums of times may be wrong by.
_HAIR = 1e-6


class UnansweredInvite:
    """The two alarms of an INVITE that waits for our answer."""

    __slots__ = ("_deadline", "_invite", "_repeat_at", "_status", "_timer", "_timers")

    def __init__(self, invite: ServerInvite, timers: TimerQueue, longest: float) -> None:
        """Start with the deadline.

        :param longest: seconds; Expires makes it shorter.
        """
        self._timers = timers
        self._invite = invite
        status = 480 if invite.initial else 504
        request = invite.request
        if "expires" in request.headers.names:
            try:
                expires = request.expires
            except RemoteProtocolError:
                expires = None
            if expires is not None and expires < longest:
                longest, status = float(expires), 487
        self._status = status
        self._deadline = timers.now() + longest
        # When a provisional response is due again.
        self._repeat_at = _NEVER
        # One timer for both: it looks what is due, and is never stopped before there is an answer.
        self._timer: Timer | None = timers.start(longest if longest < _REPEAT else _REPEAT, self._look)

    def _look(self) -> None:
        now = self._timers.now() + _HAIR
        self._timer = None
        if now >= self._deadline:
            self._invite.expire(self._status)
            return
        if now >= self._repeat_at:
            self._repeat_at = _NEVER
            self._invite.repeat_progress()
            if self._timer is not None or self._deadline == _NEVER:
                return
        following = min(self._deadline, self._repeat_at, now + _REPEAT)
        self._timer = self._timers.start(following - self._timers.now(), self._look)

    def progressed(self, *, reliable: bool) -> None:
        """A provisional response has been sent."""
        self._repeat_at = self._timers.now() + (_REPEAT_RELIABLE if reliable else _REPEAT)

    def stop(self) -> None:
        """It is answered."""
        self._deadline = _NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
