"""Flows over connections: one that is there, and one that is opened for a response (RFC 3261 section 18.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import RemoteProtocolError, TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transport.client_identity import NOTHING
from twisted_sip.transport.source import stream_reply_address

if TYPE_CHECKING:
    from twisted_sip.transport.layer import TransportLayer
    from twisted_sip.transport.stream import SIPStreamProtocol

_log = Logger()

#: How many messages wait for a connection that is being opened for them.
_WAITING = 32


class StreamFlow:
    """A connection.

    :ivar outbound: True if we opened it.
    :ivar identities: SIP domains that the peer's certificate proved.
    :ivar proved: as whom a client may speak that has opened it, by its certificate.
    :ivar offers_alias: requests over it say that it may carry others back (RFC 5923).
    """

    __slots__ = (
        "_protocol",
        "_sent_by",
        "identities",
        "kind",
        "layer",
        "local",
        "offers_alias",
        "outbound",
        "proved",
        "remote",
        "token",
    )

    kind: TransportKind
    local: Address
    remote: Address
    identities: tuple[str, ...]
    token: str

    def __init__(
        self,
        protocol: SIPStreamProtocol,
        kind: TransportKind,
        local: Address,
        remote: Address,
        token: str,
        outbound: bool,
    ) -> None:
        self._protocol: SIPStreamProtocol | None = protocol
        self.layer: TransportLayer = protocol.layer
        self.kind = kind
        self.local = local
        self.remote = remote
        self.token = token
        self.outbound = outbound
        self.identities = ()
        self.proved = NOTHING
        self.offers_alias = False
        self._sent_by = ""

    def __repr__(self) -> str:
        return f"<StreamFlow {self.kind} {self.local} to {self.remote}{'' if self.open else ', closed'}>"

    @property
    def sent_by(self) -> str:
        """``host:port`` for the Via of a request that leaves here: where we listen, so that a response finds us even
        when this connection is gone (RFC 3261 section 18.1.1)."""
        sent_by = self._sent_by
        if not sent_by:
            sent_by = self._sent_by = self.layer.addresses.stream_sent_by(self.kind, self.local)
        return sent_by

    @property
    def open(self) -> bool:
        """False once the connection is gone or going."""
        return self._protocol is not None

    def prove_again(self) -> None:
        """Other settings say which client certificates are believed: that of this one, too."""
        protocol = self._protocol
        if protocol is not None and not self.outbound and self.kind.secure:
            self.identities, self.proved = self.layer.contexts.client_proves_still(protocol.transport)

    def send(self, data: bytes, message: Request | Response) -> None:
        """Send one message.

        :raises TransportError: the connection is gone, or the peer does not read.
        """
        self.write(data)
        watch = self.layer.receiver.message_sent
        if watch is not None:
            watch(message, data, self)

    def write(self, data: bytes) -> None:
        """Send *data* that is no SIP message, or part of one.

        :raises TransportError: the connection is gone, or the peer does not read.
        """
        protocol = self._protocol
        if protocol is None:
            raise TransportError(f"the connection to {self.remote} is gone")
        protocol.write(data)

    send_keep_alive = write

    def reply_flow(self, request: Request) -> Flow:
        """The flow for responses to *request*: this connection, or if it is gone one to where the peer listens
        (RFC 3261 section 18.2.2)."""
        if self._protocol is not None:
            return self
        try:
            address = stream_reply_address(request.top_via, self.remote, self.kind.default_port)
        except RemoteProtocolError:
            return self
        return ReconnectingFlow(self.layer, self.kind, address, self.local)

    def on_pong(self, pong: Callable[[], None] | None) -> None:
        """Call *pong* for each single CRLF that answers a keep-alive (RFC 5626 section 4.4.1); None for no more."""
        if self._protocol is not None:
            self._protocol.pong = pong

    def close_after_writing(self) -> None:
        """Close the connection once what is buffered is written."""
        if self._protocol is not None:
            self._protocol.close()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._protocol is not None:
            self._protocol.abort()

    def detached(self) -> None:
        """The connection is gone or going: nothing can be sent any more. For SIPStreamProtocol alone to call."""
        self._protocol = None


class ReconnectingFlow:
    """A flow whose connection is opened when something is to be sent (RFC 3261 section 18.2.2, first bullet).

    What cannot be delivered is reported through ``Receiver.flow_closed``.
    """

    __slots__ = ("_flow", "_layer", "_waiting", "kind", "local", "remote")

    identities: tuple[str, ...] = ()
    kind: TransportKind
    local: Address
    remote: Address

    def __init__(self, layer: TransportLayer, kind: TransportKind, remote: Address, local: Address) -> None:
        self._layer = layer
        self.kind = kind
        self.remote = remote
        self.local = local
        self._flow: Flow | None = None
        self._waiting: list[tuple[bytes, Request | Response]] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReconnectingFlow) and (other.kind, other.remote) == (self.kind, self.remote)

    def __hash__(self) -> int:
        return hash(self.remote)

    @property
    def sent_by(self) -> str:
        """As for the connection it stands for."""
        return self._layer.addresses.stream_sent_by(self.kind, self.local)

    @property
    def open(self) -> bool:
        """True while a connection is there or may come to be."""
        return self._flow is None or self._flow.open

    @property
    def token(self) -> str:
        """The token of the connection, empty as long as there is none."""
        return self._flow.token if self._flow is not None else ""

    def send(self, data: bytes, message: Request | Response) -> None:
        """Send one message, once there is a connection.

        :raises TransportError: it is gone, or too much waits already.
        """
        if self._flow is not None:
            self._flow.send(data, message)
        elif self._waiting is not None:
            if len(self._waiting) >= _WAITING:
                raise TransportError(f"too many messages wait for a connection to {self.remote}")
            self._waiting.append((data, message))
        else:
            self._waiting = [(data, message)]
            found = self._layer.flow_to(Destination(self.kind, self.remote, self.remote.host))
            if isinstance(found, Deferred):
                found.addCallbacks(self._connected, self._failed)
            else:
                self._connected(found)

    def _connected(self, flow: Flow) -> None:
        self._flow = flow
        waiting, self._waiting = self._waiting or [], None
        try:
            for data, message in waiting:
                flow.send(data, message)
        except TransportError as error:
            _log.debug("Responses to {remote} are lost: {error}", remote=self.remote, error=str(error))
            self._layer.receiver.flow_closed(self)

    def _failed(self, failure: Failure) -> None:
        # Section 18.4: the user is told; its transaction ends by its own timers at the latest.
        self._waiting = None
        _log.debug("No connection for responses to {remote}: {why}", remote=self.remote, why=failure.getErrorMessage())
        self._layer.receiver.flow_closed(self)

    def reply_flow(self, request: Request) -> Flow:
        """This flow."""
        return self

    def close_after_writing(self) -> None:
        """Nothing to do: the connection is shared."""
