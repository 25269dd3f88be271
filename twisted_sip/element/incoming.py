"""One request on its way through the chain, and the means to answer it (RFC 3261 sections 8.2.6 and 8.2.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted_sip.element.decisions import MOST_CHARS
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from twisted_sip.element.element import Element


class Incoming:
    """A request being worked on; provides interfaces.processing.IncomingRequest.

    :ivar request: the request as received, received and rport filled in.
    :ivar flow: where it came from.
    :ivar element: the element it came to.
    :ivar user: the address-of-record that was proved, or empty.
    :ivar admitted: True once it may be forwarded.
    :ivar believed: it is from one of our users as far as it says, where everybody is believed.
    :ivar own_routes: our own Route URIs that stood in it, taken off when it entered (RFC 3261 section 16.4), topmost
        first.
    :ivar transaction: the server transaction, None before the first answer and always for ACK.
    """

    __slots__ = (
        "_to_tag",
        "admitted",
        "answered",
        "believed",
        "element",
        "flow",
        "held",
        "own_routes",
        "request",
        "transaction",
        "user",
    )

    def __init__(self, request: Request, flow: Flow, element: Element) -> None:
        self.request = request
        self.flow = flow
        self.element = element
        self.user = ""
        self.admitted = self.believed = False
        self.own_routes: list[Any] = []
        self.transaction: ServerTransaction | None = None
        self.answered = False
        self.held = False
        self._to_tag = ""

    @property
    def to_tag(self) -> str:
        """The To tag of the responses made here: the same one in each of them (section 8.2.6.2)."""
        if not self._to_tag:
            transaction = self.transaction
            if transaction is None and not self.held:
                # Section 8.2.7: the same tag for the same request, should it be answered statelessly.
                self._to_tag = self.element.stateless_tag(self.request)
            else:
                # A CANCEL that came first was answered with a tag, which the request's own responses share (section
                # 9.2).
                self._to_tag = (transaction.to_tag if transaction is not None else "") or self.element.random_text()
        return self._to_tag

    def note(self, room: str, text: str, key: str = "", first: str = "", second: str = "") -> None:
        """Keep why this request goes the way it does, for those who ask later (element.decisions)."""
        decisions = self.element.decisions
        if decisions is None:
            return
        request = self.request
        call_id = request.headers.parsed.get("call-id")
        if call_id is not None and len(call_id) + len(text) + len(first) + len(second) <= MOST_CHARS:
            # The usual case of note(), without the call: there are some for each request.
            decisions.keep((decisions.clock(), call_id, request.method, room, text, key, first, second))
        else:
            decisions.note(request, room, text, key, first, second)

    def start_transaction(
        self, user: Any = None, *, trying: bool = False, answering: bool = False
    ) -> ServerTransaction:
        """Return the server transaction, made now if there is none (section 17.2).

        :param user: who hears of CANCEL, a lost ACK and transport failure (transaction.seams.ServerUser).
        :param trying: send 100 (Trying) to an INVITE at once.
        :param answering: the caller sends a final response right away.
        """
        transaction = self.transaction
        if transaction is None:
            # A held place is taken over, with the CANCEL that may have come meanwhile.
            self.held = False
            transaction = self.transaction = self.element.transactions.create_server(
                self.request, self.flow, self.element if user is None else user, trying, answering
            )
        elif user is not None:
            transaction.user = user
        return transaction

    @property
    def doubtful(self) -> bool:
        """True where a stranger was let in whose address may be forged: more than one answer may be one too many."""
        return self.admitted and not (self.user or self.believed or self.flow.kind.reliable)

    @property
    def over(self) -> bool:
        """True once the server transaction has had its final response."""
        if self.answered:
            return True
        transaction = self.transaction
        last = transaction.last_response if transaction is not None else None
        return last is not None and last.status >= 200

    def respond(
        self,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer through the server transaction; the To tag is added. ACK is never answered.

        :raises LocalProtocolError: a bad status, or CR, LF or NUL in a value.
        """
        if self.request.method == "ACK":
            return
        self.send(response_to(self.request, status, reason, headers, body, self.to_tag))

    def send(self, response: Response) -> None:
        """Send a ready *response* through the server transaction.

        A refusal to somebody who has proved nothing is sent once and kept nowhere (section 26.3.2.4): whoever forges an
        address must neither fill our tables nor have answers repeated to that address. Users who are believed have a
        transaction, so that a request that comes again is answered as before, whatever has changed meanwhile; only the
        repeating is left to them.
        """
        if self.request.method == "ACK":
            return
        final = response.status >= 200
        if final:
            self.answered = True
            if response.status >= 300:
                self.note("answer", "{0} {1}", "", str(response.status), response.reason)
        transaction = self.transaction
        if transaction is None:
            if response.status >= 300 and not self.user and not self.held and not self.believed:
                self.element.send_statelessly(response, self.request, self.flow)
                return
            transaction = self.start_transaction(answering=final)
        if response.status >= 300 and not self.user:
            transaction.answer_once()
        transaction.send(response)
        if final:
            transaction.forget()

    def respond_statelessly(self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Answer once and keep nothing (sections 8.2.7 and 26.3.2.4). ACK is never answered.

        :raises LocalProtocolError: a bad status, or CR, LF or NUL in a value.
        """
        request = self.request
        if request.method == "ACK":
            return
        self.answered = True
        if self.transaction is not None:
            self.transaction.send(response_to(request, status, reason, headers, b"", self.to_tag))
            return
        if self.held:
            self.element.transactions.release(request)
            self.held = False
        # Section 8.2.7: the same To tag for the same request, retransmissions included.
        response = response_to(request, status, reason, headers, b"", self.element.stateless_tag(request))
        self.element.send_statelessly(response, request, self.flow)

    def claim_as_uas(self) -> bool:
        """Tell whether this element may act as the UAS of the request; False means that it came here before by another
        way and has been answered 482 (section 8.2.2.2)."""
        transaction = self.start_transaction()
        if self.element.transactions.claim_as_uas(transaction):
            return True
        self.respond(482)
        return False

    def __repr__(self) -> str:
        return f"<Incoming {self.request!r} from {self.flow.remote}>"
