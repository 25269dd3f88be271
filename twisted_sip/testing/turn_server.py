"""A small STUN and TURN server for tests, over UDP (RFC 8489, RFC 8656), which can be told to misbehave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.protocol import DatagramProtocol

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.stun.binding import decode_xor_address, encode_address, encode_xor_address
from twisted_sip.stun.message import (
    ALTERNATE_SERVER,
    BINDING,
    INDICATION,
    REQUEST,
    SUCCESS,
    XOR_MAPPED_ADDRESS,
    STUNMessage,
    parse_stun,
)
from twisted_sip.stun.server import LongTermServer, Signature, answer, error_response, unknown_response
from twisted_sip.stun.turn import (
    ALLOCATE,
    CHANNEL_BIND,
    CHANNEL_LIFETIME,
    CHANNEL_NUMBER,
    CREATE_PERMISSION,
    DATA,
    DATA_INDICATION,
    DEFAULT_LIFETIME,
    LIFETIME,
    PERMISSION_LIFETIME,
    REFRESH,
    REQUESTED_TRANSPORT,
    SEND,
    TURN_ATTRIBUTES,
    UDP_TRANSPORT,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    channel_data,
    is_channel_data,
    lifetime,
    parse_channel_data,
    parse_channel_number,
    parse_lifetime,
)


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Relay(DatagramProtocol):
    """The relayed address of one allocation."""

    def __init__(self, server: TURNServerProtocol, client: Address) -> None:
        self._server = server
        self._client = client

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._server.from_peer(self._client, Address(*addr[:2]), datagram)


@attrs.define(eq=False)
class Allocation:
    """What the server keeps for one client.

    :ivar permissions: until when, by host.
    :ivar channels: the peer and until when, by number.
    """

    username: str
    relayed: Address
    port: Any
    until: float
    transaction_id: bytes
    permissions: dict[str, float] = attrs.Factory(dict)
    channels: dict[int, tuple[Address, float]] = attrs.Factory(dict)


class TURNServerProtocol(DatagramProtocol):
    """Listen with it: ``reactor.listenUDP(3478, server, interface=host)``.

    :param reactor: gives relayed addresses and the time.
    :param passwords: by username; empty asks for no authentication.
    :ivar refuse: error codes by method, each for all requests until it is taken out.
    :ivar allocations: by the client's address.
    :ivar alternate: where Allocate requests are redirected to with 300, None to serve them.
    :ivar lifetime: seconds of an allocation at most.
    :ivar relayed: how many datagrams were relayed, either way.
    :ivar requests: (method, error code or 0) of all requests, in order.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        passwords: Mapping[str, str] | None = None,
        *,
        realm: str = "example.org",
        **options: Any,
    ) -> None:
        self._reactor = reactor
        self._host = host
        self.transport: Any = None
        self.verifier: LongTermServer | None = None
        if passwords:
            self.verifier = LongTermServer(realm, passwords, b"a secret of tests", reactor.seconds, **options)
        self.refuse: dict[int, int] = {}
        self.allocations: dict[Address, Allocation] = {}
        self.alternate: Address | None = None
        self.lifetime = DEFAULT_LIFETIME
        self.relayed = 0
        self.requests: list[tuple[int, int]] = []

    def close(self) -> None:
        """Drop every allocation, as a restart does."""
        for client in list(self.allocations):
            self._delete(client)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        client = Address(*addr[:2])
        self._expire()
        if is_channel_data(datagram):
            self._channel_data(client, datagram)
            return
        try:
            message = parse_stun(datagram)
        except RemoteProtocolError:
            return
        if message.message_class == INDICATION and message.method == SEND:
            self._send(client, message)
        elif message.message_class == REQUEST:
            response = self._respond(client, message, datagram)
            error = parse_stun(response).error
            self.requests.append((message.method, error[0] if error else 0))
            self.transport.write(response, addr)

    def from_peer(self, client: Address, peer: Address, data: bytes) -> None:
        """*peer* has written to the relayed address of *client* (RFC 8656 section 11.3)."""
        self._expire()
        allocation = self.allocations.get(client)
        if allocation is None or allocation.permissions.get(peer.host, 0.0) <= self._reactor.seconds():
            return
        self.relayed += 1
        for number, (bound, until) in allocation.channels.items():
            if bound == peer and until > self._reactor.seconds():
                self.transport.write(channel_data(number, data), client)
                return
        transaction_id = bytes(12)
        attributes = ((XOR_PEER_ADDRESS, encode_xor_address(*peer, transaction_id)), (DATA, data))
        message = STUNMessage(DATA_INDICATION, INDICATION, transaction_id, attributes)
        self.transport.write(message.to_bytes(), client)

    # -- requests ------------------------------------------------------------------------

    def _respond(self, client: Address, request: STUNMessage, data: bytes) -> bytes:
        signature: Signature | None = None
        if request.method != BINDING and self.verifier is not None:
            checked = self.verifier.check(data, request, client)
            if isinstance(checked, bytes):
                return checked
            signature = checked
        unknown = request.unknown_beyond(TURN_ATTRIBUTES)
        if unknown:
            return unknown_response(request, unknown, signature)
        try:
            attributes = self._serve(client, request, signature.username if signature else "")
        except _Refused as refused:
            extra = ()
            if refused.code == 300 and self.alternate is not None:
                return error_response(request, 300, ((ALTERNATE_SERVER, encode_address(*self.alternate)),), signature)
            return error_response(request, refused.code, extra, signature)
        except RemoteProtocolError:
            return error_response(request, 400, signature=signature)
        return answer(request, SUCCESS, attributes, signature)

    def _serve(self, client: Address, request: STUNMessage, username: str) -> tuple[tuple[int, bytes], ...]:
        mapped = (XOR_MAPPED_ADDRESS, encode_xor_address(*client, request.transaction_id))
        if request.method in self.refuse:
            raise _Refused(self.refuse[request.method])
        if request.method == BINDING:
            return (mapped,)
        if request.method == ALLOCATE:
            return (*self._allocate(client, request, username), mapped)
        allocation = self.allocations.get(client)
        if allocation is None:
            raise _Refused(437)
        if allocation.username != username:
            raise _Refused(441)
        if request.method == REFRESH:
            return self._refresh(client, allocation, request)
        now = self._reactor.seconds()
        peers = [Address(*decode_xor_address(each, request.transaction_id)) for each in request.all(XOR_PEER_ADDRESS)]
        if not peers or request.method not in (CREATE_PERMISSION, CHANNEL_BIND):
            raise _Refused(400)
        if any((":" in peer.host) != (":" in allocation.relayed.host) for peer in peers):
            raise _Refused(443)
        if request.method == CHANNEL_BIND:
            number = parse_channel_number(request.first(CHANNEL_NUMBER) or b"")
            for known, (peer, _) in allocation.channels.items():
                if (known == number) is not (peer == peers[0]):
                    raise _Refused(400)
            allocation.channels[number] = (peers[0], now + CHANNEL_LIFETIME)
        for peer in peers:
            allocation.permissions[peer.host] = now + PERMISSION_LIFETIME
        return ()

    def _allocate(self, client: Address, request: STUNMessage, username: str) -> tuple[tuple[int, bytes], ...]:
        if self.alternate is not None:
            raise _Refused(300)
        transport = request.first(REQUESTED_TRANSPORT)
        if transport is None:
            raise _Refused(400)
        if transport != UDP_TRANSPORT:
            raise _Refused(442)
        allocation = self.allocations.get(client)
        if allocation is None:
            port = self._reactor.listenUDP(0, _Relay(self, client), interface=self._host)
            relayed = Address(self._host, port.getHost().port)
            until = self._reactor.seconds() + self.lifetime
            allocation = Allocation(username, relayed, port, until, request.transaction_id)
            self.allocations[client] = allocation
        elif allocation.transaction_id != request.transaction_id:
            raise _Refused(437)
        return (
            (XOR_RELAYED_ADDRESS, encode_xor_address(*allocation.relayed, request.transaction_id)),
            (LIFETIME, lifetime(self.lifetime)),
        )

    def _refresh(self, client: Address, allocation: Allocation, request: STUNMessage) -> tuple[tuple[int, bytes], ...]:
        if parse_lifetime(request) == 0:
            self._delete(client)
            return ((LIFETIME, lifetime(0)),)
        allocation.until = self._reactor.seconds() + self.lifetime
        return ((LIFETIME, lifetime(self.lifetime)),)

    # -- data ------------------------------------------------------------------------------

    def _send(self, client: Address, message: STUNMessage) -> None:
        value, data = message.first(XOR_PEER_ADDRESS), message.first(DATA)
        if value is not None and data is not None:
            self._to_peer(client, Address(*decode_xor_address(value, message.transaction_id)), data)

    def _channel_data(self, client: Address, datagram: bytes) -> None:
        number, data = parse_channel_data(datagram)
        allocation = self.allocations.get(client)
        if allocation is not None and number in allocation.channels:
            self._to_peer(client, allocation.channels[number][0], data)

    def _to_peer(self, client: Address, peer: Address, data: bytes) -> None:
        allocation = self.allocations.get(client)
        if allocation is not None and allocation.permissions.get(peer.host, 0.0) > self._reactor.seconds():
            self.relayed += 1
            allocation.port.write(data, (peer.host, peer.port))

    def _expire(self) -> None:
        for client, allocation in list(self.allocations.items()):
            if allocation.until <= self._reactor.seconds():
                self._delete(client)

    def _delete(self, client: Address) -> None:
        self.allocations.pop(client).port.stopListening()
