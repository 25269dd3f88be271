"""How many packets are looked at: those beyond it are a flood (nothing that RFC 3550 knows)."""

from __future__ import annotations


class PacketBudget:
    """Packets that may come within a second.

    :ivar left: how many more may; who takes one counts it down.
    """

    __slots__ = ("_filled_at", "_most", "left")

    def __init__(self, most: int) -> None:
        self.left = self._most = most
        self._filled_at = 0.0

    def refill(self, now: float) -> bool:
        """Fill it, a packet taken out, if its second is over; tell whether it was. *now* is in seconds."""
        # A clock that was set back makes no flood.
        if 0.0 <= now - self._filled_at < 1.0:
            return False
        self._filled_at = now
        self.left = self._most - 1
        return True
