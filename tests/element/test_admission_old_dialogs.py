"""Tokens of dialogs long gone, and in other hands: they lead to the other end, or their sender proves who it is."""

from __future__ import annotations

import random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.element.test_admission import Domains, Incoming, Store
from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.element.tokens import DialogTokens
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

ALICE, BOB, EVE = "sip:alice@example.com", "sip:bob@example.com", "sip:eve@example.net"
GATEWAY = "sip:+1900@203.0.113.5"


class World:
    """A server whose clock can be moved; alice (tag a) has called somebody (tag b) at its beginning."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.tokens = DialogTokens(b"k", self.clock.seconds)
        self.store = Store()
        self.authenticator = Authenticator.build(
            self.store, AuthSettings(**settings), self.clock.seconds, random.Random(3).randbytes
        )
        self.link = AdmissionProcessor(Domains(), self.tokens, self.authenticator)

    def token(self, flow: str = "", one: str = ALICE, other: str = BOB) -> str:
        return self.tokens.make("call", "a", flow, self.tokens.parties(request(one, other)))

    def run(self, asked: Request, *tokens: str) -> Incoming:
        incoming = Incoming(asked, [f"sip:{token}@192.0.2.10;lr" for token in tokens])
        self.verdict = self.link.process(incoming)  # type: ignore[arg-type]
        return incoming

    def signed(self, asked: Request, *tokens: str, user: str = "alice") -> Incoming:
        first = self.run(asked, *tokens)
        assert first.status in (401, 407), first.answers
        response = Response(first.answers[0][0], headers=first.answers[0][2])
        again = DigestClient(user, "secret", realms=("*",)).authorize(asked, response)
        assert again is not None
        return self.run(again, *tokens)


def request(
    from_: str = ALICE, to: str = BOB, method: str = "INVITE", uri: str = GATEWAY, tags: tuple[str, str] = ("a", "b")
) -> Request:
    fields = [
        ("From", f"<{from_}>;tag={tags[0]}"), ("To", f"<{to}>;tag={tags[1]}"), ("Call-ID", "call"),
        ("CSeq", f"2 {method}"),
    ]  # fmt: skip
    return Request(method, uri, fields)


def test_for_a_day_a_token_admits() -> None:
    world = World()
    token = world.token()
    world.clock.advance(86_000)
    assert world.run(request(method="BYE"), token).admitted


@pytest.mark.parametrize("method", ["INVITE", "BYE", "OPTIONS", "MESSAGE", "REFER"])
def test_after_that_it_reaches_nobody_unchallenged(method: str) -> None:
    """A user who was removed meanwhile, or one who keeps a token, calls nowhere with it."""
    world = World()
    token = world.token()
    world.clock.advance(100_000)
    for tags in (("a", "b"), ("b", "a"), ("a", "made-up")):
        incoming = world.run(request(method=method, tags=tags), token)
        assert (incoming.admitted, incoming.status) == (False, 407)
    world.store.rows.clear()
    assert world.signed(request(method=method), token).status == 407


def test_a_long_call_goes_on() -> None:
    """Its ends are our users and prove it; then the dialog is good for another day, for both."""
    world = World()
    token = world.token()
    world.clock.advance(100_000)
    proved = world.signed(request(method="UPDATE"), token)
    assert (proved.admitted, proved.user) == (True, ALICE)
    world.clock.advance(80_000)
    assert world.run(request(BOB, ALICE, "BYE", tags=("b", "a")), token).admitted
    world.clock.advance(10_000)
    assert world.run(request(BOB, ALICE, "BYE", tags=("b", "a")), token).status == 407


def test_whoever_is_in_it_may_have_been_called_by_another_name() -> None:
    """The callee of a hunt group proves to be itself."""
    world = World()
    token = world.token(other="sip:group@example.com")
    world.clock.advance(100_000)
    asked = request("sip:group@example.com", ALICE, "BYE", tags=("b", "a"))
    proved = world.signed(asked, token, user="bob")
    assert (proved.admitted, proved.user) == (True, BOB)


def test_with_a_store_that_answers_later() -> None:
    world = World()
    token = world.token()
    world.clock.advance(100_000)
    world.store.waiting = Deferred()
    waiting, world.store.waiting = world.store.waiting, None
    first = world.run(request(), token)
    again = DigestClient("alice", "secret", realms=("*",)).authorize(
        request(), Response(407, headers=first.answers[0][2])
    )
    assert again is not None
    world.store.waiting = waiting
    incoming = world.run(again, token)
    assert not incoming.admitted
    waiting.callback(None)
    assert incoming.admitted
    assert world.tokens.recent(token)


@pytest.mark.parametrize(
    ("flow", "tags"), [("Aflow", ("b", "a")), ("Bflow", ("a", "b")), ("aflow", ("b", "a")), ("bflow", ("a", "b"))]
)
def test_what_leads_to_the_other_end_alone_does_not_age(flow: str, tags: tuple[str, str]) -> None:
    """A stranger cannot be challenged, and its BYE after two days has to arrive."""
    world = World()
    token = world.token(flow, EVE, BOB)
    world.clock.advance(200_000)
    ends = (EVE, BOB) if tags[0] == "a" else (BOB, EVE)
    assert world.run(request(*ends, "BYE", tags=tags), token).admitted
    assert not world.run(request(*ends, "BYE", tags=tags[::-1]), token).admitted


def test_one_of_ours_who_has_called_a_stranger_is_asked() -> None:
    """The guarded token lets the caller follow any Request-URI; the stranger's way back does not age."""
    world = World()
    back, forth = world.token("Aflow", ALICE, EVE), world.token("Cflow", ALICE, EVE)
    world.clock.advance(100_000)
    assert world.run(request(ALICE, EVE, "INFO"), back, forth).status == 407
    assert world.run(request(EVE, ALICE, "BYE", tags=("b", "a")), back, forth).admitted
    assert world.signed(request(ALICE, EVE, "INFO"), back, forth).admitted
    assert world.run(request(ALICE, EVE, "BYE"), back, forth).admitted


