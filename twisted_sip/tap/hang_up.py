"""SIGHUP: for a server it means to read its configuration anew, and to go on in a new log file.

Where somebody has started it on a terminal and closes that, the same signal means what it says: the server stops.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any


class HangUp:
    """Minds SIGHUP while it is installed.

    :param reactor: runs what is to be done.
    :param again: called for a signal that asks for the configuration.
    :param gone: called when the terminal is gone.
    """

    def __init__(self, reactor: Any, again: Callable[[], object], gone: Callable[[], object]) -> None:
        self._reactor = reactor
        self._again = again
        self._gone = gone
        self._on_terminal = False
        self._before: Any = None

    def install(self) -> None:
        """Mind the signal from now on; only the main thread can, and elsewhere the signal is none of ours."""
        try:
            self._before = signal.signal(signal.SIGHUP, self._came)
        except ValueError:
            return
        self._on_terminal = has_terminal()

    def remove(self) -> None:
        """Mind it no more."""
        before, self._before = self._before, None
        if before is not None:
            signal.signal(signal.SIGHUP, before)

    def _came(self, number: int, frame: object) -> None:
        # A signal may come in the middle of anything: the reactor does the work in its turn.
        self._reactor.callFromThread(self._done)

    def _done(self) -> None:
        if self._on_terminal and not has_terminal():
            self._gone()
        else:
            self._again()


def has_terminal() -> bool:
    """Tell whether this process has a controlling terminal that is there still."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
