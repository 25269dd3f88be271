"""Our own identifier in packets that come: a collision, a loop, or a peer that is a mirror (RFC 3550 section 8.2)."""

from __future__ import annotations

#: Packets of ours that may be on their way at the same time, to a peer that sends them back.
_ON_THE_WAY = 1000

#: Whence a collision is known already; no more of them are remembered, and none beyond is believed.
_MOST = 8


class OwnSource:
    """What is known of those who use our identifier.

    :ivar mirrored: the peer sends back what we send.
    """

    __slots__ = ("_known", "mirrored")

    def __init__(self) -> None:
        self.mirrored = False
        self._known: list[tuple[str, int]] = []

    def mirrors(self, sequence: int, sent: int) -> bool:
        """Tell whether a packet of the peer with our identifier is one of ours that it has sent back.

        Test gear does that to be heard. The loop ends here: what is sent does not grow by what comes.

        :param sequence: of the packet.
        :param sent: of our last packet.
        """
        if (sent - sequence) & 0xFFFF >= _ON_THE_WAY:
            return False
        self.mirrored = True
        return True

    def collides(self, address: tuple[str, int]) -> bool:
        """Tell whether a packet from *address* asks for another identifier: the first one does, then it is a loop."""
        if address in self._known or len(self._known) >= _MOST:
            return False
        self._known.append(address)
        return True

    def __len__(self) -> int:
        """How many addresses are known."""
        return len(self._known)
