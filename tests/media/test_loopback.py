"""Real sockets on loopback, driven by hand, and the fake for calls without sound."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.interfaces.media import IMediaSession
from twisted_sip.media.plane import MediaPlane
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.tones import tone
from twisted_sip.testing.media_network import FakeMediaSession


class HandReactor(Clock):
    """A Clock that knows readers."""

    def __init__(self):
        super().__init__()
        self.readers = set()
        self.advance(1_700_000_000.0)

    def addReader(self, reader):
        self.readers.add(reader)

    def removeReader(self, reader):
        self.readers.discard(reader)

    def resolve(self, host):
        return Deferred()

    def turn(self):
        self.advance(0.02)
        for reader in list(self.readers):
            reader.doRead()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_call_over_loopback(host):
    reactor = HandReactor()
    plane = MediaPlane(reactor, MediaSettings(host=host, ports=(0, 0)))
    a, b = plane(), plane("a call")
    a.answered(b.answer(a.offer()))
    a.play(tone("dial"))
    b.echo()
    for _ in range(100):
        reactor.turn()
    assert a.statistics().packets_received >= 95 and b.statistics().packets_lost == 0
    assert isinstance(plane.resolve("phone.example.com"), Deferred)
    plane.relay()
    plane.close()
    assert not reactor.readers and not reactor.getDelayedCalls() and not plane.ports.pairs


def test_the_fake_answers_as_a_session_does():
    a, b = FakeMediaSession(), FakeMediaSession(port=40002)
    assert verifyObject(IMediaSession, a)
    offer = a.offer()
    with pytest.raises(LocalProtocolError):
        a.offer()
    answer = b.answer(offer)
    a.answered(answer)
    a.hold(True)
    assert str(a.offer().media[0].direction) == "sendonly"
    a.rolled_back()
    b.refuse = MediaRefused("not today")
    with pytest.raises(MediaRefused):
        b.answer(offer)
    b.answer(offer)
    assert a.statistics().codec == ""
    a.close()
    a.close()
    assert a.log == ["offer", "offer", "answered", "hold True", "offer", "rolled_back", "close"]
