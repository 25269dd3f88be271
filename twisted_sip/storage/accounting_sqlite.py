"""Call records in an SQLite database that one server owns: the master of what has become of calls.

A record is durable before anybody hears that its call was answered (``synchronous=FULL``); records are written in
batches by a thread of the store's own, so that costs a caller milliseconds and the server next to nothing. A disk that
fails or hangs stops no call: it goes on after a moment, what could not be written waits in memory for the next try, and
what has no room there is counted and logged as lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink
from twisted_sip.storage import accounting_rows as rows
from twisted_sip.storage.accounting_batch import AnsweredBatch
from twisted_sip.storage.accounting_rows import ACCOUNTING_SCHEMA, Step
from twisted_sip.storage.accounting_text import open_text, record_text
from twisted_sip.storage.batch_writer import (
    BATCH_SIZE,
    FLUSH_INTERVAL,
    UNDER_LOAD,
    BatchWriter,
    InlineThread,
    WorkThread,
)
from twisted_sip.storage.sqlite import DatabaseLock, explain, open_database

#: How many changes may wait for the disk.
MAX_WAITING = 20_000

#: Seconds between two lines in the log that say the same.
_QUIET = 60.0

T = TypeVar("T")


@implementer(IAccountingSink)
class SQLiteAccounting:
    """Keeps call records.

    :ivar unfinished: the calls that were not over when the program before this one ended.
    :ivar last_seen: when it last said that it runs, in seconds since the epoch, None if it never did.
    :ivar lost: how many changes had no room to wait for the disk, and are lost.
    :ivar late: how many answers have gone out before their records were durable, for the disk failed or was slow.
    :ivar callbacks_lost: how many callbacks had no room in their queue.
    :ivar queued: how many callbacks wait to be told.
    :ivar callback_queued: called when there is something new in the queue.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        thread: WorkThread | None = None,
        *,
        max_callbacks: int = 0,
        patience: float = 2.0,
        interval: float = FLUSH_INTERVAL,
        batch_size: int = BATCH_SIZE,
        under_load: tuple[int, int] = UNDER_LOAD,
        timeout: float = 5.0,
    ) -> None:
        """Open the database at *path*, make it if it is not there.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        :param thread: where to write, a :class:`WriterThread` for a server; None writes in the caller's thread.
        :param max_callbacks: how many callbacks are queued at most; 0 for none at all.
        :param patience: seconds for which an answer waits for the disk.
        :param interval: seconds for which a change waits for company.
        :param batch_size: number of changes that do not wait.
        :param under_load: number of changes in a batch from which on the next one is gathered longer, and how many
            times as long.
        :param timeout: seconds to wait for a process that holds the database.
        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        self._path = path
        self._clock = clock
        self._thread = thread or InlineThread()
        self._max_callbacks = max_callbacks
        self._patience = patience
        self.lost = self.late = self.callbacks_lost = 0
        self.callback_queued: Callable[[], None] | None = None
        self._open_database(timeout)
        # What a disk that failed has left: it goes first with the next batch.
        self._leftover: list[Step] = []
        self._steps: list[Step] = []
        self._unfit: list[str] = []
        self._batch: AnsweredBatch | None = None
        self._batch_under_way: AnsweredBatch | None = None
        self._retried = 0
        self._said = float("-inf")
        self._is_open = True
        self._writer: BatchWriter[AnsweredBatch | Step] = BatchWriter(
            self._thread,
            clock,
            self._write,
            self._written,
            prepare=self._prepared,
            interval=interval,
            size=batch_size,
            under_load=under_load,
        )

    def _open_database(self, timeout: float) -> None:
        try:
            self._lock = DatabaseLock(self._path)
            try:
                self._connection = open_database(
                    self._path, ACCOUNTING_SCHEMA, synchronous="FULL", timeout=timeout, check=False
                )
            except StoreError:
                self._lock.release()
                raise
            try:
                self.unfinished = rows.read_under_way(self._connection)
                self._take_up(self.unfinished)
                self.last_seen = rows.last_sign(self._connection)
                self.queued = rows.count_queued(self._connection)
            except (sqlite3.Error, TypeError, ValueError, AttributeError) as error:
                self._release()
                if isinstance(error, sqlite3.Error):
                    raise explain(self._path, error) from error
                text = str(error).partition("\n")[0]
                raise StoreError(f"{self._path}: damaged ({text}); restore a backup or move the file away") from error
        except StoreError:
            # A thread that was started for this store has nothing to do.
            self._thread.stop()
            raise

    def _take_up(self, records: list[CallRecord]) -> None:
        """Put *records* into batches of our own."""
        self._open: dict[str, AnsweredBatch] = {}
        self._number = 0
        batches = []
        for at in range(0, len(records), BATCH_SIZE):
            batch = self._new_batch()
            for record in records[at : at + BATCH_SIZE]:
                batch.left += 1
                self._open[record.id] = batch
            batches.append((batch.number, [open_text(record) for record in records[at : at + BATCH_SIZE]]))
        rows.keep_under_way(self._connection, batches)

    def _new_batch(self) -> AnsweredBatch:
        self._number += 1
        return AnsweredBatch(self._number)

    def __len__(self) -> int:
        """How many calls are answered and not over."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many changes are not durable yet."""
        return self._writer.waiting + len(self._leftover)

    # -- IAccountingSink ------------------------------------------------------------------------

    def answered(self, record: CallRecord) -> Deferred[None] | None:
        """See IAccountingSink; the Deferred does not fail."""
        batch = self._batch
        if batch is None:
            if not self._has_room(record.id):
                return None
            batch = self._batch = self._new_batch()
            batch.timer = self._writer.later(self._patience, partial(self._slow, batch))
            self._writer.add(batch)
        elif len(batch.records) >= MAX_WAITING:
            self._lose(record.id)
            return None
        batch.records.append(open_text(record))
        batch.left += 1
        self._open[record.id] = batch
        if self._max_callbacks:
            self._queue(record, "answered")
        return batch.fired

    def ended(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        writer = self._writer
        if len(writer.gathered) >= MAX_WAITING or self._leftover or not self._is_open:
            if not self._has_room(record.id):
                return
        writer.add(rows.over(record))
        batch = self._open.pop(record.id, None)
        if batch is not None:
            batch.left -= 1
            if not batch.left and batch is not self._batch:
                writer.add(rows.not_under_way(batch.number))
        if self._max_callbacks:
            self._queue(record, "ended")

    def _has_room(self, id: str) -> bool:
        if self._is_open and self.waiting < MAX_WAITING:
            return True
        self._lose(id)
        return False

    def _lose(self, id: str) -> None:
        self.lost += 1
        self._say("CALL RECORDS ARE LOST: there is no room for {id}; {lost} since the start", id=id, lost=self.lost)

    def _queue(self, record: CallRecord, event: str) -> None:
        if self.queued >= self._max_callbacks:
            self.callbacks_lost += 1
            self._say(
                "CALLBACKS ARE LOST: {queued} wait already, there is no room for {id}; {lost} since the start",
                queued=self.queued,
                id=record.id,
                lost=self.callbacks_lost,
            )
            return
        self.queued += 1
        self._writer.add(rows.callback(record_text(record, event=event)))

    def _say(self, text: str, **fields: object) -> None:
        now = self._clock.seconds()
        if now - self._said >= _QUIET:
            self._said = now
            self._log.critical(text, **fields)

    def sign_of_life(self) -> None:
        """Note that this program runs: what is left of it after a crash can be told from what was over before.

        It is also when what a disk that failed has left is tried again.
        """
        if self._is_open and (self._open or self._leftover) and self._writer.waiting < MAX_WAITING:
            self._writer.add(rows.sign_of_life(self._clock.seconds()))

    # -- batches --------------------------------------------------------------------------------

    def _prepared(self, items: list[AnsweredBatch | Step]) -> list[Step]:
        batch, self._batch = self._batch, None
        self._batch_under_way = batch
        leftover, self._leftover = self._leftover, []
        self._retried = len(leftover)
        steps = [*leftover, *[item for item in items if type(item) is tuple]]
        if batch is not None and batch.left:
            steps.append(rows.under_way(batch.number, batch.records))
            batch.records = []
        self._steps = steps
        return steps

    def _write(self, steps: list[Step]) -> None:
        try:
            rows.write_steps(self._connection, steps)
        except sqlite3.OperationalError:
            raise
        except (sqlite3.Error, OverflowError, TypeError):
            # Something in there is no record: it shall not keep the others from the disk for ever.
            for step in steps:
                try:
                    rows.write_steps(self._connection, [step])
                except sqlite3.OperationalError:
                    raise
                except (sqlite3.Error, OverflowError, TypeError) as error:
                    self._unfit.append(str(error))

    def _written(self, items: list[AnsweredBatch | Step], failure: Failure | None) -> None:
        batch, self._batch_under_way = self._batch_under_way, None
        steps, self._steps = self._steps, []
        unfit, self._unfit = self._unfit, []
        for reason in unfit:
            self.lost += 1
            self._log.critical("a call record cannot be kept, it is lost: {reason}", reason=reason)
        if failure is not None:
            self._failed(steps, failure)
            if batch is not None and not batch.fired.called:
                self.late += 1
        elif self._retried:
            self._log.info("{count} changes of call records are on disk after all", count=self._retried)
        if batch is not None:
            batch.release()
        if failure is None and self._max_callbacks and self.queued and self.callback_queued is not None:
            self.callback_queued()

    def _failed(self, steps: list[Step], failure: Failure) -> None:
        reason = failure.value
        text = str(explain(self._path, reason)) if isinstance(reason, sqlite3.Error) else f"{self._path}: {reason}"
        self._leftover, over = steps[:MAX_WAITING], steps[MAX_WAITING:]
        self.lost += len(over)
        self._say(
            "CALL RECORDS ARE NOT ON DISK: {reason}; {count} changes wait in memory, {lost} are lost",
            reason=text,
            count=len(self._leftover),
            lost=self.lost,
        )

    def _slow(self, batch: AnsweredBatch) -> None:
        """The disk takes too long: calls go on."""
        batch.timer = None
        self.late += 1
        self._say(
            "CALL RECORDS ARE NOT ON DISK: {path} has not been written for {seconds} s; calls go on",
            path=str(self._path),
            seconds=self._patience,
        )
        batch.release()

    # -- callbacks, and what goes ------------------------------------------------------------------

    def next_callbacks(self, most: int) -> Deferred[list[tuple[int, str]]]:
        """Fire with the first *most* callbacks that are queued: a number and a JSON object for each.

        Fails with StoreError where they cannot be read.
        """
        return self._in_thread(lambda: rows.queued(self._connection, most))

    def callbacks_told(self, up_to: int) -> Deferred[int]:
        """Drop what is queued up to the number *up_to*; fires with how much that was, or fails with StoreError."""

        def settle(count: int) -> int:
            self.queued = max(0, self.queued - count)
            return count

        return self._in_thread(lambda: rows.unqueue(self._connection, up_to)).addCallback(settle)

    def prune(self, before: float, most: int = 500) -> Deferred[int]:
        """Remove records of calls that were set up before *before* and are over, *most* of them.

        :return: fires with how many, or fails with StoreError.
        """
        return self._in_thread(lambda: rows.prune(self._connection, before, most))

    def remove_user(self, aor: str) -> Deferred[int]:
        """Remove the records of calls from and to the user *aor* that are over.

        :return: fires with how many, or fails with StoreError.
        """
        self._writer.flush()
        return self._in_thread(lambda: rows.remove_records_of(self._connection, aor))

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        if not self._is_open:
            return fail(StoreError(f"{self._path}: closed"))
        found: list[T] = []
        done: Deferred[T] = Deferred()

        def settled(failure: Failure | None) -> None:
            if failure is None:
                done.callback(found[0])
            elif isinstance(failure.value, sqlite3.Error):
                done.errback(explain(self._path, failure.value))
            else:
                done.errback(failure)

        self._thread.submit(lambda: found.append(work()), settled)
        return done

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> Deferred[None]:
        """Write what waits, then close the database."""
        if not self._is_open:
            return succeed(None)
        if self._open or self._leftover:
            # The latest moment at which calls that go on without us were seen.
            self.sign_of_life()
        self._is_open = False

        def closed(result: object) -> None:
            if self._leftover:
                self.lost += len(self._leftover)
                self._log.critical("CALL RECORDS ARE LOST: {lost} changes", lost=len(self._leftover))

        return self._writer.close(self._release).addCallback(closed)

    def abandon(self) -> None:
        """Let go of everything without writing what waits, as a crash of the process would; for simulations."""
        self._is_open = False
        self._writer.abandon()
        for batch in (self._batch, self._batch_under_way):
            if batch is not None and batch.timer is not None:
                batch.timer.cancel()
        self._thread.submit(self._release, lambda failure: None)
        self._thread.stop()

    def _release(self) -> None:
        self._connection.close()
        self._lock.release()
