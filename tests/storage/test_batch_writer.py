"""Batches: how they gather, that they keep their order, and the thread that writes them."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from twisted_sip.storage.batch_writer import BatchWriter, InlineThread, WriterThread


class Recorder:
    """Writes batches down, where it is told to in a thread that a test steps."""

    def __init__(self, *, stepped: bool = True) -> None:
        self.clock = Clock()
        self.jobs: list[tuple[Any, Any]] = []
        self.batches: list[list[int]] = []
        self.told: list[tuple[list[int], Failure | None]] = []
        self.failing = False
        self.stopped = False
        thread: Any = self if stepped else InlineThread()
        self.writer: BatchWriter[int] = BatchWriter(
            thread, self.clock, self.write, lambda batch, failure: self.told.append((batch, failure)), size=3
        )

    def submit(self, work: Any, done: Any) -> None:
        assert not self.stopped
        self.jobs.append((work, done))

    def stop(self) -> None:
        self.stopped = True

    def step(self) -> None:
        InlineThread().submit(*self.jobs.pop(0))

    def write(self, batch: list[int]) -> None:
        if self.failing:
            raise OSError("disk")
        self.batches.append(batch)


def test_a_change_waits_for_company_but_not_long() -> None:
    recorder = Recorder(stepped=False)
    recorder.writer.add(1)
    recorder.clock.advance(0.004)
    recorder.writer.add(2)
    assert recorder.batches == []
    recorder.clock.advance(0.001)
    assert recorder.batches == [[1, 2]]
    assert recorder.told == [([1, 2], None)]
    assert not recorder.clock.getDelayedCalls()


def test_a_full_batch_does_not_wait() -> None:
    recorder = Recorder(stepped=False)
    for number in range(7):
        recorder.writer.add(number)
    assert recorder.batches == [[0, 1, 2], [3, 4, 5]]
    recorder.clock.advance(1)
    assert recorder.batches[2:] == [[6]]


def test_one_batch_is_under_way_and_the_next_takes_all_the_rest() -> None:
    recorder = Recorder()
    for number in range(10):
        recorder.writer.add(number)
    recorder.clock.advance(1)
    assert len(recorder.jobs) == 1
    assert recorder.writer.waiting == 10
    recorder.step()
    recorder.step()
    assert recorder.batches == [[0, 1, 2], [3, 4, 5, 6, 7, 8, 9]]
    assert recorder.writer.waiting == 0
    assert not recorder.jobs and not recorder.clock.getDelayedCalls()


def test_under_load_changes_wait_for_more_company() -> None:
    clock, batches = Clock(), []
    writer: BatchWriter[int] = BatchWriter(InlineThread(), clock, lambda batch: batches.append(list(batch)), _ignore)
    for number in range(8):
        writer.add(number)
    clock.advance(0.005)
    assert batches == [list(range(8))]
    writer.add(8)
    clock.advance(0.014)
    assert len(batches) == 1
    clock.advance(0.001)
    assert batches[1:] == [[8]]
    # A small batch, and the wait is short again.
    writer.add(9)
    clock.advance(0.005)
    assert batches[2:] == [[9]]


def test_what_is_a_load_may_be_said() -> None:
    clock, batches = Clock(), []
    write = lambda batch: batches.append(list(batch))  # noqa: E731
    writer: BatchWriter[int] = BatchWriter(InlineThread(), clock, write, _ignore, under_load=(2, 4))
    writer.add(1)
    writer.add(2)
    clock.advance(0.005)
    writer.add(3)
    clock.advance(0.005)
    assert batches == [[1, 2]]
    clock.advance(0.014)
    assert batches == [[1, 2]]
    clock.advance(0.001)
    assert batches == [[1, 2], [3]]


def _ignore(batch: list[int], failure: Failure | None) -> None:
    """Nobody waits."""


def test_a_failure_is_told_and_does_not_stop_the_next() -> None:
    recorder = Recorder()
    recorder.failing = True
    recorder.writer.add(1)
    recorder.clock.advance(1)
    recorder.writer.add(2)
    recorder.step()
    recorder.failing = False
    recorder.clock.advance(1)
    recorder.step()
    (first, failure), second = recorder.told
    assert first == [1] and failure is not None and failure.check(OSError)
    assert second == ([2], None)


def test_what_is_added_while_a_batch_is_told_of_comes_after_it() -> None:
    recorder = Recorder(stepped=False)
    order: list[tuple[str, list[int]]] = []

    def written(batch: list[int], failure: Failure | None) -> None:
        order.append(("begin", batch))
        if batch == [1, 2, 3]:
            for number in range(4, 9):
                recorder.writer.add(number)
        order.append(("end", batch))

    recorder.writer = BatchWriter(InlineThread(), recorder.clock, recorder.write, written, size=3)
    for number in range(1, 4):
        recorder.writer.add(number)
    rest = [4, 5, 6, 7, 8]
    assert order == [("begin", [1, 2, 3]), ("end", [1, 2, 3]), ("begin", rest), ("end", rest)]


@pytest.mark.parametrize("under_way", [False, True])
def test_closing_writes_what_waits_then_releases(under_way: bool) -> None:
    recorder = Recorder()
    recorder.writer.add(1)
    if under_way:
        recorder.clock.advance(1)
        recorder.writer.add(2)
    released: list[bool] = []
    closed: list[Any] = []
    recorder.writer.close(lambda: released.append(True)).addBoth(closed.append)
    while recorder.jobs:
        assert not closed
        recorder.step()
    assert recorder.batches == ([[1], [2]] if under_way else [[1]])
    assert (released, closed, recorder.stopped) == ([True], [None], True)
    assert not recorder.clock.getDelayedCalls()


def test_a_release_that_fails_is_told() -> None:
    def release() -> None:
        raise OSError("gone")

    closed: list[Any] = []
    Recorder(stepped=False).writer.close(release).addBoth(closed.append)
    assert closed[0].check(OSError)


def test_abandoning_forgets() -> None:
    recorder = Recorder()
    recorder.writer.add(1)
    recorder.writer.abandon()
    recorder.clock.advance(1)
    assert not recorder.jobs and recorder.writer.waiting == 0


def test_the_thread_works_in_order_and_reports_to_the_reactor() -> None:
    calls: queue.Queue[tuple[Any, ...]] = queue.Queue()

    class Reactor:
        def callFromThread(self, callable: Any, *args: Any) -> None:
            calls.put((threading.current_thread(), callable, args))

        callLater = Clock().callLater

    thread = WriterThread(Reactor(), "writer")
    worked: list[tuple[int, threading.Thread]] = []
    done = object()

    def work(number: int) -> None:
        worked.append((number, threading.current_thread()))
        if number == 1:
            raise OSError("disk")

    for number in range(3):
        thread.submit(lambda number=number: work(number), done)  # type: ignore[misc,arg-type]
    thread.stop()
    reports = [calls.get(timeout=30) for _ in range(3)]
    assert [number for number, _ in worked] == [0, 1, 2]
    assert {worker for _, worker in worked} == {reports[0][0]} != {threading.current_thread()}
    assert all(report[1] is done for report in reports)
    outcomes = [report[2][0] for report in reports]
    assert outcomes[0] is None and outcomes[2] is None and outcomes[1].check(OSError)
    reports[0][0].join(30)
    assert not reports[0][0].is_alive()
