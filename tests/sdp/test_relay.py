"""Descriptions that pass through."""

from __future__ import annotations

import pytest
from sdp_texts import OURS, described

from twisted_sip.errors import LocalProtocolError
from twisted_sip.sdp.relay import RelayPort, relayed

VIDEO = "m=video 5002 RTP/AVPF 97|y=kept|b=TIAS:500000|a=rtpmap:97 H264/90000|a=fmtp:97 x=1|a=rtcp-fb:97 nack pli"


def test_all_else_is_kept() -> None:
    before = described(f"a=tool:x|m=audio 5000 RTP/AVP 0|a=sendonly|{VIDEO}|m=text 0 RTP/AVP 98|a=rtpmap:98 t140/1000")
    ports = [RelayPort("192.0.2.1", 7000), RelayPort("2001:db8::1", 7002), RelayPort("192.0.2.1", 7004)]
    after = relayed(before, ports)
    assert str(after) == (
        str(before)
        .replace("s=-\r\nc=IN IP4 192.0.2.9", "s=-\r\nc=IN IP4 192.0.2.1")
        .replace("m=audio 5000 RTP/AVP 0\r\n", "m=audio 7000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n")
        .replace(
            "m=video 5002 RTP/AVPF 97\r\ny=kept\r\n", "m=video 7002 RTP/AVPF 97\r\ny=kept\r\nc=IN IP6 2001:db8::1\r\n"
        )
    )
    assert relayed(before, [None, None, None]) == before
    assert relayed(before, [None, None, None], origin=OURS).origin == OURS
    with pytest.raises(LocalProtocolError):
        relayed(before, [])


def test_ice_and_shared_ports_end_here() -> None:
    before = described(
        "a=group:BUNDLE 0 1|a=group:LS 0 1|a=ice-lite|m=audio 9 RTP/AVP 0|a=mid:0|a=ice-ufrag:a|a=ice-pwd:b",
        "a=candidate:1 1 UDP 1 192.0.2.9 9 typ host|a=end-of-candidates|m=video 0 RTP/AVP 31|a=bundle-only|a=mid:1",
    )
    after = relayed(before, [RelayPort("192.0.2.1", 7000), None])
    assert [str(one) for one in after.attributes] == ["group:LS 0 1"]
    assert [str(one) for one in after.media[0].attributes] == ["mid:0"]
    assert [str(one) for one in after.media[1].attributes] == ["mid:1"]
    assert after.connection == before.connection


def test_rtcp_and_hold() -> None:
    before = described("m=audio 5000 RTP/AVP 0|a=rtcp:6000|a=rtcp-mux|m=audio 5002 RTP/AVP 0")
    port = RelayPort("192.0.2.1", 7000)
    assert relayed(before, [port, port]).media[0].value("rtcp") == "7000"
    apart = relayed(before, [RelayPort("192.0.2.1", 7000, 7010)] * 2)
    assert [one.value("rtcp") for one in apart.media] == ["7010", "7010"]
    held = described("m=audio 5000 RTP/AVP 0", head="c=IN IP4 0.0.0.0")
    after = relayed(held, [port])
    assert after.media[0].is_held and after.media[0].port == 7000
    assert after.connection == held.connection
    bare = described("m=audio 5000 RTP/AVP 0", head="a=x")
    assert relayed(bare, [port]).media[0].address == "192.0.2.1"
    assert relayed(described("a=x"), []).media == ()
