"""What the two client transactions share (RFC 3261 sections 17.1.3 and 17.1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.seams import NOBODY, ClientUser
from twisted_sip.transaction.states import COMPLETED, TERMINATED, TRYING
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.transaction.layer_client import ClientSide


class ClientTransaction:
    """A client transaction; made by ``TransactionLayer.start_client``.

    Only one timer runs at a time, the first of all apart: a retransmission timer counts what has *elapsed* and ends as
    the timeout.

    :ivar key: (branch, method), the place in the layer's table (section 17.1.3).
    :ivar request: the request as sent.
    :ivar response: the last response passed to the user, None before.
    :ivar flow: where the request went.
    :ivar first_due: when the first timer fires, over an unreliable transport; no timer of the queue is taken for it.
    :ivar once: the request is not sent again; for the user to set, where who is to answer may not have asked for it.
    :ivar state: the name of the state, as in the RFC.
    :ivar user: who is told; nobody once the transaction has terminated.
    """

    __slots__ = (
        "_data",
        "_elapsed",
        "_interval",
        "_layer",
        "_reliable",
        "_timer",
        "first_due",
        "flow",
        "key",
        "once",
        "request",
        "response",
        "state",
        "user",
    )

    def __init__(
        self,
        layer: ClientSide,
        key: tuple[str, str],
        request: Request,
        flow: Flow,
        user: ClientUser,
        state: str = TRYING,
    ) -> None:
        self.begin(layer, key, request, flow, user, state)

    def begin(
        self,
        layer: ClientSide,
        key: tuple[str, str],
        request: Request,
        flow: Flow,
        user: ClientUser,
        state: str = TRYING,
    ) -> None:
        """Fill in a new object: for the layer, which makes most of them without the call of their class."""
        self._layer = layer
        self.once = False
        self.key = key
        self.request = request
        self.response: Response | None = None
        self.flow = flow
        self.user = user
        self.state = state
        self._reliable = flow.kind.reliable
        self._timer: Timer | None = None
        self._data = request.to_bytes()
        # The time since the request was sent first and the interval until its next retransmission, in seconds.
        self._elapsed = 0.0
        self._interval = layer.values.T1
        self.first_due = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key[1]} {self.key[0]} {self.state}>"

    def awaits_first_timer(self, due: float) -> bool:
        """Tell whether the first timer is going to fire when it is *due*."""
        # Whatever has happened since has started another timer, or ended it.
        return self.first_due == due and self._timer is None and self.state is not COMPLETED

    def receive(self, response: Response) -> None:
        """Take a response that matches."""
        raise NotImplementedError

    def first_timer(self) -> None:
        """Timer A or E fired for the first time (``ClientSide.unanswered``), over reliable transports B or F."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let go of the messages, now that the user has the final response and has no more to do with it."""

    def terminate(self) -> None:
        """Forget the transaction at once and tell nobody; responses that come later are strays."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
            self._timer = None
        self.state = TERMINATED
        self.user = NOBODY
        self._layer.client_terminated(self)

    def start(self) -> None:
        """Send the request and start the first timer."""
        layer = self._layer
        try:
            self.flow.send(self._data, self.request)
        except TransportError as error:
            # The caller does not hold the transaction yet: tell it once it does.
            self._timer = layer.timers.start(0.0, self.transport_error, error)
            return
        if self._reliable:
            self._interval = layer.values.timeout
            self._data = b""
            self._timer = layer.timers.start(self._interval, self.first_timer)
        else:
            self.first_due = layer.unanswered.add(self.key)

    def _tick(self, following: float, alarm: Callable[[], None]) -> None:
        """A retransmission timer fired: retransmit and start it for the *following* interval, or time out."""
        self._elapsed += self._interval
        left = self._layer.values.timeout - self._elapsed
        if left <= 0:
            self._time_out()
            return
        if not self.once:
            try:
                self.flow.send(self._data, self.request)
            except TransportError as error:
                self.transport_error(error)
                return
        self._interval = min(following, left)
        self._timer = self._layer.timers.start(self._interval, alarm)

    def _time_out(self) -> None:
        user = self.user
        self.terminate()
        user.timed_out(self)

    def transport_error(self, error: TransportError) -> None:
        """Section 17.1.4: tell the user and end."""
        user = self.user
        self.terminate()
        user.transport_failed(self, error)
