"""Reads a terminal, pipe or file in the reactor, without changing how its other holders see it.

Twisted's StandardIO would make it non-blocking, which the shell that shares it would find too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class Input:
    """A descriptor that is read while there is something to read."""

    def __init__(
        self, reactor: Any, descriptor: int, received: Callable[[bytes], object], ended: Callable[[], object]
    ) -> None:
        """Make it; :meth:`resume` begins.

        :param received: called with what was read.
        :param ended: called once at its end.
        """
        self._reactor = reactor
        self._descriptor = descriptor
        self._received = received
        self._ended = ended
        self._reading = False

    def resume(self) -> None:
        """Read."""
        if not self._reading:
            self._reading = True
            self._reactor.addReader(self)

    def pause(self) -> None:
        """Read no more."""
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:
        """Return a name."""
        return "input"

    def doRead(self) -> None:
        """Read what is there; it does not block, since there is something."""
        try:
            data = os.read(self._descriptor, 4096)
        except OSError:
            # A terminal that has gone away.
            data = b""
        if data:
            self._received(data)
        else:
            self.pause()
            self._ended()

    def connectionLost(self, reason: Failure) -> None:
        """The other end of a pipe is gone, and all was read."""
        if self._reading:
            self._reading = False
            self._ended()


def first_line(descriptor: int) -> str:
    """Read one line of *descriptor*, and not a byte more; without its end."""
    line = bytearray()
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode("utf-8", "surrogateescape").removesuffix("\r")
