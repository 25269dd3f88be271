"""The SQLite location store beyond the contract: limits, the journal, death by kill -9."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage import location_sqlite
from twisted_sip.storage.expiry import ExpirySchedule
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.location_sqlite import SQLiteLocationStore, stored_bindings

NOW = 1_800_000_000.0


def put(user: int, key: str = "k", *, cseq: int = 1, life: float = 3600) -> LocationChange:
    aor = f"sip:user{user}@example.com"
    binding = Binding(aor=aor, key=key, contact=f"sip:{key}@192.0.2.7", call_id="c", cseq=cseq, expires_at=NOW + life)
    return LocationChange(aor, (binding,))


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


def results_of(deferred: Any) -> list[Any]:
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


def test_the_number_of_bindings_is_limited(tmp_path: Path, clock: Clock) -> None:
    for store in (
        MemoryLocationStore(clock, max_bindings=2),
        SQLiteLocationStore(tmp_path / "location.db", clock, max_bindings=2),
    ):
        for user in range(3):
            results = results_of(store.commit(put(user)))
            clock.advance(0.01)
        assert results[0].check(StoreFull) and "\n" not in str(results[0].value)
        assert not store.lookup("sip:user2@example.com")
        assert results_of(store.commit(put(1, cseq=2))) is not None, "a refresh fits"
        store.commit(LocationChange("sip:user0@example.com", (), ("k",)))
        assert not isinstance((results_of(store.commit(put(2))) or [None])[0], Failure)
        assert len(list(store.bindings())) == 2
        store.close()


def test_the_number_of_changes_that_wait_is_limited(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location_sqlite, "MAX_WAITING", 2)
    store = SQLiteLocationStore(tmp_path / "location.db", clock)
    results = [results_of(store.commit(put(user))) for user in range(3)]
    assert results[2][0].check(StoreFull)
    clock.advance(1)
    assert [result[0] for result in results[:2]] == [None, None]
    assert len(store) == 2 and store.waiting == 0
    store.close()


def test_a_closed_store_takes_nothing(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteLocationStore(tmp_path / "location.db", clock)
    early = results_of(store.commit(put(1)))
    assert results_of(store.close()) == [None]
    assert early == [None], "what was taken is written"
    assert results_of(store.commit(put(2)))[0].check(StoreError)
    assert results_of(store.close()) == [None]


def test_an_observer_that_fails_stops_nobody(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteLocationStore(tmp_path / "location.db", clock)
    heard: list[LocationChange] = []

    def broken(change: LocationChange) -> None:
        raise RuntimeError("oh")

    store.observe(broken)
    store.observe(heard.append)
    results = results_of(store.commit(put(1)))
    clock.advance(1)
    assert results == [None] and heard == [put(1)]
    store.close()


def test_who_is_told_and_fails_does_not_keep_the_others_from_hearing(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteLocationStore(tmp_path / "location.db", clock)
    told: list[Any] = []

    def broken(failure: Failure | None) -> None:
        raise RuntimeError("oh")

    store.commit_then(put(1), broken)
    store.commit_then(put(2), told.append)
    clock.advance(1)
    assert told == [None]
    store.close()
    store.commit_then(put(3), told.append)
    assert told[1].check(StoreError)


def test_a_subclass_that_watches_commits_sees_each(tmp_path: Path, clock: Clock) -> None:
    class Watching(SQLiteLocationStore):
        def commit(self, change: LocationChange) -> Any:
            seen.append(change)
            return super().commit(change)

    class Telling(Watching):
        def commit_then(self, change: LocationChange, done: Any) -> None:
            seen.append(change)

    seen: list[LocationChange] = []
    store = Watching(tmp_path / "location.db", clock)
    assert store.commit_then is None
    results = results_of(store.commit(put(1)))
    clock.advance(1)
    assert results == [None] and seen == [put(1)]
    store.close()
    assert Telling.commit_then is not None


def test_folding_keeps_what_there_is(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "location.db"
    store = SQLiteLocationStore(path, clock, fold_at=10, batch_size=1)
    for user in range(30):
        store.commit(put(user % 7, key="ab"[user % 2], cseq=user))
    store.commit(LocationChange("sip:user3@example.com", (), ("a",)))
    reader = sqlite3.connect(path)
    assert reader.execute("SELECT count(*) FROM journal").fetchone()[0] < 11
    assert reader.execute("SELECT count(*) FROM binding").fetchone()[0] > 7
    reader.close()
    assert sorted(stored_bindings(path, NOW), key=repr) == sorted(store.bindings(), key=repr)
    store.close()


def test_folding_gives_back_the_pages_that_it_has_gone_through(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteLocationStore(tmp_path / "location.db", clock, fold_at=10, batch_size=1)
    said: list[str] = []
    store._connection.set_trace_callback(said.append)
    for user in range(10):
        store.commit(put(user))
    assert "PRAGMA shrink_memory" not in said
    store.commit(put(10))
    # After the transaction, whose pages cannot go.
    assert said[-2:] == ["COMMIT", "PRAGMA shrink_memory"]
    store.close()


def test_folding_that_fails_loses_nothing(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "location.db"
    store = SQLiteLocationStore(path, clock, fold_at=3, batch_size=1)

    def fold(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(location_sqlite, "fold", fold)
    results = [results_of(store.commit(put(user))) for user in range(10)]
    assert all(result == [None] for result in results)
    store.abandon()
    monkeypatch.undo()
    assert len(stored_bindings(path, NOW)) == 10


def test_rows_of_the_expired_go_when_it_is_opened(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "location.db"
    store = SQLiteLocationStore(path, clock)
    store.commit(put(1, life=60))
    store.commit(put(2))
    clock.advance(1)
    store.abandon()
    clock.advance(100)
    SQLiteLocationStore(path, clock).close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT aor FROM binding").fetchall() == [("sip:user2@example.com",)]
    connection.close()


def test_dates_that_are_moved_do_not_pile_up(clock: Clock) -> None:
    asked: list[str] = []
    schedule = ExpirySchedule(clock, lambda aor, now: asked.append(aor))  # type: ignore[func-returns-value]
    for number in range(10_000):
        schedule.at("one", NOW + 20_000 - number)
    assert len(schedule._heap) < 100 and len(clock.getDelayedCalls()) == 1
    clock.advance(10_002)
    assert asked == ["one"]
    schedule.at("two", clock.seconds() + 5)
    schedule.forget("two")
    schedule.forget("never")
    assert len(schedule) == 0 and not clock.getDelayedCalls()


SERVER = """
import sys
from pathlib import Path
from twisted.internet import reactor
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.batch_writer import WriterThread
from twisted_sip.storage.location_sqlite import SQLiteLocationStore

