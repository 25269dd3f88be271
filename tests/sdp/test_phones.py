"""Descriptions such as phones and browsers send them."""

from __future__ import annotations

from sdp_texts import EVENTS, OPUS, OURS, PCMA, PCMU, audio

from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.fingerprint import Fingerprint, Setup
from twisted_sip.sdp.local_stream import DTLS_SAVPF, PLAIN, SAVP, ICEDescription
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.sdp.negotiation import Choice, build_answer
from twisted_sip.sdp.offer_answer import OfferAnswer


def offer_of(text: str) -> SessionDescription:
    data = text.strip().replace("\n", "\r\n") + "\r\n"
    found = SessionDescription.parse(data)
    assert str(found) == data
    return found


BARESIP = """
v=0
o=- 3892117261 2102301411 IN IP4 192.0.2.20
s=-
c=IN IP4 192.0.2.20
t=0 0
a=tool:baresip 1.0.0
m=audio 20346 RTP/AVP 96 0 8 101
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:20347
a=sendrecv
a=label:1
a=rtcp-rsize
a=ssrc:3517206541 cname:sip:bob@example.com
a=ptime:20
m=video 17330 RTP/AVP 99
b=AS:512
a=rtpmap:99 H264/90000
a=fmtp:99 packetization-mode=0;profile-level-id=42001f
a=framerate:30.00
a=rtcp:17331
a=sendrecv
a=label:2
a=rtcp-fb:* nack pli
"""


def test_baresip() -> None:
    machine = OfferAnswer()
    machine.offer_received(offer_of(BARESIP))
    answer = build_answer(offer_of(BARESIP), OURS, "192.0.2.1", [audio(PCMA, PCMU, EVENTS, ptime=20)])
    assert [str(one) for one in answer.media[0].attributes] == [
        "rtpmap:0 PCMU/8000",
        "rtpmap:8 PCMA/8000",
        "rtpmap:101 telephone-event/8000",
        "fmtp:101 0-16",
        "ptime:20",
        "sendrecv",
    ]
    speech, video = machine.answer_sent(answer)
    assert speech.codec is not None and speech.codec.name == "PCMU"
    assert speech.telephone_event is not None and speech.telephone_event.events == frozenset(range(16))
    assert speech.remote_rtcp_address == ("192.0.2.20", 20347)
    assert not video.is_active


LINPHONE = """
v=0
o=bob 1204 3187 IN IP4 192.0.2.30
s=Talk
c=IN IP4 192.0.2.30
t=0 0
a=ice-pwd:9dbb1abc2a6b8a4a7ab3b2a9
a=ice-ufrag:1a2b3c4d
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
a=record:off
m=audio 7078 RTP/SAVP 96 97 0 8 101 98
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:97 speex/16000
a=fmtp:97 vbr=on
a=rtpmap:101 telephone-event/48000
a=rtpmap:98 telephone-event/16000
a=rtcp:50134
a=crypto:1 AEAD_AES_128_GCM inline:bQvnDTX6gqvRNDpGdCqbvxqDhcyyXGfPxdZdPg==
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=candidate:1 1 UDP 2130706303 192.0.2.30 7078 typ host
a=candidate:1 2 UDP 2130706302 192.0.2.30 50134 typ host
a=rtcp-fb:* trr-int 5000
a=rtcp-fb:* ccm tmmbr
"""


def test_linphone() -> None:
    machine = OfferAnswer()
    machine.offer_received(offer_of(LINPHONE))
    key = Crypto(1, "AES_CM_128_HMAC_SHA1_80", ("inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",))
    ours = audio(OPUS, PCMU, PCMA, EVENTS, protocols=(SAVP,), crypto=(key,))
    answer = build_answer(offer_of(LINPHONE), OURS, "192.0.2.1", [ours])
    (stream,) = machine.answer_sent(answer)
    assert answer.media[0].formats == ("96", "0", "8", "101")
    assert answer.media[0].crypto[0].tag == 2
    assert stream.crypto is not None and stream.crypto[1].suite == "AES_CM_128_HMAC_SHA1_80"
    assert stream.telephone_event is not None and stream.telephone_event.clock_rate == 48000
    assert not stream.is_ice and stream.remote.ice_ufrag == "1a2b3c4d"
    assert stream.remote.rtcp_feedback[0].feedback == "trr-int 5000"


CHROME = """
v=0
o=- 5231184113412421233 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS 0f5c
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1467250027 1 udp 2122260223 192.0.2.40 46243 typ host generation 0 network-id 1
a=candidate:435653019 1 tcp 1518280447 8f2d4c6e.local 9 typ host tcptype active generation 0
a=ice-ufrag:x4Cb
a=ice-pwd:u5JYyR7M8bEL0NdeCbzHk2qR
a=ice-options:trickle
a=fingerprint:sha-256 5A:16:2F:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:0f5c 1a2b
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:2231627014 cname:Zg8q
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=ice-ufrag:x4Cb
a=ice-pwd:u5JYyR7M8bEL0NdeCbzHk2qR
a=fingerprint:sha-256 5A:16
a=setup:actpass
a=mid:1
a=rtcp-mux
a=rtpmap:96 VP8/90000
"""


def test_browser() -> None:
    offer = offer_of(CHROME)
    assert not offer.is_held

    def choose(place: int, offered: MediaDescription) -> Choice:
        if offered.kind != "audio":
            return None
        return audio(
            OPUS,
            PCMU,
            EVENTS,
            protocols=(*PLAIN, DTLS_SAVPF),
            address="192.0.2.1",
            fingerprints=(Fingerprint.of("sha-256", b"\x01\x02"),),
            ice=ICEDescription(ufrag="ours", password="p" * 22, end_of_candidates=True),
            rtcp_mux=True,
        )

    machine = OfferAnswer(strict=True)
    machine.offer_received(offer)
    answer = build_answer(offer, OURS, "192.0.2.1", choose)
    assert [str(group) for group in answer.groups] == ["BUNDLE 0"]
    first, second = machine.answer_sent(answer)
    assert first.direction is Direction.SENDRECV
    assert answer.media[0].formats == ("111", "0", "110", "126")
    assert (answer.media[0].setup, first.is_dtls, first.dtls_client) == (Setup.ACTIVE, True, True)
    assert first.is_ice and first.rtcp_mux and not first.is_held_by_peer
    assert [one.has_address for one in first.remote.candidates] == [True, False]
    assert (second.is_active, answer.media[1].mid) == (False, "1")


OLD_PHONE = (
    "v=0\no=400 8000 8000 IN IP4 192.0.2.50\nc=IN IP4 192.0.2.50\nm=audio 5004 RTP/AVP 18 0 8 101\n"
    "a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-11\na=ptime:20\na=sendrecv \n"
)


def test_old_phone_on_hold() -> None:
    machine = OfferAnswer()
    machine.offer_received(SessionDescription.parse(OLD_PHONE))
    machine.answer_sent(build_answer(SessionDescription.parse(OLD_PHONE), OURS, "192.0.2.1", [audio(PCMU, EVENTS)]))
    # The version stays what it was.
    held = SessionDescription.parse(OLD_PHONE.replace("c=IN IP4 192.0.2.50", "c=IN IP4 0.0.0.0"))
    machine.offer_received(held)
    answer = build_answer(held, OURS, "192.0.2.1", [audio(PCMU, EVENTS)])
    (stream,) = machine.answer_sent(machine.numbered(answer))
    assert stream.direction is Direction.RECVONLY and stream.is_held_by_peer
    assert machine.local is not None and machine.local.origin.version == 1
