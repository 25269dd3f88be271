"""Making offers."""

from __future__ import annotations

import attrs
import pytest
from sdp_texts import EVENTS, G722, NOISE, OPUS, OURS, PCMA, PCMU, audio

from twisted_sip.errors import LocalProtocolError
from twisted_sip.sdp.attributes import Attribute, Bandwidth
from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.fingerprint import Fingerprint, Setup
from twisted_sip.sdp.groups import Group
from twisted_sip.sdp.ice import Candidate, RemoteCandidate
from twisted_sip.sdp.local_stream import (
    DTLS_SAVPF,
    ICEDescription,
    LocalStream,
    assign_payload_types,
    with_telephone_events,
)
from twisted_sip.sdp.offer import build_offer, offer_media, with_direction

ICE = ICEDescription(
    ufrag="abcd",
    password="p" * 22,
    candidates=(Candidate("1", 1, "UDP", 2130706431, "192.0.2.1", 4000),),
    options=("ice2",),
    remote_candidates=(RemoteCandidate(1, "192.0.2.9", 5),),
    end_of_candidates=True,
)


def test_offer_of_everything() -> None:
    stream = audio(
        OPUS,
        PCMU,
        protocols=(DTLS_SAVPF,),
        address="2001:db8::1",
        rtcp_port=4010,
        rtcp_mux=True,
        direction=Direction.SENDONLY,
        ptime=20,
        maxptime=60,
        crypto=(Crypto(1, "AES_CM_128_HMAC_SHA1_80", ("inline:abc",)),),
        fingerprints=(Fingerprint("sha-256", "AB"),),
        ice=ICE,
        bandwidths=(Bandwidth("AS", 64),),
        mid="0",
        attributes=(Attribute("rtcp-fb", "* nack"),),
    )
    offer = build_offer(
        OURS, "192.0.2.1", [stream], groups=[Group("BUNDLE", ("0",))], attributes=[Attribute("ice-lite")]
    )
    assert offer.to_bytes().decode().split("\r\n") == [
        "v=0",
        "o=us 4711 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=audio 4000 UDP/TLS/RTP/SAVPF 96 0",
        "c=IN IP6 2001:db8::1",
        "b=AS:64",
        "a=mid:0",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:0 PCMU/8000",
        "a=ptime:20",
        "a=maxptime:60",
        "a=rtcp:4010",
        "a=rtcp-mux",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:pppppppppppppppppppppp",
        "a=ice-options:ice2",
        "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host",
        "a=remote-candidates:1 192.0.2.9 5",
        "a=end-of-candidates",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc",
        "a=fingerprint:sha-256 AB",
        "a=setup:actpass",
        "a=rtcp-fb:* nack",
        "a=sendonly",
        "",
    ]


def test_small_offers() -> None:
    plain = offer_media(audio(PCMU, rtcp_port=4001))
    assert [str(one) for one in plain.attributes] == ["rtpmap:0 PCMU/8000", "sendrecv"]
    ice = ICEDescription(ufrag="abcd", password="p" * 22)
    assert [one.name for one in ice.attributes()] == ["ice-ufrag", "ice-pwd"]
    passive = audio(PCMU, fingerprints=(Fingerprint("sha-1", "AB"),), setup=Setup.PASSIVE)
    assert offer_media(passive).setup is Setup.PASSIVE
    fax = LocalStream(kind="image", formats=("t38",), protocols=("udptl",), port=4000)
    assert next(iter(offer_media(fax).lines())) == ("m", "image 4000 udptl t38")
    assert build_offer(OURS, "192.0.2.1", []).media == ()
    for bad in ({"port": 0}, {"port": 1, "formats": ()}, {"port": 1, "formats": ("x",), "protocols": ()}):
        with pytest.raises((LocalProtocolError, ValueError)):
            LocalStream(**bad)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        ICEDescription(ufrag="abcd", password="short")


def test_payload_types() -> None:
    pcma, opus, ilbc, speex = Codec("PCMA", 8000), Codec("opus", 48000, 2), Codec("iLBC", 8000), Codec("speex", 8000)
    made = assign_payload_types([opus, pcma, PCMU, ilbc, EVENTS])
    assert [one.payload_type for one in made] == [96, 8, 0, 97, 101]
    # What a number has meant it goes on to mean (RFC 3264 section 8.3.2).
    made = assign_payload_types([speex, ilbc, attrs.evolve(OPUS, payload_type=97), PCMU], {97: ilbc, 99: speex})
    assert [one.payload_type for one in made] == [99, 97, 96, 0]
    # The same number twice.
    made = assign_payload_types([ilbc.with_payload_type(96), speex.with_payload_type(96), PCMU, PCMU])
    assert [one.payload_type for one in made] == [96, 97, 0, 98]
    assert assign_payload_types([ilbc.with_payload_type(40)])[0].payload_type == 96
    many = [Codec(f"c{number}", 8000) for number in range(61)]
    assert {one.payload_type for one in assign_payload_types(many)} == {*range(96, 128), *range(35, 64)}
    with pytest.raises(LocalProtocolError):
        assign_payload_types([*many, Codec("c", 8000)])


def test_telephone_events_for_each_clock_rate() -> None:
    made = with_telephone_events([OPUS, PCMU, G722, NOISE])
    assert [(one.name, one.clock_rate) for one in made[4:]] == [("telephone-event", 48000), ("telephone-event", 8000)]
    assert with_telephone_events([PCMU, EVENTS]) == (PCMU, EVENTS)


def test_slots_stay() -> None:
    first = build_offer(OURS, "192.0.2.1", [audio(OPUS), audio(PCMU, port=4002, mid="b")])
    kept = audio(Codec("iLBC", 8000), OPUS)
    second = build_offer(OURS, "192.0.2.1", [kept], previous=first)
    # iLBC must not take the number that Opus has had.
    assert second.media[0].formats == ("97", "96")
    assert [str(one) for one in second.media[1].attributes] == ["mid:b"]
    assert second.media[1].port == 0
    third = build_offer(OURS, "192.0.2.1", [None, audio(PCMA, port=5000), second.media[0]], previous=second)
    assert [one.port for one in third.media] == [0, 5000, 4000]
    with pytest.raises(LocalProtocolError):
        build_offer(OURS, "192.0.2.1", [None])


def test_hold() -> None:
    offer = build_offer(OURS, "192.0.2.1", [audio(PCMU), audio(PCMA, direction=Direction.RECVONLY)])
    offer = attrs.evolve(offer, attributes=(Attribute("sendrecv"), Attribute("tool", "x")))
    held = with_direction(offer, Direction.SENDONLY)
    assert [one.direction for one in held.media] == [Direction.SENDONLY, Direction.INACTIVE]
    assert held.attributes == (Attribute("tool", "x"),)
    gone = build_offer(OURS, "192.0.2.1", [None], previous=offer)
    assert with_direction(gone, Direction.SENDONLY).media[0] == gone.media[0]
