"""Session descriptions as RFC 8866 has them, and as old phones write them."""

from __future__ import annotations

import attrs
import pytest
from sdp_texts import described

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.sdp.attributes import Attribute, Bandwidth
from twisted_sip.sdp.connection import Connection, Origin
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.groups import Group
from twisted_sip.sdp.limits import SDPLimits
from twisted_sip.sdp.lines import UnknownLine
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.sdp.timing import Repeat, Timing, ZoneAdjustment

WHOLE = (
    "v=0\r\n"
    "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\n"
    "s=Call to John Smith\r\n"
    "i=SDP Offer #1\r\n"
    "u=http://www.jdoe.example.com/home.html\r\n"
    "e=Jane Doe <jane@jdoe.example.com>\r\n"
    "e=other@example.com\r\n"
    "p=+1 617 555-6011\r\n"
    "c=IN IP4 233.252.0.1/127/3\r\n"
    "b=X-YZ:128\r\n"
    "b=AS:64\r\n"
    "t=3724394400 3724398000\r\n"
    "r=7d 1h 0 25h\r\n"
    "r=604800 3600 0 90000\r\n"
    "z=3730928400 -1h 3749680800 0\r\n"
    "t=0 0\r\n"
    "k=prompt\r\n"
    "y=unknown\r\n"
    "a=group:LS 1 2\r\n"
    "y=between\r\n"
    "x=twice\r\n"
    "a=recvonly\r\n"
    "m=audio 49170/2 RTP/AVP 0 97\r\n"
    "w=in front\r\n"
    "i=speech\r\n"
    "c=IN IP6 ff15::101/3\r\n"
    "c=IN IP6 ff15::104\r\n"
    "b=TIAS:64000\r\n"
    "b=RS:800\r\n"
    "b=RR:2400\r\n"
    "k=clear:secret\r\n"
    "a=rtpmap:97  iLBC/8000 \r\n"
    "a=mid:1\r\n"
    "m=video 0 RTP/AVP 31\r\n"
    "a=mid:2\r\n"
)


def test_every_line_is_read_and_written_as_it_was() -> None:
    found = SessionDescription.parse(WHOLE.encode())
    assert found.to_bytes() == WHOLE.encode()
    assert SessionDescription.parse(WHOLE) == found
    assert found.origin == Origin("jdoe", "3724394400", 3724394405, "198.51.100.1")
    assert (found.name, found.information) == ("Call to John Smith", "SDP Offer #1")
    assert found.uri == "http://www.jdoe.example.com/home.html"
    assert found.emails == ("Jane Doe <jane@jdoe.example.com>", "other@example.com")
    assert found.phones == ("+1 617 555-6011",)
    assert found.connection == Connection("233.252.0.1", 127, 3)
    assert found.bandwidths == (Bandwidth("X-YZ", 128), Bandwidth("AS", 64))
    zones = (ZoneAdjustment(3730928400, "-1h"), ZoneAdjustment(3749680800, "0"))
    repeats = (Repeat("7d", "1h", ("0", "25h")), Repeat("604800", "3600", ("0", "90000")))
    assert found.timings == (Timing(3724394400, 3724398000, repeats, zones), Timing())
    assert found.key == "prompt"
    assert found.groups == (Group("LS", ("1", "2")),)
    assert found.unknown[1] == UnknownLine("y", "between", "a", 1)
    audio, video = found.media
    assert (audio.kind, audio.port, audio.port_count, audio.information) == ("audio", 49170, 2, "speech")
    assert audio.connections == (Connection("ff15::101", count=3), Connection("ff15::104"))
    assert (audio.bandwidth("tias"), audio.bandwidth("RS"), audio.bandwidth("AS")) == (64000, 800, None)
    assert audio.is_multicast
    assert audio.key == "clear:secret"
    assert found.media_of("2") is video
    assert found.media_of("") is None
    assert video.connection == found.connection


