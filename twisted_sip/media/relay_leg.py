"""One direction's end of a relay: a socket, whom it listens to, and where it passes things on (RFC 3550 section 2.3).

The packet path is as short as it can be: a comparison of addresses, a count and a system call.
"""

from __future__ import annotations

from twisted_sip.media.latch import Latch
from twisted_sip.media.sockets import DatagramSocket


class RelayLeg:
    """One socket of a relay. What it takes goes out of :attr:`other`.

    :ivar packets: taken from its peer.
    :ivar octets: taken from its peer.
    :ivar refused: datagrams of strangers, and those that begin like nothing that a relay passes on.
    :ivar flooded: datagrams beyond the rate.
    """

    __slots__ = (
        "_latch",
        "_left",
        "_most",
        "_now",
        "flooded",
        "latched",
        "octets",
        "other",
        "packets",
        "refused",
        "send",
        "socket",
        "target",
    )

    def __init__(self, latch: Latch, most: int) -> None:
        """Make one.

        :param most: datagrams in a second.
        """
        self._latch = latch
        self._most = most
        self._left = most
        self._now = 0.0
        self.latched: tuple[str, int] | None = None
        self.target: tuple[str, int] | None = None
        self.other: RelayLeg | None = None
        self.socket: DatagramSocket | None = None
        self.packets = 0
        self.octets = 0
        self.refused = 0
        self.flooded = 0

    def bound(self, sock: DatagramSocket) -> None:
        """This is its socket."""
        self.socket = sock
        self.send = sock.send

    def tell(self, address: tuple[str, int] | None, now: float, *, follow: bool) -> None:
        """Its peer says that it listens at *address*, None if that is not known.

        :param follow: send to where its packets come from; False if it listens nowhere.
        """
        self._now = now
        self._latch.tell(address, follow=follow)
        self._latch.renew()
        # Looked at again with the next packet.
        self.latched = None
        self.target = self._latch.target

    def received(self, data: bytes, address: tuple[str, int]) -> None:
        """Pass a datagram on."""
        if address != self.latched and not self._learn(data, address):
            return
        left = self._left
        if left <= 0:
            self.flooded += 1
            return
        self._left = left - 1
        self.packets += 1
        self.octets += len(data)
        other = self.other
        if other is not None and other.target is not None:
            other.send(data, other.target)

    def _learn(self, data: bytes, address: tuple[str, int]) -> bool:
        # RTP, RTCP and DTLS (RFC 7983 section 7); STUN is between neighbours and ends here.
        first = data[0] if len(data) >= 12 else 0
        if not (128 <= first <= 191 or 20 <= first <= 63) or not self._latch.accepts(address, self._now):
            self.refused += 1
            return False
        self.latched = self._latch.latched
        self.target = self._latch.target
        return True

    def second(self, now: float, heard: bool) -> None:
        """A second is over; *heard* tells whether anything came in it."""
        self._now = now
        self._left = self._most
        if heard and self.latched is not None:
            self._latch.accepts(self.latched, now)
        elif not heard:
            # The next packet is looked at, and the latch knows how long nothing came.
            self.latched = None
