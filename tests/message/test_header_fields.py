"""The registry: every field of the RFCs is there, and none raises anything but the declared exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.header_fields import FIELDS
from twisted_sip.message.header_names import REGISTERED, canonical, display
from twisted_sip.message.via import Via

# One legal element of each field, from the RFC that defines it.
EXAMPLES = {
    "Accept-Contact": "*;audio;video;explicit",
    "Accept": "application/sdp;level=1",
    "Accept-Encoding": "gzip;q=0.5",
    "Accept-Language": "en-gb;q=0.8",
    "Alert-Info": "<http://www.example.com/sounds/moo.wav>",
    "Allow": "INVITE",
    "Allow-Events": "presence.winfo",
    "Authentication-Info": 'nextnonce="47364c23432d2e131a5fb210812c"',
    "Authorization": 'Digest username="Alice", realm="atlanta.com", nonce="84a4cc6f", uri="sip:a", response="7587"',
    "Call-ID": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com",
    "Call-Info": "<http://www.example.com/alice/photo.jpg>;purpose=icon",
    "Contact": '"Mr. Watson" <sip:watson@worcester.bell-telephone.com>;q=0.7;expires=3600',
    "Content-Disposition": "session",
    "Content-Encoding": "gzip",
    "Content-Language": "fr",
    "Content-Length": "349",
    "Content-Type": "text/html;charset=ISO-8859-4",
    "CSeq": "4711 INVITE",
    "Date": "Sat, 13 Nov 2010 23:29:00 GMT",
    "Diversion": "<sip:bob@example.com>;reason=user-busy;counter=1",
    "Error-Info": "<sip:not-in-service-recording@atlanta.com>",
    "Event": "presence;id=7",
    "Expires": "5",
    "Flow-Timer": "120",
    "From": '"A. G. Bell" <sip:agb@bell-telephone.com>;tag=a48s',
    "History-Info": "<sip:bob@example.com>;index=1.1;rc=1",
    "In-Reply-To": "70710@saturn.bell-tel.com",
    "Max-Breadth": "60",
    "Max-Forwards": "6",
    "MIME-Version": "1.0",
    "Min-Expires": "60",
    "Min-SE": "90",
    "Organization": "Boxes by Bob",
    "P-Asserted-Identity": '"Cullen Jennings" <sip:fluffy@cisco.com>',
    "P-Preferred-Identity": "<tel:+14085264000>",
    "Path": "<sip:P3.EXAMPLEHOME.COM;lr>",
    "Priority": "emergency",
    "Privacy": "header;id",
    "Proxy-Authenticate": 'Digest realm="atlanta.com", nonce="f84f1cec41e6cbe5aea9c8e88d359"',
    "Proxy-Authorization": 'Digest username="Alice", realm="a", nonce="c60f", uri="sip:a", response="245f"',
    "Proxy-Require": "foo",
    "RAck": "776656 1 INVITE",
    "Reason": 'Q.850;cause=16;text="Terminated"',
    "Record-Route": "<sip:server10.biloxi.com;lr>",
    "Refer-To": "<sip:dave@denver.example.org?Replaces=12345%40192.168.118.3>",
    "Referred-By": '<sip:r@ref.example>;cid="2039@ref.example"',
    "Reject-Contact": '*;actor="msg-taker"',
    "Replaces": "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r",
    "Reply-To": "Bob <sip:bob@biloxi.com>",
    "Request-Disposition": "no-fork",
    "Require": "100rel",
    "Retry-After": "18000;duration=3600",
    "Route": "<sip:bigbox3.site3.atlanta.com;lr>",
    "RSeq": "988789",
    "Server": "HomeServer v2",
    "Service-Route": "<sip:HSP.EXAMPLEHOME.COM;lr>",
    "Session-Expires": "4000;refresher=uac",
    "SIP-ETag": "dx200xyz",
    "SIP-If-Match": "dx200xyz",
    "Subject": "Need more boxes",
    "Subscription-State": "active;expires=600",
    "Supported": "100rel",
    "Timestamp": "54",
    "To": "The Operator <sip:operator@cs.columbia.edu>;tag=287447",
    "Unsupported": "foo",
    "User-Agent": "Softphone Beta1.5",
    "Via": "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
    "Warning": '307 isi.edu "Session parameter not understood"',
    "WWW-Authenticate": 'Digest realm="atlanta.com", nonce="f84f1cec41e6cbe5aea9c8e88d359"',
}


def test_every_field_has_its_example_and_a_registered_name() -> None:
    assert {canonical(name) for name in EXAMPLES} == set(FIELDS)
    assert {display(name) for name in FIELDS} <= set(REGISTERED)


def _assert_same(one: object, other: object) -> None:
    # A Via is compared part by part by those who need it, and has no equality of its own.
    if isinstance(one, Via):
        one, other = str(one), str(other)
    assert one == other


@pytest.mark.parametrize(("name", "text"), EXAMPLES.items())
def test_examples_read_and_write(name: str, text: str) -> None:
    field = FIELDS[canonical(name)]
    assert field.name == canonical(name)
    value = field.parse(text)
    assert str(value) == text
    _assert_same(field.parse(str(value)), value)
    assert field.many or not field.comma


def test_challenges_and_credentials_are_no_comma_lists() -> None:
    # RFC 3261 section 7.3.1.
    for name in ("www-authenticate", "proxy-authenticate", "authorization", "proxy-authorization"):
        assert FIELDS[name].many
        assert not FIELDS[name].comma
    with pytest.raises(RemoteProtocolError, match="Malformed Proxy-Authenticate"):
        FIELDS["proxy-authenticate"].parse("Digest")


_MAY_BE_EMPTY = {"subject", "organization", "server", "user-agent"}


@pytest.mark.parametrize("name", sorted(set(FIELDS) - _MAY_BE_EMPTY))
def test_errors_name_the_header_field(name: str) -> None:
    for text in ("", "\0"):
        with pytest.raises(RemoteProtocolError) as caught:
            FIELDS[name].parse(text)
        assert caught.value.header == display(name)
        assert display(name) in caught.value.reason


_LEGAL = list(EXAMPLES.values())
_PIECES = [
    "a",
    "1",
    "=",
    ";",
    ",",
    " ",
    "\t",
    '"',
    "\\",
    "<",
    ">",
    "(",
    ")",
    "@",
    "sip:",
    "*",
    "/",
    ".",
    "\0",
    "\u0661",
]
_NEAR_LEGAL = st.builds(
    lambda text, place, piece, cut: text[: place % (len(text) + 1)] + piece + text[place % (len(text) + 1) + cut :],
    st.sampled_from(_LEGAL),
    st.integers(0, 200),
    st.sampled_from(_PIECES),
    st.integers(0, 3),
)


@settings(max_examples=400)
@given(_NEAR_LEGAL | st.lists(st.sampled_from(_PIECES)).map("".join) | st.text())
def test_no_exception_but_the_declared_one_and_exact_round_trip(text: str) -> None:
    for name, field in FIELDS.items():
        try:
            value = field.parse(text)
        except RemoteProtocolError as error:
            assert error.header == display(name)
            continue
        _assert_same(field.parse(str(value)), value)
