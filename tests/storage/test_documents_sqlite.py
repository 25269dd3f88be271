"""The SQLite document store beyond the contract: what is remembered, limits, versions of the schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.documents import Document
from twisted_sip.storage import documents_sqlite
from twisted_sip.storage.documents_sqlite import DOCUMENTS_SCHEMA, SQLiteDocumentStore
from twisted_sip.testing.document_contract import ALICE, BOB, document

FIXTURES = Path(__file__).parent / "fixtures"


class SlowThread:
    """A thread that works when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], None], Callable[[Failure | None], None]]] = []
        self.stopped = False

    def submit(self, work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        self.jobs.append((work, done))

    def stop(self) -> None:
        self.stopped = True

    def step(self) -> None:
        work, done = self.jobs.pop(0)
        outcome: Failure | None = None
        try:
            work()
        except Exception:
            outcome = Failure()
        done(outcome)


def results_of(deferred: Any) -> list[Any]:
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_was_read_is_a_value(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock)
    assert results_of(store.get("pres-rules", ALICE, "index")) == [None]
    assert store.get("pres-rules", ALICE, "index") is None
    store.put(document())
    clock.advance(1)
    assert store.get("pres-rules", ALICE, "index") == document()
    assert store.names("pres-rules", ALICE) == [document()]
    store.close()


def test_those_who_ask_at_once_share_one_read(tmp_path: Path, clock: Clock) -> None:
    thread = SlowThread()
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock, thread)
    first = results_of(store.get("pres-rules", ALICE, "index"))
    second = results_of(store.names("pres-rules", ALICE))
    assert len(thread.jobs) == 1
    thread.step()
    assert (first, second) == ([None], [[]])
    store.close()
    thread.step()
    assert thread.stopped


def test_a_read_between_two_changes_sees_what_was_durable(tmp_path: Path, clock: Clock) -> None:
    thread = SlowThread()
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock, thread, batch_size=1)
    store.put(document(etag="1"))
    read = results_of(store.get("pres-rules", ALICE, "index"))
    thread.step()
    store.put(document(etag="2"), "1")
    thread.step()
    assert read[0].etag == "1"
    thread.step()
    found = store.get("pres-rules", ALICE, "index")
    assert isinstance(found, Document) and found.etag == "2"
    store.close()
    thread.step()


def test_memory_is_bounded_and_what_was_used_last_stays(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock, cache=4000)
    for number in range(20):
        store.put(document(owner=f"sip:{number}@example.com", content=b"x" * 600))
    clock.advance(1)
    assert results_of(store.get("pres-rules", "sip:0@example.com", "index"))[0].owner == "sip:0@example.com"
    for number in range(1, 20):
        results_of(store.get("pres-rules", f"sip:{number}@example.com", "index"))
        assert isinstance(store.get("pres-rules", "sip:0@example.com", "index"), Document)
        assert store.cached <= 4000
    assert not isinstance(store.get("pres-rules", "sip:1@example.com", "index"), Document)
    store.close()


def test_reads_and_changes_that_wait_are_limited(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents_sqlite, "MAX_WAITING", 1)
    thread = SlowThread()
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock, thread)
    store.get("pres-rules", ALICE, "index")
    assert results_of(store.get("pres-rules", BOB, "index"))[0].check(StoreFull)
    kept = results_of(store.put(document()))
    assert results_of(store.put(document("other")))[0].check(StoreFull)
    assert store.waiting == 1
    clock.advance(1)
    thread.step()
    thread.step()
    assert kept == [None] and store.waiting == 0
    store.close()
    thread.step()


def test_reads_that_fail(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock)
    store._connection.execute("DROP TABLE document")
    for asked in (store.get("pres-rules", ALICE, "index"), store.every("pres-rules")):
        failed = results_of(asked)[0]
        assert failed.check(StoreError) and "\n" not in str(failed.value)
    store.close()
    for asked in (store.get("pres-rules", ALICE, "index"), store.every("pres-rules")):
        assert results_of(asked)[0].check(StoreError)


def test_names_that_are_no_text(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock)
    kept = results_of(store.put(document()))
    refused = results_of(store.put(document("\udcff")))
    clock.advance(1)
    assert kept == [None]
    assert refused[0].check(StoreError)
    assert results_of(store.get("pres-rules", "\udcff", "index")) == [None]
    store.close()


def test_a_database_that_cannot_be_opened(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "documents.db"
    store = SQLiteDocumentStore(path, clock)
    thread = SlowThread()
    with pytest.raises(StoreError, match="in use by another server"):
        SQLiteDocumentStore(path, clock, thread)
    assert thread.stopped
    store.close()
    path.write_bytes(b"no database at all" * 100)
    for _ in range(2):
        # The lock is given back each time.
        with pytest.raises(StoreError, match="damaged"):
            SQLiteDocumentStore(path, clock)


def test_every_older_schema_can_be_opened(tmp_path: Path, clock: Clock) -> None:
    fixtures = sorted(FIXTURES.glob("documents-v*.sql"))
    assert len(fixtures) == len(DOCUMENTS_SCHEMA.migrations), "keep one of each version"
    for fixture in fixtures:
        path = tmp_path / f"{fixture.stem}.db"
        connection = sqlite3.connect(path)
        connection.executescript(fixture.read_text())
        connection.close()
        store = SQLiteDocumentStore(path, clock)
        found = results_of(store.get("pres-rules", ALICE, "index"))
        assert found == [document(content=b"<ruleset/>")]
        store.close()


def test_a_batch_that_breaks_off_leaves_nothing(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteDocumentStore(tmp_path / "documents.db", clock)
    store._connection.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON document WHEN NEW.name = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'oh'); END"
    )
    one, two = results_of(store.put(document())), results_of(store.put(document("bad")))
    clock.advance(1)
    assert one[0].check(StoreError) and two[0].check(StoreError)
    store._connection.execute("DROP TRIGGER broken")
    store._connection.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON document WHEN NEW.name = 'bad' BEGIN SELECT RAISE(ABORT, 'oh'); END"
    )
    one, two = results_of(store.put(document())), results_of(store.put(document("bad")))
    clock.advance(1)
    assert one[0].check(StoreError) and two[0].check(StoreError)
    assert results_of(store.names("pres-rules", ALICE)) == [[]]
    store.close()
