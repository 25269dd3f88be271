"""Stand-ins for the element that services are made for: what they send is kept, and answered as a test says.

For tests of one service by script: its peer is the test. Whole networks are simulated by :mod:`network`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from twisted.internet.task import Clock

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP, TransportKind
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import TimerQueue, TimerValues


class ScriptedFlow:
    """A flow that sends nothing."""

    def __init__(self, kind: TransportKind = UDP, sent_by: str = "192.0.2.1:5060") -> None:
        self.kind = kind
        self.local = Address("192.0.2.1", 5060)
        self.remote = Address("192.0.2.2", 5060)
        self.sent_by = sent_by
        self.open = True
        self.identities: tuple[str, ...] = ()
        self.token = f"{kind.token}-scripted"

    def send(self, data: bytes, message: Request | Response) -> None:
        """Drop it."""

    def reply_flow(self, request: Request) -> ScriptedFlow:
        return self


class ScriptedOutgoing:
    """A request that was sent.

    :ivar request: the request.
    :ivar how: the keyword arguments of ``RequestSender.send``.
    """

    def __init__(self, request: Request, user: Any, how: dict[str, Any]) -> None:
        self.request = request
        self.user = user
        self.how = how
        self.error: Exception | None = None

    def answer(self, status: int, *headers: tuple[str, str], to_tag: str = "peer", body: bytes = b"") -> None:
        """The peer answers."""
        self.user.response_received(self, response_to(self.request, status, "", headers, body, to_tag))

    def fail(self, status: int = 408) -> None:
        """Nobody answers."""
        self.user.failed(self, status, "")

    def challenge(self) -> None:
        """The sender answers a challenge: the same with the next CSeq number."""
        number, method = self.request.cseq
        self.request = self.request.copy()
        self.request.headers.set("cseq", f"{number + 1} {method}")
        self.user.prepare(self.request, ScriptedFlow())


class ScriptedSender:
    """Stands for a RequestSender.

    :ivar sent: what was sent.
    :ivar flow: by which requests leave where no flow is given.
    """

    def __init__(self) -> None:
        self.sent: list[ScriptedOutgoing] = []
        self.flow = ScriptedFlow()

    def send(self, request: Request, user: Any, **how: Any) -> ScriptedOutgoing:
        """Keep *request*."""
        outgoing = ScriptedOutgoing(request, user, how)
        user.prepare(request, how.get("flow") or self.flow)
        self.sent.append(outgoing)
        return outgoing

    @property
    def last(self) -> ScriptedOutgoing:
        """What was sent last."""
        return self.sent[-1]


class ScriptedElement:
    """Stands for an Element: a clock, timers, predictable random texts, a sender that sends nothing."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.timer_values = TimerValues()
        self.sender = ScriptedSender()
        self._numbers = count(1)

    def random_text(self) -> str:
        """Return another text each time."""
        return f"r{next(self._numbers)}"

    def advance(self, seconds: float) -> None:
        """Let time pass, as a reactor would."""
        while seconds > 0:
            self.clock.advance(min(seconds, 1.0))
            seconds -= 1.0


class ScriptedIncoming:
    """Stands for a request in the chain; keeps how it is answered.

    :ivar answers: (status, headers, body) of each answer.
    :ivar notes: (room, text, key) of each decision that was noted.
    """

    def __init__(self, request: Request, flow: Any = None, user: str = "") -> None:
        self.request = request
        self.flow = flow if flow is not None else ScriptedFlow()
        self.user = user
        self.admitted = True
        self.believed = False
        self.own_routes: list[Any] = []
        self.to_tag = "ours"
        self.over = False
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.notes: list[tuple[str, str, str]] = []

    def note(self, room: str, text: str, key: str = "", first: str = "", second: str = "") -> None:
        """Keep what was decided."""
        self.notes.append((room, text.replace("{0}", first).replace("{1}", second) if first else text, key))

    def respond(
        self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        """Keep an answer."""
        response = response_to(self.request, status, reason, headers, body, self.to_tag)
        kept = {name.lower(): value for name, value in response.headers}
        self.answers.append((status, kept, body))
        self.over = self.over or status >= 200

    def respond_statelessly(self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Keep an answer."""
        self.respond(status, reason, headers)

    def send(self, response: Response) -> None:
        """Keep an answer."""
        self.respond(response.status, response.reason)

    def claim_as_uas(self) -> bool:
        """It came one way only."""
        return True

    def start_transaction(self, user: Any = None, *, trying: bool = False) -> Any:
        """There is no transaction."""
        return None

    @property
    def status(self) -> int:
        """The status of the one answer, 0 without one."""
        assert len(self.answers) < 2, self.answers
        return self.answers[0][0] if self.answers else 0
