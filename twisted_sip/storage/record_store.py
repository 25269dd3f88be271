"""Records that the memory of a service is the master of, remembered in SQLite.

A change is acknowledged when its batch is on disk. Batches are written in order by a thread of the store's own; with
``synchronous=NORMAL`` an acknowledged change survives the death of the process, with ``FULL`` that of the machine.
Nothing is kept in memory here but what waits for the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.storage.batch_writer import BATCH_SIZE, FLUSH_INTERVAL, BatchWriter, InlineThread, WorkThread
from twisted_sip.storage.record_table import Record, RecordChange, RecordTable, Step, write_steps
from twisted_sip.storage.sqlite import DatabaseLock, explain, open_database

#: Called once a change is durable, with None, or with what it failed for.
Done: TypeAlias = Callable[[Failure | None], object]

#: How many changes may wait for the disk; more are refused.
MAX_WAITING = 20_000


class SQLiteRecordStore(Generic[Record]):
    """Keeps the records of one table in an SQLite database that one server owns."""

    _log = Logger()

    def __init__(
        self,
        table: RecordTable[Record],
        path: Path,
        clock: IReactorTime,
        thread: WorkThread | None = None,
        *,
        interval: float = FLUSH_INTERVAL,
        batch_size: int = BATCH_SIZE,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        timeout: float = 5.0,
    ) -> None:
        """Open the database at *path*, make it if it is not there.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        :param thread: where to write, a :class:`WriterThread` for a server; None writes in the caller's thread.
        :param interval: seconds for which a change waits for company.
        :param batch_size: number of changes that do not wait.
        :param timeout: seconds to wait for a process that holds the database.
        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        self._table = table
        self._path = path
        self._clock = clock
        self._thread = thread or InlineThread()
        try:
            self._lock = DatabaseLock(path)
            try:
                self._connection = open_database(path, table.schema, synchronous=synchronous, timeout=timeout)
            except StoreError:
                self._lock.release()
                raise
        except StoreError:
            # A thread that was started for this store has nothing to do.
            self._thread.stop()
            raise
        self._writer: BatchWriter[tuple[RecordChange[Record], Done]] = BatchWriter(
            self._thread,
            clock,
            self._write,
            self._written,
            prepare=lambda batch: table.steps_of([change for change, _ in batch]),
            interval=interval,
            size=batch_size,
        )
        self._open = True
        try:
            table.drop_expired(self._connection, clock.seconds())
        except sqlite3.Error as error:
            self._release()
            self._thread.stop()
            raise explain(path, error) from error

    @property
    def waiting(self) -> int:
        """How many changes are not durable yet."""
        return self._writer.waiting

    def load(self) -> Sequence[Record] | Deferred[Sequence[Record]]:
        if not self._open:
            return fail(StoreError(f"{self._path}: closed"))
        found: list[Sequence[Record]] = []
        loaded: Deferred[Sequence[Record]] = Deferred()
        now = self._clock.seconds()

        def read() -> None:
            found.append(self._table.read(self._connection, now))

        def done(failure: Failure | None) -> None:
            if failure is None:
                loaded.callback(found[0])
            else:
                loaded.errback(Failure(self._explain(failure)))

        # In the thread, where the connection is in nobody else's hands.
        self._thread.submit(read, done)
        return loaded

    def commit(self, change: RecordChange[Record]) -> Deferred[None]:
        acknowledged: Deferred[None] = Deferred()
        self.commit_then(change, partial(_fire, acknowledged))
        return acknowledged

    def commit_then(self, change: RecordChange[Record], done: Done) -> None:
        """As commit(), for who needs no Deferred.

        :param done: called once, perhaps before this returns.
        """
        writer = self._writer
        if not self._open:
            done(Failure(StoreError(f"{self._path}: closed")))
        elif len(writer.gathered) + writer.under_way >= MAX_WAITING:
            done(Failure(StoreFull(f"{self._path}: {MAX_WAITING} changes wait for the disk")))
        else:
            writer.add((change, done))

    # -- in the thread -------------------------------------------------------

    def _write(self, steps: Sequence[Step]) -> None:
        write_steps(self._connection, steps)

    # -- back in the reactor's thread ----------------------------------------

    def _written(self, batch: list[tuple[RecordChange[Record], Done]], failure: Failure | None) -> None:
        error = None
        if failure is not None:
            error = self._explain(failure)
            self._log.error("{count} changes are lost: {reason}", count=len(batch), reason=str(error))
        for _, done in batch:
            try:
                done(None if error is None else Failure(error))
            except Exception:
                # The others have to hear of theirs.
                self._log.failure("what follows a change has failed")

    def _explain(self, failure: Failure) -> StoreError:
        reason: Any = failure.value
        return explain(self._path, reason) if isinstance(reason, sqlite3.Error) else StoreError(str(reason))

    # -- the end --------------------------------------------------------------

    def close(self) -> Deferred[None]:
        if not self._open:
            return succeed(None)
        self._open = False
        return self._writer.close(self._release)

    def abandon(self) -> None:
        """Let go of everything without writing what waits, as a crash of the process would; for simulations.

        Deferreds of commits that are not durable never fire.
        """
        self._open = False
        self._writer.abandon()
        self._thread.submit(self._release, lambda failure: None)
        self._thread.stop()

    def _release(self) -> None:
        self._connection.close()
        self._lock.release()


def _fire(acknowledged: Deferred[None], failure: Failure | None) -> None:
    if failure is None:
        acknowledged.callback(None)
    else:
        acknowledged.errback(failure)


def stored_records(table: RecordTable[Record], path: Path, now: float) -> list[Record]:
    """Return the records in the database at *path* that live beyond *now*; a server may be running on it.

    :raises StoreError: the database cannot be read.
    """
    if not path.exists():
        raise StoreError(f"{path}: no such database")
    connection = open_database(path, table.schema, synchronous="NORMAL")
    try:
        return table.read(connection, now)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    finally:
        connection.close()
