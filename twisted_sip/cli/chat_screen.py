"""A chat on a terminal: what was said above, who is typing, and the line that one types.

The screen is the terminal's other one; at the end the terminal is as it was, and shows what was said.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from twisted_sip.cli.chat_editor import Editor, KeyReader
from twisted_sip.cli.chat_lines import QUIT, moment
from twisted_sip.cli.chat_session import Line
from twisted_sip.cli.traced_message import plain

#: What is remembered of the chat.
_MOST_ENTRIES = 1000

_MARKS = {
    "sending": ("…", "dim"),
    "sent": ("✓ sent", "dim"),
    "stored": ("✓ kept for later", "yellow"),
    "delivered": ("✓✓ delivered", "green"),
    "displayed": ("✓✓ displayed", "bold green"),
    "failed": ("✗", "red"),
}
_PROMPT = "> "


@attrs.define(slots=True)
class _Entry:
    """Something on the screen: a message, a line of ours, or a notice without *name*."""

    at: float
    name: str
    text: str
    line: Line | None = None


class Transcript:
    """What was said, as lines of a terminal."""

    def __init__(self, name: str, utf: bool = True) -> None:
        """Begin with nothing.

        :param name: what we are called.
        :param utf: the terminal knows more than ASCII.
        """
        self.name = name
        self._utf = utf
        self._entries: deque[_Entry] = deque(maxlen=_MOST_ENTRIES)

    def add(self, at: float, name: str, text: str, line: Line | None = None) -> None:
        """Add something at the end."""
        self._entries.append(_Entry(at, name, text, line))

    def rows(self, width: int) -> Iterator[Text]:
        """Yield the lines, the last one first."""
        for entry in reversed(self._entries):
            yield from reversed(self._lines(entry, width))

    def _lines(self, entry: _Entry, width: int) -> list[Text]:
        when = f"{moment(entry.at)} "
        if not entry.name:
            return self._wrapped(Text(f"{when}-- {plain(entry.text)}", "yellow"), "", width)
        head = Text(when, "dim")
        head.append(plain(entry.name), "bold cyan" if entry.line is not None else "bold green")
        head.append("  ")
        body = Text("\n".join(plain(part) for part in entry.text.splitlines() or [""]))
        if entry.line is not None:
            body.append("  ")
            body.append(self._mark(entry.line), _MARKS[entry.line.mark][1])
        lines = self._wrapped(body, " " * cell_len(head.plain), width)
        lines[0] = head + lines[0][cell_len(head.plain) :]
        return lines

    def _mark(self, line: Line) -> str:
        mark = _MARKS[line.mark][0] + (f" {plain(line.reason)}" if line.reason else "")
        return mark if self._utf else mark.replace("✓", "+").replace("✗", "!").replace("…", "...")

    def _wrapped(self, text: Text, indent: str, width: int) -> list[Text]:
        room = max(width - len(indent), 10)
        lines = text.wrap(Console(width=room), room)
        return [Text(indent) + line for line in lines]


class Screen:
    """A view of a chat on the terminal.

    :ivar transcript: what was said.
    """

    def __init__(
        self,
        name: str,
        peer: str,
        *,
        say: Callable[[str], object],
        typed: Callable[[bool], object],
        quit: Callable[[], object],
        now: Callable[[], float],
    ) -> None:
        """Make a screen that is not shown.

        :param name: who we are, as the peer calls us.
        :param peer: the peer's address-of-record without scheme.
        :param say: takes a line.
        :param typed: called when the text that is typed has changed, with whether there is any.
        :param quit: called when the user wants to go.
        :param now: gives seconds since the epoch.
        """
        encoding = (sys.stdout.encoding or "").lower()
        self.transcript = Transcript(name, encoding.startswith("utf"))
        self._peer = peer
        self._say = say
        self._typed = typed
        self._quit = quit
        self._now = now
        self._editor = Editor()
        self._keys = KeyReader()
        self._typing = False
        self._back = 0
        self._shown = False
        self._old: list[Any] = []
        self._old_winch: Any = None

    # -- the terminal -------------------------------------------------------------------

    @contextlib.contextmanager
    def shown(self, reactor: Any) -> Iterator[None]:
        """Take the terminal, and give it back as it was."""
        descriptor = sys.stdin.fileno()
        self._old = termios.tcgetattr(descriptor)
        taken = termios.tcgetattr(descriptor)
        # One key at a time, not echoed; Control-C and its like are keys too.
        taken[0] &= ~termios.IXON
        taken[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        taken[6][termios.VMIN], taken[6][termios.VTIME] = 1, 0
        self._old_winch = signal.signal(signal.SIGWINCH, lambda *_: reactor.callFromThread(self.draw))
        try:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, taken)
            self._write("\x1b[?1049h")
            self._shown = True
            self.draw()
            yield
        finally:
            self._shown = False
            signal.signal(signal.SIGWINCH, self._old_winch)
            self._write("\x1b[?1049l\x1b[?25h")
            termios.tcsetattr(descriptor, termios.TCSADRAIN, self._old)
            self._print_transcript()

    def _print_transcript(self) -> None:
        width, _ = self._size()
        console = Console(highlight=False, width=width)
        for row in reversed(list(self.transcript.rows(width))):
            console.print(row, no_wrap=True, overflow="crop")

    def _write(self, text: str) -> None:
        # A terminal that has gone away ends the input too.
        with contextlib.suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return 80, 24
        return max(size.columns, 20), max(size.lines, 4)

    def draw(self) -> None:
        """Draw everything."""
        if not self._shown:
            return
        width, height = self._size()
        console = Console(highlight=False, width=width, force_terminal=True)
        wanted = height - 2
        rows = list(self.transcript.rows(width))
        self._back = max(0, min(self._back, len(rows) - wanted))
        visible = rows[self._back : self._back + wanted][::-1]
        with console.capture() as captured:
            for row in [*visible, *[Text("")] * (wanted - len(visible)), self._status(width)]:
                console.print(row, no_wrap=True, overflow="crop", end="\x1b[K\r\n")
        self._write(f"\x1b[?25l\x1b[H{captured.get()}{self._input(width)}")

    def _status(self, width: int) -> Text:
        words = f" {self._peer.partition('@')[0]} is typing ..." if self._typing else f" {self._peer}"
        right = f"{'more below   ' if self._back else ''}{QUIT} or Control-C leaves "
        room = width - cell_len(right)
        return Text(set_cell_size(plain(words), max(room, 0)) + right, "reverse")

    def _input(self, width: int) -> str:
        """Return the line that is typed, as much as fits, and where the cursor is."""
        editor = self._editor
        room = width - len(_PROMPT) - 1
        start = 0
        while cell_len(editor.text[start : editor.cursor]) > room:
            start += 1
        before = cell_len(editor.text[start : editor.cursor])
        text = editor.text[start:]
        while cell_len(text) > room:
            text = text[:-1]
        return f"{_PROMPT}{text}\x1b[K\r\x1b[{len(_PROMPT) + before}C\x1b[?25h"

    # -- keys ----------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take what was typed."""
        for key in self._keys.keys(data):
            if key == "interrupt" or (key == "eof" and not self._editor.text):
                self._quit()
                return
            if key == "enter":
                self._enter()
            elif key in ("up", "down"):
                self._back += (self._size()[1] // 2) * (1 if key == "up" else -1)
            elif self._editor.press(key):
                self._typed(bool(self._editor.text))
        self.draw()

    def _enter(self) -> None:
        text = self._editor.take()
        self._back = 0
        if text.strip() == QUIT:
            self._quit()
        elif text.strip():
            self._say(text)

    # -- the view --------------------------------------------------------------------------

    def heard(self, sender: str, text: str, at: float) -> None:
        """Show a message."""
        name = sender.partition("@")[0] if sender == self._peer else sender
        self.transcript.add(at, name, text)
        self.draw()

    def said(self, line: Line) -> None:
        """Show a line of ours."""
        self.transcript.add(line.at, self.transcript.name, line.text, line)
        self.draw()

    def marked(self, line: Line) -> None:
        """Show the mark of a line."""
        self.draw()

    def typing(self, active: bool) -> None:
        """Show that the peer is typing."""
        self._typing = active
        self.draw()

    def notice(self, text: str) -> None:
        """Show *text*."""
        self.transcript.add(self._now(), "", text)
        self.draw()
