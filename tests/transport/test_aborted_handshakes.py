"""TLS handshakes that peers give up at every stage, over loopback: nothing of them is left, be there 100,000.

``ABORTED_HANDSHAKES`` says how many (3,000 by default).
"""

from __future__ import annotations

import gc
import os
import socket
import struct
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Cooperator, deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.self_signed import make_self_signed
from twisted_sip.transport.settings import CertificateFiles, TLSSettings, TransportSettings
from twisted_sip.transport.stream import SIPStreamProtocol

from .trickling import MESSAGE, client_hello

reactor: Any = installed

HANDSHAKES = int(os.environ.get("ABORTED_HANDSHAKES", "3000"))
#: How many at a time.
ABREAST = 20
#: Bytes by which the process may grow over the second half; half of 100,000 that left 200 bytes each would be more.
GROWTH = 8 * 1024 * 1024


class Nobody:
    """A Receiver that hears nothing."""

    message_seen = message_sent = None

    def __init__(self) -> None:
        self.heard = 0

    def admit(self, host: str) -> bool:
        return True

    def request_received(self, request: Any, flow: Any) -> None:
        self.heard += 1

    response_received = request_received

    def malformed(self, error: Any, data: bytes, flow: Any) -> None:
        self.heard += 1

    def flow_closed(self, flow: Any) -> None:
        pass

    def destination_refused(self, address: Any) -> None:
        pass


class Quitter(Protocol):
    """Sends the beginning of a handshake, and is gone: at once, or when the server has said something.

    :param data: what to send.
    :param waits: wait for an answer.
    :param resets: leave by RST rather than by FIN.
    """

    def __init__(self, data: bytes, waits: bool, resets: bool) -> None:
        self.data = data
        self.waits = waits
        self.resets = resets
        self.over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        if self.data:
            transport.write(self.data)
        if not self.waits:
            self._quit()

    def dataReceived(self, data: bytes) -> None:
        if self.waits:
            self.waits = False
            self._quit()

    def _quit(self) -> None:
        transport: Any = self.transport
        if self.resets:
            # Unsent data would be lost by an abort; this way only the FIN is.
            sock = transport.getHandle()
            sock = getattr(sock, "_sock", sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(None)


@implementer(IOpenSSLClientConnectionCreator)
class AnyServer:
    """Makes the client side of TLS connections that believe everybody."""

    def __init__(self) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class Finisher(Quitter):
    """Finishes the handshake, and is gone in the middle of a message."""

    def _quit(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def alive(*types: type[Any]) -> int:
    gc.collect()
    return sum(isinstance(each, types) for each in gc.get_objects())


class AbortedHandshakes(TestCase):
    # However long it takes: there is nothing to be in time for.
    timeout = 3600

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        files = CertificateFiles(private_key=f"{directory.name}/k.pem", certificate=f"{directory.name}/c.pem")
        key, certificate = make_self_signed(["example.com"], datetime.now(UTC))
        Path(files.private_key).write_bytes(key)
        Path(files.certificate).write_bytes(certificate)
        settings = TransportSettings(tls=TLSSettings(certificates=(files,)))
        self.nobody = Nobody()
        self.layer = TransportLayer(reactor, self.nobody, settings)
        self.layer.listen("tls:0:interface=127.0.0.1")
        self.port = self.layer.listeners[0].address.port
        self.creator = AnyServer()
        hello = client_hello()
        self.stages = [
            (b"", False),
            (hello[:1], False),
            (hello[: len(hello) // 2], False),
            (hello, False),
            (hello, True),
            (hello[:5] + b"\xff" * (len(hello) - 5), True),
            (MESSAGE, True),
            (hello + hello, True),
        ]
        self.addCleanup(self.layer.stop)

    def _one(self, number: int) -> Deferred[None]:
        if number % 9 == 8:
            quitter: Quitter = Finisher(MESSAGE[:40], False, True)
        else:
            data, waits = self.stages[number % 9]
            quitter = Quitter(data, waits, number % 2 == 0)
        factory: Any = Factory.forProtocol(lambda: quitter)
        factory.noisy = False
        if isinstance(quitter, Finisher):
            factory = TLSMemoryBIOFactory(self.creator, True, factory)
        factory.startedConnecting = lambda connector: None
        factory.clientConnectionLost = lambda connector, reason: None
        factory.clientConnectionFailed = lambda connector, reason: quitter.over.errback(reason)
        reactor.connectTCP("127.0.0.1", self.port, factory)
        return quitter.over

    def _some(self, count: int) -> Deferred[Any]:
        numbers = iter(range(count))
        cooperator = Cooperator()
        return gatherResults([cooperator.coiterate(map(self._one, numbers)) for _ in range(ABREAST)])

    @inlineCallbacks
    def _settled(self) -> Any:
        """Wait until the server has seen the end of all, however long that takes."""
        while self.layer._protocols:
            yield deferLater(reactor, 0.02, lambda: None)

    @inlineCallbacks
    def test_nothing_is_left(self) -> Any:
        yield self._some(HANDSHAKES // 4)
        yield self._settled()
        sockets, objects = descriptors(), alive(SIPStreamProtocol, TLSMemoryBIOProtocol, SSL.Connection)
        timers = len(reactor.getDelayedCalls())
        yield self._some(HANDSHAKES // 4)
        yield self._settled()
        gc.collect()
        memory = resident()
        yield self._some(HANDSHAKES // 2)
        yield self._settled()
        connections = self.layer.connections
        self.assertEqual((len(connections), connections.inbound, connections._sources), (0, 0, {}))
        self.assertEqual(self.nobody.heard, 0)
        # Fewer, where the collector has closed what tests before this one have left.
        self.assertLessEqual(descriptors(), sockets)
        # Exceptions in log events would keep all of them, by their frames.
        self.assertLessEqual(alive(SIPStreamProtocol, TLSMemoryBIOProtocol, SSL.Connection), objects)
        self.assertLessEqual(len(reactor.getDelayedCalls()), timers)
        gc.collect()
        self.assertLess(resident() - memory, GROWTH)
