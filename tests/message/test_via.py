"""Via values (RFC 3261 sections 18.2.1, 20.42, RFC 3581; RFC 4475 and RFC 5118 where they touch Via)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import split_list
from twisted_sip.message.via import Via


def test_ordinary_value() -> None:
    text = "SIP/2.0/UDP Pc33.Atlanta.com:5066;branch=z9hG4bK776asdhds;rport;ttl=16;maddr=224.2.0.1;x"
    via = Via.parse(text)
    assert via.transport == "UDP"
    assert via.host == "Pc33.Atlanta.com"
    assert via.port == 5066
    assert via.sent_by == "pc33.atlanta.com:5066"
    assert via.branch == "z9hG4bK776asdhds"
    assert via.rport == 0
    assert via.ttl == 16
    assert via.maddr == "224.2.0.1"
    assert via.received == ""
    assert via.branch == "z9hG4bK776asdhds"  # now from the parameters that were read meanwhile
    assert str(via) == text
    assert repr(via) == f"<Via {text}>"


def test_what_may_be_absent() -> None:
    via = Via.parse("SIP/2.0/TLS host")
    assert via.port is None
    assert via.sent_by == "host"
    assert via.branch == ""
    assert via.rport is None
    assert via.ttl is None
    assert via.maddr == ""
    assert via.received == ""
    assert via.branch == ""
    assert len(via.params) == 0


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "branch"),
    [
        # RFC 4475 section 3.1.1.1, unfolded
        ("SIP  /   2.0  /UDP     192.0.2.2;branch=390skdjuw", "UDP", "192.0.2.2", None, "390skdjuw"),
        (
            "SIP  / 2.0  / TCP     spindle.example.com   ;  branch  =   z9hG4bK9ikj8",
            "TCP",
            "spindle.example.com",
            None,
            "z9hG4bK9ikj8",
        ),
        ("SIP/2.0/UDP host : 5060 ; branch = x", "UDP", "host", 5060, "x"),
        ("SIP/2.0/UDP\thost;branch=x", "UDP", "host", None, "x"),
        ("SIP/2.0/udp host;Branch=x", "UDP", "host", None, "x"),
        ("sip/2.0/WsS host;z;BRANCH=x;branch=y", "WSS", "host", None, "x"),
        ("SIP/2.0/TCP host;z;BRANCH=x;branch=y", "TCP", "host", None, "x"),
        # section 3.1.1.10
        ("SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en", "UNKNOWN", "t4.example.com", None, "z9hG4bKasd0f3en"),
        # section 3.1.1.2
        (
            "SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
            "TCP",
            "host1.example.com",
            None,
            "z9hG4bK-.!%66*_+`'~",
        ),
        # section 3.1.2.16: the version is the start line's business
        ("SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw", "UDP", "c.example.com", None, "z9hG4bKkdjuw"),
        # RFC 5118 section 4.9
        (
            "SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19",
            "UDP",
            "[::ffff:192.0.2.10]",
            19823,
            "z9hG4bKbh19",
        ),
        ('SIP/2.0/UDP host;x="a;branch=no";branch=yes', "UDP", "host", None, "yes"),
        ("SIP/2.0/UDP host;branch", "UDP", "host", None, ""),
        ("SIP/2.0/UDP host ;branch", "UDP", "host", None, ""),
    ],
)
def test_unusual_but_valid(text: str, transport: str, host: str, port: int | None, branch: str) -> None:
    via = Via.parse(text)
    assert (via.transport, via.host, via.port, via.branch) == (transport, host, port, branch)
    assert via.params.get("branch", "") == (branch or None)
    assert str(via) == text


def test_received_with_and_without_brackets() -> None:
    # RFC 5118 section 4.5
    with_brackets = Via.parse("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111")
    without = Via.parse("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3")
    assert with_brackets.received == without.received == "2001:db8::9:255"


def test_rport_with_value() -> None:
    via = Via.parse("SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1;rport=9988;branch=z9hG4bKkjshdyff")
    assert via.rport == 9988
    assert via.received == "192.0.2.1"
    assert Via.parse("SIP/2.0/UDP h;rport=").rport == 0


@pytest.mark.parametrize("tail", ["rport=x", "rport=65536", "rport=-1", "rport=" + "9" * 5000])
def test_malformed_rport(tail: str) -> None:
    with pytest.raises(RemoteProtocolError):
        _ = Via.parse(f"SIP/2.0/UDP h;{tail}").rport


def test_malformed_ttl() -> None:
    with pytest.raises(RemoteProtocolError):
        _ = Via.parse("SIP/2.0/UDP h;ttl=256").ttl


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0 host",
        "SIP/2.0/UDP/x host",
        "SIP/2.0/U@P host",
        "SIP/2.0/UDP ;branch=x",
        "SIP/2.0/UDP host:99999",
        "SIP/2.0/UDP host:123456789",
        "SIP/2.0/UDP host:",
        "SIP/2.0/UDP 2001:db8::1",
        "SIP/2.0/UDP [::1::2];branch=x",
        "SIP/2.0/UDP [::1::2] ;branch=x",
        "SIP/2.0/UDP a b;branch=x",
        # RFC 4475 section 3.1.2.1
        "SIP/2.0/UDP 192.0.2.15;;",
        "SIP/2.0/UDP 192.0.2.15;",
        "SIP/2.0/UDP 192.0.2.15; ;a",
        ";",
        'SIP/2.0/UDP host;x="open',
        "SIP/2.0/UDP host;branch=a b",
        "SIP/2.0/UDP host, SIP/2.0/UDP other",
        "SIP/2.0/UDP host;branch=x\r\nEvil: 1",
        "SIP/2.0/UDP host\n",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Via.parse(text)
    assert caught.value.header == "Via"
    assert caught.value.status == 400


def test_build() -> None:
    via = Via.build("TCP", "[2001:db8::1]", 5070, [("branch", "z9hG4bKx"), ("rport", None)])
    assert str(via) == "SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKx;rport"
    assert str(Via.build("UDP", "host")) == "SIP/2.0/UDP host"


@pytest.mark.parametrize(
    ("transport", "host", "branch"),
    [("UDP", "a b", "x"), ("U P", "a", "x"), ("UDP", "a\r\nb", "x"), ("UDP", "a", "x;y")],
)
def test_build_refuses_what_would_not_read_back(transport: str, host: str, branch: str) -> None:
    with pytest.raises(LocalProtocolError):
        Via.build(transport, host, None, [("branch", branch)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SIP/2.0/UDP h;branch=x", "SIP/2.0/UDP h;branch=x;received=192.0.2.1"),
        ("SIP/2.0/UDP h;received=1.1.1.1;branch=x", "SIP/2.0/UDP h;received=192.0.2.1;branch=x"),
        ("SIP / 2.0 / UDP h ; branch = x", "SIP / 2.0 / UDP h;branch=x;received=192.0.2.1"),
        ("SIP/2.0/UDP h ", "SIP/2.0/UDP h;received=192.0.2.1"),
    ],
)
def test_with_a_parameter(before: str, after: str) -> None:
    via = Via.parse(before)
    changed = via.with_("received", "192.0.2.1")
    assert str(changed) == after
    assert changed.received == "192.0.2.1"
    assert changed.branch == via.branch
    assert str(via) == before
    again = Via.parse(after)
    assert (again.transport, again.sent_by, again.params) == (changed.transport, changed.sent_by, changed.params)


def test_rport_is_filled_in_its_place() -> None:
    via = Via.parse("SIP/2.0/UDP h:1;rport;branch=x").with_("rport", "5060")
    assert str(via) == "SIP/2.0/UDP h:1;rport=5060;branch=x"
    assert str(via.without("rport")) == "SIP/2.0/UDP h:1;branch=x"
    assert via.without("absent") is via
    assert str(Via.parse("SIP/2.0/UDP h;rport").without("rport")) == "SIP/2.0/UDP h"


def test_a_changed_value_is_checked() -> None:
    with pytest.raises(LocalProtocolError):
        Via.parse("SIP/2.0/UDP h").with_("received", "a b")


def test_two_values_in_one_line() -> None:
    # RFC 4475 section 3.1.1.1, unfolded
    line = (
        "SIP  / 2.0  / TCP     spindle.example.com   ; branch  =   z9hG4bK9ikj8  ,"
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch= z9hG4bK30239"
    )
    first, second = (Via.parse(value) for value in split_list(line))
    assert (first.transport, first.sent_by, first.branch) == ("TCP", "spindle.example.com", "z9hG4bK9ikj8")
    assert (second.transport, second.sent_by, second.branch) == ("UDP", "192.168.255.111", "z9hG4bK30239")
