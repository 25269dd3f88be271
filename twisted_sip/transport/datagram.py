"""SIP over UDP: one socket and its flows (RFC 3261 section 18, RFC 3581, RFC 5626 section 3.5.2).

The path of a datagram is short on purpose: keep-alive test, admission, parsing, dispatch. Sending is one system call.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet import interfaces
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol

from twisted_sip.errors import MessageTooLarge, RemoteProtocolError, TransportError
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.transport_kind import UDP, TransportKind
from twisted_sip.message.ordinary import read_ordinary
from twisted_sip.message.parser import parse_with_care
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.stun.binding import binding_answer
from twisted_sip.stun.message import looks_like_stun
from twisted_sip.transport.flow_tokens import datagram_token
from twisted_sip.transport.listener import Listener
from twisted_sip.transport.receiver import HasTransports
from twisted_sip.transport.settings import TransportSettings
from twisted_sip.transport.source import datagram_reply_address
from twisted_sip.transport.udp_port import SIPUDPPort, set_receive_buffer

#: The largest UDP payload; IP and UDP headers leave this much of 65,535 (section 18.1.1).
MAX_DATAGRAM = 65535

# What the kernel says when its buffers are full: the datagram is lost, as datagrams are.
_LOST = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR))
_TOO_LARGE = errno.EMSGSIZE


class DatagramFlow:
    """A UDP socket and a peer's address."""

    __slots__ = ("_protocol", "_sent_by", "_token", "kind", "local", "remote")

    # Asked for many times for each message; those of a class are slower to find.
    kind: TransportKind
    identities: tuple[str, ...] = ()
    #: The address of our socket.
    local: Address
    remote: Address

    def __init__(self, protocol: SIPDatagramProtocol, remote: Address) -> None:
        self._protocol = protocol
        self.kind = UDP
        self.local = protocol.listener.address
        self.remote = remote
        self._token = ""
        self._sent_by = ""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, DatagramFlow) and other._protocol is self._protocol and other.remote == self.remote

    def __hash__(self) -> int:
        return hash(self.remote)

    def __repr__(self) -> str:
        return f"<DatagramFlow {self.local} to {self.remote}>"

    @property
    def sent_by(self) -> str:
        """``host:port`` for the Via of a request that leaves here (RFC 3261 section 18.1.1)."""
        sent_by = self._sent_by
        if not sent_by:
            sent_by = self._sent_by = self._protocol.sent_by_for(self.remote)
        return sent_by

    @property
    def open(self) -> bool:
        """True while the socket listens."""
        return self._protocol.transport is not None

    @property
    def token(self) -> str:
        """A text that names this flow, also after a restart (RFC 5626 section 5.2)."""
        token = self._token
        if not token:
            token = self._token = datagram_token(self.local, self.remote)
        return token

    def send(self, data: bytes, message: Request | Response) -> None:
        """Send one datagram.

        :raises MessageTooLarge: it does not fit into a datagram.
        :raises TransportError: the network says that it does not get there.
        """
        protocol = self._protocol
        sendto = protocol.sendto
        if sendto is None:
            protocol.send_to(data, self.remote)
        else:
            # As send_to() does, without the call.
            try:
                sendto(data, self.remote)
            except OSError as error:
                protocol.send_failed(error, data, self.remote)
            except OverflowError as error:
                raise TransportError(f"cannot send to {self.remote.host}: {error}") from error
        watch = protocol.layer.receiver.message_sent
        if watch is not None:
            watch(message, data, self)

    def send_keep_alive(self, data: bytes) -> None:
        """Send *data* that is no SIP message.

        :raises TransportError: the network says that it does not get there.
        """
        self._protocol.send_to(data, self.remote)

    def reply_flow(self, request: Request) -> Flow:
        """The flow for responses to *request* (RFC 3261 section 18.2.2, RFC 3581 section 4)."""
        try:
            via = request.headers.parsed.get("via") or request.top_via
            # Mostly known from the way in.
            address = via.reply_address or datagram_reply_address(via)
        except (RemoteProtocolError, ValueError):
            # No Via to go by.
            return self
        if address is None or address == self.remote:
            return self
        bare, scope, _ = self.remote.host.partition("%")
        if scope and address.host == bare:
            # A link-local address is nothing without its scope, which stays out of the Via.
            address = Address(self.remote.host, address.port)
        return self._protocol.flow(address)

    def close_after_writing(self) -> None:
        """Do nothing: a socket that serves everybody is not closed for one peer's mistake."""


