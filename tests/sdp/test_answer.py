"""Making answers."""

from __future__ import annotations

import pytest
from sdp_texts import EVENTS, G722, NOISE, OPUS, OURS, PCMA, PCMU, audio, described, media

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.codec_choice import choose_codecs, match_codec
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.fingerprint import Fingerprint, Setup
from twisted_sip.sdp.local_stream import (
    AVP,
    DTLS_SAVP,
    DTLS_SAVPF,
    PLAIN,
    SAVP,
    SAVPF,
    ICEDescription,
    LocalStream,
)
from twisted_sip.sdp.negotiation import answer_crypto, answer_media, build_answer, reject_media

SUITE = "AES_CM_128_HMAC_SHA1_80"
SHORT = "AES_CM_128_HMAC_SHA1_32"
PRINT = Fingerprint("sha-256", "AB")
OFFERED = "m=audio 5000 RTP/AVP 8 0 96 101|a=rtpmap:96 opus/48000/2|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15"


def test_codecs_in_the_order_of_the_offer() -> None:
    answer = answer_media(media(OFFERED), audio(PCMU, PCMA, EVENTS))
    assert answer.formats == ("8", "0", "101")
    assert [str(one) for one in answer.attributes] == [
        "rtpmap:8 PCMA/8000",
        "rtpmap:0 PCMU/8000",
        "rtpmap:101 telephone-event/8000",
        "fmtp:101 0-16",
        "sendrecv",
    ]
    assert answer_media(media(OFFERED), audio(PCMU, PCMA), order="ours").formats == ("0", "8")
    assert answer_media(media(OFFERED), audio(PCMU, PCMA, EVENTS), single=True).formats == ("8", "101")


def test_payload_types_are_those_of_the_offer() -> None:
    offered = media("m=audio 5000 RTP/AVP 111 105|a=rtpmap:111 opus/48000|a=rtpmap:105 telephone-event/48000")
    answer = answer_media(offered, audio(OPUS, EVENTS))
    assert answer.formats == ("111", "105")
    assert answer.codecs[0].parameters == "useinbandfec=1"


def test_telephone_events_follow_the_clock_rates() -> None:
    events = [Codec("telephone-event", rate, 1, 101 + place) for place, rate in enumerate((8000, 16000, 48000))]
    offered = [OPUS, PCMU, *events]
    chosen = choose_codecs(offered, [OPUS, EVENTS])
    assert [one.clock_rate for one in chosen] == [48000, 48000]
    chosen = choose_codecs(offered, [PCMU, OPUS, EVENTS], ours_first=True)
    assert [one.name for one in chosen] == ["PCMU", "opus", "telephone-event", "telephone-event"]
    # Only such as we have where no clock rate fits.
    assert choose_codecs([OPUS, events[0]], [OPUS, EVENTS])[1].payload_type == 101
    assert choose_codecs([OPUS, events[1]], [OPUS, EVENTS]) == (OPUS,)
    assert choose_codecs([PCMU, events[0]], [PCMU]) == (PCMU,)
    unsaid = Codec("telephone-event", 8000, 1, 101)
    assert (
        choose_codecs([PCMU, Codec("telephone-event", 8000, 1, 99, "0-11,66")], [PCMU, unsaid])[1].parameters == "0-11"
    )


def test_comfort_noise_keeps_its_place() -> None:
    offered = [NOISE, PCMU, G722]
    assert choose_codecs(offered, [G722, PCMU, NOISE]) == (NOISE, PCMU, G722)
    assert choose_codecs(offered, [G722, PCMU, NOISE], ours_first=True) == (G722, PCMU, NOISE)
    assert choose_codecs(offered, [G722, PCMU, NOISE], single=True) == (PCMU, NOISE)


def test_codecs_that_only_look_the_same() -> None:
    h264 = Codec("H264", 90000, 1, 98, "profile-level-id=42e01f;packetization-mode=1")
    assert match_codec(h264, Codec("h264", 90000)) is None
    found = match_codec(h264, Codec("h264", 90000, parameters="packetization-mode=1"))
    assert found is not None and (found.parameters, found.payload_type) == ("packetization-mode=1", 98)
    amr = Codec("AMR", 8000, 1, 97, "octet-align=0")
    echoed = match_codec(amr, Codec("AMR", 8000))
    assert echoed == amr
    assert match_codec(Codec("L16", 44100, 2, 10), Codec("L16", 44100)) is None
    told = match_codec(Codec("telephone-event", 8000, 1, 99), EVENTS)
    assert told is not None and told.parameters == "0-16"


