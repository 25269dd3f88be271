"""What offer and answer come to."""

from __future__ import annotations

import pytest
from sdp_texts import media

from twisted_sip.sdp.agreed import AgreedStream
from twisted_sip.sdp.direction import Direction


def stream(local: str, remote: str, *, offered_by_us: bool = True) -> AgreedStream:
    return AgreedStream(media(local), media(remote), offered_by_us)


def test_codecs() -> None:
    maps = "a=rtpmap:96 opus/48000/2|a=rtpmap:101 telephone-event/8000|a=rtpmap:102 telephone-event/48000"
    found = stream(
        f"m=audio 1 RTP/AVP 0 8 13 96 101 102|{maps}",
        "m=audio 2 RTP/AVP 110 13 0 99 100|a=rtpmap:110 opus/48000|a=rtpmap:99 telephone-event/48000|"
        "a=rtpmap:100 telephone-event/8000|a=ptime:60|a=maxptime:40",
    )
    assert [one.payload_type for one in found.send_codecs] == [110, 13, 0, 99, 100]
    assert found.codec is not None and found.codec.name == "opus"
    assert found.telephone_event is not None and found.telephone_event.payload_type == 99
    assert found.comfort_noise is None
    assert found.ptime == 40 and found.kind == "audio"
    assert found.remote_address == ("192.0.2.9", 2)
    plain = stream("m=audio 1 RTP/AVP 0 13 101|a=rtpmap:101 telephone-event/8000", "m=audio 1 RTP/AVP 0 13|a=ptime:30")
    assert plain.comfort_noise is not None and plain.telephone_event is None and plain.ptime == 30
    nothing = stream("m=audio 1 RTP/AVP 0", "m=audio 1 RTP/AVP 8")
    assert nothing.codec is None and nothing.comfort_noise is None and not nothing.sends and nothing.receives
    assert nothing.telephone_event is None
    fax = stream("m=image 1 udptl t38", "m=image 1 udptl t38")
    assert fax.sends


@pytest.mark.parametrize(
    ("local", "remote", "direction", "held"),
    [
        ("sendrecv", "sendrecv", Direction.SENDRECV, (False, False)),
        ("sendonly", "recvonly", Direction.SENDONLY, (True, False)),
        ("recvonly", "sendonly", Direction.RECVONLY, (False, True)),
        ("sendrecv", "inactive", Direction.INACTIVE, (False, True)),
        ("sendonly", "sendonly", Direction.INACTIVE, (True, True)),
        ("sendonly", "sendrecv", Direction.SENDONLY, (True, False)),
    ],
)
def test_directions(local: str, remote: str, direction: Direction, held: tuple[bool, bool]) -> None:
    found = stream(f"m=audio 1 RTP/AVP 0|a={local}", f"m=audio 1 RTP/AVP 0|a={remote}")
    assert found.direction is direction
    assert (found.sends, found.receives) == (direction.sends, direction.receives)
    assert (found.is_held_by_us, found.is_held_by_peer) == held


def test_rtcp() -> None:
    both = stream("m=audio 1 RTP/AVP 0|a=rtcp-mux", "m=audio 4000 RTP/AVP 0|a=rtcp:5000|a=rtcp-mux")
    assert both.rtcp_mux and both.remote_rtcp_address == ("192.0.2.9", 4000)
    one = stream("m=audio 1 RTP/AVP 0|a=rtcp-mux", "m=audio 4000 RTP/AVP 0|a=rtcp:5000")
    assert not one.rtcp_mux and one.remote_rtcp_address == ("192.0.2.9", 5000)


def test_keys() -> None:
    offer = "m=audio 1 RTP/SAVP 0|a=crypto:1 A inline:aaaa|a=crypto:2 B inline:bbbb"
    answer = "m=audio 1 RTP/SAVP 0|a=crypto:2 b inline:cccc"
    pair = stream(offer, answer).crypto
    assert pair is not None and [one.key_params[0] for one in pair] == ["inline:bbbb", "inline:cccc"]
    pair = stream(answer, offer, offered_by_us=False).crypto
    assert pair is not None and [one.key_params[0] for one in pair] == ["inline:cccc", "inline:bbbb"]
    assert stream(offer, "m=audio 1 RTP/SAVP 0|a=crypto:1 B inline:cccc").crypto is None
    assert stream(offer, "m=audio 1 RTP/SAVP 0").crypto is None


def test_dtls_and_ice() -> None:
    plain = "m=audio 1 UDP/TLS/RTP/SAVP 0|a=fingerprint:sha-256 AB|a=ice-ufrag:abcd|a=ice-pwd:x"
    for answer, offered_by_us, client in [
        ("active", True, False),
        ("active", False, True),
        ("passive", True, True),
        ("passive", False, False),
        ("none", True, False),
    ]:
        sides = [f"{plain}|a=setup:actpass", f"{plain}|a=setup:{answer}"]
        found = stream(*(sides if offered_by_us else sides[::-1]), offered_by_us=offered_by_us)
        assert found.is_dtls and found.dtls_client is client and found.is_ice
    assert not stream(plain, "m=audio 1 UDP/TLS/RTP/SAVP 0").is_dtls
    assert not stream(plain, f"{plain}|a=ice-mismatch").is_ice
