"""From a request to a flow: the next hop, its servers, one after the other, and the transport by size.

RFC 3261 sections 8.1.2, 16.6 step 7 and 18.1.1, RFC 3263 section 4.3, RFC 5630 section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import RemoteProtocolError, ResolutionError, SIPError, TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.transport_kind import TCP, UDP
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import next_hop
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.transaction.keys import MAGIC_COOKIE
from twisted_sip.transport.resolver_selection import InsecureTransport

if TYPE_CHECKING:
    from twisted_sip.element.request_sender import RequestSender

log = Logger()

#: Room for what a request may gain on its way out: our Via and two Record-Route values.
_ROOM = 400

#: More than the rest of a request line, a Content-Length and the empty line take.
_LENGTHS = 200


class DestinationWalk:
    """Walks the servers of one request until a flow to one of them is there.

    :ivar original: the request as its user gave it, without our Via.
    :ivar destination: the server being tried, None over a given flow.
    :ivar error: what went wrong last, None before.
    """

    __slots__ = (
        "_by_default",
        "_destinations",
        "_fallback",
        "_place",
        "_secure",
        "_sender",
        "_walking",
        "destination",
        "error",
        "original",
    )

    def __init__(self, sender: RequestSender, original: Request) -> None:
        self._sender = sender
        self.original = original
        self.destination: Destination | None = None
        self.error: SIPError | None = None
        self._destinations: Sequence[Destination] = ()
        self._place = 0
        self._walking = False
        self._fallback: tuple[Destination, Flow] | None = None

    # -- what the two ways of sending fill in ---------------------------------

    def _dress(self, request: Request, flow: Flow) -> None:
        """Put into *request* what depends on *flow*, our Via last."""
        raise NotImplementedError

    def _launch(self, flow: Flow) -> bool:
        """Send over *flow*; return False if that failed at once and the next server is to be tried."""
        raise NotImplementedError

    def _no_way(self, status: int, reason: str) -> None:
        """There is no server to send to, or none is left."""
        raise NotImplementedError

    # -- the walk --------------------------------------------------------------

    def find_way(self, uri: URI | None, secure: bool) -> None:
        """Resolve *uri*, or the next hop of the request, and go to the first server.

        :param secure: only secure transports will do.
        """
        self._secure = secure
        try:
            if uri is None:
                uri = next_hop(self.original)
            if not isinstance(uri, SIPURI):
                self.error = ResolutionError(f"{uri} is no SIP URI")
                self._no_way(416, "Unsupported URI Scheme")
                return
            # "as if the input URI were a SIPS URI" (sections 8.1.2 and 16.6 step 7).
            if secure and uri.scheme != "sips":
                uri = uri.replace(scheme="sips")
            elif uri.scheme == "sips":
                self._secure = True
            self._by_default = not uri.transport
            found = self._sender.resolver.resolve(uri)
        except RemoteProtocolError as error:
            self.error = error
            self._no_way(error.status, error.reason)
            return
        except ResolutionError as error:
            self._not_found(error)
            return
        # Deferred is an abstract base class, and to ask for one of those is slow.
        if type(found) is tuple and not self._secure and not self._sender.dead_targets.marks:
            # The usual case of _resolved(), without the call.
            self._destinations = found
            self._go()
        elif type(found) is not tuple and isinstance(found, Deferred):
            self._wait()
            found.addCallbacks(self._resolved_later, self._not_found_later).addErrback(self._broken)
        else:
            self._resolved(found)

    def leave(self) -> None:
        """Stop the walk: what it waits for is of no interest any more."""
        self._walking = False
        self._sender.waiting.discard(self)

    def _wait(self) -> None:
        self._walking = True
        self._sender.waiting.add(self)

    def _came(self) -> bool:
        """What was waited for has come; return False if the walk was left meanwhile."""
        if not self._walking:
            return False
        self.leave()
        return True

    def _broken(self, failure: Failure) -> None:
        """A resolver, a transport or the user's *prepare* raised what it must not."""
        self.leave()
        if isinstance(failure.value, RemoteProtocolError):
            # It is not to be sent, says its user.
            self._no_way(failure.value.status, failure.value.reason)
            return
        log.failure("A request could not be sent: {request}", failure=failure, request=self.original)
        self._no_way(500, "Server Internal Error")

    def _resolved_later(self, destinations: Sequence[Destination]) -> None:
        if self._came():
            self._resolved(destinations)

    def _not_found_later(self, failure: Failure) -> None:
        if self._came():
            failure.trap(ResolutionError)
            self._not_found(failure.value)  # type: ignore[arg-type]

    def _not_found(self, error: ResolutionError) -> None:
        self.error = error
        if isinstance(error, InsecureTransport):
            # RFC 5630 section 5.3.
            self._no_way(480, "SIPS Not Allowed")
        else:
            self._no_way(503, "Service Unavailable")

    def _resolved(self, destinations: Sequence[Destination]) -> None:
        sender = self._sender
        if self._secure:
            # Never a downgrade, whatever the resolver says (RFC 5630 section 5).
            destinations = [destination for destination in destinations if destination.kind.secure]
            if not destinations:
                self._not_found(InsecureTransport("a sips URI leads to insecure transports only"))
                return
        if sender.dead_targets.marks:
            # In-dialog requests have nowhere else to go, so they do not wait for the end of a Retry-After.
            ordered = sender.dead_targets.order(destinations, self._spares_held())
            if not ordered:
                left = sender.dead_targets.held_for(destinations)
                self.error = TransportError(f"the server wants no requests for another {left:.0f} s")
                self._no_way(503, "Service Unavailable")
                return
            destinations = ordered
        self._destinations = destinations
        self._go()

    def _spares_held(self) -> bool:
        return self.original.method not in ("ACK", "BYE") and ";tag=" not in (self.original.headers.first("to") or "")

    @property
    def _more(self) -> bool:
        """True if there are more servers to try."""
        return self._place < len(self._destinations) and self._place < self._sender.settings.max_servers

    def _go(self) -> None:
        """Go to the next server, and on to others until one can be sent to or must be waited for."""
        destinations = self._destinations
        most = min(len(destinations), self._sender.settings.max_servers)
        while (place := self._place) < most:
            destination = destinations[place]
            self._place = place + 1
            if self._visit(destination):
                return
        self._no_way(503, "Service Unavailable")

    def _visit(self, destination: Destination) -> bool:
        """Try *destination*; return False if the next one is to be tried."""
        self.destination = destination
        try:
            flow = self._sender.transports.flow_to(destination)
        except TransportError as error:
            return self._unreachable(error)
        if not hasattr(flow, "kind") and isinstance(flow, Deferred):
            # A flow tells by its kind that it is none: to ask for an abstract base class is slow.
            self._wait()
            flow.addCallbacks(self._connected_later, self._unreachable_later).addErrback(self._broken)
            return True
        return self._connected(flow)  # type: ignore[arg-type]

    def _connected(self, flow: Flow) -> bool:
        destination = self.destination
        assert destination is not None
        if destination.kind is UDP and self._by_default and self._fallback is None and self._is_too_large(flow):
            # Section 18.1.1: a congestion-controlled transport, at the same address; UDP again if it is refused.
            instead = Destination(TCP, destination.address, destination.name)
            if not self._sender.dead_targets.suspected(TCP, destination.address):
                self._fallback = (destination, flow)
                return self._visit(instead)
        self._fallback = None
        return self._launch(flow)

    def _connected_later(self, flow: Flow) -> None:
        if self._came() and not self._connected(flow):
            self._go()

    def _unreachable(self, error: TransportError) -> bool:
        destination = self.destination
        assert destination is not None
        self.error = error
        self._sender.dead_targets.suspect(destination.kind, destination.address)
        if self._fallback is not None:
            self.destination, flow = self._fallback
            self._fallback = None
            return self._launch(flow)
        return False

    def _unreachable_later(self, failure: Failure) -> None:
        if self._came():
            failure.trap(TransportError)
            if not self._unreachable(failure.value):  # type: ignore[arg-type]
                self._go()

    def _is_too_large(self, flow: Flow) -> bool:
        limit = self._sender.settings.datagram_limit
        original = self.original
        headers = original.headers
        head = "\r\n".join(headers.lines)
        size = len(original.method) + len(original.uri_text) + len(head) + len(original.body)
        if size + _ROOM + _LENGTHS <= limit and head.isascii() and original.uri_text.isascii():
            # The usual case, a little pessimistic.
            return False
        if wire_size(original) + _ROOM <= limit:
            return False
        trial = original.copy()
        self._dress(trial, flow)
        return wire_size(trial) > limit


