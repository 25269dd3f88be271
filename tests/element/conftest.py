"""A desk for the sender's tests: real transactions over a Clock, flows and name servers in memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from twisted_sip.element.dead_targets import DeadTargets
from twisted_sip.element.request_sender import RequestSender
from twisted_sip.element.sending import SenderSettings
from twisted_sip.errors import TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TRANSPORT_KINDS, UDP, TransportKind
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.layer import TransactionLayer
from twisted_sip.transaction.timers import TimerQueue


class FakeFlow:
    """A flow that keeps what is sent over it."""

    def __init__(self, kind: TransportKind, remote: Address) -> None:
        self.kind = kind
        self.local = Address("192.0.2.100", 5060)
        self.remote = remote
        self.sent_by = "192.0.2.100:5060"
        self.open = True
        self.identities: tuple[str, ...] = ()
        self.token = f"{kind.token}-{remote}"
        self.sent: list[Request] = []
        self.broken = False

    def send(self, data: bytes, message: Any) -> None:
        if self.broken:
            raise TransportError(f"{self.remote} is gone")
        self.sent.append(message)

    def reply_flow(self, request: Request) -> FakeFlow:
        return self


class FakeTransports:
    """Flows by destination, connections that wait or are refused as the test says."""

    def __init__(self) -> None:
        self.flows: dict[tuple[TransportKind, Address], FakeFlow] = {}
        self.refuse: set[str] = set()
        self.slow: set[str] = set()
        self.connecting: list[tuple[Deferred[Any], Destination]] = []
        self.asked: list[str] = []

    def flow(self, text: str) -> FakeFlow:
        """Return the flow to ``KIND host:port``."""
        kind_text, _, where = text.partition(" ")
        host, _, port = where.rpartition(":")
        key = (TRANSPORT_KINDS[kind_text], Address(host.strip("[]"), int(port)))
        return self.flows.setdefault(key, FakeFlow(*key))

    def flow_to(self, destination: Destination) -> Any:
        text = f"{destination.kind!r} {destination.address}"
        self.asked.append(text)
        if text in self.slow:
            waiting: Deferred[Any] = Deferred()
            self.connecting.append((waiting, destination))
            return waiting
        if text in self.refuse:
            raise TransportError(f"{text} refused")
        return self.flow(text)

    def connected(self) -> None:
        """The connections that are being opened are there, or refused."""
        connecting, self.connecting = self.connecting, []
        for waiting, destination in connecting:
            text = f"{destination.kind!r} {destination.address}"
            if text in self.refuse:
                waiting.errback(TransportError(f"{text} refused"))
            else:
                waiting.callback(self.flow(text))


class FakeResolver:
    """Destinations by host."""

    def __init__(self) -> None:
        self.hosts: dict[str, Any] = {}
        self.asked: list[str] = []

    def __setitem__(self, host: str, servers: Any) -> None:
        self.hosts[host] = servers

    def resolve(self, uri: Any) -> Any:
        self.asked.append(str(uri))
        found = self.hosts[uri.host]
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Deferred):
            return found
        return destinations(*found)


def destinations(*servers: str) -> tuple[Destination, ...]:
    """Return the destinations of texts such as ``UDP 192.0.2.1:5060``."""
    made = []
    for server in servers:
        kind, _, where = server.partition(" ")
        host, _, port = where.rpartition(":")
        made.append(Destination(TRANSPORT_KINDS[kind], Address(host, int(port)), "example.com"))
    return tuple(made)


class User:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.prepared: list[tuple[str, bool]] = []
        self.on_prepare: Callable[[Request, Any], None] | None = None

    def prepare(self, request: Request, flow: Any) -> None:
        self.prepared.append((flow.token, "via" in request.headers.names))
        if self.on_prepare is not None:
            self.on_prepare(request, flow)

    def response_received(self, outgoing: Any, response: Response) -> None:
        self.told.append(response.status)

    def failed(self, outgoing: Any, status: int, reason: str) -> None:
        self.told.append(f"{status} {reason}")


class _Layer:
    """The user of the transaction layer."""

    def __init__(self) -> None:
        self.strays: list[Response] = []

    def stray_response(self, response: Response, flow: Any) -> None:
        self.strays.append(response)


class Desk:
    """A sender and everything around it."""

    destinations = staticmethod(destinations)

    def __init__(self) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.layer = _Layer()
        self.transactions = TransactionLayer(self.timers, self.layer)  # type: ignore[arg-type]
        self.transports = FakeTransports()
        self.resolver = FakeResolver()
        numbers = count(1)
        self.dead = DeadTargets(self.timers)
        self.sender = RequestSender(
            self.transports,
            self.transactions,
            self.resolver,  # type: ignore[arg-type]
            lambda: f"b{next(numbers)}",
            dead_targets=self.dead,
        )
        self.user = User()

    def settings(self, **how: Any) -> None:
        self.sender.settings = SenderSettings(**how)

    def flow(self, text: str) -> FakeFlow:
        return self.transports.flow(text)

    def request(self, method: str = "INVITE", uri: str = "sip:bob@example.com", **how: Any) -> Request:
        how.setdefault("headers", [])
        to = how.pop("to", "<sip:bob@example.com>")
        return build_request(
            method, uri, from_="<sip:alice@example.com>;tag=a", to=to, call_id="call", cseq=how.pop("cseq", 1), **how
        )

    def send(self, method: str = "INVITE", request_uri: str = "sip:bob@example.com", **how: Any) -> Any:
        message = {key: how.pop(key) for key in ("headers", "body", "to", "cseq") if key in how}
        return self.sender.send(self.request(method, request_uri, **message), self.user, **how)

    def answer(self, flow: Any, status: int, headers: Any = (), place: int = -1) -> None:
        """The peer at *flow* answers the request that it was sent last (neither ACK nor CANCEL)."""
        if isinstance(flow, str):
            flow = self.flow(flow)
        requests = [message for message in flow.sent if message.method not in ("ACK", "CANCEL")]
        response = response_to(requests[place], status, headers=headers, to_tag="b" if status > 100 else "")
        self.transactions.response_received(response, flow)

    def answer_cancel(self, flow: Any) -> None:
        """The peer accepts the CANCEL that it was sent last."""
        if isinstance(flow, str):
            flow = self.flow(flow)
        cancel = next(message for message in reversed(flow.sent) if message.method == "CANCEL")
        self.transactions.response_received(response_to(cancel, 200, to_tag="b"), flow)

    def methods(self, flow: str) -> list[str]:
        """Return the methods of what was sent over *flow*, retransmissions counted once."""
        seen: list[str] = []
        for message in self.flow(flow).sent:
            if not seen or seen[-1] != message.method:
                seen.append(message.method)
        return seen

    def advance(self, seconds: float) -> None:
        """Let time pass in small steps, as a reactor would."""
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)

    def settle(self) -> None:
        """Let past every legal deadline; nothing may be left."""
        self.clock.pump([1.0] * 400)
        assert set(self.transactions.counts().values()) == {0}
        assert not self.sender.waiting
        assert self.timers.pending == 0
        assert not self.clock.getDelayedCalls()


@pytest.fixture
def desk() -> Desk:
    """A fresh desk."""
    return Desk()


@pytest.fixture
def udp() -> TransportKind:
    """The row of UDP."""
    return UDP