def test_changed_unknown_lines_find_a_place() -> None:
    found = SessionDescription.parse(WHOLE)
    bare = attrs.evolve(found, attributes=(), key=None)
    lines = [f"{kind}={value}" for kind, value in bare.lines()]
    place = lines.index("t=0 0")
    assert lines[place + 1 : place + 4] == ["y=unknown", "y=between", "x=twice"]
    first = attrs.evolve(found.media[0], attributes=(Attribute("ptime", "20"),))
    assert next(iter(first.lines()))[0] == "m"


def test_built() -> None:
    stream = MediaDescription("audio", 4000, "RTP/AVP", ("0",), attributes=(Attribute("sendrecv"),))
    found = SessionDescription(
        Origin("-", "1", 1, "2001:db8::1"), connection=Connection("2001:db8::1"), media=(stream,)
    )
    assert found.to_bytes() == (
        b"v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
    )
    assert found.media[0].address == "2001:db8::1"
    assert attrs.evolve(found, timings=()).to_bytes() == found.to_bytes()
    newer = attrs.evolve(found, origin=attrs.evolve(found.origin, version=2))
    assert newer.same_content(found) and newer != found
    assert not attrs.evolve(newer, name="x").same_content(found)


@pytest.mark.parametrize(
    "text",
    [
        "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=\nt=0 0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n",
        "v=0\ro=- 1 1 IN IP4 192.0.2.1\rc=IN IP4 192.0.2.1\rm=audio 4000 RTP/AVP 0",
        "\ufeff\r\nv=0\r\n\r\n o = - 1 1 IN IP4 192.0.2.1 \r\nc=IP4 192.0.2.1\r\nt=0\r\nm=audio  4000  RTP/AVP  0 \r\n",
        "v=0\no=1 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\nb=AS:many\nb=:1\nr=1\nz=x\nz=1 2 3\nt=\na=\na=:x\n"
        "m=audio 4000 RTP/AVP 0\ns=late\nt=1 2\n",
    ],
)
def test_old_phones_are_understood(text: str) -> None:
    found = SessionDescription.parse(text)
    assert found.origin.session_id == "1"
    assert found.media[0].address == "192.0.2.1"
    assert found.media[0].codecs[0].name == "PCMU"
    for line in found.to_bytes().decode().split("\r\n")[:-1]:
        assert line[1] == "=" and line[2:] == line[2:].strip() != ""
    assert SessionDescription.parse(found.to_bytes()) == found
    assert [kind for kind, _ in found.lines()] == sorted(
        [kind for kind, _ in found.lines()], key="vosiuepcbtrzkam".index
    )


