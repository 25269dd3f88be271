"""Messages that callers have left: files in a directory, new ones and, in ``old`` below it, old ones."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from twisted.logger import Logger

from twisted_sip.documents.message_summary import Counts

_log = Logger()

#: What stands in the name of a file; all else becomes "_".
_UNSAFE = re.compile(r"[^A-Za-z0-9.+@-]+")
#: The most characters of a caller in the name of a file.
_LONGEST = 64
_OLD = "old"
_SUFFIX = ".wav"


def safe_name(caller: str) -> str:
    """Return *caller* as it may stand in the name of a file: no separators, no leading dot, never empty."""
    return _UNSAFE.sub("_", caller)[:_LONGEST].lstrip(".-") or "unknown"


class Mailbox:
    """The messages in one directory.

    :ivar directory: where they are; made when the first one is left.
    """

    def __init__(self, directory: Path, now: Callable[[], float], changed: Callable[[], object] | None = None) -> None:
        """Make one.

        :param now: seconds since the epoch.
        :param changed: called when a message was kept.
        """
        self.directory = directory
        self._now = now
        self._changed = changed

    def prepare(self) -> None:
        """Make the directory if it is not there, and see whether messages can be left in it.

        :raises OSError: they cannot.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.discard(self.begin("nobody"))

    def counts(self) -> Counts:
        """Return how many messages there are: new ones, and old ones."""
        return Counts(_files(self.directory), _files(self.directory / _OLD))

    def begin(self, caller: str) -> Path:
        """Return the file to record a message of *caller* into: hidden until it is kept.

        :raises OSError: the directory cannot be made or written.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = datetime.fromtimestamp(self._now(), UTC).strftime("%Y%m%d-%H%M%S")
        name = f"{stamp}-{safe_name(caller)}"
        for number in range(1000):
            path = self.directory / f".{name}{f'-{number}' if number else ''}{_SUFFIX}"
            if self.kept_name(path).exists():
                continue
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                continue
            return path
        raise FileExistsError(f"{self.directory}: too many messages of one second")

    @staticmethod
    def kept_name(path: Path) -> Path:
        """Return the name under which what :meth:`begin` gave is kept."""
        return path.with_name(path.name[1:])

    def keep(self, path: Path) -> Path:
        """Keep what was recorded into *path*; return where.

        :raises OSError: it cannot be.
        """
        kept = self.kept_name(path)
        path.replace(kept)
        if self._changed is not None:
            self._changed()
        return kept

    @staticmethod
    def discard(path: Path) -> None:
        """Throw away what was recorded into *path*."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warn("{path} cannot be removed: {reason}", path=str(path), reason=error.strerror)


def _files(directory: Path) -> int:
    try:
        with os.scandir(directory) as found:
            return sum(entry.name.endswith(_SUFFIX) and not entry.name.startswith(".") for entry in found)
    except OSError:
        # Nobody has left anything yet.
        return 0
