"""Nonces: self-proof, lifetime, counts and their window, and the bound of the table."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from twisted_sip.auth.nonces import WINDOW, Nonces, Use


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_700_000_000)
    return clock


def make(clock: Clock, **bounds: float) -> Nonces:
    return Nonces(random.Random(1).randbytes, clock.seconds, **bounds)  # type: ignore[arg-type]


def test_issued_to_one_source_alone(clock: Clock) -> None:
    nonces = make(clock)
    nonce = nonces.issue("192.0.2.1")
    assert nonces.issued_to(nonce, "192.0.2.1")
    assert not nonces.issued_to(nonce, "192.0.2.2")
    assert len(nonces) == 0


def test_each_nonce_is_another(clock: Clock) -> None:
    nonces = make(clock)
    assert len({nonces.issue("192.0.2.1") for _ in range(1000)}) == 1000


def test_a_changed_nonce_is_not_ours(clock: Clock) -> None:
    nonces = make(clock)
    nonce = nonces.issue("192.0.2.1")
    for place in range(len(nonce)):
        other = "0" if nonce[place] != "0" else "1"
        assert not nonces.issued_to(nonce[:place] + other + nonce[place + 1 :], "192.0.2.1")


@given(st.text(max_size=80))
def test_foreign_text_is_not_ours(text: str) -> None:
    nonces = make(Clock())
    assert not nonces.issued_to(text, "192.0.2.1")
    assert not nonces.issued_to("é" * 60, "192.0.2.1")


def test_after_a_restart_old_nonces_are_not_ours(clock: Clock) -> None:
    before = Nonces(random.Random(1).randbytes, clock.seconds)
    after = Nonces(random.Random(2).randbytes, clock.seconds)
    assert not after.issued_to(before.issue("192.0.2.1"), "192.0.2.1")


def test_end_of_life(clock: Clock) -> None:
    nonces = make(clock, lifetime=60)
    first, second = nonces.issue("s"), nonces.issue("s")
    clock.advance(59.5)
    assert nonces.use(first, 1) is Use.FRESH
    clock.advance(0.5)
    assert nonces.use(first, 2) is Use.STALE
    assert nonces.use(second, 1) is Use.STALE
    assert nonces.issued_to(first, "s")


def test_counts_grow(clock: Clock) -> None:
    nonces = make(clock)
    nonce = nonces.issue("s")
    assert [nonces.use(nonce, nc) for nc in (1, 2, 3, 10)] == [Use.FRESH] * 4
    assert [nonces.use(nonce, nc) for nc in (1, 2, 3, 10)] == [Use.STALE] * 4


def test_datagrams_may_overtake_each_other_within_the_window(clock: Clock) -> None:
    nonces = make(clock)
    nonce = nonces.issue("s")
    assert nonces.use(nonce, 5) is Use.FRESH
    assert [nonces.use(nonce, nc) for nc in (3, 4, 3, 4, 5)] == [Use.FRESH, Use.FRESH, *[Use.STALE] * 3]
    assert nonces.use(nonce, 5 + WINDOW) is Use.FRESH
    # 5 is now behind the window, 6 its last place.
    assert nonces.use(nonce, 5) is Use.STALE
    assert nonces.use(nonce, 6) is Use.FRESH
    assert nonces.use(nonce, 6) is Use.STALE


@given(st.lists(st.integers(min_value=1, max_value=100), max_size=60))
def test_no_count_is_ever_good_twice(counts: list[int]) -> None:
    nonces = make(Clock())
    nonce = nonces.issue("s")
    good = [nc for nc in counts if nonces.use(nonce, nc) is Use.FRESH]
    assert len(good) == len(set(good))
    top = 0
    for nc in counts:
        if nc > top:
            assert nc in good
            top = nc


def test_without_a_count_a_nonce_is_good_once(clock: Clock) -> None:
    nonces = make(clock)
    nonce = nonces.issue("s")
    assert nonces.use(nonce, 0) is Use.FRESH
    assert nonces.use(nonce, 0) is Use.STALE
    assert nonces.use(nonce, 1) is Use.STALE
    counted = nonces.issue("s")
    assert nonces.use(counted, 1) is Use.FRESH
    assert nonces.use(counted, 0) is Use.STALE


def test_the_table_is_bounded_and_forgetting_opens_no_replay(clock: Clock) -> None:
    nonces = make(clock, max_used=10)
    used = []
    for _ in range(50):
        clock.advance(0.1)
        used.append(nonces.issue("s"))
        assert nonces.use(used[-1], 1) is Use.FRESH
        assert len(nonces) <= 10
    for nonce in used:
        assert nonces.use(nonce, 1) is Use.STALE
    assert nonces.use(used[-1], 2) is Use.FRESH
    clock.advance(0.1)
    assert nonces.use(nonces.issue("s"), 1) is Use.FRESH


def test_old_entries_go_as_new_ones_come(clock: Clock) -> None:
    nonces = make(clock, lifetime=10)
    for _ in range(20):
        nonces.use(nonces.issue("s"), 1)
    assert len(nonces) == 20
    clock.advance(11)
    for _ in range(20):
        nonces.use(nonces.issue("s"), 1)
    assert len(nonces) == 20


def test_an_idle_table_empties_when_looked_after(clock: Clock) -> None:
    nonces = make(clock, lifetime=10)
    nonces.use(nonces.issue("s"), 1)
    clock.advance(5)
    nonces.use(nonces.issue("s"), 1)
    nonces.expire()
    assert len(nonces) == 2
    clock.advance(6)
    nonces.expire()
    assert len(nonces) == 1
    clock.advance(6)
    nonces.expire()
    assert len(nonces) == 0


def test_a_shorter_lifetime_counts_at_once(clock: Clock) -> None:
    nonces = make(clock, lifetime=100)
    nonce = nonces.issue("s")
    clock.advance(20)
    nonces.configure(10, 5)
    assert nonces.use(nonce, 1) is Use.STALE
