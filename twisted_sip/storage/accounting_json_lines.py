"""Call records in a file, one JSON object on each line.

A line goes to the operating system in one write before anything else happens, so that the death of the program loses
none; a power cut may lose the last ones. A call has a line when it is answered (``"result": ""``) and one when it is
over. Calls that were under way when the program died get theirs, with the result ``interrupted``, at the next start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink, LegRecord

_log = Logger()


@implementer(IAccountingSink)
class JSONLinesAccounting:
    """Appends records to a file. Rotate it by renaming it and calling :meth:`reopen`.

    :ivar path: the file.
    """

    def __init__(self, path: Path | str, now: Callable[[], float]) -> None:
        """Open the file, and end the calls in it that had no end.

        :param now: gives the time in seconds since the epoch.
        :raises StoreError: it cannot be read or written.
        """
        self.path = Path(path)
        self._file = -1
        try:
            left = self._under_way()
            self.reopen()
        except OSError as error:
            raise StoreError(f"{self.path}: {(error.strerror or str(error)).lower()}") from error
        for record in left:
            self._write({**record, "result": "interrupted", "ended": now(), "ended_by": "server"})

    def _under_way(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                    id, result = record["id"], record["result"]
                except (ValueError, TypeError, KeyError):
                    # The half of a line that a power cut left.
                    continue
                if result:
                    found.pop(id, None)
                else:
                    found[id] = record
        return list(found.values())

    def reopen(self) -> None:
        """Open the file anew, after it was renamed."""
        fresh = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        old, self._file = self._file, fresh
        if old >= 0:
            os.close(old)
        size = os.fstat(fresh).st_size
        if size and os.pread(fresh, 1, size - 1) != b"\n":
            # Half a line is no part of the next one.
            os.write(fresh, b"\n")

    def answered(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        self._write(as_json(record))

    def ended(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        self._write(as_json(record))

    def _write(self, record: dict[str, Any]) -> None:
        if self._file < 0:
            raise StoreError("the file of call records is closed")
        line = (json.dumps(record, ensure_ascii=True) + "\n").encode("ascii")
        try:
            os.write(self._file, line)
        except OSError as error:
            raise StoreError(f"{self.path}: {(error.strerror or str(error)).lower()}") from error

    def close(self) -> None:
        """See IAccountingSink. Harmless when repeated."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def as_json(record: CallRecord) -> dict[str, Any]:
    """Return *record* as what stands in JSON."""
    made = {name: getattr(record, name) for name in _FIELDS}
    made["seconds"] = round(record.seconds, 3)
    made["legs"] = [{name: getattr(leg, name) for name in _LEG_FIELDS} for leg in record.legs]
    return made


_FIELDS = tuple(field.name for field in attrs.fields(CallRecord))
_LEG_FIELDS = tuple(field.name for field in attrs.fields(LegRecord))
