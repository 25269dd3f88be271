"""Changes gathered into batches, and the thread that writes them.

A change that waits costs a list entry; a batch costs one call into the thread and one wake-up of the reactor, however
many changes it holds. At most one batch is under way, so changes become durable in the order in which they were added
and a slow disk makes the batches larger, not the queue of calls longer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

#: How long a change waits for company, in seconds.
FLUSH_INTERVAL = 0.005

#: How many changes make a batch that does not wait.
BATCH_SIZE = 64

#: From how many changes in a batch on the next one is gathered longer, and how many times as long.
UNDER_LOAD = (8, 3)

Item = TypeVar("Item")


class Pause(Protocol):
    """What is going to be called."""

    def cancel(self) -> None:
        """Do not call it."""


#: Calls a function after so many seconds.
Later = Callable[[float, Callable[[], object]], Pause]


class WorkThread(Protocol):
    """Where the slow half of a store runs.

    One that has a method ``later`` (:data:`Later`) says with it how a batch waits for company.
    """

    def submit(self, work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        """Run *work*, after whatever was submitted before, then call *done* in the reactor's thread with None, or with
        the failure that *work* ended in."""

    def stop(self) -> None:
        """End once everything submitted has run; nothing may be submitted any more."""


class FromThreads(Protocol):
    """What :class:`WriterThread` asks of a reactor (IReactorFromThreads, IReactorTime)."""

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> object: ...

    def callLater(self, delay: float, callable: Callable[[], object]) -> Pause: ...


class WriterThread:
    """A thread that belongs to one store."""

    def __init__(self, reactor: FromThreads, name: str) -> None:
        """Start a thread called *name* that reports to *reactor*."""
        self._reactor = reactor
        self.later: Later = reactor.callLater
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Callable[[Failure | None], None]] | None] = (
            queue.SimpleQueue()
        )
        # A daemon: a process that ends without closing its stores must not hang, and what was acknowledged is on disk.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        self._jobs.put((work, done))

    def stop(self) -> None:
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            outcome: Failure | None = None
            try:
                work()
            except Exception:
                outcome = Failure()
            self._reactor.callFromThread(done, outcome)


class InlineThread:
    """No thread at all: work is done where it is submitted. For tests, simulations and the command line."""

    def submit(self, work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        outcome: Failure | None = None
        try:
            work()
        except Exception:
            outcome = Failure()
        done(outcome)

    def stop(self) -> None:
        """Nothing is held."""


class BatchWriter(Generic[Item]):
    """Gathers changes and hands them to a thread.

    :ivar waiting: how many changes are not durable yet.
    :ivar later: how it waits for company.
    :ivar gathered: those of them that the next batch will hold, in order.
    :ivar under_way: how many of them are being written.
    """

    def __init__(
        self,
        thread: WorkThread,
        clock: IReactorTime,
        write: Callable[[Any], None],
        written: Callable[[list[Item], Failure | None], None],
        *,
        prepare: Callable[[list[Item]], Any] | None = None,
        interval: float = FLUSH_INTERVAL,
        size: int = BATCH_SIZE,
        under_load: tuple[int, int] = UNDER_LOAD,
    ) -> None:
        """Make a writer.

        :param write: makes a batch durable as a whole or raises; called in the thread with what *prepare* gave.
        :param prepare: makes of a batch what is written, in the reactor's thread; None writes the batch itself.
        :param written: told of every batch, with None or the failure of *write*; called in the reactor's thread.
        :param interval: seconds for which a change waits for company.
        :param size: number of changes that do not wait.
        :param under_load: number of changes in a batch from which on the next one is gathered longer, and how many
            times as long.
        """
        self._thread = thread
        self.later: Later = getattr(thread, "later", clock.callLater)
        self._write = write
        self._prepare = prepare
        self._written = written
        self._interval = self._pause = interval
        self._size = size
        self._busy, self._longer = under_load
        self.gathered: list[Item] = []
        # The one batch under way, and what the thread has to write of it.
        self._batch: list[Item] = []
        self._prepared: Any = None
        self.under_way = 0
        self._timer: Pause | None = None
        self._closing: tuple[Callable[[], None], Deferred[None]] | None = None

    @property
    def waiting(self) -> int:
        return len(self.gathered) + self.under_way

    def add(self, item: Item) -> None:
        """Take *item* into the next batch."""
        gathered = self.gathered
        gathered.append(item)
        if self.under_way:
            return
        if len(gathered) >= self._size:
            self.flush()
        elif self._timer is None:
            self._timer = self.later(self._pause, self._due)

    def _due(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Hand over what is gathered now, unless a batch is under way (its end flushes)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.under_way or not self.gathered:
            return
        batch = self.gathered
        self.gathered = []
        self.under_way = len(batch)
        self._pause = self._interval * (self._longer if len(batch) >= self._busy else 1)

        self._batch = batch
        self._prepared = batch if self._prepare is None else self._prepare(batch)
        self._thread.submit(self._work, self._done)

    def _work(self) -> None:
        # Nothing of a batch may be left in the thread, or it is there that all its objects die, when they have long
        # left the cache, while the reactor waits for the interpreter.
        prepared, self._prepared = self._prepared, None
        self._write(prepared)

    def _done(self, failure: Failure | None) -> None:
        batch, self._batch = self._batch, []
        # Still under way while it is told of: what that leads to comes after it, in a batch of its own.
        self._written(batch, failure)
        self.under_way = 0
        if self._closing is not None:
            self._close_now()
        elif len(self.gathered) >= self._size:
            self.flush()
        elif self.gathered:
            # What came meanwhile waits for company like all the rest, or a busy server would write many small
            # batches, each with its calls into the system and between threads. The busier it is, the more so.
            self._timer = self.later(self._pause, self._due)

    def close(self, release: Callable[[], None]) -> Deferred[None]:
        """Write what is gathered, then call *release* in the thread and end the thread.

        :return: fires with None, or with the failure of *release*.
        """
        closed: Deferred[None] = Deferred()
        self._closing = (release, closed)
        if not self.under_way:
            self._close_now()
        return closed

    def _close_now(self) -> None:
        if self.gathered:
            self.flush()
            return
        if self.under_way or self._closing is None:
            return
        release, closed = self._closing
        self._closing = None

        def done(failure: Failure | None) -> None:
            self._thread.stop()
            if failure is None:
                closed.callback(None)
            else:
                closed.errback(failure)

        self._thread.submit(release, done)

    def abandon(self) -> None:
        """Forget what is gathered, as a crash would; what is under way may or may not become durable."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.gathered = []
