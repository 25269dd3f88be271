"""The timer queue: order, cost of cancelled timers, one pending call, and the values of RFC 3261 table 4."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from twisted_sip.errors import LocalProtocolError
from twisted_sip.transaction.timers import Timer, TimerQueue, TimerValues


def test_timers_fire_when_due_and_once() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[tuple[float, str]] = []
    for delay, name in [(32.0, "h"), (0.5, "a"), (5.0, "i"), (0.5, "b"), (0.0, "now")]:
        timers.start(delay, lambda name=name: fired.append((clock.seconds(), name)))
    assert len(clock.getDelayedCalls()) == 1
    assert timers.pending == 5
    clock.advance(0)
    assert fired == [(0, "now")]
    clock.pump([0.25] * 200)
    assert fired == [(0, "now"), (0.5, "a"), (0.5, "b"), (5, "i"), (32, "h")]
    assert timers.pending == timers.held == 0
    assert not clock.getDelayedCalls()


def test_now_and_arguments() -> None:
    clock = Clock()
    clock.advance(7)
    timers = TimerQueue(clock)
    fired: list[object] = []
    timer = timers.start(1.0, lambda *args: fired.append(args), 1, "two")
    assert timers.now() == 7
    assert timer.due == 8
    assert timer.active
    clock.advance(1)
    assert fired == [(1, "two")]
    assert not timer.active
    timer.cancel()
    assert timers.pending == 0


def test_cancelled_timers_do_not_fire_and_do_not_pile_up() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[int] = []
    keep = timers.start(32.0, fired.append, 0)
    for number in range(1, 10_000):
        timer = timers.start(32.0, fired.append, number)
        timer.cancel()
        timer.cancel()
        assert timers.held <= 130
    assert timers.pending == 1
    clock.advance(32)
    assert fired == [0]
    assert not keep.active
    assert timers.held == 0


def test_a_cancelled_head_does_not_fire_the_next_one_early() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[float] = []
    first = timers.start(10.0, fired.append, 1)
    clock.advance(3)
    timers.start(10.0, lambda: fired.append(clock.seconds()))
    first.cancel()
    clock.advance(7)
    assert fired == []
    clock.advance(3)
    assert fired == [13]


def test_the_last_cancelled_timer_leaves_an_empty_queue() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    timers.start(10.0, print).cancel()
    assert timers.held == 0
    clock.advance(1)
    fired: list[int] = []
    timers.start(10.0, fired.append, 1)
    clock.advance(9.5)
    assert fired == []
    clock.advance(0.5)
    assert fired == [1]


def test_callbacks_may_start_and_cancel_timers() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[object] = []

    def first() -> None:
        fired.append("first")
        other.cancel()
        timers.start(1.0, fired.append, "second")
        timers.start(0.0, fired.append, "at once")
        timers.start(0.25, fired.append, "quarter")

    timers.start(1.0, first)
    other = timers.start(1.0, fired.append, "never")
    clock.advance(1)
    assert fired == ["first", "at once"]
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(0.25)
    assert fired[2:] == ["quarter"]
    clock.advance(0.75)
    assert fired[3:] == ["second"]


def test_an_exception_does_not_stop_the_others() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[int] = []

    def fail() -> None:
        raise ZeroDivisionError

    timers.start(1.0, fail)
    timers.start(1.0, fired.append, 1)
    timers.start(2.0, fired.append, 2)
    with pytest.raises(ZeroDivisionError):
        clock.advance(1)
    clock.advance(0)
    assert fired == [1]
    clock.advance(1)
    assert fired == [1, 2]


def test_stop() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[int] = []
    held = [timers.start(delay, fired.append, 1) for delay in (1.0, 2.0, 2.0)]
    timers.stop()
    timers.stop()
    assert timers.pending == timers.held == 0
    assert not any(timer.active for timer in held)
    assert not clock.getDelayedCalls()
    timers.start(1.0, fired.append, 2)
    clock.advance(1)
    assert fired == [2]


def test_stop_from_a_callback() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[int] = []
    timers.start(1.0, timers.stop)
    timers.start(1.0, fired.append, 1)
    timers.start(3.0, fired.append, 2)
    clock.advance(10)
    assert fired == []
    assert not clock.getDelayedCalls()


def test_grain_gathers_timers_and_is_never_early() -> None:
    clock = Clock()
    timers = TimerQueue(clock, grain=0.01)
    fired: list[tuple[float, float]] = []
    wakes: list[float] = []
    for number in range(20):
        timer = timers.start(1.0, lambda: None)
        timer.cancel()
        due = clock.seconds() + 1.0
        timers.start(1.0, lambda due=due: fired.append((due, clock.seconds())))
        clock.advance(0.001)
        assert number < 20
    while timers.pending:
        following = clock.getDelayedCalls()[0].getTime()
        clock.rightNow = following
        clock.advance(0)
        wakes.append(following)
    assert len(fired) == 20
    assert all(0 <= when - due <= 0.0101 for due, when in fired)
    assert len(wakes) <= 3


def test_somebody_is_awake_anyway() -> None:
    clock = Clock()
    timers = TimerQueue(clock, grain=0.1)
    fired: list[str] = []
    timers.catch_up()
    timers.start(1.0, fired.append, "one")
    timers.start(2.0, fired.append, "two")
    clock.advance(0.99)
    timers.catch_up()
    assert fired == []
    clock.advance(0.02)
    timers.catch_up()
    assert fired == ["one"]
    clock.advance(1.0)
    timers.catch_up()
    assert fired == ["one", "two"]
    assert not clock.getDelayedCalls()
    clock.advance(1.0)
    # The clock is asked for what is new.
    timers.start(1.0, fired.append, "three")
    clock.advance(1.101)
    assert fired == ["one", "two", "three"]


def test_somebody_is_awake_in_the_middle_of_it() -> None:
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[int] = []

    def first() -> None:
        timers.catch_up()
        fired.append(1)

    timers.start(1.0, first)
    timers.start(1.0, fired.append, 2)
    clock.advance(1.0)
    assert fired == [1, 2]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 32.0]), st.booleans(), st.floats(0, 2)), max_size=60))
def test_any_schedule(plan: list[tuple[float, bool, float]]) -> None:
    """Each timer that is not cancelled fires at its time (or at the first moment after it), in order of falling due."""
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[tuple[float, int]] = []
    expected: list[tuple[float, int]] = []
    running: list[tuple[int, Timer]] = []
    for number, (delay, cancel, step) in enumerate(plan):
        timer = timers.start(delay, partial(fired.append, (clock.seconds() + delay, number)))
        running.append((number, timer))
        expected.append((clock.seconds() + delay, number))
        if cancel:
            victim, timer = running[len(running) // 2]
            if timer.active:
                expected = [entry for entry in expected if entry[1] != victim]
            timer.cancel()
        clock.advance(step)
        assert all(due <= clock.seconds() + 1e-9 for due, _ in fired)
        assert not any(due <= clock.seconds() for due, number in expected if (due, number) not in fired)
        assert len(clock.getDelayedCalls()) <= 1
    clock.advance(40)
    assert sorted(fired) == sorted(expected)
    assert timers.pending == timers.held == 0
    assert not clock.getDelayedCalls()


def test_lengths_that_nobody_uses_any_more() -> None:
    """Peers choose some lengths, session intervals of years among them: what was cancelled is forgotten before that."""
    clock = Clock()
    timers = TimerQueue(clock)
    fired: list[int] = []
    running = [timers.start(10.0 + number, fired.append, number) for number in range(600)]
    for number in range(5_000):
        timers.start(1e9 + number, fired.append, -1).cancel()
    assert len(timers._queues) < 1_500 and len(timers._heap) < 1_500
    for timer in running[1:]:
        timer.cancel()
    for number in range(2_000):
        timers.start(1e9 + number, fired.append, -1).cancel()
    assert len(timers._queues) < 600 and len(timers._heap) < 600
    # In the middle of a round as well.
    timers.start(10.0, lambda: [timers.start(1e9 + n, fired.append, -1).cancel() for n in range(600)])
    timers.start(10.0, fired.append, 1)
    clock.advance(10.0)
    assert fired == [0, 1] and timers.pending == 0
    timers.start(10.0, fired.append, 2)
    clock.advance(10.0)
    assert fired == [0, 1, 2]


def test_values() -> None:
    values = TimerValues()
    assert (values.T1, values.T2, values.T4) == (0.5, 4, 5)
    assert values.timeout == 32
    assert values.trying_late == 3.5
    assert values.timer_c == 180
    assert values.timer_d == 32
    assert values.client_limit == 212
    assert values.server_limit == 244
    assert TimerValues(T1=4.0).trying_late == 0
    with pytest.raises(LocalProtocolError):
        TimerValues(T1=0.0)
