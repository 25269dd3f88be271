"""Unguessable texts, drawn in bulk (RFC 3261 sections 8.1.1.7 and 19.3, RFC 7616 section 3.3)."""

from __future__ import annotations

import secrets
from collections.abc import Callable


class RandomText:
    """Unguessable texts for branches, tags and Call-IDs, drawn in bulk since one system call for each would cost.

    :param random_bytes: gives that many random bytes; ``secrets.token_bytes`` unless a simulation wants repeatable
        ones.
    """

    __slots__ = ("_draw", "_place", "_pool")

    def __init__(self, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._draw = random_bytes
        self._pool = ""
        self._place = 0

    def __call__(self) -> str:
        """Return 16 hexadecimal characters: 64 bits (RFC 3261 section 19.3 asks for 32 or more)."""
        place = self._place
        if place >= len(self._pool):
            self._pool = self._draw(2048).hex()
            place = 0
        self._place = place + 16
        return self._pool[place : place + 16]
