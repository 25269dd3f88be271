"""Instant messages and questions outside of calls: MESSAGE (RFC 3428) and OPTIONS (RFC 3261 section 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.agent.account import Account
from twisted_sip.agent.call_events import MessageReceived
from twisted_sip.agent.call_sound import outcome_to
from twisted_sip.agent.descriptions import deferred
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.interfaces.processing import IncomingRequest, Verdict
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import apply_route_set

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.user_agent import UserAgent

#: Takes the final response, None without one, and its status.
Done = Callable[[Response | None, int], object]


@attrs.frozen(slots=True, kw_only=True)
class InstantMessage:
    """A MESSAGE that has come.

    :ivar sender: its From.
    :ivar content_type: of its body, empty without one.
    :ivar body: its body.
    :ivar account: whom it is for.
    :ivar call: the call that it came in, None for one outside of calls.
    :ivar request: all of it.
    """

    sender: NameAddr
    content_type: str
    body: bytes
    account: Account
    call: Call | None
    request: Request

    @property
    def text(self) -> str:
        """The body as text; what cannot be read is replaced."""
        return self.body.decode("utf-8", "replace")


class Messages:
    """The instant messages of one agent, and its other requests outside of dialogs."""

    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent

    def received(self, incoming: IncomingRequest, call: Call | None) -> Verdict | Deferred[Verdict]:
        """Take a MESSAGE: it is answered 200 once somebody has taken it."""
        agent = self._agent
        request = incoming.request
        content_type = request.headers.first("content-type") or ""
        if call is not None:
            call.log.add(MessageReceived(content_type=content_type, body=request.body))
            if not agent.takes_messages:
                return response_to(request, 200, to_tag=incoming.to_tag)
        message = InstantMessage(
            sender=request.from_,
            content_type=content_type,
            body=request.body,
            account=call.account if call is not None else agent.account_for(request),
            call=call,
            request=request,
        )
        taking = deferred(agent.incoming_message, message)
        return taking.addCallback(lambda _: response_to(request, 200, to_tag=incoming.to_tag))

    def send(
        self,
        method: str,
        uri: str,
        account: Account,
        headers: Iterable[tuple[str, str]],
        body: bytes = b"",
    ) -> Deferred[Response]:
        """Send a request outside of dialogs.

        :return: fires with the 2xx; fails with RequestRefused.
        """
        element = self._agent.element
        request = build_request(
            method,
            uri,
            from_=account.address.with_("tag", element.random_text()),
            to=NameAddr.build(uri),
            call_id=element.random_text() + element.random_text(),
            cseq=1,
            headers=[*self._agent.terms.headers, *headers],
            body=body,
        )
        route = account.route
        if route:
            apply_route_set(request, route, uri)
        result: Deferred[Response] = Deferred()
        outgoing = ClientRequest(request, Waiting(outcome_to(result, method)))
        Wire(element, account).send(outgoing)
        return result


class Waiting:
    """Waits for the outcome of one request.

    :ivar done: called with the final response, None without one, and its status.
    """

    def __init__(self, done: Done | None = None) -> None:
        self.done = done

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """A response to *outgoing*."""
        if response.status >= 200:
            self._tell(response, response.status)

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """There is none to *outgoing*: 408, or 503 where it could not be sent (RFC 3261 section 8.1.3.1)."""
        self._tell(None, status)

    def _tell(self, response: Response | None, status: int) -> None:
        if self.done is not None:
            self.done(response, status)
