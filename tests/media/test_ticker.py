"""One timer for all: no drift, bounded catching up."""

import pytest
from twisted.internet.task import Clock

from twisted_sip.media.ticker import Ticker


def test_deadlines_are_multiples_of_the_interval():
    clock = Clock()
    ticker = Ticker(clock, 0.02)
    times = []
    ticker.add(times.append)
    for _ in range(1000):
        clock.advance(0.0007)
    assert len(times) == 35
    assert all(at - 0.02 * (place + 1) < 0.0008 for place, at in enumerate(times))


def test_after_a_delay_it_catches_up_within_bounds():
    clock = Clock()
    ticker = Ticker(clock, 0.02)
    times = []
    ticker.add(times.append)
    clock.advance(0.06)
    assert len(times) == 3
    clock.advance(1.0)
    assert len(times) == 3 + ticker.CATCH_UP and ticker.skipped == 50 - ticker.CATCH_UP
    clock.advance(0.02)
    assert len(times) == 4 + ticker.CATCH_UP


def test_nobody_costs_no_timer():
    clock = Clock()
    ticker = Ticker(clock)
    ticker.add(print)
    ticker.add(repr)
    assert len(ticker) == 2
    ticker.remove(print)
    ticker.remove(print)
    assert len(clock.getDelayedCalls()) == 1
    ticker.remove(repr)
    assert not clock.getDelayedCalls() and not len(ticker)


def test_one_fault_costs_nobody_else_and_nobody_else_is_called_after_removal():
    from twisted.logger import globalLogPublisher

    clock = Clock()
    ticker = Ticker(clock)
    called = []
    events = []

    def wrong(now):
        raise ValueError("a fault")

    def second(now):
        called.append(now)
        ticker.remove(third)
        ticker.remove(second)

    def third(now):
        called.append("third")

    globalLogPublisher.addObserver(events.append)
    try:
        for one in (wrong, second, third):
            ticker.add(one)
        clock.advance(0.02)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert called == [0.02] and len(events) == 1
    ticker.remove(wrong)


def test_all_may_leave_in_a_round():
    clock = Clock()
    ticker = Ticker(clock)

    def once(now):
        ticker.remove(once)

    ticker.add(once)
    clock.advance(0.05)
    assert not clock.getDelayedCalls()


def test_who_comes_in_a_round_makes_no_second_timer():
    clock = Clock()
    ticker = Ticker(clock)
    times = []
    second = times.append

    def first(now):
        ticker.remove(first)
        ticker.add(second)

    ticker.add(first)
    clock.advance(0.02)
    assert len(clock.getDelayedCalls()) == 1
    for _ in range(10):
        clock.advance(0.02)
    assert len(times) == 10 and len(clock.getDelayedCalls()) == 1
    ticker.remove(second)
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("step", [-5.0, -0.001])
def test_a_clock_that_goes_back_does_no_harm(step):
    clock = Clock()
    ticker = Ticker(clock)
    times = []
    ticker.add(times.append)
    clock.advance(0.1)
    clock.rightNow += step
    clock.advance(-step + 0.02)
    before = len(times)
    clock.advance(0.2)
    assert len(times) - before <= ticker.CATCH_UP + 1
    for _ in range(50):
        clock.advance(0.02)
    assert len(times) > before + 45


def test_an_early_wake_up_after_the_clock_went_back():
    clock = Clock()
    ticker = Ticker(clock)
    times = []
    ticker.add(times.append)
    (call,) = clock.getDelayedCalls()
    clock.rightNow = -10.0
    call.func()
    call.cancel()
    assert len(times) == 1
    clock.advance(0.02)
    assert len(times) == 2
