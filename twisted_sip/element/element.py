"""One SIP element: what comes in runs through a chain of request processors, what goes out through one sender.

It joins the transport, transaction and resolver floors, answers what never reaches a processor (malformed messages,
CANCEL without a match, overload), owns the secrets and tables that services share (RFC 3261 sections 8.2, 16.3, 18).
"""

from __future__ import annotations

import hashlib
import inspect
import secrets
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.auth.random_text import random_texts
from twisted_sip.element.by_method import ByMethod
from twisted_sip.element.dead_targets import DeadTargets
from twisted_sip.element.decisions import Decisions
from twisted_sip.element.domains import Domains
from twisted_sip.element.incoming import Incoming
from twisted_sip.element.request_sender import RequestSender
from twisted_sip.element.sending import SenderSettings
from twisted_sip.element.temporary_gruu import TemporaryGRUUs
from twisted_sip.element.tokens import DialogTokens
from twisted_sip.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    ResolutionError,
    TransactionLimitReached,
    TransportError,
)
from twisted_sip.interfaces.destination import Destination, IResolver
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.processing import TAKEN, IRequestProcessor
from twisted_sip.interfaces.push import Waker
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.via import Via
from twisted_sip.transaction.layer import TransactionLayer
from twisted_sip.transaction.timers import TimerQueue, TimerValues
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.listener import is_loopback, is_numeric, same_host
from twisted_sip.transport.settings import TransportSettings

_log = Logger()

#: Characters of the To tags of answers without a transaction.
STATELESS_TAG_LENGTH = 16


