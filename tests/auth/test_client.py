"""The client's side: whom it answers, with what, and that it works against our own server."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.auth.authenticator import Accepted, Challenge
from twisted_sip.auth.client import ANY_REALM, DigestClient
from twisted_sip.auth.digest import digest_response, ha1, ha1s, hashed_username
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.auth_params import Credentials
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

REALM = "example.com"


def request(method: str = "INVITE", body: bytes = b"") -> Request:
    return Request(
        method,
        "sip:bob@example.com",
        [("From", "<sip:alice@Example.com>;tag=1"), ("To", "<sip:bob@example.com>"), ("Call-ID", "a")],
        body,
    )


def digest(realm: str = REALM, nonce: str = "n", algorithm: str = "MD5", rest: str = ', qop="auth"') -> str:
    return f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}{rest}'


def response(*challenges: str, status: int = 401, name: str = "") -> Response:
    name = name or ("WWW-Authenticate" if status == 401 else "Proxy-Authenticate")
    return Response(status, headers=[(name, value) for value in challenges])


def client(**options: Any) -> DigestClient:
    return DigestClient("alice", "wonderland", token=lambda: "cnonce", **options)


def given(made: Request | None, name: str = "authorization") -> list[Credentials]:
    assert made is not None
    return [Credentials.parse(text) for text in made.headers.all(name)]


def test_an_answer() -> None:
    before = request()
    made = client().authorize(before, response(digest(rest=', qop="auth-int, auth", opaque="o\\"p"')))
    [credentials] = given(made)
    assert credentials.username == "alice"
    assert (credentials.qop, credentials.nc_text, credentials.cnonce) == ("auth", "00000001", "cnonce")
    assert (credentials.uri, credentials.opaque) == ("sip:bob@example.com", 'o"p')
    key = ha1("alice", REALM, "wonderland")
    expected = digest_response(key, "INVITE", "sip:bob@example.com", "n", qop="auth", nc="00000001", cnonce="cnonce")
    assert credentials.response == expected
    assert "authorization" not in before.headers


def test_a_proxy_is_answered_in_its_own_field() -> None:
    made = client().authorize(request(), response(digest(), status=407))
    assert made is not None and "authorization" not in made.headers
    assert len(given(made, "proxy-authorization")) == 1


def test_other_responses_are_none_of_its_business() -> None:
    assert client().authorize(request(), response(digest(), status=403, name="WWW-Authenticate")) is None
    assert client().authorize(request(), response()) is None


@pytest.mark.parametrize(
    "challenge",
    [
        digest("evil.example"),
        digest(algorithm="SHA-1"),
        digest(rest=', qop="auth-conf"'),
        digest(algorithm="MD5-sess", rest=""),
        'Basic realm="example.com"',
        "Digest nothing",
    ],
)
def test_challenges_that_are_not_answered(challenge: str) -> None:
    assert client().authorize(request(), response(challenge)) is None


def test_the_topmost_that_is_supported_is_answered() -> None:
    """RFC 8760 section 2.4."""
    offer = response(digest(algorithm="SHA-1"), digest(algorithm="SHA-256"), digest(algorithm="MD5"))
    assert [each.algorithm for each in given(client().authorize(request(), offer))] == ["SHA-256"]
    only = client(algorithms=["MD5"])
    assert [each.algorithm for each in given(only.authorize(request(), offer))] == ["MD5"]
    strict = client(algorithms=["SHA-512-256"])
    assert strict.authorize(request(), offer) is None


def test_realms() -> None:
    offer = response(digest("asterisk"))
    assert client().authorize(request(), offer) is None
    assert client(realms=["other"]).authorize(request(), offer) is None
    assert client(realms=["asterisk"]).authorize(request(), offer) is not None
    assert client(realms=[ANY_REALM]).authorize(request(), offer) is not None
    tel = request()
    tel.headers.set("from", "<tel:+1234>;tag=1")
    assert client().authorize(tel, response(digest())) is None


def test_several_realms_in_one_response() -> None:
    offer = Response(
        407,
        headers=[
            ("Proxy-Authenticate", digest("a", "1")),
            ("Proxy-Authenticate", digest("b", "2")),
            ("Proxy-Authenticate", digest("b", "3")),
            ("Proxy-Authenticate", digest("c", "4")),
            ("WWW-Authenticate", digest("a", "5")),
        ],
    )
    made = client(realms=["a", "b"]).authorize(request(), offer)
    assert [(each.realm, each.nonce) for each in given(made, "proxy-authorization")] == [("a", "1"), ("b", "2")]
    assert [(each.realm, each.nonce) for each in given(made)] == [("a", "5")]


def test_one_proxy_after_the_other_and_no_count_twice() -> None:
    """Credentials that the first proxy accepted are sent again, with the next count."""
    alice = client(realms=["a", "b"])
    first = alice.authorize(request(), response(digest("a", "1"), status=407))
    assert first is not None
    first.headers.append("proxy-authorization", 'Digest username="x", realm="c", nonce="9", uri="sip:x", response="0"')
    first.headers.append("proxy-authorization", "Digest garbage")
    second = alice.authorize(first, response(digest("b", "2"), status=407))
    assert second is not None
    values = second.headers.all("proxy-authorization")
    assert "Digest garbage" in values
    readable = [Credentials.parse(value) for value in values if value != "Digest garbage"]
    assert {(each.realm, each.nonce, each.nc) for each in readable} == {("a", "1", 2), ("b", "2", 1), ("c", "9", 0)}


def test_rejected_credentials_are_not_tried_again() -> None:
    """RFC 3261 section 22.1."""
    alice = client()
    made = alice.authorize(request(), response(digest()))
    assert made is not None
    assert alice.authorize(made, response(digest(nonce="m"))) is None
    # Nor with a weaker algorithm, nor for the next request.
    assert alice.authorize(made, response(digest(nonce="m", algorithm="SHA-256"))) is None
    assert alice.preauthorize(request()) is not None
    assert "authorization" not in alice.preauthorize(request()).headers


def test_stale_is_tried_again() -> None:
    alice = client()
    made = alice.authorize(request(), response(digest()))
    assert made is not None
    again = alice.authorize(made, response(digest(nonce="m", rest=', qop="auth", stale=TRUE')))
    assert [(each.nonce, each.nc) for each in given(again)] == [("m", 1)]


def test_a_proxy_accepted_us_and_the_uas_rejects_us() -> None:
    """One 401 for a realm that has our rejected credentials, beside a 407 in the same response that has not."""
    alice = client(realms=["a", "b"])
    made = alice.authorize(request(), response(digest("a", "1"), status=407))
    assert made is not None
    both = response(digest("b", "2"))
    both.headers.append("proxy-authenticate", digest("a", "3"))
    again = alice.authorize(made, both)
    assert [(each.realm, each.nonce) for each in given(again)] == [("b", "2")]


def test_later_requests_carry_the_next_count() -> None:
    alice = client()
    assert alice.preauthorize(request()).headers.first("authorization") is None
    alice.authorize(request(), response(digest()))
    assert [each.nc for each in given(alice.preauthorize(request()))] == [2]
    # The nonce was good before: it has aged, whatever the server says.
    made = alice.preauthorize(request())
    again = alice.authorize(made, response(digest(nonce="m")))
    assert [(each.nonce, each.nc) for each in given(again)] == [("m", 1)]
    alice.forget()
    untouched = request()
    assert alice.preauthorize(untouched) is untouched


def test_the_same_nonce_goes_on_counting() -> None:
    alice = client()
    alice.authorize(request(), response(digest()))
    assert [each.nc for each in given(alice.authorize(request(), response(digest())))] == [2]


def test_remembered_challenges_are_few() -> None:
    alice = client(realms=[ANY_REALM])
    for number in range(100):
        alice.authorize(request(), response(digest(f"realm{number}")))
    assert len(given(alice.preauthorize(request()))) == 16


def test_auth_int_and_sessions() -> None:
    body = b"v=0\r\n"
    [credentials] = given(
        client().authorize(request(body=body), response(digest(algorithm="SHA-256-sess", rest=', qop="auth-int"')))
    )
    key = ha1("alice", REALM, "wonderland", "SHA-256")
    assert credentials.response == digest_response(
        key,
        "INVITE",
        "sip:bob@example.com",
        "n",
        algorithm="SHA-256-sess",
        qop="auth-int",
        nc="00000001",
        cnonce="cnonce",
        body=body,
    )
    assert (credentials.algorithm, credentials.qop) == ("SHA-256-sess", "auth-int")


def test_a_server_of_rfc_2069() -> None:
    [credentials] = given(client().authorize(request(), response(digest(rest=""))))
    assert (credentials.qop, credentials.nc_text, credentials.cnonce) == ("", "", "")
    assert credentials.response == digest_response(
        ha1("alice", REALM, "wonderland"), "INVITE", "sip:bob@example.com", "n"
    )


def test_hashed_user_names() -> None:
    [credentials] = given(client().authorize(request(), response(digest(rest=', qop="auth", userhash=true'))))
    assert credentials.userhash
    assert credentials.username == hashed_username("alice", REALM, "MD5")


def test_ha1s_in_place_of_a_password() -> None:
    keys = {algorithm: key for algorithm, key in ha1s("alice", REALM, "wonderland").items() if algorithm != "SHA-256"}
    alice = DigestClient("alice", ha1s={REALM: keys}, token=lambda: "cnonce")
    offer = response(digest(algorithm="SHA-256"), digest())
    [credentials] = given(alice.authorize(request(), offer))
    [same] = given(client(algorithms=["MD5"]).authorize(request(), offer))
    assert credentials == same
    assert alice.authorize(request(), response(digest("other"))) is None


def test_what_a_caller_may_not_give() -> None:
    with pytest.raises(LocalProtocolError):
        DigestClient("alice")
    with pytest.raises(LocalProtocolError):
        DigestClient("alice", "x", ha1s={})
    with pytest.raises(LocalProtocolError):
        DigestClient("alice\r\nX: y", "x")
    with pytest.raises(LocalProtocolError):
        DigestClient("alice", "x", algorithms=["SHA-1"])
    assert "wonderland" not in repr(client())


@pytest.mark.parametrize("algorithms", [(), ("SHA-512-256", "MD5"), ("SHA-256",)])
@pytest.mark.parametrize("proxy", [False, True])
def test_against_our_own_server(make_world: Any, algorithms: tuple[str, ...], proxy: bool) -> None:
    world = make_world(algorithms=algorithms)
    alice = DigestClient("alice", "wonderland")
    first = world.request(method="MESSAGE", uri="sip:bob@example.com")
    outcome = world.authenticator.check(first, "192.0.2.7", REALM, proxy, "alice")
    assert isinstance(outcome, Challenge)
    second = alice.authorize(first, Response(outcome.status, headers=outcome.headers))
    assert second is not None
    assert world.authenticator.check(second, "192.0.2.7", REALM, proxy) == Accepted("alice")
    # The next request needs no challenge; after the end of the nonce's life one more is needed.
    third = alice.preauthorize(first)
    assert world.authenticator.check(third, "192.0.2.7", REALM, proxy) == Accepted("alice")
    world.clock.advance(601)
    late = alice.preauthorize(first)
    outcome = world.authenticator.check(late, "192.0.2.7", REALM, proxy)
    assert isinstance(outcome, Challenge) and outcome.stale
    renewed = alice.authorize(late, Response(outcome.status, headers=outcome.headers))
    assert renewed is not None
    assert world.authenticator.check(renewed, "192.0.2.7", REALM, proxy) == Accepted("alice")


def test_a_wrong_password_ends_after_one_answer(world: Any) -> None:
    alice = DigestClient("alice", "wrong")
    first = world.request()
    outcome = world.authenticator.check(first, "192.0.2.7", REALM, False)
    second = alice.authorize(first, Response(401, headers=outcome.headers))
    assert second is not None
    outcome = world.authenticator.check(second, "192.0.2.7", REALM, False)
    assert isinstance(outcome, Challenge) and not outcome.stale
    assert alice.authorize(second, Response(401, headers=outcome.headers)) is None
