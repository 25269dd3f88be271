"""Challenges, credentials and Authentication-Info."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.auth_params import AuthenticationInfo, Challenge, Credentials

CREDENTIALS = (
    'Digest username="bob", realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="sip:bob@biloxi.com", '
    'qop=auth, nc=0000000a, cnonce="0a4f113b", response="6629FAE49393a05397450978507c4ef1", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)


def test_credentials_of_rfc_3261_section_22_4() -> None:
    found = Credentials.parse(CREDENTIALS)
    assert found.is_digest
    assert (found.username, found.realm, found.uri, found.qop) == ("bob", "biloxi.com", "sip:bob@biloxi.com", "auth")
    assert (found.nc, found.nc_text, found.cnonce) == (10, "0000000a", "0a4f113b")
    assert found.response == "6629fae49393a05397450978507c4ef1"
    assert found.opaque == "5ccc069c403ebaf9f0171e9517f40e41"
    assert found.algorithm == "MD5"
    assert not found.userhash
    assert found.get("nonce") == found.nonce == "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    assert found.get("stale") is None
    assert str(found) == CREDENTIALS


@pytest.mark.parametrize(
    "text",
    [
        'DIGEST Username = "bob" ,\trealm="r",nonce="n" , uri="u",response="x"',
        'digest username="bob",, realm="r",nonce="n",uri="u",response="x",',
        "Digest username=bob realm=r nonce=n uri=u response=x",
        '  Digest ,username="b\\ob",realm="r",nonce="n",uri="u",response="x",unknown=,unknown="y"',
    ],
)
def test_odd_spellings(text: str) -> None:
    found = Credentials.parse(text)
    assert (found.username, found.realm, found.nonce, found.uri, found.response) == ("bob", "r", "n", "u", "x")
    assert found.nc == 0


def test_unquoted_values_that_are_no_tokens_and_quoted_pairs() -> None:
    found = Credentials.parse(
        'Digest username="J \\"B\\\\", realm="a, b", nonce=abc==, uri=sip:a@b;x=y, response=x, algorithm="SHA-256"'
    )
    assert found.username == 'J "B\\'
    assert found.realm == "a, b"
    assert found.nonce == "abc=="
    assert found.uri == "sip:a@b;x=y"
    assert "algorithm=SHA-256" in str(found)
    assert Credentials.parse(str(found)) == found
    assert hash(Credentials.parse(str(found))) == hash(found)


def test_extended_user_name() -> None:
    rest = ', realm="r", nonce="n", uri="u", response="x", userhash=true'
    found = Credentials.parse("Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe" + rest)
    assert found.username == "J\u00e4s\u00f8n Doe"
    assert found.userhash
    assert Credentials.parse(str(found)) == found
    for bad in ("latin1''x", "UTF-8'x", "UTF-8''%ff", "UTF-8''%0d", "UTF-8''\u00e4"):
        with pytest.raises(RemoteProtocolError, match=r"Malformed Authorization header field: bad username\*"):
            Credentials.parse(f"Digest username*={bad}" + rest)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no authentication scheme"),
        ("=", "no authentication scheme"),
        ("Digest", "no realm"),
        ('Digest realm="r"', "no nonce"),
        ('Digest realm="r", nonce="n", uri="u", response="x"', "one username"),
        ('Digest realm="r", nonce="n", uri="u", response="x", username="a", username*=b', "one username"),
        (CREDENTIALS.replace('", realm', ", realm"), "bad parameter"),
        (CREDENTIALS + ', opaque="open', "bad parameter"),
        (CREDENTIALS + ", =x", "bad parameter"),
        (CREDENTIALS + ", x", "bad parameter"),
        (CREDENTIALS + ', x="a"b', "bad parameter"),
        (CREDENTIALS + ', NONCE="other"', "nonce stands twice"),
        (CREDENTIALS.replace("0000000a", "00000000a"), "bad nc"),
        (CREDENTIALS.replace("0000000a", "x"), "bad nc"),
        (CREDENTIALS.replace("nc=0000000a,", ""), "qop without"),
        (CREDENTIALS.replace("cnonce", "znonce"), "qop without"),
        (CREDENTIALS.replace("bob", "b\0b"), "control character"),
    ],
)
def test_malformed_credentials(text: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        Credentials.parse(text, header="Proxy-Authorization")
    assert caught.value.header == "Proxy-Authorization"
    assert caught.value.status == 400
    assert "Proxy-Authorization" in caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        'Digest username="Alice", realm="atlanta.com", nonce="84a4cc6f3082121f32b42a2187831a9e",'
        ' response="7587245234b3434cc3412213e5f113a5432"',
        'Digest username="Alice", realm="atlanta.com", nonce="c60f3082ee1212b402a21831ae",'
        ' response="245f23415f11432b3434341c022"',
    ],
)
def test_examples_of_rfc_3261_sections_20_7_and_20_28(text: str) -> None:
    """They have no digest-uri."""
    found = Credentials.parse(text)
    assert (found.username, found.realm, found.uri) == ("Alice", "atlanta.com", "")
    assert str(found) == text


def test_a_second_unknown_parameter_is_not_looked_at() -> None:
    assert Credentials.parse(CREDENTIALS + ', x=1, X="2"').get("x") == "1"


def test_other_schemes() -> None:
    # RFC 4475 section 3.3.7.
    found = Credentials.parse("NoOneKnowsThisScheme opaque-data=here")
    assert (found.scheme, found.params, found.token68) == ("NoOneKnowsThisScheme", {"opaque-data": "here"}, "")
    assert not found.is_digest
    assert (found.username, found.realm, found.uri, found.response, found.qop, found.nc) == ("", "", "", "", "", 0)
    assert (found.nonce, found.cnonce, found.nc_text, found.opaque) == ("", "", "", None)
    assert Credentials.parse("Foo nc=zz").nc == 0
    bearer = Credentials.parse("Bearer mF_9.B5f-4.1JqM== ")
    assert bearer.token68 == "mF_9.B5f-4.1JqM=="
    assert str(bearer) == "Bearer mF_9.B5f-4.1JqM=="
    assert Credentials("Bearer", token68="abc") == Credentials.parse("bearer abc")
    assert str(Challenge.parse("Negotiate")) == "Negotiate"


def test_secrets_stay_out_of_repr() -> None:
    assert repr(Credentials.parse(CREDENTIALS)) == "<Credentials Digest realm='biloxi.com'>"
    assert "abc" not in repr(Credentials.parse("Bearer abc"))
    assert "abc" not in repr(AuthenticationInfo.parse('rspauth="abc"'))


def test_build_credentials() -> None:
    made = Credentials.digest(
        username='a"b', realm="r", nonce="n", uri="sip:x", response="00", cnonce="c", nc=31, qop="auth", opaque=""
    )
    assert str(made) == (
        'Digest username="a\\"b", realm="r", nonce="n", uri="sip:x", response="00", algorithm=MD5, cnonce="c", '
        'qop=auth, nc=0000001f, opaque=""'
    )
    assert Credentials.parse(str(made)) == made
    old = Credentials.digest(username="a", realm="r", nonce="n", uri="u", response="0", params=[("X", "y")])
    assert str(old).endswith('algorithm=MD5, x="y"')
    assert old != made
    assert old != "x"


@pytest.mark.parametrize("changed", [{"nc": 0}, {"nc": 1 << 32}, {"algorithm": "a b"}, {"qop": "a,b"}, {"uri": "\r\n"}])
def test_build_bad_credentials(changed: dict[str, object]) -> None:
    fields: dict[str, object] = {"username": "a", "realm": "r", "nonce": "n", "uri": "u", "response": "0"}
    fields.update(nc=1, qop="auth")
    with pytest.raises(LocalProtocolError):
        Credentials.digest(**{**fields, **changed})  # type: ignore[arg-type]


def test_challenge() -> None:
    text = (
        'Digest realm="atlanta.com", domain="sip:a", qop="auth, AUTH-int", nonce="n", opaque="", stale="TRUE", x="y z"'
    )
    found = Challenge.parse(text)
    assert found.qop == ("auth", "auth-int")
    assert found.stale
    assert found.opaque == ""
    assert str(found) == text.replace('"TRUE"', "TRUE")
    assert Challenge.parse(str(found)) == found
    plain = Challenge.parse('Digest realm="a",nonce="b"')
    assert (plain.qop, plain.stale, plain.algorithm, plain.opaque) == ((), False, "MD5", None)
    assert plain != Credentials("Digest", plain.params)
    with pytest.raises(RemoteProtocolError, match="WWW-Authenticate header field: no nonce"):
        Challenge.parse('Digest realm="a"')


def test_build_challenge() -> None:
    made = Challenge.digest("r", "n", "SHA-256", qop=("auth", "auth-int"), opaque="o", stale=True, params=[("a", "b")])
    assert str(made) == (
        'Digest realm="r", nonce="n", opaque="o", stale=true, algorithm=SHA-256, qop="auth,auth-int", a="b"'
    )
    assert str(Challenge.digest("r", "n", qop=())) == 'Digest realm="r", nonce="n", algorithm=MD5'
    for build in (
        lambda: Challenge.digest("r\n", "n"),
        lambda: Challenge.digest("r", "n", "a b"),
        lambda: Challenge("a b"),
        lambda: Challenge("a", {"b c": "d"}),
        lambda: Challenge("a", {"b": "c"}, token68="d"),
        lambda: Challenge("a", token68="d e"),
    ):
        with pytest.raises(LocalProtocolError):
            build()


def test_authentication_info() -> None:
    found = AuthenticationInfo.parse('nextnonce="47364c23432d2e131a5fb210812c", rspauth="AB", qop=auth, nc=00000001')
    assert (found.nextnonce, found.rspauth, found.get("qop")) == ("47364c23432d2e131a5fb210812c", "ab", "auth")
    assert AuthenticationInfo.parse(str(found)) == found
    assert hash(AuthenticationInfo.parse(str(found))) == hash(found)
    assert str(AuthenticationInfo([("nextnonce", "n")])) == 'nextnonce="n"'
    assert found != "x"
    assert AuthenticationInfo.parse("a=b").nextnonce == AuthenticationInfo.parse("a=b").rspauth == ""
    for text in ("", ",", "x", "a=\0"):
        with pytest.raises(RemoteProtocolError, match="Authentication-Info"):
            AuthenticationInfo.parse(text)
    with pytest.raises(LocalProtocolError):
        AuthenticationInfo({})


@pytest.mark.parametrize("tail", [", " * 50_000, ' a="' * 50_000, "\\" * 100_000, '"\\"' * 50_000, "a=" * 50_000])
def test_long_nonsense_is_read_in_one_pass(tail: str) -> None:
    for text in (CREDENTIALS + tail, CREDENTIALS + ', x="' + tail):
        with suppress(RemoteProtocolError):
            Credentials.parse(text)


_PIECES = [
    "Digest ",
    "Bearer ",
    "realm",
    "nonce",
    "uri",
    "response",
    "username",
    "x",
    "=",
    ",",
    " ",
    '"',
    "\\",
    "\0",
    "\u00e4",
]


@given(st.lists(st.sampled_from(_PIECES)).map("".join) | st.text())
def test_no_exception_but_the_declared_one_and_exact_round_trip(text: str) -> None:
    for parse in (Challenge.parse, Credentials.parse, AuthenticationInfo.parse):
        try:
            found = parse(text)
        except RemoteProtocolError:
            continue
        assert parse(str(found)) == found  # type: ignore[operator]


_VALUE = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=["Cs"]))


@given(username=_VALUE, realm=_VALUE, nonce=_VALUE, uri=_VALUE, cnonce=_VALUE, opaque=_VALUE)
def test_built_credentials_read_back(**values: str) -> None:
    made = Credentials.digest(response="0", nc=1, qop="auth", **values)
    assert Credentials.parse(str(made)) == made


def test_an_extended_user_name_means_something_with_digest_alone() -> None:
    assert Credentials.parse("Other username*=UTF-8''%A4").username == ""
