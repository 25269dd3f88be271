"""The transport layer of one element: its sockets, its connections, and the rules of RFC 3261 section 18.

Every use of the reactor goes through the reactor given: any provider of IReactorTime, IReactorUDP and IReactorTCP
does, the simulated network included.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import interfaces
from twisted.internet.defer import Deferred

from twisted_sip.errors import RemoteProtocolError, TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.transport_kind import UDP, TransportKind
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transport.connections import ConnectionTable, Opening
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.flow_tokens import parse_datagram_token, stream_token
from twisted_sip.transport.identity import proves
from twisted_sip.transport.listen import open_listeners
from twisted_sip.transport.listener import Listener, is_loopback
from twisted_sip.transport.listeners import Listeners
from twisted_sip.transport.local_addresses import source_address
from twisted_sip.transport.place import Place
from twisted_sip.transport.receiver import Receiver
from twisted_sip.transport.relisten import Relisten
from twisted_sip.transport.retiring import Retiring
from twisted_sip.transport.rounds import Rounds
from twisted_sip.transport.settings import TransportSettings
from twisted_sip.transport.sockets import Sockets, has_real_sockets
from twisted_sip.transport.source import note_source
from twisted_sip.transport.stream import SIPStreamProtocol
from twisted_sip.transport.stream_flow import StreamFlow
from twisted_sip.transport.tls import TLSContexts
from twisted_sip.transport.udp_port import SIPUDPPort


class TransportLayer:
    """Sockets, connections and flows.

    :ivar clock: the reactor, as IReactorTime.
    :ivar receiver: who gets what comes in; may be set after construction and before anything listens.
    :ivar settings: the limits.
    :ivar connections: the table of connections.
    :ivar contexts: TLS contexts.
    :ivar addresses: where messages arrive, and what this element calls itself.
    :ivar transports: itself, so that it may stand for an element where only transports are needed.
    :ivar stun_waiters: who waits for a STUN response, by transaction ID: called with the datagram and its flow.
    :ivar places: the sockets that are listened on.
    :ivar retiring: those that are being given up.
    :ivar rounds: what is done together once a socket has rested.
    :ivar in_use: tells whether something is under way by a datagram listener that is to be given up.
    """

    def __init__(
        self,
        reactor: Any,
        receiver: Receiver,
        settings: TransportSettings | None = None,
        *,
        node: str = "",
        boot: str = "",
        sockets: Sockets | None = None,
        source_for: Callable[[str], str] | None = None,
    ) -> None:
        """Make a layer that listens nowhere yet.

        :param reactor: IReactorTime, IReactorUDP and IReactorTCP.
        :param node: the name of this node and worker, part of the tokens of connections.
        :param boot: a text that no other run of this node has; random if left out.
        :param sockets: what opens sockets; made from *reactor* if left out.
        :param source_for: gives the local address from which a numeric remote host is reached, or an empty string;
            asks the kernel if left out and the reactor has real sockets.
        """
        self.clock: interfaces.IReactorTime = reactor
        self.receiver = receiver
        self.settings = settings or TransportSettings()
        self.connections = ConnectionTable(self.settings)
        self.contexts = TLSContexts(self.settings.tls)
        self.rounds = Rounds(reactor)
        self.sockets = sockets or Sockets(reactor, self.settings, self.rounds)
        self.stun_waiters: dict[bytes, Callable[[bytes, Flow], None]] = {}
        self._boot = f"{node}-{boot or secrets.token_hex(6)}".lstrip("-")
        self._serial = 0
        self._datagrams: list[SIPDatagramProtocol] = []
        self._protocols: set[SIPStreamProtocol] = set()
        self.places: list[Place] = []
        self.retiring = Retiring(self)
        self.in_use: Callable[[Listener], bool] = lambda listener: False
        if source_for is None:
            source_for = source_address if has_real_sockets(reactor) else _unknown_source
        self.addresses = Listeners(source_for)
        self._stopping: Deferred[None] | None = None

    @property
    def transports(self) -> TransportLayer:
        return self

    # -- listeners ------------------------------------------------------------

    def listen(self, *descriptors: str) -> list[Listener]:
        """Listen where *descriptors* say (see transport.descriptors); return the listeners, one for each address.

        :raises ConfigurationError: with every fault; nothing is left open then.
        """
        return open_listeners(self, descriptors)

    def relisten(self, settings: TransportSettings, before: Iterable[str], after: Iterable[str]) -> Relisten:
        """Prepare to listen where the descriptors *after* say rather than *before*, with other *settings*.

        :returns: what is to be committed or rolled back before the reactor goes on.
        :raises ConfigurationError: with every fault; everything is as before then.
        """
        return Relisten(self, settings, before, after)

    def adopt(self, settings: TransportSettings, contexts: TLSContexts) -> None:
        """Take other settings for what is opened from now on. For Relisten alone to call."""
        self.settings = self.connections.settings = self.sockets.settings = settings
        self.contexts = contexts

    def configure_datagrams(self) -> None:
        """Have the datagram sockets follow the settings."""
        for protocol in self._datagrams:
            protocol.configure(self.settings)

    def opened(self, place: Place) -> None:
        """Remember the socket of *place*, to be closed by :meth:`stop`."""
        self.places.append(place)

    def backlog(self) -> float:
        """How full the fullest receive buffer of our datagram sockets is, 0.0 to 1.0."""
        ports = [place.port for place in self.places]
        return max((port.backlog() for port in ports if isinstance(port, SIPUDPPort)), default=0.0)

    @property
    def listeners(self) -> list[Listener]:
        """Where messages arrive."""
        return self.addresses.all

    def listening(self, kind: TransportKind, address: Address, advertise: str | None = None) -> Listener:
        """Note that messages of *kind* arrive at *address*; return the listener, the known one if it is known already.

        For ports that somebody else opens: ``port = yield endpoint.listen(SIPFactory(element))``, then this.

        :param advertise: what to tell peers instead of the address; None for what the settings say.
        """
        return self.addresses.add(kind, address, self.settings.advertise if advertise is None else advertise)

    def datagram_listening(self, protocol: SIPDatagramProtocol, address: Address, advertise: str | None) -> Listener:
        """A SIPDatagramProtocol has its socket."""
        self._datagrams.append(protocol)
        return self.listening(UDP, address, advertise)

    def datagram_stopped(self, protocol: SIPDatagramProtocol) -> None:
        """A SIPDatagramProtocol has lost its socket."""
        if protocol in self._datagrams:
            self._datagrams.remove(protocol)
            self.addresses.remove(protocol.listener)

    def is_local_address(self, host: str, port: int | None) -> bool:
        """Tell whether *host* and *port* are where we listen; without a port the transport's default one is meant."""
        return self.addresses.is_local(host, port)

    def ports(self) -> frozenset[int]:
        """Return the ports that are listened on or advertised."""
        return self.addresses.ports()

    # -- flows ----------------------------------------------------------------

    def datagram_flow(self, where: TransportKind | Listener, address: Address) -> Flow:
        """Return the flow to *address*, a numeric host and a port, by a socket of a kind or by a certain one.

        :raises TransportError: no socket reaches that address family.
        """
        if isinstance(where, Listener):
            for protocol in self._datagrams:
                if protocol.listener is where:
                    return protocol.flow(address)
            raise TransportError(f"{where} is closed")
        return self._datagram_socket(address.host).flow(address)

    def _datagram_socket(self, host: str) -> SIPDatagramProtocol:
        ipv6 = ":" in host
        if len(self._datagrams) == 1 and self._datagrams[0].ipv6 == ipv6:
            return self._datagrams[0]
        fitting = [protocol for protocol in self._datagrams if protocol.listener.ipv6 == ipv6]
        fitting = [protocol for protocol in fitting if not protocol.listener.retired] or fitting
        if not fitting:
            raise TransportError(f"no UDP socket for {'IPv6' if ipv6 else 'IPv4'} is open")
        if len(fitting) == 1:
            return fitting[0]
        source = self.addresses.source(host)
        near = is_loopback(host)
        best = fitting[0]
        for protocol in fitting:
            listener = protocol.listener
            if listener.address.host == source:
                return protocol
            if listener.wildcard or listener.loopback == near != best.listener.loopback:
                best = protocol
        return best

    def flow_to(self, destination: Destination) -> Flow | Deferred[Flow]:
        """Return a flow to *destination*: a value at once where no connection has to be opened for it.

        The Deferred fires with an open flow or fails with TransportError, at the latest after the connect and
        handshake timeouts.

        :raises TransportError: there can be none.
        """
        if not destination.kind.stream:
            address = destination.address
            datagrams = self._datagrams
            if len(datagrams) == 1 and datagrams[0].ipv6 == (":" in address.host):
                # One socket is usual: the same as below, without the search for it.
                return datagrams[0].flow(address)
            return self.datagram_flow(destination.kind, address)
        flow = self.connections.find(destination)
        if flow is not None:
            return flow
        if self._stopping is not None:
            raise TransportError("the transports are being closed")
        opening = self.connections.pending(destination)
        if opening is not None:
            return opening.wait()  # type: ignore[return-value]
        opening = self.connections.begin(destination)
        waiter = opening.wait()
        settings = self.settings
        # Whatever goes wrong below, nobody waits for longer than this.
        limit = settings.connect_timeout + settings.handshake_timeout + 1
        deadline = self.clock.callLater(limit, opening.give_up, "it takes too long")
        opening.when_ended(deadline)
        opening.connecting = self.sockets.connect(destination, self._outbound(opening), self.contexts)
        opening.connecting.addErrback(opening.failed)
        return waiter  # type: ignore[return-value]

    def _outbound(self, opening: Opening) -> Callable[[], SIPStreamProtocol]:
        def build() -> SIPStreamProtocol:
            protocol = SIPStreamProtocol(self, opening.destination.kind, opening)
            self._protocols.add(protocol)
            return protocol

        return build

    def flow_from_token(self, token: str) -> Flow | None:
        """Return the open flow that *token* names, None if it is gone (RFC 5626 section 5.3)."""
        addresses = parse_datagram_token(token)
        if addresses is None:
            return self.connections.by_token(token)
        local, remote = addresses
        for protocol in self._datagrams:
            if protocol.listener.address == local:
                return protocol.flow(remote)
        return None

    def next_stream_token(self) -> str:
        """Return a token that names the next connection."""
        self._serial += 1
        return stream_token(self._boot, self._serial)

    # -- messages in ----------------------------------------------------------

    def received(self, message: Request | Response, data: bytes | None, flow: Flow) -> None:
        """Take a message from a flow (RFC 3261 sections 18.1.2 and 18.2.1); *data* are its bytes if at hand."""
        receiver = self.receiver
        message.flow = flow
        watch = receiver.message_seen
        if watch is not None and data is None:
            data = message.to_bytes()
        if isinstance(message, Request):
            try:
                note_source(message, flow.remote)
            except RemoteProtocolError as error:
                error.message = message
                receiver.malformed(error, data or b"", flow)
                return
            if watch is not None:
                watch(message, data or b"", flow)
            receiver.request_received(message, flow)
        else:
            if watch is not None:
                watch(message, data or b"", flow)
            via = message.headers.parsed.get("via") or message.top_via
            sent_by = via.sent_by
            if sent_by in self.addresses.own or sent_by == flow.sent_by:
                receiver.response_received(message, flow)

    def malformed(self, error: RemoteProtocolError, data: bytes, flow: Flow) -> None:
        """Take what cannot be read; the source is noted where its Via can be, so that the answer finds its way."""
        message = error.message
        if message is not None:
            message.flow = flow
            if isinstance(message, Request):
                # A Via that cannot be read names no other way back than the one it came (RFC 4475 section 3.1.2.1).
                with contextlib.suppress(RemoteProtocolError):
                    note_source(message, flow.remote)
                if "via" not in message.headers.names:
                    # No answer would find its transaction.
                    error.message = None
        self.receiver.malformed(error, data, flow)

    def destination_refused(self, address: Address) -> None:
        """An ICMP error says that UDP to *address* does not arrive."""
        self.receiver.destination_refused(address)

    def stun_received(self, data: bytes, flow: Flow) -> None:
        """Take a STUN datagram that is no Binding request."""
        waiter = self.stun_waiters.get(data[8:20])
        if waiter is not None:
            waiter(data, flow)

    # -- connections ----------------------------------------------------------

    def peer_identities(self, transport: Any, opening: Opening | None) -> tuple[str, ...]:
        """Return the SIP domain identities of the peer of a finished TLS handshake.

        :raises TransportError: we opened the connection and the peer did not prove the name we look for.
        """
        identities = self.contexts.peer_identities(transport)
        if opening is not None and self.settings.tls.verify_peers:
            name = opening.destination.name
            if not proves(identities, name):
                known = ", ".join(identities) or "nothing"
                raise TransportError(f"the certificate of {opening.destination.address} proves {known}, not {name}")
        return identities

    def connection_begun(self, protocol: SIPStreamProtocol) -> None:
        """A peer opens a connection."""
        self._protocols.add(protocol)

    def connected(self, flow: StreamFlow, opening: Opening | None) -> None:
        """A connection is usable."""
        self.connections.add(flow)
        if opening is not None:
            opening.succeeded(flow)
        elif not self.addresses.covers(flow.kind, flow.local):
            # Somebody else's port, made with SIPFactory: where a peer reached us is where we listen.
            self.listening(flow.kind, flow.local)

    def disconnected(self, flow: StreamFlow) -> None:
        """A connection is gone, or going."""
        self.connections.remove(flow)
        self.receiver.flow_closed(flow)

    def connection_ended(self, protocol: SIPStreamProtocol) -> None:
        """The socket of a connection is closed."""
        self._protocols.discard(protocol)
        self.connections.ended += 1
        self._check_stopped()

    # -- end ------------------------------------------------------------------

    def stop(self) -> Deferred[None]:
        """Close every socket that :meth:`opened` knows and every connection.

        :returns: a Deferred that fires with None once all are closed, after ``close_timeout`` at the latest.
        """
        done: Deferred[None] = Deferred()
        if self._stopping is not None:
            self._stopping.chainDeferred(done)
            return done
        self._stopping = done
        ports = [*[place.port for place in self.places], *self.retiring.stop()]
        self._open_ports = len(ports)
        for port in ports:
            stopped = port.stopListening()
            if isinstance(stopped, Deferred):
                stopped.addBoth(self._port_closed)
            else:
                self._open_ports -= 1
        self.places = []
        for opening in self.connections.openings():
            opening.give_up("the transports are being closed")
        for protocol in list(self._protocols):
            protocol.close()
        self._check_stopped()
        return done

    def _port_closed(self, _: Any) -> None:
        self._open_ports -= 1
        self._check_stopped()

    def _check_stopped(self) -> None:
        done = self._stopping
        if done is not None and not done.called and not self._protocols and not self._open_ports:
            self.addresses.clear()
            done.callback(None)


def _unknown_source(host: str) -> str:
    return ""
