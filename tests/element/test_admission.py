"""Admission: who is challenged, who owns what, what is let in and what is refused."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.digest import ha1s
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.element.tokens import DialogTokens
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.credentials import Credential
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI

LOCAL = ("example.com", "example.org", "server1", "192.0.2.10", "[2001:db8::10]")


class Domains:
    """Ours without a port or with 5060; an address of ours with 5060 alone when a port is written."""

    def is_local(self, host: str, port: int | None = None) -> bool:
        return host.lower() in LOCAL and port in (None, 5060)

    def is_local_uri(self, uri: Any) -> bool:
        return isinstance(uri, SIPURI) and self.is_local(uri.host, uri.port)


class Store:
    def __init__(self) -> None:
        self.rows = {
            (user, realm): Credential(user, realm, ha1s(user, realm, "secret"))
            for user, realm in [
                ("alice", "example.com"),
                ("bob", "example.com"),
                ("alice", "example.org"),
                ("alice", "house"),
                ("alice", "server1"),
                ("alice", "2001:db8::10"),
            ]
        }
        self.waiting: Deferred[Any] | None = None

    def lookup(self, user: str, realm: str) -> Any:
        found = self.rows.get((user, realm))
        return found if self.waiting is None else self.waiting.addCallback(lambda _: found)


class Flow:
    remote = Address("198.51.100.7", 5070)


class Incoming:
    def __init__(self, request: Request, own_routes: Iterable[str] = ()) -> None:
        self.request = request
        self.flow = Flow()
        self.user = ""
        self.admitted = False
        self.own_routes = [SIPURI.parse(route) for route in own_routes]
        self.answers: list[tuple[int, str, list[tuple[str, str]]]] = []
        self.stateful = False
        self.notes: list[tuple[str, ...]] = []

    def note(self, *what: str) -> None:
        self.notes.append(what)

    def respond(self, status: int, reason: str = "", headers: Any = (), body: bytes = b"") -> None:
        self.stateful = True
        self.answers.append((status, reason, list(headers)))

    def respond_statelessly(self, status: int, reason: str = "", headers: Any = ()) -> None:
        self.answers.append((status, reason, list(headers)))

    @property
    def status(self) -> int | None:
        return self.answers[0][0] if self.answers else None


class World:
    def __init__(self, link: type[AdmissionProcessor] = AdmissionProcessor, **settings: Any) -> None:
        clock = Clock()
        clock.advance(1000)
        draw = random.Random(3).randbytes
        self.store = Store()
        self.tokens = DialogTokens(b"k")
        self.authenticator = Authenticator.build(self.store, AuthSettings(**settings), clock.seconds, draw)
        self.link = link(Domains(), self.tokens, self.authenticator)

    def run(self, request: Request, own_routes: Iterable[str] = ()) -> Incoming:
        incoming = self.incoming(request, own_routes)
        verdict = self.link.process(incoming)  # type: ignore[arg-type]
        assert not isinstance(verdict, Deferred)
        assert (verdict is None) == (not incoming.answers) or verdict is TAKEN
        return incoming

    def incoming(self, request: Request, own_routes: Iterable[str]) -> Incoming:
        return Incoming(request, own_routes)

    def signed(self, request: Request, user: str = "alice", realms: Any = ("*",), **how: Any) -> Incoming:
        """Return what becomes of *request* when *user* answers the challenge."""
        first = self.run(request, **how)
        assert first.status in (401, 407) and not first.stateful
        response = Response(first.answers[0][0], headers=first.answers[0][2])
        again = DigestClient(user, "secret", realms=realms).authorize(request, response)
        assert again is not None
        return self.run(again, **how)


def message(
    method: str = "INVITE",
    uri: str = "sip:bob@example.com",
    *,
    from_: str = "<sip:alice@example.com>;tag=f",
    to: str = "<sip:bob@example.com>",
    fields: Iterable[tuple[str, str]] = (),
) -> Request:
    return Request(method, uri, [("From", from_), ("To", to), ("Call-ID", "call"), ("CSeq", f"1 {method}"), *fields])


FOREIGN = "<sip:eve@example.net>;tag=f"
ELSEWHERE = "sip:carol@example.net"
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=f'


@pytest.fixture
def world() -> World:
    return World()


def test_a_local_identity_is_challenged_as_by_a_proxy_and_let_in(world: World) -> None:
    incoming = world.signed(message())
    assert world.run(message()).status == 407
    assert (incoming.admitted, incoming.user, incoming.answers) == (True, "sip:alice@example.com", [])


def test_a_local_user_may_call_the_world(world: World) -> None:
    assert world.signed(message(uri=ELSEWHERE)).admitted
    assert world.signed(message(uri="tel:+15551234")).admitted


def test_where_this_element_is_the_uas_it_asks_with_401(world: World) -> None:
    assert world.run(message("OPTIONS", "sip:example.com")).status == 401
    assert world.run(message("OPTIONS")).status == 407


def test_registering_is_by_to(world: World) -> None:
    """RFC 3261 section 10.3: From may be somebody else, a third party, as long as the To is owned."""
    register = message("REGISTER", "sip:example.com", from_="<sip:eve@example.net>;tag=1", to="<sip:alice@example.com>")
    assert world.run(register).status == 401
    incoming = world.signed(register)
    assert (incoming.admitted, incoming.user) == (True, "sip:alice@example.com")
    other = message("REGISTER", "sip:example.com", from_="<sip:bob@example.com>;tag=1", to="<sip:alice@example.com>")
    refused = world.signed(other, "bob")
    assert (refused.status, refused.admitted, refused.user, refused.stateful) == (403, False, "", True)


def test_a_to_tag_gets_no_register_past_its_challenge(world: World) -> None:
    token = world.tokens.make("call", "f")
    register = message("REGISTER", "sip:example.com", to="<sip:alice@example.com>;tag=x")
    assert world.run(register, [f"sip:{token}@192.0.2.10;lr"]).status == 401


def test_registering_an_address_that_is_not_ours(world: World) -> None:
    assert world.run(message("REGISTER", "sip:example.com", to="<sip:carol@example.net>")).status == 403
    assert world.run(message("REGISTER", "sip:example.com", to="<tel:+1234>")).status == 400


def test_registering_elsewhere_is_forwarding(world: World) -> None:
    register = message("REGISTER", "sip:example.net", to="<sip:carol@example.net>")
    assert world.run(register).status == 407
    assert world.signed(register).admitted
    assert world.run(message("REGISTER", "sip:example.net", from_=FOREIGN, to="<sip:eve@example.net>")).status == 403


def test_one_user_is_not_another(world: World) -> None:
    incoming = world.signed(message(), "bob")
    assert (incoming.status, incoming.admitted, incoming.user, incoming.stateful) == (403, False, "", True)
    # The same whether or not the one he claims to be exists.
    nobody = world.signed(message(from_="<sip:nobody@example.com>;tag=f"), "bob")
    assert nobody.answers == incoming.answers


def test_domains_are_realms_of_their_own(world: World) -> None:
    incoming = world.signed(message(from_="<sip:alice@Example.ORG>;tag=f"), realms=["example.org"])
    assert incoming.user == "sip:alice@example.org"


def test_the_realm_of_an_address_has_no_brackets(world: World) -> None:
    incoming = world.signed(message(from_="<sip:alice@[2001:db8::10]>;tag=f"), realms=["2001:db8::10"])
    assert incoming.user == "sip:alice@[2001:db8::10]"


def test_a_configured_realm() -> None:
    world = World(realm="house")
    assert world.signed(message(), realms=["house"]).user == "sip:alice@example.com"


def test_escaped_names_are_the_same_user(world: World) -> None:
    assert world.signed(message(from_="<sip:%61lice@example.com>;tag=f")).user == "sip:alice@example.com"


def test_a_port_makes_no_stranger_of_our_user(world: World) -> None:
    """The called party would see alice@example.com."""
    assert world.run(message(from_="<sip:alice@example.com:9999>;tag=f")).status == 407
    assert world.run(message(from_="<sips:alice@EXAMPLE.com:5061>;tag=f")).status == 407
    assert world.signed(message(from_="<sip:alice@server1:9999>;tag=f")).user == "sip:alice@server1"
    # A phone on our own host is not one of our users.
    assert world.run(message(from_="<sip:phone@192.0.2.10:5070>;tag=f")).admitted
    assert world.run(message(from_="<sip:phone@[2001:db8::1]>;tag=f")).admitted


def test_strangers_may_call_our_users_and_nobody_else(world: World) -> None:
    incoming = world.run(message(from_=FOREIGN))
    assert (incoming.admitted, incoming.user, incoming.answers) == (True, "", [])
    for method in ("INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "UNKNOWN"):
        for uri in (ELSEWHERE, "tel:+15551234", "sip:bob@example.com:9999", "sip:bob@203.0.113.5"):
            refused = world.run(message(method, uri, from_=FOREIGN))
            assert (refused.answers, refused.admitted, refused.stateful) == ([(403, "", [])], False, False)
    assert world.run(message(uri=ELSEWHERE, from_="<tel:+1234>;tag=f")).status == 403


def test_strangers_may_be_kept_out() -> None:
    world = World(foreign_callers=False)
    assert world.run(message(from_=FOREIGN)).status == 403
    assert world.run(message()).status == 407


def test_a_banned_source_is_refused_whoever_it_claims_to_be(world: World) -> None:
    for number in range(20):
        world.authenticator.bans.failed("198.51.100.7", f"u{number}", "x")
    assert world.run(message(from_=FOREIGN)).status == 403
    assert world.run(message()).status == 403


def test_what_cannot_be_read_is_the_peers_fault(world: World) -> None:
    with pytest.raises(RemoteProtocolError, match="From"):
        world.run(message(from_="<<<"))
    refused = world.run(message(fields=[("Proxy-Authorization", "Digest garbage")]))
    assert refused.status == 400 and "Proxy-Authorization" in refused.answers[0][1]


def test_a_store_that_takes_its_time(world: World) -> None:
    world.store.waiting = Deferred()
    incoming = Incoming(message())
    verdicts: list[Any] = []
    outcome = world.link.process(incoming)  # type: ignore[arg-type]
    assert isinstance(outcome, Deferred)
    outcome.addCallback(verdicts.append)
    assert incoming.answers == [] and not incoming.admitted
    world.store.waiting.callback(None)
    assert verdicts == [TAKEN]
    assert incoming.status == 407


def test_what_was_admitted_before_passes(world: World) -> None:
    incoming = Incoming(message(uri=ELSEWHERE, from_=FOREIGN))
    incoming.admitted = True
    assert world.link.process(incoming) is None  # type: ignore[arg-type]


# -- without authentication -----------------------------------------------------------


def test_without_authentication_claims_are_believed() -> None:
    world = World(required=False)
    for uri in ("sip:bob@example.com", ELSEWHERE, "tel:+1234"):
        incoming = world.run(message(uri=uri))
        # Believed is not proved.
        assert (incoming.admitted, incoming.user, incoming.answers) == (True, "", [])
    assert world.run(message("REGISTER", "sip:example.com", to="<sip:alice@example.com>")).admitted
    assert world.run(message(from_=FOREIGN)).admitted


def test_without_authentication_there_is_still_no_relay() -> None:
    world = World(required=False)
    assert world.run(message(uri=ELSEWHERE, from_=FOREIGN)).status == 403
    assert world.run(message(fields=[("Route", "<sip:203.0.113.5;lr>")])).status == 403
    assert world.run(message(to="<sip:bob@example.com>;tag=t", uri=ELSEWHERE)).status == 403


def test_a_subclass_may_believe_less() -> None:
    class Careful(AdmissionProcessor):
        def believes(self, incoming: Any, identity: SIPURI) -> bool:
            return identity.user == "alice"

    world = World(Careful, required=False)
    assert world.run(message(uri=ELSEWHERE)).admitted
    assert world.run(message(uri=ELSEWHERE, from_="<sip:bob@example.com>;tag=f")).status == 403


def credentials(realm: str) -> str:
    return f'Digest username="alice", realm="{realm}", nonce="n", uri="sip:bob@example.com", response="0f"'


@pytest.mark.parametrize("realm", ["example.com", "EXAMPLE.org", "2001:db8::10"])
def test_a_strangers_credentials_for_our_domains_stay_here(realm: str) -> None:
    others = [credentials("example.net"), credentials(""), credentials("x" * 300), "Digest garbage", "Basic QWxh"]
    fields = [("Proxy-Authorization", value) for value in (credentials(realm), *others)]
    incoming = World().run(message(from_=FOREIGN, fields=fields))
    assert incoming.admitted and not incoming.user
    assert incoming.request.headers.all("proxy-authorization") == others


def test_a_strangers_credentials_for_the_configured_realm_stay_here() -> None:
    fields = [("Proxy-Authorization", credentials(realm)) for realm in ("house", "example.com")]
    incoming = World(realm="house").run(message(from_=FOREIGN, fields=fields))
    assert incoming.admitted
    assert "proxy-authorization" not in incoming.request.headers


def test_believed_users_credentials_stay_here() -> None:
    fields = [("Proxy-Authorization", credentials("example.com"))]
    incoming = World(required=False).run(message(fields=fields))
    assert incoming.admitted
    assert "proxy-authorization" not in incoming.request.headers


def test_what_is_for_the_callee_goes_on() -> None:
    """RFC 3261 section 20, table 2: Authorization is for the user agent that asked, whatever its realm."""
    fields = [("Authorization", credentials("example.com"))]
    incoming = World().run(message(from_=FOREIGN, fields=fields))
    assert incoming.admitted
    assert incoming.request.headers.all("authorization") == [credentials("example.com")]
