"""The INVITE server transaction (RFC 3261 section 17.2.1, figure 7 as RFC 6026 section 8.6 replaces it).

Timers G and H are one timer: it retransmits until 64*T1 have passed, then the ACK is given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.seams import ServerUser
from twisted_sip.transaction.server import ServerTransaction
from twisted_sip.transaction.states import ACCEPTED, COMPLETED, CONFIRMED, PROCEEDING

if TYPE_CHECKING:
    from twisted_sip.transaction.layer_server import ServerSide

_log = Logger()

#: Seconds that sums of times may be wrong by.
_HAIR = 1e-4


class InviteServer(ServerTransaction):
    """A server transaction for INVITE."""

    __slots__ = ("_elapsed", "_interval", "_once", "_spoken")

    def __init__(self, layer: ServerSide, key: str, request: Request, flow: Flow, user: ServerUser) -> None:
        ServerTransaction.__init__(self, layer, key, request, flow, user, PROCEEDING)
        # Since Completed was entered, and until the next retransmission, in seconds.
        self._elapsed = 0.0
        self._interval = 0.0
        # When the user last sent a provisional response while the timer of its silence ran; 0 if it has not.
        self._spoken = 0.0
        # No Timer G.
        self._once = False

    def answer_once(self) -> None:
        """As in the base; a client that has heard something waits, and does not ask again: it needs Timer G."""
        if self.last_response is None:
            self._once = True

    def trying(self) -> None:
        """Send 100 (Trying), if nothing has been sent yet (section 17.2.1)."""
        if self.state is PROCEEDING and self.last_response is None:
            self._provisional(response_to(self.request, 100), self._layer.values.server_limit)

    def trying_later(self) -> None:
        """Send 100 (Trying) unless something is sent within 200 ms (section 17.2.1)."""
        self._timer = self._layer.timers.start(self._layer.values.trying, self._timer_trying)

    def trying_after(self, seconds: float) -> None:
        """Send 100 (Trying) unless something is sent within so many *seconds* from now, in place of 200 ms."""
        if self.state is PROCEEDING and self.last_response is None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._layer.timers.start(seconds, self._timer_trying)

    def send(self, response: Response) -> None:
        """Send *response*.

        Every provisional and one final response; after a 2xx further 2xx, of other branches or the same again, which
        the user must repeat until its ACK comes (RFC 6026 section 7.1). Others are dropped.
        """
        status = response.status
        if self.state is PROCEEDING:
            if status < 200:
                self._provisional(response, self._layer.values.server_limit)
            elif status < 300:
                self._proceeding_2xx(response)
            else:
                self._proceeding_300_699(response)
        elif self.state is ACCEPTED and 200 <= status < 300:
            self._put(response)
            self._transmit()

    def retransmission(self) -> None:
        """The INVITE came again: repeat the last response; a 2xx is the user's to repeat (RFC 6026 section 7.1)."""
        if self._data and self.state in (PROCEEDING, COMPLETED):
            self._transmit()

    def ack(self) -> bool:
        """An ACK came that matches; return True where it is the user's (RFC 6026 section 7.1)."""
        if self.state is COMPLETED:
            self._completed_ack()
        return self.state is ACCEPTED

    # -- Proceeding ----------------------------------------------------------

    def _timer_trying(self) -> None:
        values = self._layer.values
        # What the user has been silent for counts.
        self._provisional(response_to(self.request, 100), values.server_limit - values.trying)

    def _provisional(self, response: Response, limit: float) -> None:
        timers = self._layer.timers
        if self.last_response is not None:
            # The timer that is running sees to it that it starts anew.
            self._spoken = timers.now()
        else:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = timers.start(limit, self._silent)
        self._put(response)
        self._transmit()

    def _proceeding_2xx(self, response: Response) -> None:
        self.state = ACCEPTED
        timer = self._timer
        if timer is not None:
            timer.cancel()
        self._timer = self._layer.timers.start(self._layer.values.timeout, self._timer_l)
        self._put(response)
        self._transmit()

    def _proceeding_300_699(self, response: Response) -> None:
        self.state = COMPLETED
        timer = self._timer
        if timer is not None:
            timer.cancel()
        values = self._layer.values
        self._interval = values.timeout if self._reliable or self._once else values.T1
        self._timer = self._layer.timers.start(self._interval, self._timer_g)
        self._put(response)
        self._layer.awaits_ack(self)
        self._transmit()

    def _silent(self) -> None:
        """The user has said nothing for longer than any Timer C: nobody upstream waits any more."""
        layer = self._layer
        left = self._spoken + layer.values.server_limit - layer.timers.now() if self._spoken else 0.0
        if left > _HAIR:
            self._timer = layer.timers.start(left, self._silent)
            return
        _log.warn("no answer to an INVITE: {key}", key=self.key, call_id=self.request.headers.first("call-id"))
        self.terminate()

    # -- Accepted, Completed, Confirmed --------------------------------------

    def _completed_ack(self) -> None:
        timer = self._timer
        if timer is not None:
            timer.cancel()
            self._timer = None
        wait = 0.0 if self._reliable else self._layer.values.T4
        if wait:
            self.state = CONFIRMED
            self._timer = self._layer.timers.start(wait, self._timer_i)
        else:
            self.terminate()

    # -- timers --------------------------------------------------------------

    def _timer_g(self) -> None:
        """Timer G, and Timer H at its end: MIN(2*interval, T2)."""
        values = self._layer.values
        self._elapsed += self._interval
        left = values.timeout - self._elapsed
        if left <= 0:
            self._timer_h()
            return
        self._interval = min(2 * self._interval, values.T2, left)
        self._timer = self._layer.timers.start(self._interval, self._timer_g)
        self._transmit()

    def _timer_h(self) -> None:
        user = self.user
        self.terminate()
        user.ack_timed_out(self)

    def _timer_i(self) -> None:
        self.terminate()

    def _timer_l(self) -> None:
        self.terminate()
