"""Offers and answers of a media session (RFC 3264, RFC 6337)."""

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface.verify import verifyObject

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.interfaces.media import IAudioSession
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.offer import disabled


def sdp(media, connection="c=IN IP4 192.0.2.9", session=""):
    return SessionDescription.parse(
        f"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\n{connection}\r\nt=0 0\r\n{session}{media}"
    )


AUDIO = "m=audio 4000 RTP/AVP 0\r\n"


def test_it_is_what_the_seam_says(pair):
    assert verifyObject(IAudioSession, pair.a)


def test_first_offer_and_answer(pair):
    offer, answer = pair.agree()
    assert offer.media[0].port in range(40000, 50000) and not offer.media[0].port % 2
    assert [codec.name for codec in offer.media[0].codecs] == ["PCMU", "PCMA", "telephone-event"]
    assert offer.media[0].ptime == 20 and answer.media[0].direction is Direction.SENDRECV
    assert pair.a.stream.terms.target == ("192.0.2.2", answer.media[0].port)
    assert pair.a.remote == answer and pair.b.local.media == answer.media


def test_the_same_offer_again_has_the_same_version_and_a_change_the_next(pair):
    first, answer = pair.agree()
    again = pair.a.offer()
    assert again.origin == first.origin
    pair.a.answered(answer)
    pair.a.hold(True)
    held = pair.a.offer()
    assert held.media[0].direction is Direction.SENDONLY
    assert held.origin.version == first.origin.version + 1 and held.origin.session_id == first.origin.session_id


def test_one_offer_at_a_time(pair):
    pair.a.offer()
    with pytest.raises(LocalProtocolError):
        pair.a.offer()


def test_an_answer_needs_an_offer_that_it_fits(pair):
    with pytest.raises(LocalProtocolError):
        pair.a.answered(sdp(AUDIO))
    pair.a.offer()
    for wrong in (sdp(AUDIO + AUDIO), sdp("m=video 4000 RTP/AVP 31\r\n"), sdp("m=audio 4000 RTP/AVP 18\r\n")):
        with pytest.raises(MediaRefused):
            pair.a.answered(wrong)
    pair.a.answered(sdp(AUDIO))
    assert pair.a.stream.terms.target == ("192.0.2.9", 4000)


def test_another_fork_may_answer_the_same_offer(pair):
    pair.a.offer()
    pair.a.answered(sdp(AUDIO))
    pair.a.answered(sdp("m=audio 5000 RTP/AVP 8\r\n"))
    assert pair.a.stream.terms.target == ("192.0.2.9", 5000) and pair.a.stream.sender.codec.name == "PCMA"
    pair.a.rolled_back()
    assert pair.a.stream.terms.kind is None


def test_an_offer_that_came_to_nothing_is_forgotten(pair):
    pair.agree()
    before = pair.a.stream.terms
    pair.a.hold(True)
    pair.a.offer()
    pair.a.rolled_back()
    assert pair.a.stream.terms == before
    pair.a.offer()


def test_an_answer_that_came_to_nothing_is_taken_back(pair):
    pair.agree()
    before = pair.a.stream.terms
    pair.a.answer(sdp("m=audio 7000 RTP/AVP 8\r\n"))
    assert pair.a.stream.terms.target == ("192.0.2.9", 7000)
    pair.a.rolled_back()
    assert pair.a.stream.terms == before


def test_the_first_one_taken_back_leaves_nothing_agreed(pair):
    pair.a.answer(sdp(AUDIO))
    pair.a.rolled_back()
    assert pair.a.local is None and pair.a.stream.terms.target is None
    pair.b.rolled_back()


def test_an_offer_of_the_peer_takes_the_place_of_ours(pair):
    pair.a.offer()
    pair.a.answer(sdp(AUDIO))
    assert pair.a.stream.terms.target == ("192.0.2.9", 4000)


