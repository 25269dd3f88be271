"""The non-INVITE server transaction (RFC 3261 section 17.2.2, figure 8) with the rules of RFC 4320."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.message.builders import response_to
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.seams import NOBODY
from twisted_sip.transaction.server import ServerTransaction
from twisted_sip.transaction.states import COMPLETED, PROCEEDING, TRYING


class NonInviteServer(ServerTransaction):
    """A server transaction for any method but INVITE and ACK.

    :ivar ends_at: when 100 is due while the transaction is in Trying; when Timer J fires once it is in Completed.
    """

    __slots__ = ("ends_at",)

    ends_at: float

    def await_answer(self) -> None:
        """Start the timer that ends the wait for an answer."""
        layer = self._layer
        if self._reliable:
            # It may be over, and forgotten, long before.
            self._timer = layer.timers.start(layer.values.trying_late, self.late)
        else:
            layer.awaiting_answer.add(self)

    def send(self, response: Response) -> None:
        """Send *response*; 408 and provisional responses other than 100 never go out (RFC 4320 section 4).

        After 408 the request counts as answered. 100 waits for its time over unreliable transports.
        """
        if response.status >= 200:
            if response.status != 408 and self.state in _FINAL:
                # The usual case of _final(), without the call.
                self._complete(response)
                return
            cell = _FINAL.get(self.state)
        else:
            cell = _PROVISIONAL.get(self.state)
        if cell is not None:
            cell(self, response)

    def retransmission(self) -> None:
        """The request came again: send what was sent last; in Trying that is nothing."""
        if self._data:
            self._transmit()

    def _provisional(self, response: Response) -> None:
        # Over reliable transports 100 may go at any time, over others once Timer E has reached T2; late() sends it.
        if response.status == 100 and (self._reliable or self.state is PROCEEDING):
            if self.state is TRYING:
                self._proceed(self._layer.values.timeout)
            self._put(response)
            self._transmit()

    def abandon(self) -> None:
        """Never answer (RFC 4320 section 4.2); retransmissions are absorbed as long as after an answer."""
        if self.state in _FINAL:
            self._data = b""
            self._complete(None)

    def _final(self, response: Response) -> None:
        if response.status == 408:
            # RFC 4320 section 4.2: the client knows already.
            self.abandon()
            return
        self._complete(response)

    def _complete(self, response: Response | None) -> None:
        """Enter Completed; send *response* if there is one."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
            self._timer = None
        self.state = COMPLETED
        if self._reliable:
            # Nothing comes again. The end is sure, whatever sending leads to.
            try:
                if response is not None:
                    self._put(response)
                    self._transmit()
            finally:
                if self.state is COMPLETED:
                    self.terminate()
            return
        self._layer.lingering.add(self)
        if response is not None:
            # As _put(): no final response has been sent before.
            self._data = response.to_bytes()
            self.last_response = response
            self._transmit()

    def terminate(self) -> None:
        """Forget the transaction at once and tell nobody."""
        lingers = self.state is COMPLETED and not self._reliable
        ServerTransaction.terminate(self)
        self._layer.awaiting_answer.left()
        if lingers:
            self._layer.lingering.left()

    def forget(self) -> None:
        """Keep nothing but the bytes of the final response: all that retransmissions need.

        For a user who has answered and has no more to do with it, so that what it worked with need not live for another
        64*T1. A retransmitted answer that cannot be sent is lost then, as datagrams are.
        """
        if self.state is COMPLETED:
            self.request = _FORGOTTEN
            self.last_response = None
            self.user = NOBODY

    def late(self) -> None:
        """Timer E of the client has reached T2 without an answer of ours: 100 is due (RFC 4320 section 4.1)."""
        values = self._layer.values
        self._proceed(values.timeout - values.trying_late)
        self._put(response_to(self.request, 100))
        self._transmit()

    def _proceed(self, limit: float) -> None:
        """Enter Proceeding for *limit* seconds: then the client's Timer F has fired, nobody wants an answer."""
        if self._timer is not None:
            self._timer.cancel()
        self.state = PROCEEDING
        self._timer = self._layer.timers.start(limit, self._expired)

    def _expired(self) -> None:
        self.terminate()


#: Stands for requests that are not needed any more.
_FORGOTTEN = Request.from_parts("", "", HeaderMap(), b"")

_Cell = Callable[[NonInviteServer, Response], None]

#: state -> what to do with a response from the user; in Completed every response is dropped (section 17.2.2).
_PROVISIONAL: dict[str, _Cell] = {TRYING: NonInviteServer._provisional, PROCEEDING: NonInviteServer._provisional}
_FINAL: dict[str, _Cell] = {TRYING: NonInviteServer._final, PROCEEDING: NonInviteServer._final}
