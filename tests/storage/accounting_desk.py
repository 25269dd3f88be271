"""Records, and a thread that works when it is told to, for the tests of call records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from twisted_sip.interfaces.accounting import CallRecord

START = 1_800_000_000.0
ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


def record(id: str = "1", **how: Any) -> CallRecord:
    """Return the record of an answered call from alice to bob; *how* says what else is known of it."""
    fields: dict[str, Any] = {
        "user": ALICE,
        "callee_user": BOB,
        "caller": ALICE,
        "callee": BOB,
        "call_id": f"call-{id}",
        "set_up": START,
        "ringing": START + 1,
        "answered": START + 2,
        "known_until": START + 2,
        "caller_tag": "a",
        "callee_tag": "b",
        "target": "sip:bob@192.0.2.5",
    }
    return CallRecord(id=id, **(fields | how))


def over(id: str = "1", **how: Any) -> CallRecord:
    """Return the record of one that is over."""
    fields: dict[str, Any] = {
        "ended": START + 12,
        "known_until": START + 12,
        "result": "answered",
        "status": 200,
        "ended_by": "caller",
    }
    return record(id, **(fields | how))


class StoppedThread:
    """A thread that works when :meth:`work` says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], None], Callable[[Failure | None], None]]] = []

    def submit(self, work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        self.jobs.append((work, done))

    def work(self) -> None:
        """Do all that was submitted."""
        while self.jobs:
            work, done = self.jobs.pop(0)
            outcome: Failure | None = None
            try:
                work()
            except Exception:
                outcome = Failure()
            done(outcome)

    def stop(self) -> None:
        """Nothing is held."""
