"""Challenges: answered for those who hold credentials, once for each realm and once more if stale (section 22)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.auth.client import DigestClient
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

U1, U2 = "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060"


class Credentials:
    """Answers with the number of times it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, Response]] = []
        self.willing = True

    def authorize(self, request: Request, response: Response) -> Request | None:
        self.asked.append((request, response))
        if not self.willing:
            return None
        request.headers.set("authorization", f"Digest round={len(self.asked)}")
        return request


@pytest.fixture
def credentials() -> Credentials:
    return Credentials()


@pytest.fixture(autouse=True)
def servers(desk: Any) -> None:
    desk.resolver["example.com"] = [U1, U2]


def challenge(desk: Any, flow: str = U1, realm: str = "example.com", status: int = 401, more: str = "") -> None:
    name = "www-authenticate" if status == 401 else "proxy-authenticate"
    desk.answer(flow, status, [(name, f'Digest realm="{realm}", nonce="n"{more}')])


@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
def test_a_challenge_is_answered_at_the_same_server(desk: Any, credentials: Credentials, method: str) -> None:
    desk.user.on_prepare = lambda request, flow: request.headers.prepend("record-route", "<sip:us.example;lr>")
    outgoing = desk.send(method, credentials=credentials)
    challenge(desk)
    assert desk.user.told == []
    assert len(desk.flow(U2).sent) == 0
    asked, _ = credentials.asked[0]
    second = desk.flow(U1).sent[-1]
    assert asked is not second
    assert second.headers.first("authorization") == "Digest round=1"
    assert second.cseq == (2, method)
    assert second.headers.count("via") == second.headers.count("record-route") == 1
    assert second.top_via.branch == "z9hG4bKb2"
    assert outgoing.request is second
    # The first attempt is as it was.
    assert desk.flow(U1).sent[0].cseq.number == 1
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_the_credentials_see_the_request_without_our_via(desk: Any, credentials: Credentials) -> None:
    desk.send(credentials=credentials)
    vias = []
    original = credentials.authorize

    def authorize(request: Request, response: Response) -> Request | None:
        vias.append(request.headers.count("via"))
        return original(request, response)

    credentials.authorize = authorize  # type: ignore[method-assign]
    challenge(desk)
    assert vias == [0]


def test_without_credentials_the_challenge_is_passed_on(desk: Any) -> None:
    desk.send()
    challenge(desk)
    assert desk.user.told == [401]
    desk.settle()


def test_unwilling_credentials(desk: Any, credentials: Credentials) -> None:
    credentials.willing = False
    desk.send(credentials=credentials)
    challenge(desk)
    assert desk.user.told == [401]
    desk.settle()


def test_credentials_that_raise(desk: Any, credentials: Credentials) -> None:
    def broken(request: Request, response: Response) -> Request | None:
        raise ZeroDivisionError

    credentials.authorize = broken  # type: ignore[method-assign]
    desk.send(credentials=credentials)
    challenge(desk)
    assert desk.user.told == [401]
    desk.settle()


def test_a_wrong_password_is_offered_once(desk: Any, credentials: Credentials) -> None:
    desk.send("REGISTER", credentials=credentials)
    challenge(desk)
    challenge(desk)
    assert desk.user.told == [401]
    assert len(credentials.asked) == 1
    desk.settle()


def test_a_stale_nonce_is_worth_one_more_round(desk: Any, credentials: Credentials) -> None:
    desk.send("REGISTER", credentials=credentials)
    challenge(desk)
    challenge(desk, more=", stale=TRUE")
    assert len(credentials.asked) == 2
    challenge(desk, more=", stale=true")
    assert desk.user.told == [401]
    assert len(credentials.asked) == 2
    desk.settle()


def test_each_realm_has_its_turn(desk: Any, credentials: Credentials) -> None:
    desk.send(credentials=credentials)
    challenge(desk, realm="proxy.example", status=407)
    challenge(desk, realm="other.example", status=407)
    challenge(desk, realm="proxy.example", status=401)
    assert len(credentials.asked) == 3
    desk.answer(U1, 200)
    assert desk.flow(U1).sent[-2].cseq.number == 4 or desk.flow(U1).sent[-1].cseq.number == 4
    assert desk.user.told == [200]
    desk.settle()


def test_ever_new_realms_come_to_an_end(desk: Any, credentials: Credentials) -> None:
    desk.send("REGISTER", credentials=credentials)
    for number in range(20):
        challenge(desk, realm=f"realm{number}")
        if desk.user.told:
            break
    assert desk.user.told == [401]
    assert len(credentials.asked) == 8
    desk.settle()


def test_a_challenge_that_cannot_be_read_is_passed_on(desk: Any, credentials: Credentials) -> None:
    desk.send(credentials=credentials)
    desk.answer(U1, 401, [("www-authenticate", "Digest nonsense")])
    assert desk.user.told == [401]
    assert credentials.asked == []


def test_after_a_cancel_no_challenge_is_answered(desk: Any, credentials: Credentials) -> None:
    outgoing = desk.send(credentials=credentials)
    outgoing.cancel()
    challenge(desk)
    assert desk.user.told == [401]
    desk.settle()


def test_failover_keeps_the_credentials(desk: Any, credentials: Credentials) -> None:
    desk.send(credentials=credentials)
    challenge(desk)
    desk.answer(U1, 503)
    sent = desk.flow(U2).sent[-1]
    assert sent.headers.first("authorization") == "Digest round=1"
    assert sent.cseq.number == 2
    challenge(desk, flow=U2, more=", stale=true")
    assert len(credentials.asked) == 2
    desk.answer(U2, 200)
    assert desk.user.told == [200]
    desk.settle()


def test_a_digest_client_gets_in(desk: Any) -> None:
    client = DigestClient("alice", "secret", token=lambda: "cnonce")
    desk.send("REGISTER", credentials=client)
    challenge(desk, more=', algorithm=MD5, qop="auth"')
    sent = desk.flow(U1).sent[-1]
    assert sent.headers.first("authorization").startswith('Digest username="alice"')
    assert sent.cseq.number == 2
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    desk.send("REGISTER", credentials=client)
    challenge(desk, more=', algorithm=MD5, qop="auth"')
    challenge(desk, more=', algorithm=MD5, qop="auth"')
    assert desk.user.told == [200, 401]
    desk.settle()


def test_over_a_given_flow(desk: Any, credentials: Credentials) -> None:
    desk.send("REGISTER", credentials=credentials, flow=desk.flow(U1))
    challenge(desk)
    assert [message.cseq.number for message in desk.flow(U1).sent] == [1, 2]
    desk.answer(U1, 200)
    assert desk.user.told == [200]
    desk.settle()
