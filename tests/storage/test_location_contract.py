"""Every location store of ours keeps the contract."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import unittest
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.location_sqlite import SQLiteLocationStore
from twisted_sip.testing.location_contract import LocationStoreContract


class MemoryLocationStoreTests(LocationStoreContract, unittest.TestCase):
    def make_store(self, clock: Clock) -> MemoryLocationStore:
        return MemoryLocationStore(clock)


class SQLiteLocationStoreTests(LocationStoreContract, unittest.TestCase):
    fold_at: int | None = None
    batch_size = 64

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.number = 0
        super().setUp()

    def make_store(self, clock: Clock) -> SQLiteLocationStore:
        self.number += 1
        return self._open(clock)

    def crash_and_reopen(self) -> SQLiteLocationStore:
        self.store.abandon()
        return self._open(self.clock)

    def _open(self, clock: Clock) -> SQLiteLocationStore:
        path = self.directory / f"{self.number}.db"
        return SQLiteLocationStore(path, clock, batch_size=self.batch_size, fold_at=self.fold_at)

    def fail_writes(self, failing: bool) -> None:
        self.store._connection.execute(f"PRAGMA query_only = {int(failing)}")


class FoldingSQLiteLocationStoreTests(SQLiteLocationStoreTests):
    """The same, with the journal folded after every batch."""

    fold_at = 0


class AtOnceSQLiteLocationStoreTests(SQLiteLocationStoreTests):
    """The same, with each change in a batch of its own."""

    batch_size = 1


def test_the_failure_that_the_contract_uses_is_one() -> None:
    connection: Any = sqlite3.connect(":memory:")
    connection.execute("PRAGMA query_only = 1")
    try:
        connection.execute("CREATE TABLE t (x)")
    except sqlite3.OperationalError:
        return
    raise AssertionError
