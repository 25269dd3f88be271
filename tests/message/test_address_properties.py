"""Whatever a peer sends: it reads back byte for byte or is refused, and takes linear time."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.cseq import CSeq
from twisted_sip.message.escapes import escape_parameter, escape_user, normal_form, unescape, unescape_user
from twisted_sip.message.grammar import parse_host_port, parse_params, quote, split_list, unquote
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.tel_uri import TelURI
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.message.via import Via

# Text as it comes off the wire: any bytes; and text that is nearly right, made of the pieces that matter.
wire = st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape"))
pieces = st.lists(
    st.sampled_from(
        [
            "sip:",
            "sips:",
            "tel:",
            "SIP/2.0/UDP ",
            "alice",
            "@",
            "example.com",
            "[2001:db8::1]",
            "192.0.2.1",
            ":",
            "5060",
            "::",
            ";",
            ";tag=",
            ";branch=",
            ";rport",
            "=",
            "?",
            "&",
            "%",
            "%41",
            "%00",
            "<",
            ">",
            '"',
            "\\",
            " ",
            "\t",
            ",",
            "(",
            ")",
            "+1",
            "phone-context=",
            "\r\n",
            "\0",
            "é",
            "\udcff",
            "*",
            "/",
            "1 INVITE",
            "٣",
        ]
    ),
    max_size=14,
).map("".join)
text = wire | pieces | st.text(max_size=30)

# Reason-Phrase in ASCII (RFC 3261 section 25.1): reasons quote what the peer sent.
is_reason = re.compile(r"(?:[A-Za-z0-9;/?:@&=+$,\-_.!~*'() ]|%[0-9A-F]{2})*").fullmatch

READ: list[tuple[Callable[[str], Any], tuple[str, ...]]] = [
    (Via.parse, ("branch", "received", "rport", "ttl", "maddr", "sent_by", "params")),
    (NameAddr.parse, ("tag", "display_name", "uri", "params")),
    (SIPURI.parse, ("transport", "lr", "maddr", "ttl", "method", "params", "address_of_record")),
    (TelURI.parse, ("digits", "phone_context", "mandatory_params", "params")),
    (parse_uri, ()),
]


@settings(deadline=None)
@given(text)
def test_values_read_back_exactly_or_are_refused(peer: str) -> None:
    for parse, attributes in READ:
        try:
            value = parse(peer)
            for name in attributes:
                getattr(value, name)
        except RemoteProtocolError as error:
            assert is_reason(error.reason)
            continue
        assert str(value) == peer
        assert "\r" not in peer
        assert "\n" not in peer


@settings(deadline=None)
@given(text)
def test_other_readers_raise_nothing_else(peer: str) -> None:
    for parse in (parse_params, parse_host_port, CSeq.parse):
        try:
            parse(peer)
        except RemoteProtocolError as error:
            assert is_reason(error.reason)
    unquote(peer)
    unescape(peer)
    assert normal_form(normal_form(peer)) == normal_form(peer)
    for separator in ",;":
        elements = split_list(peer, separator)
        assert all(elements)
        assert split_list(separator.join(elements), separator) == elements or '"' in peer or "<" in peer or "(" in peer


@settings(deadline=None)
@given(text, text)
def test_comparison_is_symmetric_and_agrees_with_the_key(one: str, other: str) -> None:
    try:
        left, right = parse_uri(one), parse_uri(other)
    except RemoteProtocolError:
        return
    assert left.equivalent(left)
    same = left.equivalent(right)
    assert same == right.equivalent(left)
    if same:
        assert left.canonical() == right.canonical()


@settings(deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_what_we_make_reads_back(user: str, name: str, value: str) -> None:
    uri = SIPURI(
        "example.com", escape_user(user) or None, 5060, [(escape_parameter(name or "n"), escape_parameter(value))]
    )
    again = SIPURI.parse(str(uri))
    assert again.equivalent(uri)
    assert unescape(again.user or "") == user
    assert unescape(again.params.get(again.params.items()[0][0]) or "") == value
    assert unescape_user(unescape_user(again.user or "")) == unescape_user(again.user or "")
    assert SIPURI.parse(again.address_of_record).address_of_record == again.address_of_record
    try:
        address = NameAddr.build(uri, name, [("x", quote(value))])
    except LocalProtocolError:
        assert any(char in name + value for char in "\r\n\0")
        return
    read = NameAddr.parse(str(address))
    assert read.display_name == name
    assert unquote(read.params.get("x") or "") == value
    assert str(read.uri) == str(uri)


HOSTILE = [
    "1",
    "a",
    "a.",
    ":",
    "::",
    ";",
    ";a",
    ";a=",
    "(",
    "( ",
    ") (",
    '"',
    '\\"',
    '"\\',
    '" ',
    "<",
    "<>",
    "%",
    "%41",
    "@",
    ",",
    ' "a",',
    " ",
    "\t",
    "-",
    "[",
    "[:",
    "?a=b&",
    "a@",
    "é",
    "0",
    "/",
    " /",
]


@pytest.mark.parametrize("piece", ["?a=b", "&a=b", "&a=%3C", "&a=%3Csip:b%3E", ";a", ";a=b", ";%41", "%41"])
def test_comparison_time_is_linear_in_the_length(piece: str) -> None:
    middle = "?x=" if piece.startswith("&") else ""
    hostile = f"sip:a@b{middle}" + piece * (65536 // len(piece)) if piece != "%41" else f"sip:{'%41' * 20000}@b"
    one, other = SIPURI.parse(hostile), SIPURI.parse(hostile.replace("sip:", "SIP:"))
    begin = process_time()
    assert one.equivalent(other)
    assert process_time() - begin < 2.0


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear_in_the_length(piece: str) -> None:
    # 64 KiB of anything. Quadratic behaviour takes seconds here, linear behaviour milliseconds.
    prefixes = (
        "",
        "sip:",
        "sip:a@b",
        "tel:",
        "tel:+",
        "tel:1;phone-context=",
        "SIP/2.0/UDP ",
        "SIP/2.0/UDP h;",
        '"',
        "<sip:",
        "x ",
    )
    parsers: tuple[Callable[[str], object], ...] = (
        Via.parse, NameAddr.parse, parse_uri, CSeq.parse, parse_params, parse_host_port, split_list, unquote, unescape,
    )  # fmt: skip
    for prefix in prefixes:
        hostile = prefix + piece * (65536 // len(piece)) + "\x01"
        begin = process_time()
        for parse in parsers:
            try:
                value = parse(hostile)
                if isinstance(value, NameAddr):
                    _ = value.display_name, value.tag, value.params, value.uri
            except RemoteProtocolError:
                pass
        assert process_time() - begin < 2.0
