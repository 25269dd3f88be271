"""SQLite location stores against a dict, with failures, crashes and folding in between."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.storage.location_sqlite import SQLiteLocationStore

START = 1_800_000_000.0
AORS = strategies.sampled_from(["sip:a@example.com", "sip:b@example.com"])
KEYS = strategies.sampled_from(["k1", "k2", "k3", "k\udcff"])


def by_key(binding: Binding) -> str:
    return binding.key


class SteppedThread:
    """Works when it is told to, as a busy disk does."""

    def __init__(self) -> None:
        self.inline = InlineThread()
        self.jobs: list[tuple[Any, Any]] = []

    def submit(self, work: Any, done: Any) -> None:
        self.jobs.append((work, done))

    def stop(self) -> None:
        pass

    def step(self) -> None:
        while self.jobs:
            self.inline.submit(*self.jobs.pop(0))


class LocationMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.clock.advance(START)
        self.number = 0
        self.failing = self.has_failed = False
        self.seen: dict[str, dict[str, Binding]] = {}
        self.durable: dict[str, dict[str, Binding]] = {}
        self.under_way: list[tuple[LocationChange, float, list[Any]]] = []
        self.open()

    def open(self) -> None:
        self.thread = SteppedThread()
        path = Path(self.directory.name) / "location.db"
        self.store = SQLiteLocationStore(path, self.clock, self.thread, batch_size=3, fold_at=5)

    def apply(self, state: dict[str, dict[str, Binding]], change: LocationChange, made_at: float) -> None:
        known = state.setdefault(change.aor, {})
        for key in [key for key, binding in known.items() if binding.expires_at <= made_at]:
            # What has ended before is made anew, not refreshed.
            del known[key]
        for key in change.remove:
            known.pop(key, None)
        known.update((binding.key, binding) for binding in change.put)

    @rule(
        aor=AORS, keys=strategies.sets(KEYS), removed=strategies.sets(KEYS), life=strategies.sampled_from([5, 50, 500])
    )
    def commit(self, aor: str, keys: set[str], removed: set[str], life: int) -> None:
        self.number += 1
        end = self.clock.seconds() + life
        put = [
            Binding(aor=aor, key=key, contact=f"sip:{key}", call_id="c", cseq=self.number, expires_at=end)
            for key in sorted(keys - removed)
        ]
        change = LocationChange(aor, tuple(put), tuple(sorted(removed)))
        ended: list[Any] = []
        self.store.commit(change).addBoth(ended.append)
        now = self.clock.seconds()
        self.under_way.append((change, now, ended))
        self.apply(self.seen, change, now)
        self.settle()

    @rule(seconds=strategies.sampled_from([0.001, 0.01, 1.0, 20.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    @rule()
    def write(self) -> None:
        self.thread.step()
        self.settle()

    @rule()
    def fail_or_mend(self) -> None:
        self.failing = not self.failing
        self.has_failed = True
        self.store._connection.execute(f"PRAGMA query_only = {int(self.failing)}")

    @precondition(lambda self: not self.failing)
    @rule()
    def crash(self) -> None:
        # Folding and expiry may be under way: a crash stops them between two transactions.
        self.store.abandon()
        self.thread.jobs = self.thread.jobs[-1:]
        self.thread.step()
        self.under_way.clear()
        self.seen = {aor: dict(known) for aor, known in self.durable.items()}
        self.open()

    def compare(self, found: Any, expected: list[Binding]) -> None:
        if self.has_failed:
            # Rows whose removal could not be written keep their place: what is made anew takes it.
            assert sorted(found, key=by_key) == sorted(expected, key=by_key)
        else:
            assert list(found) == expected

    def settle(self) -> None:
        """Take over what has been acknowledged or has failed since."""
        while self.under_way and self.under_way[0][2]:
            change, made_at, ended = self.under_way.pop(0)
            if isinstance(ended[0], Failure):
                # A batch fails as one; the state is what is durable and what is still to come.
                self.seen = {aor: dict(known) for aor, known in self.durable.items()}
                for later, later_at, _ in self.under_way:
                    self.apply(self.seen, later, later_at)
            else:
                assert ended[0] is None
                self.apply(self.durable, change, made_at)

    @invariant()
    def look_ups_show_the_model(self) -> None:
        now = self.clock.seconds()
        for aor, known in self.seen.items():
            self.compare(self.store.lookup(aor), [found for found in known.values() if found.expires_at > now])

    def teardown(self) -> None:
        if self.failing:
            self.fail_or_mend()
        self.store.close()
        self.thread.step()
        self.store = SQLiteLocationStore(Path(self.directory.name) / "location.db", self.clock)
        now = self.clock.seconds()
        self.settle()
        for aor, known in self.seen.items():
            self.compare(self.store.lookup(aor), [found for found in known.values() if found.expires_at > now])
        self.store.close()
        assert not self.clock.getDelayedCalls()
        self.directory.cleanup()


LocationMachineTests = LocationMachine.TestCase
LocationMachineTests.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_machine_finds_a_store_that_acknowledges_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(self: SQLiteLocationStore, batch: list[Any]) -> None:
        """Write nothing."""

    monkeypatch.setattr(SQLiteLocationStore, "_write", lose)
    machine = LocationMachine()
    machine.commit("sip:a@example.com", {"k1"}, set(), 500)
    machine.advance(1.0)
    machine.write()
    machine.crash()
    with pytest.raises(AssertionError):
        machine.look_ups_show_the_model()
    machine.store.close()
    machine.thread.step()
    machine.directory.cleanup()
