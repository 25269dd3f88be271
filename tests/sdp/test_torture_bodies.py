"""The bodies of the torture messages of RFC 4475 and RFC 5118."""

from __future__ import annotations

from pathlib import Path

import pytest

from twisted_sip.sdp.description import SessionDescription

TORTURE = Path(__file__).parent.parent / "torture"


def body(name: str) -> bytes:
    return (TORTURE / name).read_bytes().partition(b"\r\n\r\n")[2]


def test_ipv6() -> None:
    found = SessionDescription.parse(body("rfc5118/ipv6-in-sdp.dat"))
    assert found.to_bytes() == body("rfc5118/ipv6-in-sdp.dat")
    assert (found.origin.address_type, found.media[0].address) == ("IP6", "2001:db8::20")
    assert [one.codecs[0].name for one in found.media] == ["G726-32", "H263-1998"]


def test_several_addresses() -> None:
    found = SessionDescription.parse(body("rfc5118/mult-ip-in-sdp.dat"))
    assert [one.address for one in found.media] == ["192.0.2.1", "2001:db8::1"]
    assert found.name == "-"


def test_rtpmap_without_a_rate() -> None:
    found = SessionDescription.parse(body("rfc4475/sdp01.dat"))
    assert [codec.name for codec in found.media[0].codecs] == ["PCMU", "QCELP"]
    assert found.media[1].codecs[0].name == "H261"


@pytest.mark.parametrize("path", sorted(TORTURE.glob("rfc*/*.dat")), ids=lambda path: path.name)
def test_all_that_can_be_read(path: Path) -> None:
    data = path.read_bytes().partition(b"\r\n\r\n")[2]
    if data.startswith(b"v=0\r\n") and b"application/sdp" in path.read_bytes().lower():
        data = data[: data.rfind(b"\r\n") + 2].partition(b"\r\n\r\n")[0]
        found = SessionDescription.parse(data)
        assert SessionDescription.parse(found.to_bytes()) == found
