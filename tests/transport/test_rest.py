"""How a socket's rest ends."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from twisted_sip.transport.rest import KernelRest, ReactorRest, make_rest
from twisted_sip.transport.udp_port import SIPUDPPort

PATIENCE = 30.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel has no timers to be read")


class Readers:
    """A reactor that knows who wants to read."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


def is_over(rest: KernelRest, within: float) -> bool:
    return bool(select.select([rest], [], [], within)[0])


@pytest.fixture
def reactor() -> Iterator[Any]:
    """A reactor of this system, which runs when it is told to."""
    if sys.platform != "linux":
        pytest.skip("there is no epoll")
    from twisted.internet.epollreactor import EPollReactor

    made: Any = EPollReactor()
    yield made
    made.disconnectAll()
    for internal in made._internalReaders:
        internal.connectionLost(None)
    made._poller.close()


def test_by_the_clock_of_the_reactor() -> None:
    clock = Clock()
    over: list[float] = []
    rest = make_rest(clock, lambda: over.append(clock.seconds()))
    assert isinstance(rest, ReactorRest)
    for _ in range(2):
        rest.start(0.02)
        clock.advance(0.02)
    assert over == pytest.approx([0.02, 0.04])
    rest.start(0.02)
    rest.close()
    rest.close()
    assert not clock.getDelayedCalls()


@linux
def test_by_a_timer_of_the_kernel() -> None:
    readers = Readers()
    over: list[int] = []
    rest = KernelRest(readers, lambda: over.append(1))
    assert readers.readers == {rest} and not is_over(rest, 0)
    rest.doRead()
    assert over == []
    for count in (1, 2):
        rest.start(0.001)
        assert is_over(rest, PATIENCE)
        rest.doRead()
        assert over == [1] * count and not is_over(rest, 0)
    # What fails is logged; the reactor would let go of the descriptor.
    rest._over = lambda: 1 // 0
    rest.start(0.001)
    assert is_over(rest, PATIENCE)
    rest.doRead()
    # No time at all is no time, and not for ever.
    rest.start(0.0)
    assert is_over(rest, PATIENCE)
    descriptor = rest.fileno()
    rest.connectionLost(None)  # type: ignore[arg-type]
    rest.close()
    assert not readers.readers
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@linux
def test_a_reactor_of_this_system(reactor: Any) -> None:
    over: list[int] = []
    rest = make_rest(reactor, lambda: over.append(1))
    assert isinstance(rest, KernelRest)
    rest.start(0.001)
    end = time.monotonic() + PATIENCE
    while not over and time.monotonic() < end:
        reactor.doIteration(1.0)
    assert over == [1]


@linux
@pytest.mark.parametrize("made", [object(), type("Library", (), {"timerfd_create": lambda self, kind, flags: -1})()])
def test_a_system_that_has_none(reactor: Any, monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **named: made)
    assert isinstance(make_rest(reactor, print), ReactorRest)


class Heard(DatagramProtocol):
    """Counts what comes."""

    count = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.count += 1


@linux
def test_a_clock_that_is_set_back_makes_nobody_deaf(reactor: Any) -> None:
    back = 0.0
    reactor.seconds = lambda: time.time() - back
    heard = Heard()
    port = SIPUDPPort(0, heard, "127.0.0.1", 65535, reactor, gather=0.02)
    port.startListening()
    sent = 0
    end = time.monotonic() + PATIENCE
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        while not port._resting and time.monotonic() < end:
            sender.sendto(b"x", port.socket.getsockname())
            sent += 1
            reactor.doIteration(0.0)
        assert port._resting
        back = 3600.0
        sender.sendto(b"x", port.socket.getsockname())
        while heard.count <= sent and time.monotonic() < end:
            reactor.runUntilCurrent()
            reactor.doIteration(0.1)
    assert heard.count == sent + 1
