"""Web sites of a server: how many connections they take, and how long one keeps its place."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from twisted_sip.tap.web_site import BoundedSite, WebConnections

WHOLE = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


class Page(Resource):
    """Answers at once, or never."""

    isLeaf = True
    slow = False
    asked: Any = None

    def render(self, request: Any) -> Any:
        self.asked = request
        return NOT_DONE_YET if self.slow else b"here"


class Wire(StringTransport):
    """A connection; one that is closed waits for its peer, as with bytes that nobody reads."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class Desk:
    """A site and connections to it."""

    def __init__(self, most: int = 5, most_per_source: int = 2) -> None:
        self.clock = Clock()
        self.page = Page()
        self.connections = WebConnections(most, most_per_source)
        self.door = self.connections.bounded(BoundedSite(self.page, self.clock))

    def connect(self, host: str = "192.0.2.7") -> Any:
        kind = IPv6Address if ":" in host else IPv4Address
        protocol = self.door.buildProtocol(kind("TCP", host, 4000))
        if protocol is not None:
            protocol.wire = Wire()
            protocol.makeConnection(protocol.wire)
        return protocol


def lost(protocol: Any) -> None:
    protocol.connectionLost(Failure(ConnectionError()))


def test_so_many_of_one_source() -> None:
    desk = Desk()
    first, second = desk.connect(), desk.connect()
    assert desk.connect() is None and desk.connect("192.0.2.8") is not None
    lost(first)
    assert desk.connect() is not None and desk.connect() is None
    lost(second)
    assert len(desk.connections) == 2


def test_so_many_in_all() -> None:
    desk = Desk()
    # This machine is no source of its own: a server before us stands there.
    made = [desk.connect(host) for host in ("127.0.0.1",) * 3 + ("::1",) * 2]
    assert None not in made and desk.connect("192.0.2.8") is None
    for protocol in made:
        lost(protocol)
    assert len(desk.connections) == 0 and not desk.clock.getDelayedCalls()


def test_a_network_is_one_source() -> None:
    desk = Desk()
    assert desk.connect("2001:db8::1") and desk.connect("2001:db8::2")
    assert desk.connect("2001:db8::3") is None and desk.connect("2001:db8:0:1::1") is not None


@pytest.mark.parametrize(
    "head", [b"", b"GET /x HTTP/1.1\r\nX: ", b"PUT /x HTTP/1.1\r\nContent-Length: 9999\r\n\r\n", b"\r\n"]
)
def test_requests_that_drop_in_byte_by_byte(head: bytes) -> None:
    """Something comes all the time, and never all of it."""
    desk = Desk()
    protocol = desk.connect()
    protocol.dataReceived(head or b"G")
    for _ in range(29):
        desk.clock.advance(1)
        protocol.dataReceived(b"\n" if head == b"\r\n" else b"x")
    assert not protocol.wire.aborted
    desk.clock.advance(1)
    assert protocol.wire.aborted
    lost(protocol)
    assert len(desk.connections) == 0 and not desk.clock.getDelayedCalls()


def test_one_request_after_the_other() -> None:
    """Each has its time; one that is being answered has none, and a connection without any is closed in the end."""
    desk = Desk()
    protocol = desk.connect()
    for _ in range(10):
        protocol.dataReceived(WHOLE[:9])
        desk.clock.advance(20)
        protocol.dataReceived(WHOLE[9:])
        desk.clock.advance(20)
    assert protocol.wire.value().count(b"here") == 10
    desk.page.slow = True
    protocol.dataReceived(WHOLE + WHOLE[:9])
    desk.clock.advance(500)
    assert not protocol.wire.aborted
    desk.page.asked.finish()
    desk.clock.advance(29)
    assert not protocol.wire.aborted
    desk.clock.advance(1)
    assert protocol.wire.aborted


def test_connections_on_which_nothing_comes() -> None:
    desk = Desk()
    protocol = desk.connect()
    desk.clock.advance(60)
    assert protocol.wire.disconnecting
    desk.clock.advance(15)
    assert protocol.wire.aborted


@pytest.mark.parametrize("request_text", [b"GET /x HTTP/1.0\r\n\r\n", b"nonsense\r\n\r\n"])
def test_peers_that_do_not_read(request_text: bytes) -> None:
    """The connection is closed after the answer, which nobody takes."""
    desk = Desk()
    protocol = desk.connect()
    protocol.dataReceived(request_text)
    assert protocol.wire.disconnecting and not protocol.wire.aborted
    desk.clock.advance(15)
    assert protocol.wire.aborted
    lost(protocol)
    assert not desk.clock.getDelayedCalls()


def test_http_2_is_not_agreed_on() -> None:
    assert BoundedSite(Page(), Clock()).acceptableProtocols() == [b"http/1.1"]
