"""Scripted peers: send what you like, see what comes, message by message.

A test says what it expects and the network runs until it is there::

    peer = Peer(network.node("192.0.2.9"))
    peer.send("OPTIONS sip:example.com SIP/2.0\\nVia: ...", to=("192.0.2.1", 5060))
    assert peer.expect(200).headers.first("allow")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.python.failure import Failure

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.message.builders import response_to
from twisted_sip.message.framer import StreamFramer
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.testing.node import Node

#: What :meth:`Peer.expect` waits for: a method, a status, a test of the message, or None for anything.
Expected = str | int | Callable[[Request | Response], object] | None


@attrs.frozen(slots=True)
class Arrival:
    """Something that came.

    :ivar time: when, in seconds of the simulation.
    :ivar source: from where.
    :ivar data: the bytes, of one message over a stream.
    :ivar message: what they say, None if that is no message.
    """

    time: float
    source: Address
    data: bytes
    message: Request | Response | None


def on_the_wire(text: str | bytes) -> bytes:
    """Return *text* as a peer would send it. Of a str the line ends become CRLF, the head is closed by an empty line,
    and a Content-Length is added if there is none; bytes stay as they are."""
    if isinstance(text, bytes):
        return text
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    data = body.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    lines = head.rstrip("\n").split("\n")
    if not any(line.partition(":")[0].strip().lower() in ("content-length", "l") for line in lines):
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + data


class _Scripted:
    """What peers over datagrams and streams share."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.arrivals: list[Arrival] = []
        self._read = 0

    def _arrived(self, source: Address, data: bytes, message: Request | Response | None) -> None:
        self.arrivals.append(Arrival(self.node.seconds(), source, data, message))

    @property
    def messages(self) -> list[Request | Response]:
        """Every message that came, in order."""
        return [arrival.message for arrival in self.arrivals if arrival.message is not None]

    def expect(self, what: Expected = None, *, within: float = 5.0) -> Any:
        """Run the network until a message comes that was not expected before and is *what*; return it.

        Messages that are something else are passed over and not looked at again.

        :raises AssertionError: it does not come *within* as many seconds.
        """
        found: list[Request | Response] = []

        def came() -> bool:
            while self._read < len(self.arrivals) and not found:
                message = self.arrivals[self._read].message
                self._read += 1
                if message is not None and _is(message, what):
                    found.append(message)
            return bool(found)

        seen = self._read
        try:
            self.node.network.advance_until(came, within)
        except AssertionError:
            others = [_line(arrival) for arrival in self.arrivals[seen:]]
            raise AssertionError(f"no {what!r} within {within} s at {self.node.name}, but {others}") from None
        return found[0]

    def expect_nothing(self, *, within: float = 5.0) -> None:
        """Run the network for *within* seconds.

        :raises AssertionError: something came that was not expected before.
        """
        self.node.network.advance(within)
        others = [_line(arrival) for arrival in self.arrivals[self._read :]]
        if others:
            raise AssertionError(f"{self.node.name} got {others}")

    def skip(self) -> None:
        """Pass over everything that has come until now."""
        self._read = len(self.arrivals)


class Peer(_Scripted, DatagramProtocol):
    """A scripted peer on a UDP socket of *node*.

    :ivar arrivals: everything that came.
    """

    noisy = False

    def __init__(self, node: Node, port: int = 5060) -> None:
        super().__init__(node)
        self.address = Address(node.hosts[0], port)
        node.listenUDP(port, self, interface=node.hosts[0], maxPacketSize=65535)

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        message: Request | Response | None
        try:
            message = parse_message(data)
        except RemoteProtocolError:
            message = None
        self._arrived(Address(*addr[:2]), data, message)

    def send(self, message: str | bytes | Request | Response, to: tuple[str, int]) -> None:
        """Send *message* (see :func:`on_the_wire`) to the host and port *to*."""
        transport: Any = self.transport
        transport.write(_bytes(message), tuple(to))

    def answer(
        self,
        request: Request,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        to_tag: str = "peer",
    ) -> Response:
        """Answer *request*, which came here, to where it came from; return what was sent.

        Record-Route is copied, as RFC 3261 section 12.1.1 asks.
        """
        source = next(arrival.source for arrival in reversed(self.arrivals) if arrival.message is request)
        response = _answer(request, status, headers, body, to_tag)
        self.send(response, source)
        return response


