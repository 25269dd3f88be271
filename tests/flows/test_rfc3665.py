"""The session flows of RFC 3665 section 3, between agents and shipped proxies.

The shipped proxies say 100 (Trying) to each INVITE at once (RFC 3261 section 16.2).
"""

from __future__ import annotations

from typing import Any

from tests.flows.ladder import Stage
from twisted_sip.agent.call import Call
from twisted_sip.auth.authenticator import Challenge
from twisted_sip.auth.client import DigestClient
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.message.builders import response_to
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

OFFER = SessionBody(
    "application/sdp",
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
)


async def rings_and_answers(call: Call) -> None:
    await call.ring()
    await call.answer()


async def answers(call: Call) -> None:
    await call.answer()


async def rings(call: Call) -> None:
    await call.ring()


async def is_busy(call: Call) -> None:
    call.reject(486)


def two_proxies(stage: Stage, **how: Any) -> tuple[Any, Any]:
    """Proxy 1 of Alice, who needs a password there, and Proxy 2 of Bob."""
    first = stage.proxy("Proxy 1", 1, "atlanta.example.com", **how)
    second = stage.proxy("Proxy 2", 2, "biloxi.example.com")
    return first, second


SUCCESS = """
F1 INVITE Alice -> Bob
F2 180 Ringing Bob -> Alice
F3 200 OK Bob -> Alice
F4 ACK Alice -> Bob
F5 BYE Bob -> Alice
F6 200 OK Alice -> Bob
"""


def test_3_1_successful_session_establishment(stage: Stage) -> None:
    alice, bob = stage.agent("Alice", 1), stage.agent("Bob", 2, does=rings_and_answers)
    call = alice.call(bob.uri)
    stage.run()
    assert call.established and bob.arrived[0].established
    bob.arrived[0].hangup()
    stage.run()
    stage.check(SUCCESS)


TWO_PROXIES = """
F1 INVITE Alice -> Proxy 1
F2 407 Proxy Authorization Required Proxy 1 -> Alice
F3 ACK Alice -> Proxy 1
F4 INVITE Alice -> Proxy 1
F5 INVITE Proxy 1 -> Proxy 2
F6 100 Trying Proxy 1 -> Alice
F7 INVITE Proxy 2 -> Bob
F8 100 Trying Proxy 2 -> Proxy 1
F9 180 Ringing Bob -> Proxy 2
F10 180 Ringing Proxy 2 -> Proxy 1
F11 180 Ringing Proxy 1 -> Alice
F12 200 OK Bob -> Proxy 2
F13 200 OK Proxy 2 -> Proxy 1
F14 200 OK Proxy 1 -> Alice
F15 ACK Alice -> Proxy 1
F16 ACK Proxy 1 -> Proxy 2
F17 ACK Proxy 2 -> Bob
F18 BYE Bob -> Proxy 2
F19 BYE Proxy 2 -> Proxy 1
F20 BYE Proxy 1 -> Alice
F21 200 OK Alice -> Proxy 1
F22 200 OK Proxy 1 -> Proxy 2
F23 200 OK Proxy 2 -> Bob
"""


def test_3_2_session_establishment_through_two_proxies(stage: Stage) -> None:
    first, second = two_proxies(stage, passwords={"alice": "secret"})
    alice = stage.agent("Alice", 1, first, password="secret")
    bob = stage.agent("Bob", 2, second, rings_and_answers)
    call = alice.call(bob.uri)
    stage.run()
    assert call.established
    bob.arrived[0].hangup()
    stage.run()
    stage.check(TWO_PROXIES)


MULTIPLE_AUTHENTICATION = """
F1 INVITE Alice -> Proxy 1
F2 407 Proxy Authorization Required Proxy 1 -> Alice
F3 ACK Alice -> Proxy 1
F4 INVITE Alice -> Proxy 1
F5 100 Trying Proxy 1 -> Alice
F6 INVITE Proxy 1 -> Proxy 2
F7 407 Proxy Authorization Required Proxy 2 -> Proxy 1
F8 ACK Proxy 1 -> Proxy 2
F9 407 Proxy Authorization Required Proxy 1 -> Alice
F10 ACK Alice -> Proxy 1
F11 INVITE Alice -> Proxy 1
F12 100 Trying Proxy 1 -> Alice
F13 INVITE Proxy 1 -> Proxy 2
F14 100 Trying Proxy 2 -> Proxy 1
F15 INVITE Proxy 2 -> Bob
F16 200 OK Bob -> Proxy 2
F17 200 OK Proxy 2 -> Proxy 1
F18 200 OK Proxy 1 -> Alice
F19 ACK Alice -> Proxy 1
F20 ACK Proxy 1 -> Proxy 2
F21 ACK Proxy 2 -> Bob
"""


