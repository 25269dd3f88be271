"""A disk of the simulation: what is written is durable after a while, and a crash loses what is under way."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from twisted_sip.testing.node import Node


class SlowDisk:
    """Where the store of a simulated server writes: each job takes its time, and a crash loses those under way.

    It stands for storage.batch_writer.WriterThread.
    """

    def __init__(self, node: Node, latency: tuple[float, float]) -> None:
        """Write in the time of *node*; a job takes between the two *latency* seconds."""
        self._node = node
        self._latency = latency
        self._free_at = 0.0
        self._crashed = False

    def submit(self, work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        """As :meth:`WorkThread.submit`."""
        if self._crashed:
            self._run(work, done)
            return
        now = self._node.seconds()
        self._free_at = max(self._free_at, now) + self._node.network.random.uniform(*self._latency)
        self._node.callLater(self._free_at - now, self._run, work, done)

    @staticmethod
    def _run(work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        outcome: Failure | None = None
        try:
            work()
        except Exception:
            outcome = Failure()
        done(outcome)

    def stop(self) -> None:
        """Nothing is held."""

    def crash(self) -> None:
        """The process is gone. What is submitted from now on is its clearing up, which takes no time."""
        self._crashed = True