# -- other names ---------------------------------------------------------------------------------


def test_nobody_speaks_as_another_in_a_dialog() -> None:
    world = World()
    token = world.token()
    asked = request("sip:bob@example.org", BOB)
    assert world.run(asked, token).status == 407
    assert world.signed(request("sip:carol@example.com"), token).status == 403, "alice is not carol"
    assert world.run(request("sip:president@example.net"), token).status == 403


def test_a_connected_identity_is_proved() -> None:
    """RFC 4916: the callee may say who it really is."""
    world = World()
    token = world.token(other="sip:group@example.com")
    incoming = world.signed(request(BOB, ALICE, "UPDATE", tags=("b", "a")), token, user="bob")
    assert (incoming.admitted, incoming.user) == (True, BOB)


def test_a_stranger_may_go_by_another_name_of_its_own() -> None:
    world = World()
    token = world.token("Aflow", ALICE, EVE)
    assert world.run(request("sip:mallory@example.net", ALICE, tags=("b", "a")), token).admitted
    assert world.run(request(BOB, ALICE, tags=("b", "a")), token).status == 407


def test_an_ack_is_never_asked() -> None:
    world = World()
    token = world.token()
    world.clock.advance(100_000)
    assert world.run(request(method="ACK"), token).admitted
    assert world.run(request(EVE, method="ACK"), token).admitted


def test_nobody_is_asked_where_nobody_proves_anything() -> None:
    world = World(required=False)
    token = world.token()
    world.clock.advance(100_000)
    assert world.run(request(), token).admitted


def test_between_strangers() -> None:
    """There is nobody to ask: it is a request like any other of theirs."""
    world = World()
    token = world.token(one=EVE, other=EVE)
    world.clock.advance(100_000)
    assert world.run(request(EVE, EVE), token).status == 403
    world.link.domain = "example.com"
    assert world.run(request(EVE, EVE), token).status == 407