class Element:
    """A SIP element.

    :param reactor: provides IReactorTime, IReactorUDP and IReactorTCP.
    :param domains: the names and addresses for whose users this element is responsible.
    :param chain: the request processors, in order; the list may be changed at any time.
    :param resolver: RFC 3263; through twisted.names unless given.
    :param transport_settings: limits and socket options.
    :param timer_values: T1 and its family.
    :param token_key: the secret of Record-Route tokens; a fresh one lasts until the process ends.
    :param random_bytes: the source of branches, tags and Call-IDs.
    :param max_transactions: the most transactions at a time; more are answered 503 (RFC 3261 section 21.5.4).
    :param admit: tells whether a datagram or connection from this numeric host may be looked at (rate limits).
    """

    def __init__(
        self,
        reactor: Any,
        *,
        domains: Iterable[str] = (),
        chain: Sequence[IRequestProcessor] = (),
        resolver: IResolver | None = None,
        transport_settings: TransportSettings | None = None,
        timer_values: TimerValues | None = None,
        token_key: bytes | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        max_transactions: int = 100_000,
        admit: Callable[[str], bool] | None = None,
    ) -> None:
        self.reactor = reactor
        self.timers = TimerQueue(reactor)
        self.timer_values = timer_values or TimerValues()
        self.random_text = random_texts(random_bytes)
        self.dialog_tokens = DialogTokens(token_key := token_key or random_bytes(32), reactor.seconds)
        self.temporary_gruus = TemporaryGRUUs(token_key, random_bytes)
        # Keyed once: a copy of it is cheaper than to give the key each time.
        self._tag_maker = hashlib.blake2s(digest_size=STATELESS_TAG_LENGTH // 2, key=random_bytes(16))
        self.chain: list[IRequestProcessor] = list(chain)
        self._links: ByMethod[Any] = ByMethod("process")
        self.transactions = TransactionLayer(
            self.timers, _LayerUser(self), self.timer_values, max_transactions, self.random_text
        )
        if type(self).request_received is Element.request_received:
            # Called for every message: without a step in between.
            self.request_received = self.transactions.request_received  # type: ignore[method-assign]
        if type(self).response_received is Element.response_received:
            self.response_received = self.transactions.response_received  # type: ignore[method-assign]
        self.transports = TransportLayer(reactor, self, transport_settings, boot=random_bytes(6).hex())
        self.transports.rounds.timers = self.timers
        self.domains = Domains(domains, self.transports)
        self.transports.addresses.changed = self.domains.forget
        self.transports.in_use = lambda listener: self.transactions.uses(listener.kind, listener.address)
        if resolver is None:
            from twisted_sip.transport.resolver import Resolver

            resolver = Resolver(reactor)
        self.resolver = resolver
        self.dead_targets = DeadTargets(self.timers)
        self.sender = RequestSender(
            self.transports,
            self.transactions,
            resolver,
            self.random_text,
            dead_targets=self.dead_targets,
            settings=SenderSettings(datagram_limit=self.transports.settings.datagram_limit),
        )
        if admit is not None:
            # Asked for every datagram: without a step in between.
            self.admit = admit  # type: ignore[assignment, method-assign]
        self._flow_observers: list[Callable[[Flow], None]] = []
        self.waker: Waker | None = None  # wakes devices before requests go there (RFC 8599)
        #: Keeps why requests went the way they did; None keeps nothing.
        self.decisions: Decisions | None = None
        #: Called with (message, data, flow) for each message that goes out or comes in; None costs nothing.
        self.message_sent: Callable[[Any, bytes, Flow], None] | None = None
        self.message_seen: Callable[[Any, bytes, Flow], None] | None = None

    def configure(self, timer_values: TimerValues, max_transactions: int) -> None:
        """Take other limits for the transactions that begin from now on, and follow the settings of the transports.

        :param timer_values: another Timer C; T1, T2 and T4 are those that the element began with.
        """
        self.timer_values = self.transactions.values = timer_values
        self.transactions.max_transactions = max_transactions
        limit = self.transports.settings.datagram_limit
        self.sender.settings = attrs.evolve(self.sender.settings, datagram_limit=limit)

    # -- from the transports -----------------------------------------------------

    def admit(self, host: str) -> bool:
        """Tell whether a datagram from *host* may be looked at."""
        return True

    def request_received(self, request: Request, flow: Flow) -> None:
        """Hand *request* to the transaction layer, which absorbs what it knows and calls :meth:`new_request` else."""
        self.transactions.request_received(request, flow)

    def response_received(self, response: Response, flow: Flow) -> None:
        """Hand *response* to its client transaction."""
        self.transactions.response_received(response, flow)

    def malformed(self, error: RemoteProtocolError, data: bytes, flow: Flow) -> None:
        """Answer what could not be read as a message, if enough of it could (RFC 3261 section 8.2)."""
        message = error.message
        if not isinstance(message, Request) or message.method == "ACK" or "via" not in message.headers.names:
            return
        _log.debug("malformed message from {remote}: {reason}", remote=flow.remote, reason=error.reason)
        reason = "" if error.status == 505 else _phrase(error.reason)
        response = response_to(message, error.status, reason, [], b"", self.stateless_tag(message))
        self.send_statelessly(response, message, flow)

    def flow_closed(self, flow: Flow) -> None:
        """Fail what waits for an answer over the connection of *flow*, and tell those who care that it is gone."""
        self.transactions.flow_closed(flow)
        for observer in tuple(self._flow_observers):
            observer(flow)

    def observe_flows(self, observer: Callable[[Flow], None]) -> None:
        """Call *observer* with each flow whose connection is gone."""
        self._flow_observers.append(observer)

    def destination_refused(self, address: Address) -> None:
        """A datagram to *address* was refused (ICMP): fail what waits for it over to the next target."""
        self.sender.destination_refused(address)

    # -- from the transaction layer ------------------------------------------------

    def new_request(self, request: Request, flow: Flow) -> None:
        """Run a request that is no retransmission through the chain."""
        links = self._links
        if links.seen != self.chain:
            links.follow(self.chain)
        self._run(Incoming(request, flow, self), iter(links[request.method]))

    def ack_received(self, request: Request, flow: Flow) -> None:
        """Run an ACK through the chain, too: that for a 2xx is a request of its own (section 13.2.2.4). One for what
        was answered here statelessly ends here; the tag of that answer tells."""
        try:
            tag = (request.headers.parsed.get("to") or request.to).tag
        except RemoteProtocolError:
            return
        if tag and len(tag) == STATELESS_TAG_LENGTH and tag == self.stateless_tag(request):
            return
        self.new_request(request, flow)

    def cancel_unmatched(self, request: Request, flow: Flow) -> None:
        """Answer a CANCEL for which there is no transaction (section 9.2), and keep nothing of it. It is not forwarded
        as section 16.10 would have it: no request leaves here without a transaction but ACK."""
        Incoming(request, flow, self).respond_statelessly(481)

    def stray_response(self, response: Response, flow: Flow) -> None:
        """Drop a response that belongs to no transaction (RFC 6026 section 7.3: it is never forwarded)."""

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        """A CANCEL for a transaction without a user of its own (section 9.2)."""
        if transaction.last_response is None or transaction.last_response.status < 200:
            tag = transaction.to_tag or self.stateless_tag(transaction.request)
            transaction.send(response_to(transaction.request, 487, to_tag=tag))

    def ack_timed_out(self, transaction: Any) -> None:
        """Timer H of a transaction without a user of its own: nothing is left to do (section 17.2.1)."""

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        """A response could not be sent: look for another way back (section 18.2.2)."""
        self.find_way_back(transaction)

    def find_way_back(self, transaction: Any) -> None:
        """Send the last response of *transaction* over a new connection to where the Via says, if there is a way
        (sections 17.2.4 and 18.2.2, RFC 3263 section 5); each transaction gets one such try."""
        if transaction.rerouted:
            return
        transaction.rerouted = True
        try:
            via = transaction.request.top_via
            if via.transport != transaction.flow.kind.token:
                return
            found = self.resolver.resolve_response(via)
        except (ResolutionError, RemoteProtocolError):
            return
        if not isinstance(found, Deferred):
            found = succeed(found)
        source = transaction.flow.remote.host
        found.addCallback(lambda destinations: self.transports.flow_to(_way_back(destinations, via, source)))
        found.addCallback(transaction.reroute)
        found.addErrback(_no_way_back)

    # -- the chain ---------------------------------------------------------------------

    def _run(self, incoming: Incoming, links: Iterator[IRequestProcessor]) -> None:
        try:
            for processor in links:
                verdict = processor.process(incoming)
                if verdict is None:
                    continue
                if verdict is TAKEN:
                    pass
                elif isinstance(verdict, Response):
                    incoming.send(verdict)
                else:
                    self._wait(incoming, verdict, links)
                return
            # Nobody took it: there is no such user, method or service here (section 8.2.1).
            incoming.respond(404)
        except TransactionLimitReached:
            incoming.respond_statelessly(503, headers=[("retry-after", "10")])
        except Exception:
            self._failed(incoming, Failure())

    def _wait(self, incoming: Incoming, verdict: Any, links: Iterator[IRequestProcessor]) -> None:
        if not isinstance(verdict, Deferred):
            if not inspect.isawaitable(verdict):
                raise LocalProtocolError(f"a request processor returned {verdict!r}")
            verdict = ensureDeferred(cast("Coroutine[Deferred[Any], Any, Any]", verdict))
        if incoming.transaction is None and incoming.request.method != "ACK":
            if not self.transactions.hold(incoming.request, incoming.flow):
                incoming.respond_statelessly(503, headers=[("retry-after", "10")])
                verdict.addErrback(lambda failure: None).cancel()
                return
            incoming.held = True
            if incoming.request.method == "INVITE":
                self.timers.start(self.timer_values.trying, self._still_waiting, incoming)
        verdict.addCallbacks(self._resume, self._failed_later, (incoming, links), None, (incoming,))

    def _still_waiting(self, incoming: Incoming, late: bool = False) -> None:
        """An INVITE whose way is not known after 200 ms: tell the client that it has come (section 17.2.1). By UDP, who
        has proved nothing gets one answer, what comes of it (section 26.3.2.4), unless that takes half of Timer B."""
        if incoming.held and (late or not incoming.doubtful):
            incoming.start_transaction().trying()
        elif incoming.held:
            self.timers.start(self.timer_values.timeout / 2, self._still_waiting, incoming, True)

    def _resume(self, verdict: Any, incoming: Incoming, links: Iterator[IRequestProcessor]) -> None:
        if incoming.over:
            # Cancelled meanwhile, and answered 487.
            return
        try:
            if isinstance(verdict, Response):
                incoming.send(verdict)
            elif verdict is TAKEN:
                if incoming.held and incoming.transaction is None:
                    incoming.start_transaction()
            elif verdict is None:
                # Not to those who have left the chain meanwhile.
                self._run(incoming, iter([link for link in links if link in self.chain]))
            else:
                raise LocalProtocolError(f"a request processor gave {verdict!r}")
        except Exception:
            self._failed(incoming, Failure())

    def _failed_later(self, failure: Failure, incoming: Incoming) -> None:
        self._failed(incoming, failure)

    def _failed(self, incoming: Incoming, failure: Failure) -> None:
        error = failure.value
        if incoming.answered:
            _log.failure("after the answer to {incoming}", failure, incoming=incoming)
            return
        if isinstance(error, RemoteProtocolError):
            self._refuse(incoming, error.status, _phrase(error.reason))
            return
        if isinstance(error, TransactionLimitReached):
            incoming.respond_statelessly(503, headers=[("retry-after", "10")])
        else:
            _log.failure("while working on {incoming}", failure, incoming=incoming)
            self._refuse(incoming, 500)

    def _refuse(self, incoming: Incoming, status: int, reason: str = "") -> None:
        try:
            incoming.respond(status, reason)
        except RemoteProtocolError:
            # What names a transaction is damaged.
            incoming.respond_statelessly(status, reason)
        except TransactionLimitReached:
            incoming.respond_statelessly(503, headers=[("retry-after", "10")])

    # -- answers without a transaction ----------------------------------------------

    def stateless_tag(self, request: Request) -> str:
        """Return a To tag that is the same for the same request (section 8.2.7)."""
        headers = request.headers
        first = headers.lines[headers.names.index("via")] if "via" in headers.names else ""
        call_id = headers.parsed.get("call-id") or headers.first("call-id")
        made = self._tag_maker.copy()
        made.update(f"{first}\n{call_id}".encode("utf-8", "surrogateescape"))
        return made.hexdigest()

    def send_statelessly(self, response: Response, request: Request, flow: Flow) -> None:
        """Send *response* to *request*, which came over *flow*, once; a failure to do so is not reported."""
        try:
            try:  # noqa: SIM105  (a context manager costs three calls, here for each challenge)
                flow = flow.reply_flow(request)
            except (RemoteProtocolError, TransportError):
                # The way it came is the best that is left.
                pass
            flow.send(response.to_bytes(), response)
        except TransportError as error:
            _log.debug("response not sent: {error}", error=str(error))

    def stop(self) -> Deferred[None]:
        """Close every socket; fires with None when all are closed."""
        stop_resolver = getattr(self.resolver, "stop", None)
        if stop_resolver is not None:
            stop_resolver()
        self.transactions.stop()
        self.timers.stop()
        return self.transports.stop()


class _LayerUser:
    """What the transaction layer calls; bound methods, so that the way in is one call."""

    __slots__ = ("ack_received", "cancel_unmatched", "request_received", "stray_response")

    def __init__(self, element: Element) -> None:
        self.request_received = element.new_request
        self.ack_received = element.ack_received
        self.cancel_unmatched = element.cancel_unmatched
        self.stray_response = element.stray_response


def _way_back(destinations: Sequence[Destination], via: Via, source: str) -> Destination:
    """Return where to send a response whose way back is gone.

    The client has written the Via and must not make us connect to anything that is closed to itself: an address is good
    only as its own, a name is not if it leads into this host.

    :raises TransportError: there is no such place.
    """
    named = not is_numeric(via.host)
    for destination in destinations:
        host = destination.address.host
        if same_host(host, source) or (named and not is_loopback(host)):
            return destination
    raise TransportError(f"{via.sent_by} is not where the request came from")


def _no_way_back(failure: Failure) -> None:
    failure.trap(TransportError, ResolutionError)
    _log.debug("response not sent: {error}", error=str(failure.value))


def _phrase(reason: str) -> str:
    """Return *reason* fit for a status line: one line of printable text, of a sensible length."""
    return "".join(char if char.isprintable() else "?" for char in reason)[:120]
