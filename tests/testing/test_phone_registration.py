"""How a simulated phone registers, against a scripted peer that stands for the registrar (RFC 3261 section 10.2)."""

from __future__ import annotations

import pytest

from twisted_sip.message.request import Request
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer, StreamAcceptor
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.phone_registration import Acknowledged


class Pair:
    def __init__(self, **how: str) -> None:
        self.network = Network()
        self.registrar = Peer(self.network.node("192.0.2.1"))
        node = self.network.node("192.0.2.2")
        self.phone = SimulatedPhone(self.network, node, "alice", proxy="sip:192.0.2.1;lr", **how)  # type: ignore[arg-type]
        self.acknowledged = 0
        self.phone.registration.on_acknowledged = self._count

    def _count(self) -> None:
        self.acknowledged += 1

    def register(self, within: float = 5.0) -> Request:
        request: Request = self.registrar.expect("REGISTER", within=within)
        return request

    def grant(self, request: Request, expires: int) -> None:
        contact = request.contacts[0]
        self.registrar.answer(request, 200, [("contact", f"<{contact.uri_text}>;expires={expires}")])
        self.network.advance(0.1)


def test_register_refresh_unregister() -> None:
    pair = Pair()
    registration = pair.phone.registration
    registration.start(100)
    first = pair.register()
    assert first.uri_text == "sip:example.com"
    assert str(first.to.uri) == str(first.from_.uri) == "sip:alice@example.com"
    assert first.contacts[0].params.get("expires") == "100"
    assert registration.busy and registration.acknowledged is None
    pair.grant(first, 60)
    assert registration.acknowledged is not None
    assert registration.acknowledged.contact == "sip:alice@192.0.2.2:5060"
    assert registration.acknowledged.until == pytest.approx(59.0)
    pair.registrar.expect_nothing(within=28.0)
    second = pair.register()
    assert (second.call_id, second.cseq.number) == (first.call_id, first.cseq.number + 1)
    pair.grant(second, 60)
    registration.unregister()
    assert registration.acknowledged is None
    last = pair.register()
    assert last.contacts[0].params.get("expires") == "0"
    pair.registrar.answer(last, 200)
    pair.registrar.expect_nothing(within=100.0)
    assert registration.statuses == [200, 200, 200]
    assert pair.acknowledged == 3
    assert pair.phone.leftovers() == {}


def test_a_promise_counts_from_the_request() -> None:
    """The response may be one that was sent long ago and got lost until now."""
    pair = Pair()
    pair.phone.registration.start(60)
    request = pair.register()
    pair.network.advance(20.0)
    pair.grant(request, 60)
    assert pair.phone.registration.acknowledged is not None
    assert pair.phone.registration.acknowledged.until == pytest.approx(59.0)


def test_one_register_at_a_time() -> None:
    pair = Pair()
    pair.phone.registration.start(60)
    first = pair.register()
    pair.phone.registration.unregister()
    pair.registrar.expect_nothing(within=0.3)
    pair.grant(first, 60)
    assert pair.register().contacts[0].params.get("expires") == "0"


def test_a_failure_is_tried_again_and_an_old_promise_holds() -> None:
    pair = Pair()
    pair.phone.registration.start(60)
    pair.grant(pair.register(), 60)
    promise = pair.phone.registration.acknowledged
    pair.registrar.answer(pair.register(within=40.0), 500)
    pair.network.advance(1.0)
    assert pair.phone.registration.acknowledged == promise
    assert isinstance(promise, Acknowledged)
    pair.grant(pair.register(within=15.0), 60)
    assert pair.phone.registration.statuses == [200, 500, 200]


def test_too_brief() -> None:
    pair = Pair()
    pair.phone.registration.start(10)
    pair.registrar.answer(pair.register(), 423, [("min-expires", "120")])
    assert pair.register().contacts[0].params.get("expires") == "120"


def test_a_challenge_is_answered_with_a_higher_number() -> None:
    pair = Pair(password="secret")
    pair.phone.registration.start(60)
    first = pair.register()
    challenge = 'Digest realm="example.com", nonce="n", qop="auth", algorithm=MD5'
    pair.registrar.answer(first, 401, [("www-authenticate", challenge)])
    second = pair.register()
    assert second.cseq.number == first.cseq.number + 1
    assert 'username="alice"' in (second.headers.first("authorization") or "")
    pair.grant(second, 60)
    assert pair.phone.registration.statuses == [200]
    third = pair.register(within=40.0)
    assert third.cseq.number > second.cseq.number


def test_outbound() -> None:
    pair = Pair(instance="00000000-0000-1000-8000-000000000001")
    pair.phone.registration.start(60)
    contact = pair.register().contacts[0]
    assert contact.params.get("reg-id") == "1"
    assert contact.params.get("+sip.instance") == '"<urn:uuid:00000000-0000-1000-8000-000000000001>"'
    assert contact.uri_text.endswith(";ob")


def test_a_lost_connection_is_made_anew() -> None:
    network = Network()
    acceptor = StreamAcceptor(network.node("192.0.2.1"))
    phone = SimulatedPhone(
        network, network.node("192.0.2.2"), "alice", proxy="sip:192.0.2.1;transport=tcp;lr", transport="tcp"
    )
    phone.registration.start(60)
    network.advance(1.0)
    request = acceptor.peers[0].expect("REGISTER")
    acceptor.peers[0].answer(request, 200, [("contact", f"<{phone.contact_uri}>;expires=60")])
    network.advance(1.0)
    acceptor.peers[0].close()
    network.advance(3.0)
    assert len(acceptor.peers) == 2
    acceptor.peers[1].expect("REGISTER")
    phone.quiet()
    acceptor.peers[1].close()
    network.advance(30.0)
    assert len(acceptor.peers) == 2
