"""A STUN client and what it is answered."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.task import Clock

from twisted_sip.stun.credentials import (
    Credentials,
)
from twisted_sip.stun.message import (
    BINDING,
    SUCCESS,
    STUNMessage,
    parse_stun,
)
from twisted_sip.stun.requester import Requester, STUNFailure
from twisted_sip.stun.server import (
    answer,
)
from twisted_sip.stun.transaction import Retransmission
from twisted_sip.transaction.timers import TimerQueue

SOURCE = ("192.0.2.1", 5000)
Reply = Callable[[bytes, STUNMessage], bytes | None]


class Scene:
    """A requester whose octets go to *reply*, at once."""

    def __init__(
        self, reply: Reply | None = None, credentials: Credentials | None = None, *, reliable: bool = False
    ) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.sent: list[tuple[float, bytes]] = []
        self.outcomes: list[STUNMessage | STUNFailure] = []
        self.reply = reply
        self.requester = Requester(
            self.timers,
            Random(1).randbytes,
            self._send,
            credentials,
            Retransmission(reliable=reliable),
            software="tests",
            limit=3,
        )

    def _send(self, data: bytes) -> None:
        self.sent.append((self.clock.seconds(), data))
        if self.reply is not None:
            response = self.reply(data, parse_stun(data))
            if response is not None:
                self.requester.datagram(response)

    def ask(self) -> Any:
        self.requester.request(BINDING, lambda _: (), self.outcomes.append)
        return self.outcomes[-1] if self.outcomes else None

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.125] * int(seconds * 8))

    def check_empty(self) -> None:
        assert not self.requester.waiting
        assert not self.timers.pending


def success(data: bytes, request: STUNMessage) -> bytes:
    return answer(request, SUCCESS, ())


def failure(outcome: object) -> tuple[int, str]:
    assert isinstance(outcome, STUNFailure)
    return outcome.code, outcome.reason
