"""The non-INVITE client transaction (RFC 3261 section 17.1.2, figure 6).

Timers E and F are one timer: it retransmits until 64*T1 have passed, then it is the timeout.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.message.response import Response
from twisted_sip.transaction.client import ANSWERED, FORGOTTEN, ClientTransaction
from twisted_sip.transaction.seams import NOBODY
from twisted_sip.transaction.states import COMPLETED, PROCEEDING, TRYING


class NonInviteClient(ClientTransaction):
    """A client transaction for any method but INVITE and ACK."""

    __slots__ = ()

    def start(self) -> None:
        """Send the request and start the timer."""
        self._send_first(self._timer_e)

    def receive(self, response: Response) -> None:
        """Take a response that matches."""
        cell = _RESPONSE.get((self.state, response.status >= 200))
        if cell is not None:
            cell(self, response)

    def _provisional(self, response: Response) -> None:
        self.state = PROCEEDING
        self.response = response
        self.user.response_received(self, response)

    def _final(self, response: Response) -> None:
        timer = self._timer
        if timer is not None:
            timer.cancel()
            self._timer = None
        self.response = response
        user = self.user
        layer = self._layer
        wait = 0.0 if self._reliable else layer.values.T4
        if wait:
            self.state = COMPLETED
            self._data = b""
            self._timer = layer.timers.start(wait, self._timer_k)
            # Nobody hears of this transaction any more; what the user holds need not live as long as it.
            self.user = NOBODY
        else:
            self.terminate()
        user.response_received(self, response)

    def forget(self) -> None:
        """Keep no messages: what is left of it in Completed absorbs retransmissions by their key alone."""
        if self.state is COMPLETED:
            self.request = FORGOTTEN
            self.response = ANSWERED

    def _timer_e(self) -> None:
        """Timer E, and Timer F at its end: MIN(2*interval, T2) in Trying, T2 in Proceeding."""
        longest = self._layer.values.T2
        self._tick(longest if self.state is PROCEEDING else min(2 * self._interval, longest), self._timer_e)

    def _timer_k(self) -> None:
        self.terminate()


#: (state, is the response final?) -> what to do; Completed absorbs everything (section 17.1.2.2).
_RESPONSE: dict[tuple[str, bool], Callable[[NonInviteClient, Response], None]] = {
    (TRYING, False): NonInviteClient._provisional,
    (TRYING, True): NonInviteClient._final,
    (PROCEEDING, False): NonInviteClient._provisional,
    (PROCEEDING, True): NonInviteClient._final,
}
