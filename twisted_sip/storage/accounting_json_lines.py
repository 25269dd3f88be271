"""Call records in a file, one JSON object on each line.

A line goes to the operating system in one write before anything else happens, so that the death of the program loses
none; a power cut may lose the last ones. A call has a line when it is answered (``"result": ""``) and one when it is
over. Calls that were under way when the program died get theirs, with the result ``interrupted``, at the next start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as _text
from pathlib import Path
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink

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
            self._write(json.dumps({**record, "result": "interrupted", "ended": now(), "ended_by": "server"}))

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
        self._write(_line(record))

    def ended(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        self._write(_line(record))

    def _write(self, line: str) -> None:
        if self._file < 0:
            raise StoreError("the file of call records is closed")
        try:
            os.write(self._file, f"{line}\n".encode("ascii"))
        except OSError as error:
            raise StoreError(f"{self.path}: {(error.strerror or str(error)).lower()}") from error

    def close(self) -> None:
        """See IAccountingSink. Harmless when repeated."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _line(record: CallRecord) -> str:
    """Return *record* as a line of JSON: what json.dumps() would make of it, without its preparations."""
    legs = ", ".join(
        [
            f'{{"call_id": {_text(leg.call_id)}, "incoming": {"true" if leg.incoming else "false"}, '
            f'"uri": {_text(leg.uri)}, "began": {leg.began!r}, "answered": {_time(leg.answered)}, '
            f'"ended": {_time(leg.ended)}, "status": {leg.status}, "reason": {_text(leg.reason)}}}'
            for leg in record.legs
        ]
    )
    return (
        f'{{"id": {_text(record.id)}, "user": {_text(record.user)}, "caller": {_text(record.caller)}, '
        f'"callee": {_text(record.callee)}, "set_up": {record.set_up!r}, "ringing": {_time(record.ringing)}, '
        f'"answered": {_time(record.answered)}, "ended": {_time(record.ended)}, "result": "{record.result}", '
        f'"status": {record.status}, "reason": {_text(record.reason)}, "ended_by": "{record.ended_by}", '
        f'"legs": [{legs}], "seconds": {round(record.seconds, 3)!r}}}'
    )


def _time(seconds: float | None) -> str:
    return "null" if seconds is None else repr(seconds)