@pytest.mark.parametrize(
    ("offered", "ours", "answered"),
    [
        ("sendrecv", Direction.SENDRECV, Direction.SENDRECV),
        ("sendonly", Direction.SENDRECV, Direction.RECVONLY),
        ("recvonly", Direction.SENDRECV, Direction.SENDONLY),
        ("inactive", Direction.SENDRECV, Direction.INACTIVE),
        ("sendrecv", Direction.SENDONLY, Direction.SENDONLY),
        ("sendonly", Direction.SENDONLY, Direction.INACTIVE),
        ("recvonly", Direction.INACTIVE, Direction.INACTIVE),
    ],
)
def test_directions(offered: str, ours: Direction, answered: Direction) -> None:
    found = answer_media(media(f"{OFFERED}|a={offered}"), audio(PCMU, direction=ours))
    assert found.direction is answered


def test_hold_by_address_is_answered_by_direction_alone() -> None:
    # RFC 6337 section 5.4.
    offered = media(OFFERED, head="c=IN IP4 0.0.0.0")
    assert answer_media(offered, audio(PCMU)).direction is Direction.SENDRECV


@pytest.mark.parametrize(
    ("offered", "stream", "warning"),
    [
        ("m=video 5000 RTP/AVP 31", audio(), 304),
        ("m=audio 5000 RTP/AVP 18", audio(), 305),
        ("m=audio 5000 RTP/AVP 18 101|a=rtpmap:101 telephone-event/8000", audio(), 305),
        ("m=audio 5000 RTP/AVP 18 13", audio(PCMU, NOISE), 305),
        ("m=audio 5000 TCP/RTP/AVP 0", audio(), 302),
        ("m=audio 5000 RTP/SAVP 0", audio(), 302),
        ("m=audio 5000 RTP/SAVP 0", audio(protocols=(SAVP,)), 306),
        ("m=audio 5000 UDP/TLS/RTP/SAVP 0", audio(protocols=(DTLS_SAVP,), fingerprints=(PRINT,)), 306),
        ("m=audio 5000 RTP/AVP 0|c=TN RFC2543 +1-201", audio(), 301),
        ("m=audio 5000 RTP/AVP 0|c=IN IP6 2001:db8::9", audio(address="192.0.2.1"), 301),
        ("m=audio 5000 RTP/AVP 0|c=IN IP4 233.252.0.1/1", audio(), 330),
        (
            "m=image 5000 udptl t37",
            LocalStream(kind="image", formats=("t38",), protocols=("udptl",), port=1),
            305,
        ),
    ],
)
def test_nothing_in_common(offered: str, stream: LocalStream, warning: int) -> None:
    with pytest.raises(MediaRefused) as caught:
        answer_media(media(offered), stream)
    assert (caught.value.status, caught.value.warning_code) == (488, warning)


def test_no_address_at_all() -> None:
    with pytest.raises(MediaRefused):
        answer_media(media("m=audio 5000 RTP/AVP 0", head="a=x"), audio())


def test_ipv6_and_names() -> None:
    assert answer_media(media("m=audio 5000 RTP/AVP 0|c=IN IP6 2001:db8::9"), audio(address="2001:db8::1")).port
    assert answer_media(media("m=audio 5000 RTP/AVP 0|c=IN IP4 host.example.com"), audio(address="2001:db8::1")).port
    assert answer_media(media("m=audio 5000 RTP/AVP 0|c=IN IP4 0.0.0.0"), audio(address="2001:db8::1")).port


def test_streams_of_events_alone() -> None:
    offered = media("m=audio 5000 RTP/AVP 98|a=rtpmap:98 telephone-event/8000|a=sendonly")
    answer = answer_media(offered, audio(EVENTS))
    assert answer.formats == ("98",) and answer.direction is Direction.RECVONLY


def test_rejected() -> None:
    offered = media(f"{OFFERED}|a=mid:0|a=sendonly")
    for answer in (answer_media(offered, None), reject_media(offered)):
        assert (answer.port, answer.formats, answer.mid) == (0, offered.formats, "0")
        assert len(answer.attributes) == 1
    removed = media("m=audio 0 RTP/AVP 8")
    assert answer_media(removed, audio()).port == 0


