"""Unguessable texts, drawn in bulk (RFC 3261 sections 8.1.1.7 and 19.3, RFC 7616 section 3.3)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import chain

#: Random bytes drawn at a time, and characters of one text.
_BULK = 2048
_LENGTH = 16


def random_texts(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Callable[[], str]:
    """Return what gives an unguessable text with each call, for branches, tags and Call-IDs.

    A text is 16 hexadecimal characters: 64 bits (RFC 3261 section 19.3 asks for 32 or more). They are drawn in bulk,
    since one system call for each would cost, and no call of Python's is made for one.

    :param random_bytes: gives that many random bytes; ``secrets.token_bytes`` unless a simulation wants repeatable
        ones.
    """

    def draw() -> list[str]:
        pool = random_bytes(_BULK).hex()
        return [pool[place : place + _LENGTH] for place in range(0, len(pool), _LENGTH)]

    # What is drawn is never empty: this goes on for ever.
    return chain.from_iterable(iter(draw, [])).__next__
