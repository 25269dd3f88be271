"""Hosts and ports (RFC 3261 section 25.1, RFC 5954, RFC 5118)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.grammar import parse_host_port
from twisted_sip.message.hosts import canonical_host, ipv4_bytes, ipv6_bytes, is_host


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", ("example.com", None)),
        ("example.com:5060", ("example.com", 5060)),
        (" example.com : 5060 ", ("example.com", 5060)),
        ("192.0.2.1:0005060", ("192.0.2.1", 5060)),
        ("[2001:db8::1]", ("[2001:db8::1]", None)),
        ("[2001:DB8::1] : 5061", ("[2001:DB8::1]", 5061)),
        ("[2001:db8::10:5070]", ("[2001:db8::10:5070]", None)),
        ("[2001:db8:::192.0.2.1]:1", ("[2001:db8:::192.0.2.1]", 1)),
        ("a.example.com.", ("a.example.com.", None)),
        ("xn--caf-dma.example:0", ("xn--caf-dma.example", 0)),
        ("1and1.example", ("1and1.example", None)),
        ("host_1", ("host_1", None)),
    ],
)
def test_host_and_port(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_host_port(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5060",
        "host:",
        "host:x",
        "host:65536",
        "host:-1",
        "host:٥",
        "2001:db8::1",
        "[2001:db8::1",
        "[::1]5060",
        "[::1::2]",
        "[zz::]",
        "[1.2.3.4]",
        "444.555.666.777",
        "1.2.3",
        "1.2.3.4.5",
        "a..b",
        ".a",
        "a b",
        "-a",
        "héé",
        "[::1.2.3.999]",
        "[::1.2.3]",
        "a" * 10 + ":" + "9" * 5000,
        "5060",
    ],
)
def test_malformed_host_or_port(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_host_port(text)
    if ":" not in text or text.startswith("["):
        assert not is_host(text)


def test_what_is_a_host() -> None:
    assert is_host("example.com")
    assert is_host("[::1]")
    assert is_host("192.0.2.1")
    assert not is_host("::1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # RFC 5954 section 4.2
        ("[::ffff:192.0.2.128]", "[::ffff:c000:280]"),
        ("[2001:db8::9:1]", "[2001:db8::9:01]"),
        ("[0:0:0:0:0:FFFF:129.144.52.38]", "[::FFFF:129.144.52.38]"),
        ("192.0.2.128", "192.00.02.128"),
        # RFC 5118 section 4.10
        ("[2001:db8:::192.0.2.1]", "[2001:db8::192.0.2.1]"),
        ("[:::192.0.2.1]", "[::192.0.2.1]"),
        ("AtLanTa.CoM", "atlanta.com"),
        ("atlanta.com.", "atlanta.com"),
        ("2001:DB8::1", "[2001:db8:0::1]"),
    ],
)
def test_hosts_that_are_the_same(one: str, other: str) -> None:
    assert canonical_host(one) == canonical_host(other)


def test_hosts_that_differ() -> None:
    assert canonical_host("192.0.2.1") != canonical_host("[::ffff:192.0.2.1]")
    assert canonical_host("[X::Y]") == "[x::y]"
    assert canonical_host("999.0.0.1") == "999.0.0.1"


def test_address_bytes() -> None:
    assert ipv4_bytes("192.0.2.010") == bytes([192, 0, 2, 10])
    assert ipv4_bytes("256.0.0.1") is None
    assert ipv4_bytes("host") is None
    assert ipv6_bytes("::1") == bytes(15) + b"\x01"
    assert ipv6_bytes("[::1") is None
    assert ipv6_bytes("1" * 100000) is None