@pytest.mark.parametrize("protocol", [SAVP, SAVPF, AVP])
def test_sdes(protocol: str) -> None:
    keys = f"a=crypto:1 {SHORT} inline:abcd|a=crypto:5 {SUITE} inline:efgh"
    offered = media(f"m=audio 5000 {protocol} 0|{keys}")
    ours = (Crypto(1, SUITE, ("inline:1234",)), Crypto(2, SHORT, ("inline:5678",)))
    answer = answer_media(offered, audio(PCMU, protocols=(protocol,), crypto=ours))
    assert answer.protocol == protocol
    assert [str(one) for one in answer.crypto] == [f"1 {SHORT} inline:5678"]
    answer = answer_media(offered, audio(PCMU, protocols=(protocol,), crypto=ours[:1]))
    assert [str(one) for one in answer.crypto] == [f"5 {SUITE} inline:1234"]


def test_plain_rtp_with_keys_that_nobody_has() -> None:
    offered = media(f"m=audio 5000 RTP/AVP 0|a=crypto:1 {SHORT} inline:abcd")
    assert answer_media(offered, audio(PCMU)).crypto == ()


def test_session_parameters_of_keys() -> None:
    own = Crypto(1, SUITE, ("inline:a",), ("UNENCRYPTED_SRTCP", "WSH=128"))
    plain = answer_crypto([Crypto.parse(f"3 {SUITE} inline:b WSH=64")], [own])
    assert plain is not None and (plain.tag, plain.session_params) == (3, ("WSH=128",))
    same = answer_crypto([Crypto.parse(f"3 {SUITE} inline:b UNENCRYPTED_SRTCP")], [own])
    assert same is not None and same.session_params == ("UNENCRYPTED_SRTCP", "WSH=128")
    for unknown in ("KDR=1", "UNENCRYPTED_SRTP", "NEW=1"):
        assert answer_crypto([Crypto.parse(f"3 {SUITE} inline:b {unknown}")], [own]) is None
    assert answer_crypto([Crypto.parse(f"3 {SUITE} inline:b -NEW=1")], [own]) is not None


@pytest.mark.parametrize(
    ("protocol", "offered", "wished", "answered"),
    [
        (DTLS_SAVPF, "actpass", None, Setup.ACTIVE),
        (DTLS_SAVP, "actpass", Setup.PASSIVE, Setup.PASSIVE),
        (DTLS_SAVP, "active", None, Setup.PASSIVE),
        (DTLS_SAVP, "passive", Setup.PASSIVE, Setup.ACTIVE),
        (SAVPF, "whatever", None, Setup.PASSIVE),
        (AVP, "actpass", None, Setup.ACTIVE),
    ],
)
def test_dtls(protocol: str, offered: str, wished: Setup | None, answered: Setup) -> None:
    stream = audio(PCMU, protocols=(protocol,), fingerprints=(PRINT,), setup=wished)
    answer = answer_media(media(f"m=audio 5000 {protocol} 0|a=fingerprint:sha-256 CD|a=setup:{offered}"), stream)
    assert (answer.fingerprint, answer.setup, answer.protocol) == (PRINT, answered, protocol)


def test_ports_and_ice() -> None:
    ice = ICEDescription(ufrag="abcd", password="p" * 22)
    stream = audio(PCMU, rtcp_mux=True, rtcp_port=4009, ice=ice, address="192.0.2.1", ptime=20)
    plain = answer_media(media("m=audio 5000 RTP/AVP 0"), stream)
    assert (plain.rtcp_mux, plain.ice_ufrag, plain.address, plain.ptime) == (False, "", "192.0.2.1", 20)
    assert plain.rtcp_address == ("192.0.2.1", 4009)
    full = answer_media(media("m=audio 5000 RTP/AVP 0|a=rtcp-mux|a=ice-ufrag:efgh|a=ice-pwd:x"), stream)
    assert (full.rtcp_mux, full.ice_ufrag) == (True, "abcd")
    # With candidates of both kinds the address of the other family says nothing.
    six = media("m=audio 5000 RTP/AVP 0|c=IN IP6 2001:db8::9|a=ice-ufrag:efgh|a=ice-pwd:x")
    assert answer_media(six, stream).port
    # RFC 5761 section 4: payload types that RTCP looks like.
    low = media("m=audio 5000 RTP/AVP 72|a=rtpmap:72 PCMU/8000|a=rtcp-mux")
    assert not answer_media(low, stream).rtcp_mux


