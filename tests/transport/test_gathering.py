"""A busy UDP socket rests once it has been read empty, so that several datagrams are read at once."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from twisted_sip.transport.rounds import Rounds
from twisted_sip.transport.udp_port import SIPUDPPort

GATHER = 0.02
PATIENCE = 30.0


class Reactor(Clock):
    """Knows who wants to read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        pass


class Heard(DatagramProtocol):
    """Counts what comes, and when."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor, self.times = reactor, []
        self.times: list[float]

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.times.append(self.reactor.seconds())


class House:
    """A port, somebody who sends, and time."""

    def __init__(self, gather: float, **how: Any) -> None:
        self.reactor = Reactor()
        self.rounds = Rounds(self.reactor)
        self.reactor.advance(1000.0)
        self.heard = Heard(self.reactor)
        self.port = SIPUDPPort(
            0, self.heard, "127.0.0.1", 65535, self.reactor, gather=gather, rounds=self.rounds, **how
        )
        self.port.startListening()
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.wakeups = 0

    @property
    def reading(self) -> bool:
        return self.port in self.reactor.readers

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            self.sender.sendto(b"x", self.port.socket.getsockname())
        if count:
            # A busy system may take its time.
            assert select.select([self.port.socket], [], [], PATIENCE)[0]

    def go(self, rate: int, milliseconds: int) -> None:
        """Send at a *rate* and wake the port as a reactor would."""
        for step in range(milliseconds):
            some = (step + 1) * rate // 1000 - step * rate // 1000
            self.send(some)
            if some and self.reading:
                self.wakeups += 1
                self.port.doRead()
            self.reactor.advance(0.001)

    def until_it_rests(self) -> None:
        for _ in range(100):
            self.go(1000, 100)
            if not self.reading:
                return
        raise AssertionError("it never rests")


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[House] = []

    def build(gather: float = GATHER, **how: Any) -> House:
        made.append(House(gather, **how))
        return made[-1]

    yield build
    for house in made:
        house.sender.close()
        if house.port.connected:
            house.port.stopListening()
        house.reactor.advance(1)
        assert not house.reactor.getDelayedCalls() and not house.reactor.readers


def test_where_little_comes_nothing_waits(make: Any) -> None:
    house = make()
    house.go(100, 1000)
    assert house.wakeups == len(house.heard.times) == 100 and house.reading


def test_where_much_comes_it_is_read_together(make: Any) -> None:
    house = make()
    house.go(1000, 1000)
    # Until it is known how many come, each wakes it up.
    assert 900 < len(house.heard.times) <= 1000 and house.wakeups < 130
    gaps = {later - sooner for sooner, later in pairwise(house.heard.times)}
    assert max(gaps) <= GATHER + 0.0011
    # It ends when nothing more comes.
    house.reactor.advance(GATHER)
    assert len(house.heard.times) == 1000
    for _ in range(10):
        house.reactor.advance(GATHER)
    assert house.reading and not house.reactor.getDelayedCalls()
    house.go(100, 200)
    assert len(house.heard.times) == 1020 and house.reading


def test_the_more_comes_the_shorter_it_waits(make: Any) -> None:
    house = make(per_wakeup=1000)
    house.go(10_000, 500)
    late = [time for time in house.heard.times if time > 1000.3]
    gaps = [later - sooner for sooner, later in pairwise(late)]
    assert max(gaps) <= 48 / 10_000 + 0.0011


def test_what_comes_in_large_pieces_counts_as_well(make: Any) -> None:
    """More than is read in one go, each time."""
    house = make(per_wakeup=16)
    rests: list[float] = []
    for _ in range(30):
        house.send(32)
        for _ in range(3):
            if house.reading:
                house.port.doRead()
        rests += [call.getTime() - house.reactor.seconds() for call in house.reactor.getDelayedCalls()]
        house.reactor.advance(0.01)
    assert rests[-1] == pytest.approx(48 / 3200, rel=0.2)


def test_a_clock_that_is_set_back(make: Any) -> None:
    """It is not busy for as long as that."""
    house = make()
    house.until_it_rests()
    house.reactor.rightNow -= 900.0
    for call in house.reactor.getDelayedCalls():
        call.reset(0.01)
    for _ in range(10):
        house.reactor.advance(GATHER)
    assert house.reading and not house.reactor.getDelayedCalls()


def test_what_is_not_read_empty_is_read_on_at_once(make: Any) -> None:
    house = make(per_wakeup=4)
    house.go(1000, 500)
    house.reactor.pump([0.001] * 1000)
    assert house.reading
    house.send(10)
    house.port.doRead()
    assert house.reading


def test_it_may_be_turned_off(make: Any) -> None:
    house = make(gather=0.0)
    house.go(1000, 500)
    assert house.wakeups == 500 == len(house.heard.times)


def test_it_is_closed_while_it_rests(make: Any) -> None:
    house = make()
    house.until_it_rests()
    house.port.stopListening()
    house.reactor.advance(1)
    assert not house.port.connected


def test_threads_report_once_it_has_been_read(make: Any) -> None:
    house = make()
    house.until_it_rests()
    heard: list[int] = []
    before = len(house.heard.times)
    house.rounds.callFromThread(lambda: heard.append(len(house.heard.times)))
    house.send(7)
    assert not heard
    house.reactor.advance(GATHER)
    assert heard == [len(house.heard.times)] and heard[0] >= before + 7


def test_threads_report_when_it_is_closed_while_it_rests(make: Any) -> None:
    house = make()
    house.until_it_rests()
    heard: list[int] = []
    house.rounds.callFromThread(heard.append, 1)
    house.port.stopListening()
    house.reactor.advance(0)
    assert heard == [1]


def test_errors_while_it_rests(make: Any) -> None:
    house = make()
    house.until_it_rests()
    house.port.readConnectionLost(None)
    assert not house.reading
    for _ in range(10):
        house.reactor.advance(GATHER)
    assert house.reading
