"""Subscriber and publisher over a real element on the simulated network: real transactions, real flows."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.auth.client import ANY_REALM, DigestClient
from twisted_sip.dialog.subscriber import Notified
from twisted_sip.element.element import Element
from twisted_sip.events.publishing import Publisher
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.request import Request
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

HOST, PEER = "192.0.2.1", "192.0.2.2"
CHALLENGE = ("www-authenticate", 'Digest realm="r", nonce="n", algorithm=MD5')


class Scene:
    def __init__(self) -> None:
        self.network = Network(4)
        node = self.network.node(HOST)
        self.element = Element(node, random_bytes=self.network.random_bytes, resolver=Resolver(node, names=FakeDNS()))
        self.subscriber = Subscriber(self.element)
        self.element.chain.append(self.subscriber)
        node.listenUDP(5060, SIPDatagramProtocol(self.element), interface=HOST, maxPacketSize=65535)
        self.peer = Peer(self.network.node(PEER))
        self.told: list[Notified] = []
        self.cseq = 0

    def subscribe(self, **how: Any) -> Any:
        return self.subscriber.subscribe(
            f"sip:bob@{PEER}", "presence", from_="sip:alice@example.com", on_notify=self.told.append, **how
        )

    def notify(self, subscribe: Request, state: str, body: bytes = b"", *, tag: str = "bob", branch: str = "") -> int:
        """Send a NOTIFY and return the status that it is answered with."""
        self.cseq += 1
        request = build_request(
            "NOTIFY",
            subscribe.contacts[0].uri,
            from_=f"{subscribe.to.without('tag')};tag={tag}",
            to=str(subscribe.from_),
            call_id=subscribe.call_id,
            cseq=self.cseq,
            headers=[
                ("via", f"SIP/2.0/UDP {PEER};branch={branch or f'z9hG4bKn{self.cseq}'}"),
                ("event", "presence"),
                ("subscription-state", state),
                ("contact", f"<sip:bob@{PEER}>"),
            ],
            body=body,
        )
        self.peer.send(request, (HOST, 5060))
        status: int = self.peer.expect(lambda message: not isinstance(message, Request)).status
        return status

    def answer(self, request: Request, status: int, *headers: tuple[str, str]) -> None:
        self.peer.send(response_to(request, status, headers=headers, to_tag="bob"), (HOST, 5060))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_life_of_a_subscription(scene: Scene) -> None:
    credentials = DigestClient("alice", "secret", realms=(ANY_REALM,))
    subscription = scene.subscribe(expires=60, credentials=credentials)
    first = scene.peer.expect("SUBSCRIBE")
    assert first.contacts[0].uri_text == f"sip:{scene.subscriber.contact_user}@{HOST}:5060"
    scene.answer(first, 401, CHALLENGE)
    second = scene.peer.expect("SUBSCRIBE")
    assert second.cseq.number == 2 and "authorization" in second.headers
    # The NOTIFY overtakes the response.
    assert scene.notify(second, "active;expires=60", b"state") == 200
    scene.answer(second, 200, ("expires", "60"))
    assert subscription.state == "active"
    refresh = scene.peer.expect("SUBSCRIBE", within=40)
    assert (refresh.to.tag, refresh.cseq.number) == ("bob", 3)
    assert refresh.uri_text == f"sip:bob@{PEER}"
    scene.answer(refresh, 200, ("expires", "60"))
    assert scene.notify(refresh, "active;expires=60") == 200
    over: list[Any] = []
    subscription.unsubscribe().addCallback(over.append)
    last = scene.peer.expect("SUBSCRIBE")
    assert last.expires == 0
    scene.answer(last, 200, ("expires", "0"))
    assert scene.notify(last, "terminated;reason=timeout") == 200
    assert over == [None]
    assert [notified.state for notified in scene.told] == ["active", "active", "terminated"]
    assert scene.notify(last, "active") == 481
    scene.network.advance(120)
    assert len(scene.subscriber) == 0 and scene.element.timers.pending == 0


def test_bad_notifies_are_answered(scene: Scene) -> None:
    subscription = scene.subscribe()
    subscribe = scene.peer.expect("SUBSCRIBE")
    scene.answer(subscribe, 200)
    assert scene.notify(subscribe, "active;expires=nonsense") == 400
    assert scene.notify(subscribe, "pending") == 200
    assert scene.notify(subscribe, "active", tag="somebody-else") == 481
    scene.cseq = 0
    assert scene.notify(subscribe, "terminated", branch="z9hG4bKreplay") == 500
    assert subscription.state == "pending"


def test_nobody_there(scene: Scene) -> None:
    subscription = scene.subscribe()
    scene.network.advance(33)
    assert (subscription.state, subscription.status) == ("terminated", 408)
    scene.network.advance(60)
    assert scene.element.timers.pending == 0


def test_publication(scene: Scene) -> None:
    publisher = Publisher(scene.element)
    state = publisher.publication(f"sip:bob@{PEER}", "presence", from_="sip:bob@example.com", expires=60)
    etags: list[Any] = []
    state.publish(b"open", "application/pidf+xml").addCallback(etags.append)
    request = scene.peer.expect("PUBLISH")
    assert request.body == b"open" and request.expires == 60
    scene.answer(request, 200, ("sip-etag", "e1"), ("expires", "60"))
    scene.network.advance(1)
    assert etags == ["e1"]
    refresh = scene.peer.expect("PUBLISH", within=40)
    assert (refresh.headers.first("sip-if-match"), refresh.body) == ("e1", b"")
    scene.answer(refresh, 200, ("sip-etag", "e2"), ("expires", "60"))
    scene.network.advance(1)
    publisher.stop().addCallback(etags.append)
    removal = scene.peer.expect("PUBLISH")
    assert (removal.headers.first("sip-if-match"), removal.expires) == ("e2", 0)
    scene.answer(removal, 200, ("expires", "0"))
    scene.network.advance(60)
    assert etags == ["e1", None]
    assert scene.element.timers.pending == 0
