"""Keys of a session, where another offer comes in the middle of them."""

import pytest

from twisted_sip.sdp.description import SessionDescription


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
