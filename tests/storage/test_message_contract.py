"""Every message store of ours keeps the contract."""

from __future__ import annotations

import shutil
import tempfile
import unittest
from pathlib import Path

from twisted.internet.task import Clock

from twisted_sip.storage.message_memory import MemoryMessageStore
from twisted_sip.storage.message_sqlite import SQLiteMessageStore
from twisted_sip.storage.message_table import MessageLimits
from twisted_sip.testing.message_contract import MessageStoreContract


class MemoryMessageStoreTests(MessageStoreContract, unittest.TestCase):
    def make_store(self, clock: Clock, **limits: int) -> MemoryMessageStore:
        return MemoryMessageStore(clock, MessageLimits(**limits))


class SQLiteMessageStoreTests(MessageStoreContract, unittest.TestCase):
    batch_size = 64

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.number = 0
        super().setUp()

    def make_store(self, clock: Clock, **limits: int) -> SQLiteMessageStore:
        self.number += 1
        self.limits = MessageLimits(**limits)
        return self._open(clock)

    def crash_and_reopen(self) -> SQLiteMessageStore:
        self.store.abandon()
        return self._open(self.clock)

    def _open(self, clock: Clock) -> SQLiteMessageStore:
        path = self.directory / f"{self.number}.db"
        return SQLiteMessageStore(path, clock, limits=self.limits, batch_size=self.batch_size)

    def fail_writes(self, failing: bool) -> None:
        self.store._connection.execute(f"PRAGMA query_only = {int(failing)}")


class AtOnceSQLiteMessageStoreTests(SQLiteMessageStoreTests):
    """The same, with each change in a batch of its own."""

    batch_size = 1
