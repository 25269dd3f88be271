"""A request that a simulated phone has sent, and every final outcome it has seen of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

#: Called with the status of the outcome and its response, None where there was none (a timeout, a lost transport).
Done = Callable[[int, Response | None], None]


class SentRequest:
    """One request on its way; the user of an Outgoing.

    :ivar method: its method.
    :ivar call_id: its Call-ID.
    :ivar sent_at: when it was sent, in seconds of the simulation.
    :ivar finals: the status of each final response that came, in order; for INVITE a 2xx may come again.
    :ivar failures: the status that stands for each end without a response.
    :ivar provisionals: the statuses of provisional responses.
    :ivar outgoing: the request on its way, to cancel it with.
    """

    def __init__(
        self,
        request: Request,
        sent_at: float,
        done: Done | None = None,
        accepted: Callable[[Response], None] | None = None,
    ) -> None:
        """Record *request*.

        :param done: called once, with the outcome.
        :param accepted: called with every 2xx to an INVITE, before *done*.
        """
        self.method = request.method
        self.call_id = request.call_id
        self.sent_at = sent_at
        self.finals: list[int] = []
        self.failures: list[int] = []
        self.provisionals: list[int] = []
        self.outgoing: Any = None
        self._done = done
        self._accepted = accepted

    def __repr__(self) -> str:
        return f"<{self.method} {self.call_id}: {self.finals} {self.failures}>"

    @property
    def outcome(self) -> int:
        """The status of the outcome, 0 as long as there is none."""
        return (self.finals + self.failures)[0] if self.finals or self.failures else 0

    @property
    def outcomes(self) -> int:
        """How many outcomes were reported: one is right. All 2xx to an INVITE together are one (RFC 3261 section
        13.2.2.4)."""
        finals = self.finals
        if self.method == "INVITE" and finals and all(200 <= status < 300 for status in finals):
            return 1 + len(self.failures)
        return len(finals) + len(self.failures)

    # -- the user of an Outgoing ---------------------------------------------------------

    def prepare(self, request: Request, flow: Flow) -> None:
        """Nothing in it depends on the flow."""

    def response_received(self, outgoing: Any, response: Response) -> None:
        """Take a response."""
        if response.status < 200:
            self.provisionals.append(response.status)
            return
        first = not self.outcomes
        self.finals.append(response.status)
        if response.status < 300 and self._accepted is not None:
            self._accepted(response)
        if first and self._done is not None:
            self._done(response.status, response)

    def failed(self, outgoing: Any, status: int, reason: str) -> None:
        """Take the end without a response."""
        first = not self.outcomes
        self.failures.append(status)
        if first and self._done is not None:
            self._done(status, None)
