"""The 2xx to an INVITE, sent again and again until its ACK comes (RFC 3261 section 13.3.1.4, RFC 6026 section 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.dialog.server_invite import ServerInvite


class AcceptedResponse:
    """A 2xx that waits for its ACK: after T1, then twice as long each time up to T2, for 64*T1 in all."""

    __slots__ = ("_elapsed", "_interval", "_invite", "_response", "_timer")

    def __init__(self, invite: ServerInvite, response: Response) -> None:
        """Begin to wait; the 2xx has been sent once."""
        session = invite.session
        self._invite = invite
        self._response = response
        self._elapsed = 0.0
        self._interval = interval = session.terms.values.T1
        self._timer: Timer | None = session.timers.start(interval, self._again)

    def _again(self) -> None:
        session = self._invite.session
        values = session.terms.values
        self._elapsed += self._interval
        left = values.timeout - self._elapsed
        if left <= 0:
            self._timer = None
            self._invite.ack_missing()
            return
        self._interval = min(2 * self._interval, values.T2, left)
        self._timer = session.timers.start(self._interval, self._again)
        session.user.respond(session, self._invite.incoming, self._response)

    def stop(self) -> None:
        """Its ACK has come, or nobody waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
