"""What the transport tests share: a receiver that records, a layer without real sockets, transports made of lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.testing import MemoryReactorClock, StringTransport

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.settings import TransportSettings
from twisted_sip.transport.stream import SIPFactory, SIPStreamProtocol


def stream_address(host: str, port: int) -> Any:
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


class Recorder:
    """A Receiver that keeps what it gets and answers malformed requests with their status."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.errors: list[RemoteProtocolError] = []
        self.closed: list[Flow] = []
        self.refused: list[Address] = []
        self.admitted = True
        self.message_sent: Any = None
        self.message_seen: Any = None

    def admit(self, source_host: str) -> bool:
        return self.admitted

    def request_received(self, request: Request, flow: Flow) -> None:
        assert request.flow == flow
        self.requests.append(request)

    def response_received(self, response: Response, flow: Flow) -> None:
        self.responses.append(response)

    def malformed(self, error: RemoteProtocolError, data: bytes, flow: Flow) -> None:
        self.errors.append(error)
        if isinstance(error.message, Request):
            response = response_to(error.message, error.status, error.reason)
            flow.reply_flow(error.message).send(response.to_bytes(), response)

    def flow_closed(self, flow: Flow) -> None:
        self.closed.append(flow)

    def destination_refused(self, address: Address) -> None:
        self.refused.append(address)


class DatagramTransport:
    """An IUDPTransport that keeps what is written."""

    def __init__(self, host: str, port: int) -> None:
        self.address = (IPv6Address if ":" in host else IPv4Address)("UDP", host, port)
        self.written: list[tuple[bytes, tuple[str, int]]] = []
        self.error: Exception | None = None

    def getHost(self) -> Any:
        return self.address

    def write(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.error is not None:
            raise self.error
        self.written.append((data, addr))

    def stopListening(self) -> None:
        """Nothing to close."""


@pytest.fixture
def clock() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make_layer(clock: MemoryReactorClock, recorder: Recorder) -> Callable[..., TransportLayer]:
    def make(**settings: Any) -> TransportLayer:
        return TransportLayer(clock, recorder, TransportSettings(**settings), node="n1", boot="b1")

    return make


@pytest.fixture
def layer(make_layer: Callable[..., TransportLayer]) -> TransportLayer:
    return make_layer()


@pytest.fixture
def open_udp() -> Callable[..., tuple[SIPDatagramProtocol, DatagramTransport]]:
    def open_it(layer: TransportLayer, host: str = "192.0.2.10", port: int = 5060) -> Any:
        protocol = SIPDatagramProtocol(layer)
        transport = DatagramTransport(host, port)
        protocol.makeConnection(transport)
        return protocol, transport

    return open_it


@pytest.fixture
def come_in() -> Callable[..., tuple[SIPStreamProtocol, StringTransport]]:
    """A peer opens a connection to us."""

    def come(
        layer: TransportLayer,
        peer: tuple[str, int] = ("198.51.100.7", 40000),
        host: tuple[str, int] = ("192.0.2.10", 5060),
        kind: TransportKind | None = None,
    ) -> Any:
        protocol = SIPFactory(layer, kind).buildProtocol(stream_address(*peer))
        transport = StringTransport(stream_address(*host), stream_address(*peer))
        protocol.makeConnection(transport)
        return protocol, transport

    return come


@pytest.fixture
def options() -> Callable[..., bytes]:
    """Make an OPTIONS request as bytes."""

    def make(via: str = "SIP/2.0/UDP 198.51.100.7:40000;branch=z9hG4bK1", body: bytes = b"", extra: str = "") -> bytes:
        head = (
            f"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\n"
            f"{extra}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return make


@pytest.fixture
def ok() -> Callable[[str], bytes]:
    """Make a 200 as bytes."""

    def make(via: str) -> bytes:
        return (
            f"SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>;tag=2\r\n"
            "Call-ID: c1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    return make
