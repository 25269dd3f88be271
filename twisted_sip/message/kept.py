"""What texts that repeat were read as: lines of a head, and parts of lines."""

from __future__ import annotations

from collections.abc import Callable, Sized
from itertools import islice
from typing import Protocol, TypeVar

from twisted_sip.message.limits import SHORT


class _Text(Sized, Protocol):
    def __hash__(self) -> int: ...


Text = TypeVar("Text", bound=_Text)
Value = TypeVar("Value")


class Kept(dict[Text, Value]):
    """Text -> value: ``kept[text]`` reads a text that is not there, and costs one dict lookup where it is.

    Bounded in number, and by SHORT in what one entry takes, so that no peer can fill the memory. Values are shared by
    whoever asks: they must be immutable.
    """

    __slots__ = ("_most", "_read")

    def __init__(self, read: Callable[[Text], Value], most: int) -> None:
        """Keep what *read* returns; what it raises is raised and nothing kept.

        :param most: how many texts to keep; those that came first go first.
        """
        self._read = read
        self._most = most

    def __missing__(self, text: Text) -> Value:
        value = self._read(text)
        if len(text) <= SHORT:
            if len(self) >= self._most:
                # Several at a time: to find the first one is not free.
                for old in list(islice(self, self._most // 8 + 1)):
                    del self[old]
            self[text] = value
        return value