@pytest.mark.parametrize(
    ("media", "connection", "code"),
    [
        ("m=audio 4000 RTP/AVP 18\r\n", None, 305),
        ("m=audio 4000 RTP/SAVP 0\r\n", None, 302),
        ("m=video 4000 RTP/AVP 31\r\n", None, 304),
        (AUDIO, "c=IN IP6 2001:db8::1", 301),
        (AUDIO, "c=IN IP4 233.252.0.1/127", 330),
        (AUDIO, "c=IN IP4 255.255.255.255", 330),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_reason(pair, media, connection, code):
    with pytest.raises(MediaRefused) as caught:
        pair.a.answer(sdp(media, *([connection] if connection else [])))
    assert caught.value.status == 488 and caught.value.warning_code == code
    assert pair.a.local is None


def test_a_refused_re_offer_leaves_what_was_agreed(pair):
    pair.agree()
    before = pair.b.stream.terms
    with pytest.raises(MediaRefused):
        pair.b.answer(sdp("m=audio 4000 RTP/AVP 18\r\n"))
    assert pair.b.stream.terms == before


def test_an_offer_without_streams_is_answered_without_any(pair):
    answer = pair.a.answer(sdp(""))
    assert answer.media == () and pair.a.statistics().codec == ""
    assert pair.a.offer().media[0].kind == "audio"


def test_streams_that_are_not_wanted_stay_rejected(pair):
    pair.agree()
    answer = pair.b.answer(sdp("m=audio 0 RTP/AVP 0\r\n"))
    assert answer.media[0].port == 0 and pair.b.stream.terms.kind is None


def test_video_is_rejected_unless_told_otherwise(pair):
    offer = sdp("m=video 5000 RTP/AVP 31\r\n" + AUDIO + AUDIO)
    answer = pair.a.answer(offer)
    assert [one.port > 0 for one in answer.media] == [False, True, False]
    places = []

    def also(place, media):
        places.append(place)
        return attrs.evolve(media, port=6000) if media.kind == "video" else None

    pair.b.other_streams = also
    answer = pair.b.answer(offer)
    assert [one.port for one in answer.media][::2] == [6000, 0] and places == [0, 2]
    again = pair.b.offer()
    assert [one.port for one in again.media][::2] == [6000, 0] and again.media[1].port == answer.media[1].port


def test_further_streams_may_be_offered(pair):
    video = disabled(sdp("m=video 5000 RTP/AVP 31\r\n").media[0])
    pair.a.further_offers = (attrs.evolve(video, port=5000),)
    assert [one.kind for one in pair.a.offer().media] == ["audio", "video"]


def test_the_stream_that_was_used_is_used_again(pair):
    both = "m=audio 4000 RTP/AVP 8\r\nm=audio 4002 RTP/AVP 0\r\n"
    pair.a.answer(sdp("m=audio 0 RTP/AVP 8\r\nm=audio 4002 RTP/AVP 0\r\n"))
    answer = pair.a.answer(sdp(both))
    assert [one.port > 0 for one in answer.media] == [False, True]


def test_hold_both_ways(pair):
    pair.agree()
    pair.a.hold(True)
    assert pair.a.held
    offer = pair.a.offer()
    answer = pair.b.answer(offer)
    pair.a.answered(answer)
    assert answer.media[0].direction is Direction.RECVONLY
    assert not pair.b.stream.terms.sends and pair.b.stream.terms.receives
    pair.b.hold(True)
    answer = pair.b.answer(offer)
    assert answer.media[0].direction is Direction.INACTIVE
    assert not pair.b.stream.terms.receives


def test_hold_by_an_address_of_zeros(pair):
    pair.a.answer(sdp(AUDIO, "c=IN IP4 0.0.0.0"))
    terms = pair.a.stream.terms
    assert terms.target is None and terms.rtcp_target is None and not terms.sends


def test_other_rtcp_addresses(pair):
    pair.a.answer(sdp(AUDIO + "a=rtcp:9000 IN IP4 192.0.2.77\r\n"))
    assert pair.a.stream.terms.rtcp_target == ("192.0.2.77", 9000)
    pair.b.answer(sdp("m=audio 65535 RTP/AVP 0\r\n"))
    assert pair.b.stream.terms.rtcp_target is None


def test_one_port_for_both_if_both_say_so(pair_of):
    muxed = pair_of({"rtcp_mux": True})
    muxed.agree()
    assert muxed.a.port.muxed and muxed.b.port.muxed and len(muxed.network.sockets) == 2
    assert muxed.a.offer().media[0].rtcp_mux
    plain = pair_of({"rtcp_mux": True})
    plain.a.offer()
    plain.a.answered(sdp(AUDIO))
    assert not plain.a.port.muxed


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("a=ptime:40\r\n", 40),
        ("a=ptime:50\r\n", 40),
        ("a=ptime:5\r\n", 10),
        ("a=ptime:60\r\na=maxptime:30\r\n", 30),
        ("", 20),
    ],
)
def test_the_peer_gets_packets_as_it_wishes(pair, lines, expected):
    pair.a.answer(sdp(AUDIO + lines))
    assert pair.a.stream.terms.ptime == expected


