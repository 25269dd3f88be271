"""Anonymous senders: who of them is one of our users proves it, and stays anonymous (RFC 3323, RFC 3325 section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.element.test_admission import ANONYMOUS, ELSEWHERE, FOREIGN, Incoming, World, message
from twisted_sip.auth.client import DigestClient
from twisted_sip.element.admission_notes import PROVED
from twisted_sip.message.response import Response

BOB = "sip:bob@example.com"
#: The To of a call to elsewhere, as it is seen where no domain of ours is in it.
AWAY = {"uri": ELSEWHERE, "to": f"<{ELSEWHERE}>"}


@pytest.fixture
def world() -> World:
    made = World()
    made.link.domain = "example.com"
    return made


def test_they_may_name_themselves_to_us(world: World) -> None:
    """RFC 3325 section 9.2."""
    preferred = [("P-Preferred-Identity", "<tel:+1234>"), ("P-Preferred-Identity", "<sip:alice@example.com>")]
    incoming = world.signed(message(from_=ANONYMOUS, fields=preferred, **AWAY))
    assert incoming.user == "sip:alice@example.com" and incoming.admitted
    # Who is not anonymous is who he says in From.
    assert world.run(message(from_=FOREIGN, fields=preferred, **AWAY)).status == 403


@pytest.mark.parametrize("where", [AWAY, {"uri": "tel:+15551234"}, {"uri": "tel:+1", "to": "<tel:+1>"}])
def test_who_calls_elsewhere_proves_to_be_one_of_us(world: World, where: dict[str, str]) -> None:
    assert world.run(message(from_=ANONYMOUS, **where)).status == 407
    incoming = world.signed(message(from_=ANONYMOUS, **where))
    assert (incoming.admitted, incoming.user, incoming.answers) == (True, "sip:alice@example.com", [])
    assert "proxy-authorization" not in incoming.request.headers
    assert incoming.notes == [("admission", PROVED, "auth.required", "sip:alice@example.com")]


def test_strangers_are_not_asked_for_calls_to_our_users(world: World) -> None:
    incoming = world.run(message(from_=ANONYMOUS))
    assert (incoming.admitted, incoming.user, incoming.answers) == (True, "", [])


def test_where_strangers_are_kept_out_they_are_asked() -> None:
    world = World(foreign_callers=False)
    assert world.signed(message(from_=ANONYMOUS)).user == "sip:alice@example.com"


def test_credentials_that_come_unasked_are_looked_at(world: World) -> None:
    signed = _signed(world, message(from_=ANONYMOUS, **AWAY))
    again = message(from_=ANONYMOUS, fields=[("Proxy-Authorization", signed)])
    # Not good for this request, so that there is a challenge.
    refused = world.run(again)
    assert (refused.status, refused.admitted) == (400, False)
    stale = signed.replace('nonce="', 'nonce="x').replace(ELSEWHERE, BOB)
    assert world.run(message(from_=ANONYMOUS, fields=[("Proxy-Authorization", stale)])).status == 407


@pytest.mark.parametrize(
    "text",
    ['Digest username="eve", realm="example.net", nonce="n", uri="sip:x", response="00"', "Basic eDp5", "Digest"],
)
def test_credentials_for_others_tell_nothing(world: World, text: str) -> None:
    incoming = world.run(message(from_=ANONYMOUS, fields=[("Proxy-Authorization", text)]))
    assert (incoming.admitted, incoming.user) == (True, "")


def test_the_realm_of_who_is_called_or_our_own(world: World) -> None:
    for host, realm in (("example.org", "example.org"), ("example.net", "example.com")):
        asked = world.run(message(uri=ELSEWHERE, from_=ANONYMOUS, to=f"<sip:bob@{host}>"))
        assert f'realm="{realm}"' in asked.answers[0][2][0][1]
    # Where nobody has said whose users they are there is nothing to ask for.
    world.link.domain = ""
    assert world.run(message(from_=ANONYMOUS, **AWAY)).status == 403


@pytest.mark.parametrize("domain", ["example.com", ""])
def test_one_realm_for_all(domain: str) -> None:
    world = World(realm="house")
    world.link.domain = "example.com"
    signed = _signed(world, message(from_=ANONYMOUS, **AWAY))
    world.link.domain = domain
    incoming = world.run(message(from_=ANONYMOUS, fields=[("Proxy-Authorization", signed)], **AWAY))
    assert incoming.admitted is bool(domain)
    assert incoming.user == ("sip:alice@example.com" if domain else "")


def test_addresses_for_domains() -> None:
    world = World()
    world.link.domain = "[2001:db8::10]"
    assert world.signed(message(from_=ANONYMOUS, **AWAY)).user == "sip:alice@[2001:db8::10]"


def test_nobody_is_asked_where_everybody_is_believed() -> None:
    world = World(required=False)
    world.link.domain = "example.com"
    assert world.run(message(from_=ANONYMOUS, **AWAY)).status == 403
    assert world.run(message(from_=ANONYMOUS)).admitted


def test_a_hidden_user_needs_the_password(world: World) -> None:
    asked = world.run(message(from_=ANONYMOUS, **AWAY))
    assert asked.status == 407 and not asked.stateful
    wrong = _signed(world, message(from_=ANONYMOUS, **AWAY), password="guess")
    refused = world.run(message(from_=ANONYMOUS, fields=[("Proxy-Authorization", wrong)], **AWAY))
    assert (refused.status, refused.admitted, refused.user) == (407, False, "")


def test_credentials_do_not_go_on_within_a_dialog(world: World) -> None:
    """RFC 3261 section 22.3: phones send them in each request, and what was meant for us is for nobody behind us."""
    signed = _signed(world, message())
    route = f"sip:{world.tokens.make('call', 'f')}@192.0.2.10;lr"
    other = 'Digest username="a", realm="elsewhere", nonce="n", uri="sip:x", response="00"'
    for method in ("BYE", "ACK", "INVITE"):
        fields = [("Proxy-Authorization", signed), ("Proxy-Authorization", other)]
        inside = message(method, "sip:bob@203.0.113.5", to="<sip:bob@example.com>;tag=t", fields=fields)
        incoming = world.run(inside, [route])
        assert incoming.admitted
        assert incoming.request.headers.all("proxy-authorization") == [other]
    ack = message("ACK", BOB, fields=[("Proxy-Authorization", signed)])
    assert world.run(ack).admitted and "proxy-authorization" not in ack.headers


def _signed(world: World, request: Any, password: str = "secret") -> str:
    """Return the credentials that alice answers the challenge to *request* with."""
    first: Incoming = world.run(request)
    response = Response(first.answers[0][0], headers=first.answers[0][2])
    again = DigestClient("alice", password, realms=["*"]).authorize(request, response)
    assert again is not None
    text = again.headers.first("proxy-authorization")
    assert text is not None
    return text
