"""Sound of several parties brought together: each hears all others (RFC 3550 sections 2.3 and 7.3, as a mixer does).

Two hear each other as they are. Of three and more each gets the sum of all without itself; they fetch frames of one
length, one in each interval. Who delivers nothing is silent.
"""

from __future__ import annotations

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.pcm import summed, without

#: What a party has said and nobody has fetched, in seconds; beyond that the oldest is dropped.
_MOST_WAITING = 0.1


class Party:
    """One who takes part: an AudioSink for what it says and an AudioSource for what it hears.

    :ivar muted: nobody hears it.
    """

    def __init__(self, bridge: Bridge, name: str) -> None:
        self.rate = bridge.rate
        self.name = name
        self.muted = False
        self._bridge = bridge
        self._said = b""
        self._most = 2 * int(bridge.rate * _MOST_WAITING)
        self._frame = b""
        self._round = 0

    def write(self, pcm: bytes) -> None:
        """Say something: the next frame."""
        self._said = (self._said + pcm)[-self._most :] if self._said else pcm

    def read(self, samples: int) -> bytes | None:
        """Return what the others say, *samples* samples of it; None once this party has left."""
        return self._bridge._heard_by(self, samples)

    def close(self) -> None:
        """Leave. Harmless when repeated."""
        self._bridge.leave(self)

    def _take(self, samples: int) -> bytes:
        said = self._said
        size = 2 * samples
        if len(said) <= size:
            self._said = b""
        else:
            said, self._said = said[:size], said[size:]
        return b"" if self.muted else said


class Bridge:
    """A conference.

    The first one who fetches twice begins the next round: it takes one frame of each party, and the sum is made once.

    :ivar rate: samples per second.
    :ivar parties: those who take part.
    """

    def __init__(self, rate: int = 8000, most: int = 64) -> None:
        """Make one for up to *most* parties."""
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
        parties = self.parties
        if party not in parties:
            return None
        if len(parties) == 2:
            return (parties[1] if parties[0] is party else parties[0])._take(samples)
        if party._round == self._round:
            self._next_round(samples)
        party._round = self._round
        total = self._total
        if total is None or len(total) != samples:
            total = self._total = summed([one._frame for one in parties if one._frame], samples)
        return without(total, party._frame)

    def _next_round(self, samples: int) -> None:
        self._round += 1
        self._total = None
        for party in self.parties:
            party._frame = party._take(samples)
