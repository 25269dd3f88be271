"""Which credentials are ours, what they were made for, and that no shape of them raises."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from twisted_sip.auth.authenticator import Accepted, Challenge, Refused
from twisted_sip.auth.credentials import consume_credentials, credentials_for, made_for, user_of
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI

REALM = "example.com"


def ours(realm: str = REALM, user: str = "alice") -> str:
    return f'Digest username="{user}", realm="{realm}", nonce="n", uri="sip:x", response="00"'


@pytest.mark.parametrize(
    ("method", "digest_uri", "request_uri", "same"),
    [
        ("INVITE", "sip:bob@example.com", "sip:bob@example.com", True),
        ("INVITE", "sip:bob@example.com;transport=tcp", "sip:bob@example.com", True),
        ("INVITE", "sip:bob@Example.Com.:5060", "sip:bob@example.com", True),
        ("INVITE", "sips:bob@example.com", "sip:bob@example.com", True),
        ("INVITE", "<sip:bob@example.com>", "sip:bob@example.com", True),
        ("INVITE", "sip:%62ob@example.com", "sip:bob@example.com", True),
        ("INVITE", "sip:bob@[2001:db8:0::1]", "sip:bob@[2001:DB8::1]", True),
        ("INVITE", "sip:Bob@example.com", "sip:bob@example.com", False),
        ("INVITE", "sip:bob@example.com:5070", "sip:bob@example.com", False),
        ("INVITE", "sip:bob@example.com", "sip:bob@example.net", False),
        ("INVITE", "sip:example.com", "sip:bob@example.com", False),
        ("INVITE", "sip:bob@example.com", "tel:+1234", False),
        ("INVITE", "tel:+1234", "tel:+1234", True),
        ("INVITE", "tel:+12345", "tel:+1234", False),
        ("INVITE", "", "sip:bob@example.com", False),
        ("INVITE", "sip:@@", "sip:bob@example.com", False),
        ("REGISTER", "sip:example.com", "sip:example.com;transport=udp", True),
        ("REGISTER", "sip:alice@example.com", "sip:example.com", True),
        ("REGISTER", "sip:example.com", "sip:192.0.2.1", True),
        ("REGISTER", "sip:192.0.2.1:5060", "sip:192.0.2.1", True),
        ("REGISTER", "sip:example.net", "sip:example.com", False),
    ],
)
def test_digest_uris(method: str, digest_uri: str, request_uri: str, same: bool) -> None:
    """RFC 7616 section 3.4.6 with the habits of phones."""
    assert made_for(digest_uri, Request(method, request_uri), REALM) is same


def test_the_address_of_the_server_will_do_for_any_target() -> None:
    """SIPp and some gateways always write the address that they send to."""
    request = Request("INVITE", "sip:bob@example.com")

    def is_ours(uri: URI) -> bool:
        return isinstance(uri, SIPURI) and (uri.host, uri.port) == ("192.0.2.1", 5060)

    assert made_for("sip:192.0.2.1:5060", request, REALM, is_ours)
    assert not made_for("sip:192.0.2.1:5060", request, REALM)
    assert not made_for("sip:192.0.2.2:5060", request, REALM, is_ours)
    assert not made_for("sip:carol@192.0.2.1:5060", request, REALM, is_ours)
    assert made_for("sip:192.0.2.1:5060", Request("REGISTER", "sip:example.com"), REALM, is_ours)


def test_users_are_compared_unescaped() -> None:
    assert user_of(SIPURI.parse("sip:j%C3%A4s@x")) == "jäs"
    assert user_of(SIPURI.parse("sip:x")) == ""


def test_values_looked_at_are_few() -> None:
    request = Request("INVITE", "sip:x", [("Authorization", ours("other"))] * 8 + [("Authorization", ours())])
    assert credentials_for(request, REALM, False) == []


def test_consuming_takes_our_realm_alone() -> None:
    """RFC 3261 section 22.3."""
    others = [ours("other.example"), "Digest garbage", "Bearer abc"]
    request = Request(
        "INVITE",
        "sip:x",
        [
            ("Proxy-Authorization", others[0]),
            ("Proxy-Authorization", ours()),
            ("Proxy-Authorization", others[1]),
            ("Proxy-Authorization", others[2]),
            ("Authorization", ours()),
        ],
    )
    consume_credentials(request, REALM)
    assert request.headers.all("proxy-authorization") == others
    assert request.headers.all("authorization") == [ours()]
    before = list(request.headers)
    consume_credentials(request, REALM)
    assert list(request.headers) == before


def test_consuming_the_only_one() -> None:
    request = Request("INVITE", "sip:x", [("Proxy-Authorization", ours())])
    consume_credentials(request, REALM)
    assert "proxy-authorization" not in request.headers
    consume_credentials(request, REALM)


_NAMES = ["username", "username*", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "qop", "nc", "opaque"]
_NAMES += ["userhash", "stale", "NC", "x"]
_VALUES = st.one_of(
    st.sampled_from(
        ["", "alice", REALM, "sip:example.com", "MD5", "md5-sess", "SHA-256", "auth", "auth-int", "00000001"]
    ),
    st.sampled_from(
        ["true", "0" * 60, "f" * 32, "UTF-8''%ff", "UTF-8''a", "00000000", "ffffffff", "-1", "1e3", "\udcff"]
    ),
    st.text(max_size=40),
)
_PARAMS = st.lists(
    st.tuples(st.sampled_from(_NAMES), _VALUES, st.sampled_from(['{}="{}"', "{}={}", '{} = "{}"', "{}"]))
)


def _line(scheme: str, params: list[tuple[str, str, str]], glue: str) -> str:
    return f"{scheme} " + glue.join(shape.format(name, value) for name, value, shape in params)


_SHAPES = st.one_of(
    st.text(max_size=200),
    st.builds(
        _line, st.sampled_from(["Digest", "digest", "Basic", "", "Dig est"]), _PARAMS, st.sampled_from([", ", ",", " "])
    ),
)


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(shape=_SHAPES, replaced=st.sampled_from(_NAMES), value=_VALUES)
@example(shape='Digest username="é", realm="example.com"', replaced="nc", value="٣")
def test_no_shape_raises(make_world: Any, shape: str, replaced: str, value: str) -> None:
    world = make_world()
    for text in (shape, world.answer(x="y").replace(f"{replaced}=", f'{replaced}="{value}", y=', 1)):
        text = text.replace("\r", "").replace("\n", "").replace("\0", "")
        assert isinstance(world.check(text), Accepted | Challenge | Refused)
        request = world.request(text, proxy=True)
        consume_credentials(request, REALM)
    # Whatever came before, who knows the password is let in.
    assert isinstance(world.check(world.answer()), Accepted)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60))
def test_no_digest_uri_raises(text: str) -> None:
    assert made_for(text, Request("INVITE", "sip:bob@example.com"), REALM) in (True, False)


def test_what_cannot_be_read_leaves_no_garbage() -> None:
    """A flood of such requests would wait for the collector, large as they are."""
    request = Request("REGISTER", "sip:example.com", [("Authorization", "Digest " + "a=" * 50)])
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            with contextlib.suppress(RemoteProtocolError):
                credentials_for(request, REALM, False)
        assert gc.collect() < 10
    finally:
        gc.enable()
