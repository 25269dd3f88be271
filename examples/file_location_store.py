"""A location store of one's own: bindings in a journal of JSON lines, each on disk before its REGISTER is answered.

Run it to see it pass the suite that every location store must pass::

    python examples/file_location_store.py
"""

from __future__ import annotations

import json
import os
import tempfile
import unittest
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.storage.location_table import LocationTable
from twisted_sip.testing.location_contract import LocationStoreContract


@implementer(ILocationStore)
class FileLocationStore:
    """Answers from memory and appends each change to a file. Made for few users: every commit waits for the disk."""

    def __init__(self, clock: Any, path: Path) -> None:
        self._table = LocationTable(clock)
        self._journal = path.open("a+", encoding="utf-8")
        self._journal.seek(0)
        # What follows the last line end was never acknowledged: the process died while it wrote that.
        complete = self._journal.read().rpartition("\n")[0:2]
        self._journal.truncate(len("".join(complete).encode()))
        for line in complete[0].splitlines():
            self._table.apply(_change(json.loads(line)))

    def lookup(self, aor: str) -> Sequence[Binding]:
        return self._table.lookup(aor)

    def commit(self, change: LocationChange) -> Deferred[None]:
        before = self._table.apply(change)
        try:
            self._journal.write(json.dumps(attrs.asdict(change)) + "\n")
            self._journal.flush()
            os.fsync(self._journal.fileno())
        except (OSError, ValueError) as error:
            self._table.restore(change.aor, before)
            return fail(StoreError(f"the journal cannot be written: {error}"))
        self._table.tell(change)
        return succeed(None)

    def observe(self, observer: Callable[[LocationChange], None]) -> Callable[[], None]:
        return self._table.observe(observer)

    def bindings(self) -> Iterable[Binding]:
        return self._table.bindings()

    def close(self) -> Deferred[None]:
        self._table.close()
        self._journal.close()
        return succeed(None)


def _change(table: dict[str, Any]) -> LocationChange:
    put = tuple(Binding(**{**fields, "path": tuple(fields["path"])}) for fields in table["put"])
    return LocationChange(table["aor"], put, tuple(table["remove"]))


class FileLocationStoreTests(LocationStoreContract, unittest.TestCase):
    """The suite, and the three things that it cannot know."""

    def make_store(self, clock: Clock) -> FileLocationStore:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        return self._open()

    def _open(self) -> FileLocationStore:
        return FileLocationStore(self.clock, Path(self.directory.name) / "location.jsonl")

    def crash_and_reopen(self) -> FileLocationStore:
        self.store._table.close()
        self.store._journal.close()
        return self._open()

    def fail_writes(self, failing: bool) -> None:
        if failing:
            self.store._journal.close()
        else:
            self.store._journal = (Path(self.directory.name) / "location.jsonl").open("a", encoding="utf-8")


if __name__ == "__main__":
    unittest.main()
