"""A chat in a pipe: a line in is a message out, a message in is a line out; with ``--json``, an object a line."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.cli.chat_session import Line
from twisted_sip.cli.output import json_line
from twisted_sip.cli.traced_message import plain

#: Lines that are read ahead.
_AHEAD = 20
#: Bytes that a line may have: more than any message.
_LONGEST = 65536

QUIT = "/quit"


class LineView:
    """Prints a chat line by line.

    :ivar failed: how many lines of ours were not taken.
    :ivar over: fires with None once there is nobody to print for.
    """

    def __init__(self, peer: str, as_json: bool) -> None:
        """Make a view.

        :param peer: the peer's address-of-record without scheme.
        """
        self.failed = 0
        self.over: Deferred[None] = Deferred()
        self._peer = peer
        self._as_json = as_json

    def heard(self, sender: str, text: str, at: float) -> None:
        """Print a message."""
        if self._as_json:
            self._print({"event": "message", "from": sender, "time": at, "text": text})
            return
        for part in text.splitlines() or [""]:
            self._print_line(f"{moment(at)} {sender}: {part}")

    def said(self, line: Line) -> None:
        """What was read need not be printed."""
        if self._as_json:
            self._print({"event": "said", "id": line.id, "time": line.at, "text": line.text})

    def marked(self, line: Line) -> None:
        """Print what has become of a line; what was not taken goes to standard error."""
        if line.mark == "failed":
            self.failed += 1
        if self._as_json:
            self._print({"event": "mark", "id": line.id, "mark": line.mark, "reason": line.reason})
        elif line.mark == "failed":
            self._print_line(f"twisted-sip: not sent: {_short(line.text)} ({line.reason})", sys.stderr)
        elif line.mark != "sent":
            self._print_line(f"{moment()} -- {line.mark}: {_short(line.text)}")

    def typing(self, active: bool) -> None:
        """Programs may want to know."""
        if self._as_json:
            self._print({"event": "typing", "from": self._peer, "active": active})

    def notice(self, text: str) -> None:
        """Print *text* on standard error."""
        self._print_line(f"twisted-sip: {text}", sys.stderr)

    def _print(self, value: dict[str, Any]) -> None:
        self._print_line(json_line(value))

    def _print_line(self, text: str, stream: Any = None) -> None:
        out = stream or sys.stdout
        try:
            out.write(plain(text) + "\n")
            out.flush()
        except OSError:
            # Whoever has read it is gone.
            if not self.over.called:
                self.over.callback(None)


class LineReader:
    """Makes lines of what is read, and says them one after the other.

    :ivar done: fires with None after the last line, or ``/quit``.
    """

    def __init__(self, say: Callable[[str], Deferred[Line]], pause: Callable[[bool], object]) -> None:
        """Make a reader.

        :param say: sends a line; its Deferred fires when it was answered.
        :param pause: called with True when enough was read, and with False when there is room again.
        """
        self.done: Deferred[None] = Deferred()
        self._say = say
        self._pause = pause
        self._partial = b""
        self._lines: deque[str] = deque()
        self._saying = False
        self._ended = False
        self._paused = False

    def received(self, data: bytes) -> None:
        """Take what was read."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _LONGEST:
            lines, self._partial = [*lines, self._partial], b""
        self._lines += [line.decode("utf-8", "replace").removesuffix("\r") for line in lines]
        if len(self._lines) > _AHEAD and not self._paused:
            self._paused = True
            self._pause(True)
        self._next()

    def ended(self) -> None:
        """There is no more."""
        self._ended = True
        if self._partial:
            self._lines.append(self._partial.decode("utf-8", "replace"))
        self._next()

    def _next(self) -> None:
        while not self._saying and self._lines:
            line = self._lines.popleft()
            if line == QUIT:
                self._lines.clear()
                self._ended = True
            elif line.strip():
                self._saying = True
                self._say(line).addCallback(self._said)
        if self._paused and len(self._lines) <= _AHEAD and not self._ended:
            self._paused = False
            self._pause(False)
        if self._ended and not self._saying and not self._lines and not self.done.called:
            self.done.callback(None)

    def _said(self, line: Line) -> None:
        self._saying = False
        self._next()


def moment(at: float | None = None) -> str:
    """Return a time of day, with its day if that is another one; now unless *at* is given."""
    now = datetime.now()
    when = now if at is None else datetime.fromtimestamp(at)
    return when.strftime("%H:%M:%S" if when.date() == now.date() else "%Y-%m-%d %H:%M")


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
