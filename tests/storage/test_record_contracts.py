"""Every publication and subscription store of ours keeps its contract."""

from __future__ import annotations

import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from twisted_sip.storage.publication_memory import MemoryPublicationStore
from twisted_sip.storage.publication_sqlite import SQLitePublicationStore
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.storage.subscription_sqlite import SQLiteSubscriptionStore
from twisted_sip.testing.publication_contract import PublicationStoreContract
from twisted_sip.testing.subscription_contract import SubscriptionStoreContract


class SQLiteTests:
    """What tests of stores on disk have in common."""

    batch_size = 64
    store_class: Any
    store: Any
    clock: Clock

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)  # type: ignore[attr-defined]
        super().setUp()  # type: ignore[misc]

    def make_store(self, clock: Clock) -> Any:
        return self.store_class(self.directory / "records.db", clock, batch_size=self.batch_size)

    def crash_and_reopen(self) -> Any:
        self.store.abandon()
        return self.make_store(self.clock)

    def fail_writes(self, failing: bool) -> None:
        self.store._connection.execute(f"PRAGMA query_only = {int(failing)}")


class MemorySubscriptionStoreTests(SubscriptionStoreContract, unittest.TestCase):
    def make_store(self, clock: Clock) -> MemorySubscriptionStore:
        return MemorySubscriptionStore(clock)


class SQLiteSubscriptionStoreTests(SQLiteTests, SubscriptionStoreContract, unittest.TestCase):
    store_class = SQLiteSubscriptionStore


class AtOnceSQLiteSubscriptionStoreTests(SQLiteSubscriptionStoreTests):
    """The same, with each change in a batch of its own."""

    batch_size = 1


class MemoryPublicationStoreTests(PublicationStoreContract, unittest.TestCase):
    def make_store(self, clock: Clock) -> MemoryPublicationStore:
        return MemoryPublicationStore(clock)


class SQLitePublicationStoreTests(SQLiteTests, PublicationStoreContract, unittest.TestCase):
    store_class = SQLitePublicationStore
