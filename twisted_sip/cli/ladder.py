"""Draws the messages of a call as a ladder: a column for each participant, an arrow for each message.

All messages were sent or received by one server, so it is in the middle: who spoke to it first is on its left, whom it
spoke to first on its right.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
from rich.text import Text

from twisted_sip.cli.traced_message import Traced

#: Columns narrower than this show nothing worth reading: a list is drawn instead.
_NARROWEST = 16
_TIME = 9


@attrs.frozen(slots=True)
class Strokes:
    """The characters that lines are drawn with."""

    life: str = "│"
    shaft: str = "─"
    cross: str = "┼"
    right: str = "▶"
    left: str = "◀"
    start_right: str = "├"
    start_left: str = "┤"
    more: str = "…"
    again: str = "↻"


LINES = Strokes()
ASCII = Strokes("|", "-", "+", ">", "<", "|", "|", ".", "*")


@attrs.define(slots=True)
class Participant:
    """One column.

    :ivar name: who it is, as far as the messages say.
    :ivar host: its address.
    :ivar port: its port and transport.
    """

    name: str
    host: str
    port: str

    @classmethod
    def at(cls, name: str, address: str, rest: str) -> Participant:
        """Return the participant *name* at *address*, ``host:port``; *rest* is what to write after the port."""
        host, _, port = address.rpartition(":")
        return cls(name, host, f"{port}{rest}")


class Ladder:
    """The drawing of one call.

    :param messages: its messages in the order of time, at least one.
    :param width: columns of the terminal.
    :param strokes: the characters to draw with.
    """

    def __init__(self, messages: Sequence[Traced], width: int, strokes: Strokes = LINES) -> None:
        self._messages = messages
        self._strokes = strokes
        self._began = messages[0].time
        left: dict[tuple[str, str], Participant] = {}
        right: dict[tuple[str, str], Participant] = {}
        for message in messages:
            if message.peer in left or message.peer in right:
                continue
            side = right if message.sent else left
            side[message.peer] = Participant.at(_name(message), message.remote, f" {message.transport.lower()}")
        self._places = {peer: place for place, peer in enumerate(left)}
        self._server = len(left)
        self._places.update({peer: place + self._server + 1 for place, peer in enumerate(right)})
        local = dict.fromkeys(message.local for message in messages)
        more = f" +{len(local) - 1}" if len(local) > 1 else ""
        self._participants = [*left.values(), Participant.at("server", next(iter(local)), more), *right.values()]
        self._pitch = self._fit(width)

    @property
    def readable(self) -> bool:
        """False if the terminal is too narrow for so many participants."""
        return self._pitch >= _NARROWEST

    def _fit(self, width: int) -> int:
        heads = max(max(len(one.name), len(one.host), len(one.port)) for one in self._participants) + 2
        texts = max(len(message.labels()[0]) for message in self._messages) + 8
        columns = len(self._participants)
        return min(max(heads, texts, _NARROWEST), (width - _TIME - 1) // columns)

    def _centre(self, place: int) -> int:
        return _TIME + place * self._pitch + self._pitch // 2

    def draw(self) -> list[Text]:
        """Return the lines of the drawing."""
        lines = [
            *self._title(),
            Text(""),
            self._heads("name", "bold"),
            self._heads("host", "dim"),
            self._heads("port", "dim"),
        ]
        lines.append(self._lives(""))
        seen: set[tuple[bool, tuple[str, str], str]] = set()
        for message in self._messages:
            key = (message.sent, message.peer, message.text)
            lines.append(self._arrow(message, key in seen))
            seen.add(key)
        lines.append(self._lives(""))
        return lines

    def _title(self) -> list[Text]:
        first, last = self._messages[0], self._messages[-1]
        began = datetime.fromtimestamp(first.time).strftime("%Y-%m-%d %H:%M:%S")
        count = len(self._messages)
        title = Text(first.start_line.removesuffix(" SIP/2.0"), "bold")
        facts = f"{began}   {count} message{'s' if count > 1 else ''} in {last.time - first.time:.3f} s"
        return [title, Text(facts, "dim")]

    def _heads(self, which: str, style: str) -> Text:
        line = [" "] * (self._centre(len(self._participants) - 1) + self._pitch // 2 + 1)
        for place, one in enumerate(self._participants):
            text = self._cut(getattr(one, which), self._pitch - 2)
            start = self._centre(place) - len(text) // 2
            line[start : start + len(text)] = text
        return Text("".join(line).rstrip(" "), style)

    def _cut(self, text: str, room: int) -> str:
        return text if len(text) <= room else text[: max(room - 1, 0)] + self._strokes.more

    def _row(self) -> list[str]:
        row = [" "] * (self._centre(len(self._participants) - 1) + 1)
        for place in range(len(self._participants)):
            row[self._centre(place)] = self._strokes.life
        return row

    def _lives(self, time: str) -> Text:
        row = self._row()
        row[: len(time)] = time
        return Text("".join(row), "dim")

    def _arrow(self, message: Traced, again: bool) -> Text:
        strokes = self._strokes
        row = self._row()
        time = f"{message.time - self._began:>8.3f}"
        row[: len(time)] = time
        peer = self._places[message.peer]
        source, target = (self._server, peer) if message.sent else (peer, self._server)
        low, high = sorted((self._centre(source), self._centre(target)))
        for column in range(low + 1, high):
            row[column] = strokes.cross if row[column] == strokes.life else strokes.shaft
        rightward = source < target
        row[self._centre(source)] = strokes.start_right if rightward else strokes.start_left
        row[high - 1 if rightward else low + 1] = strokes.right if rightward else strokes.left
        # The label stands in the gap beside the server: columns farther out are crossed by the shaft alone.
        near = self._centre(self._server + (1 if peer > self._server else -1))
        near_low, near_high = sorted((self._centre(self._server), near))
        room = near_high - near_low - 7
        labels = [f"{label} {strokes.again}" for label in message.labels()] if again else message.labels()
        label = next((text for text in labels if len(text) <= room), self._cut(labels[-1], room))
        start = near_low + 1 + (near_high - near_low - 1 - len(label) - 2) // 2
        row[start : start + len(label) + 2] = f" {label} "
        line = Text("".join(row), "dim")
        style = "dim " + message.colour if again else message.colour
        line.stylize("not dim " + message.colour if not again else style, low + 1, high)
        return line


def _name(message: Traced) -> str:
    """Name the participant whose first message this is: the caller if it spoke, the called one if it is spoken to."""
    if message.is_response:
        return ""
    return message.user("to" if message.sent else "from")
