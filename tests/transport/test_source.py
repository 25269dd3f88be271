"""received and rport are written as they are due, and what is remembered of the way back is what the Via says."""

from __future__ import annotations

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.via import Via
from twisted_sip.transport.source import datagram_reply_address, note_source

HERE = Address("192.0.2.1", 5070)
SIX = Address("2001:db8::1", 5070)
LINK = Address("fe80::1%eth0", 5070)


def noted(via: str, source: Address) -> Request:
    data = (
        f"OPTIONS sip:example.com SIP/2.0\r\n{via}\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
        "Call-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    request = parse_message(data.encode())
    assert isinstance(request, Request)
    note_source(request, source)
    return request


@pytest.mark.parametrize(
    ("via", "source", "expected", "back"),
    [
        # Right, and nothing asked for.
        ("192.0.2.1:5070;branch=z9hG4bK1", HERE, None, HERE),
        ("192.0.2.1:5090;branch=z9hG4bK1", HERE, None, Address("192.0.2.1", 5090)),
        ("192.0.2.1;branch=z9hG4bK1", HERE, None, Address("192.0.2.1", 5060)),
        ("192.0.2.1:5070;branch=z9hG4bK1;x=y", HERE, None, HERE),
        ("[2001:DB8:0::1]:5070;branch=z9hG4bK1", SIX, None, SIX),
        # Wrong, and nothing asked for.
        ("10.1.1.1:5070;branch=z9hG4bK1", HERE, "10.1.1.1:5070;branch=z9hG4bK1;received=192.0.2.1", HERE),
        (
            "phone.local;branch=z9hG4bK1",
            HERE,
            "phone.local;branch=z9hG4bK1;received=192.0.2.1",
            HERE._replace(port=5060),
        ),
        # RFC 3581 section 4.
        (
            "10.1.1.1:9;rport;branch=z9hG4bK1",
            HERE,
            "10.1.1.1:9;received=192.0.2.1;rport=5070;branch=z9hG4bK1",
            HERE,
        ),
        (
            "10.1.1.1:9;branch=z9hG4bK1;rport",
            HERE,
            "10.1.1.1:9;branch=z9hG4bK1;received=192.0.2.1;rport=5070",
            HERE,
        ),
        (
            "10.1.1.1:9;branch=z9hG4bK1;RPORT;alias",
            HERE,
            "10.1.1.1:9;branch=z9hG4bK1;received=192.0.2.1;rport=5070;alias",
            HERE,
        ),
        # What the peer chose itself is overwritten.
        (
            "10.1.1.1:9;branch=z9hG4bK1;received=203.0.113.9;rport=7",
            HERE,
            "10.1.1.1:9;branch=z9hG4bK1;received=192.0.2.1;rport=5070",
            HERE,
        ),
        (
            "192.0.2.1:9;branch=z9hG4bK1;received=203.0.113.9",
            HERE,
            "192.0.2.1:9;branch=z9hG4bK1;received=192.0.2.1",
            Address("192.0.2.1", 9),
        ),
        ("192.0.2.1:5070;maddr=239.1.1.1;branch=z9hG4bK1", HERE, None, Address("239.1.1.1", 5070)),
        (
            "10.1.1.1:9;maddr=239.1.1.1;branch=z9hG4bK1;rport",
            HERE,
            "10.1.1.1:9;maddr=239.1.1.1;branch=z9hG4bK1;received=192.0.2.1;rport=5070",
            Address("239.1.1.1", 9),
        ),
        # The scope of a link-local address means nothing to the peer.
        (
            "[fe80::9]:9;branch=z9hG4bK1;rport",
            LINK,
            "[fe80::9]:9;branch=z9hG4bK1;received=fe80::1;rport=5070",
            Address("fe80::1", 5070),
        ),
    ],
)
def test_note_source(via: str, source: Address, expected: str | None, back: Address) -> None:
    request = noted(f"v:  SIP/2.0/UDP {via}", source)
    changed = f"SIP/2.0/UDP {expected or via}"
    assert request.headers.first("via") == str(request.top_via) == changed
    top = request.top_via
    assert datagram_reply_address(Via.parse(changed)) == back or back is SIX
    assert top.reply_address in (back, None)
    assert (top.branch, top.received, top.rport) == (
        "z9hG4bK1",
        Via.parse(changed).received,
        Via.parse(changed).rport,
    )


def test_the_usual_ones_are_remembered() -> None:
    for via in ("192.0.2.1:5070;branch=z9hG4bK1", "10.1.1.1;rport;branch=z9hG4bK1", "10.1.1.1:9;branch=z9hG4bK1;rport"):
        assert noted(f"Via: SIP/2.0/UDP {via}", HERE).top_via.reply_address is HERE


def test_values_that_share_a_line() -> None:
    request = noted("Via: SIP/2.0/UDP 10.1.1.1;rport;branch=z9hG4bK1, SIP/2.0/UDP 10.2.2.2;branch=z9hG4bK2", HERE)
    assert [str(via) for via in request.vias] == [
        "SIP/2.0/UDP 10.1.1.1;received=192.0.2.1;rport=5070;branch=z9hG4bK1",
        "SIP/2.0/UDP 10.2.2.2;branch=z9hG4bK2",
    ]
