"""What goes back to the client of a forwarded request (RFC 3261 section 16.7 steps 3 and 9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.element.history import RequestHistory
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.interfaces.routing import IForwardingPolicy
    from twisted_sip.proxy.service import ProxyService

_log = Logger()


class Upstream:
    """The way back of one forwarded request: what policies and ProxyService.response_forwarded get beside a response.

    :ivar service: the proxy.
    :ivar incoming: the request as it came, with its server transaction.
    :ivar request: the request as it came.
    :ivar calls: the request is an INVITE.
    :ivar in_dialog: the request has a To tag.
    :ivar server: the server transaction.
    :ivar policies: those that care for it, chosen when it came.
    """

    __slots__ = ()

    service: ProxyService
    incoming: IncomingRequest
    request: Request
    calls: bool
    in_dialog: bool
    history: RequestHistory | None
    server: Any
    policies: Sequence[IForwardingPolicy]

    def _forward(self, response: Response) -> None:
        """Send *response* upstream."""
        headers = response.headers
        if response.flow is not None:
            # Section 16.7 step 3: our own Via goes; what is left names the client.
            place = headers.names.index("via")
            if "," in headers.lines[place]:
                headers.remove_first_element("via")
            else:
                # The same without looking for the place again.
                del headers.names[place], headers.lines[place]
                headers.parsed.pop("via", None)
            if "via" not in headers.names:
                if response.status < 200:
                    return
                # It must not be forwarded, but the client is to have its end.
                response = self.local_response(502, "")
        if self.history is not None and response.status > 100:
            self.history.answer(response)
        service = self.service
        holds: list[Deferred[Any]] | None = None
        try:
            for policy in self.policies:
                hold = policy.response(response, self)
                if hold is not None:
                    holds = [hold] if holds is None else [*holds, hold]
            service.response_forwarded(response, self)
        except Exception:
            # What should be hidden from the client may still be in it.
            _log.failure("a response was not forwarded: {response}", response=response)
            if response.status < 200:
                return
            response = self.local_response(500, "")
            holds = None
        if holds is None:
            self.server.send(response)
        else:
            self._send_after(holds, response)

    def _send_after(self, holds: list[Deferred[Any]], response: Response) -> None:
        """Send *response* once all *holds* have fired, in whatever way: they may be shared by many."""
        if holds:
            holds.pop().addBoth(self._held, holds, response)
        else:
            self.server.send(response)

    def _held(self, result: Any, holds: list[Deferred[Any]], response: Response) -> None:
        if isinstance(result, Failure):
            _log.failure("what {response} has waited for failed", result, response=str(response))
        self._send_after(holds, response)

    def local_response(self, status: int, reason: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """Return a response made here in the name of a branch that gave none."""
        return response_to(self.request, status, reason, headers, b"", self.incoming.to_tag)
