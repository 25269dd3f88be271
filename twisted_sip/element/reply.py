"""The user of an Outgoing who wants its outcome as a Deferred."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from twisted_sip.element.outgoing import Outgoing
from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response


class Reply:
    """Waits for the first final response.

    :ivar result: fires with it; fails with SIPError if there is none.
    :ivar outgoing: the request on its way.
    """

    __slots__ = ("_provisional", "outgoing", "result")

    def __init__(self, provisional: Callable[[Response], object] | None) -> None:
        self._provisional = provisional
        self.outgoing: Outgoing | None = None
        self.result: Deferred[Response] = Deferred(self._cancelled)

    def _cancelled(self, result: Deferred[Response]) -> None:
        if self.outgoing is not None:
            self.outgoing.cancel()

    def prepare(self, request: Request, flow: Flow) -> None:
        """Nothing depends on the flow."""

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        """Fire with the first final response."""
        if response.status < 200:
            if self._provisional is not None:
                self._provisional(response)
        elif not self.result.called:
            self.result.callback(response)

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        """Fail with what went wrong."""
        if not self.result.called:
            self.result.errback(outgoing.error or TransportError(f"{status} {reason}"))
