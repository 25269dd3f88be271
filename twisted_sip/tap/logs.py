"""How the log is written: lines for people or JSON for programs, from a chosen level on.

Events carry their fields (call_id, branch, method ...); nothing logs a secret, and what looks like credentials in a
field is masked all the same.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import IO, Any

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    eventAsText,
    formatEvent,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

from twisted_sip.element.trace_masking import masked
from twisted_sip.tap.log_sampling import Sampling
from twisted_sip.tap.sections import LogSection
from twisted_sip.tap.startup import StartFailure, os_error_words

#: Field names of an event that say nothing to the reader of a JSON line.
_LEFT_OUT = frozenset(
    {"log_logger", "log_source", "log_format", "log_trace", "log_failure", "log_io", "format", "time"}
)

#: A log file is turned over at this size, and this many old ones are kept.
_ROTATE_AT = 16 * 1024 * 1024
_KEPT = 5


#: What Twisted says of every socket; where we listen is said in one line.
_SOCKET_TALK = re.compile(r"(\S+( \(TLS\))? starting on \S+|\((TCP|UDP|UNIX) Port \S+ Closed\))\Z")


@implementer(ILogFilterPredicate)
class SocketTalk:
    """Leaves out what Twisted says when each single socket is opened and closed."""

    def __call__(self, event: LogEvent) -> Any:
        if "log_text" in event and _SOCKET_TALK.match(str(event["log_text"])):
            return PredicateResult.no
        return PredicateResult.maybe


def _text(event: LogEvent) -> str:
    text = eventAsText(event, includeTimestamp=True, includeSystem=True)
    if not text:
        return ""
    # What a peer sent may stand in an event: it neither steers a terminal nor begins a line that passes for ours.
    return _plain(text if "log_failure" in event else text.replace("\n", "\\n")) + "\n"


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


def _json(event: LogEvent) -> str:
    text = formatEvent(event)
    if not text and "log_failure" not in event:
        return ""
    level = event.get("log_level")
    out: dict[str, Any] = {
        "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds"),
        "level": level.name if level is not None else "info",
        "system": event.get("log_namespace", ""),
        "text": text,
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        out["traceback"] = failure.getTraceback()
    # Events of the old log system repeat themselves in other words.
    fields = {} if event.get("log_namespace") == "log_legacy" else event
    for name, value in fields.items():
        if name not in _LEFT_OUT and name not in ("log_level", "log_time", "log_namespace", "log_system"):
            out.setdefault(name, _jsonable(value))
    line = json.dumps(out, ensure_ascii=False, default=str)
    # What could steer a terminal or end a line is escaped, as JSON allows; so is what no file can hold (lone octets).
    return (line if line.isprintable() else "".join(map(_escaped, line))) + "\n"


def _escaped(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _jsonable(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        return masked(value)
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, set, frozenset)):
        return [_jsonable(item) for item in value]
    return str(value)


@implementer(ILogObserver)
class LineObserver:
    """Writes one line for each event.

    :param stream: takes the lines.
    :param line: makes the line of an event.
    """

    def __init__(self, stream: IO[str], line: Callable[[LogEvent], str]) -> None:
        self._stream = stream
        self._line = line

    def __call__(self, event: LogEvent) -> None:
        line = self._line(event)
        if line:
            self._stream.write(line)
            self._stream.flush()


def observer(section: LogSection, stream: IO[str] | None = None) -> ILogObserver:
    """Return the observer that writes the log as *section* says.

    :param stream: where to write; standard output by default.
    """
    target: Any = stream if stream is not None else sys.stdout
    lines = LineObserver(target, _json if section.format == "json" else _text)
    level = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(section.level))
    sampled = Sampling(lines, section.burst) if section.burst else lines
    return FilteringLogObserver(sampled, [level] if section.level == "debug" else [SocketTalk(), level])


def open_file(path: str) -> Any:
    """Return the log file at *path*, which is turned over when it gets large.

    :raises StartFailure: it cannot be opened.
    """
    try:
        return LogFile.fromFullPath(path, rotateLength=_ROTATE_AT, maxRotatedFiles=_KEPT)
    except OSError as error:
        raise StartFailure(f"{path}: the log cannot be written ({os_error_words(error)}), choose another") from error
