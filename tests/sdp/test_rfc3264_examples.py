"""The examples of RFC 3264 sections 9 and 10."""

from __future__ import annotations

from sdp_texts import described

from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.offer_answer import OfferAnswer

ALICE = "alice 2890844526 {} IN IP4 host.anywhere.com"
BOB = "bob 2890844730 {} IN IP4 host.example.com"
PCMU = "a=rtpmap:0 PCMU/8000"
H261 = "a=rtpmap:31 H261/90000"
MPV = "a=rtpmap:32 MPV/90000"
G723 = "a=rtpmap:4 G723/8000"
EVENTS = "a=rtpmap:110 telephone-events/8000"


def alice(version: int, *lines: str) -> SessionDescription:
    return described(*lines, who=ALICE.format(version), head="c=IN IP4 host.anywhere.com")


def bob(version: int, *lines: str) -> SessionDescription:
    return described(*lines, who=BOB.format(version), head="c=IN IP4 host.example.com")


def test_basic_exchange() -> None:
    first = [
        alice(
            2890844526,
            f"m=audio 49170 RTP/AVP 0|{PCMU}|m=video 51372 RTP/AVP 31|{H261}|m=video 53000 RTP/AVP 32|{MPV}",
        ),
        bob(2890844730, f"m=audio 49920 RTP/AVP 0|{PCMU}|m=video 0 RTP/AVP 31|m=video 53000 RTP/AVP 32|{MPV}"),
    ]
    more = f"m=video 53000 RTP/AVP 32|{MPV}|m=audio"
    second = [
        bob(
            2890844731,
            f"m=audio 65422 RTP/AVP 0|{PCMU}|m=video 0 RTP/AVP 31|{more} 51434 RTP/AVP 110|{EVENTS}|a=recvonly",
        ),
        alice(
            2890844527,
            f"m=audio 49170 RTP/AVP 0|{PCMU}|m=video 0 RTP/AVP 31|{H261}|{more} 53122 RTP/AVP 110|{EVENTS}|a=sendonly",
        ),
    ]
    caller, callee = OfferAnswer(strict=True), OfferAnswer(strict=True)
    caller.offer_sent(first[0])
    callee.offer_received(first[0])
    callee.answer_sent(first[1])
    assert [one.is_active for one in caller.answer_received(first[1])] == [True, False, True]
    callee.offer_sent(second[0])
    caller.offer_received(second[0])
    streams = caller.answer_sent(second[1])
    assert [one.is_active for one in streams] == [True, False, True, True]
    assert streams[0].remote_address == ("host.example.com", 65422)
    assert streams[3].direction is Direction.SENDONLY
    assert callee.answer_received(second[1])[3].direction is Direction.RECVONLY


def test_one_of_n_codecs() -> None:
    caller, callee = OfferAnswer(strict=True), OfferAnswer(strict=True)
    g729 = "a=rtpmap:18 G729/8000"
    offer = alice(2890844526, f"m=audio 62986 RTP/AVP 0 4 18|{PCMU}|{G723}|{g729}|a=inactive")
    answer = bob(2890844731, f"m=audio 54344 RTP/AVP 0 4|{PCMU}|{G723}|a=inactive")
    caller.offer_sent(offer)
    callee.offer_received(offer)
    callee.answer_sent(answer)
    (stream,) = caller.answer_received(answer)
    assert stream.direction is Direction.INACTIVE
    assert [codec.name for codec in stream.send_codecs] == ["PCMU", "G723"]
    offer = alice(2890844527, f"m=audio 62986 RTP/AVP 4|{G723}|a=sendrecv")
    answer = bob(2890844732, f"m=audio 54344 RTP/AVP 4|{G723}|a=sendrecv")
    caller.offer_sent(offer)
    callee.offer_received(offer)
    callee.answer_sent(answer)
    (stream,) = caller.answer_received(answer)
    assert stream.sends and stream.receives
    assert [codec.name for codec in stream.send_codecs] == ["G723"]


def test_capabilities() -> None:
    found = SessionDescription.parse(
        "v=0\no=carol 28908764872 28908764872 IN IP4 100.3.6.6\ns=-\nt=0 0\nc=IN IP4 192.0.2.4\n"
        "m=audio 0 RTP/AVP 0 1 3\na=rtpmap:0 PCMU/8000\na=rtpmap:1 1016/8000\na=rtpmap:3 GSM/8000\n"
        "m=video 0 RTP/AVP 31 34\na=rtpmap:31 H261/90000\na=rtpmap:34 H263/90000\n"
    )
    assert [codec.name for one in found.media for codec in one.codecs] == ["PCMU", "1016", "GSM", "H261", "H263"]
    assert found.media[0].address == "192.0.2.4"
