"""What waits until a socket has rested: timers, and what threads have done."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.transaction.timers import TimerQueue
from twisted_sip.transport.rounds import Rounds


class Reactor:
    """Keeps what threads want called."""

    def __init__(self) -> None:
        self.wanted: deque[Callable[[], object]] = deque()

    def callFromThread(self, callable: Callable[[], object]) -> None:
        self.wanted.append(callable)

    def turn(self) -> None:
        while self.wanted:
            self.wanted.popleft()()


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def rounds(reactor: Reactor) -> Rounds:
    return Rounds(reactor)


@pytest.fixture
def done() -> list[Any]:
    return []


def test_where_nothing_rests_the_reactor_is_woken(rounds: Rounds, reactor: Reactor, done: list[Any]) -> None:
    rounds.callFromThread(done.append, 1)
    assert not done
    reactor.turn()
    assert done == [1]


def test_what_comes_meanwhile_waits_for_the_end(rounds: Rounds, reactor: Reactor, done: list[Any]) -> None:
    rounds.begin(0.02)
    for number in range(3):
        rounds.callFromThread(done.append, number)
    assert not reactor.wanted
    rounds.over()
    assert not done
    rounds.end()
    assert done == [0, 1, 2]


def test_of_two_sockets_the_first_is_enough(rounds: Rounds, reactor: Reactor, done: list[Any]) -> None:
    rounds.begin(0.02)
    rounds.begin(0.02)
    rounds.callFromThread(done.append, 1)
    rounds.over()
    rounds.callFromThread(done.append, 2)
    rounds.end()
    assert done == [1, 2] and not reactor.wanted
    rounds.over()
    rounds.callFromThread(done.append, 3)
    rounds.end()
    assert done == [1, 2, 3]
    reactor.turn()
    assert done == [1, 2, 3]


def test_what_that_leads_to_comes_in_the_next_round(rounds: Rounds, reactor: Reactor, done: list[Any]) -> None:
    rounds.begin(0.02)
    rounds.callFromThread(lambda: rounds.callFromThread(done.append, "later"))
    rounds.over()
    rounds.begin(0.02)
    rounds.end()
    assert not done and not reactor.wanted
    rounds.over()
    rounds.end()
    assert done == ["later"]


def test_one_that_fails_stops_nobody(rounds: Rounds, done: list[Any]) -> None:
    rounds.begin(0.02)
    rounds.callFromThread(lambda: 1 // 0)
    rounds.callFromThread(done.append, 1)
    rounds.over()
    rounds.end()
    assert done == [1]


def test_a_timer_that_fails_stops_nobody(done: list[Any]) -> None:
    clock = Clock()
    rounds = Rounds(clock)
    rounds.timers = timers = TimerQueue(clock)
    rounds.begin(0.02)
    timers.start(0.01, lambda: 1 // 0)
    timers.start(0.01, done.append, 1)
    rounds.callLater(0.01, lambda: done.append(2))
    clock.advance(0.02)
    rounds.over()
    rounds.end()
    assert done == [2]
    clock.advance(0.02)
    assert done == [2, 1]


def test_timers_may_be_late_for_as_long_as_it_goes_on(rounds: Rounds) -> None:
    clock = Clock()
    rounds.timers = timers = TimerQueue(clock)
    fired: list[float] = []

    def start(seconds: float) -> None:
        timers.start(seconds, lambda: fired.append(clock.seconds()))

    start(0.5)
    clock.advance(0.5)
    assert fired == [0.5]
    rounds.begin(0.02)
    start(0.5)
    clock.advance(0.51)
    rounds.over()
    rounds.begin(0.02)
    rounds.end()
    # Nobody has woken up for it.
    assert fired == [0.5, 1.01]
    start(0.5)
    clock.pump([0.5, 0.03, 0.02])
    assert fired == pytest.approx([0.5, 1.01, 1.56])
    rounds.over()
    rounds.end()
    start(0.5)
    clock.advance(0.5)
    assert fired[3:] == pytest.approx([2.06])
    assert not clock.getDelayedCalls()


def test_threads_that_report_at_any_moment() -> None:
    """Each report is told of once, whether a round ends at that moment or not."""
    reactor = Reactor()
    rounds = Rounds(reactor)
    done: list[tuple[int, int]] = []

    def report(thread: int) -> None:
        for number in range(2000):
            rounds.callFromThread(done.append, (thread, number))

    threads = [threading.Thread(target=report, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        rounds.begin(0.02)
        rounds.over()
        rounds.end()
        reactor.turn()
    for thread in threads:
        thread.join()
    # Nothing is left behind that only another round would find.
    reactor.turn()
    assert sorted(done) == [(thread, number) for thread in range(3) for number in range(2000)]
    assert all([number for who, number in done if who == thread] == list(range(2000)) for thread in range(3))


class Threads(Clock):
    """A clock that threads may report to."""

    def callFromThread(self, callable: Callable[[], object]) -> None:
        self.callLater(0, callable)


class Busy:
    """Rounds of 20 ms, and a way to say what is called when."""

    def __init__(self) -> None:
        self.clock = Threads()
        self.rounds = Rounds(self.clock)
        self.called: list[tuple[str, float]] = []

    def later(self, delay: float, name: str) -> Any:
        return self.rounds.callLater(delay, lambda: self.called.append((name, round(self.clock.seconds(), 3))))

    def round(self, *, last: bool = False) -> None:
        self.clock.advance(0.02)
        self.rounds.over()
        if not last:
            self.rounds.begin(0.02)
        self.rounds.end()


@pytest.fixture
def busy() -> Busy:
    return Busy()


def test_a_pause_where_nothing_rests(busy: Busy) -> None:
    busy.later(0.005, "one")
    busy.later(0.005, "never").cancel()
    busy.clock.advance(0.005)
    assert busy.called == [("one", 0.005)]
    assert not busy.clock.getDelayedCalls()


def test_a_pause_ends_with_the_nearest_round(busy: Busy) -> None:
    busy.rounds.begin(0.02)
    busy.later(0.005, "short")
    busy.later(0.05, "long")
    busy.later(0.03, "never").cancel()
    busy.round()
    # Its time would come before the next one ends.
    assert busy.called == [("short", 0.02)]
    busy.round()
    assert busy.called == [("short", 0.02), ("long", 0.04)]
    assert not busy.clock.getDelayedCalls()


def test_pauses_that_no_round_follows(busy: Busy) -> None:
    busy.rounds.begin(0.02)
    busy.later(0.05, "long")
    never = busy.later(0.05, "never")
    busy.round(last=True)
    never.cancel()
    assert busy.called == []
    busy.clock.advance(0.03)
    assert busy.called == [("long", 0.05)]
    assert not busy.clock.getDelayedCalls()


def test_a_pause_that_begins_at_the_end_of_another(busy: Busy) -> None:
    busy.rounds.begin(0.02)
    busy.rounds.callLater(0.0, lambda: busy.later(0.0, "second"))
    busy.rounds.callLater(0.0, lambda: 1 // 0)
    busy.round()
    assert busy.called == []
    busy.round()
    assert busy.called == [("second", 0.04)]
