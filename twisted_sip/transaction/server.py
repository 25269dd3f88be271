"""What the two server transactions share (RFC 3261 sections 17.2.3 and 17.2.4), and the place held for one to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.seams import NOBODY, ServerUser
from twisted_sip.transaction.states import TERMINATED, TRYING
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.transaction.layer_server import ServerSide


class ServerTransaction:
    """A server transaction; made by ``TransactionLayer.create_server``.

    :ivar key: the place in the layer's table (section 17.2.3).
    :ivar method: the method of the request.
    :ivar request: the request that made it.
    :ivar flow: where the request came from.
    :ivar reply_flow: where responses go (section 18.2.2); None until the first one.
    :ivar state: the name of the state, as in the RFC.
    :ivar user: who is told; nobody once the transaction has terminated.
    :ivar last_response: the last response sent, None before.
    :ivar merge_key: the place in the layer's table of requests answered as UAS, if it is there (section 8.2.2.2).
    :ivar rerouted: another way back was looked for already; for the user to set (section 18.2.2).
    :ivar ack_key: the place in the layer's table of RFC 2543 clients' INVITEs that await their ACK, or empty.
    """

    __slots__ = (
        "_data",
        "_layer",
        "_reliable",
        "_timer",
        "_to_tag",
        "ack_key",
        "flow",
        "key",
        "last_response",
        "merge_key",
        "method",
        "reply_flow",
        "request",
        "rerouted",
        "state",
        "user",
    )

    def __init__(
        self, layer: ServerSide, key: str, request: Request, flow: Flow, user: ServerUser, state: str = TRYING
    ) -> None:
        self.begin(layer, key, request, flow, user, state)

    def begin(
        self, layer: ServerSide, key: str, request: Request, flow: Flow, user: ServerUser, state: str = TRYING
    ) -> None:
        """Fill in a new object: for the layer, which makes most of them without the call of their class."""
        self._layer = layer
        self.key = key
        self.method = request.method
        self.request = request
        self.flow = flow
        self.reply_flow: Flow | None = None
        self.user = user
        self.state = state
        self.last_response: Response | None = None
        self._to_tag = ""
        self._data = b""
        self.merge_key: tuple[str, str, int, str] | None = None
        self.ack_key = ""
        self.rerouted = False
        self._reliable = flow.kind.reliable
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.key!r} {self.state}>"

    @property
    def to_tag(self) -> str:
        """The To tag that its responses bear, or are to bear where a CANCEL was answered first (section 9.2).

        Empty while there is none.
        """
        if not self._to_tag and self._data:
            try:
                self._to_tag = self._last().to.tag or ""
            except RemoteProtocolError:
                # The answer to a request whose To cannot be read repeats that To.
                return ""
        return self._to_tag

    @to_tag.setter
    def to_tag(self, tag: str) -> None:
        self._to_tag = tag

    def send(self, response: Response) -> None:
        """Send *response* as far as the state allows; what it does not allow is dropped."""
        raise NotImplementedError

    def trying(self) -> None:
        """Send 100 (Trying) if it is useful now: to an INVITE that got no response yet (section 17.2.1)."""

    def forget(self) -> None:
        """Keep no more than retransmissions need, now that the user has answered and has no more to do with it."""

    def answer_once(self) -> None:
        """Repeat a refusal that follows now only when the request comes again, as it does while the client has heard
        nothing (Timer A): for senders who have proved nothing, and whose address may be somebody else's."""

    def abandon(self) -> None:
        """Never answer (RFC 4320 section 4.2); retransmissions are absorbed as long as after an answer.

        :raises LocalProtocolError: an INVITE has to be answered.
        """
        raise LocalProtocolError("an INVITE has to be answered")

    def retransmission(self) -> None:
        """The request came again."""
        raise NotImplementedError

    def reroute(self, flow: Flow) -> None:
        """Send responses over *flow* from now on, and the last one at once (section 18.2.2, RFC 3263 section 5).

        This works in every state: the end of a transaction over a reliable transport does not wait for its response.
        """
        self.reply_flow = flow
        if self._data:
            self._transmit()

    def terminate(self) -> None:
        """Forget the transaction at once and tell nobody."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
            self._timer = None
        self.state = TERMINATED
        self.user = NOBODY
        self._layer.server_terminated(self)

    def _put(self, response: Response) -> None:
        """Serialise *response*, unless it is the one that was sent last."""
        if response is not self.last_response:
            self._data = response.to_bytes()
            self.last_response = response

    def _last(self) -> Response:
        """Return the last response, read again from its bytes if those are all that is left of it."""
        response = self.last_response
        if response is None:
            try:
                read = parse_message(self._data)
            except RemoteProtocolError:
                # It repeats what the peer got wrong.
                read = None
            response = read if isinstance(read, Response) else Response(500)
        return response

    def _transmit(self) -> None:
        """Send the last response. Failure leaves the state as it is (RFC 6026 section 8.8)."""
        user = self.user
        response = self.last_response or self._last()
        try:
            flow = self.reply_flow
            if flow is None:
                flow = self.reply_flow = self.flow.reply_flow(self.request)
            flow.send(self._data, response)
        except TransportError as error:
            user.transport_failed(self, error)


class HeldRequest:
    """The place of a server transaction that is not made yet: absorbs retransmissions and remembers a CANCEL.

    :ivar flow: where the request came from.
    :ivar cancel: the CANCEL that came meanwhile, None if none did.
    :ivar to_tag: the To tag of the answer to it.
    """

    __slots__ = ("cancel", "flow", "key", "method", "timer", "to_tag")

    def __init__(self, key: str, method: str, flow: Flow) -> None:
        self.key = key
        self.flow = flow
        self.method = method
        self.timer: Timer | None = None
        self.cancel: Request | None = None
        self.to_tag = ""

    def retransmission(self) -> None:
        """The request came again: nothing has been answered yet."""
