"""Every subscription store of ours keeps the contract."""

from __future__ import annotations

import shutil
import tempfile
import unittest
from pathlib import Path

from twisted.internet.task import Clock

from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.storage.subscription_sqlite import SQLiteSubscriptionStore
from twisted_sip.testing.subscription_contract import SubscriptionStoreContract


class MemorySubscriptionStoreTests(SubscriptionStoreContract, unittest.TestCase):
    def make_store(self, clock: Clock) -> MemorySubscriptionStore:
        return MemorySubscriptionStore(clock)


class SQLiteSubscriptionStoreTests(SubscriptionStoreContract, unittest.TestCase):
    batch_size = 64

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        super().setUp()

    def make_store(self, clock: Clock) -> SQLiteSubscriptionStore:
        return SQLiteSubscriptionStore(self.directory / "subscriptions.db", clock, batch_size=self.batch_size)

    def crash_and_reopen(self) -> SQLiteSubscriptionStore:
        self.store.abandon()
        return self.make_store(self.clock)

    def fail_writes(self, failing: bool) -> None:
        self.store._connection.execute(f"PRAGMA query_only = {int(failing)}")


class AtOnceSQLiteSubscriptionStoreTests(SQLiteSubscriptionStoreTests):
    """The same, with each change in a batch of its own."""

    batch_size = 1
