"""Whom to believe: symmetric RTP (RFC 4961) that strangers cannot take over.

The address in the session description is always believed. Behind a NAT it is not the one that packets come from: then
the first valid source is taken, and nobody else until the next offer and answer, or until it has been silent for long:
then another port of its host is taken at once, since a NAT may choose a new one, another host only where it goes on.
"""

from __future__ import annotations

from collections.abc import Callable

#: How many times as long the silence must be before another host is taken.
_LONGER = 5.0


class Latch:
    """Where the packets of one component come from, and go to.

    :ivar target: where to send; None while that is not known.
    :ivar latched: whence packets are taken, None before the first.
    :ivar refused: packets of strangers.
    :ivar moves: how often another source was taken.
    :ivar proved: tells of an address whether something else (ICE) knows it as the peer's; None without.
    :ivar open: any source is taken and none is followed: something else proves who it is (ICE, SRTP).
    """

    __slots__ = (
        "_follow",
        "_heard_at",
        "_insist",
        "_insisting",
        "_relatch",
        "_told",
        "_tries",
        "latched",
        "moves",
        "open",
        "proved",
        "refused",
        "symmetric",
        "target",
    )

    def __init__(self, *, symmetric: bool = True, relatch: float = 2.0, insist: int = 5) -> None:
        """Make one.

        :param symmetric: follow the source; False takes packets of the told host alone and sends where it was told.
        :param relatch: seconds of silence after which another port is taken; another host after five times as many.
        :param insist: valid packets in a row that another host must have sent.
        """
        self._insist = insist
        self._insisting: tuple[str, int] | None = None
        self._tries = 0
        self.symmetric = symmetric
        self._relatch = relatch
        self._told: tuple[str, int] | None = None
        self._heard_at = 0.0
        self._follow = False
        self.target: tuple[str, int] | None = None
        self.latched: tuple[str, int] | None = None
        self.refused = 0
        self.moves = 0
        self.open = False
        self.proved: Callable[[tuple[str, int]], bool] | None = None

    def tell(self, address: tuple[str, int] | None, *, follow: bool | None = None) -> None:
        """The session description says *address*; another one than before begins anew.

        :param follow: send to where packets come from; by default if there is an address at all.
        """
        self._follow = address is not None if follow is None else follow
        if address != self._told:
            self._told = address
            self.latched = None
        self.target = self.latched if self.symmetric and self._follow and self.latched is not None else address

    def renew(self) -> None:
        """A new offer/answer was made: the peer may have moved without telling another address."""
        self._heard_at = float("-inf")

    def accepts(self, address: tuple[str, int], now: float) -> bool:
        """Tell whether a valid packet from *address* is to be taken; *now* is in seconds."""
        if address == self.latched:
            self._heard_at = now
            self._insisting = None
            return True
        if self.open:
            return True
        told = self._told
        if address != told and not self.knows(address):
            if not self.symmetric:
                # Another port of the same host is no stranger.
                if told is None or address[0] != told[0]:
                    self.refused += 1
                    return False
                return True
            if self.latched is not None and not self._may_follow(address, now - self._heard_at):
                self.refused += 1
                return False
        if self.latched is not None:
            self.moves += 1
        self.latched = address
        self._heard_at = now
        if self.symmetric and self._follow:
            self.target = address
        return True

    def knows(self, address: tuple[str, int]) -> bool:
        """Tell whether *address* is the peer's whatever the description says."""
        return self.proved is not None and self.proved(address)

    def _may_follow(self, address: tuple[str, int], silence: float) -> bool:
        """Tell whether the peer, of whom nothing has come for *silence* seconds, may be at *address* now."""
        assert self.latched is not None
        if silence < self._relatch:
            return False
        if address[0] == self.latched[0] or silence == float("inf"):
            return True
        if silence < _LONGER * self._relatch:
            return False
        self._tries = self._tries + 1 if address == self._insisting else 1
        self._insisting = address
        return self._tries >= self._insist