class AsksStrangers:
    """Proxy 2 wants to know callers from elsewhere, too: a link of the chain, since the shipped one asks its own."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def process(self, incoming: Any) -> Any:
        request = incoming.request
        if request.method != "INVITE" or request.to.tag:
            return None
        realm = self.server.domain
        found = self.server.authenticator.check(request, incoming.flow.remote.host, realm, True)
        if isinstance(found, Challenge):
            return response_to(request, found.status, headers=found.headers, to_tag=incoming.to_tag)
        return None


def test_3_3_session_with_multiple_proxy_authentication(stage: Stage) -> None:
    first = stage.proxy("Proxy 1", 1, "atlanta.example.com", passwords={"alice": "secret"})
    second = stage.proxy("Proxy 2", 2, "biloxi.example.com", passwords={"alice": "secret", "bob": "secret"})
    second.element.chain.insert(0, AsksStrangers(second))
    realms = ["atlanta.example.com", "biloxi.example.com"]
    alice = stage.agent("Alice", 1, first, credentials=DigestClient("alice", "secret", realms=realms))
    bob = stage.agent("Bob", 2, second, answers, password="secret")
    call = alice.call(bob.uri)
    stage.run(3.0)
    assert call.established
    stage.check(MULTIPLE_AUTHENTICATION)


PROXY_FAILURE = """
F1 INVITE Alice -> Proxy 1
F2 INVITE Alice -> Proxy 1
F3 INVITE Alice -> Proxy 1
F4 INVITE Alice -> Proxy 1
F5 INVITE Alice -> Proxy 1
F6 INVITE Alice -> Proxy 1
F7 INVITE Alice -> Proxy 1
F8 INVITE Alice -> Proxy 2
F9 407 Proxy Authorization Required Proxy 2 -> Alice
F10 ACK Alice -> Proxy 2
F11 INVITE Alice -> Proxy 2
F12 INVITE Proxy 2 -> Bob
F13 100 Trying Proxy 2 -> Alice
F14 180 Ringing Bob -> Proxy 2
F15 180 Ringing Proxy 2 -> Alice
F16 200 OK Bob -> Proxy 2
F17 200 OK Proxy 2 -> Alice
F18 ACK Alice -> Proxy 2
F19 ACK Proxy 2 -> Bob
F20 BYE Bob -> Proxy 2
F21 BYE Proxy 2 -> Alice
F22 200 OK Alice -> Proxy 2
F23 200 OK Proxy 2 -> Bob
"""


def test_3_4_successful_session_with_proxy_failure(stage: Stage) -> None:
    stage.silent("Proxy 1", 8)
    second = stage.proxy("Proxy 2", 2, "example.com", passwords={"alice": "secret", "bob": "secret"})
    stage.dns.srv("_sip._udp.example.com", 1, 1, 5060, "ss1.example.com").a("ss1.example.com", "198.51.100.8")
    stage.dns.srv("_sip._udp.example.com", 2, 1, 5060, "ss2.example.com").a("ss2.example.com", "192.0.2.2")
    bob = stage.agent("Bob", 2, second, rings_and_answers, password="secret")
    alice = stage.agent("Alice", 1)
    account = alice.account(
        "sip:alice@example.com",
        credentials=DigestClient("alice", "secret", realms=["example.com"]),
        route=["<sip:example.com;lr>"],
    )
    call = alice.call(bob.uri, account=account)
    stage.run(40.0)
    assert call.established
    bob.arrived[0].hangup()
    stage.run()
    stage.check(PROXY_FAILURE)


SIP_ALG = """
F1 INVITE Alice -> SIP ALG
F2 INVITE SIP ALG -> Proxy 2
F3 100 Trying SIP ALG -> Alice
F4 INVITE Proxy 2 -> Bob
F5 100 Trying Proxy 2 -> SIP ALG
F6 180 Ringing Bob -> Proxy 2
F7 180 Ringing Proxy 2 -> SIP ALG
F8 180 Ringing SIP ALG -> Alice
F9 200 OK Bob -> Proxy 2
F10 200 OK Proxy 2 -> SIP ALG
F11 200 OK SIP ALG -> Alice
F12 ACK Alice -> SIP ALG
F13 ACK SIP ALG -> Bob
F14 BYE Alice -> SIP ALG
F15 BYE SIP ALG -> Bob
F16 200 OK Bob -> SIP ALG
F17 200 OK SIP ALG -> Alice
"""


def test_3_5_session_through_a_sip_alg(stage: Stage) -> None:
    """A b2bua is the ALG: it has of its own on each side what the text rewrites, and more. It rings reliably (RFC
    3262), and needs no 100 since that comes within 200 ms."""
    second = stage.proxy("Proxy 2", 2, "biloxi.example.com", proxy_settings=ProxySettings(record_route=False))
    stage.back_to_back("SIP ALG", 5)
    bob = stage.agent("Bob", 2, does=rings_and_answers)
    second.proxy.routers.append(StaticRouter([StaticRoute(user="bob", to=(bob.uri,))]))
    alice = stage.agent("Alice", 1, route=("<sip:192.0.2.5;lr>",))
    call = alice.call("sip:bob@biloxi.example.com")
    stage.run()
    assert call.established and bob.arrived[0].id != call.id
    call.hangup()
    stage.run()
    reliably = "F1 PRACK Alice -> SIP ALG\nF2 200 OK SIP ALG -> Alice"
    stage.check(SIP_ALG, without=["F3"], extra=reliably)


SDP_IN_ACK = """
F1 INVITE Alice -> Redirect Server
F2 302 Moved Temporarily Redirect Server -> Alice
F3 ACK Alice -> Redirect Server
F4 INVITE Alice -> Proxy 3
F5 INVITE Proxy 3 -> Bob
F6 100 Trying Proxy 3 -> Alice
F7 180 Ringing Bob -> Proxy 3
F8 180 Ringing Proxy 3 -> Alice
F9 200 OK Bob -> Proxy 3
F10 200 OK Proxy 3 -> Alice
F11 ACK Alice -> Proxy 3
F12 ACK Proxy 3 -> Bob
F13 BYE Bob -> Proxy 3
F14 BYE Proxy 3 -> Alice
F15 200 OK Alice -> Proxy 3
F16 200 OK Proxy 3 -> Bob
"""


def test_3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack(stage: Stage) -> None:
    third = stage.proxy("Proxy 3", 3, "chicago.example.com")
    bob = stage.agent("Bob", 2, third, rings_and_answers)
    redirects = stage.agent("Redirect Server", 4, does=lambda call: call.redirect(bob.uri))
    alice = stage.agent("Alice", 1, media=False)
    call = alice.call(redirects.uri)
    call.on_offer = lambda call, offer: OFFER
    stage.run()
    assert call.established and bob.arrived[0].established
    assert not stage.last("INVITE", "Bob").body
    assert stage.last("200", "Alice").body and stage.last("ACK", "Bob").body == OFFER.data
    bob.arrived[0].hangup()
    stage.run()
    stage.check(SDP_IN_ACK)


REINVITE = """
F1 INVITE Alice -> Proxy 2
F2 INVITE Proxy 2 -> Bob
F3 100 Trying Proxy 2 -> Alice
F4 180 Ringing Bob -> Proxy 2
F5 180 Ringing Proxy 2 -> Alice
F6 200 OK Bob -> Proxy 2
F7 200 OK Proxy 2 -> Alice
F8 ACK Alice -> Bob
F9 INVITE Bob -> Alice
F10 200 OK Alice -> Bob
F11 ACK Bob -> Alice
F12 BYE Alice -> Bob
F13 200 OK Bob -> Alice
"""


def test_3_7_session_with_reinvite(stage: Stage) -> None:
    """The proxy does not record-route here; what changes is the address of Bob's media."""
    second = stage.proxy("Proxy 2", 2, "biloxi.example.com", proxy_settings=ProxySettings(record_route=False))
    bob = stage.agent("Bob", 2, does=rings_and_answers)
    second.proxy.routers.append(StaticRouter([StaticRoute(user="bob", to=(bob.uri,))]))
    alice = stage.agent("Alice", 1, route=("<sip:192.0.2.2;lr>",))
    call = alice.call("sip:bob@biloxi.example.com")
    stage.run()
    assert call.established
    bob.ports.host = "192.0.2.111"
    changed: list[Any] = []
    bob.arrived[0].update().addCallback(changed.append)
    stage.run()
    assert changed == bob.arrived
    assert "IN IP4 192.0.2.111" in call.media.agreed[1]
    call.hangup()
    stage.run()
    stage.check(REINVITE)
