"""Offers of ours beside those of the peer: one that takes long, and streams that have gone (RFC 3264 section 8)."""

import attrs
import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import MediaRefused
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction

AUDIO = "m=audio {} RTP/AVP 0\r\n"
VIDEO = "m=video 5000 RTP/AVP 31\r\n"


def sdp(*media, connection="192.0.2.9"):
    head = f"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\n"
    return SessionDescription.parse(head + "".join(media))


class Gathering:
    """Takes long for offers of ours."""

    protocols = ()
    session_attributes = ()

    def __init__(self):
        self.ready = Deferred()

    def prepare(self, stream, offered):
        return stream if offered is not None else self.ready.addCallback(lambda _: stream)

    def agreed(self, local, remote, *, offered):
        pass

    def close(self):
        pass


def test_an_offer_that_takes_long_does_not_undo_what_was_agreed_meanwhile(pair):
    pair.agree()
    slow = Gathering()
    pair.a._extensions.append(slow)
    offers = []
    pair.a.offer().addCallback(offers.append)
    pair.a.answer(sdp(AUDIO.format(6000)))
    slow.ready.callback(None)
    assert offers
    # It is refused, or is not even sent.
    pair.a.rolled_back()
    assert pair.a.stream.terms.target == ("192.0.2.9", 6000)


def test_an_offer_that_takes_long_is_the_one_that_is_answered(pair):
    pair.agree()
    slow = Gathering()
    pair.a._extensions.append(slow)
    offers = []
    pair.a.offer().addCallback(offers.append)
    pair.a.answer(sdp(AUDIO.format(6000)))
    slow.ready.callback(None)
    pair.a.answered(sdp(AUDIO.format(7000)))
    assert pair.a.stream.terms.target == ("192.0.2.9", 7000)
    pair.a.rolled_back()
    assert pair.a.stream.terms.target == ("192.0.2.9", 6000)


def picture(place, media):
    """Take video, where it is wanted."""
    return attrs.evolve(media, port=6000) if media.kind == "video" else None


@pytest.mark.parametrize("removed", [AUDIO.format(0), None])
def test_audio_that_comes_back_leaves_the_other_streams_alone(pair, removed):
    pair.a.other_streams = picture
    pair.a.answer(sdp(VIDEO, *([AUDIO.format(4000)] if removed else [])))
    if removed:
        pair.a.answer(sdp(VIDEO, removed))
    offer = pair.a.offer()
    assert [(one.kind, one.port > 0) for one in offer.media] == [("video", True), ("audio", True)]
    pair.a.answered(sdp(VIDEO, AUDIO.format(4002)))
    assert pair.a.stream.terms.target == ("192.0.2.9", 4002)
    pair.a.hold(True)
    held = pair.a.offer()
    assert [one.kind for one in held.media] == ["video", "audio"] and held.media[1].direction is Direction.SENDONLY


def test_an_answer_that_does_not_go_out_takes_no_version(pair):
    first = pair.a.answer(sdp(AUDIO.format(4000)))
    with pytest.raises(MediaRefused):
        pair.a.answer(sdp("m=audio 4000 RTP/AVP 8\r\n", connection="255.255.255.255"))
    assert pair.a.stream.terms.target == ("192.0.2.9", 4000)
    pair.a.hold(True)
    assert pair.a.offer().origin.version == first.origin.version + 1
