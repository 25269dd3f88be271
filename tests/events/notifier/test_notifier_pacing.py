"""The paced queue and the deadlines, each alone."""

from __future__ import annotations

import random

import pytest
from twisted.internet.task import Clock

from twisted_sip.events.deadlines import NEVER, Deadlines
from twisted_sip.events.pacing import PacedQueue
from twisted_sip.transaction.timers import TimerQueue


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_then_a_rate_in_order(clock: Clock) -> None:
    done: list[tuple[float, int]] = []
    queue: PacedQueue[int] = PacedQueue(
        TimerQueue(clock), lambda item: done.append((round(clock.seconds(), 2), item)), rate=100.0, burst=3
    )
    for number in range(10):
        queue.add(number)
    assert [item for _, item in done] == [0, 1, 2] and len(queue) == 7
    clock.pump([0.01] * 20)
    assert [item for _, item in done] == list(range(10)) and not len(queue)
    assert done[-1][0] == pytest.approx(0.07, abs=0.02)
    # Credit grows again, but not beyond the burst.
    clock.advance(100)
    done.clear()
    for number in range(10):
        queue.add(number)
    assert len(done) == 3
    clock.pump([0.01] * 20)
    assert not clock.getDelayedCalls()


def test_work_may_bring_more_work(clock: Clock) -> None:
    done: list[int] = []

    def work(item: int) -> None:
        done.append(item)
        if item < 20:
            queue.add(item + 1)

    queue: PacedQueue[int] = PacedQueue(TimerQueue(clock), work, rate=50.0, burst=2)
    queue.add(0)
    assert len(done) == 2
    clock.pump([0.02] * 100)
    assert done == list(range(21)) and not clock.getDelayedCalls()


def test_a_slow_rate(clock: Clock) -> None:
    done: list[int] = []
    queue: PacedQueue[int] = PacedQueue(TimerQueue(clock), done.append, rate=1.0, burst=1)
    for number in range(3):
        queue.add(number)
    clock.pump([0.02] * 60)
    assert done == [0, 1]


def test_a_stopped_queue_forgets(clock: Clock) -> None:
    done: list[int] = []
    queue: PacedQueue[int] = PacedQueue(TimerQueue(clock), done.append, rate=10.0, burst=1)
    queue.stop()
    for number in range(3):
        queue.add(number)
    queue.stop()
    clock.advance(10)
    assert done == [0] and not len(queue) and not clock.getDelayedCalls()


class Item:
    def __init__(self, name: str) -> None:
        self.name = name
        self.wake_at = NEVER


def test_dates_come_in_order_and_once(clock: Clock) -> None:
    came: list[tuple[str, float]] = []
    deadlines: Deadlines[Item] = Deadlines(
        TimerQueue(clock), clock.seconds, lambda item, now: came.append((item.name, clock.seconds()))
    )
    one, two, three = Item("one"), Item("two"), Item("three")
    deadlines.at(two, 20)
    deadlines.at(one, 10)
    deadlines.at(three, 30)
    deadlines.at(one, 15)
    deadlines.at(two, 12)
    deadlines.forget(three)
    deadlines.forget(three)
    assert len(deadlines) == 2
    clock.pump([1] * 40)
    assert came == [("one", 10), ("two", 12)]
    assert not len(deadlines) and not clock.getDelayedCalls()


def test_the_last_date_takes_the_timer_with_it(clock: Clock) -> None:
    timers = TimerQueue(clock)
    deadlines: Deadlines[Item] = Deadlines(timers, clock.seconds, lambda item, now: None)
    one, two = Item("one"), Item("two")
    deadlines.at(one, 10)
    deadlines.forget(one)
    assert not timers.pending
    deadlines.at(one, 10)
    deadlines.at(two, 10)
    deadlines.stop()
    assert one.wake_at == NEVER and not timers.pending and not len(deadlines)
    deadlines.stop()


def test_dates_of_the_past_do_not_pile_up(clock: Clock) -> None:
    deadlines: Deadlines[Item] = Deadlines(TimerQueue(clock), clock.seconds, lambda item, now: None)
    keeper = Item("keeper")
    deadlines.at(keeper, 1e6)
    for number in range(5000):
        item = Item(str(number))
        deadlines.at(item, 3600 + number)
        deadlines.forget(item)
        deadlines.at(keeper, 1e6 - number)
    assert len(deadlines) == 1 and len(deadlines._heap) < 200 and len(clock.getDelayedCalls()) == 1


def test_a_random_life(clock: Clock) -> None:
    chance = random.Random(1)
    wanted: dict[Item, float] = {}
    items = [Item(str(number)) for number in range(30)]

    def due(item: Item, now: float) -> None:
        assert wanted.pop(item) == pytest.approx(clock.seconds(), abs=0.01)
        if chance.random() < 0.5:
            put(item)

    def put(item: Item) -> None:
        date = clock.seconds() + chance.uniform(0, 50)
        wanted[item] = min(date, wanted.get(item, NEVER))
        deadlines.at(item, date)

    deadlines: Deadlines[Item] = Deadlines(TimerQueue(clock), clock.seconds, due)
    for _ in range(500):
        item = chance.choice(items)
        if chance.random() < 0.3:
            deadlines.forget(item)
            wanted.pop(item, None)
        else:
            put(item)
        for _ in range(chance.randrange(20)):
            clock.advance(0.005)
        assert len(deadlines) == len(wanted)
