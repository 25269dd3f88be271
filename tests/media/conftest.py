"""Two planes on a simulated network."""

import pytest
from twisted.internet.task import Clock

from twisted_sip.testing.media_network import MediaNetwork


class Pair:
    """Two sessions that talk over a simulated network."""

    def __init__(self, left=None, right=None):
        self.clock = Clock()
        self.clock.advance(1_700_000_000.0)
        self.network = MediaNetwork(self.clock)
        self.planes = (
            self.network.plane("192.0.2.1", **(left or {})),
            self.network.plane("192.0.2.2", **({} if right is None else right)),
        )
        self.a = self.planes[0]()
        self.b = self.planes[1]()

    def agree(self):
        """Offer and answer, over the wire form."""
        from twisted_sip.sdp.description import SessionDescription

        offer = SessionDescription.parse(self.a.offer().to_bytes())
        answer = SessionDescription.parse(self.b.answer(offer).to_bytes())
        self.a.answered(answer)
        return offer, answer

    def run(self, seconds, step=0.005):
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def close(self):
        for plane in self.planes:
            plane.close()

    def check_empty(self):
        """Nothing is left."""
        self.run(0.2)
        assert not self.network.sockets
        assert not self.clock.getDelayedCalls()
        for plane in self.planes:
            assert not plane.sessions and not plane.relays and not plane.ports.pairs
            assert not any(len(ticker) for ticker in plane.tickers)


@pytest.fixture
def pair():
    made = Pair()
    yield made
    made.close()
    made.check_empty()


@pytest.fixture
def pair_of():
    made = []

    def make(left=None, right=None):
        made.append(Pair(left, right))
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.check_empty()


class Ear:
    """A sink that keeps what it hears."""

    def __init__(self, rate=8000):
        self.rate = rate
        self.heard = b""
        self.closed = 0

    def write(self, pcm):
        self.heard += pcm

    def close(self):
        self.closed += 1


class Voice:
    """A source of one sound."""

    def __init__(self, sound, rate=8000):
        self.rate = rate
        self.sound = sound

    def read(self, samples):
        piece, self.sound = self.sound[: 2 * samples], self.sound[2 * samples :]
        return piece or None


@pytest.fixture
def ear():
    return Ear


@pytest.fixture
def voice():
    return Voice
