"""Where sound may come from where ICE has found the way (RFC 8445 section 12.2)."""

import struct

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.description import SessionDescription

ELSEWHERE = ("192.0.2.77", 7000)


def packets(stream, begin, address, component=1):
    for number in range(begin, begin + 5):
        stream.port.received(component, struct.pack("!BBHII", 0x80, 0, number, 160 * number, 9) + bytes(160), address)


@pytest.mark.parametrize("lite", [False, True])
def test_sound_from_any_candidate_of_the_peer_is_taken(pair_of, lite):
    pair = pair_of({"ice": "full"}, {"ice": "lite" if lite else "full"})
    offers = []
    made = pair.a.offer()
    offers.append(made) if isinstance(made, SessionDescription) else made.addCallback(offers.append)
    pair.run(1)
    extra = [
        Attribute("candidate", f"77 {component} UDP 1000 192.0.2.77 {6999 + component} typ host")
        for component in (1, 2)
    ]
    media = offers[0].media[0]
    text = str(offers[0]).rstrip() + "\r\n" + "".join(f"a={one.name}:{one.value}\r\n" for one in extra)
    assert media.has("candidate")
    answers = []
    made = pair.b.answer(SessionDescription.parse(text))
    answers.append(made) if isinstance(made, SessionDescription) else made.addCallback(answers.append)
    pair.run(1)
    pair.a.answered(SessionDescription.parse(answers[0].to_bytes()))
    pair.run(3)
    stream = pair.b.stream
    assert stream.latch.latched[0] == "192.0.2.1"
    stream.receiver.rtp.forget()
    before = stream.receiver.packets, stream.latch.refused
    packets(stream, 100, ELSEWHERE)
    assert stream.receiver.packets - before[0] >= 3 and stream.latch.refused == before[1]
    target = stream.latch.target
    # Of strangers nothing is.
    packets(stream, 200, ("192.0.2.66", 7000))
    assert stream.latch.refused == before[1] + 5 and stream.latch.target == target
    reports = stream._rtcp.reports_received
    report = struct.pack("!BBHI", 0x80, 201, 1, 9)
    component = 1 if stream.port.muxed else 2
    stream.port.received(component, report, (ELSEWHERE[0], 6999 + component))
    stream.port.received(component, report, ("192.0.2.66", 6999 + component))
    assert stream._rtcp.reports_received == reports + 1


def test_a_name_for_the_default_destination_does_no_harm(pair_of):
    """RFC 8839 section 4.2.5, the fourth exception: whatever becomes of the name."""
    pair = pair_of({"ice": "full"}, {"ice": "full"})
    for plane in pair.planes:
        plane.resolve = lambda host: Deferred()
    offers, answers = [], []
    made = pair.a.offer()
    offers.append(made) if isinstance(made, SessionDescription) else made.addCallback(offers.append)
    pair.run(1)
    assert "c=IN IP4 192.0.2.1" in str(offers[0])
    offer = SessionDescription.parse(str(offers[0]).replace("c=IN IP4 192.0.2.1", "c=IN IP4 phone.local"))
    made = pair.b.answer(offer)
    answers.append(made) if isinstance(made, SessionDescription) else made.addCallback(answers.append)
    pair.run(1)
    answer = str(answers[0]).replace("c=IN IP4 192.0.2.2", "c=IN IP4 other.local")
    pair.a.answered(SessionDescription.parse(answer))
    pair.run(8)
    for one in (pair.a, pair.b):
        assert one.statistics().packets_received > 300 and one.stream._rtcp.reports_received
