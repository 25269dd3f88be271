"""Answers of the element where something is in the way of answering (RFC 3261 sections 8.2.6, 18.2.2 and 21.5.4)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError, ResolutionError, TransactionLimitReached, TransportError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP, TransportKind
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.testing.network import Network

VIA = "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx"


class Flow:
    """A flow that keeps what is sent, or breaks."""

    local = Address("192.0.2.1", 5060)
    remote = Address("192.0.2.2", 5060)
    sent_by = "192.0.2.1:5060"
    token = "flow"

    def __init__(self, kind: TransportKind = UDP, broken: bool = False) -> None:
        self.kind = kind
        self.sent: list[Response] = []
        self._broken = broken

    def reply_flow(self, request: Request) -> Flow:
        request.top_via  # noqa: B018 - as a real flow does, it reads the Via
        return self

    def send(self, data: bytes, message: Response) -> None:
        if self._broken:
            raise TransportError("gone")
        self.sent.append(message)


class NoNames:
    """A resolver that finds nothing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def resolve_response(self, via: Any) -> Any:
        self.asked.append(via)
        raise ResolutionError("nothing")


class Scene:
    def __init__(self) -> None:
        self.network = Network(5)
        self.resolver = NoNames()
        self.element = Element(
            self.network.node("192.0.2.1"),
            chain=[self],
            resolver=self.resolver,  # type: ignore[arg-type]
            random_bytes=self.network.random_bytes,
        )
        self.do: Any = None

    def process(self, incoming: Any) -> Any:
        incoming.user = "sip:a@b"
        return self.do(incoming)

    def receive(self, flow: Flow, via: str = VIA, method: str = "MESSAGE", to: str = "<sip:b@c>") -> None:
        fields = [("via", via), ("from", "<sip:a@b>;tag=a"), ("to", to), ("call-id", "c"), ("cseq", f"1 {method}")]
        self.element.request_received(Request(method, "sip:b@c", fields), flow)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def fail(error: Exception, later: bool) -> Any:
    gate: Deferred[Any] = Deferred()
    gate.errback(error)

    def process(incoming: Any) -> Any:
        if later:
            return gate
        raise error

    return process


def test_via_that_names_no_transaction(scene: Scene) -> None:
    scene.do = fail(RemoteProtocolError("Malformed Via", header="Via"), False)
    flow = Flow()
    scene.receive(flow, via=";;;")
    [answer] = flow.sent
    assert (answer.status, answer.reason) == (400, "Malformed Via")
    assert scene.element.transactions.counts()["servers"] == 0


@pytest.mark.parametrize("later", [False, True])
def test_no_room_for_what_a_processor_began(scene: Scene, later: bool) -> None:
    scene.do = fail(TransactionLimitReached("full"), later)
    flow = Flow()
    scene.receive(flow)
    [answer] = flow.sent
    assert (answer.status, answer.headers.first("retry-after")) == (503, "10")


def test_no_room_for_the_refusal(scene: Scene) -> None:
    scene.do = fail(RemoteProtocolError("no"), False)
    scene.element.transactions.max_transactions = 0
    flow = Flow()
    scene.receive(flow)
    [answer] = flow.sent
    assert (answer.status, answer.headers.first("retry-after")) == (503, "10")


def test_answer_that_cannot_be_sent(scene: Scene) -> None:
    def process(incoming: Any) -> Any:
        incoming.respond_statelessly(403)
        return None

    scene.do = process
    scene.element.chain.clear()
    scene.element.chain.append(scene)
    flow = Flow(broken=True)
    scene.receive(flow)
    assert flow.sent == []


@pytest.mark.parametrize(("kind", "asked"), [(UDP, True), (TCP, False)])
def test_another_way_back_is_looked_for_once(scene: Scene, kind: TransportKind, asked: bool) -> None:
    """Over the transport that the Via names, and not for a Via that names another one than the request came by."""

    def process(incoming: Any) -> Any:
        incoming.respond(200)
        transaction = incoming.transaction
        scene.element.find_way_back(transaction)
        scene.element.find_way_back(transaction)
        raise RemoteProtocolError("after the answer")

    scene.do = process
    scene.receive(Flow(kind, broken=True))
    assert len(scene.resolver.asked) == int(asked)
    scene.network.advance(400)


def test_ack_whose_to_cannot_be_read(scene: Scene) -> None:
    reached: list[Any] = []
    scene.do = reached.append
    scene.receive(Flow(), method="ACK", to="<sip:")
    assert reached == []


def test_admit(scene: Scene) -> None:
    assert scene.element.admit("192.0.2.2") is True
    asked: list[str] = []

    def admit(host: str) -> bool:
        asked.append(host)
        return False

    other = Element(scene.network.node("192.0.2.4"), admit=admit, random_bytes=scene.network.random_bytes)
    assert other.admit("192.0.2.9") is False
    assert asked == ["192.0.2.9"]
