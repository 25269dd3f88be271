"""Keeps an attack from filling the disk: of one line again and again only the first ones of each second are written.

Two lines are the same if they come from the same place in the program, whatever stands in their fields. How many were
left out is told as soon as something else is written. What is critical is always written.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from zope.interface import implementer

_log = Logger()

#: The formats that Twisted gives to what comes from its old log.
_OF_OTHERS = ("", "{log_io}", "{log_text}")

#: A kind of line: namespace, level and format.
_Kind = tuple[str, str, str]


@implementer(ILogObserver)
class Sampling:
    """Passes events on, no more than so many of one kind in a second.

    :param observer: takes what is passed on.
    :param burst: how many.
    """

    def __init__(self, observer: Any, burst: int) -> None:
        self._observer = observer
        self._burst = burst
        self._second = 0
        # How many of each kind there were in this second. Kinds are places in the program: there are not many.
        self._counts: dict[_Kind, int] = {}

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level is LogLevel.critical:
            self._observer(event)
            return
        second = int(event["log_time"])
        if second != self._second:
            left_out = [(kind, count - self._burst) for kind, count in self._counts.items() if count > self._burst]
            self._second = second
            self._counts.clear()
            for kind, count in left_out:
                self._tell(event, kind, count)
        kind = (event.get("log_namespace", ""), str(level), event.get("log_format") or "")
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count <= self._burst:
            self._observer(event)

    def _tell(self, event: LogEvent, kind: _Kind, count: int) -> None:
        namespace, _, text = kind
        self._observer(
            {
                "log_time": event["log_time"],
                "log_level": LogLevel.warn,
                "log_namespace": namespace,
                "log_format": "{count} more lines like this were left out in one second: {line}",
                "log_logger": _log,
                "log_source": None,
                "count": count,
                "line": "(lines of another library)" if text in _OF_OTHERS else text,
            }
        )
