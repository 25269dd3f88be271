"""SIGINT and SIGTERM, the second time: people press Control-C twice when a server takes its time to stop.

Twisted's reactor cannot be stopped a second time and logs a traceback for the attempt.
"""

from __future__ import annotations

import signal
from typing import Any

from twisted.logger import Logger

_log = Logger()

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppingSignals:
    """Stands before the reactor with these signals: the first stops it, what comes after that is logged.

    :param reactor: minds them once it runs.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._before: dict[int, Any] = {}
        self._stopping = False

    def install(self) -> None:
        """Mind the signals that the reactor minds: once it runs, and in the main thread."""
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if getattr(handler, "__self__", None) is self._reactor:
                self._before[number] = handler
                signal.signal(number, self._came)

    def stopping(self) -> None:
        """The reactor stops, whoever has asked for it."""
        self._stopping = True

    def remove(self) -> None:
        """Leave the signals to the reactor again."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)

    def _came(self, number: int, frame: object) -> None:
        if self._stopping:
            # A signal may come in the middle of anything: the reactor does the work in its turn.
            self._reactor.callFromThread(_say, signal.Signals(number).name)
        else:
            self._stopping = True
            self._before[number](number, frame)


def _say(name: str) -> None:
    _log.info("{name}: already stopping; what is under way is being ended", name=name)
