"""Whatever a peer sends: a description, or the one error; and what was not touched is written as it was read."""

from __future__ import annotations

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rfc4317_exchanges import EXCHANGES, text_of
from sdp_texts import EVENTS, NOISE, OPUS, OURS, PCMA, PCMU, audio

from twisted_sip.errors import MediaRefused, RemoteProtocolError
from twisted_sip.sdp.agreed import AgreedStream
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.fingerprint import Fingerprint
from twisted_sip.sdp.local_stream import AVP, AVPF, DTLS_SAVPF, SAVP, ICEDescription
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.sdp.negotiation import build_answer
from twisted_sip.sdp.offer_answer import OfferAnswer
from twisted_sip.sdp.relay import RelayPort, relayed

SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SUITE = "AES_CM_128_HMAC_SHA1_80"
# fmt: off
LINES = st.sampled_from([
    "v=0", "v=1", "o=- 1 1 IN IP4 192.0.2.9", "o=- 99999999999999999999 1 IN IP6 ::", "s=-", "s= ", "t=0 0", "t=1",
    "r=7d 1h 0", "z=1 -1h", "b=AS:64", "b=AS:-1", "k=prompt", "i=x", "u=http://x", "e=a@b", "p=+1",
    "c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0", "c=IN IP6 ::", "c=IN IP4 233.252.0.1/127/3", "c=IN IP6 2001:db8::1",
    "m=audio 4000 RTP/AVP 0 8 101", "m=audio 4000 RTP/SAVP 0 96", "m=audio 9 UDP/TLS/RTP/SAVPF 111 0", "m=audio 0 x y",
    "m=video 4002 RTP/AVPF 97", "m=image 4004 udptl t38", "m=audio 65535/65535 RTP/AVP 300 -1 x", "m=audio 70000 x y",
    "a=rtpmap:96 opus/48000/2", "a=rtpmap:97 H264/90000", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:111 x/0",
    "a=fmtp:101 0-15", "a=fmtp:101 999-0,,-", "a=fmtp:97 packetization-mode=1;;=", "a=ptime:20", "a=ptime:1e99",
    "a=sendonly", "a=recvonly", "a=inactive", "a=sendrecv", "a=rtcp-mux", "a=rtcp:9 IN IP4 0.0.0.0", "a=rtcp:99999",
    f"a=crypto:1 {SUITE} inline:WVNf|2^20|1:4", f"a=crypto:1 {SUITE} inline:|", "a=fingerprint:sha-256 AB:CD",
    "a=setup:actpass", "a=setup:holdconn", "a=candidate:1 1 UDP 1 192.0.2.9 4 typ host", "a=candidate:1 1",
    "a=ice-lite",
    "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", "a=remote-candidates:1", "a=group:BUNDLE 0 1", "a=mid:0",
    "a=mid:1", "a=bundle-only", "a=", "a=:", "a", "=", "y=unknown", "",
])
# fmt: on
PIECES = st.one_of(LINES, LINES, LINES, st.text(max_size=20).map(lambda text: f"a={text}"), st.text(max_size=30))
ENDS = st.sampled_from(["\r\n", "\n", "\r"])
WELL = [text_of(message) for messages in EXCHANGES.values() for message in messages]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Lines that look like those of a description."""
    head = draw(st.sampled_from(["v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\n", "v=0\n", ""]))
    return head + draw(ENDS).join(draw(st.lists(PIECES, max_size=25)))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good description with a few bytes changed."""
    data = bytearray(draw(st.sampled_from(WELL)).encode())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data) - 1))
        data[place : place + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
        if not data:
            break
    return bytes(data)


def look_at(found: object) -> None:
    """Ask for every property: none may raise what nobody expects."""
    for name in dir(type(found)):
        if not name.startswith("_"):
            try:
                getattr(found, name)
            except RemoteProtocolError:
                assert isinstance(found, Crypto)


def check(data: str | bytes) -> SessionDescription | None:
    """Read, look at everything, answer, relay."""
    try:
        found = SessionDescription.parse(data)
    except RemoteProtocolError as error:
        assert error.status in (400, 488)
        assert error.header == "" and "\r" not in error.reason and "\n" not in error.reason
        return None
    written = found.to_bytes()
    again = SessionDescription.parse(written)
    assert again == found and again.to_bytes() == written
    look_at(found)
    for media in found.media:
        look_at(media)
        for crypto in media.crypto:
            look_at(crypto)
        for codec in media.codecs:
            look_at(codec)
    relayed(found, [RelayPort("192.0.2.1", 7000) for _ in found.media]).to_bytes()
    return found


@SETTINGS
@given(st.one_of(texts(), damaged(), st.binary(max_size=200)))
def test_only_the_declared_error(data: str | bytes) -> None:
    check(data)


def choose(place: int, offered: MediaDescription) -> object:
    return audio(
        OPUS,
        PCMA,
        PCMU,
        NOISE,
        EVENTS,
        kind=offered.kind,
        port=6000 + 2 * place,
        protocols=(AVP, AVPF, SAVP, DTLS_SAVPF),
        crypto=(Crypto(1, SUITE, ("inline:abcd",)),),
        fingerprints=(Fingerprint("sha-256", "AB"),),
        ice=ICEDescription(ufrag="abcd", password="p" * 22),
        rtcp_mux=True,
    )


@SETTINGS
@given(texts())
def test_answers_of_ours_fit_their_offers(text: str) -> None:
    offer = check(text)
    if offer is None:
        return
    for strict in (False, True):
        machine = OfferAnswer(strict=strict)
        machine.offer_received(offer)
        try:
            answer = build_answer(offer, OURS, "192.0.2.1", choose)  # type: ignore[arg-type]
        except MediaRefused as error:
            assert 300 <= error.warning_code <= 399
            answer = build_answer(offer, OURS, "192.0.2.1", [], refuse=False)
        for stream in machine.answer_sent(answer):
            look_at(stream)
            assert isinstance(stream, AgreedStream)
        check(answer.to_bytes())


@given(st.sampled_from(WELL), st.integers(0, 20))
def test_untouched_lines_are_written_as_they_were(text: str, version: int) -> None:
    found = SessionDescription.parse(text)
    assert str(found) == text
    changed = attrs.evolve(found, origin=attrs.evolve(found.origin, version=version))
    before, after = text.split("\r\n"), str(changed).split("\r\n")
    assert [one for one in before if one[:1] != "o"] == [one for one in after if one[:1] != "o"]
