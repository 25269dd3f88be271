"""The embedded message store: memory answers, SQLite remembers (RFC 3428 section 7).

A message is acknowledged, and waits, when its batch is on disk. Batches are written in order by a thread of the store's
own with ``synchronous=FULL``: what was acknowledged survives a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage
from twisted_sip.storage.batch_writer import BATCH_SIZE, FLUSH_INTERVAL, BatchWriter, InlineThread, WorkThread
from twisted_sip.storage.message_rows import MESSAGE_SCHEMA, Step, addition, read_messages, removal, write_steps
from twisted_sip.storage.message_table import MessageLimits, MessageTable
from twisted_sip.storage.sqlite import DatabaseLock, explain, open_database

#: The name of the database in a state directory.
MESSAGE_FILE = "messages.db"

#: How many changes may wait for the disk; more messages are refused.
MAX_WAITING = 20_000

#: A message to keep, or keys to drop.
_Change: TypeAlias = "StoredMessage | tuple[str, ...]"
_Item: TypeAlias = "tuple[_Change, Deferred[None]]"


@implementer(IMessageStore)
class SQLiteMessageStore:
    """Keeps messages in memory and in an SQLite database that one server owns."""

    _log = Logger()

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        thread: WorkThread | None = None,
        limits: MessageLimits | None = None,
        *,
        interval: float = FLUSH_INTERVAL,
        batch_size: int = BATCH_SIZE,
        timeout: float = 5.0,
    ) -> None:
        """Open the database at *path*, make it if it is not there, and load it.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        :param thread: where to write, a :class:`WriterThread` for a server; None writes in the caller's thread.
        :param interval: seconds for which a change waits for company.
        :param batch_size: number of changes that do not wait.
        :param timeout: seconds to wait for a process that holds the database.
        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        self._path = path
        self._thread = thread or InlineThread()
        try:
            self._lock = DatabaseLock(path)
            try:
                self._connection = open_database(path, MESSAGE_SCHEMA, synchronous="FULL", timeout=timeout)
            except StoreError:
                self._lock.release()
                raise
        except StoreError:
            # A thread that was started for this store has nothing to do.
            self._thread.stop()
            raise
        self._table = MessageTable(clock, limits)
        # What could not be dropped from the disk yet: it goes with the next change.
        self._leftover: dict[str, None] = {}
        self._leftover_under_way: tuple[str, ...] = ()
        self._writer: BatchWriter[_Item] = BatchWriter(
            self._thread,
            clock,
            self._write,
            self._written,
            prepare=self._steps_of,
            interval=interval,
            size=batch_size,
        )
        self._open = True
        try:
            self._table.load(read_messages(self._connection))
        except sqlite3.Error as error:
            self._release()
            self._thread.stop()
            raise explain(path, error) from error
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            # Rows that are not what was written.
            self._release()
            self._thread.stop()
            text = str(error).partition("\n")[0]
            raise StoreError(f"{path}: damaged ({text}); restore a backup or move the file away") from error

    def __len__(self) -> int:
        """The number of messages held, for metrics."""
        return len(self._table)

    @property
    def under_way(self) -> int:
        """How many changes are not durable yet."""
        return self._writer.waiting

    @property
    def limits(self) -> MessageLimits:
        """How much is kept; may be replaced at any time."""
        return self._table.limits

    @limits.setter
    def limits(self, limits: MessageLimits) -> None:
        self._table.limits = limits

    def waiting(self, recipient: str) -> Sequence[StoredMessage]:
        return self._table.waiting(recipient)

    def expired(self) -> Sequence[StoredMessage]:
        return self._table.expired()

    def recipients(self) -> Iterable[str]:
        return self._table.recipients()

    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        return self._table.observe(observer)

    def add(self, message: StoredMessage) -> Deferred[None]:
        if not self._open:
            return fail(StoreError(f"{self._path}: closed"))
        if self._writer.waiting >= MAX_WAITING:
            return fail(StoreFull(f"{self._path}: {MAX_WAITING} changes wait for the disk"))
        try:
            self._table.begin(message)
        except StoreFull as error:
            return fail(error)
        return self._queue(message)

    def remove(self, keys: Iterable[str]) -> Deferred[None]:
        if not self._open:
            return fail(StoreError(f"{self._path}: closed"))
        keys = tuple(keys)
        # In the queue before observers hear of it: what they add comes after it.
        removed = self._queue(keys)
        self._table.remove(keys)
        return removed

    def _queue(self, change: _Change) -> Deferred[None]:
        acknowledged: Deferred[None] = Deferred()
        self._writer.add((change, acknowledged))
        return acknowledged

    def _steps_of(self, batch: list[_Item]) -> list[Step]:
        self._leftover_under_way = tuple(self._leftover)
        steps = [removal(key) for key in self._leftover]
        for change, _ in batch:
            if isinstance(change, StoredMessage):
                steps.append(addition(change))
            else:
                steps += [removal(key) for key in change]
        return steps

    # -- in the thread -------------------------------------------------------

    def _write(self, steps: Sequence[Step]) -> None:
        write_steps(self._connection, steps)

    # -- back in the reactor's thread ----------------------------------------

    def _written(self, batch: list[_Item], failure: Failure | None) -> None:
        if failure is None:
            for key in self._leftover_under_way:
                self._leftover.pop(key, None)
            for change, acknowledged in batch:
                if isinstance(change, StoredMessage):
                    self._table.settle(change.key, True)
                acknowledged.callback(None)
            return
        reason: BaseException | None = failure.value
        error = explain(self._path, reason) if isinstance(reason, sqlite3.Error) else StoreError(str(reason))
        self._log.error("{count} changes of messages are lost: {reason}", count=len(batch), reason=str(error))
        for change, acknowledged in batch:
            if isinstance(change, StoredMessage):
                self._table.settle(change.key, False)
            else:
                self._leftover.update(dict.fromkeys(change))
            acknowledged.errback(Failure(error))

    # -- the end --------------------------------------------------------------

    def close(self) -> Deferred[None]:
        if not self._open:
            return succeed(None)
        self._open = False
        closed = self._writer.close(self._release)

        def forget(result: object) -> object:
            self._table.close()
            return result

        return closed.addBoth(forget)

    def abandon(self) -> None:
        """Let go of everything without writing what waits, as a crash of the process would; for simulations.

        Deferreds of changes that are not durable never fire.
        """
        self._open = False
        self._writer.abandon()
        self._table.close()
        self._thread.submit(self._release, lambda failure: None)
        self._thread.stop()

    def _release(self) -> None:
        self._connection.close()
        self._lock.release()


def stored_messages(path: Path, now: float) -> list[StoredMessage]:
    """Return the messages in the database at *path* that live beyond *now*; a server may be running on it.

    :raises StoreError: the database cannot be read.
    """
    if not path.exists():
        raise StoreError(f"{path}: no such database")
    connection = open_database(path, MESSAGE_SCHEMA, synchronous="FULL")
    try:
        return [message for message in read_messages(connection) if message.expires_at > now]
    except sqlite3.Error as error:
        raise explain(path, error) from error
    finally:
        connection.close()
