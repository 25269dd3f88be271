"""One request in the chain and its answers (RFC 3261 sections 8.2.2.2, 8.2.6 and 8.2.7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from twisted_sip.element.decisions import Decision, Decisions
from twisted_sip.element.element import Element
from twisted_sip.element.incoming import Incoming
from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver


class Scene:
    """An element that leaves every request to the test."""

    def __init__(self) -> None:
        self.network = Network(4)
        node = self.network.node("192.0.2.1")
        self.taken: list[Incoming] = []
        self.element = Element(
            node, chain=[self], random_bytes=self.network.random_bytes, resolver=Resolver(node, names=FakeDNS())
        )
        node.listenUDP(5060, SIPDatagramProtocol(self.element), interface="192.0.2.1", maxPacketSize=65535)
        self.peer = Peer(self.network.node("192.0.2.2"))

    def process(self, incoming: Any) -> Any:
        self.taken.append(incoming)
        return TAKEN

    def receive(self, method: str = "MESSAGE", branch: str = "one", user: str = "sip:a@b") -> Incoming:
        """Return a request that has come; its sender has proved to be *user*."""
        self.peer.send(
            f"{method} sip:b@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{branch}\n"
            f"From: <sip:a@b>;tag=a\nTo: <sip:b@c>\nCall-ID: c\nCSeq: 1 {method}\n\n",
            ("192.0.2.1", 5060),
        )
        count = len(self.taken)
        self.network.advance_until(lambda: len(self.taken) > count)
        self.taken[-1].user = user
        return self.taken[-1]


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.network.advance(400)
    assert {name: count for name, count in leftovers(made.element).items() if count} == {}


def test_one_tag_in_every_response(scene: Scene) -> None:
    """Section 8.2.6.2."""
    incoming = scene.receive("INVITE")
    incoming.respond(180)
    incoming.respond(200)
    assert scene.peer.expect(180).to.tag == scene.peer.expect(200).to.tag == incoming.to_tag


def test_over(scene: Scene) -> None:
    incoming = scene.receive("INVITE")
    assert not incoming.over
    incoming.respond(180)
    assert not incoming.over
    incoming.respond(200)
    assert incoming.over


def test_stateless_after_a_transaction_goes_through_it(scene: Scene) -> None:
    incoming = scene.receive()
    transaction = incoming.start_transaction()
    incoming.respond_statelessly(403)
    assert transaction.last_response is not None and transaction.last_response.status == 403
    assert scene.peer.expect(403)


def test_transaction_is_made_once_and_takes_a_new_user(scene: Scene) -> None:
    incoming = scene.receive()
    first, second = object(), object()
    transaction = incoming.start_transaction(first)
    assert incoming.start_transaction() is transaction
    assert transaction.user is first
    incoming.start_transaction(second)
    assert transaction.user is second
    transaction.user = scene.element
    incoming.respond(200)


def test_merged_requests(scene: Scene) -> None:
    """Section 8.2.2.2."""
    first, second = scene.receive(branch="one"), scene.receive(branch="two")
    assert first.claim_as_uas()
    assert not second.claim_as_uas()
    assert scene.peer.expect(482)
    assert first.claim_as_uas()
    first.respond(200)
    assert scene.peer.expect(200)


@pytest.mark.parametrize("bad", ["a\r\nb", "a\nb", "a\0b"])
def test_line_ends_raise(scene: Scene, bad: str) -> None:
    incoming = scene.receive()
    with pytest.raises(LocalProtocolError):
        incoming.respond(200, bad)
    with pytest.raises(LocalProtocolError):
        incoming.respond(200, headers=[("x-one", bad)])
    with pytest.raises(LocalProtocolError):
        incoming.respond_statelessly(200, bad)
    with pytest.raises(LocalProtocolError):
        incoming.respond(999)


def test_refusing_somebody_unproved_keeps_nothing(scene: Scene) -> None:
    scene.receive(user="").respond(404)
    tag = scene.peer.expect(404).to.tag
    assert scene.element.transactions.counts()["servers"] == 0
    scene.receive(user="").respond(404)
    assert scene.peer.expect(404).to.tag == tag
    scene.receive(branch="two").respond(404)
    assert scene.element.transactions.counts()["servers"] == 1


def test_repr(scene: Scene) -> None:
    assert repr(scene.receive()) == "<Incoming <Request MESSAGE sip:b@192.0.2.1> from 192.0.2.2:5060>"


def test_why_a_request_goes_its_way_is_noted_where_that_is_kept(scene: Scene) -> None:
    incoming = scene.receive()
    incoming.note("route", "nobody keeps it")
    decisions = scene.element.decisions = Decisions(lambda: 7.0)
    incoming.note("route", "to the gateway", "route[0].to")
    assert decisions.call("c") == [Decision(7.0, "MESSAGE", "route", "to the gateway", "route[0].to")]
    incoming.note("route", "x" * 1000)
    incoming.note("route", "{0} and {1}", "", "a", "b" * 1000)
    texts = [one.text for one in decisions.call("c")[1:]]
    assert [len(text) for text in texts] == [203, 209]
    incoming.respond_statelessly(404)
