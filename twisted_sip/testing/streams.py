"""Simulated connections: in order and without loss, but with delay, cuts, crashes and flow control.

What a cut holds up arrives, in order, once it is mended; an end that waits for too long gives the connection up, as an
operating system does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IConnector, IListeningPort, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.interfaces.flow import Address

if TYPE_CHECKING:
    from twisted_sip.testing.node import Node


#: Seconds between two tries to get through a cut, and how often it is tried.
_RETRY, _RETRIES = 1.0, 60
#: Bytes that may wait for the application of the peer before the writer is told to pause.
_WINDOW = 65536


def twisted_address(kind: Literal["TCP", "UDP"], address: Address) -> IPv4Address | IPv6Address:
    """Return *address* in Twisted's form."""
    if ":" in address.host:
        return IPv6Address(kind, address.host, address.port)
    return IPv4Address(kind, address.host, address.port)


@implementer(ITCPTransport)
class SimulatedStream:
    """One end of a connection."""

    disconnecting = False
    disconnected = False

    def __init__(self, node: Node, local: Address, remote: Address) -> None:
        self.node = node
        self.local = local
        self.remote = remote
        self.peer: SimulatedStream | None = None
        self.protocol: Any = None
        self.connected = True
        self.producer: Any = None
        self._paused = False
        # Arrived and not read, since reading is paused; and whether the writer was told to pause because of it.
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._unread = 0
        self._choked = False
        # On the way to the peer, in order.
        self._wire: deque[tuple[str, bytes]] = deque()
        self._due = 0.0
        self._retries = 0

    # -- ITransport ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.connected and not self.disconnecting and data:
            self._schedule("data", bytes(data))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self._schedule("close", b"")
            self.node.callLater(0, self._closed, Failure(error.ConnectionDone()))

    def abortConnection(self) -> None:
        if self.connected:
            self.disconnecting = True
            self._schedule("reset", b"")
            self.node.callLater(0, self._closed, Failure(error.ConnectionAborted()))

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def getPeer(self) -> Any:
        return twisted_address("TCP", self.remote)

    def getHost(self) -> Any:
        return twisted_address("TCP", self.local)

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here for the sake of size."""

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """A dead peer is seen when its node is gone."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        while self._waiting and not self._paused and self.connected:
            what, data = self._waiting.popleft()
            self._unread -= len(data)
            self._take(what, data)
        peer = self.peer
        if peer is not None and peer._choked and self._unread < _WINDOW:
            peer._choked = False
            if peer.producer is not None and peer.connected:
                peer.producer.resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    # -- the wire ----------------------------------------------------------------------------

    def cut_off(self) -> None:
        """The node has crashed: its operating system resets what the process held; nobody here is told."""
        self.connected = False
        self._waiting.clear()
        self._schedule("reset", b"")

    def _schedule(self, what: str, data: bytes) -> None:
        network = self.node.network
        # In order: nothing arrives before what was sent earlier.
        self._due = max(self._due, network.clock.seconds() + network.latency())
        self._wire.append((what, data))
        network.clock.callLater(self._due - network.clock.seconds(), self._arrive)

    def _arrive(self) -> None:
        peer = self.peer
        if peer is None or not self._wire:
            return
        network = self.node.network
        if network.parted(self.node, peer.node):
            self._retries += 1
            if self._retries <= _RETRIES * len(self._wire):
                network.clock.callLater(_RETRY, self._arrive)
                return
            self._wire.clear()
            self._closed(Failure(error.TimeoutError()))
            return
        self._retries = 0
        what, data = self._wire.popleft()
        if not peer.node.alive or not peer.connected:
            if what == "data" and self.node.alive:
                self._closed(Failure(error.ConnectionLost()))
            return
        peer._receive(what, data)

    def _receive(self, what: str, data: bytes) -> None:
        if what == "reset" or not self._paused:
            self._take(what, data)
            return
        self._waiting.append((what, data))
        self._unread += len(data)
        peer = self.peer
        if self._unread >= _WINDOW and peer is not None and not peer._choked:
            peer._choked = True
            if peer.producer is not None and peer.connected:
                peer.producer.pauseProducing()

    def _take(self, what: str, data: bytes) -> None:
        if not self.connected:
            return
        if what == "data":
            self.protocol.dataReceived(data)
        elif what == "close":
            self._closed(Failure(error.ConnectionDone()))
        else:
            self._closed(Failure(error.ConnectionLost()))

    def _closed(self, reason: Failure) -> None:
        if not self.connected:
            return
        self.connected = False
        self.disconnected = True
        self.node.streams.pop(self, None)
        if self.protocol is not None:
            self.protocol.connectionLost(reason)


@implementer(IListeningPort)
class SimulatedListener:
    """A listening stream socket."""

    def __init__(self, node: Node, address: Address, factory: Any) -> None:
        self.node = node
        self.address = address
        self.factory = factory
        self.listening = True

    def startListening(self) -> None:
        self.factory.doStart()

    def stopListening(self) -> None:
        if self.listening:
            self.listening = False
            self.node.listeners.pop(self.address, None)
            self.factory.doStop()

    loseConnection = stopListening

    def getHost(self) -> Any:
        return twisted_address("TCP", self.address)


@implementer(IConnector)
class SimulatedConnector:
    """An attempt to connect."""

    def __init__(self, node: Node, destination: Address, factory: Any, timeout: float, local: Address) -> None:
        self.node = node
        self.destination = destination
        self.factory = factory
        self.timeout = timeout
        self.local = local
        self.state = "disconnected"
        self.transport: SimulatedStream | None = None
        self._pending: Any = None

    def connect(self) -> None:
        """Begin; the factory hears of the outcome."""
        self.state = "connecting"
        self.factory.doStart()
        self.factory.startedConnecting(self)
        self._pending = self.node.callLater(2 * self.node.network.latency(), self._arrived)

    def _arrived(self) -> None:
        node, network = self.node, self.node.network
        target, public = network.stream_target(node, self.local, self.destination)
        if target is None or not target.alive or network.parted(node, target):
            self._pending = node.callLater(self.timeout, self._fail, error.TimeoutError())
            return
        listener = target.listener_at(self.destination)
        if listener is None:
            self._fail(error.ConnectionRefusedError())
            return
        ours = SimulatedStream(node, self.local, self.destination)
        theirs = SimulatedStream(target, self.destination, public)
        ours.peer, theirs.peer = theirs, ours
        theirs.protocol = listener.factory.buildProtocol(theirs.getPeer())
        if theirs.protocol is None:
            self._fail(error.ConnectionRefusedError())
            return
        ours.protocol = self.factory.buildProtocol(ours.getPeer())
        self.state = "connected"
        self.transport = ours
        node.streams[ours] = None
        target.streams[theirs] = None
        theirs.protocol.makeConnection(theirs)
        if ours.protocol is None:
            ours.loseConnection()
            return
        ours.protocol.makeConnection(ours)

    def _fail(self, reason: Exception) -> None:
        self.state = "disconnected"
        self._pending = None
        self.factory.clientConnectionFailed(self, Failure(reason))
        self.factory.doStop()

    def stopConnecting(self) -> None:
        if self._pending is not None and self._pending.active():
            self._pending.cancel()
        self._fail(error.UserError())

    def disconnect(self) -> None:
        if self.state == "connecting":
            self.stopConnecting()
        elif self.transport is not None:
            self.transport.loseConnection()

    def getDestination(self) -> Any:
        return twisted_address("TCP", self.destination)