def wire_size(request: Request) -> int:
    """Return how many bytes *request* takes on the wire, without serialising it."""
    headers = request.headers
    head = "\r\n".join([request.start_line, *headers.lines])
    size = len(head) if head.isascii() else len(head.encode("utf-8", "surrogateescape"))
    if "content-length" not in headers.names:
        size += len(f"\r\nContent-Length: {len(request.body)}")
    return size + 4 + len(request.body)


def push_via(request: Request, flow: Flow, unique: str, destination: Destination | None) -> str:
    """Put our Via on top of *request* (sections 8.1.1.7, 16.6 step 8 and 18.1.1; rport: RFC 3581 section 3).

    :param unique: what follows the magic cookie.
    :return: the branch.
    """
    branch = MAGIC_COOKIE + unique
    kind = flow.kind
    line = f"Via: SIP/2.0/{kind.token} {flow.sent_by};branch={branch};rport"
    if kind.secure and getattr(flow, "offers_alias", False):
        # RFC 5923 section 8.1.
        line += ";alias"
    if destination is not None and destination.address.host.startswith(("22", "23")) and not kind.stream:
        line += _multicast(destination.address.host)
    headers = request.headers
    headers.names.insert(0, "via")
    headers.lines.insert(0, line)
    headers.parsed.pop("via", None)
    return branch


def _multicast(host: str) -> str:
    """Return the parameters of a Via towards a multicast group (section 18.1.1), else nothing."""
    first, dot, _ = host.partition(".")
    return f";maddr={host};ttl=1" if dot and 224 <= int(first) <= 239 else ""
