"""A transaction layer between a scripted user and scripted flows, on a clock that tests advance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP, TransportKind
from twisted_sip.message.builders import response_to
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.layer import TransactionLayer
from twisted_sip.transaction.timers import TimerQueue, TimerValues


class FakeFlow:
    """Notes (time, first line) of what is sent, and the messages; fails when told to."""

    identities: tuple[str, ...] = ()
    open = True
    local = Address("192.0.2.1", 5060)
    remote = Address("192.0.2.2", 5060)
    sent_by = "192.0.2.1:5060"
    token = "fake"

    def __init__(self, kind: TransportKind, clock: Clock) -> None:
        self.kind = kind
        self.clock = clock
        self.log: list[tuple[float, str]] = []
        self.data: list[bytes] = []
        self.broken: TransportError | None = None
        self.unroutable: TransportError | None = None

    def send(self, data: bytes, message: Request | Response) -> None:
        if self.broken is not None:
            raise self.broken
        assert data.split(b"\r\n", 1)[0].decode() == message.start_line
        word = message.method if isinstance(message, Request) else str(message.status)
        self.log.append((self.clock.seconds(), word))
        self.data.append(data)

    def reply_flow(self, request: Request) -> FakeFlow:
        if self.unroutable is not None:
            raise self.unroutable
        return self

    @property
    def words(self) -> list[str]:
        return [word for _, word in self.log]

    def times(self, word: str) -> list[float]:
        return [time for time, sent in self.log if sent == word]


class Recorder:
    """Every user in one: notes what it is told; calls *on_call* first, if there is one."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: list[tuple[Any, ...]] = []
        self.on_call: Callable[[str, Any], None] | None = None

    def _note(self, name: str, subject: Any, detail: Any) -> None:
        self.calls.append((self.clock.seconds(), name, detail))
        if self.on_call is not None:
            self.on_call(name, subject)

    def response_received(self, transaction: Any, response: Response) -> None:
        self._note("response", transaction, response.status)

    def timed_out(self, transaction: Any) -> None:
        self._note("timed_out", transaction, None)

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        self._note("failed", transaction, str(error))

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        self._note("cancelled", transaction, cancel.method)

    def ack_timed_out(self, transaction: Any) -> None:
        self._note("no_ack", transaction, None)

    def request_received(self, request: Request, flow: Any) -> None:
        self._note("request", request, request.method)

    def ack_received(self, request: Request, flow: Any) -> None:
        self._note("ack", request, None)

    def cancel_unmatched(self, request: Request, flow: Any) -> None:
        self._note("cancel_unmatched", request, None)

    def stray_response(self, response: Response, flow: Any) -> None:
        self._note("stray", response, response.status)

    def names(self) -> list[tuple[str, Any]]:
        """(what, detail) of every call since the last time."""
        found = [(name, detail) for _, name, detail in self.calls]
        self.calls.clear()
        return found


class Stage:
    """A layer and what stands around it."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.user = Recorder(self.clock)
        self.values: TimerValues = options.pop("values", TimerValues())
        self.layer = TransactionLayer(self.timers, self.user, self.values, **options)
        self.udp = FakeFlow(UDP, self.clock)
        self.tcp = FakeFlow(TCP, self.clock)

    def flow(self, reliable: bool) -> FakeFlow:
        return self.tcp if reliable else self.udp

    def message(self, method: str, branch: str = "z9hG4bKa1", **fields: Any) -> Request:
        """A request as a peer would send it; fields overrides uri, via, from_, to, call_id, cseq, more."""
        via = fields.get("via", f"SIP/2.0/UDP 192.0.2.2:5060{';branch=' + branch if branch else ''}")
        lines = [
            f"{method} {fields.get('uri', 'sip:bob@example.com')} SIP/2.0",
            f"Via: {via}",
            "Max-Forwards: 70",
            f"From: {fields.get('from_', '<sip:alice@example.com>;tag=f1')}",
            f"To: {fields.get('to', '<sip:bob@example.com>')}",
            f"Call-ID: {fields.get('call_id', 'c1')}",
            f"CSeq: {fields.get('cseq', f'1 {method}')}",
            *fields.get("more", ()),
            "Content-Length: 0",
            "",
            "",
        ]
        parsed = parse_message("\r\n".join(lines).encode())
        assert isinstance(parsed, Request)
        return parsed

    def response(self, request: Request, status: int, tag: str = "t1", **fields: Any) -> Response:
        """A response to *request*."""
        made = response_to(request, status, to_tag=tag if status > 100 else "")
        for name, value in fields.items():
            made.headers.set(name, value)
        return made

    def receive(self, request: Request, reliable: bool = False) -> list[tuple[str, Any]]:
        """Let *request* come in; return what the users were told."""
        self.layer.request_received(request, self.flow(reliable))
        return self.user.names()

    def answer(self, request: Request, status: int, tag: str = "t1", reliable: bool = False) -> list[tuple[str, Any]]:
        """Let a response to *request* come in; return what the users were told."""
        self.layer.response_received(self.response(request, status, tag), self.flow(reliable))
        return self.user.names()

    def server(self, method: str, reliable: bool = False, **fields: Any) -> Any:
        """A server transaction for a request that comes in now."""
        request = self.message(method, **fields)
        assert self.receive(request, reliable) == [("request", method)]
        return self.layer.create_server(request, self.flow(reliable), self.user)

    def client(self, method: str, reliable: bool = False, **fields: Any) -> Any:
        """A client transaction that starts now."""
        return self.layer.start_client(self.message(method, **fields), self.flow(reliable), self.user)

    def advance(self, seconds: float) -> None:
        self.clock.pump([seconds])

    def run(self, until: float) -> None:
        """Go on to the time *until*, meeting every timer at its own time."""
        while calls := self.clock.getDelayedCalls():
            following = min(call.getTime() for call in calls)
            if following > until:
                break
            # Set, not added up: no rounding.
            self.clock.rightNow = max(following, self.clock.seconds())
            self.clock.advance(0)
        self.clock.rightNow = max(until, self.clock.seconds())
        self.clock.advance(0)

    def assert_empty(self) -> None:
        """Every table and timer queue is empty."""
        assert not any(self.layer.counts().values()), self.layer.counts()
        assert self.timers.pending == 0
        assert self.timers.held == 0


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def make_stage() -> Callable[..., Stage]:
    return Stage