class StreamPeer(_Scripted, Protocol):
    """A scripted peer on one connection; see :func:`connect` and :class:`StreamAcceptor`.

    :ivar closed: the other side has closed the connection.
    :ivar keep_alives: how many double CRLF came.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.closed = False
        self.keep_alives = 0
        self._framer = StreamFramer()

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        peer = transport.getPeer()
        for event in self._framer.feed(data):
            if isinstance(event, Request | Response):
                self._arrived(Address(peer.host, peer.port), event.to_bytes(), event)
            elif isinstance(event, RemoteProtocolError):
                self._arrived(Address(peer.host, peer.port), event.message.to_bytes() if event.message else b"", None)
            else:
                self.keep_alives += 1

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.closed = True

    def send(self, message: str | bytes | Request | Response) -> None:
        """Send *message* (see :func:`on_the_wire`)."""
        transport: Any = self.transport
        transport.write(_bytes(message))

    def answer(
        self,
        request: Request,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        to_tag: str = "peer",
    ) -> Response:
        """Answer *request* over this connection; return what was sent."""
        response = _answer(request, status, headers, body, to_tag)
        self.send(response)
        return response

    def close(self) -> None:
        """Close the connection."""
        transport: Any = self.transport
        transport.loseConnection()


class StreamAcceptor(Factory):
    """Listens on a TCP port of *node* and makes a :class:`StreamPeer` of each connection.

    :ivar peers: one for each connection that was made to it.
    """

    noisy = False

    def __init__(self, node: Node, port: int = 5060) -> None:
        self.node = node
        self.peers: list[StreamPeer] = []
        node.listenTCP(port, self, interface=node.hosts[0])

    def buildProtocol(self, addr: Any) -> StreamPeer:
        peer = StreamPeer(self.node)
        self.peers.append(peer)
        return peer


class _Connector(ClientFactory):
    noisy = False

    def __init__(self, peer: StreamPeer) -> None:
        self.peer = peer
        self.done = False
        self.failure: Failure | None = None

    def buildProtocol(self, addr: Any) -> StreamPeer:
        self.done = True
        return self.peer

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.done = True
        self.failure = reason


def connect(node: Node, to: tuple[str, int]) -> StreamPeer:
    """Run the network until *node* has a connection to the host and port *to*; return its end.

    :raises twisted.internet.error.ConnectError: there can be none.
    """
    factory = _Connector(StreamPeer(node))
    node.connectTCP(to[0], to[1], factory)
    node.network.advance_until(lambda: factory.done, 60.0)
    if factory.failure is not None:
        factory.failure.raiseException()
    return factory.peer


def _bytes(message: str | bytes | Request | Response) -> bytes:
    return message.to_bytes() if isinstance(message, Request | Response) else on_the_wire(message)


def _answer(request: Request, status: int, headers: Iterable[tuple[str, str]], body: bytes, to_tag: str) -> Response:
    routes = [("record-route", value) for value in request.headers.all("record-route")]
    return response_to(request, status, headers=[*routes, *headers], body=body, to_tag=to_tag)


def _is(message: Request | Response, what: Expected) -> bool:
    if what is None:
        return True
    if isinstance(what, str):
        return isinstance(message, Request) and message.method == what
    if isinstance(what, int):
        return isinstance(message, Response) and message.status == what
    return bool(what(message))


def _line(arrival: Arrival) -> str:
    return arrival.data.split(b"\r\n", 1)[0].decode("utf-8", "replace")
