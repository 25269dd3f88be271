"""What a soak judges: a line through memory, tables, counts, the log."""

from __future__ import annotations

import random

from soak_verdict import ALLOWANCE, LEFT, Growth, Sample, growth, judge, may_judge

_MEGABYTE = 1024 * 1024


def samples(seconds: int, memory: float, per_hour: float, noise: float = 0.0) -> list[Sample]:
    lots = random.Random(1)
    return [
        Sample(float(at), round(memory + per_hour * at / 3600 + lots.uniform(-noise, noise)), {})
        for at in range(0, seconds, 10)
    ]


def test_a_line_is_found() -> None:
    grown = growth(samples(3600, 80e6, 36e6), warm_up=600)
    assert grown is not None
    assert abs(grown.slope - 1e4) < 1
    assert grown.seconds == 2990
    assert abs(grown.bytes - 29.9e6) < 1e4
    assert abs(grown.mean - (80e6 + 1e4 * 2095)) < 1e4


def test_a_leak_is_found_in_noise() -> None:
    grown = growth(samples(3600, 80e6, 12e6, noise=2e6))
    assert grown is not None and grown.bytes > grown.allowed
    (fault,) = judge(grown, {}, [], {})
    assert fault.startswith("memory grows: ")
    assert "MB allowed" in fault


def test_flat_memory_is_no_leak() -> None:
    grown = growth(samples(3600, 80e6, 1e6, noise=2e6))
    assert grown is not None and not judge(grown, {}, [], {})


def test_what_is_taken_in_the_warm_up_does_not_count() -> None:
    seen = [Sample(float(at), 50_000_000 + min(at, 800) * 100_000, {}) for at in range(0, 3600, 10)]
    grown = growth(seen)
    assert grown is not None and abs(grown.bytes) < ALLOWANCE
    everything = growth(seen, warm_up=0)
    assert everything is not None and everything.bytes > everything.allowed


def test_the_allowance_is_for_an_hour() -> None:
    assert Growth(3600, 100 * _MEGABYTE, 0).allowed == ALLOWANCE + 2 * _MEGABYTE
    assert Growth(1800, 100 * _MEGABYTE, 0).allowed == ALLOWANCE + 1 * _MEGABYTE
    assert Growth(100, 0, 0).hourly == 0
    assert Growth(100, 100, 1).hourly == 36


def test_memory_is_judged_once_caches_are_full() -> None:
    assert not may_judge(36000, None)
    assert not may_judge(900 + LEFT - 1, 900)
    assert may_judge(900 + LEFT, 900)


def test_too_little_to_tell() -> None:
    assert growth([]) is None
    assert growth(samples(20, 1, 0)) is None


def test_each_fault_has_a_line() -> None:
    faults = judge(
        None,
        {"calls": "3 in place of 0"},
        [f"line {number}" for number in range(12)],
        {"requests shed": 4, "calls not tracked": 0},
        alive=False,
        others=["phones-1: ValueError"],
    )
    assert faults[:3] == [
        "the server has died",
        "table not at its base line: calls: 3 in place of 0",
        "requests shed: 4",
    ]
    assert faults[3:] == [*(f"log: line {number}" for number in range(10)), "log: 2 more lines", "phones-1: ValueError"]
