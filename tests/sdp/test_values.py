"""Values of lines and attributes: origins, addresses, times, codecs, directions."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.sdp.attributes import Attribute, replace_attribute, without_attributes
from twisted_sip.sdp.codec import STATIC_PAYLOAD_TYPES, Codec, format_events, parse_rtpmap, telephone_events
from twisted_sip.sdp.connection import Connection, Origin
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.rtp_attributes import RTCPAttribute, RTCPFeedback
from twisted_sip.sdp.timing import seconds


def test_origin() -> None:
    found = Origin.parse("A User 1 2 IN IP6 2001:db8::1 ")
    assert str(found) == "A_User 1 2 IN IP6 2001:db8::1"
    assert found.same_session(Origin("A_User", "1", 9, "2001:db8::1"))
    assert not found.same_session(Origin("A_User", "2", 2, "2001:db8::1"))
    assert Origin("-", "1", 1, "host").address_type == "IP4"


@pytest.mark.parametrize(
    ("text", "multicast", "unspecified"),
    [
        ("IN IP4 192.0.2.1", False, False),
        ("IN IP4 233.252.0.1/127", True, False),
        ("IN IP4 0.0.0.0", False, True),
        ("IN IP6 ::", False, True),
        ("IN IP6 0:0:0:0:0:0:0:0", False, True),
        ("IN IP6 ff15::101/3", True, False),
        ("IN IP4 host.example.com", False, False),
        ("IN IP6 host.invalid", False, True),
        ("IN IP4 invalid.", False, True),
        ("TN RFC2543 +1-201-406-4090", False, False),
    ],
)
def test_connection(text: str, multicast: bool, unspecified: bool) -> None:
    found = Connection.parse(text)
    assert (found.is_multicast, found.is_unspecified) == (multicast, unspecified)
    assert str(found) == text


def test_typed_times() -> None:
    assert [seconds(text) for text in ("7d", "-1h", "2m", "5s", "90000")] == [604800, -3600, 120, 5, 90000]
    for text in ("", "1w", "h", "1h1"):
        with pytest.raises(LocalProtocolError):
            seconds(text)


def test_static_payload_types() -> None:
    assert len(STATIC_PAYLOAD_TYPES) == 24
    assert STATIC_PAYLOAD_TYPES[9] == Codec("G722", 8000, 1, 9)
    assert STATIC_PAYLOAD_TYPES[10].rtpmap == "10 L16/44100/2"
    assert STATIC_PAYLOAD_TYPES[33].clock_rate == 90000


def test_rtpmap() -> None:
    assert parse_rtpmap("96 opus/48000/2") == Codec("opus", 48000, 2, 96)
    assert parse_rtpmap(" 0  PCMU/8000/ ") == Codec("PCMU", 8000)
    for text in ("", "96", "96 opus", "128 x/8000", "96 x/0", "96 x/8000/0", "96 /8000", "x y/8000", "96 a(b/8000"):
        with pytest.raises(RemoteProtocolError):
            parse_rtpmap(text)
    for bad in ({"name": "a b"}, {"clock_rate": 0}, {"payload_type": 128}, {"channels": 0}, {"parameters": "\n"}):
        with pytest.raises(LocalProtocolError):
            Codec(**({"name": "x", "clock_rate": 8000} | bad))  # type: ignore[arg-type]


def test_codec() -> None:
    codec = Codec("Opus", 48000, 1, 111, "minptime=10; UseInbandFEC=1;cbr")
    assert codec.fmtp == {"minptime": "10", "useinbandfec": "1", "cbr": ""}
    assert codec.key == ("opus", 48000, 2)
    assert codec.with_payload_type(96).payload_type == 96
    assert Codec("cn", 8000).is_comfort_noise and not codec.is_comfort_noise
    assert Codec("Telephone-Event", 8000).is_telephone_event


def test_telephone_events() -> None:
    assert telephone_events("0-15,66") == frozenset(range(16)) | {66}
    assert telephone_events("") == telephone_events("nonsense,7-,300") == frozenset(range(16))
    assert telephone_events("events=0-3") == {0, 1, 2, 3}
    assert Codec("telephone-event", 8000, parameters="1,2").events == {1, 2}
    assert format_events([3, 0, 1, 2, 66, 9, 10]) == "0-3,9-10,66"
    with pytest.raises(LocalProtocolError):
        format_events([256])


def test_directions() -> None:
    both, send, receive, none = Direction
    assert [one.mirrored for one in Direction] == [both, receive, send, none]
    assert [one.held for one in Direction] == [send, send, none, none]
    assert [one.held_by_peer for one in Direction] == [receive, none, receive, none]
    assert both.within(send) is send
    assert send.within(receive) is none
    assert str(send) == "sendonly"


def test_rtcp_attributes() -> None:
    assert str(RTCPAttribute.parse("53020")) == "53020"
    text = "53020 IN IP6 2001:2345:6789:ABCD:EF01:2345:6789:ABCD"
    assert RTCPAttribute.parse(text).attribute == Attribute("rtcp", text)
    found = RTCPFeedback.parse("98  nack rpsi")
    assert (found.payload_type, found.feedback) == (98, "nack rpsi")
    assert RTCPFeedback.parse("* ccm fir").attribute == Attribute("rtcp-fb", "* ccm fir")
    assert found.attribute == Attribute("rtcp-fb", "98 nack rpsi")
    for parse, bad in ((RTCPAttribute.parse, "99999"), (RTCPAttribute.parse, "1 IN"), (RTCPFeedback.parse, "98")):
        with pytest.raises(RemoteProtocolError):
            parse(bad)


def test_attributes_in_place() -> None:
    some = (Attribute("a"), Attribute("b", "1"), Attribute("c"), Attribute("b", "2"))
    assert without_attributes(some, "b") == (Attribute("a"), Attribute("c"))
    assert replace_attribute(some, Attribute("b", "3")) == (Attribute("a"), Attribute("b", "3"), Attribute("c"))
    assert replace_attribute(some, Attribute("d"))[-1] == Attribute("d")


def test_versions_that_have_run_over() -> None:
    assert Origin.parse("- 1 -5 IN IP4 192.0.2.1").version == 5
    with pytest.raises(RemoteProtocolError):
        Origin.parse("- 1 --5 IN IP4 192.0.2.1")
