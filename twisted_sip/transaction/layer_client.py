"""The client side of the transaction layer (RFC 3261 sections 9.1, 17.1.3; RFC 6026 section 8.9).

Each entry has a deadline by one of the timers of its state machine.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, TransactionLimitReached, TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import cancel_for
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.client import ClientTransaction
from twisted_sip.transaction.client_invite import InviteClient
from twisted_sip.transaction.client_non_invite import NonInviteClient
from twisted_sip.transaction.finished import Finished
from twisted_sip.transaction.seams import NOBODY, ClientUser, LayerUser
from twisted_sip.transaction.states import CALLING, TRYING
from twisted_sip.transaction.timers import TimerQueue, TimerValues
from twisted_sip.transaction.unanswered import Unanswered

_new = object.__new__


class ClientSide:
    """All client transactions of one element.

    :ivar clients: (branch in lower case, method) -> client transaction.
    :ivar finished: the keys of those of which nothing else is left.
    :ivar unanswered: the keys of those whose first timer has not fired, and of some that have been answered since.
    """

    def __init__(self, timers: TimerQueue, user: LayerUser, values: TimerValues, max_transactions: int) -> None:
        self.timers = timers
        self.values = values
        self.max_transactions = max_transactions
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.finished = Finished(timers, values.T4)
        self.unanswered = Unanswered(timers, values.T1, self.clients)
        self._user = user
        # Client transactions by connection.
        self._streams: dict[Flow, set[ClientTransaction]] = {}

    def start_client(self, request: Request, flow: Flow, user: ClientUser, branch: str = "") -> ClientTransaction:
        """Send *request*, which has its Via, over *flow* in a new client transaction (section 17.1).

        Transport errors are told to *user*, after this method has returned.

        :param branch: the branch of the top Via where the caller knows it; else it is read from there.
        :raises TransactionLimitReached: the table is full.
        :raises LocalProtocolError: the Via has no branch, the branch is in use, or *request* is an ACK.
        :raises RemoteProtocolError: a header field that the transaction needs is missing or malformed.
        """
        branch = branch or request.top_via.branch or ""
        method = request.method
        if not branch or method == "ACK":
            raise LocalProtocolError("an ACK has no client transaction" if branch else "the Via has no branch")
        key = (branch.lower(), method)
        clients, finished = self.clients, self.finished.keys
        if key in clients or key in finished:
            raise LocalProtocolError(f"branch {branch} is in use")
        if method == "INVITE" and "cseq" not in request.headers.parsed:
            # ACK and CANCEL will need it: a damaged one has to be found now.
            _ = request.cseq
        if len(clients) + len(finished) >= self.max_transactions:
            raise TransactionLimitReached(f"{self.max_transactions} client transactions")
        made: ClientTransaction
        if method == "INVITE":
            made = InviteClient(self, key, request, flow, user)
        else:
            # As NonInviteClient(), whose call is dear.
            made = _new(NonInviteClient)
            made.begin(self, key, request, flow, user)
        clients[key] = made
        if flow.kind.reliable:
            self._streams.setdefault(flow, set()).add(made)
        made.start()
        return made

    def cancel(self, transaction: ClientTransaction, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Cancel an INVITE (section 9.1): CANCEL goes out once a provisional response has come, at most once.

        It has no effect after the final response. Where the peer then gives no final response for 64*T1, the user is
        told that the INVITE timed out.

        :param headers: header fields for the CANCEL, a Reason (RFC 3326) above all.
        :raises LocalProtocolError: *transaction* is not for INVITE, or a bad header field value.
        """
        if not isinstance(transaction, InviteClient):
            raise LocalProtocolError(f"CANCEL is for INVITE, not {transaction.request.method} (RFC 3261 section 9.1)")
        if transaction.may_cancel:
            transaction.cancel(cancel_for(transaction.request, headers))

    def start_cancel(self, invite: InviteClient, cancel: Request) -> None:
        """For INVITE client transactions: send *cancel* the way *invite* went. The limit does not apply to it."""
        key, flow = (invite.key[0], "CANCEL"), invite.flow
        made = self.clients[key] = NonInviteClient(self, key, cancel, flow, NOBODY)
        if flow.kind.reliable:
            self._streams.setdefault(flow, set()).add(made)
        made.start()

    def response_received(self, response: Response, flow: Flow) -> None:
        """Take a response from a transport (section 17.1.3)."""
        try:
            parsed = response.headers.parsed
            via, cseq = parsed.get("via") or response.top_via, parsed.get("cseq") or response.cseq
            key = (via.branch.lower(), cseq[1])
        except RemoteProtocolError:
            self._user.stray_response(response, flow)
            return
        found = self.clients.get(key)
        if found is None and key in self.finished.keys:
            return
        if found is None or (response.status >= 300 and "to" not in response.headers.names):
            # Without a To no ACK can be made for it (section 17.1.1.3).
            self._user.stray_response(response, flow)
            return
        found.receive(response)

    def flow_closed(self, flow: Flow) -> None:
        """Tell the users of requests without a response that *flow*, a connection, is gone (section 18.4).

        Where a provisional response has come the final one may come over another connection (section 18.2.2).
        """
        for transaction in list(self._streams.get(flow, ())):
            if transaction.state in (CALLING, TRYING):
                transaction.transport_error(TransportError("the connection was closed"))

    @property
    def clients_full(self) -> bool:
        """True if there is no room for another client transaction."""
        return len(self.clients) + len(self.finished.keys) >= self.max_transactions

    def client_terminated(self, transaction: ClientTransaction) -> None:
        """For client transactions: *transaction* is over."""
        self.clients.pop(transaction.key, None)
        self.unanswered.left()
        if self._streams:
            flow = transaction.flow
            siblings = self._streams.get(flow)
            if siblings is not None:
                siblings.discard(transaction)
                if not siblings:
                    del self._streams[flow]
