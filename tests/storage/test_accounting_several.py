"""Several sinks at once, and a file that is renamed under its writer."""

from __future__ import annotations

import contextlib
import json
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink
from twisted_sip.storage.accounting_json_lines import JSONLinesAccounting
from twisted_sip.storage.accounting_memory import MemoryAccounting
from twisted_sip.storage.accounting_reading import CallFilter, CallReader
from twisted_sip.storage.accounting_several import SeveralSinks
from twisted_sip.storage.accounting_sqlite import SQLiteAccounting
from twisted_sip.storage.accounting_text import open_text, record_from, record_text

from .accounting_desk import over, record


class Odd(MemoryAccounting):
    """Answers with what it is given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def answered(self, record: CallRecord) -> Any:
        super().answered(record)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> Any:
        return self.answer if isinstance(self.answer, Deferred) else None


def test_all_are_told_whatever_one_of_them_does() -> None:
    plain, slow = MemoryAccounting(), Odd(Deferred())
    sinks = SeveralSinks([Odd(StoreError("full")), plain, slow])
    verifyObject(IAccountingSink, sinks)
    told: list[Any] = []
    waits = sinks.answered(record("1"))
    assert waits is not None and plain.under_way and slow.under_way and sinks.failed == 1
    waits.addBoth(told.append)
    assert not told
    slow.answer.callback(None)
    assert told == [None]
    assert sinks.ended(over("1")) is None and plain.records
    # With two that take their time both are waited for, and a failure is none of the caller's.
    one, other = Deferred[None](), Deferred[None]()
    pair = SeveralSinks([Odd(one), Odd(other)])
    waits = pair.answered(record("2"))
    assert waits is not None
    waits.addBoth(lambda result: told.append("both"))
    one.callback(None)
    assert told == [None]
    other.errback(StoreError("full"))
    assert told == [None, "both"] and pair.failed == 1


def test_closing_waits_for_all() -> None:
    done: list[Any] = []
    SeveralSinks([MemoryAccounting(), Odd(fail(StoreError("full")))]).close().addBoth(done.append)
    assert len(done) == 1


def test_a_file_may_be_renamed_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JSONLinesAccounting(path)
    sink.answered(record("1"))
    sink.follow()
    path.rename(tmp_path / "old")
    sink.answered(record("2"))
    sink.follow()
    sink.ended(over("1"))
    assert [json.loads(line)["id"] for line in (tmp_path / "old").read_text().splitlines()] == ["1", "2"]
    assert json.loads(path.read_text())["result"] == "answered"
    path.unlink()
    path.mkdir()
    # It cannot be opened: what is open stays.
    sink.follow()
    sink.close()
    sink.follow()
    # Opened anew, nobody is said to be interrupted: somebody else knows.
    assert not JSONLinesAccounting(tmp_path / "old").close()
    assert len((tmp_path / "old").read_text().splitlines()) == 2


def test_records_come_back_from_their_texts() -> None:
    for one in (record("1", ringing=None), over("2"), over("3", answered=None, known_until=None)):
        assert record_from(json.loads(record_text(one, event="ended"))) == one
    assert record_from(json.loads(open_text(record("1")))) == record("1", known_until=None)


@contextlib.contextmanager
def longest_file(size: int) -> Iterator[None]:
    """Files end at *size*, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_half_a_line_is_no_part_of_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    lines = JSONLinesAccounting(path)
    lines.answered(record("1"))
    with longest_file(path.stat().st_size + 50), pytest.raises(StoreError, match="no space left"):
        lines.answered(record("2"))
    lines.answered(record("3"))
    lines.close()
    one, half, three = path.read_text().splitlines()
    assert [json.loads(line)["id"] for line in (one, three)] == ["1", "3"]
    assert len(half) == 50


def test_records_can_be_read_while_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    clock = Clock()
    sink = SQLiteAccounting(path, clock)
    sink.ended(over("1"))
    clock.advance(1)
    with contextlib.closing(sqlite3.connect(path)) as one_more:
        # It cannot be written.
        one_more.execute("BEGIN IMMEDIATE")
        with contextlib.closing(CallReader(path)) as reader:
            assert [one.id for one in reader.calls(CallFilter())] == ["1"]
    sink.close()


def test_what_cannot_be_written_for_long_is_said_once(tmp_path: Path) -> None:
    said: list[Any] = []
    path = tmp_path / "calls.jsonl"
    plain = MemoryAccounting()
    sinks = SeveralSinks([plain, JSONLinesAccounting(path)])
    globalLogPublisher.addObserver(said.append)
    try:
        with longest_file(0):
            for number in range(5):
                sinks.answered(record(str(number)))
        assert sinks.failed == len(plain.under_way) == 5
        sinks.answered(record("6"))
        sinks.answered(record("7"))
    finally:
        globalLogPublisher.removeObserver(said.append)
        sinks.close()
    assert [formatEvent(event) for event in said] == [
        f"CALL RECORDS ARE NOT KEPT: {path}: file too large",
        "call records are kept again: 5 were not kept by one that keeps them",
    ]
    assert not any("log_failure" in event for event in said)
    assert len(path.read_text().splitlines()) == 2
