"""The subscription stores beyond the contract: limits, older schemas, death by kill -9."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.subscription import SubscriptionChange, SubscriptionRecord
from twisted_sip.storage import record_store
from twisted_sip.storage.record_store import stored_records
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.storage.subscription_sqlite import SUBSCRIPTION_SCHEMA, SUBSCRIPTIONS, SQLiteSubscriptionStore
from twisted_sip.testing.subscription_contract import subscription
from twisted_sip.testing.waiting import START

FIXTURES = Path(__file__).parent / "fixtures"


def put(*keys: str, remove: tuple[str, ...] = (), **fields: Any) -> SubscriptionChange:
    return SubscriptionChange(tuple(subscription(key, **fields) for key in keys), remove)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(START)
    return clock


def results_of(deferred: Any) -> list[Any]:
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


def test_a_memory_store_is_limited(clock: Clock) -> None:
    store = MemorySubscriptionStore(clock, max_subscriptions=2)
    assert results_of(store.commit(put("a", "b"))) == [None]
    assert results_of(store.commit(put("b", cseq_limit=2))) == [None], "a refresh fits"
    assert results_of(store.commit(put("c")))[0].check(StoreFull)
    assert [record.key for record in store.load()] == ["a", "b"] and len(store) == 2
    assert results_of(store.commit(put("c", remove=("a",)))) == [None], "room is made first"


def test_the_number_of_changes_that_wait_is_limited(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_store, "MAX_WAITING", 2)
    store = SQLiteSubscriptionStore(tmp_path / "s.db", clock)
    results = [results_of(store.commit(put(key))) for key in "abc"]
    assert results[2][0].check(StoreFull) and store.waiting == 2
    clock.advance(1)
    assert [result[0] for result in results[:2]] == [None, None]
    assert store.waiting == 0
    store.close()


def test_what_was_taken_before_the_end_is_written(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "s.db"
    store = SQLiteSubscriptionStore(path, clock)
    early = results_of(store.commit(put("a")))
    assert results_of(store.close()) == [None] and early == [None]
    assert results_of(store.close()) == [None]
    assert results_of(store.load())[0].check(StoreError)
    assert [record.key for record in stored_records(SUBSCRIPTIONS, path, START)] == ["a"]


def test_one_server_owns_the_database(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state" / "s.db"
    store = SQLiteSubscriptionStore(path, clock)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(StoreError, match="in use"):
        SQLiteSubscriptionStore(path, clock)
    store.close()


def test_what_cannot_be_opened_says_why(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"this is no database, not at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        SQLiteSubscriptionStore(path, clock)
    with pytest.raises(StoreError, match="no such database"):
        stored_records(SUBSCRIPTIONS, tmp_path / "other.db", START)


def test_a_table_that_cannot_be_read(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "s.db"
    store = SQLiteSubscriptionStore(path, clock)
    store._connection.execute("DROP TABLE subscription")
    failed = results_of(store.load())[0]
    assert failed.check(StoreError) and "no such table" in str(failed.value)
    store.close()
    with pytest.raises(StoreError, match="no such table"):
        stored_records(SUBSCRIPTIONS, path, START)
    with pytest.raises(StoreError, match="no such table"):
        SQLiteSubscriptionStore(path, clock)


def test_rows_of_the_expired_go_when_it_is_opened(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "s.db"
    store = SQLiteSubscriptionStore(path, clock)
    store.commit(put("short", expires_at=START + 60))
    store.commit(put("long"))
    clock.advance(1)
    store.abandon()
    clock.advance(100)
    SQLiteSubscriptionStore(path, clock).close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT key FROM subscription").fetchall() == [("long",)]
    connection.close()


def test_an_unexpected_failure_is_a_store_error(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteSubscriptionStore(tmp_path / "s.db", clock)

    def broken(*args: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(record_store, "write_steps", broken)
    failed = results_of(store.commit(put("a")))
    clock.advance(1)
    assert failed[0].check(StoreError) and str(failed[0].value) == "gone"
    store.close()


def test_databases_of_every_version_can_be_opened(tmp_path: Path, clock: Clock) -> None:
    fixtures = sorted(FIXTURES.glob("subscriptions-v*.sql"))
    assert len(fixtures) == len(SUBSCRIPTION_SCHEMA.migrations), "keep one of each version"
    whole = SubscriptionRecord(
        key="k1", event="presence", event_id="7", resource="sip:alice@example.com", watcher="sip:bob@example.com",
        state="pending", expires_at=4e9, created_at=1.8e9, dialog='{"call_id": "c"}', cseq_limit=4097, flow="t1",
        accept=("application/pidf+xml", "application/xpidf+xml"), options='{"rates": [["max-rate", "0.1"]]}',
    )  # fmt: skip
    plain = SubscriptionRecord(
        key="k2", event="presence", resource="sip:alice@example.com", watcher="sip:carol@example.com", state="active",
        expires_at=4e9, created_at=1.8e9, dialog="{}", cseq_limit=1,
    )  # fmt: skip
    for fixture in fixtures:
        path = tmp_path / f"{fixture.stem}.db"
        connection = sqlite3.connect(path)
        connection.executescript(fixture.read_text())
        connection.close()
        store = SQLiteSubscriptionStore(path, clock)
        assert results_of(store.load()) == [[whole, plain]]
        store.close()


SERVER = """
import sys
from pathlib import Path
from twisted.internet import reactor
from twisted_sip.interfaces.subscription import SubscriptionChange, SubscriptionRecord
from twisted_sip.storage.batch_writer import WriterThread
from twisted_sip.storage.subscription_sqlite import SQLiteSubscriptionStore

store = SQLiteSubscriptionStore(Path(sys.argv[1]), reactor, WriterThread(reactor, "subscriptions"))

def refresh(number):
    record = SubscriptionRecord(
        key=f"k{number % 97}", event="presence", resource="sip:a@example.com", watcher="sip:b@example.com",
        state="active", expires_at=reactor.seconds() + 3600, created_at=1.0, dialog="{}", cseq_limit=number,
    )
    store.commit(SubscriptionChange((record,))).addCallback(acknowledged, number)

def acknowledged(_, number):
    print(number, flush=True)
    reactor.callLater(0, refresh, number + 40)

for number in range(40):
    reactor.callWhenRunning(refresh, number)
reactor.run()
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    acknowledged: dict[str, int] = {}
    for line in server.stdout:
        number = int(line)
        acknowledged[f"k{number % 97}"] = number
        if number >= 1500:
            server.send_signal(signal.SIGKILL)
            break
    # What it had printed before it died counts too.
    for line in server.stdout:
        if line.endswith("\n"):
            acknowledged[f"k{int(line) % 97}"] = int(line)
    server.wait()
    server.stdout.close()
    found = {record.key: record.cseq_limit for record in stored_records(SUBSCRIPTIONS, path, 1.0)}
    assert len(acknowledged) == 97
    for key, number in acknowledged.items():
        assert found[key] >= number
