"""Sound of several parties brought together: each hears all others (RFC 3550 sections 2.3 and 7.3, as a mixer does).

Two hear each other as they are. Of three and more each gets the sum of all without itself, turned down where it would
be too loud. They may fetch frames of different lengths. Who delivers nothing is silent.
"""

from __future__ import annotations

from array import array
from collections import deque
from math import gcd

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.pcm import HIGHEST, summed, without

#: What a party has said and nobody has fetched, in seconds; beyond that the oldest is dropped.
_MOST_WAITING = 0.1

#: So many rounds are kept for those who fetch less often than others; who is further behind begins with the newest.
_MOST_ROUNDS = 16

#: How fast a sum that was too loud gets back to its full size, for each round.
_LOUDER = 1.02


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
        self._round = 0
        self._gain = 1.0
        self._left = b""

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

    def _held(self, values: list[int]) -> bytes:
        if self._gain == 1.0:
            try:
                return array("h", values).tobytes()
            except OverflowError:
                # Cut tops are heard as crackle; a smaller gain for a moment is not.
                pass
        gain = min(1.0, self._gain * _LOUDER)
        peak = max(max(values), -min(values))
        if peak * gain > HIGHEST:
            gain = HIGHEST / peak
        self._gain = gain
        return array("h", [int(value * gain) for value in values]).tobytes()


class _Round:
    """What everybody said in one piece of time."""

    __slots__ = ("_total", "frames")

    def __init__(self, frames: dict[Party, bytes]) -> None:
        self.frames = frames
        self._total: list[int] | None = None

    def without(self, party: Party, samples: int) -> list[int]:
        total = self._total
        if total is None:
            total = self._total = summed([one for one in self.frames.values() if one], samples)
        own = self.frames.get(party)
        return without(total, own) if own else total


class Bridge:
    """A conference.

    Who fetches what nobody has fetched yet begins the next round: it takes a piece of each party, and the sum is made
    once. A piece is as long as fits the frames of all.

    :ivar rate: samples per second.
    :ivar parties: those who take part.
    """

    def __init__(self, rate: int = 8000, most: int = 64) -> None:
        """Make one for up to *most* parties."""
        self.rate = rate
        self._most = most
        self.parties: list[Party] = []
        self._rounds: deque[_Round] = deque(maxlen=_MOST_ROUNDS)
        self._count = 0
        self._piece = 0

    def join(self, name: str = "") -> Party:
        """Return a new party.

        :raises LocalProtocolError: there are as many as there may be.
        """
        if len(self.parties) >= self._most:
            raise LocalProtocolError(f"a bridge has room for {self._most} parties")
        party = Party(self, name)
        party._round = self._count
        self.parties.append(party)
        return party

    def leave(self, party: Party) -> None:
        """Take *party* out. Harmless when repeated."""
        if party in self.parties:
            self.parties.remove(party)
            self._rounds.clear()
            for one in self.parties:
                one._left = b""

    def _heard_by(self, party: Party, samples: int) -> bytes | None:
        parties = self.parties
        if party not in parties:
            return None
        if len(parties) == 2:
            return (parties[1] if parties[0] is party else parties[0])._take(samples)
        if samples <= 0:
            return b""
        piece = self._fitting(samples)
        if self._count - party._round > len(self._rounds):
            party._round = self._count - 1 if self._rounds else self._count
        heard, size = party._left, 2 * samples
        while len(heard) < size:
            if party._round == self._count:
                self._count += 1
                self._rounds.append(_Round({one: one._take(piece) for one in parties}))
            one = self._rounds[party._round - self._count]
            party._round += 1
            more = party._held(one.without(party, piece))
            heard = heard + more if heard else more
        party._left = heard[size:]
        return heard[:size]

    def _fitting(self, samples: int) -> int:
        piece = self._piece
        if not piece or samples % piece:
            # Frames of another length than before: smaller pieces from now on, down to ten milliseconds.
            fitting = gcd(piece, samples) if piece else samples
            if fitting < piece:
                fitting = max(fitting, min(piece, self.rate // 100))
            if fitting != piece:
                self._piece = fitting
                self._rounds.clear()
        return self._piece