def test_other_bytes_than_utf8_are_kept() -> None:
    text = b"v=0\r\no=- 1 1 IN IP4 h\r\ns=caf\xe9 \xff\r\nt=0 0\r\na=charset:ISO-8859-1\r\n"
    assert SessionDescription.parse(text).to_bytes() == text


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("\r\n \r\n", 400),
        ("o=- 1 1 IN IP4 h\r\nv=0\r\n", 400),
        ("v=1\r\no=- 1 1 IN IP4 h\r\n", 488),
        ("v=0\r\n", 400),
        ("v=0\r\no=- 1 1 IN\r\n", 400),
        ("v=0\r\no=- 1 x IN IP4 h\r\n", 400),
        ("v=0\r\no=- 1 ١ IN IP4 h\r\n", 400),
        (f"v=0\r\no=- 1 {'9' * 41} IN IP4 h\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\x01\r\n", 400),
        ("v=0\r\nnonsense\r\n", 400),
        ("v=0\r\n=x\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nv=0\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\0\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\na=\ud800\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nc=IN\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 []\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 224.0.0.1/256\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 224.0.0.1/1/0\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 224.0.0.1/1/1/1\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP6 ff02::1/1/1\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nt=now\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nm=audio\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 65536 RTP/AVP 0\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nm=audio -1 RTP/AVP 0\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 1/0 RTP/AVP 0\r\n", 400),
        (f"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio {'9' * 4000} RTP/AVP 0\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP\r\n", 400),
        ("v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP \x7f\r\n", 400),
    ],
)
def test_what_cannot_be_understood(text: str, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SessionDescription.parse(text)
    assert (caught.value.status, caught.value.header) == (status, "")


def test_a_stream_that_is_not_wanted_may_lack_formats() -> None:
    assert described("m=image 0 udptl").media[0].formats == ("0",)


def test_limits() -> None:
    head = "v=0\r\no=- 1 1 IN IP4 h\r\n"
    small = SDPLimits(size=300, lines=12, line=60, media=2, attributes=3, formats=2)
    for text, status in [
        (head + "a=x\r\n" * 60, 400),
        (head + "y=\r\n" * 20, 400),
        (head + "a=" + "x" * 80, 400),
        (head + "a=x\r\n" * 4, 400),
        (head + "m=a 1 b 1\r\n" * 3, 488),
        (head + "m=a 1 b 1 2 3\r\n", 400),
    ]:
        with pytest.raises(RemoteProtocolError) as caught:
            SessionDescription.parse(text, small)
        assert caught.value.status == status
    with pytest.raises(RemoteProtocolError):
        SessionDescription.parse(head + "y=\r\n" * 40 + "x=\r\n" * 25)
    assert len(SessionDescription.parse(head + "m=a 1 b 1\r\n" * 2, small).media) == 2


def test_nothing_with_an_end_of_line_can_be_built() -> None:
    origin = Origin("-", "1", 1, "h")
    media = MediaDescription("audio", 1, "RTP/AVP", ("0",))
    for make in [
        lambda: SessionDescription(origin, name="a\r\nb"),
        lambda: SessionDescription(origin, emails=("a\nb",)),
        lambda: SessionDescription(origin, key="\0"),
        lambda: Attribute("a", "b\rc"),
        lambda: Attribute("a:b"),
        lambda: Attribute(""),
        lambda: Attribute("a\n"),
        lambda: UnknownLine("y", "\n"),
        lambda: UnknownLine("yy", "x"),
        lambda: UnknownLine("=", "x"),
        lambda: UnknownLine("\n", "x"),
        lambda: Attribute("x", "\ud800"),
        lambda: Origin("\udfff", "1", 1, "h"),
        lambda: Origin("a b", "1", 1, "h"),
        lambda: Origin("", "1", 1, "h"),
        lambda: Origin("-", "1", -1, "h"),
        lambda: Connection("a b"),
        lambda: Connection("224.0.0.1", 256),
        lambda: Connection("224.0.0.1", 1, 0),
        lambda: Bandwidth("A S", 1),
        lambda: Bandwidth("AS", -1),
        lambda: Timing(-1),
        lambda: Timing(0, -1),
        lambda: Repeat("1w", "1"),
        lambda: ZoneAdjustment(-1, "0"),
        lambda: ZoneAdjustment(1, "x"),
        lambda: Group.build("LS", "a b"),
        lambda: attrs.evolve(media, port=65536),
        lambda: attrs.evolve(media, kind="a b"),
        lambda: attrs.evolve(media, formats=("0", "")),
        lambda: attrs.evolve(media, port_count=0),
        lambda: attrs.evolve(media, information="\n"),
    ]:
        with pytest.raises(LocalProtocolError):
            make()


def test_types_of_lines_are_one_character() -> None:
    found = described("X-Y=z|\u00fc=kept|m=audio 1 RTP/AVP 0")
    assert [(one.type, one.value) for one in found.unknown] == [("\u00fc", "kept")]


def test_groups_and_session_attributes() -> None:
    found = described("a=group:BUNDLE 0 1|a=group:|a=ice-lite|a=tool: x |m=audio 1 RTP/AVP 0")
    assert [str(group) for group in found.groups] == ["BUNDLE 0 1"]
    assert found.groups[0].attribute == Attribute("group", "BUNDLE 0 1")
    assert Group.build("LS", "1") == Group("LS", ("1",))
    assert found.value("tool") == "x"
    assert found.has("ice-lite") and not found.has("setup")
    assert found.media[0].ice_lite
    assert not found.is_held
    assert described("m=audio 1 RTP/AVP 0|a=sendonly|m=video 0 RTP/AVP 31").is_held
    assert not described("m=video 0 RTP/AVP 31").is_held
