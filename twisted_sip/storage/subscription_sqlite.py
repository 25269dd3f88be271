"""The embedded subscription store: SQLite remembers what the notifier has in memory (RFC 6665).

A change is acknowledged when its batch is on disk. Batches are written in order by a thread of the store's own; with
``synchronous=NORMAL`` an acknowledged change survives the death of the process, and a power cut may cost the last ones,
whose watchers then hear 481 and subscribe anew. Nothing is kept in memory here but what waits for the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionChange, SubscriptionRecord
from twisted_sip.storage.batch_writer import BATCH_SIZE, FLUSH_INTERVAL, BatchWriter, InlineThread, WorkThread
from twisted_sip.storage.sqlite import DatabaseLock, explain, open_database
from twisted_sip.storage.subscription_rows import (
    SUBSCRIPTION_SCHEMA,
    Step,
    drop_expired,
    read_subscriptions,
    steps_of,
    write_steps,
)

#: The name of the database in a state directory.
SUBSCRIPTION_FILE = "subscriptions.db"

#: How many changes may wait for the disk; more are refused.
MAX_WAITING = 20_000

_Item: TypeAlias = "tuple[SubscriptionChange, Deferred[None]]"


@implementer(ISubscriptionStore)
class SQLiteSubscriptionStore:
    """Keeps subscriptions in an SQLite database that one server owns."""

    _log = Logger()

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        thread: WorkThread | None = None,
        *,
        interval: float = FLUSH_INTERVAL,
        batch_size: int = BATCH_SIZE,
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
        self._path = path
        self._clock = clock
        self._thread = thread or InlineThread()
        try:
            self._lock = DatabaseLock(path)
            try:
                self._connection = open_database(path, SUBSCRIPTION_SCHEMA, synchronous="NORMAL", timeout=timeout)
            except StoreError:
                self._lock.release()
                raise
        except StoreError:
            # A thread that was started for this store has nothing to do.
            self._thread.stop()
            raise
        self._writer: BatchWriter[_Item] = BatchWriter(
            self._thread,
            clock,
            self._write,
            self._written,
            prepare=lambda batch: steps_of([change for change, _ in batch]),
            interval=interval,
            size=batch_size,
        )
        self._open = True
        try:
            drop_expired(self._connection, clock.seconds())
        except sqlite3.Error as error:
            self._release()
            self._thread.stop()
            raise explain(path, error) from error

    @property
    def waiting(self) -> int:
        """How many changes are not durable yet."""
        return self._writer.waiting

    def load(self) -> Sequence[SubscriptionRecord] | Deferred[Sequence[SubscriptionRecord]]:
        if not self._open:
            return fail(StoreError(f"{self._path}: closed"))
        found: list[Sequence[SubscriptionRecord]] = []
        loaded: Deferred[Sequence[SubscriptionRecord]] = Deferred()
        now = self._clock.seconds()

        def read() -> None:
            found.append(read_subscriptions(self._connection, now))

        def done(failure: Failure | None) -> None:
            if failure is None:
                loaded.callback(found[0])
            else:
                loaded.errback(Failure(self._explain(failure)))

        # In the thread, where the connection is in nobody else's hands.
        self._thread.submit(read, done)
        return loaded

    def commit(self, change: SubscriptionChange) -> Deferred[None]:
        if not self._open:
            return fail(StoreError(f"{self._path}: closed"))
        if self._writer.waiting >= MAX_WAITING:
            return fail(StoreFull(f"{self._path}: {MAX_WAITING} changes wait for the disk"))
        acknowledged: Deferred[None] = Deferred()
        self._writer.add((change, acknowledged))
        return acknowledged

    # -- in the thread -------------------------------------------------------

    def _write(self, steps: Sequence[Step]) -> None:
        write_steps(self._connection, steps)

    # -- back in the reactor's thread ----------------------------------------

    def _written(self, batch: list[_Item], failure: Failure | None) -> None:
        if failure is None:
            for _, acknowledged in batch:
                acknowledged.callback(None)
            return
        error = self._explain(failure)
        self._log.error("{count} changes of subscriptions are lost: {reason}", count=len(batch), reason=str(error))
        for _, acknowledged in batch:
            acknowledged.errback(Failure(error))

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


def stored_subscriptions(path: Path, now: float) -> list[SubscriptionRecord]:
    """Return the subscriptions in the database at *path* that live beyond *now*; a server may be running on it.

    :raises StoreError: the database cannot be read.
    """
    if not path.exists():
        raise StoreError(f"{path}: no such database")
    connection = open_database(path, SUBSCRIPTION_SCHEMA, synchronous="NORMAL")
    try:
        return read_subscriptions(connection, now)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    finally:
        connection.close()
