"""What waits until a socket has rested: timers, and what threads have done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.transaction.timers import TimerQueue
from twisted_sip.transport.rounds import Rounds


class Reactor:
    """Keeps what threads want called."""

    def __init__(self) -> None:
        self.wanted: list[Callable[[], object]] = []

    def callFromThread(self, callable: Callable[[], object]) -> None:
        self.wanted.append(callable)

    def turn(self) -> None:
        wanted, self.wanted = self.wanted, []
        for function in wanted:
            function()


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
