"""The non-INVITE client transaction (RFC 3261 section 17.1.2, figure 6).

Timers E and F are one timer: it retransmits until 64*T1 have passed, then it is the timeout.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.message.response import Response
from twisted_sip.transaction.client import ClientTransaction
from twisted_sip.transaction.seams import NOBODY
from twisted_sip.transaction.states import COMPLETED, PROCEEDING, TERMINATED, TRYING


class NonInviteClient(ClientTransaction):
    """A client transaction for any method but INVITE and ACK."""

    __slots__ = ()

    def receive(self, response: Response) -> None:
        """Take a response that matches."""
        if response.status >= 200 and self.state is TRYING:
            # The usual case, without the table.
            self._final(response)
            return
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
        if self._reliable or not self._layer.values.T4:
            self.terminate()
            user.response_received(self, response)
            return
        self.state = COMPLETED
        self._data = b""
        # Nobody hears of this transaction any more; what the user holds need not live as long as it.
        self.user = NOBODY
        try:
            user.response_received(self, response)
        finally:
            if self.state is COMPLETED:
                # It was not forgotten.
                self._timer = self._layer.timers.start(self._layer.values.T4, self._timer_k)

    def forget(self) -> None:
        """Leave nothing but the key, which absorbs retransmissions in Completed."""
        if self.state is COMPLETED:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.state = TERMINATED
            layer = self._layer
            if layer.clients.pop(self.key, None) is not None:
                layer.finished.add(self.key)

    def first_timer(self) -> None:
        """Timer E fired for the first time."""
        self._timer_e()

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
