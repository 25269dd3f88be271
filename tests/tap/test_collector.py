"""The garbage collector of a server: out of the way while it is busy, at work when it is not."""

from __future__ import annotations

import ctypes
import gc
import pathlib
import resource
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from twisted_sip.tap.collector import Collector, keep_one_heap


class Knot:
    """Holds itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def usual_collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_it_looks_when_it_is_quiet_and_waits_when_it_is_not() -> None:
    live = 10_000
    collector = Collector(lambda: live)
    collector.settle()
    assert gc.get_threshold()[0] > 10_000 and gc.get_freeze_count() > 0
    knot = weakref.ref(Knot())
    collector.tick()
    assert knot() is not None
    live = 3
    collector.tick()
    assert knot() is None


def test_it_does_not_wait_for_ever() -> None:
    collector = Collector(lambda: 10_000)
    collector.settle()
    knot = weakref.ref(Knot())
    for _ in range(1800 // int(Collector.INTERVAL)):
        collector.tick()
    assert knot() is None


@pytest.mark.parametrize(("live", "ticks"), [(600, 2), (5_000, 20), (60_000, 180)])
def test_the_more_there_is_the_longer_it_waits(live: int, ticks: int) -> None:
    collector = Collector(lambda: live)
    collector.settle()
    knot = weakref.ref(Knot())
    for _ in range(ticks - 1):
        collector.tick()
    assert knot() is not None
    collector.tick()
    assert knot() is None


def test_connections_that_have_ended_are_not_left_lying() -> None:
    ended = 0
    collector = Collector(lambda: 10_000, lambda: ended)
    collector.settle()
    knot = weakref.ref(Knot())
    ended = 499
    collector.tick()
    assert knot() is not None
    ended = 500
    collector.tick()
    assert knot() is None
    # Those have been seen to.
    knot = weakref.ref(Knot())
    ended = 999
    collector.tick()
    assert knot() is not None


def test_what_no_transaction_explains_is_looked_at() -> None:
    live = 10_000
    collector = Collector(lambda: live)
    collector.settle()
    kept: list[list[int]] = []
    knot = weakref.ref(Knot())
    kept += [[] for _ in range(60_000)]
    # Ten thousand transactions are new.
    collector.tick()
    assert knot() is not None
    kept += [[] for _ in range(500_000)]
    collector.tick()
    assert knot() is None
    knot = weakref.ref(Knot())
    kept += [[] for _ in range(60_000)]
    live = 10_100
    collector.tick()
    assert knot() is None
    assert len(kept) == 620_000


@pytest.mark.skipif(not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "malloc_trim"),
                    reason="needs the C library of GNU")  # fmt: skip
def test_gaps_in_the_heap_are_given_back() -> None:
    def resident() -> int:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    collector = Collector(lambda: 0)
    collector.settle()
    # Too large for Python's own allocator, too small to be mapped one by one; every second one is kept.
    texts: list[bytes | None] = [b"x" * 20_000 for _ in range(4_000)]
    texts[::2] = [None] * 2_000
    before = resident()
    collector.tick()
    assert before - resident() > 20_000_000
    assert texts[1] == b"x" * 20_000


_IN_A_THREAD = """
import sys, threading
from twisted_sip.tap.collector import keep_one_heap
if sys.argv[1] == "one":
    keep_one_heap()
kept = []
thread = threading.Thread(target=lambda: kept.extend(b"x" * 20_000 for _ in range(2_000)))
thread.start()
thread.join()
for line in open("/proc/self/smaps"):
    words = line.split()
    if words[0] == "Rss:" and name == "[heap]":
        print(int(words[1]) // 1024)
    elif not words[0].endswith(":"):
        name = words[-1]
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"),
                    reason="needs the C library of GNU")  # fmt: skip
@pytest.mark.parametrize(("heaps", "there"), [("one", True), ("usual", False)])
def test_threads_share_one_heap(heaps: str, there: bool) -> None:
    done = subprocess.run([sys.executable, "-c", _IN_A_THREAD, heaps], capture_output=True, text=True, check=True)
    # 40 MB beside what a fresh interpreter has there.
    assert (int(done.stdout) > 38) is there


def test_other_libraries_have_nothing_to_give_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: None) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", none)
    keep_one_heap()
    collector = Collector(lambda: 0)
    knot = weakref.ref(Knot())
    collector.tick()
    assert knot() is None
