"""How a server that cannot start says so: one clear line for each reason on standard error, exit status 1.

A plugin is asked for its service before twistd has set up its log, and may simply end the process then. Ports and
databases are opened later, when standard error already goes to the log and twistd, having left no process behind, lets
an exception rise to the interpreter: an excepthook turns that one exception into its lines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import NoReturn

from twisted.logger import LoggingFile

from twisted_sip.errors import SIPError


class StartFailure(SIPError):
    """A server cannot start; the text says why and what to do, one line for each reason."""


def stop_with(lines: Iterable[str]) -> NoReturn:
    """Print *lines* on standard error and end the process with status 1."""
    for line in lines:
        _print(line)
    raise SystemExit(1)


def report_start_failures() -> None:
    """From now on end with the text of a :class:`StartFailure` and no traceback if one is not caught."""
    if sys.excepthook is not _excepthook:
        sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, StartFailure):
        for line in str(error).splitlines():
            _print(line)
    else:
        sys.__excepthook__(kind, error, traceback)


def _print(line: str) -> None:
    # The log takes sys.stderr over once twistd has begun; people look at the real one.
    target = sys.__stderr__ if isinstance(sys.stderr, LoggingFile) else sys.stderr
    if target is not None:
        target.write(line + "\n")
        target.flush()


def os_error_words(error: BaseException) -> str:
    """Return the reason in an operating system's error, in lower case: ``address already in use``."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return os.strerror(number).lower()
    return str(error)
