"""The INVITE client transaction (RFC 3261 sections 9.1 and 17.1.1, figure 5 as RFC 6026 section 8.4 replaces it).

Timers A and B are one timer: it retransmits until 64*T1 have passed, then it is the timeout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import ack_for
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.client import ClientTransaction
from twisted_sip.transaction.seams import ClientUser
from twisted_sip.transaction.states import ACCEPTED, CALLING, COMPLETED, PROCEEDING

if TYPE_CHECKING:
    from twisted_sip.transaction.layer_client import ClientSide


#: Seconds that sums of times may be wrong by.
_HAIR = 1e-4


class InviteClient(ClientTransaction):
    """A client transaction for INVITE."""

    __slots__ = ("_ack", "_cancel", "_heard")

    def __init__(self, layer: ClientSide, key: tuple[str, str], request: Request, flow: Flow, user: ClientUser) -> None:
        ClientTransaction.__init__(self, layer, key, request, flow, user, CALLING)
        self._ack: Request | None = None
        # Sent, or to be sent with the first provisional response.
        self._cancel: Request | None = None
        # When the last provisional response came.
        self._heard = 0.0

    def receive(self, response: Response) -> None:
        """Take a response that matches."""
        status = response.status
        cell = _RESPONSE.get((self.state, 1 if status < 200 else 2 if status < 300 else 3))
        if cell is not None:
            cell(self, response)

    @property
    def may_cancel(self) -> bool:
        """True until the final response or the first CANCEL."""
        return self._cancel is None and self.state in (CALLING, PROCEEDING)

    def cancel(self, cancel: Request) -> None:
        """Send *cancel*, after the first provisional response (section 9.1)."""
        self._cancel = cancel
        if self.state is PROCEEDING:
            self._send_cancel()

    def forget(self) -> None:
        """Keep no messages but the ACK: what is left of it in Accepted passes on further 2xx, in Completed it absorbs
        retransmissions."""
        if self.state is ACCEPTED or self.state is COMPLETED:
            self.request = _FORGOTTEN
            self.response = _ANSWERED
            self._cancel = None

    # -- Calling and Proceeding ----------------------------------------------

    def _calling_1xx(self, response: Response) -> None:
        self.state = PROCEEDING
        # Nothing is retransmitted any more; the request is kept for ACK and CANCEL.
        self._data = b""
        if self._cancel is not None:
            self._send_cancel()
        else:
            self._heard = self._layer.timers.now()
            self._limit(self._layer.values.client_limit, self._silent)
        self.response = response
        self.user.response_received(self, response)

    def _proceeding_1xx(self, response: Response) -> None:
        # The timer that is running sees to it that it starts anew.
        self._heard = self._layer.timers.now()
        self.response = response
        self.user.response_received(self, response)

    def _2xx(self, response: Response) -> None:
        """RFC 6026 section 7.2: the user makes the ACK; this transaction only waits for more of them."""
        self.state = ACCEPTED
        self._data = b""
        self._limit(self._layer.values.timeout, self._timer_m)
        self.response = response
        self.user.response_received(self, response)

    def _300_699(self, response: Response) -> None:
        self.state = COMPLETED
        self._data = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        values = self._layer.values
        user = self.user
        self._ack = ack_for(self.request, response)
        error = self._send_ack()
        self.response = response
        if error is None and not self._reliable:
            # At least 32 s, and not less than a peer with our T1 keeps retransmitting.
            self._timer = self._layer.timers.start(max(values.timer_d, values.timeout), self._timer_d)
        else:
            self.terminate()
        user.response_received(self, response)
        if error is not None:
            user.transport_failed(self, error)

    # -- Completed and Accepted ----------------------------------------------

    def _completed_300_699(self, response: Response) -> None:
        """A retransmission: send the ACK again."""
        error = self._send_ack()
        if error is not None:
            self.transport_error(error)

    def _accepted_2xx(self, response: Response) -> None:
        """One more: of another branch behind a proxy, or the same again."""
        self.user.response_received(self, response)

    # -- timers --------------------------------------------------------------

    def first_timer(self) -> None:
        """Timer A fired for the first time."""
        self._timer_a()

    def _timer_a(self) -> None:
        """Timer A, and Timer B at its end."""
        self._tick(2 * self._interval, self._timer_a)

    def _timer_d(self) -> None:
        self.terminate()

    def _timer_m(self) -> None:
        self.terminate()

    def _silent(self) -> None:
        """Nothing has come for long: a timeout. Timer C is the proxy's; this is for users who have none."""
        layer = self._layer
        left = self._heard + layer.values.client_limit - layer.timers.now()
        if left > _HAIR:
            self._timer = layer.timers.start(left, self._silent)
        else:
            self._time_out()

    def _limit(self, seconds: float, alarm: Callable[[], None]) -> None:
        """Call *alarm* after *seconds*, in place of what is pending."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._layer.timers.start(seconds, alarm)

    # -- what is sent --------------------------------------------------------

    def _send_ack(self) -> TransportError | None:
        """Send the ACK the way the request went (section 17.1.1.2); return what went wrong."""
        assert self._ack is not None  # Completed is entered with an ACK only
        try:
            self.flow.send(self._ack.to_bytes(), self._ack)
        except TransportError as error:
            return error
        return None

    def _send_cancel(self) -> None:
        assert self._cancel is not None  # called where there is one
        # A peer that never answers the INVITE finally has 64*T1 from here (section 9.1, last paragraph).
        self._limit(self._layer.values.timeout, self._time_out)
        self._layer.start_cancel(self, self._cancel)


#: Stand for messages that are not needed any more.
_FORGOTTEN = Request.from_parts("", "", HeaderMap(), b"")
_ANSWERED = Response(200)

#: (state, first digit of the status, 3 for all above) -> what to do. Provisional responses in Completed and Accepted,
#: and 300 to 699 in Accepted, have no effect.
_RESPONSE: dict[tuple[str, int], Callable[[InviteClient, Response], None]] = {
    (CALLING, 1): InviteClient._calling_1xx,
    (CALLING, 2): InviteClient._2xx,
    (CALLING, 3): InviteClient._300_699,
    (PROCEEDING, 1): InviteClient._proceeding_1xx,
    (PROCEEDING, 2): InviteClient._2xx,
    (PROCEEDING, 3): InviteClient._300_699,
    (COMPLETED, 3): InviteClient._completed_300_699,
    (ACCEPTED, 2): InviteClient._accepted_2xx,
}
