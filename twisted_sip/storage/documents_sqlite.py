"""The embedded document store: SQLite keeps, and what was read last stays in memory (RFC 4825).

Documents are few and written by people, so a change is checked against what is on disk, in the thread that writes, and
is seen when it is durable (``synchronous=FULL``: also after a power cut). What is remembered is a home directory at a
time: all documents of one user and application usage, or the knowledge that there are none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.documents import Document, DocumentChange, IDocumentStore
from twisted_sip.storage.batch_writer import BATCH_SIZE, FLUSH_INTERVAL, BatchWriter, InlineThread, WorkThread
from twisted_sip.storage.document_quota import DocumentQuota
from twisted_sip.storage.documents_memory import DocumentObservers, check_version
from twisted_sip.storage.sqlite import DatabaseLock, Schema, explain, open_database

#: The name of the database in a state directory.
DOCUMENTS_FILE = "documents.db"

#: How many changes may wait for the disk, and how many reads; more are refused.
MAX_WAITING = 2_000

# Released migrations never change; a new version is a new entry at the end.
DOCUMENTS_SCHEMA = Schema(
    kind="document",
    application_id=0x54534431,
    migrations=(
        (
            """CREATE TABLE document (
                auid TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL, etag TEXT NOT NULL,
                content BLOB NOT NULL, changed_at REAL NOT NULL,
                PRIMARY KEY (auid, owner, name))""",
            "CREATE INDEX document_owner ON document (owner)",
        ),
    ),
)

_SELECT = "SELECT auid, owner, name, etag, content, changed_at FROM document"
_UPSERT = (
    "INSERT INTO document (auid, owner, name, etag, content, changed_at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (auid, owner, name) DO UPDATE SET etag = excluded.etag, content = excluded.content,"
    " changed_at = excluded.changed_at"
)
#: What a home directory in memory counts beside its documents.
_OVERHEAD = 256

_Key = tuple[str, str]


class _Change:
    """A change on its way to the disk.

    :ivar document: the new version, or the one to delete.
    :ivar replaces: the entity-tag that has to be there.
    :ivar deletes: whether the document goes.
    :ivar before: what was there, as the thread found it.
    :ivar refused: why the thread did not make the change.
    :ivar done: fires when it is durable.
    """

    __slots__ = ("before", "deletes", "document", "done", "refused", "replaces")

    def __init__(self, document: Document, replaces: str, deletes: bool) -> None:
        self.document = document
        self.replaces = replaces
        self.deletes = deletes
        self.before: Document | None = None
        self.refused: StoreError | None = None
        self.done: Deferred[None] = Deferred()


@implementer(IDocumentStore)
class SQLiteDocumentStore:
    """Keeps documents in an SQLite database that one server owns."""

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        thread: WorkThread | None = None,
        *,
        quota: DocumentQuota | None = None,
        cache: int = 32 << 20,
        interval: float = FLUSH_INTERVAL,
        batch_size: int = BATCH_SIZE,
        timeout: float = 5.0,
    ) -> None:
        """Open the database at *path*, make it if it is not there.

        :param clock: a reactor, or a task.Clock.
        :param thread: where to read and write, a :class:`WriterThread` for a server; None does it in the caller's.
        :param quota: what one user may have.
        :param cache: the most bytes of documents that stay in memory.
        :param interval: seconds for which a change waits for company.
        :param batch_size: number of changes that do not wait.
        :param timeout: seconds to wait for a process that holds the database.
        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        self.quota = quota or DocumentQuota()
        self._path = path
        self._thread = thread or InlineThread()
        try:
            self._lock = DatabaseLock(path)
            try:
                self._connection = open_database(path, DOCUMENTS_SCHEMA, synchronous="FULL", timeout=timeout)
            except StoreError:
                self._lock.release()
                raise
        except StoreError:
            self._thread.stop()
            raise
        self._writer: BatchWriter[_Change] = BatchWriter(
            self._thread, clock, self._write, self._written, interval=interval, size=batch_size
        )
        self._observers = DocumentObservers()
        self._homes: dict[_Key, dict[str, Document]] = {}
        self._cached = 0
        self._most_cached = cache
        self._reading: dict[_Key, list[Deferred[dict[str, Document]]]] = {}
        self._open = True

    @property
    def waiting(self) -> int:
        """How many changes are not durable yet."""
        return self._writer.waiting

    @property
    def cached(self) -> int:
        """How many bytes, roughly, are held in memory."""
        return self._cached

    # -- reading --------------------------------------------------------------

    def get(self, auid: str, owner: str, name: str) -> Document | Deferred[Document | None] | None:
        home = self._home((auid, owner))
        if isinstance(home, dict):
            return home.get(name)
        return home.addCallback(lambda found: found.get(name))

    def names(self, auid: str, owner: str) -> Sequence[Document] | Deferred[Sequence[Document]]:
        home = self._home((auid, owner))
        if isinstance(home, dict):
            return _sorted(home)
        return home.addCallback(_sorted)

    def every(self, auid: str) -> Deferred[Sequence[Document]]:
        return self._listed("auid = ? ORDER BY owner, name", auid)

    def owned(self, owner: str) -> Deferred[Sequence[Document]]:
        return self._listed("owner = ? ORDER BY auid, name", owner)

    def _listed(self, condition: str, value: str) -> Deferred[Sequence[Document]]:
        found: list[Document] = []
        answered: Deferred[Sequence[Document]] = Deferred()

        def read() -> None:
            rows = self._connection.execute(f"{_SELECT} WHERE {condition}", (value,))
            found.extend(Document(**_fields(row)) for row in rows)

        def done(failure: Failure | None) -> None:
            if failure is None:
                answered.callback(found)
            else:
                answered.errback(self._explained(failure))

        if not self._open:
            return fail(self._closed())
        self._thread.submit(read, done)
        return answered

    def _home(self, key: _Key) -> dict[str, Document] | Deferred[dict[str, Document]]:
        home = self._homes.pop(key, None)
        if home is not None:
            # At the end again: what was used last goes last.
            self._homes[key] = home
            return home
        if not self._open:
            return fail(self._closed())
        waiter: Deferred[dict[str, Document]] = Deferred()
        waiting = self._reading.get(key)
        if waiting is not None:
            waiting.append(waiter)
            return waiter
        if len(self._reading) >= MAX_WAITING:
            return fail(StoreFull(f"{self._path}: {MAX_WAITING} reads wait for the disk"))
        self._reading[key] = [waiter]
        found: dict[str, Document] = {}

        def read() -> None:
            try:
                for row in self._connection.execute(f"{_SELECT} WHERE auid = ? AND owner = ?", key):
                    found[row[2]] = Document(**_fields(row))
            except UnicodeEncodeError:
                # Text that is no UTF-8: nobody is called that here.
                found.clear()

        def done(failure: Failure | None) -> None:
            waiting = self._reading.pop(key)
            if failure is not None:
                for each in waiting:
                    each.errback(self._explained(failure))
                return
            self._remember(key, found)
            for each in waiting:
                each.callback(found)

        self._thread.submit(read, done)
        return waiter

    def _remember(self, key: _Key, home: dict[str, Document]) -> None:
        self._homes[key] = home
        self._cached += _size(home)
        while self._cached > self._most_cached:
            self._forget(next(iter(self._homes)))

    def _forget(self, key: _Key) -> None:
        self._cached -= _size(self._homes.pop(key))

    # -- writing --------------------------------------------------------------

    def put(self, document: Document, replaces: str = "") -> Deferred[None]:
        return self._add(_Change(document, replaces, False))

    def delete(self, document: Document) -> Deferred[None]:
        return self._add(_Change(document, document.etag, True))

    def _add(self, change: _Change) -> Deferred[None]:
        if not self._open:
            return fail(self._closed())
        if self._writer.waiting >= MAX_WAITING:
            return fail(StoreFull(f"{self._path}: {MAX_WAITING} changes wait for the disk"))
        self._writer.add(change)
        return change.done

    def _write(self, batch: list[_Change]) -> None:
        """Make the changes of *batch* that may be made durable in one transaction; in the thread."""
        db = self._connection
        db.execute("BEGIN IMMEDIATE")
        try:
            for change in batch:
                try:
                    self._make(db, change)
                except StoreError as error:
                    change.refused = error
                except UnicodeEncodeError:
                    change.refused = StoreError(f"{self._path}: a name that is no UTF-8")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _make(self, db: sqlite3.Connection, change: _Change) -> None:
        document = change.document
        key = (document.auid, document.owner, document.name)
        row = db.execute(f"{_SELECT} WHERE auid = ? AND owner = ? AND name = ?", key).fetchone()
        change.before = None if row is None else Document(**_fields(row))
        check_version(document, change.before, change.replaces)
        if change.deletes:
            db.execute("DELETE FROM document WHERE auid = ? AND owner = ? AND name = ?", key)
            return
        count, size = db.execute(
            "SELECT count(*), coalesce(sum(length(content)), 0) FROM document WHERE owner = ?", (document.owner,)
        ).fetchone()
        self.quota.check(document, change.before, count, size)
        db.execute(_UPSERT, (*key, document.etag, document.content, document.changed_at))

    def _written(self, batch: list[_Change], failure: Failure | None) -> None:
        for change in batch:
            if failure is not None:
                change.done.errback(self._explained(failure))
            elif change.refused is not None:
                change.done.errback(change.refused)
            else:
                self._settle(change)

    def _settle(self, change: _Change) -> None:
        document = change.document
        key = (document.auid, document.owner)
        home = self._homes.get(key)
        if home is not None:
            self._forget(key)
            after = {**home, document.name: document}
            if change.deletes:
                del after[document.name]
            self._remember(key, after)
        self._observers.tell(DocumentChange(change.before, None if change.deletes else document))
        change.done.callback(None)

    def observe(self, observer: Callable[[DocumentChange], None]) -> Callable[[], None]:
        return self._observers.add(observer)

    # -- the end --------------------------------------------------------------

    def _explained(self, failure: Failure) -> StoreError:
        reason: BaseException | None = failure.value
        return explain(self._path, reason) if isinstance(reason, sqlite3.Error) else StoreError(str(reason))

    def _closed(self) -> StoreError:
        return StoreError(f"{self._path}: closed")

    def close(self) -> Deferred[None]:
        if not self._open:
            return succeed(None)
        self._open = False
        self._homes.clear()
        self._cached = 0
        return self._writer.close(self._release)

    def abandon(self) -> None:
        """Let go of everything without writing what waits, as a crash of the process would; for simulations.

        Deferreds of changes that are not durable never fire.
        """
        self._open = False
        self._writer.abandon()
        self._thread.submit(self._release, lambda failure: None)
        self._thread.stop()

    def _release(self) -> None:
        self._connection.close()
        self._lock.release()


def _fields(row: Sequence[Any]) -> dict[str, Any]:
    auid, owner, name, etag, content, changed_at = row
    return {
        "auid": auid, "owner": owner, "name": name, "etag": etag, "content": content, "changed_at": changed_at
    }  # fmt: skip


def _sorted(home: dict[str, Document]) -> Sequence[Document]:
    return [home[name] for name in sorted(home)]


def _size(home: dict[str, Document]) -> int:
    return _OVERHEAD + sum(_OVERHEAD + len(document.content) for document in home.values())