def test_events_that_the_peer_does_not_understand_are_not_sent(pair):
    pair.a.answer(sdp("m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 32-36\r\n"))
    assert pair.a.stream.terms.events is None


def test_payload_types_of_the_answer_are_sent_and_ours_are_taken(pair):
    offer = pair.a.offer()
    mine = next(codec.payload_type for codec in offer.media[0].codecs if codec.is_telephone_event)
    pair.a.answered(sdp("m=audio 4000 RTP/AVP 8 110\r\na=rtpmap:110 telephone-event/8000\r\n"))
    terms = pair.a.stream.terms
    assert terms.events == 110 and {mine, 110, 8, 0} <= set(terms.formats)


def test_names_are_resolved_before_anything_is_sent(pair):
    waiting = []
    for plane in pair.planes:
        plane.resolve = lambda host: waiting.append(Deferred()) or waiting[-1]
    pair.a.answer(sdp(AUDIO, "c=IN IP4 phone.example.com"))
    assert pair.a.stream.terms.target is None
    waiting[0].callback("192.0.2.44")
    assert pair.a.stream.terms.target == ("192.0.2.44", 4000)
    assert pair.a.stream.terms.rtcp_target == ("192.0.2.44", 4001)
    pair.b.answer(sdp(AUDIO, "c=IN IP4 phone.example.com"))
    pair.b.answer(sdp(AUDIO))
    waiting[1].callback("192.0.2.44")
    assert pair.b.stream.terms.target == ("192.0.2.9", 4000)
    pair.b.answer(sdp(AUDIO + "a=rtcp:9 IN IP4 other.example.com\r\n"))
    assert pair.b.stream.terms.rtcp_target is None
    pair.b.answer(sdp(AUDIO + "a=rtcp:9 IN IP4 192.0.2.3\r\n", "c=IN IP4 none.example.com"))
    waiting[2].errback(OSError("no such name"))
    assert pair.b.stream.terms.target is None


def test_a_clock_cannot_resolve(pair):
    pair.a.answer(sdp(AUDIO, "c=IN IP4 phone.example.com"))
    assert pair.a.stream.terms.target is None


def test_closed_it_does_nothing_any_more(pair):
    pair.agree()
    pair.a.close()
    pair.a.close()
    pair.a.rolled_back()
    for refused in (
        pair.a.offer,
        lambda: pair.a.answer(sdp(AUDIO)),
        lambda: pair.a.answered(sdp(AUDIO)),
        lambda: pair.a.port,
    ):
        with pytest.raises(LocalProtocolError):
            refused()
    assert pair.a.statistics().codec == "PCMU/8000"


def test_there_are_as_many_as_there_may_be(pair_of):
    small = pair_of({"most_sessions": 1})
    for make in (small.planes[0], small.planes[0].relay):
        with pytest.raises(MediaRefused) as caught:
            make()
        assert caught.value.status == 503
    small.a.close()
    small.planes[0]()


