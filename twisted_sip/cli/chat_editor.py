"""One line as it is typed: keys in, text and cursor out."""

from __future__ import annotations

import codecs
import re

#: Escape sequences of keys, then single characters; what may still become a sequence waits.
_KEY = re.compile(r"\x1b\[[0-9;?]*[@-~]|\x1bO[@-~]|\x1b[^\[O]|[^\x1b]", re.DOTALL)
_NAMES = {
    "\x1b[D": "left",
    "\x1bOD": "left",
    "\x02": "left",
    "\x1b[C": "right",
    "\x1bOC": "right",
    "\x06": "right",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x01": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\x05": "end",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b[3~": "delete",
    "\x15": "clear",
    "\x0b": "cut",
    "\x17": "word",
    "\r": "enter",
    "\n": "enter",
    "\x03": "interrupt",
    "\x04": "eof",
    "\x0c": "redraw",
    "\x1b[5~": "up",
    "\x1b[6~": "down",
}
#: Characters of a line: more than any message has.
_LONGEST = 4000


class KeyReader:
    """Makes keys of the bytes that a terminal sends."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def keys(self, data: bytes) -> list[str]:
        """Return the keys in *data*: names of keys that do something, else the character itself."""
        text = self._rest + self._decoder.decode(data)
        found: list[str] = []
        place = 0
        while match := _KEY.match(text, place):
            place = match.end()
            key = match[0]
            if key in _NAMES:
                found.append(_NAMES[key])
            elif key.isprintable():
                found.append(key)
        # No key has a sequence that long.
        self._rest = text[place:] if len(text) - place < 16 else ""
        return found


class Editor:
    """The line.

    :ivar text: what was typed.
    :ivar cursor: the index of the character that the cursor is on.
    """

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0

    def press(self, key: str) -> bool:
        """Do what *key* asks for; tell whether the text has changed."""
        before = self.text
        left, right = self.text[: self.cursor], self.text[self.cursor :]
        if len(key) == 1:
            if len(before) < _LONGEST:
                left += key
        elif key == "backspace":
            left = left[:-1]
        elif key == "delete":
            right = right[1:]
        elif key == "clear":
            left = ""
        elif key == "cut":
            right = ""
        elif key == "word":
            left = re.sub(r"\S*\s*\Z", "", left)
        elif key == "left":
            left, right = left[:-1], left[-1:] + right
        elif key == "right":
            left, right = left + right[:1], right[1:]
        elif key == "home":
            left, right = "", before
        elif key == "end":
            left, right = before, ""
        self.text, self.cursor = left + right, len(left)
        return self.text != before

    def take(self) -> str:
        """Return the text, and begin anew."""
        text, self.text, self.cursor = self.text, "", 0
        return text
