"""The transports over real sockets of this host, on ports that nobody else uses."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.trial.unittest import SkipTest, TestCase

from twisted_sip.errors import MessageTooLarge, TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.request import Request
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.self_signed import make_self_signed
from twisted_sip.transport.settings import TLSSettings, TransportSettings
from twisted_sip.transport.stream import SIPFactory

reactor: Any = installed


class Element:
    """Answers each request with 200 and fires Deferreds for what it waits for."""

    message_seen = message_sent = None

    def __init__(self, settings: TransportSettings | None = None) -> None:
        self.transports = TransportLayer(reactor, self, settings)
        self.waiting: dict[str, Deferred[Any]] = {}
        self.requests: list[Request] = []

    def wait(self, what: str) -> Deferred[Any]:
        made: Deferred[Any] = Deferred()
        made.addTimeout(10, reactor)
        self.waiting[what] = made
        return made

    def _came(self, what: str, value: Any) -> None:
        if what in self.waiting:
            self.waiting.pop(what).callback(value)

    def admit(self, host: str) -> bool:
        return True

    def request_received(self, request: Any, flow: Any) -> None:
        self.requests.append(request)
        response = response_to(request, 200, to_tag="t")
        flow.reply_flow(request).send(response.to_bytes(), response)
        self._came("request", request)

    def response_received(self, response: Any, flow: Any) -> None:
        self._came("response", response)

    def malformed(self, error: Any, data: bytes, flow: Any) -> None:
        self._came("error", error)

    def flow_closed(self, flow: Any) -> None:
        self._came("closed", flow)

    def destination_refused(self, address: Address) -> None:
        self._came("refused", address)


def options(flow: Any, body: bytes = b"") -> Request:
    request = build_request(
        "OPTIONS", "sip:x@example.com", from_="<sip:a@example.com>;tag=1", to="<sip:x@example.com>", call_id="c", cseq=1
    )
    request.body = body
    request.headers.prepend("via", f"SIP/2.0/{flow.kind} {flow.sent_by};branch=z9hG4bK1;rport")
    return request


class LoopbackTests(TestCase):
    timeout = 30

    def directory(self) -> Path:
        """Return a directory of this test's own, outside of the source tree."""
        made = TemporaryDirectory()
        self.addCleanup(made.cleanup)
        return Path(made.name)

    def element(self, *descriptors: str, **settings: Any) -> Element:
        made = Element(TransportSettings(**settings))
        made.transports.listen(*descriptors)
        self.addCleanup(made.transports.stop)
        return made

    @inlineCallbacks
    def exchange(self, client: Element, destination: Destination, body: bytes = b"") -> Any:
        flow = client.transports.flow_to(destination)
        if isinstance(flow, Deferred):
            flow = yield flow
        request = options(flow, body)
        answered = client.wait("response")
        flow.send(request.to_bytes(), request)
        response = yield answered
        self.assertEqual(response.status, 200)
        return flow

    @inlineCallbacks
    def test_udp(self) -> Any:
        server = self.element("udp:0:interface=127.0.0.1")
        client = self.element("udp:0:interface=127.0.0.1")
        address = server.transports.listeners[0].address
        flow = yield self.exchange(client, Destination(UDP, address, "127.0.0.1"))
        self.assertEqual(server.requests[0].top_via.rport, flow.local.port)
        # The largest payload there is (RFC 3261 section 18.1.1).
        size = 65507 - len(options(flow, b"x" * 60000).to_bytes()) + 60000
        yield self.exchange(client, Destination(UDP, address, "127.0.0.1"), b"x" * size)
        self.assertEqual(len(server.requests[1].body), size)
        with self.assertRaises(MessageTooLarge):
            flow.send(b"x" * 65508, server.requests[0])

    @inlineCallbacks
    def test_udp_ipv6(self) -> Any:
        if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
            raise SkipTest("no IPv6 here")
        try:
            server = self.element(r"udp:0:interface=\:\:1", "tcp:0:interface=[::1]")
        except Exception as error:
            raise SkipTest(f"no IPv6 here: {error}") from error
        client = self.element("udp:0:interface=[::1]")
        for listener in server.transports.listeners:
            yield self.exchange(client, Destination(listener.kind, listener.address, "::1"))
        self.assertEqual(server.requests[0].top_via.received, "::1")

    @inlineCallbacks
    def test_refused_datagrams_are_heard_of_and_cost_nothing(self) -> Any:
        if sys.platform != "linux":
            raise SkipTest("Linux tells ICMP errors to unconnected sockets, others do not")
        server = self.element("udp:0:interface=127.0.0.1")
        client = self.element("udp:0:interface=127.0.0.1")
        there = Destination(UDP, server.transports.listeners[0].address, "127.0.0.1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            dead = Address(*unused.getsockname())
        flow = client.transports.datagram_flow(UDP, dead)
        for _ in range(3):
            refused = client.wait("refused")
            flow.send(b"OPTIONS", options(flow))
            self.assertEqual((yield refused), dead)
            yield self.exchange(client, there)
        # An error that waits when somebody else is sent to is not theirs.
        flow.send(b"OPTIONS", options(flow))
        yield self.exchange(client, there)

    @inlineCallbacks
    def test_tcp_is_reused(self) -> Any:
        server = self.element("tcp:0:interface=127.0.0.1")
        client = Element()
        self.addCleanup(client.transports.stop)
        there = Destination(TCP, server.transports.listeners[0].address, "127.0.0.1")
        first = yield self.exchange(client, there)
        second = yield self.exchange(client, there, b"x" * 50000)
        self.assertIs(first, second)
        self.assertEqual(len(server.transports.connections), 1)
        closed = client.wait("closed")
        server.transports.connections.flows()[0].close_after_writing()
        self.assertIs((yield closed), first)
        third = yield self.exchange(client, there)
        self.assertIsNot(third, first)

    @inlineCallbacks
    def test_tcp_refused(self) -> Any:
        client = Element()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = Address(*unused.getsockname())
        yield self.assertFailure(client.transports.flow_to(Destination(TCP, dead, "x")), TransportError)

    @inlineCallbacks
    def test_tls(self) -> Any:
        directory = self.directory()
        key, certificate = make_self_signed(["example.com"], datetime.now(UTC))
        (directory / "k.pem").write_bytes(key)
        (directory / "c.pem").write_bytes(certificate)
        server = self.element(f"tls:0:interface=127.0.0.1:privateKey={directory}/k.pem:certKey={directory}/c.pem")
        client = self.element(tls=TLSSettings(trust_roots=str(directory / "c.pem")))
        address = server.transports.listeners[0].address
        flow = yield self.exchange(client, Destination(TLS, address, "example.com"), b"x" * 50000)
        self.assertEqual(flow.identities, ("example.com",))
        wrong = client.transports.flow_to(Destination(TLS, address, "example.net"))
        yield self.assertFailure(wrong, TransportError)

    @inlineCallbacks
    def test_ports_of_the_user(self) -> Any:
        """``SIPDatagramProtocol(element)`` and ``SIPFactory(element)`` with ports that somebody else opens."""
        directory = self.directory()
        key, certificate = make_self_signed(["example.com"], datetime.now(UTC))
        (directory / "both.pem").write_bytes(key + certificate)
        server = Element()
        udp = reactor.listenUDP(0, SIPDatagramProtocol(server), maxPacketSize=65535)
        tcp = yield TCP4ServerEndpoint(reactor, 0).listen(SIPFactory(server))
        tls = yield serverFromString(reactor, f"ssl:0:privateKey={directory}/both.pem").listen(SIPFactory(server))
        client = self.element("udp:0:interface=127.0.0.1", tls=TLSSettings(trust_roots=str(directory / "both.pem")))
        for kind, port in ((UDP, udp), (TCP, tcp), (TLS, tls)):
            address = Address("127.0.0.1", port.getHost().port)
            yield self.exchange(client, Destination(kind, address, "example.com"))
            self.assertIs(server.requests[-1].flow.kind, kind)
        self.assertTrue(server.transports.is_local_address("127.0.0.1", udp.getHost().port))
        # Requests of its own over the wildcard socket name the address that faces the peer.
        there = client.transports.listeners[0].address
        flow = yield self.exchange(server, Destination(UDP, there, "127.0.0.1"))
        self.assertEqual(flow.sent_by, f"127.0.0.1:{udp.getHost().port}")
        for port in (udp, tcp, tls):
            yield port.stopListening()
        yield server.transports.stop()

    def test_busy_port_is_one_line(self) -> None:
        from twisted_sip.errors import ConfigurationError

        server = self.element("udp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1")
        udp, tcp = (listener.address.port for listener in server.transports.listeners)
        other = Element()
        with self.assertRaises(ConfigurationError) as caught:
            other.transports.listen(f"udp:{udp}:interface=127.0.0.1", f"tcp:{tcp}:interface=127.0.0.1")
        self.assertEqual(len(caught.exception.problems), 2)
        self.assertIn("in use", caught.exception.problems[0])