def test_no_port_is_a_refusal_and_leaves_nothing(pair_of):
    full = pair_of({"ports": (20000, 20001)})
    full.network.bind("192.0.2.1", 20000, print)
    with pytest.raises(MediaRefused) as caught:
        full.a.answer(sdp(AUDIO))
    assert caught.value.status == 503
    with pytest.raises(MediaRefused):
        full.a.offer()
    full.network.sockets.clear()
    assert full.a.offer().media[0].port == 20000


class Extension:
    protocols = ("RTP/SAVP",)
    session_attributes = ()

    def __init__(self, prepared=None):
        self.prepared = prepared
        self.log = []

    def prepare(self, stream, offered):
        self.log.append(("prepare", offered is not None))
        return self.prepared(stream) if self.prepared else attrs.evolve(stream, bandwidths=())

    def agreed(self, local, remote, *, offered):
        self.log.append(("agreed", offered))

    def close(self):
        self.log.append(("close",))


def test_extensions_take_part_at_once_or_later(pair):
    now, later = Extension(), Extension(succeed)
    waiting = Deferred()
    slow = Extension(lambda stream: waiting.addCallback(lambda _: stream))
    pair.a._extensions = [now, slow, later]
    offers = []
    made = pair.a.offer()
    made.addCallback(offers.append)
    assert not offers
    with pytest.raises(LocalProtocolError):
        pair.a.offer()
    waiting.callback(None)
    pair.a.answered(pair.b.answer(offers[0]))
    pair.a.close()
    assert now.log == later.log == [("prepare", False), ("agreed", True), ("close",)]


def test_an_extension_that_fails_ends_the_offer(pair):
    pair.a._extensions = [Extension(lambda stream: fail(MediaRefused("no keys")))]
    failures = []
    pair.a.offer().addErrback(failures.append)
    assert failures[0].check(MediaRefused)
    pair.a._extensions = [Extension(lambda stream: (_ for _ in ()).throw(MediaRefused("no keys")))]
    with pytest.raises(MediaRefused):
        pair.a.offer()
    failures.clear()
    pair.a._extensions = [Extension(lambda stream: fail(MediaRefused("no keys")))]
    pair.a.answer(sdp(AUDIO)).addErrback(failures.append)
    assert failures[0].check(MediaRefused)
    pair.a._extensions = []
    pair.a.offer()


def test_a_session_that_is_closed_meanwhile_makes_no_offer(pair):
    waiting = Deferred()
    pair.a._extensions = [Extension(lambda stream: waiting.addCallback(lambda _: stream))]
    failures = []
    pair.a.offer().addErrback(failures.append)
    pair.a.close()
    waiting.callback(None)
    assert failures[0].check(LocalProtocolError)


def test_payload_types_keep_their_meaning_over_every_exchange(pair_of):
    pair = pair_of({"codecs": ("L16/16000", "PCMU")}, {"codecs": ("PCMU",)})
    head = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
    keys = "m=audio 9000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000\r\n"
    pair.a.answer(SessionDescription.parse(head + keys))
    pair.a.answer(SessionDescription.parse(head + "m=audio 9000 RTP/AVP 0\r\n"))
    named = {codec.payload_type: codec.name for codec in pair.a.offer().media[0].codecs}
    assert named[96] == "telephone-event" and "L16" in named.values()


@pytest.mark.parametrize("line", ["RTP/SAVP 0", "udptl 0", "RTP/AVP 18"])
def test_an_answer_of_another_kind_than_the_offer(pair, line):
    pair.a.offer()
    with pytest.raises(MediaRefused):
        pair.a.answered(
            SessionDescription.parse(f"v=0\no=- 1 1 IN IP4 192.0.2.2\nc=IN IP4 192.0.2.2\nm=audio 9 {line}\n")
        )
