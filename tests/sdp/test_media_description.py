"""What a media description says."""

from __future__ import annotations

import pytest
from sdp_texts import described, media

from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.fingerprint import Setup
from twisted_sip.sdp.ice import RemoteCandidate


def test_codecs() -> None:
    found = media(
        "m=audio 4000 RTP/AVP 96 0 8 0 99 101 x 300 2",
        "a=rtpmap:96 opus/48000/2|a=fmtp:96 minptime=10|a=fmtp:96 stereo=0|a=rtpmap:96 PCMU/8000",
        "a=rtpmap:99 broken|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=rtpmap:2 G726-32/8000",
    )
    assert [codec.name for codec in found.codecs] == ["opus", "PCMU", "PCMA", "telephone-event", "G726-32"]
    assert found.codecs[0].parameters == "minptime=10;stereo=0"
    assert found.codec(8) == Codec("PCMA", 8000, payload_type=8)
    assert found.codec(7) is None
    assert media("m=image 4000 udptl t38").codecs == ()


@pytest.mark.parametrize(
    ("head", "lines", "direction"),
    [
        ("a=x", "a=ptime:20", Direction.SENDRECV),
        ("a=recvonly", "a=ptime:20", Direction.RECVONLY),
        ("a=recvonly", "a=sendonly", Direction.SENDONLY),
        ("a=x", "a=Inactive", Direction.INACTIVE),
        ("a=x", "a=sendonly:no", Direction.SENDRECV),
    ],
)
def test_direction(head: str, lines: str, direction: Direction) -> None:
    found = described(f"{head}|m=audio 1 RTP/AVP 0|{lines}").media[0]
    assert found.direction is direction


@pytest.mark.parametrize(
    ("connection", "lines", "held"),
    [
        ("c=IN IP4 192.0.2.9", "a=sendrecv", False),
        ("c=IN IP4 192.0.2.9", "a=sendonly", True),
        ("c=IN IP4 192.0.2.9", "a=inactive", True),
        ("c=IN IP4 192.0.2.9", "a=recvonly", False),
        ("c=IN IP4 0.0.0.0", "a=sendrecv", True),
        ("c=IN IP6 ::", "a=sendrecv", True),
        ("c=IN IP6 held.invalid", "a=sendrecv", True),
        ("c=IN IP4 0.0.0.0", "a=candidate:1 1 UDP 1 192.0.2.9 4000 typ host", False),
        ("c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", False),
        ("c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0", True),
        ("a=x", "a=y", False),
    ],
)
def test_hold(connection: str, lines: str, held: bool) -> None:
    assert media(f"m=audio 4000 RTP/AVP 0|{lines}", head=connection).is_held is held


def test_rtcp() -> None:
    assert media("m=audio 4000 RTP/AVP 0").rtcp_address == ("192.0.2.9", 4001)
    assert media("m=audio 65535 RTP/AVP 0").rtcp_address == ("192.0.2.9", 0)
    assert media("m=audio 4000 RTP/AVP 0|a=rtcp:5000").rtcp_address == ("192.0.2.9", 5000)
    other = media("m=audio 4000 RTP/AVP 0|a=rtcp:5000 IN IP4 192.0.2.7|a=rtcp-mux")
    assert other.rtcp_address == ("192.0.2.9", 4000)
    assert other.rtcp_address_unmuxed == ("192.0.2.7", 5000)
    assert media("m=audio 4000 RTP/AVP 0|a=rtcp:x").rtcp is None
    assert media("m=audio 4000 RTP/AVP 0|a=rtcp-fb:* nack|a=rtcp-fb:x").rtcp_feedback[0].feedback == "nack"


@pytest.mark.parametrize(
    ("text", "value"),
    [("20", 20), ("2.5", 2.5), ("0", None), ("-1", None), ("1e9", None), ("", None), ("9" * 30, None), (".", None)],
)
def test_ptime(text: str, value: float | None) -> None:
    found = media(f"m=audio 1 RTP/AVP 0|a=ptime:{text}|a=maxptime:{text}")
    assert found.ptime == found.maxptime == value


def test_keys_and_ice_of_stream_and_session() -> None:
    head = "a=ice-ufrag:sess|a=ice-pwd:p|a=ice-options:trickle ice2|a=fingerprint:sha-1 AB|a=setup:passive|a=ice-lite"
    found = described(f"{head}|a=end-of-candidates|m=audio 1 RTP/AVP 0|a=label:x|i=title").media[0]
    assert (found.ice_ufrag, found.ice_pwd, found.ice_options) == ("sess", "p", ("trickle", "ice2"))
    assert found.fingerprint is not None and found.fingerprint.value == "AB"
    assert found.setup is Setup.PASSIVE and found.ice_lite and found.end_of_candidates
    assert (found.label, found.content, found.mid) == ("x", "title", "")
    own = "a=ice-ufrag:own|a=fingerprint:bad|a=fingerprint:sha-256 CD|a=setup:whatever|a=ice-mismatch"
    found = described(f"{head}|m=audio 1 RTP/AVP 0|{own}").media[0]
    assert found.ice_ufrag == "own" and found.ice_mismatch and found.setup is None
    assert [one.value for one in found.fingerprints] == ["CD"]
    assert not found.end_of_candidates
    bare = media("m=audio 1 RTP/AVP 0|a=candidate:bad|a=crypto:bad|a=remote-candidates:1 192.0.2.1 5")
    assert (bare.candidates, bare.crypto, bare.fingerprint, bare.setup) == ((), (), None, None)
    assert (bare.ice_ufrag, bare.ice_pwd, bare.ice_options, bare.ice_lite) == ("", "", (), False)
    assert bare.remote_candidates == (RemoteCandidate(1, "192.0.2.1", 5),)
    assert media("m=audio 1 RTP/AVP 0|a=remote-candidates:1 2").remote_candidates == ()
    assert not media("m=audio 1 RTP/AVP 0", head="a=x").is_multicast
    assert media("m=audio 1 RTP/AVP 0", head="a=x").address == ""