class SIPDatagramProtocol(DatagramProtocol):
    """SIP over one UDP socket: ``reactor.listenUDP(5060, SIPDatagramProtocol(element), maxPacketSize=65535)``.

    :ivar layer: the TransportLayer it belongs to.
    :ivar listener: its address; known once it listens.
    :ivar ipv6: the family of its address.
    :ivar sendto: the method of the socket, None where there is none that is ours to use.
    :ivar lost: datagrams that the kernel had no room for.
    """

    noisy = False

    def __init__(self, element: HasTransports, advertise: str | None = None) -> None:
        """Make a protocol for *element*.

        :param advertise: what to tell peers instead of the local address; None for what the settings say.
        """
        self.layer = element.transports
        self._advertise = advertise
        self.sendto: Callable[[bytes, tuple[str, int]], Any] | None = None
        self._fresh: dict[tuple[str, int], DatagramFlow] = {}
        self._stale: dict[tuple[str, int], DatagramFlow] = {}
        self._capacity = max(1, self.layer.settings.datagram_flows // 2)
        self._limits = self.layer.settings.messages
        self._receive_buffer = self.layer.settings.receive_buffer
        self.ipv6 = False
        self.lost = 0

    # -- the socket -----------------------------------------------------------

    def startProtocol(self) -> None:
        transport: Any = self.transport
        host = transport.getHost()
        self.listener: Listener = self.layer.datagram_listening(self, Address(host.host, host.port), self._advertise)
        self.ipv6 = self.listener.ipv6
        if interfaces.ISystemHandle.providedBy(transport):
            sock: Any = transport.getHandle()
            self.sendto = sock.sendto
            if self.layer.settings.receive_buffer:
                set_receive_buffer(sock, self.layer.settings.receive_buffer)

    def configure(self, settings: TransportSettings) -> None:
        """Follow other *settings*: limits, receive buffer, fairness; peers may know us by another name, too."""
        self._capacity = max(1, settings.datagram_flows // 2)
        self._limits = settings.messages
        transport: Any = self.transport
        if isinstance(transport, SIPUDPPort):
            transport.per_wakeup = settings.datagrams_per_wakeup
            transport.gather = settings.gather
            if settings.receive_buffer and settings.receive_buffer != self._receive_buffer:
                set_receive_buffer(transport.getHandle(), settings.receive_buffer)  # type: ignore[no-untyped-call]
        self._receive_buffer = settings.receive_buffer
        # Flows remember what they call us.
        self._fresh.clear()
        self._stale.clear()

    def stopProtocol(self) -> None:
        self.sendto = None
        self.transport = None
        self._fresh.clear()
        self._stale.clear()
        self.layer.datagram_stopped(self)

    # -- flows ----------------------------------------------------------------

    def flow(self, address: tuple[str, int]) -> DatagramFlow:
        """Return the flow to *address*, a numeric host and a port."""
        flow = self._fresh.get(address)
        if flow is None:
            flow = self._stale.get(address)
            if flow is None:
                flow = DatagramFlow(self, Address(*address))
            # Two generations keep the lately used ones and bound the rest, at no cost per eviction.
            if len(self._fresh) >= self._capacity:
                self._stale = self._fresh
                self._fresh = {}
            self._fresh[flow.remote] = flow
        return flow

    def sent_by_for(self, remote: Address) -> str:
        """Return the sent-by for what goes to *remote*."""
        return str(self.layer.addresses.sent_by(self.listener, remote.host))

    # -- receiving ------------------------------------------------------------

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        if not data or data[0] < 0x21:
            # No SIP message begins with a control character: keep-alives, STUN, or empty lines before a message.
            if not self._is_message(data, addr):
                return
        layer = self.layer
        receiver = layer.receiver
        if not receiver.admit(addr[0]):
            return
        flow = self._fresh.get(addr) or self.flow(addr)
        try:
            # As parse_message() does, without the call.
            message = read_ordinary(data, self._limits) or parse_with_care(data, self._limits)
        except RemoteProtocolError as error:
            layer.malformed(error, data, flow)
            return
        layer.received(message, data, flow)

    def _is_message(self, data: bytes, addr: tuple[str, int]) -> bool:
        """Deal with what is no SIP message; say whether it is one after all."""
        if looks_like_stun(data):
            # RFC 5626 section 3.5.2.
            if self.layer.receiver.admit(addr[0]):
                answer = binding_answer(data, addr[0], addr[1])
                if answer is not None:
                    self._answer(answer, addr)
                else:
                    self.layer.stun_received(data, self.flow(addr))
            return False
        # CRLF (RFC 5626 section 3.5.1 is for streams) and the zero octets that phones send to keep a NAT open.
        rest = data.lstrip(b"\r\n \t")
        return bool(rest) and rest[0] >= 0x21

    def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            self.send_to(data, addr)
        except TransportError:
            # The peer asks again if it still cares (RFC 8489 section 6.2.1).
            self.lost += 1

    # -- sending --------------------------------------------------------------

    def send_to(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send *data* to *addr*, a numeric host and a port.

        :raises MessageTooLarge: it does not fit into a datagram.
        :raises TransportError: the network says that it does not get there, or the socket is closed.
        """
        sendto = self.sendto
        try:
            if sendto is not None:
                # Twisted's write() checks the spelling of every address anew; flows have numeric hosts only.
                sendto(data, addr)
            elif self.transport is not None:
                self.transport.write(data, addr)
            else:
                raise TransportError(f"{self.listener} is closed")
        except OSError as error:
            self.send_failed(error, data, addr)
        except MessageLengthError:
            raise MessageTooLarge(f"{len(data)} bytes do not fit into a datagram") from None
        except (InvalidAddressError, OverflowError) as error:
            raise TransportError(f"cannot send to {addr[0]}: {error}") from error

    def send_failed(self, error: OSError, data: bytes, addr: tuple[str, int]) -> None:
        """Deal with *error*, which came of sending *data*.

        :raises MessageTooLarge: as :meth:`send_to`.
        :raises TransportError: as :meth:`send_to`.
        """
        code = error.errno
        if code in _LOST:
            self.lost += 1
            return
        if self.sendto is not None:
            # With IP_RECVERR the error may be about an earlier datagram to somebody else: report that one, try again.
            drain = getattr(self.transport, "drain_errors", None)
            if drain is not None and drain():
                try:
                    self.sendto(data, addr)
                    return
                except OSError as again:
                    error = again
                    code = again.errno
        if code in _LOST:
            self.lost += 1
        elif code == _TOO_LARGE:
            raise MessageTooLarge(f"{len(data)} bytes do not fit into a datagram") from error
        else:
            raise TransportError(f"cannot send to {Address(*addr[:2])}: {error.strerror or error}") from error

    def refused(self, address: Address) -> None:
        """An ICMP error came back for a datagram to *address* (RFC 3261 section 18.4)."""
        self.layer.destination_refused(address)
