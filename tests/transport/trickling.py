"""Peers on a simulated network that connect, and then take their time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from twisted_sip.testing.network import Network
from twisted_sip.transport.certificates import utc_now
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.self_signed import make_self_signed
from twisted_sip.transport.settings import CertificateFiles, TLSSettings, TransportSettings

HOST = "192.0.2.1"
PORTS = {"tcp": 5060, "tls": 5061}

MESSAGE = (
    b"OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
    b"Content-Length: 0\r\n\r\n"
)
LONG = MESSAGE.replace(b"Content-Length: 0", b"Content-Length: 5000")


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """Makes the client side of TLS connections that believe everybody."""

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)


class Peer(Protocol):
    """One connection.

    :ivar closed_at: when the server has closed it, None as long as it is open.
    """

    def __init__(self, stage: Stage, host: str) -> None:
        self.stage = stage
        self.host = host
        self.heard = b""
        self.closed_at: float | None = None
        self._began = stage.network.clock.seconds()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        if self.closed_at is None:
            self.closed_at = self.stage.network.clock.seconds() - self._began

    def say(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data)

    def trickle(self, data: bytes, every: float) -> None:
        """Send one byte of *data* at a time, until the connection is closed."""
        self._next(iter(data), every)

    def _next(self, rest: Iterator[int], every: float) -> None:
        if self.closed_at is not None:
            return
        byte = next(rest, None)
        if byte is not None:
            self.say(bytes([byte]))
            self.stage.network.clock.callLater(every, self._next, rest, every)

    def repeat(self, data: bytes, every: float) -> None:
        """Send *data* again and again."""
        if self.closed_at is None:
            self.say(data)
            self.stage.network.clock.callLater(every, self.repeat, data, every)


class Stage:
    """A server that listens over TCP and TLS, and peers."""

    def __init__(self, recorder: Any, directory: Path, **settings: Any) -> None:
        self.network = Network(7)
        self.node: Any = self.network.node(HOST)
        self.directory = directory
        self.recorder = recorder
        self._nodes: dict[str, Any] = {}
        self.files = CertificateFiles(private_key=str(directory / "k.pem"), certificate=str(directory / "c.pem"))
        self.renew()
        tls = TLSSettings(certificates=(self.files,))
        self.settings = TransportSettings(tls=tls, **settings)
        self.layer = TransportLayer(self.node, recorder, self.settings, boot="b")
        self.listen = [f"{name}:{port}:interface={HOST}" for name, port in PORTS.items()]
        self.layer.listen(*self.listen)

    def renew(self, name: str = "example.com") -> bytes:
        """Write another certificate; return it."""
        key, certificate = make_self_signed([name], utc_now())
        Path(self.files.private_key).write_bytes(key)
        Path(self.files.certificate).write_bytes(certificate)
        return certificate

    def connect(self, kind: str, host: str = "192.0.2.9", *, raw: bool = False, wait: float = 0.5) -> Peer:
        """Open a connection; over TLS the handshake is done, unless it is *raw*.

        :param wait: seconds for that, 0 for what has to be there at once.
        """
        node = self._nodes.get(host) or self._nodes.setdefault(host, self.network.node(host))
        made: list[Peer] = []

        class One(Factory):
            noisy = False

            def buildProtocol(factory, addr: Any) -> Peer:
                made.append(Peer(self, host))
                return made[0]

        factory: Any = One()
        if kind == "tls" and not raw:
            factory = TLSMemoryBIOFactory(ClientTLS(), True, factory, clock=node)
        factory.startedConnecting = factory.clientConnectionFailed = factory.clientConnectionLost = _nothing
        node.connectTCP(HOST, PORTS[kind], factory)
        self.network.advance(wait)
        while not made:
            self.network.advance(0.001)
        return made[0]

    def forget(self) -> None:
        """Let go of what simulated nodes keep of calls of the clock that are over."""
        for node in (self.node, *self._nodes.values()):
            node._calls = {call: None for call in node._calls if call.active()}

    def leftovers(self) -> dict[str, int]:
        """Return what is not empty of the tables of connections."""
        layer = self.layer
        found = {
            "connections": len(layer.connections),
            "inbound": layer.connections.inbound,
            "sources": len(layer.connections._sources),
            "protocols": len(layer._protocols),
            "timers": len(self.node.getDelayedCalls()),
            "streams": len(self.node.streams),
        }
        return {name: count for name, count in found.items() if count}


def _nothing(*args: Any) -> None:
    pass


def client_hello() -> bytes:
    """Return the first flight of a TLS client."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    connection.set_connect_state()
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return connection.bio_read(65536)
    raise AssertionError("there was nobody to shake hands with")
