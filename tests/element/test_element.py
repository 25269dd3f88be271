"""The element: its chain, answers that never reach a processor, failures (RFC 3261 sections 8.2, 9.2 and 18.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.message.builders import response_to
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer, StreamAcceptor, connect
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.stream import SIPFactory

HOST = "192.0.2.1"
TO = (HOST, 5060)


class Scene:
    """An element at 192.0.2.1 with one processor that does what a test says, and a peer."""

    def __init__(self) -> None:
        self.network = Network(2)
        self.node = self.network.node(HOST)
        self.do: Callable[[Any], Any] = lambda incoming: None
        self.seen: list[Any] = []
        self.element = Element(
            self.node,
            domains=["example.com"],
            chain=[self],
            random_bytes=self.network.random_bytes,
            resolver=Resolver(self.node, names=FakeDNS()),
            max_transactions=50,
        )
        self.node.listenUDP(5060, SIPDatagramProtocol(self.element), interface=HOST, maxPacketSize=65535)
        self.node.listenTCP(5060, SIPFactory(self.element), interface=HOST)
        self.element.transports.listening(TCP, Address(HOST, 5060))
        self.peer = Peer(self.network.node("192.0.2.2"))

    def process(self, incoming: Any) -> Any:
        self.seen.append(incoming)
        return self.do(incoming)

    def ask(self, method: str = "MESSAGE", branch: str = "one", **changes: str) -> None:
        """Send a request; *changes* replace lines by name."""
        self.peer.send(text(method, branch, **changes), TO)

    def statuses(self) -> list[int]:
        """Return the statuses that came within a second."""
        self.network.advance(1)
        return [message.status for message in self.peer.messages]  # type: ignore[union-attr]

    def settle(self) -> None:
        self.network.advance(400)
        assert {name: count for name, count in leftovers(self.element).items() if count} == {}


def text(method: str = "MESSAGE", branch: str = "one", **changes: str) -> str:
    lines = {
        "start": f"{method} sip:bob@example.com SIP/2.0",
        "via": f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{branch}",
        "from": "From: <sip:a@example.net>;tag=a",
        "to": "To: <sip:bob@example.com>",
        "call_id": "Call-ID: c",
        "cseq": f"CSeq: 1 {method}",
    }
    lines.update(changes)
    return "\n".join([*(line for line in lines.values() if line), "", ""])


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.settle()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """The failures that were logged."""
    failures: list[Any] = []

    def observer(event: Any) -> None:
        if "log_failure" in event:
            failures.append(event["log_failure"].value)

    globalLogPublisher.addObserver(observer)
    yield failures
    globalLogPublisher.removeObserver(observer)


# -- verdicts ------------------------------------------------------------------------------------


def test_what_nobody_takes_is_404(scene: Scene) -> None:
    scene.ask()
    assert scene.statuses() == [404]
    scene.element.chain.clear()
    scene.ask(branch="two")
    assert scene.statuses() == [404, 404]


def test_a_response_is_sent(scene: Scene) -> None:
    scene.do = lambda incoming: response_to(incoming.request, 302, to_tag=incoming.to_tag)
    scene.ask()
    assert scene.statuses() == [302]


def test_taken_is_answered_later(scene: Scene) -> None:
    scene.do = lambda incoming: TAKEN
    scene.ask()
    assert scene.statuses() == []
    scene.seen[0].respond(200, "Fine", [("x-one", "1")], b"body")
    got = scene.peer.expect(200)
    assert (got.reason, got.headers.first("x-one"), got.body) == ("Fine", "1", b"body")
    scene.ask()
    assert scene.statuses() == [200, 200]
    assert len(scene.seen) == 1


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(("verdict", "statuses"), [(None, [404]), (TAKEN, []), ("response", [200]), ("rubbish", [500])])
def test_coroutines(scene: Scene, logged: list[Any], later: bool, verdict: Any, statuses: list[int]) -> None:
    gate: Deferred[None] = Deferred()
    if not later:
        gate.callback(None)

    async def process(incoming: Any) -> Any:
        await gate
        return response_to(incoming.request, 200, to_tag="t") if verdict == "response" else verdict

    scene.do = process
    scene.ask()
    scene.network.advance(0.1)
    if later:
        scene.ask()
        assert scene.statuses() == []
        assert len(scene.seen) == 1
        gate.callback(None)
    assert scene.statuses() == statuses
    assert bool(logged) is (verdict == "rubbish")


def test_a_verdict_that_is_none(scene: Scene, logged: list[Any]) -> None:
    scene.do = lambda incoming: 42
    scene.ask()
    assert scene.statuses() == [500]
    assert logged


def test_taken_after_waiting_is_answered_later(scene: Scene) -> None:
    gate: Deferred[Any] = Deferred()
    scene.do = lambda incoming: gate
    scene.ask()
    scene.network.advance(0.1)
    gate.callback(TAKEN)
    scene.ask()
    scene.network.advance(0.1)
    assert len(scene.seen) == 1
    scene.seen[0].respond_statelessly(403)
    assert scene.statuses() == [403]


def test_waiting_requests_are_answered_statelessly(scene: Scene) -> None:
    gate: Deferred[Any] = Deferred()
    scene.do = lambda incoming: gate
    scene.ask()
    scene.network.advance(0.1)
    scene.seen[0].respond_statelessly(401)
    assert scene.element.transactions.counts()["servers"] == 0
    gate.callback(TAKEN)
    assert scene.statuses() == [401]


def test_ack_is_never_answered(scene: Scene, logged: list[Any]) -> None:
    for verdict in (None, 42, Deferred()):
        scene.do = lambda incoming, verdict=verdict: verdict
        scene.ask("ACK", to="To: <sip:bob@example.com>;tag=x")
        scene.network.advance(0.1)
    scene.seen[0].respond(200)
    scene.seen[0].respond_statelessly(200)
    scene.seen[0].send(response_to(scene.seen[0].request, 200))
    assert scene.statuses() == []
    assert len(logged) == 1


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("no"), 500, "Server Internal Error"),
        (RemoteProtocolError("Malformed X\r\nEvil: 1", status=400), 400, "Malformed X??Evil: 1"),
        (RemoteProtocolError("x" * 300, status=493), 493, "x" * 120),
    ],
)
def test_exceptions(scene: Scene, logged: list[Any], later: bool, error: Exception, status: int, reason: str) -> None:
    gate: Deferred[Any] = Deferred()

    def process(incoming: Any) -> Any:
        if later:
            return gate
        raise error

    scene.do = process
    scene.ask()
    scene.network.advance(0.1)
    if later:
        gate.errback(error)
    assert scene.peer.expect(status).reason == reason
    assert bool(logged) is (status == 500)


def test_exception_after_the_answer(scene: Scene, logged: list[Any]) -> None:
    def process(incoming: Any) -> Any:
        incoming.respond(200)
        raise ValueError("too late")

    scene.do = process
    scene.ask()
    assert scene.statuses() == [200]
    assert [str(error) for error in logged] == ["too late"]


@pytest.mark.parametrize(
    "changes",
    [
        {"via": "Via: SIP/2.0/UDP"},
        {"via": "Via: ;;;"},
        {"cseq": "CSeq: x"},
        {"cseq": ""},
        {"call_id": ""},
        {"from": "From: <<<"},
        {"from": ""},
        {"to": "To: <sip:"},
        {"to": ""},
        {"start": "MESSAGE  SIP/2.0"},
        {"start": "MESSAGE sip:b SIP/7.0"},
        {"start": "CANCEL sip:bob@example.com SIP/2.0", "via": "Via: ;;"},
        {"start": "ACK sip:bob@example.com SIP/2.0", "to": "To: <sip:"},
    ],
)
def test_damaged_requests_do_no_harm(scene: Scene, logged: list[Any], changes: dict[str, str]) -> None:
    scene.ask(**changes)
    scene.network.advance(1)
    answers = [arrival.data.split(b" ", 2)[1] for arrival in scene.peer.arrivals]
    assert set(answers) <= {b"400", b"404", b"481", b"505"}
    assert not logged
    scene.ask(branch="afterwards")
    scene.peer.expect(404)


def test_too_many_transactions(scene: Scene) -> None:
    scene.do = lambda incoming: incoming.start_transaction() and TAKEN
    for place in range(51):
        scene.ask(branch=f"b{place}")
    assert scene.peer.expect(503, within=1).headers.first("retry-after") == "10"
    for incoming in scene.seen:
        if incoming.transaction is not None:
            incoming.respond(200)


def test_too_many_that_wait(scene: Scene) -> None:
    cancelled: list[Any] = []
    scene.do = lambda incoming: Deferred(cancelled.append)
    for place in range(51):
        scene.ask(branch=f"b{place}")
    assert scene.peer.expect(503, within=1).headers.first("retry-after") == "10"
    assert len(cancelled) == 1


# -- statelessly -------------------------------------------------------------------------------------


def test_stateless_answers_have_one_tag(scene: Scene) -> None:
    """Section 8.2.7: the same request, the same tag; another one, another tag."""

    def process(incoming: Any) -> Any:
        incoming.respond_statelessly(401, "Who", [("x-one", "1")])
        return TAKEN

    scene.do = process
    tags = []
    for branch in ("one", "one", "two"):
        scene.ask(branch=branch)
        got = scene.peer.expect(401)
        assert (got.reason, got.headers.first("x-one")) == ("Who", "1")
        tags.append(got.to.tag)
    assert tags[0] == tags[1] != tags[2]
    assert scene.element.transactions.counts()["servers"] == 0


def test_ack_for_a_stateless_answer_ends_here(scene: Scene) -> None:
    def process(incoming: Any) -> Any:
        incoming.respond_statelessly(401)
        return TAKEN

    scene.do = process
    scene.ask("INVITE")
    tag = scene.peer.expect(401).to.tag
    scene.ask("ACK", to=f"To: <sip:bob@example.com>;tag={tag}")
    scene.network.advance(1)
    assert len(scene.seen) == 1


def test_cancel_without_a_match(scene: Scene) -> None:
    scene.ask("CANCEL")
    assert scene.statuses() == [481]
    assert scene.element.transactions.counts()["servers"] == 0
    assert not scene.seen


def test_cancel_of_a_transaction_without_a_user(scene: Scene) -> None:
    scene.do = lambda incoming: incoming.start_transaction() and TAKEN
    scene.ask("INVITE")
    scene.network.advance(0.5)
    scene.ask("CANCEL")
    got = scene.peer.expect(487)
    assert got.to.tag
    scene.ask("ACK", to=f"To: <sip:bob@example.com>;tag={got.to.tag}")
    scene.network.advance(1)
    assert len(scene.seen) == 1


# -- transports --------------------------------------------------------------------------------------


def test_response_finds_another_way_when_the_connection_is_gone(scene: Scene) -> None:
    """Section 18.2.2: to where the Via says, over a new connection."""
    scene.do = lambda incoming: TAKEN
    node = scene.network.node("192.0.2.3")
    peer = connect(node, TO)
    acceptor = StreamAcceptor(node)
    peer.send(text(via="Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bKtcp"))
    scene.network.advance(0.2)
    peer.close()
    scene.network.advance(0.2)
    scene.seen[0].respond(200)
    scene.network.advance(1)
    assert acceptor.peers and acceptor.peers[0].expect(200)


def test_nobody_listens_where_the_via_says(scene: Scene) -> None:
    scene.do = lambda incoming: TAKEN
    peer = connect(scene.network.node("192.0.2.3"), TO)
    peer.send(text(via="Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bKtcp"))
    scene.network.advance(0.2)
    peer.close()
    scene.network.advance(0.2)
    scene.seen[0].respond(200)
    scene.network.advance(40)


def test_observers_of_flows(scene: Scene) -> None:
    closed: list[Any] = []
    scene.element.observe_flows(closed.append)
    peer = connect(scene.network.node("192.0.2.3"), TO)
    scene.network.advance(0.1)
    peer.close()
    scene.network.advance(0.5)
    assert [flow.remote.host for flow in closed] == ["192.0.2.3"]


def test_stop(scene: Scene) -> None:
    scene.do = lambda incoming: TAKEN
    scene.ask("INVITE")
    scene.network.advance(0.1)
    done: list[Any] = []
    scene.element.stop().addCallback(done.append)
    scene.network.advance(1)
    assert done == [None]
    assert set(scene.element.transactions.counts().values()) == {0}
    assert not scene.node.getDelayedCalls()
