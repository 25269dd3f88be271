"""RTP packets (RFC 3550 section 5, appendix A.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.media.rtp import RTPPacket, is_rtcp, parse_rtp, split

PLAIN = bytes.fromhex("8008 1234 00001000 deadbeef".replace(" ", "")) + b"sound"


def test_a_plain_packet_is_split():
    assert split(PLAIN) == (8, 0x1234, 0x1000, 0xDEADBEEF, b"sound")


@given(
    st.builds(
        RTPPacket,
        st.integers(0, 127),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=40),
        st.booleans(),
        st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
        st.none() | st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=12).map(lambda raw: raw[: len(raw) // 4 * 4])),
        st.integers(0, 255),
    )
)
def test_every_packet_comes_back_as_it_was(packet):
    assert parse_rtp(packet.to_bytes()) == packet


@given(st.binary(max_size=40))
def test_anything_else_is_refused_and_nothing_else(data):
    try:
        packet = parse_rtp(data)
    except RemoteProtocolError:
        return
    assert data[0] >> 6 == 2 and len(packet.payload) <= len(data) - 12


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:11],
        b"\x40" + PLAIN[1:],
        b"\x8f" + PLAIN[1:],
        b"\x90" + PLAIN[1:12] + b"\0\0",
        b"\x90" + PLAIN[1:12] + b"\0\0\0\x05",
        b"\xa0" + PLAIN[1:] + b"\0",
        b"\xa0" + PLAIN[1:] + b"\xff",
    ],
    ids=["empty", "short", "version", "sources", "half extension", "long extension", "no padding", "much padding"],
)
def test_lies_in_the_header_are_found(data):
    with pytest.raises(RemoteProtocolError):
        split(data)


@pytest.mark.parametrize(
    "packet",
    [
        RTPPacket(0, 0, 0, 0, csrcs=tuple(range(16))),
        RTPPacket(128, 0, 0, 0),
        RTPPacket(0, 70000, 0, 0),
        RTPPacket(0, 0, 0, 0, extension=(1, b"abc")),
        RTPPacket(0, 0, 0, 0, padding=256),
    ],
)
def test_what_does_not_fit_is_not_sent(packet):
    with pytest.raises(LocalProtocolError):
        packet.to_bytes()


def test_rtcp_is_told_from_rtp_on_one_port():
    assert is_rtcp(b"\x80\xc8\0\0") and is_rtcp(b"\x80\xdf") and not is_rtcp(PLAIN) and not is_rtcp(b"\x80")
