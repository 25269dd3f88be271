"""Nonces that prove themselves, and the record of those that were used.

RFC 7616 sections 3.3, 3.4 and 5.4, RFC 3261 section 26.3.2.4.

A nonce is its time of issue, random bytes, and a keyed BLAKE2s (a MAC, RFC 7693 section 2.9) over both and the source
address it was issued to. So a challenge leaves nothing behind. State is kept for nonces alone with which somebody has
authenticated, one entry each until its end of life, and never more than a fixed number: when the table is full its
oldest entry goes, and with it every nonce issued up to then, so that forgetting opens no replay.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable

from twisted_sip.auth.random_text import random_texts

#: How far behind the highest nonce count one may come late: datagrams overtake each other.
WINDOW = 32

_TIME_CHARS = 12
_RANDOM_CHARS = 16
_MAC_BYTES = 16
_BODY_CHARS = _TIME_CHARS + _RANDOM_CHARS
_NONCE_CHARS = _BODY_CHARS + 2 * _MAC_BYTES


class Use(enum.Enum):
    """What becomes of one use of a nonce."""

    FRESH = "fresh"
    #: Too old, used before with this count, or with a count too far behind: a new nonce is needed.
    STALE = "stale"


#: The counts seen of one nonce, a bare tuple since there is one for each authenticated client: when it was issued (in
#: milliseconds), the highest count (0 where it came without one, RFC 2069, which uses it up), and of which bit n set
#: says that the count top - n was seen.
_Seen = tuple[int, int, int]


class Nonces:
    """Issues nonces and watches over their use.

    :param random_bytes: gives that many random bytes; the key is drawn from it once, so nonces end with the process.
    :param now: gives the time in seconds, from any origin.
    :param lifetime: seconds that a nonce is good for.
    :param max_used: the most nonces of which the use is remembered.
    """

    __slots__ = ("_floor", "_keyed", "_lifetime", "_max_used", "_now", "_random_text", "_used")

    def __init__(
        self,
        random_bytes: Callable[[int], bytes],
        now: Callable[[], float],
        lifetime: float = 600.0,
        max_used: int = 100_000,
    ) -> None:
        # Keyed once: a copy of it is cheaper than to give the key each time.
        self._keyed = hashlib.blake2s(digest_size=_MAC_BYTES, key=random_bytes(32))
        self._random_text = random_texts(random_bytes)
        self._now = now
        self.configure(lifetime, max_used)
        # Ordered in its own right: to find the first entry of a dict whose first ones are gone means to pass them all.
        self._used: OrderedDict[str, _Seen] = OrderedDict()
        # Nonces issued up to here are stale unless they are in the table.
        self._floor = -1

    def configure(self, lifetime: float, max_used: int) -> None:
        """Take other bounds over, for nonces already issued too; a shorter *lifetime* in seconds makes them stale."""
        self._lifetime = int(lifetime * 1000)
        self._max_used = max_used

    def _mac(self, body: str, source: str) -> str:
        mac = self._keyed.copy()
        text = body + source
        mac.update(text.encode() if text.isascii() else text.encode("utf-8", "surrogateescape"))
        return mac.hexdigest()

    def _milliseconds(self) -> int:
        return int(self._now() * 1000) & 0xFFFFFFFFFFFF

    def issue(self, source: str) -> str:
        """Return a new nonce for the numeric host *source*: 60 hexadecimal characters."""
        body = f"{int(self._now() * 1000) & 0xFFFFFFFFFFFF:012x}{self._random_text()}"
        return body + self._mac(body, source)

    def issued_to(self, nonce: str, source: str) -> bool:
        """Tell whether *nonce* was issued here, since the start of the process, to *source*; however old it is."""
        if len(nonce) != _NONCE_CHARS or not nonce.isascii():
            return False
        return hmac.compare_digest(nonce[_BODY_CHARS:], self._mac(nonce[:_BODY_CHARS], source))

    def use(self, nonce: str, nc: int) -> Use:
        """Record that *nonce*, which :meth:`issued_to` holds for, came with a right answer.

        :param nc: the nonce count, from 1; 0 for a client that sends none, for which the nonce is good once.
        :returns: FRESH if nothing speaks against it (RFC 7616 section 3.4: a count seen twice is a replay).
        """
        issued = int(nonce[:_TIME_CHARS], 16)
        now = self._milliseconds()
        if not 0 <= now - issued < self._lifetime:
            return Use.STALE
        seen = self._used.get(nonce)
        if seen is None:
            if issued <= self._floor:
                return Use.STALE
            self._remember(nonce, (issued, nc, 1), now)
            return Use.FRESH
        _, top, bits = seen
        if nc == 0 or top == 0:
            return Use.STALE
        behind = top - nc
        if behind < 0:
            ahead = -behind
            # A jump past the window leaves nothing of it but the new count.
            bits = ((bits << ahead) | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self._used[nonce] = (issued, nc, bits)
            return Use.FRESH
        if behind >= WINDOW or bits >> behind & 1:
            return Use.STALE
        self._used[nonce] = (issued, top, bits | 1 << behind)
        return Use.FRESH

    def _remember(self, nonce: str, seen: _Seen, now: int) -> None:
        used = self._used
        used[nonce] = seen
        # Each new entry may take two old ones with it, so the table follows its deadlines without ever being swept.
        for _ in range(2):
            oldest = next(iter(used))
            if 0 <= now - used[oldest][0] < self._lifetime:
                break
            del used[oldest]
        if len(used) > self._max_used:
            oldest = next(iter(used))
            self._floor = max(self._floor, used.pop(oldest)[0])

    def expire(self) -> None:
        """Drop what is past its deadline; for a caller that looks now and then, since an idle table is not visited."""
        now = self._milliseconds()
        for nonce in [nonce for nonce, seen in self._used.items() if not 0 <= now - seen[0] < self._lifetime]:
            del self._used[nonce]

    def __len__(self) -> int:
        """Return how many used nonces are remembered."""
        return len(self._used)
