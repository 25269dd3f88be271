"""The database of call records: when an answer may be told, disks that fail or hang, older schemas, what is removed."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import IAccountingSink, LegRecord
from twisted_sip.storage import accounting_sqlite
from twisted_sip.storage.accounting_reading import CallFilter, CallReader
from twisted_sip.storage.accounting_rows import ACCOUNTING_SCHEMA
from twisted_sip.storage.accounting_sqlite import SQLiteAccounting

from .accounting_desk import ALICE, BOB, START, StoppedThread, over, record

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(START)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


def results_of(deferred: Any) -> list[Any]:
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


def rows(path: Path, wanted: CallFilter | None = None) -> list[Any]:
    reader = CallReader(path)
    try:
        return reader.calls(wanted or CallFilter())
    finally:
        reader.close()


def test_an_answer_waits_for_the_disk(path: Path, clock: Clock) -> None:
    thread = StoppedThread()
    sink = SQLiteAccounting(path, clock, thread)
    verifyObject(IAccountingSink, sink)
    first, second = results_of(sink.answered(record("1"))), results_of(sink.answered(record("2")))
    clock.advance(0.5)
    assert not first and not second and len(sink) == 2
    thread.work()
    assert first == second == [None] and not sink.late
    sink.abandon()
    thread.work()
    # As after a crash: both are there, and whole but for the end.
    again = SQLiteAccounting(path, clock)
    assert again.unfinished == [record("1"), record("2")] and again.last_seen is None
    again.ended(over("1"))
    again.sign_of_life()
    again.close()
    last = SQLiteAccounting(path, clock)
    assert last.unfinished == [record("2")] and last.last_seen == START + 0.5
    last.close()
    assert rows(path) == [over("1")]


def test_calls_with_several_legs_and_odd_texts_come_back_as_they_went(path: Path, clock: Clock) -> None:
    legs = (
        LegRecord(call_id="x\udcff", incoming=True, uri=ALICE, began=1.5, answered=2.5, callee_tag="t"),
        LegRecord(call_id="y", incoming=False, uri='sip:"\\\u2028@b', began=1.5, ended=3.0, status=486, reason="Busy"),
    )
    odd = {"caller": "sip:\udcff@example.com", "callee": "sip:\"o'brien\n", "legs": legs, "interval": 122.0}
    sink = SQLiteAccounting(path, clock)
    sink.answered(record("1", **odd))
    sink.close()
    sink = SQLiteAccounting(path, clock)
    assert sink.unfinished == [record("1", **odd)]
    sink.ended(over("1", **odd))
    sink.ended(over("2", answered=None, ringing=None, known_until=None, result="refused", status=603))
    sink.close()
    found = {one.id: one for one in rows(path)}
    assert found["1"] == over("1", **odd) and found["2"].answered is None and found["2"].legs == ()


def test_the_row_of_a_batch_goes_with_its_last_call(path: Path, clock: Clock) -> None:
    sink = SQLiteAccounting(path, clock)

    def batches() -> int:
        connection = sqlite3.connect(path)
        try:
            return int(connection.execute("SELECT count(*) FROM under_way").fetchone()[0])
        finally:
            connection.close()

    for id in ("1", "2"):
        sink.answered(record(id))
    clock.advance(1)
    sink.answered(record("3"))
    sink.ended(over("3"))
    clock.advance(1)
    # The third one was over before it was written.
    assert batches() == 1
    sink.ended(over("1"))
    clock.advance(1)
    assert batches() == 1
    sink.ended(over("2"))
    clock.advance(1)
    assert batches() == 0 and len(rows(path)) == 3 and not len(sink)
    sink.close()


def test_a_disk_that_hangs_holds_no_call(path: Path, clock: Clock) -> None:
    thread = StoppedThread()
    sink = SQLiteAccounting(path, clock, thread, patience=2.0)
    first = results_of(sink.answered(record("1")))
    clock.advance(1.9)
    assert not first
    clock.advance(0.2)
    assert first == [None] and sink.late == 1
    second = results_of(sink.answered(record("2")))
    thread.work()
    clock.advance(1)
    thread.work()
    assert second == [None] and sink.late == 1
    closed = results_of(sink.close())
    thread.work()
    assert closed == [None] and not clock.getDelayedCalls()


def fail_writes(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[Any]:
    """Let the disk fail while the list that is returned has something in it."""
    broken: list[Any] = [error]
    real = accounting_sqlite.rows.write_steps

    def write(connection: Any, steps: Any) -> None:
        if broken:
            raise broken[0]
        real(connection, steps)

    monkeypatch.setattr(accounting_sqlite.rows, "write_steps", write)
    return broken


def test_a_disk_that_fails_stops_no_call_and_gets_it_all_later(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = fail_writes(monkeypatch, sqlite3.OperationalError("database or disk is full"))
    sink = SQLiteAccounting(path, clock)
    told = results_of(sink.answered(record("1")))
    clock.advance(1)
    assert told == [None] and sink.late == 1 and sink.waiting == 1 and not sink.lost
    sink.ended(over("1"))
    clock.advance(1)
    assert sink.waiting > 1
    broken.clear()
    sink.answered(record("2"))
    sink.sign_of_life()
    clock.advance(1)
    assert not sink.waiting and not sink.lost
    sink.close()
    assert rows(path) == [over("1")]
    again = SQLiteAccounting(path, clock)
    assert again.unfinished == [record("2")]
    again.close()


def test_what_has_no_room_is_lost_and_counted(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting_sqlite, "MAX_WAITING", 2)
    broken = fail_writes(monkeypatch, OSError("gone"))
    sink = SQLiteAccounting(path, clock, batch_size=1000)
    for id in "123":
        sink.answered(record(id))
    assert sink.lost == 1
    for id in "123":
        sink.ended(over(id))
    clock.advance(1)
    assert sink.lost > 1 and sink.waiting <= 2
    assert sink.answered(record("4")) is None
    before = sink.lost
    sink.close()
    assert sink.lost > before and broken
    sink.ended(over("5"))
    assert sink.lost > before + 1


def test_what_is_no_record_keeps_no_other_from_the_disk(path: Path, clock: Clock) -> None:
    sink = SQLiteAccounting(path, clock)
    sink.ended(over("1"))
    sink.ended(over("2", user=None))
    sink.ended(over("3"))
    clock.advance(1)
    assert {one.id for one in rows(path)} == {"1", "3"} and sink.lost == 1
    sink.close()


def test_what_is_too_old_goes(path: Path, clock: Clock) -> None:
    sink = SQLiteAccounting(path, clock)
    for number in range(5):
        sink.ended(over(str(number), set_up=START + number))
    clock.advance(1)
    assert [results_of(sink.prune(START + 3, 2)) for _ in range(3)] == [[2], [1], [0]]
    assert {one.id for one in rows(path)} == {"3", "4"}
    sink.close()
    assert results_of(sink.prune(START))[0].check(StoreError)


def test_the_records_of_a_user_go_those_of_others_stay(path: Path, clock: Clock) -> None:
    sink = SQLiteAccounting(path, clock)
    carol = "sip:carol@example.com"
    sink.ended(over("1"))
    sink.ended(over("2", user=BOB, callee_user=carol))
    sink.ended(over("3", user=carol, callee_user=ALICE))
    assert results_of(sink.remove_user(BOB)) == [2]
    assert [one.id for one in rows(path)] == ["3"]
    sink.close()


def test_only_one_server_has_it(path: Path, clock: Clock) -> None:
    sink = SQLiteAccounting(path, clock)
    with pytest.raises(StoreError, match="in use by another server"):
        SQLiteAccounting(path, clock)
    sink.close()
    sink.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO under_way VALUES (9, ?)", ('{"id": 1}',))
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="damaged"):
        SQLiteAccounting(path, clock)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        SQLiteAccounting(path, clock)


def test_databases_of_every_version_can_be_opened(tmp_path: Path, clock: Clock) -> None:
    fixtures = sorted(FIXTURES.glob("calls-v*.sql"))
    assert len(fixtures) == len(ACCOUNTING_SCHEMA.migrations), "keep one of each version"
    for fixture in fixtures:
        path = tmp_path / f"{fixture.stem}.db"
        connection = sqlite3.connect(path)
        connection.executescript(fixture.read_text())
        connection.close()
        sink = SQLiteAccounting(path, clock, max_callbacks=10)
        assert sink.unfinished == [record("2")] and sink.last_seen == START + 5 and sink.queued == 1
        assert results_of(sink.next_callbacks(9)) == [[(1, '{"id": "1"}')]]
        sink.close()
        assert rows(path) == [over("1", caller="sip:größe@example.com", legs=_LEGS)]


_LEGS = (LegRecord(call_id="call-1", incoming=False, uri=BOB, began=START, status=486, reason="Busy Here"),)


def make_fixture(path: Path) -> None:  # pragma: no cover
    """Write the fixture of the newest version; for whoever makes a new one."""
    clock = Clock()
    clock.advance(START + 5)
    sink = SQLiteAccounting(path.with_suffix(".db"), clock)
    sink.answered(record("2"))
    sink.ended(over("1", caller="sip:größe@example.com", legs=_LEGS))
    sink.sign_of_life()
    sink.close()
    connection = sqlite3.connect(path.with_suffix(".db"))
    connection.execute("INSERT INTO callback (body) VALUES (?)", ('{"id": "1"}',))
    connection.commit()
    lines = [line for line in connection.iterdump() if "sqlite_sequence" not in line]
    marks = [
        f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
        for name in ("user_version", "application_id")
    ]
    path.write_text("\n".join([*lines, *marks, ""]))
    os.unlink(path.with_suffix(".db"))
