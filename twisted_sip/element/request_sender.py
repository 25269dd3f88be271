"""The one way out for requests: every service sends through the RequestSender.

Next hop, servers, transport by size, Via, client transaction, failover, challenges: RFC 3261 sections 8.1.2, 8.1.3,
16.6 steps 7 to 10 and 18.1.1, RFC 3263 section 4.3, RFC 5630 section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sip.element.dead_targets import DeadTargets
from twisted_sip.element.destination_walk import DestinationWalk, push_via
from twisted_sip.element.outgoing import Outgoing
from twisted_sip.element.reply import Reply
from twisted_sip.element.sending import ClientCredentials, OutgoingUser, SenderSettings, Transports
from twisted_sip.element.stateless_send import StatelessSend
from twisted_sip.element.straight import StraightUser, straight_flow
from twisted_sip.errors import ResolutionError, TransportError
from twisted_sip.interfaces.destination import Destination, IResolver
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import next_hop
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.transaction.layer import TransactionLayer
from twisted_sip.transaction.timers import TimerQueue

log = Logger()

#: Seconds between two looks at all transactions because of refused datagrams, and how many addresses one look is for.
_REFUSALS_EVERY = 0.1
_MOST_REFUSED = 1024


class RequestSender:
    """Sends requests.

    :ivar transports: gives the flows.
    :ivar transactions: the transaction layer.
    :ivar resolver: RFC 3263.
    :ivar timers: the timers of the transaction layer.
    :ivar dead_targets: servers that failed lately.
    :ivar settings: an immutable snapshot, read per request; may be replaced at any time.
    :ivar waiting: what waits for a name server or a connection.
    """

    __slots__ = (
        "_refused",
        "dead_targets",
        "new_branch",
        "resolver",
        "settings",
        "straight_ways",
        "timers",
        "transactions",
        "transports",
        "waiting",
    )

    def __init__(
        self,
        transports: Transports,
        transactions: TransactionLayer,
        resolver: IResolver,
        new_branch: Callable[[], str],
        *,
        dead_targets: DeadTargets | None = None,
        settings: SenderSettings | None = None,
    ) -> None:
        """Make a sender.

        :param new_branch: gives what follows the magic cookie: a token, unique across space and time (section 8.1.1.7).
        """
        self.transports = transports
        self.transactions = transactions
        self.resolver = resolver
        self.new_branch = new_branch
        self.timers: TimerQueue = transactions.timers
        self.dead_targets = dead_targets if dead_targets is not None else DeadTargets(self.timers)
        self.settings = settings or SenderSettings()
        self.waiting: set[DestinationWalk] = set()
        # By the text of a URI, what the resolver says of it each time: for straight_flow.
        self.straight_ways: dict[str, Sequence[Destination]] = {}
        # Addresses that refused since the last look, None if there was none lately.
        self._refused: set[Address] | None = None

    def send(
        self,
        request: Request,
        user: OutgoingUser,
        *,
        flow: Flow | None = None,
        uri: URI | None = None,
        credentials: ClientCredentials | None = None,
        secure_required: bool = False,
        branch_suffix: str = "",
        failover_after_timeout: bool = False,
    ) -> Outgoing:
        """Send *request* in a client transaction, to one server after the other until one answers.

        :param request: the request, without our Via; it is the sender's from now on and gets the Via. Route and
            Request-URI must be in place (see message.route_set). Neither ACK (see :meth:`send_ack`) nor CANCEL
            (Outgoing.cancel).
        :param user: told of responses and of failure, never from within this call; see OutgoingUser.
        :param flow: send over this flow and no other, whatever the URIs say.
        :param uri: resolve this URI in place of the topmost Route or the Request-URI.
        :param credentials: answer challenges with these.
        :param secure_required: use secure transports only, as for a ``sips`` Request-URI (RFC 5630 section 5.3: the
            binding was ``sips``).
        :param branch_suffix: appended to the branch, for loop detection (section 16.6 step 8); must be of token
            characters.
        :param failover_after_timeout: go on to the next server even after Timer F (RFC 4320 says why that is of
            little use).
        :return: the request on its way, to cancel it with.
        """
        outgoing = Outgoing(self, request, user, credentials, branch_suffix, failover_after_timeout)
        secure = secure_required or request.uri_text[:5].lower() == "sips:"
        if flow is None:
            outgoing.find_way(uri, secure)
        elif not flow.kind.secure and (secure or _routed_securely(request)):
            outgoing.error = ResolutionError("a sips URI must not be reached over an insecure flow")
            outgoing.fail(480, "SIPS Not Allowed")
        else:
            outgoing.start(flow)
        outgoing.inside = False
        return outgoing

    def start_straight(
        self, request: Request, user: StraightUser, flow: Flow | None = None, branch_suffix: str = ""
    ) -> bool:
        """Send *request* in a client transaction whose user is *user*, if the way is straight.

        That is the usual case of :meth:`send` for those who have no credentials, with less on the way; the outcomes are
        the same.

        :param request: as for :meth:`send`, without a Route.
        :param user: *sender*, *transaction* and *to_server* of it are filled in; ``prepare`` is called as ever.
        :param flow: as for :meth:`send`.
        :param branch_suffix: as for :meth:`send`.
        :return: False if nothing was done: :meth:`send` then finds the way, or tells why there is none.
        """
        transactions = self.transactions
        if (
            request.uri_text[:4] != "sip:"
            or len(transactions.clients) + len(transactions.finished.keys) >= transactions.max_transactions
        ):
            return False
        user.to_server = flow is None
        if flow is None:
            flow = straight_flow(self, request)
            if flow is None:
                return False
        user.sender = self
        user.prepare(request, flow)
        branch = push_via(request, flow, self.new_branch() + branch_suffix, None)
        user.transaction = transactions.start_client(request, flow, user, branch)
        return True

    def send_ack(
        self,
        request: Request,
        *,
        flow: Flow | None = None,
        uri: URI | None = None,
        secure_required: bool = False,
        branch_suffix: str = "",
    ) -> None:
        """Send the ACK for a 2xx (RFC 3261 sections 13.2.2.4 and 16.11), or any other request, without a transaction.

        It is sent once; where that fails at once the next server is tried. Nobody is told of failure.

        :param request: the request, without our Via; it is the sender's from now on. To send an ACK again for a
            retransmitted 2xx give a copy.
        """
        if flow is None and uri is None and not secure_required and self._sent_straight(request, branch_suffix):
            return
        message = StatelessSend(self, request, branch_suffix)
        secure = secure_required or request.uri_text[:5].lower() == "sips:"
        if flow is None:
            message.find_way(uri, secure)
        elif not flow.kind.secure and (secure or _routed_securely(request)):
            log.debug("{method} not sent over an insecure flow", method=request.method)
        else:
            message.start(flow)

    def _sent_straight(self, request: Request, branch_suffix: str) -> bool:
        """Send *request* the straight way without a transaction, if there is one: the usual case of send_ack."""
        if request.uri_text[:4] != "sip:" or "route" in request.headers.names:
            return False
        flow = straight_flow(self, request)
        if flow is None:
            return False
        push_via(request, flow, self.new_branch() + branch_suffix, None)
        try:
            flow.send(request.to_bytes(), request)
        except TransportError as error:
            self.dead_targets.suspect(flow.kind, flow.remote)
            # Nobody waits for an answer; a 2xx that is not acknowledged comes again.
            log.debug("{method} not sent: {error}", method=request.method, error=str(error))
        return True

    def request(
        self,
        request: Request,
        *,
        provisional: Callable[[Response], object] | None = None,
        **how: Any,
    ) -> Deferred[Response]:
        """Send *request* and return a Deferred of its first final response; for UACs. Cancel it to give the request up.

        An INVITE is better sent with :meth:`send`: it may have more than one 2xx, and each wants its ACK.

        :param provisional: called with each provisional response.
        :param how: as the keyword arguments of :meth:`send`.
        :return: fires with the final response, whatever its status. Fails with TransactionTimeout (as 408),
            TransportError (as 503), ResolutionError (no server, or none that a ``sips`` URI may use) or
            RemoteProtocolError (malformed URIs).
        """
        reply = Reply(provisional)
        reply.outgoing = self.send(request, reply, **how)
        return reply.result

    def destination_refused(self, address: Address) -> None:
        """An ICMP error says that UDP to *address* does not arrive: go on to the next server (RFC 3261 section 18.4).

        Requests that the server has answered provisionally go on: it lived when they arrived. Anybody can have us told
        of refusals as fast as we answer him, so those that come soon after one are looked at together.
        """
        if self._refused is not None:
            if len(self._refused) < _MOST_REFUSED:
                self._refused.add(address)
            return
        self._refused = set()
        self.timers.start(_REFUSALS_EVERY, self._more_refused)
        self._fail({address})

    def _more_refused(self) -> None:
        refused, self._refused = self._refused, None
        if refused:
            self._refused = set()
            self.timers.start(_REFUSALS_EVERY, self._more_refused)
            self._fail(refused)

    def _fail(self, refused: set[Address]) -> None:
        """Fail what waits for an answer from one of the addresses in *refused*."""
        for transaction in list(self.transactions.clients.values()):
            flow = transaction.flow
            if flow.remote in refused and flow.kind is UDP and transaction.response is None:
                self.dead_targets.suspect(UDP, flow.remote)
                transaction.transport_error(TransportError(f"{flow.remote} refuses datagrams"))


def _routed_securely(request: Request) -> bool:
    """Tell whether the topmost Route is a ``sips`` URI: then the first hop must be secure (RFC 5630 section 5.1.1)."""
    if "route" not in request.headers.names:
        return False
    uri = next_hop(request)
    return isinstance(uri, SIPURI) and uri.secure
