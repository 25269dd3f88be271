"""Every document store of ours keeps the contract."""

from __future__ import annotations

import shutil
import tempfile
import unittest
from pathlib import Path

from twisted.internet.task import Clock

from twisted_sip.storage.document_quota import DocumentQuota
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.documents_sqlite import SQLiteDocumentStore
from twisted_sip.testing.document_contract import DocumentStoreContract


class MemoryDocumentStoreTests(DocumentStoreContract, unittest.TestCase):
    def make_store(self, clock: Clock, quota: DocumentQuota) -> MemoryDocumentStore:
        return MemoryDocumentStore(quota)


class SQLiteDocumentStoreTests(DocumentStoreContract, unittest.TestCase):
    cache = 1 << 20
    batch_size = 64

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        super().setUp()

    def make_store(self, clock: Clock, quota: DocumentQuota) -> SQLiteDocumentStore:
        path = self.directory / "documents.db"
        return SQLiteDocumentStore(path, clock, quota=quota, cache=self.cache, batch_size=self.batch_size)

    def crash_and_reopen(self) -> SQLiteDocumentStore:
        quota = self.store.quota
        self.store.abandon()
        return self.make_store(self.clock, quota)

    def fail_writes(self, failing: bool) -> None:
        self.store._connection.execute(f"PRAGMA query_only = {int(failing)}")


class ForgetfulSQLiteDocumentStoreTests(SQLiteDocumentStoreTests):
    """The same, with no room to remember anything."""

    cache = 0


class AtOnceSQLiteDocumentStoreTests(SQLiteDocumentStoreTests):
    """The same, with each change in a batch of its own."""

    batch_size = 1