store = SQLiteLocationStore(Path(sys.argv[1]), reactor, WriterThread(reactor, "location"), fold_at=300)

def register(number):
    aor = f"sip:user{number % 97}@example.com"
    binding = Binding(
        aor=aor, key=f"k{number % 3}", contact="sip:x", call_id="c", cseq=number, expires_at=reactor.seconds() + 3600
    )
    store.commit(LocationChange(aor, (binding,))).addCallback(acknowledged, number)

def acknowledged(_, number):
    print(number, flush=True)
    reactor.callLater(0, register, number + 40)

for number in range(40):
    reactor.callWhenRunning(register, number)
reactor.run()
"""


def test_every_acknowledged_change_outlives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "location.db"
    with subprocess.Popen([sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        acknowledged = [int(server.stdout.readline()) for _ in range(1000)]
        server.send_signal(signal.SIGKILL)
        # What it said before it died counts as well; the last line may be torn.
        acknowledged += [int(line) for line in server.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    newest: dict[tuple[str, str], int] = {}
    for number in acknowledged:
        place = (f"sip:user{number % 97}@example.com", f"k{number % 3}")
        newest[place] = max(number, newest.get(place, 0))
    found = {(binding.aor, binding.key): binding.cseq for binding in stored_bindings(path, 0)}
    lost = {place: number for place, number in newest.items() if found.get(place, -1) < number}
    assert not lost
