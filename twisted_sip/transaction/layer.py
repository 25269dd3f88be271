"""The transaction layer: owns every transaction of one element and matches messages to them (RFC 3261 section 17)."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.transaction.layer_client import ClientSide
from twisted_sip.transaction.layer_server import ServerSide
from twisted_sip.transaction.seams import LayerUser
from twisted_sip.transaction.server import HeldRequest
from twisted_sip.transaction.timers import DEFAULT_TIMER_VALUES, TimerQueue, TimerValues

#: A server transaction lasts 32 s after its answer over unreliable transports: this is some 6,000 new ones per second.
DEFAULT_MAX_TRANSACTIONS = 200_000


class TransactionLayer(ServerSide, ClientSide):
    """All transactions of one element.

    :ivar timers: the timers of the transactions.
    :ivar values: how long they take.
    :ivar clients: (branch in lower case, method) -> client transaction.
    :ivar servers: server key -> server transaction, or the place held for one.
    :ivar max_transactions: the most entries of either table; CANCEL is always let in, once for each request.
    """

    def __init__(
        self,
        timers: TimerQueue,
        user: LayerUser,
        values: TimerValues = DEFAULT_TIMER_VALUES,
        max_transactions: int = DEFAULT_MAX_TRANSACTIONS,
        new_tag: Callable[[], str] | None = None,
    ) -> None:
        """Make a layer without transactions.

        :param user: gets what matches no transaction.
        :param max_transactions: the most server transactions and the most client transactions.
        :param new_tag: gives the To tag for the answer to a CANCEL whose INVITE has no tagged response yet (RFC 3261
            section 9.2); without it that answer has no tag.
        """
        ClientSide.__init__(self, timers, user, values, max_transactions)
        ServerSide.__init__(self, timers, user, values, max_transactions, new_tag)

    def counts(self) -> dict[str, int]:
        """Return the sizes of all tables by name; all are zero once every deadline has passed."""
        return {
            "clients": len(self.clients) + len(self.finished.keys),
            "servers": len(self.servers),
            "merging": len(self._merging),
            "awaiting_ack": len(self._awaiting_ack),
            "streams": len(self._streams),
            "reused": len(self._reused),
        }

    def uses(self, kind: TransportKind, local: Address) -> bool:
        """Tell whether a transaction sends by the socket of *kind* at *local*; asks each of them."""
        flows = [transaction.flow for table in (self.servers, self.clients) for transaction in table.values()]
        return any(flow.local == local and flow.kind is kind for flow in flows)

    def stop(self) -> None:
        """Forget every transaction; nobody is told."""
        for client in list(self.clients.values()):
            client.terminate()
        for server in list(self.servers.values()):
            if isinstance(server, HeldRequest):
                self._drop_held(server)
            else:
                server.terminate()
        self.lingering.stop()
        self.awaiting_answer.stop()
        self.finished.stop()
        self.unanswered.stop()
        self._recent_request = None