def test_multicast() -> None:
    offered = media(
        "m=audio 5000/2 RTP/AVP 0 8|c=IN IP4 233.252.0.1/127|b=AS:64|a=ptime:30|a=recvonly", head="c=IN IP4 192.0.2.9"
    )
    answer = answer_media(offered, audio(PCMA, multicast=True, ptime=20))
    assert (answer.port, answer.port_count, answer.formats) == (5000, 2, ("8",))
    assert (answer.address, answer.ptime, answer.direction) == ("233.252.0.1", 30, Direction.RECVONLY)
    assert answer.bandwidth("AS") == 64
    whole = media("m=audio 5000 RTP/AVP 0", head="c=IN IP4 233.252.0.1/127")
    assert answer_media(whole, audio(PCMU, multicast=True)).address == "233.252.0.1"


def test_other_media() -> None:
    fax = LocalStream(kind="image", formats=("t38",), protocols=("UDPTL",), port=4000)
    assert answer_media(media("m=image 5000 udptl t38"), fax).protocol == "udptl"
    offer = described("m=message 5000 TCP/MSRP *|a=path:msrp://x|m=audio 5002 RTP/AVP 0")
    own = media("m=message 6000 TCP/MSRP *|a=path:msrp://y")
    seen = []

    def choose(place: int, offered: object) -> object:
        seen.append(place)
        return own if place == 0 else None

    answer = build_answer(offer, OURS, "192.0.2.1", choose)  # type: ignore[arg-type]
    assert seen == [0, 1]
    assert [one.port for one in answer.media] == [6000, 0]
    assert answer.media[0].value("path") == "msrp://y"


def test_whole_answer() -> None:
    offer = described(
        "a=group:BUNDLE a v x|a=group:LS a v|a=group:FID a v",
        f"{OFFERED}|a=mid:a|m=video 5002 RTP/AVP 31|a=mid:v|m=audio 5004 RTP/AVP 0|a=mid:x|m=text 0 RTP/AVP 98",
    )
    streams = [audio(PCMU), None, audio(PCMU, port=4002)]
    answer = build_answer(offer, OURS, "192.0.2.1", streams, groups=("BUNDLE", "LS"))
    assert [str(group) for group in answer.groups] == ["BUNDLE a", "LS a"]
    assert [one.port for one in answer.media] == [4000, 0, 4002, 0]
    assert [one.mid for one in answer.media] == ["a", "v", "x", ""]
    shared = build_answer(offer, OURS, "192.0.2.1", [audio(PCMU), None, audio(PCMU)])
    assert [str(group) for group in shared.groups] == ["BUNDLE a x"]
    assert (shared.timings, shared.connection and shared.connection.address) == (offer.timings, "192.0.2.1")


def test_all_refused() -> None:
    offer = described("m=video 5000 RTP/AVP 31|m=audio 5000 RTP/AVP 18|m=audio 0 RTP/AVP 0")
    with pytest.raises(MediaRefused) as caught:
        build_answer(offer, OURS, "192.0.2.1", [None, audio()])
    assert (caught.value.warning_code, caught.value.reason) == (304, "No video")
    with pytest.raises(MediaRefused) as caught:
        build_answer(offer, OURS, "192.0.2.1", [audio(), audio()])
    assert caught.value.warning_code == 304
    answer = build_answer(offer, OURS, "192.0.2.1", [None, audio()], refuse=False)
    assert [one.port for one in answer.media] == [0, 0, 0]
    assert build_answer(described("a=x"), OURS, "192.0.2.1", []).media == ()
    gone = described("m=audio 0 RTP/AVP 0")
    assert build_answer(gone, OURS, "192.0.2.1", [audio()]).media[0].port == 0
    with pytest.raises(LocalProtocolError):
        build_answer(gone, OURS, "192.0.2.1", [media("m=audio 1 RTP/AVP 0")])


def test_what_a_peer_names_is_made_safe() -> None:
    with pytest.raises(MediaRefused) as caught:
        answer_media(media("m=vid\u00e9o 5000 RTP/AVP 31"), audio(protocols=PLAIN))
    assert caught.value.reason == "No vid?o"
