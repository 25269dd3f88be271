"""Failures that were logged and not raised: in a reactor nobody else would see them."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer


@implementer(ILogObserver)
class LoggedFailures:
    """Collects what is logged as an error or with a failure while it is entered::

        with LoggedFailures() as failures:
            ...
        assert not failures.texts

    :ivar texts: one text for each, tracebacks included.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __enter__(self) -> LoggedFailures:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: dict[str, Any]) -> None:
        failure = event.get("log_failure")
        level = event.get("log_level")
        if failure is None and (level is None or level < LogLevel.error):
            return
        text = formatEvent(event)
        if failure is not None:
            text += "\n" + failure.getTraceback()
        self.texts.append(text)
