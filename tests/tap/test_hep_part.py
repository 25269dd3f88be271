"""Where copies of messages go: names that have no address yet, that change, or that IPv6 alone has."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from twisted_sip.console.settings import HEPSettings
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.request import Request
from twisted_sip.tap import hep_part
from twisted_sip.tap.hep_part import LOOK_AGAIN, HEPPart

DATA = b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n\r\n"


class Socket:
    """A UDP port that notes what is sent, and to whom."""

    def __init__(self, protocol: Any, interface: str) -> None:
        self.interface = interface
        self.sent: list[tuple[str, int]] = []
        self._protocol = protocol
        protocol.makeConnection(self)

    def write(self, data: bytes, where: tuple[str, int]) -> None:
        self.sent.append(where)

    def getHost(self) -> Any:
        return (IPv6Address if ":" in self.interface else IPv4Address)("UDP", self.interface, 40000)

    def stopListening(self) -> None:
        self._protocol.transport = None


class Net(Clock):
    """A reactor with names and sockets of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {}
        self.sockets: list[Socket] = []
        self.full = False
        self.nameResolver = self

    def resolveHostName(self, receiver: Any, name: str, port: int, kinds: Sequence[type]) -> None:
        receiver.resolutionBegan(None)
        for host in self.names.get(name, []):
            kind = IPv6Address if ":" in host else IPv4Address
            if kind in kinds:
                receiver.addressResolved(kind("UDP", host, port))
        receiver.resolutionComplete()

    def listenUDP(self, port: int, protocol: Any, interface: str) -> Socket:
        if self.full:
            raise CannotListenError(interface, port, OSError(24, "too many open files"))
        self.sockets.append(Socket(protocol, interface))
        return self.sockets[-1]


class Log:
    """Notes what is said."""

    def __init__(self) -> None:
        self.lines: list[tuple[LogLevel, str]] = []

    def info(self, text: str, **fields: Any) -> None:
        self.lines.append((LogLevel.info, text.format(**fields)))

    def error(self, text: str, **fields: Any) -> None:
        self.lines.append((LogLevel.error, text.format(**fields)))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(hep_part, "_log", log)
    return log


def begun(net: Net, server: str) -> HEPPart:
    part = HEPPart()
    stage: Any = SimpleNamespace(reactor=net, configuration=SimpleNamespace(hep=HEPSettings(server=server)))
    part.links(stage, stage)
    return part


def copy(part: HEPPart) -> None:
    flow: Any = SimpleNamespace(local=Address("192.0.2.1", 5060), remote=Address("192.0.2.2", 5060), kind=UDP)
    ((sent, _),) = part.watchers()
    sent(Request("OPTIONS", "sip:a@b"), DATA, flow)


def test_a_name_without_an_address_is_looked_up_again(log: Log) -> None:
    net = Net()
    part = begun(net, "homer.example.com:9060")
    copy(part)
    net.advance(LOOK_AGAIN)
    assert log.lines == [
        (
            LogLevel.error,
            "hep.server: homer.example.com has no address; messages are not copied until that is mended",
        )
    ]
    net.names["homer.example.com"] = ["192.0.2.9"]
    net.advance(LOOK_AGAIN)
    copy(part)
    assert net.sockets[0].sent == [("192.0.2.9", 9060)]
    assert part.exporter is not None
    assert (part.exporter.exported, part.exporter.dropped) == (1, 1)
    assert log.lines[1:] == [(LogLevel.info, "messages are copied to 192.0.2.9 port 9060")]


def test_a_name_that_leads_elsewhere_is_followed(log: Log) -> None:
    net = Net()
    net.names["homer"] = ["192.0.2.9"]
    part = begun(net, "homer:9060")
    # What another version of IP says is of no use to the socket that is open.
    net.names["homer"] = ["2001:db8::9", "192.0.2.10"]
    net.advance(LOOK_AGAIN)
    copy(part)
    # A name server that is away for a while changes nothing.
    net.names.clear()
    net.advance(LOOK_AGAIN)
    copy(part)
    assert [socket.sent for socket in net.sockets] == [[("192.0.2.10", 9060)] * 2]


def test_a_name_that_ipv6_alone_has(log: Log) -> None:
    net = Net()
    net.names["homer"] = ["2001:db8::9"]
    part = begun(net, "homer:9060")
    copy(part)
    assert (net.sockets[0].interface, net.sockets[0].sent) == ("::", [("2001:db8::9", 9060)])


def test_without_a_socket_it_is_tried_again(log: Log) -> None:
    net = Net()
    net.names["homer"] = ["192.0.2.9"]
    net.full = True
    part = begun(net, "homer:9060")
    copy(part)
    assert "no socket to send from (too many open files)" in log.lines[0][1]
    net.full = False
    net.advance(LOOK_AGAIN)
    copy(part)
    assert net.sockets[0].sent == [("192.0.2.9", 9060)]


async def closed(part: HEPPart) -> None:
    await part.close()


def test_an_end_leaves_nothing_behind(log: Log) -> None:
    net = Net()
    part = begun(net, "homer:9060")
    waiting: list[Any] = []
    net.resolveHostName = lambda receiver, *_: waiting.append(receiver)  # type: ignore[method-assign]
    net.advance(LOOK_AGAIN)
    exporter = part.exporter
    with pytest.raises(StopIteration):
        closed(part).send(None)
    waiting[0].resolutionComplete()
    assert net.getDelayedCalls() == [] and exporter is not None and part.watchers() == []


def test_copies_after_the_end_are_dropped(log: Log) -> None:
    net = Net()
    part = begun(net, "192.0.2.9:9060")
    ((sent, _),) = part.watchers()
    exporter = part.exporter
    with pytest.raises(StopIteration):
        closed(part).send(None)
    flow: Any = SimpleNamespace(local=Address("192.0.2.1", 5060), remote=Address("192.0.2.2", 5060), kind=UDP)
    sent(Request("OPTIONS", "sip:a@b"), DATA, flow)
    assert exporter is not None and exporter.dropped == 1
