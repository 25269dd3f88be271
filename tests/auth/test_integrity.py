"""Answers that protect the body: ``auth-int`` (RFC 3261 section 22.4, RFC 7616 section 3.4.3, RFC 8760 section 2.6)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.auth.authenticator import Accepted, Challenge
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.message.auth_params import Challenge as DigestChallenge
from twisted_sip.message.auth_params import Credentials
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

SOURCE, REALM = "192.0.2.7", "example.com"
BODY = b"v=0\r\nc=IN IP4 192.0.2.7\r\n"


def request(body: bytes = BODY) -> Request:
    fields = [("From", "<sip:alice@example.com>;tag=1"), ("To", "<sip:bob@example.com>"), ("Call-ID", "a")]
    return Request("INVITE", "sip:bob@example.com", fields, body)


def check(world: Any, asked: Request) -> Any:
    return world.authenticator.check(asked, SOURCE, REALM, True, "alice")


def signed(world: Any, body: bytes = BODY, **how: Any) -> Request:
    outcome = check(world, request(body))
    assert isinstance(outcome, Challenge)
    made = DigestClient("alice", "wonderland", **how).authorize(request(body), Response(407, headers=outcome.headers))
    assert made is not None
    return made


def quality(made: Request) -> str:
    return Credentials.parse(made.headers.first("proxy-authorization") or "").qop


@pytest.mark.parametrize("qop", [("auth", "auth-int"), ("auth-int",), ("auth-int", "auth")])
def test_it_is_offered(make_world: Any, qop: tuple[str, ...]) -> None:
    outcome = check(make_world(qop=qop), request())
    assert [DigestChallenge.parse(value).qop for _, value in outcome.headers] == [qop]
    assert outcome.headers[0][1].endswith(f'qop="{",".join(qop)}"')


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
@pytest.mark.parametrize("body", [BODY, b"", b"\xff\x00"])
def test_the_body_is_verified(make_world: Any, algorithm: str, body: bytes) -> None:
    world = make_world(qop=("auth-int",), algorithms=(algorithm,))
    made = signed(world, body)
    assert quality(made) == "auth-int"
    assert isinstance(check(world, made), Accepted)
    again = signed(world, body)
    again.body = body + b"a=changed\r\n"
    assert isinstance(check(world, again), Challenge), "somebody on the way has changed it"


def test_a_client_protects_the_body_if_it_may(make_world: Any) -> None:
    world = make_world(qop=("auth", "auth-int"))
    assert quality(signed(world)) == "auth"
    made = signed(world, integrity=True)
    assert quality(made) == "auth-int"
    assert isinstance(check(world, made), Accepted)
    assert quality(signed(world, b"", integrity=True)) == "auth", "there is nothing to protect"
    assert quality(signed(make_world(), integrity=True)) == "auth", "the server does not let it"


def test_each_request_of_a_session_is_protected(make_world: Any) -> None:
    world = make_world(qop=("auth", "auth-int"))
    outcome = check(world, request())
    alice = DigestClient("alice", "wonderland", integrity=True)
    first = alice.authorize(request(), Response(407, headers=outcome.headers))
    assert first is not None and isinstance(check(world, first), Accepted)
    second = alice.preauthorize(request(b"v=1\r\n"))
    assert quality(second) == "auth-int"
    assert isinstance(check(world, second), Accepted)


@pytest.mark.parametrize("answer", ["auth", ""])
def test_less_is_no_answer_where_it_is_wanted(make_world: Any, answer: str) -> None:
    """A man in the middle could ask a client for less."""
    world = make_world(qop=("auth-int",))
    assert isinstance(world.check(world.answer(qop=answer)), Challenge)
    assert not world.authenticator.bans.list()


def test_both_are_taken_where_both_are_offered(make_world: Any) -> None:
    world = make_world(qop=("auth", "auth-int"))
    for answer in ("auth", "auth-int", ""):
        assert isinstance(world.check(world.answer(qop=answer)), Accepted), answer


@pytest.mark.parametrize("qop", [(), ("auth", "auth"), ("auth-conf",)])
def test_what_settings_refuse(qop: Any) -> None:
    with pytest.raises(ValueError):
        AuthSettings(qop=qop)
