"""Call records in a file, one JSON object on each line.

A line goes to the operating system in one write before anything else happens, so that the death of the program loses
none; a power cut may lose the last ones. A call has a line when it is answered (``"result": ""``) and one when it is
over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink
from twisted_sip.storage.accounting_text import record_text

_log = Logger()


@implementer(IAccountingSink)
class JSONLinesAccounting:
    """Appends records to a file. Rotate it by renaming it and calling :meth:`reopen`.

    :ivar path: the file.
    """

    def __init__(self, path: Path | str, now: Callable[[], float] | None = None) -> None:
        """Open the file.

        :param now: gives the time in seconds since the epoch: the calls in the file that had no end get one now, with
            the result ``interrupted``. None leaves them, for somebody else knows what has become of them.
        :raises StoreError: it cannot be read or written.
        """
        self.path = Path(path)
        self._file = -1
        # The last line has not been written to its end.
        self._torn = False
        try:
            left = [] if now is None else self._under_way()
            self.reopen()
        except OSError as error:
            raise StoreError(f"{self.path}: {(error.strerror or str(error)).lower()}") from error
        for record in left:
            assert now is not None
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
        self._torn = False
        if old >= 0:
            os.close(old)
        size = os.fstat(fresh).st_size
        if size and os.pread(fresh, 1, size - 1) != b"\n":
            # Half a line is no part of the next one.
            os.write(fresh, b"\n")

    def follow(self) -> None:
        """Open the file anew if it was renamed or removed; to be called now and then.

        What cannot be opened stays as it is: the next record says what is wrong.
        """
        try:
            here, there = os.fstat(self._file), os.stat(self.path)
            same = (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)
        except FileNotFoundError:
            same = False
        except OSError:
            same = True
        if not same:
            try:
                self.reopen()
            except OSError as error:
                _log.error("{path} cannot be opened: {reason}", path=str(self.path), reason=str(error))

    def answered(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        self._write(record_text(record))

    def ended(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        self._write(record_text(record))

    def _write(self, line: str) -> None:
        if self._file < 0:
            raise StoreError("the file of call records is closed")
        data = f"{line}\n".encode("ascii")
        if self._torn:
            # Half a line is no part of the next one.
            data = b"\n" + data
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise StoreError(f"{self.path}: {(error.strerror or str(error)).lower()}") from error
        self._torn = written < len(data)
        if self._torn:
            raise StoreError(f"{self.path}: no space left on device")

    def close(self) -> None:
        """See IAccountingSink. Harmless when repeated."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
