"""One request on its way: attempts at one server after the other, challenges answered, until there is an outcome.

RFC 3263 section 4.3 (failover), RFC 3261 sections 8.1.3.1 and 16.9 (outcomes without a response), 9.1 (CANCEL), 22.2
and 22.3 (challenges), RFC 4320 (a non-INVITE request that has timed out has no more time to fail over in).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from twisted_sip.element.challenge_count import ChallengeCount
from twisted_sip.element.destination_walk import DestinationWalk, log, push_via
from twisted_sip.element.sending import ClientCredentials, OutgoingUser
from twisted_sip.errors import (
    RemoteProtocolError,
    TransactionLimitReached,
    TransactionTimeout,
    TransportError,
)
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.client import ClientTransaction
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.element.request_sender import RequestSender


class Outgoing(DestinationWalk):
    """A request that is being sent; made by RequestSender.send. It is the user of its client transactions.

    :ivar user: who is told.
    :ivar request: the request as last sent, our Via on top; as given before that. Its CSeq is higher than that of the
        request given if a challenge was answered.
    :ivar transaction: the client transaction of the last attempt, None before the first.
    :ivar cancelled: :meth:`cancel` was called in time.
    :ivar done: the user has been told the outcome, or is about to be.
    """

    __slots__ = (
        "_branch_suffix",
        "_challenges",
        "_credentials",
        "_late_failover",
        "_refusal",
        "_timer",
        "cancelled",
        "done",
        "inside",
        "once",
        "request",
        "transaction",
        "user",
    )

    def __init__(
        self,
        sender: RequestSender,
        request: Request,
        user: OutgoingUser,
        credentials: ClientCredentials | None,
        branch_suffix: str,
        late_failover: bool,
    ) -> None:
        # What DestinationWalk sets, without the call: this is the hottest constructor of the floor.
        self._sender = sender
        self.original = request
        self.destination = None
        self.error = None
        self._destinations = ()
        self._place = 0
        self._walking = False
        self._fallback = None
        self.user = user
        self.request = request
        self.transaction: ClientTransaction | None = None
        self.cancelled = False
        self.done = False
        self.inside = True
        self.once = False
        self._credentials = credentials
        self._branch_suffix = branch_suffix
        self._late_failover = late_failover
        self._challenges: ChallengeCount | None = None
        self._refusal: Response | None = None
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Outgoing {self.original.method} {self.original.uri_text} to {self.destination}>"

    # -- for the user -----------------------------------------------------------

    def send_once(self) -> None:
        """Never send it to the same server again (Timers A and E), whatever gets lost."""
        self.once = True
        if self.transaction is not None:
            self.transaction.once = True

    @property
    def failed_once(self) -> bool:
        """True once a server has failed: another one is asked, or was."""
        return self.error is not None or self._refusal is not None

    def cancel(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Give the request up (RFC 3261 section 9.1). No other server is tried from now on.

        While there is no transaction the user is told 487. An INVITE that was sent is cancelled as soon as it has had a
        provisional response; its final response comes as usual, 487 if nothing does. Other requests run out by
        themselves: they cannot be cancelled.

        :param headers: further header fields of the CANCEL, a Reason (RFC 3326) above all.
        :raises LocalProtocolError: a bad header field.
        """
        if self.done or self.cancelled:
            return
        transaction = self.transaction
        if transaction is not None and transaction.key[1] == "INVITE":
            self._sender.transactions.cancel(transaction, headers)
        self.cancelled = True
        self._stop_timer()
        if transaction is None:
            self.leave()
            self.fail(487, "Request Terminated", later=True)

    # -- attempts ---------------------------------------------------------------

    def start(self, flow: Flow) -> None:
        """Send over *flow*, which was given: there is no other server."""
        self._launch(flow)

    def _dress(self, request: Request, flow: Flow) -> None:
        self.user.prepare(request, flow)
        push_via(request, flow, self._sender.new_branch() + self._branch_suffix, self.destination)

    def _launch(self, flow: Flow) -> bool:
        request = self.original
        if self._credentials is not None or self._place < len(self._destinations):
            # There may be another attempt, which starts from what was given.
            request = request.copy()
        sender = self._sender
        self.user.prepare(request, flow)
        branch = push_via(request, flow, sender.new_branch() + self._branch_suffix, self.destination)
        self.request = request
        try:
            self.transaction = sender.transactions.start_client(request, flow, self, branch)
            self.transaction.once = self.once
        except TransactionLimitReached as error:
            self.error = error
            self.fail(503, "Service Unavailable")
            return True
        after = sender.settings.try_next_after
        if after is not None and self._more:
            self._timer = sender.timers.start(after, self._give_up)
        return True

    def _no_way(self, status: int, reason: str) -> None:
        refusal = self._refusal
        if refusal is not None:
            # Somebody did answer: the 503 that made us look for another server.
            self.done = True
            self.user.response_received(self, refusal)
        elif isinstance(self.error, TransactionTimeout):
            self.fail(408, "Request Timeout")
        else:
            self.fail(status, reason)

    def fail(self, status: int, reason: str, later: bool = False) -> None:
        """End without a response; the user is told at once, but never from within send() or its own cancel()."""
        if self.done:
            return
        self.done = True
        self._stop_timer()
        if self.inside or later:
            self._sender.timers.start(0.0, self.user.failed, self, status, reason)
        else:
            self.user.failed(self, status, reason)

    def _next(self) -> None:
        """Go on to the next server with a new branch, in a new transaction (RFC 3263 section 4.3)."""
        self._stop_timer()
        # Whatever the attempt before still brings, it is not the outcome.
        self.transaction = None
        try:
            self._go()
        except Exception:
            # The user's *prepare* raised; what called us must not suffer, nor the user wait for ever.
            self._broken(Failure())

    def _give_up(self) -> None:
        """The server has not said a word in the time that it has while there are others."""
        self._timer = None
        transaction = self.transaction
        assert transaction is not None
        self._suspect()
        self.error = TransactionTimeout("no response")
        if transaction.key[1] == "INVITE":
            # Should it answer yet, it is told that it is too late: with CANCEL once it has rung (section 9.1).
            self._sender.transactions.cancel(transaction)
        else:
            transaction.terminate()
        self._next()

    def _suspect(self) -> None:
        destination = self.destination
        if destination is not None:
            self._sender.dead_targets.suspect(destination.kind, destination.address)

    def _stop_timer(self) -> None:
        timer = self._timer
        if timer is not None:
            timer.cancel()
            self._timer = None

    # -- the user of client transactions ---------------------------------------

    def response_received(self, transaction: ClientTransaction, response: Response) -> None:
        """Pass a response on, unless it sends us elsewhere."""
        status = response.status
        if transaction is not self.transaction:
            # A server that was given up. What counts is a call that it has set up after all.
            if 200 <= status < 300:
                self.user.response_received(self, response)
            return
        if self._timer is not None:
            self._stop_timer()
        destination = self.destination
        if self._sender.dead_targets.marks and destination is not None:
            self._sender.dead_targets.forget(destination.kind, destination.address)
        if status >= 200:
            if not self.cancelled:
                if status == 503 and destination is not None and self._refused(response):
                    return
                if status in (401, 407) and self._credentials is not None and self._answer_challenge(response):
                    return
            self.done = True
            transaction.forget()
        self.user.response_received(self, response)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Timer B or F (RFC 3261 section 8.1.3.1: as if it were 408), or nothing after a CANCEL."""
        if transaction is not self.transaction or self.done:
            return
        self.error = TransactionTimeout("no response" if transaction.response is None else "no final response")
        if self.cancelled:
            self.fail(487, "Request Terminated")
        elif transaction.response is not None:
            # It is alive: no failure in the sense of RFC 3263 section 4.3.
            self.fail(408, "Request Timeout")
        else:
            self._suspect()
            # The client of a non-INVITE request that took Timer F has given up as well (RFC 4320).
            if self._more and (transaction.key[1] == "INVITE" or self._late_failover):
                self._next()
            else:
                self._no_way(408, "Request Timeout")

    def transport_failed(self, transaction: ClientTransaction, error: TransportError) -> None:
        """It could not be sent, or the connection is gone (RFC 3261 section 8.1.3.1: as if it were 503)."""
        if transaction is not self.transaction or self.done:
            # An ACK that was lost after the outcome, or an attempt that was given up.
            return
        self.error = error
        self._suspect()
        if self.cancelled:
            self.fail(487, "Request Terminated")
        elif self._more:
            self._next()
        else:
            self._no_way(503, "Service Unavailable")

    # -- responses that send us elsewhere ---------------------------------------

    def _refused(self, response: Response) -> bool:
        """503: note its Retry-After and go on, if there is somewhere to go (RFC 3261 section 21.5.4)."""
        destination = self.destination
        assert destination is not None
        try:
            retry_after = response.typed("retry-after")
        except RemoteProtocolError:
            retry_after = None
        if retry_after is not None:
            self._sender.dead_targets.hold(destination.kind, destination.address, retry_after.seconds)
        if not self._more:
            return False
        if retry_after is None:
            # It has not said for how long: others are tried first for a while.
            self._suspect()
        self._refusal = response
        self._next()
        return True

    def _answer_challenge(self, response: Response) -> bool:
        """Send the request again with credentials, to the server that asked for them (sections 22.2 and 22.3)."""
        credentials = self._credentials
        transaction = self.transaction
        assert credentials is not None and transaction is not None
        count = self._challenges
        if count is None:
            count = self._challenges = ChallengeCount()
        if not count.may_answer(response):
            return False
        try:
            request = credentials.authorize(self.original.copy(), response)
        except Exception:
            log.failure("A challenge could not be answered: {request}", request=self.original)
            return False
        if request is None:
            return False
        # A new request of the same dialog or call (section 22.2).
        number, method = request.cseq
        request.headers.set("cseq", f"{number + 1} {method}")
        self.original = request
        self._launch(transaction.flow)
        return True
