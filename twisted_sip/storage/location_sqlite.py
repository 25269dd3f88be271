"""The embedded location store: memory answers, SQLite remembers (RFC 3261 section 10.3 step 7).

A change is seen by look-ups at once and acknowledged when its batch is on disk. Batches are written in order by a
thread of the store's own; with ``synchronous=NORMAL`` an acknowledged change survives the death of the process, and a
power cut may cost the last ones, which their phones register anew.

The database is a file of its own, apart from the credentials: it is written thousands of times a second by one server
and belongs to it alone (a lock beside it says so), theirs is written now and then by other processes and has to survive
a power cut. In one file each would wait for the other's lock and pay for the other's needs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.storage.batch_writer import BATCH_SIZE, FLUSH_INTERVAL, BatchWriter, InlineThread, WorkThread
from twisted_sip.storage.location_rows import LOCATION_SCHEMA, drop_expired, fold, read_bindings, rows_of, write_rows
from twisted_sip.storage.location_table import MAX_BINDINGS, Bindings, LocationTable, changed
from twisted_sip.storage.sqlite import DatabaseLock, explain, open_database

#: The name of the database in a state directory.
LOCATION_FILE = "location.db"

#: How many changes may wait for the disk; more are refused.
MAX_WAITING = 20_000

#: How many rows the journal may have before it is folded: this many, or as many as there are bindings ...
FOLD_AT = 32_768
#: ... but not more than this, since nothing is acknowledged while it is folded.
FOLD_AT_MOST = 262_144

#: A change on its way to the disk: what the bindings of its address-of-record were before it, and whom to tell of its
#: end, None for an expiry.
_Item: TypeAlias = "tuple[LocationChange, Bindings, Callable[[Failure | None], None] | None]"


@implementer(ILocationStore)
class SQLiteLocationStore:
    """Keeps bindings in memory and in an SQLite database that one server owns."""

    _log = Logger()

    def __init_subclass__(cls) -> None:
        if "commit" in cls.__dict__ and "commit_then" not in cls.__dict__:
            # Who wants to see each commit sees each: the short way is closed then.
            cls.commit_then = None  # type: ignore[assignment, method-assign]

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        thread: WorkThread | None = None,
        *,
        max_bindings: int = MAX_BINDINGS,
        interval: float = FLUSH_INTERVAL,
        batch_size: int = BATCH_SIZE,
        fold_at: int | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Open the database at *path*, make it if it is not there, and load it.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        :param thread: where to write, a :class:`WriterThread` for a server; None writes in the caller's thread.
        :param interval: seconds for which a change waits for company.
        :param batch_size: number of changes that do not wait.
        :param fold_at: rows that the journal may have before it is folded, None to go by the number of bindings.
        :param timeout: seconds to wait for a process that holds the database.
        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        self._path = path
        self._clock = clock
        self._thread = thread or InlineThread()
        try:
            self._lock = DatabaseLock(path)
            try:
                self._connection = open_database(path, LOCATION_SCHEMA, synchronous="NORMAL", timeout=timeout)
            except StoreError:
                self._lock.release()
                raise
        except StoreError:
            # A thread that was started for this store has nothing to do.
            self._thread.stop()
            raise
        self._table = LocationTable(clock, max_bindings=max_bindings, expired=self._expired)
        self._writer: BatchWriter[_Item] = BatchWriter(
            self._thread,
            clock,
            self._write,
            self._written,
            prepare=lambda batch: rows_of([item[0] for item in batch]),
            interval=interval,
            size=batch_size,
        )
        self._open = True
        self._journalled = 0
        self._fold_at = fold_at
        self._folding = False
        try:
            fold(self._connection)
            drop_expired(self._connection, clock.seconds())
            self._table.load(read_bindings(self._connection, clock.seconds()))
        except sqlite3.Error as error:
            self._table.close()
            self._release()
            self._thread.stop()
            raise explain(path, error) from error

    def __len__(self) -> int:
        """The number of bindings held, for metrics."""
        return len(self._table)

    @property
    def waiting(self) -> int:
        """How many changes are not durable yet."""
        return self._writer.waiting

    def lookup(self, aor: str) -> Sequence[Binding]:
        return self._table.lookup(aor)

    def bindings(self) -> Iterable[Binding]:
        return self._table.bindings()

    def observe(self, observer: Callable[[LocationChange], None]) -> Callable[[], None]:
        return self._table.observe(observer)

    def commit(self, change: LocationChange) -> Deferred[None]:
        acknowledged: Deferred[None] = Deferred()

        def done(failure: Failure | None) -> None:
            if failure is None:
                acknowledged.callback(None)
            else:
                acknowledged.errback(failure)

        SQLiteLocationStore.commit_then(self, change, done)
        return acknowledged

    def commit_then(self, change: LocationChange, done: Callable[[Failure | None], None]) -> None:
        """Do what :meth:`commit` does without a Deferred, which costs more than the rest of a change.

        :param done: called once with None when *change* is durable, or with its failure, perhaps before this returns.
        """
        if not self._open:
            done(Failure(StoreError(f"{self._path}: closed")))
        elif self._writer.waiting >= MAX_WAITING:
            done(Failure(StoreFull(f"{self._path}: {MAX_WAITING} changes wait for the disk")))
        else:
            try:
                before = self._table.apply(change)
            except StoreFull as error:
                done(Failure(error))
            else:
                self._writer.add((change, before, done))

    def _expired(self, change: LocationChange) -> None:
        if self._open:
            # What was there before matters to no one: what has expired does not come back.
            self._writer.add((change, self._table.snapshot(change.aor), None))

    # -- in the thread -------------------------------------------------------

    def _write(self, rows: list[list[Any]]) -> None:
        self._journalled += write_rows(self._connection, rows)

    def _fold(self) -> None:
        # Before the work: where it fails, it is tried again when as much has come once more.
        self._journalled = 0
        fold(self._connection)

    # -- back in the reactor's thread ----------------------------------------

    def _written(self, batch: list[_Item], failure: Failure | None) -> None:
        if failure is None:
            self._settle(batch)
        else:
            self._roll_back(batch, failure)
        if self._fold_at is None:
            due = self._journalled > FOLD_AT and self._journalled > min(len(self._table), FOLD_AT_MOST)
        else:
            due = self._journalled > self._fold_at
        if due and not self._folding and self._open:
            self._folding = True
            self._thread.submit(self._fold, self._folded)

    def _folded(self, failure: Failure | None) -> None:
        self._folding = False
        if failure is not None:
            # Nothing is lost: the journal is longer than it should be.
            self._log.failure("the journal of {path} could not be folded", failure, path=str(self._path))

    def _settle(self, batch: list[_Item]) -> None:
        tell = self._table.tell
        for change, _, done in batch:
            if done is not None:
                tell(change)
                self._call(done, None)

    def _roll_back(self, batch: list[_Item], failure: Failure) -> None:
        """Show what is on disk and what is still on its way there; then fail the batch."""
        reason: BaseException | None = failure.value
        error = explain(self._path, reason) if isinstance(reason, sqlite3.Error) else StoreError(str(reason))
        self._log.error("{count} changes of bindings are lost: {reason}", count=len(batch), reason=str(error))
        # What there was before the first change of this batch is on disk: all that came earlier is.
        bindings: dict[str, Bindings] = {}
        now = self._clock.seconds()
        for change, before, done in batch:
            bindings.setdefault(change.aor, before)
            if done is None:
                # An expiry holds whether or not its row is gone: rows are asked for their date when they are loaded.
                known = bindings[change.aor]
                bindings[change.aor] = changed(known, _still_over(change, known, now))
        # The next batch was gathered on top of this one.
        gathered = self._writer.gathered
        for place, (change, _, done) in enumerate(gathered):
            if change.aor in bindings:
                known = bindings[change.aor]
                if done is None:
                    change = _still_over(change, known, now)
                gathered[place] = (change, known, done)
                bindings[change.aor] = changed(known, change)
        for aor, left in bindings.items():
            self._table.restore(aor, left)
        for _, _, done in batch:
            if done is not None:
                self._call(done, Failure(error))

    def _call(self, done: Callable[[Failure | None], None], failure: Failure | None) -> None:
        try:
            done(failure)
        except Exception:
            # One that fails must not keep the others of its batch from hearing.
            self._log.failure("a change of bindings was made, and telling of it failed")

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

        Deferreds of commits that are not durable never fire.
        """
        self._open = False
        self._writer.abandon()
        self._table.close()
        self._thread.submit(self._release, lambda failure: None)
        self._thread.stop()

    def _release(self) -> None:
        self._connection.close()
        self._lock.release()


def _still_over(expiry: LocationChange, known: Bindings, now: float) -> LocationChange:
    """Return *expiry* for those of *known* that are over.

    What has expired may have been a refresh that is lost now, and what it replaced may live longer.
    """
    over = tuple(key for key in expiry.remove if key not in known or known[key].expires_at <= now)
    return LocationChange(expiry.aor, remove=over)


def stored_bindings(path: Path, now: float) -> list[Binding]:
    """Return the bindings in the database at *path* that live beyond *now*; a server may be running on it.

    :raises StoreError: the database cannot be read.
    """
    if not path.exists():
        raise StoreError(f"{path}: no such database")
    connection = open_database(path, LOCATION_SCHEMA, synchronous="NORMAL")
    try:
        return list(read_bindings(connection, now))
    except sqlite3.Error as error:
        raise explain(path, error) from error
    finally:
        connection.close()
