"""The arithmetic against the published examples: RFC 2617 section 3.5, RFC 7616 section 3.9, RFC 8760."""

from __future__ import annotations

import hashlib

import pytest

from twisted_sip.auth.digest import base_algorithm, digest_response, ha1, ha1s, hashed_username, is_session
from twisted_sip.errors import LocalProtocolError

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def test_rfc_2617_example() -> None:
    response = digest_response(
        ha1("Mufasa", "testrealm@host.com", "Circle Of Life"),
        "GET",
        "/dir/index.html",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop="auth",
        nc="00000001",
        cnonce="0a4f113b",
    )
    assert response == "6629fae49393a05397450978507c4ef1"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_first_example(algorithm: str, expected: str) -> None:
    key = ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    response = digest_response(
        key, "GET", "/dir/index.html", NONCE, algorithm=algorithm, qop="auth", nc="00000001", cnonce=CNONCE
    )
    assert response == expected


def test_rfc_7616_second_example_as_corrected() -> None:
    """The printed values of section 3.9.2 are SHA-512 cut short; these are of SHA-512/256 (erratum 4897)."""
    user, realm = "Jäsøn Doe", "api@example.org"
    assert (
        hashed_username(user, realm, "SHA-512-256")
        == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    )
    response = digest_response(
        ha1(user, realm, "Secret, or not?", "SHA-512-256"),
        "GET",
        "/doe.json",
        "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        algorithm="SHA-512-256",
        qop="auth",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert response == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


@pytest.mark.parametrize(("name", "plain"), [("MD5-sess", "md5"), ("sha-256-SESS", "sha256")])
def test_sessions_hash_the_ha1_with_both_nonces(name: str, plain: str) -> None:
    """RFC 7616 section 3.4.2."""

    def hashed(text: str) -> str:
        return hashlib.new(plain, text.encode()).hexdigest()

    session = hashed(f"{hashed('u:r:p')}:n:c")
    expected = hashed(f"{session}:n:00000002:c:auth:{hashed('INVITE:sip:b@x')}")
    key = ha1("u", "r", "p", name)
    assert (
        digest_response(key, "INVITE", "sip:b@x", "n", algorithm=name, qop="auth", nc="00000002", cnonce="c")
        == expected
    )


def test_auth_int_covers_the_body() -> None:
    """RFC 7616 section 3.4.3; the hash of an empty body is that of an empty text (RFC 8760 section 2.6 item 7)."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    key = ha1("u", "r", "p")
    expected = md5(f"{key}:n:00000001:c:auth-int:{md5('INVITE:sip:b@x:d41d8cd98f00b204e9800998ecf8427e')}")
    given = {"qop": "auth-int", "nc": "00000001", "cnonce": "c"}
    assert digest_response(key, "INVITE", "sip:b@x", "n", **given) == expected
    assert digest_response(key, "INVITE", "sip:b@x", "n", body=b"v=0", **given) != expected


def test_without_qop_as_in_rfc_2069() -> None:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    key = ha1("u", "r", "p")
    assert digest_response(key, "REGISTER", "sip:x", "n") == md5(f"{key}:n:{md5('REGISTER:sip:x')}")


def test_bytes_that_are_no_utf8_are_hashed_as_they_came() -> None:
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert ha1(text, "r", "p") == hashlib.md5(b"caf\xe9:r:p").hexdigest()


def test_every_algorithm_is_kept() -> None:
    kept = ha1s("u", "r", "p")
    assert list(kept) == ["SHA-512-256", "SHA-256", "MD5"]
    assert [len(value) for value in kept.values()] == [64, 64, 32]
    assert kept["SHA-256"] == hashlib.sha256(b"u:r:p").hexdigest()


def test_names_of_algorithms() -> None:
    assert base_algorithm("md5-sess") == "MD5"
    assert base_algorithm("SHA-512") == ""
    assert is_session("SHA-256-Sess") and not is_session("SHA-256")
    with pytest.raises(LocalProtocolError, match="SHA-1"):
        ha1("u", "r", "p", "SHA-1")
