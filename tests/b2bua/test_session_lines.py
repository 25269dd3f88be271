"""What leaves as a description of ours: the quick way and the careful one say the same, and versions count."""

from __future__ import annotations

import re

import pytest

from twisted_sip.b2bua.session_lines import OwnSession, split
from twisted_sip.errors import RemoteProtocolError

PLAIN = (
    b"v=0\r\no=alice 7 9 IN IP4 203.0.113.1\r\ns=talk\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
)
TWO = PLAIN + b"a=sendrecv\r\nm=video 0 RTP/AVP 31\r\n"


def carefully(data: bytes, exactly: int | None = None) -> bytes:
    return OwnSession(5, "192.0.2.1")._write(*split(data), exactly)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        TWO,
        PLAIN.replace(b"192.0.2.1", b"2001:db8::1"),
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN[:-2],
        PLAIN + b"\r\n",
        PLAIN.replace(b"s=talk", b"s=talk\r\ni=secret\r\nu=http://example.com\r\na=tool:phone"),
        PLAIN.replace(b"s=talk\r\n", b""),
        PLAIN.replace(b"c=IN", b"o=- 1 1 IN IP4 198.51.100.1\r\nc=IN"),
        PLAIN.replace(b"t=0 0", b"t=0 0\ra"),
        PLAIN + b"a=tool:inside a stream\r\n",
        PLAIN.partition(b"m=")[0],
        PLAIN + b"\n",
        PLAIN[:-2] + b"\r\r\n",
        PLAIN + b"a=odd\nline\r\n",
        TWO.replace(b"\r\nm=video", b"\nm=video"),
        TWO.replace(b"\r\nm=video", b"\r\r\nm=video"),
        TWO.replace(b"\r\nm=video", b"\r\n\r\nm=video"),
        TWO.replace(b"t=0 0", b"t=0 0\r\na=group:BUNDLE 0\r\na=charset:x"),
        TWO.replace(b"t=0 0", b"b=AS:64\r\nt=0 0\r\na=group:BUNDLE 0"),
    ],
)
def test_the_quick_way_says_the_same(data: bytes) -> None:
    made = OwnSession(5, "192.0.2.1").describe(data)
    assert made == carefully(data)
    assert b"203.0.113.1 " not in made.split(b"\r\n")[1]


def test_the_number_of_streams() -> None:
    for exactly in (1, 2, 3):
        assert OwnSession(5, "192.0.2.1").describe(TWO, exactly=exactly) == carefully(TWO, exactly)


def test_versions_count_changes() -> None:
    own = OwnSession(5, "192.0.2.1")
    versions = [
        re.findall(rb"\no=- 5 (\d+) IN IP4 192\.0\.2\.1", own.describe(data))
        # Who writes it, and what it is called, is no change.
        for data in (PLAIN, PLAIN.replace(b"alice", b"bob").replace(b"talk", b"-"), TWO, PLAIN, PLAIN)
    ]
    assert versions == [[b"5"], [b"5"], [b"6"], [b"7"], [b"7"]]


def test_streams_do_not_vanish() -> None:
    own = OwnSession(5, "2001:db8::1")
    own.describe(TWO)
    later = own.describe(PLAIN)
    assert b"o=- 5 6 IN IP6 2001:db8::1" in later
    assert later.endswith(b"m=video 0 RTP/AVP 31\r\n")


def test_no_description() -> None:
    with pytest.raises(RemoteProtocolError):
        OwnSession(5, "192.0.2.1").describe(b"hello")


def test_silence_has_a_key_of_its_own_where_keys_are_offered() -> None:
    known = b"a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40
    others = (b"a=crypto:x", b"a=crypto:1 F8_128_HMAC_SHA1_80 inline:" + b"A" * 40, b"a=crypto:\xff")
    offer = PLAIN + b"".join(line + b"\r\n" for line in (*others, known))
    own = OwnSession(5, "192.0.2.1")
    [key] = re.findall(rb"\na=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/]{40})\r\n", own.silence(offer))
    assert key != b"A" * 40
    assert b"a=crypto" not in own.silence(PLAIN) and b"a=crypto" not in own.silence(offer.replace(known, others[0]))
