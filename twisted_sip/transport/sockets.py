"""Opening sockets through a reactor: the hooks that a simulated network may replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import interfaces
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.transport.datagram import MAX_DATAGRAM
from twisted_sip.transport.rounds import Rounds
from twisted_sip.transport.settings import TransportSettings
from twisted_sip.transport.stream import SIPStreamProtocol
from twisted_sip.transport.tls import TLSContexts
from twisted_sip.transport.udp_port import SIPUDPPort


def has_real_sockets(reactor: Any) -> bool:
    """Tell whether *reactor* has the sockets of this host, and not some of a test's or a simulation's own."""
    return isinstance(reactor, PosixReactorBase)


class Sockets:
    """Opens sockets with a reactor that provides IReactorUDP and IReactorTCP."""

    def __init__(self, reactor: Any, settings: TransportSettings, rounds: Rounds | None = None) -> None:
        self.reactor = reactor
        self.settings = settings
        self._rounds = rounds

    def listen_datagram(self, protocol: DatagramProtocol, address: Address) -> interfaces.IListeningPort:
        """Open a UDP socket.

        :raises twisted.internet.error.CannotListenError: the address is in use or is not ours.
        """
        reactor = self.reactor
        if has_real_sockets(reactor):
            port: Any = SIPUDPPort(
                address.port,
                protocol,
                address.host,
                MAX_DATAGRAM,
                reactor,
                per_wakeup=self.settings.datagrams_per_wakeup,
                gather=self.settings.gather,
                rounds=self._rounds,
            )
            port.startListening()
            return port  # type: ignore[no-any-return]
        return reactor.listenUDP(  # type: ignore[no-any-return]
            address.port, protocol, interface=address.host, maxPacketSize=MAX_DATAGRAM
        )

    def listen_stream(self, factory: interfaces.IProtocolFactory, address: Address) -> interfaces.IListeningPort:
        """Open a listening TCP socket.

        :raises twisted.internet.error.CannotListenError: the address is in use or is not ours.
        """
        return self.reactor.listenTCP(  # type: ignore[no-any-return]
            address.port, factory, backlog=self.settings.backlog, interface=address.host
        )

    def connect_stream(self, factory: interfaces.IProtocolFactory, address: Address) -> Deferred[Any]:
        """Open a TCP connection; the Deferred fires when it is established, or fails with what the reactor says."""
        endpoint = TCP6ClientEndpoint if ":" in address.host else TCP4ClientEndpoint
        timeout = int(self.settings.connect_timeout) or 1
        return endpoint(self.reactor, address.host, address.port, timeout).connect(factory)

    def serve_tls(self, creator: interfaces.IOpenSSLServerConnectionCreator, factory: Factory) -> TLSMemoryBIOFactory:
        """Wrap *factory* such that its connections speak TLS."""
        return TLSMemoryBIOFactory(creator, False, factory, clock=self.reactor)

    def connect(
        self, destination: Destination, build: Callable[[], SIPStreamProtocol], contexts: TLSContexts
    ) -> Deferred[Any]:
        """Open a connection to *destination* for the protocol that *build* returns."""
        return execute(self._connect, destination, build, contexts).addCallback(lambda connecting: connecting)

    def _connect(
        self, destination: Destination, build: Callable[[], SIPStreamProtocol], contexts: TLSContexts
    ) -> Deferred[Any]:
        factory: Any = _OneProtocol(build)
        if destination.kind.secure:
            factory = TLSMemoryBIOFactory(contexts.client(destination.name), True, factory, clock=self.reactor)
        return self.connect_stream(factory, destination.address)


class _OneProtocol(Factory):
    """The factory of one outgoing connection."""

    noisy = False

    def __init__(self, build: Callable[[], SIPStreamProtocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: Any) -> SIPStreamProtocol:
        protocol = self._build()
        protocol.factory = self
        return protocol
