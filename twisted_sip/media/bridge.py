"""Sound of several parties brought together: each hears all others (RFC 3550 section 2.3 and 7.3, as a mixer).

Parties deliver and fetch at the same rate, one frame in each interval; who delivers nothing is silent.
"""

from __future__ import annotations

from collections import deque

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.pcm import summed, without

#: Frames of a party that wait to be heard; beyond these the oldest is dropped.
_MOST_FRAMES = 4


class Party:
    """One who takes part: an AudioSink for what it says and an AudioSource for what it hears."""

    def __init__(self, bridge: Bridge, name: str) -> None:
        self.rate = bridge.rate
        self.name = name
        self.muted = False
        self._bridge = bridge
        self._said: deque[bytes] = deque(maxlen=_MOST_FRAMES)
        self._frame = b""
        self._round = -1

    def write(self, pcm: bytes) -> None:
        """Say something: the next frame."""
        self._said.append(pcm)

    def read(self, samples: int) -> bytes | None:
        """Return what the others say, *samples* samples of it; None once this party has left."""
        return self._bridge._heard_by(self, samples)

    def close(self) -> None:
        """Leave. Harmless when repeated."""
        self._bridge.leave(self)


class Bridge:
    """A conference of up to *most* parties.

    The first one who fetches twice begins the next round: it takes one frame of each party, and the sum is made once.

    :ivar rate: samples per second.
    :ivar parties: those who take part.
    """

    def __init__(self, rate: int = 8000, most: int = 64) -> None:
        self.rate = rate
        self._most = most
        self.parties: list[Party] = []
        self._round = 0
        self._total: list[int] | None = None

    def join(self, name: str = "") -> Party:
        """Return a new party.

        :raises LocalProtocolError: there are as many as there may be.
        """
        if len(self.parties) >= self._most:
            raise LocalProtocolError(f"a bridge has room for {self._most} parties")
        party = Party(self, name)
        party._round = self._round
        self.parties.append(party)
        return party

    def leave(self, party: Party) -> None:
        """Take *party* out. Harmless when repeated."""
        if party in self.parties:
            self.parties.remove(party)
            self._total = None

    def _heard_by(self, party: Party, samples: int) -> bytes | None:
        if party not in self.parties:
            return None
        if party._round == self._round:
            self._next_round()
        party._round = self._round
        parties = self.parties
        if len(parties) == 2:
            # Two hear each other as they are: nothing is added.
            other = parties[1] if parties[0] is party else parties[0]
            return other._frame[: 2 * samples] if other._frame else bytes(2 * samples)
        total = self._total
        if total is None or len(total) != samples:
            total = self._total = summed([one._frame for one in parties if one._frame], samples)
        return without(total, party._frame)

    def _next_round(self) -> None:
        self._round += 1
        self._total = None
        for party in self.parties:
            said = party._said
            frame = said.popleft() if said else b""
            party._frame = b"" if party.muted else frame
