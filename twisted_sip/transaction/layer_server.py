"""The server side of the transaction layer (RFC 3261 sections 8.2.2.2, 9.2, 17.2.3; RFC 6026 sections 6 and 8.10).

Nothing a peer sends makes the receiving method raise: a request whose identifying header fields are damaged goes to the
user of the layer, whose checks find the fault. Each entry has a deadline by one of the timers of its state machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, TransactionLimitReached
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.transaction.keys import is_old, merge_key, old_key, server_key
from twisted_sip.transaction.lingering import Lingering
from twisted_sip.transaction.seams import NOBODY, LayerUser, ServerUser
from twisted_sip.transaction.server import HeldRequest, ServerTransaction
from twisted_sip.transaction.server_invite import InviteServer
from twisted_sip.transaction.server_non_invite import NonInviteServer
from twisted_sip.transaction.states import PROCEEDING, TERMINATED
from twisted_sip.transaction.timers import TimerQueue, TimerValues
from twisted_sip.transaction.unanswered import AwaitingAnswer

_new = object.__new__


class ServerSide:
    """All server transactions of one element.

    :ivar servers: server key -> server transaction, or the place held for one.
    :ivar awaiting_answer: those of them to which 100 will be due, and some that have been answered since.
    :ivar lingering: those of them that are answered and wait for Timer J.
    """

    def __init__(
        self,
        timers: TimerQueue,
        user: LayerUser,
        values: TimerValues,
        max_transactions: int,
        new_tag: Callable[[], str] | None,
    ) -> None:
        self.timers = timers
        self.values = values
        self.awaiting_answer = AwaitingAnswer(timers, values.trying_late)
        self.lingering = Lingering(timers, values.timeout, self.server_terminated)
        self.max_transactions = max_transactions
        self.servers: dict[str, ServerTransaction | HeldRequest] = {}
        self._user = user
        self._new_tag = new_tag
        # Requests without To tag that we answer as a UAS (section 8.2.2.2).
        self._merging: dict[tuple[str, str, int, str], ServerTransaction] = {}
        # INVITEs of RFC 2543 clients in Completed or Confirmed, by the key with the To tag of the response.
        self._awaiting_ack: dict[str, InviteServer] = {}
        # The keys of entries whose branch and sent-by another method had taken when they were made.
        self._reused: set[str] = set()
        # The key of the request that came last: most server transactions are made while it is looked at.
        self._recent_request: Request | None = None
        self._recent_key = ""

    # -- requests that come in -----------------------------------------------

    def request_received(self, request: Request, flow: Flow) -> None:
        """Take a request from a transport: absorb it into its transaction, or hand it to the user of the layer."""
        method = request.method
        via: Any = request.headers.parsed.get("via")
        branch = "" if via is None else via.branch.lower()
        if branch[:7] == "z9hg4bk" and branch[7:]:
            # As server_key(), without the call.
            key = f"{branch}\n{via.sent_by}"
        else:
            try:
                key = server_key(request)
            except RemoteProtocolError:
                self._unmatched(request, flow)
                return
        if method == "ACK":
            self._ack_received(key, request, flow)
            return
        if method == "CANCEL":
            self._cancel_received(key, request, flow)
            return
        if key in self.servers or self._reused:
            found = self._find(key, method)
            if found is not None:
                found.retransmission()
                return
        self._recent_request = request
        self._recent_key = key
        self._user.request_received(request, flow)

    def _unmatched(self, request: Request, flow: Flow) -> None:
        if request.method == "ACK":
            self._user.ack_received(request, flow)
        elif request.method == "CANCEL":
            self._user.cancel_unmatched(request, flow)
        else:
            self._user.request_received(request, flow)

    def _find(self, key: str, method: str) -> ServerTransaction | HeldRequest | None:
        """Return the entry for *key* and *method* (section 17.2.3, rule 3)."""
        found = self.servers.get(key)
        if found is not None and found.method == method:
            return found
        return self.servers.get(_with_method(key, method)) if self._reused else None

    def _ack_received(self, key: str, request: Request, flow: Flow) -> None:
        if is_old(key):
            # The To tag tells which response it acknowledges; ACKs for 2xx find nothing (RFC 6026 section 6).
            waiting = self._awaiting_ack.get(key)
            if waiting is None or waiting.ack():
                self._user.ack_received(request, flow)
            return
        found = self._find(key, "INVITE")
        if found is None or (isinstance(found, InviteServer) and found.ack()):
            self._user.ack_received(request, flow)

    def _cancel_received(self, key: str, cancel: Request, flow: Flow) -> None:
        """Section 9.2: find what it cancels by branch and sent-by, whatever its method."""
        own_key = _with_method(key, "CANCEL")
        known = self.servers.get(own_key)
        if known is not None:
            known.retransmission()
            return
        found = self._find(key, "INVITE") or self.servers.get(key)
        if found is None:
            self._user.cancel_unmatched(cancel, flow)
            return
        tag = found.to_tag
        if not tag and self._new_tag is not None:
            tag = found.to_tag = self._new_tag()
        answer = response_to(cancel, 200, to_tag=tag)
        transaction = NonInviteServer(self, own_key, cancel, flow, NOBODY)
        self.servers[own_key] = transaction
        transaction.send(answer)
        if isinstance(found, HeldRequest):
            found.cancel = cancel
        else:
            _tell_cancelled(found, cancel)

    # -- server transactions -------------------------------------------------

    def create_server(
        self, request: Request, flow: Flow, user: ServerUser | None, trying: bool = False, answering: bool = False
    ) -> ServerTransaction:
        """Make the server transaction for *request*, which came over *flow*.

        :param trying: for an INVITE: send 100 (Trying) at once, instead of when *user* has sent nothing for 200 ms.
        :param answering: the caller sends a final response right away, so that no timer has to wait for it.
        :raises TransactionLimitReached: the table is full: answer 503 statelessly.
        :raises RemoteProtocolError: the header fields that identify a transaction are damaged: answer 400 statelessly.
        :raises LocalProtocolError: there is a transaction for this request already, or it is an ACK.
        """
        servers = self.servers
        if request is self._recent_request and self._recent_key not in servers and not self._reused:
            # The usual case of _key_for_new(): neither ACK nor CANCEL gets there.
            key, found = self._recent_key, None
        else:
            key = self._key_for_new(request)
            found = servers.get(key)
        if found is None:
            if len(servers) >= self.max_transactions:
                raise TransactionLimitReached(f"{self.max_transactions} server transactions")
        elif isinstance(found, HeldRequest):
            self._drop_held(found)
        else:
            raise LocalProtocolError(f"this {request.method} has a server transaction already")
        if user is None:
            user = NOBODY
        if key is not self._recent_key:
            self._reused.add(key)
        made: ServerTransaction
        if request.method == "INVITE":
            made = servers[key] = invite = InviteServer(self, key, request, flow, user)
            if trying:
                invite.trying()
            elif not answering:
                invite.trying_later()
        else:
            # As NonInviteServer(), whose call is dear: there are more of them than of anything else.
            made = other = _new(NonInviteServer)
            other.begin(self, key, request, flow, user)
            servers[key] = other
            if not answering:
                other.await_answer()
        if found is not None:
            made.to_tag = found.to_tag
            if found.cancel is not None:
                # The caller does not hold the transaction yet: tell it once it does.
                self.timers.start(0.0, _tell_cancelled, made, found.cancel)
        return made

    def hold(self, request: Request, flow: Flow) -> bool:
        """Absorb retransmissions of *request* while somebody decides what to do with it, and remember a CANCEL.

        Ends with :meth:`create_server`, :meth:`release` or after 64*T1. ACK is not held; what is known already stays.

        :return: False if the table is full: answer 503 statelessly.
        :raises RemoteProtocolError: as :meth:`create_server`.
        """
        if request.method == "ACK":
            return True
        key = self._key_for_new(request)
        if key in self.servers:
            return True
        if len(self.servers) >= self.max_transactions:
            return False
        held = HeldRequest(key, request.method, flow)
        self._insert(key, held)
        held.timer = self.timers.start(self.values.timeout, self._drop_held, held)
        return True

    def release(self, request: Request) -> None:
        """End :meth:`hold`: the request was answered statelessly or dropped. Harmless when it is not held."""
        if request.method == "ACK":
            return
        held = self.servers.get(self._key_for_new(request))
        if isinstance(held, HeldRequest):
            self._drop_held(held)

    def claim_as_uas(self, transaction: ServerTransaction) -> bool:
        """Say that this element answers the request of *transaction* as a UAS (section 8.2.2.2).

        :return: False if the same request came before on another way, is not over yet and was claimed: answer 482.
        :raises RemoteProtocolError: From, To, Call-ID or CSeq is damaged.
        """
        request = transaction.request
        if (request.headers.parsed.get("to") or request.to).tag or transaction.state is TERMINATED:
            return True
        key = merge_key(request)
        first = self._merging.setdefault(key, transaction)
        if first is not transaction:
            return False
        transaction.merge_key = key
        return True

    def server_terminated(self, transaction: ServerTransaction) -> None:
        """For server transactions: *transaction* is over."""
        key = transaction.key
        if self.servers.get(key) is transaction:
            del self.servers[key]
            if self._reused:
                self._reused.discard(key)
        if transaction.merge_key is not None:
            self._merging.pop(transaction.merge_key, None)
        if transaction.ack_key and self._awaiting_ack.get(transaction.ack_key) is transaction:
            del self._awaiting_ack[transaction.ack_key]

    def awaits_ack(self, transaction: InviteServer) -> None:
        """For INVITE server transactions: *transaction* has sent a final response other than 2xx."""
        if is_old(transaction.key):
            key = transaction.ack_key = old_key(transaction.request, transaction.to_tag)
            self._awaiting_ack[key] = transaction

    def _drop_held(self, held: HeldRequest) -> None:
        if held.timer is not None:
            held.timer.cancel()
        if self.servers.get(held.key) is held:
            del self.servers[held.key]
            self._reused.discard(held.key)

    def _key_for_new(self, request: Request) -> str:
        """Return the key under which an entry for *request* stands, or would be put by :meth:`_insert`."""
        method = request.method
        if method == "ACK":
            raise LocalProtocolError("ACK has no server transaction")
        if method == "CANCEL":
            return _with_method(server_key(request), method)
        if request is not self._recent_request:
            self._recent_key = server_key(request)
            self._recent_request = request
        key = self._recent_key
        found = self.servers.get(key)
        if (found is not None and found.method != method) or (
            self._reused and _with_method(key, method) in self._reused
        ):
            # A client that uses a branch twice: rule 3 of section 17.2.3 keeps the requests apart.
            return _with_method(key, method)
        return key

    def _insert(self, key: str, entry: ServerTransaction | HeldRequest) -> None:
        self.servers[key] = entry
        if key is not self._recent_key:
            self._reused.add(key)


def _with_method(key: str, method: str) -> str:
    return f"{key}\n{method}"


def _tell_cancelled(found: ServerTransaction, cancel: Request) -> None:
    """Tell the user of an INVITE without final response; CANCEL has no effect on others (section 9.2)."""
    if found.method == "INVITE" and found.state is PROCEEDING:
        found.user.cancelled(found, cancel)
