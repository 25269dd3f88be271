"""The straight way: one server, reached at once and by a datagram, with nobody to ask and nobody to go on to.

RFC 3261 sections 8.1.3.1, 16.6 steps 7 to 10 and 16.9. Most requests that are forwarded go to a phone whose address is
known. What walks from server to server is not needed for them: who wants one sent is the user of its client
transaction itself, and a failure is the outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from twisted_sip.errors import RemoteProtocolError, ResolutionError, TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.transaction.client import ClientTransaction

if TYPE_CHECKING:
    from twisted_sip.element.request_sender import RequestSender

#: Room for what a request may gain on its way out, and for the rest of its head: see destination_walk.
_ROOM = 600

#: The most URIs whose way is remembered.
_REMEMBERED = 20_000


def straight_flow(sender: RequestSender, request: Request) -> Flow | None:
    """Return the flow to the Request-URI of *request*, None where it takes more than a look to find it.

    Only where *request* has neither a Route nor a ``sips`` Request-URI.
    """
    lines = request.headers.lines
    head = "".join(lines)
    # Two characters more for each line end.
    size = len(head) + 2 * len(lines) + len(request.uri_text) + len(request.body)
    if size + _ROOM > sender.settings.datagram_limit or not head.isascii():
        # Section 18.1.1: the size may call for another transport.
        return None
    text = request.uri_text
    known = sender.straight_ways.get(text)
    uri = request.known_uri or request.uri
    if not isinstance(uri, SIPURI) or (known is None and not _is_numeric(uri)):
        return None
    try:
        found = sender.resolver.resolve(uri)
        if found is not known:
            # Not the usual answer, which is the same each time.
            if not _is_straight(found):
                return None
            if len(sender.straight_ways) >= _REMEMBERED:
                sender.straight_ways.clear()
            sender.straight_ways[text] = found
        marks = sender.dead_targets
        if marks.marks and marks.suspected(UDP, found[0].address):
            return None
        flow = sender.transports.flow_to(found[0])
    except (ResolutionError, RemoteProtocolError, TransportError):
        # It fails the long way too, and there it is reported.
        return None
    # A flow tells by its kind that it is no Deferred: to ask for an abstract base class is slow.
    return flow if hasattr(flow, "kind") else None  # type: ignore[return-value]


def _is_numeric(uri: SIPURI) -> bool:
    """Tell whether *uri* leads to an address, so that no name server is asked."""
    return (uri.host[0] == "[" or uri.host.replace(".", "").isdigit()) and not uri.maddr


def _is_straight(found: object) -> TypeGuard[tuple[Destination]]:
    """Tell whether there is one server, by UDP, and no multicast group, which needs a Via of its own."""
    return (
        isinstance(found, tuple)
        and len(found) == 1
        and found[0].kind is UDP
        and not found[0].address.host.startswith(("22", "23"))
    )


class StraightUser:
    """The user of a client transaction that goes the straight way, started by RequestSender.start_straight.

    :ivar sender: what it was sent by.
    :ivar transaction: the client transaction, None before.
    :ivar cancelled: the request was given up: 487 is its outcome where nobody answers.
    :ivar to_server: it went to a server that was looked up, not over a flow that was given.
    """

    __slots__ = ("cancelled", "sender", "to_server", "transaction")

    sender: RequestSender
    transaction: ClientTransaction | None
    cancelled: bool
    to_server: bool

    def prepare(self, request: Request, flow: Flow) -> None:
        """As OutgoingUser.prepare."""

    def response_received(self, outgoing: ClientTransaction, response: Response) -> None:
        """Every provisional response, then one final one; for INVITE every 2xx (RFC 6026 section 7.2)."""
        raise NotImplementedError

    def failed(self, outgoing: None, status: int, reason: str) -> None:
        """The server did not answer; as OutgoingUser.failed."""
        raise NotImplementedError

    def note_answer(self, response: Response) -> None:
        """Remember what a *response* says of the server: to be called for a 503, and while a server is held dead."""
        transaction = self.transaction
        if transaction is None or not self.to_server:
            return
        kind, address = transaction.flow.kind, transaction.flow.remote
        marks = self.sender.dead_targets
        marks.forget(kind, address)
        if response.status == 503 and not self.cancelled:
            try:
                retry_after = response.typed("retry-after")
            except RemoteProtocolError:
                return
            if retry_after is not None:
                # RFC 3261 section 21.5.4.
                marks.hold(kind, address, retry_after.seconds)

    # -- the user of a client transaction ----------------------------------------------

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Timer B or F (RFC 3261 section 8.1.3.1: as if it were 408), or nothing after a CANCEL."""
        if self.cancelled:
            self.failed(None, 487, "Request Terminated")
            return
        if transaction.response is None:
            self._suspect(transaction)
        self.failed(None, 408, "Request Timeout")

    def transport_failed(self, transaction: ClientTransaction, error: TransportError) -> None:
        """It could not be sent, or the connection is gone (RFC 3261 section 8.1.3.1: as if it were 503)."""
        response = transaction.response
        if response is not None and response.status >= 200:
            # The ACK was lost after the outcome.
            return
        self._suspect(transaction)
        if self.cancelled:
            self.failed(None, 487, "Request Terminated")
        else:
            self.failed(None, 503, "Service Unavailable")

    def _suspect(self, transaction: ClientTransaction) -> None:
        if self.to_server:
            self.sender.dead_targets.suspect(transaction.flow.kind, transaction.flow.remote)
