"""Keys of a session: what the peer takes, and where another offer comes in the middle of them."""

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.sdp.description import SessionDescription

from .test_session_offers import sdp


def exchange(offering, answering):
    """Another offer and answer between the two."""
    answer = answering.answer(SessionDescription.parse(offering.offer().to_bytes()))
    offering.answered(SessionDescription.parse(answer.to_bytes()))


@pytest.mark.parametrize("at", [0.05, 0.16])
def test_another_offer_in_the_middle_of_a_key_makes_no_two_of_it(pair, at):
    """At its end as well, between the copies of its last packet (RFC 4733 section 2.5.1.4)."""
    pair.agree()
    heard = []
    pair.b.on_dtmf = lambda key, held, how: heard.append((key, round(held, 2)))
    pair.run(0.2)
    pair.a.send_dtmf("5", duration=0.15)
    pair.run(at)
    exchange(pair.a, pair.b)
    pair.run(1)
    assert heard == [("5", 0.15)]


def test_keys_that_wait_go_on_with_packets_of_another_length(pair):
    pair.agree()
    heard, done = [], []
    pair.b.on_dtmf = lambda key, held, how: heard.append((key, round(held, 2)))
    pair.a.send_dtmf("1234", duration=0.12).addCallback(done.append)
    pair.run(0.3)
    offer = pair.b.offer()
    assert "a=ptime:20" in str(offer)
    offer = SessionDescription.parse(str(offer).replace("a=ptime:20", "a=ptime:40"))
    pair.b.answered(SessionDescription.parse(pair.a.answer(offer).to_bytes()))
    assert pair.a.stream.terms.ptime == 40 and not done
    pair.run(1.5)
    assert heard == [("1", 0.12), ("2", 0.12), ("3", 0.12), ("4", 0.12)] and done == [True]


@pytest.mark.parametrize(
    ("told", "good", "bad"),
    [("", "0*D", "!"), ("a=fmtp:101 0-11\r\n", "09#", "A"), ("a=fmtp:101 0-11,16\r\n", "1,!", "D")],
)
def test_events_that_the_peer_has_not_told_are_not_sent(pair, told, good, bad):
    """RFC 4733 section 2.5.1.1; 0 to 15 without a word of his."""
    for offers in (False, True):
        if offers:
            offer = pair.a.offer()
            number = next(one.payload_type for one in offer.media[0].codecs if one.is_telephone_event)
            pair.a.answered(
                sdp(
                    f"m=audio 4000 RTP/AVP 0 {number}\r\na=rtpmap:{number} telephone-event/8000\r\n"
                    + told.replace("101", str(number))
                )
            )
        else:
            pair.a.answer(sdp("m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n" + told))
        pair.a.send_dtmf(good)
        with pytest.raises(LocalProtocolError, match=bad):
            pair.a.send_dtmf(good + bad)
        pair.a.send_dtmf(good + bad, inband=True)
