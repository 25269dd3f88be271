"""SIP over streams: the same protocol for TCP and TLS (RFC 3261 section 18.3, RFC 5626 section 3.5.1).

Limits on the peer: how long a handshake, a first message, a whole message and silence may last, and how much may wait
for it to read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import interfaces
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import RemoteProtocolError, TransportError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, TLS, TransportKind
from twisted_sip.message.framer import PING, Event, StreamFramer
from twisted_sip.message.request import Request
from twisted_sip.transport.client_identity import NOTHING, Proved
from twisted_sip.transport.receiver import HasTransports
from twisted_sip.transport.stream_flow import StreamFlow

_log = Logger()

#: How long a source over its rate waits before its next message is looked at, in seconds.
_THROTTLE = 0.25

#: Bytes that are read at once: some messages. Twisted's 64 KiB are taken from the heap for each read, and what is kept
#: of the message, or made meanwhile, leaves gaps of nearly that size between it (see udp_port).
_READ = 8192


@implementer(interfaces.IHandshakeListener, interfaces.IPushProducer)
class SIPStreamProtocol(Protocol):
    """One connection.

    :ivar layer: the TransportLayer it belongs to.
    :ivar flow: its flow, None until it is usable and once it is gone.
    :ivar pong: called when a single CRLF answers a keep-alive of ours (RFC 5626 section 4.4.1), or None.
    """

    noisy = False
    flow: StreamFlow | None = None
    pong: Callable[[], None] | None = None

    def __init__(
        self, element: HasTransports, kind: TransportKind | None = None, opening: Any = None, source: str = ""
    ) -> None:
        """Make the protocol of one connection.

        :param kind: TCP or TLS, None to see by the connection.
        :param opening: the connections.Opening that waits for it, None for a connection that a peer opened.
        :param source: the host it counts for, empty if it is one too many and to be dropped.
        """
        self.layer = element.transports
        self._settings = self.layer.settings
        self._kind = kind
        self._opening = opening
        self._source = source
        self._framer = StreamFramer(self._settings.messages)
        self._clock = self.layer.clock
        self._timer: interfaces.IDelayedCall | None = None
        self._partial: interfaces.IDelayedCall | None = None
        self._stalled: interfaces.IDelayedCall | None = None
        self._throttled: interfaces.IDelayedCall | None = None
        self._held: list[Event] = []
        self._held_since = 0.0
        self._heard_at = 0.0
        self._backlog = 0
        self._paused = False
        self._closing = False
        self._registered = False
        self._counted = bool(source)
        self._spoken = opening is not None
        self._takes_alias = False

    # -- beginning ------------------------------------------------------------

    def connectionMade(self) -> None:
        transport: Any = self.transport
        if not self._counted and self._opening is None:
            transport.abortConnection()
            return
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        # The socket, which is below TLS.
        socket = getattr(transport, "transport", transport)
        if hasattr(socket, "bufferSize"):
            socket.bufferSize = _READ
        if self._kind is None:
            self._kind = TLS if interfaces.ISSLTransport.providedBy(transport) else TCP
        transport.registerProducer(self, True)
        self._registered = True
        if self._kind.secure:
            self._timer = self._clock.callLater(self._settings.handshake_timeout, self._handshake_late)
        else:
            self._usable()

    def handshakeCompleted(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._closing:
            return
        transport: Any = self.transport
        try:
            identities = self.layer.peer_identities(transport, self._opening)
            proved = NOTHING if self._opening is not None else self.layer.contexts.client_proved(transport)
        except TransportError as error:
            # RFC 5922 section 7.3: close immediately.
            self._give_up(error)
            return
        self._usable(identities, proved)

    def _handshake_late(self) -> None:
        self._timer = None
        self._give_up(TransportError("the TLS handshake takes too long"))

    def _give_up(self, error: Exception) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.failed(Failure(error))
        else:
            _log.info("Connection from {source} refused: {error}", source=self._source, error=str(error))
        self.abort()

    def _usable(self, identities: tuple[str, ...] = (), proved: Proved = NOTHING) -> None:
        transport: Any = self.transport
        kind = self._kind
        assert kind is not None
        local, remote = transport.getHost(), transport.getPeer()
        opening, self._opening = self._opening, None
        flow = StreamFlow(
            self,
            kind,
            Address(local.host, local.port),
            Address(remote.host, remote.port),
            self.layer.next_stream_token(),
            opening is not None,
        )
        flow.identities = identities
        flow.proved = proved
        tls = self._settings.tls
        if kind.secure and tls.aliases:
            # RFC 5923 section 8: whoever opens a connection offers it, and the other side has to be sure of the peer.
            flow.offers_alias = flow.outbound and bool(tls.certificates)
            self._takes_alias = not flow.outbound and bool(identities)
        self.flow = flow
        self._heard_at = self._clock.seconds()
        first = self._settings.idle_timeout if opening is not None else self._settings.first_message_timeout
        self._timer = self._clock.callLater(first, self._idle)
        self.layer.connected(flow, opening)

    # -- receiving ------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        flow = self.flow
        if flow is None or self._closing:
            return
        self._heard_at = self._clock.seconds()
        framer = self._framer
        whole = not framer.in_message
        if self.pong is not None and whole and data[:2] == b"\r\n" and data[:4] != b"\r\n\r\n":
            # RFC 5626 section 4.4.1: a single CRLF answers our ping.
            self.pong()
            data = data[2:]
        events = framer.feed(data)
        partial = framer.in_message
        if self._partial is not None and (events or not partial):
            self._partial.cancel()
            self._partial = None
        if partial and self._partial is None:
            self._partial = self._clock.callLater(self._settings.message_timeout, self._message_late)
        if self._held:
            self._held.extend(events)
        elif events:
            # The usual case: one message in one piece, whose bytes are at hand for whoever watches.
            self._deliver(events, data if whole and not partial and len(events) == 1 else b"")

    def _deliver(self, events: list[Event], data: bytes) -> None:
        layer = self.layer
        receiver = layer.receiver
        flow = self.flow
        for place, event in enumerate(events):
            if self._closing or flow is None:
                return
            # Keep-alives count too: a stream of nothing else would keep us busy just as well.
            if not receiver.admit(flow.remote.host):
                self._hold(events[place:])
                return
            self._held_since = 0.0
            if event is PING:
                # RFC 5626 section 3.5.1.
                self._pong()
                continue
            if isinstance(event, RemoteProtocolError):
                layer.malformed(event, b"", flow)
                if event.fatal:
                    # Section 18.3: the boundaries are lost.
                    self.close()
                    return
            else:
                self._spoken = True
                if self._takes_alias and isinstance(event, Request):
                    layer.connections.alias(flow, event)
                layer.received(event, data or None, flow)

    def _pong(self) -> None:
        try:
            self.write(b"\r\n")
        except TransportError:
            # It is being closed already.
            self._held.clear()

    def _hold(self, events: list[Event]) -> None:
        """A source over its rate: read no more from it for a moment, so that its own side of TCP slows it down."""
        now = self._clock.seconds()
        self._held_since = self._held_since or now
        if now - self._held_since >= self._settings.throttle_timeout:
            self.abort()
            return
        transport: Any = self.transport
        self._held = events
        transport.pauseProducing()
        self._throttled = self._clock.callLater(_THROTTLE, self._release)

    def _release(self) -> None:
        self._throttled = None
        events, self._held = self._held, []
        self._deliver(events, b"")
        if not self._held and not self._closing:
            transport: Any = self.transport
            transport.resumeProducing()

    # -- sending --------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write *data*.

        :raises TransportError: the peer has not read for so long that too much waits for it; it is dropped.
        """
        if self._paused:
            self._backlog += len(data)
            if self._backlog > self._settings.write_buffer:
                self.abort()
                raise TransportError("the peer does not read: its write buffer is over the limit")
        transport: Any = self.transport
        transport.write(data)

    def pauseProducing(self) -> None:
        """The transport's buffer is filling: the peer has to read within ``write_timeout``."""
        self._paused = True
        if self._stalled is None and not self._closing:
            self._stalled = self._clock.callLater(self._settings.write_timeout, self._stall_over)

    def resumeProducing(self) -> None:
        """The transport's buffer has drained."""
        self._paused = False
        self._backlog = 0
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def stopProducing(self) -> None:
        """The transport is done with us; connectionLost follows."""

    # -- limits and end -------------------------------------------------------

    def _idle(self) -> None:
        self._timer = None
        rest = self._heard_at + self._settings.idle_timeout - self._clock.seconds()
        if rest > 0 and self._spoken:
            self._timer = self._clock.callLater(rest, self._idle)
        else:
            self.close()

    def _message_late(self) -> None:
        self._partial = None
        self.abort()

    def _stall_over(self) -> None:
        self._stalled = None
        self.abort()

    def close(self) -> None:
        """Close the connection once what is buffered is written, or after ``close_timeout``."""
        if self._closing:
            return
        self._end()
        transport: Any = self.transport
        self._timer = self._clock.callLater(self._settings.close_timeout, transport.abortConnection)
        self._unregister()
        transport.loseConnection()

    def abort(self) -> None:
        """Close the connection at once."""
        self._end()
        transport: Any = self.transport
        self._unregister()
        transport.abortConnection()

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            transport: Any = self.transport
            transport.unregisterProducer()

    def _end(self) -> None:
        self._closing = True
        self._held = []
        for call in (self._timer, self._partial, self._stalled, self._throttled):
            if call is not None and call.active():
                call.cancel()
        self._timer = self._partial = self._stalled = self._throttled = None
        if self.flow is not None:
            flow, self.flow = self.flow, None
            flow.detached()
            self.layer.disconnected(flow)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()
        # TLS would hold us as its producer, and we hold it.
        self._unregister()
        if self._counted:
            self._counted = False
            self.layer.connections.source_gone(self._source)
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.failed(reason)
        elif not reason.check(ConnectionDone):
            _log.debug("Connection with {source} lost: {why}", source=self._source, why=reason.getErrorMessage())
        self.layer.connection_ended(self)


class SIPFactory(Factory):
    """Makes the protocols of connections that peers open: ``endpoint.listen(SIPFactory(element))``."""

    noisy = False

    def __init__(self, element: HasTransports, kind: TransportKind | None = None) -> None:
        """Make a factory for *element*.

        :param kind: TCP or TLS, None to see by each connection.
        """
        self._element = element
        self._kind = kind

    def buildProtocol(self, addr: Any) -> SIPStreamProtocol:
        """Return the protocol for a connection from *addr*; one over the limits drops it at once."""
        layer = self._element.transports
        host = getattr(addr, "host", "") or "unknown"
        admitted = layer.connections.source_came(host)
        protocol = SIPStreamProtocol(self._element, self._kind, source=host if admitted else "")
        protocol.factory = self
        layer.connection_begun(protocol)
        return protocol
