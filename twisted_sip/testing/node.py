"""A node of the simulated network: a reactor of its own with addresses, sockets and a life that may end any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads, IReactorTCP, IReactorTime, IReactorUDP, IUDPTransport
from zope.interface import implementer

from twisted_sip.interfaces.flow import Address
from twisted_sip.testing.network import Network, is_ipv6, too_large
from twisted_sip.testing.streams import SimulatedConnector, SimulatedListener, SimulatedStream, twisted_address

if TYPE_CHECKING:
    from twisted_sip.testing.nat import NAT


@implementer(IReactorTime, IReactorUDP, IReactorTCP, IReactorFromThreads)
class Node:
    """A machine on the network; give it to an Element as its reactor.

    :ivar alive: False after :meth:`crash`.
    """

    def __init__(self, network: Network, hosts: tuple[str, ...], nat: NAT | None, name: str) -> None:
        self.network = network
        self.hosts = hosts
        self.nat = nat
        self.name = name
        self.alive = True
        self.sockets: dict[Address, SimulatedDatagramPort] = {}
        self.listeners: dict[Address, SimulatedListener] = {}
        # Dictionaries for their order: what is done with each of them must not depend on where it lies in memory.
        self.streams: dict[SimulatedStream, None] = {}
        self._calls: dict[Any, None] = {}
        self._sweep_at = 64
        self._next_port = 49152

    # -- life ---------------------------------------------------------------------------

    def crash(self) -> None:
        """Stop at once: no timer fires, nothing is sent, nobody is told. ``Network.node`` may reuse the addresses."""
        self.alive = False
        for call in self._calls:
            if call.active():
                call.cancel()
        self._calls.clear()
        self.sockets.clear()
        self.listeners.clear()
        streams, self.streams = self.streams, {}
        for stream in streams:
            stream.cut_off()
        self.network.remove(self)

    # -- IReactorTime ---------------------------------------------------------------------

    def seconds(self) -> float:
        return float(self.network.clock.seconds())

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        call = self.network.clock.callLater(delay, self._run, callable, args, kwargs)
        self._calls[call] = None
        if len(self._calls) > self._sweep_at:
            self._calls = {known: None for known in self._calls if known.active()}
            self._sweep_at = 64 + 2 * len(self._calls)
        return call

    def _run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if self.alive:
            function(*args, **kwargs)

    def getDelayedCalls(self) -> Any:
        return [call for call in self._calls if call.active()]

    # -- IReactorFromThreads -----------------------------------------------------------------

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        self.callLater(0, callable, *args, **kwargs)

    # -- sockets ---------------------------------------------------------------------------------

    def _bind(self, interface: str, port: int, taken: Any) -> Address:
        host = interface
        if host in ("", "0.0.0.0", "::"):
            host = next((known for known in self.hosts if is_ipv6(known) == (host == "::")), self.hosts[0])
        if host not in self.hosts:
            raise error.CannotListenError(interface, port, OSError(99, "Cannot assign requested address"))
        if port == 0:
            port = self._next_port
            self._next_port += 1
        address = Address(host, port)
        if address in taken:
            raise error.CannotListenError(interface, port, OSError(98, "Address already in use"))
        return address

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        made = SimulatedDatagramPort(self, self._bind(interface, port, self.sockets), protocol, maxPacketSize)
        made.startListening()
        return made

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        address = self._bind(interface, port, self.listeners)
        listener = self.listeners[address] = SimulatedListener(self, address, factory)
        listener.startListening()
        return listener

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> Any:
        source = next((known for known in self.hosts if is_ipv6(known) == is_ipv6(host)), self.hosts[0])
        local = Address(bindAddress[0] if bindAddress and bindAddress[0] else source, self._next_port)
        self._next_port += 1
        connector = SimulatedConnector(self, Address(host, port), factory, timeout, local)
        connector.connect()
        return connector

    def listener_at(self, address: Address) -> SimulatedListener | None:
        """Return the listening stream socket at *address*, None if there is none."""
        return self.listeners.get(address)

    # -- from the network -----------------------------------------------------------------------

    def datagram_arrives(self, source: Address, destination: Address, data: bytes) -> bool:
        """Take a datagram; tell whether somebody listens."""
        port = self.sockets.get(destination) if self.alive else None
        if port is None:
            return False
        port.protocol.datagramReceived(data[: port.maxPacketSize], (source.host, source.port))
        return True

    def datagram_refused(self, source: Address, destination: Address) -> None:
        """ICMP says that nobody listens at *destination*."""
        port = self.sockets.get(source)
        refused = getattr(port.protocol, "refused", None) if port is not None else None
        if refused is not None:
            refused(destination)


@implementer(IUDPTransport)
class SimulatedDatagramPort:
    """A UDP socket."""

    def __init__(self, node: Node, address: Address, protocol: Any, maxPacketSize: int) -> None:
        self.node = node
        self.address = address
        self.protocol = protocol
        self.maxPacketSize = maxPacketSize
        self.connected = False

    def startListening(self) -> None:
        self.node.sockets[self.address] = self
        self.connected = True
        self.protocol.makeConnection(self)

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        if addr is None:
            raise AssertionError("connected UDP is not simulated")
        if too_large(packet):
            raise error.MessageLengthError("message too long")
        if self.node.alive and self.connected:
            self.node.network.send_datagram(self.node, self.address, Address(*addr[:2]), bytes(packet))

    def stopListening(self) -> Deferred[None]:
        if self.connected:
            self.connected = False
            self.node.sockets.pop(self.address, None)
            self.protocol.doStop()
        return succeed(None)

    loseConnection = stopListening

    def getHost(self) -> Any:
        return twisted_address("UDP", self.address)

    def getBroadcastAllowed(self) -> bool:
        return False

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Nothing here broadcasts."""

    def connect(self, host: str, port: int) -> None:
        raise AssertionError("connected UDP is not simulated")
