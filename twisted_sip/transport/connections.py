"""The connections there are and those being opened: reuse, caps, look-up by token.

RFC 3261 section 18.1.1, RFC 5626, RFC 5923 (aliases: a peer that has proved its domain over a connection that it has
opened may be sent requests over it, as if we had opened it to where the peer listens).

A connection is reused for what goes to the address of its peer. Over TLS the peer must have proved the name we are
looking for as well, whoever opened the connection (RFC 5922 sections 7.3 and 7.4).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from twisted_sip.errors import RemoteProtocolError, TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.message.hosts import source_of
from twisted_sip.message.request import Request
from twisted_sip.transport.identity import proves
from twisted_sip.transport.listener import is_loopback
from twisted_sip.transport.settings import TransportSettings
from twisted_sip.transport.stream_flow import StreamFlow

_Key = tuple[TransportKind, Address, str]

#: The most ports of its own that a peer may name for one connection.
_MOST_ALIASES = 4


class Opening:
    """A connection being opened, and who waits for it.

    :ivar destination: where to.
    :ivar connecting: the Deferred of the connection attempt, to be cancelled when time is up.
    """

    __slots__ = ("_deadline", "_ended", "_waiters", "connecting", "destination")

    def __init__(self, destination: Destination, ended: Callable[[], object]) -> None:
        self.destination = destination
        self._ended: Callable[[], object] | None = ended
        self._waiters: list[Deferred[StreamFlow]] = []
        self.connecting: Deferred[object] | None = None
        self._deadline: IDelayedCall | None = None

    def wait(self) -> Deferred[StreamFlow]:
        """Return a Deferred that fires with the flow, or fails with TransportError; cancelling it harms nobody else."""
        waiter: Deferred[StreamFlow] = Deferred(self._waiters.remove)
        self._waiters.append(waiter)
        return waiter

    def succeeded(self, flow: StreamFlow) -> None:
        """The connection is usable."""
        for waiter in self._finish():
            waiter.callback(flow)

    def failed(self, failure: Failure) -> None:
        """There is no connection; only the first outcome counts."""
        waiters = self._finish()
        error = failure.value
        if not isinstance(error, TransportError):
            told = TransportError(f"no {self.destination.kind} connection to {self.destination.address}: {error}")
            told.__cause__ = error
            error = told
        for waiter in waiters:
            waiter.errback(Failure(error))

    def when_ended(self, deadline: IDelayedCall) -> None:
        """Cancel *deadline* once the outcome is known."""
        self._deadline = deadline

    def give_up(self, why: str) -> None:
        """Fail with *why*, and stop connecting."""
        self.failed(Failure(TransportError(f"no connection to {self.destination.address}: {why}")))
        if self.connecting is not None:
            self.connecting.cancel()

    def _finish(self) -> list[Deferred[StreamFlow]]:
        waiters, self._waiters = self._waiters, []
        ended, self._ended = self._ended, None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if ended is not None:
            ended()
        return waiters


class ConnectionTable:
    """Every connection of a TransportLayer.

    :ivar ended: how many connections, and attempts to open one, have come to their end since the start. Twisted leaves
        cycles of each behind, and with TLS what OpenSSL needs for one in them.
    """

    def __init__(self, settings: TransportSettings) -> None:
        self.settings = settings
        self._by_token: dict[str, StreamFlow] = {}
        self._by_remote: dict[tuple[TransportKind, Address], list[StreamFlow]] = {}
        self._openings: dict[_Key, Opening] = {}
        self._aliases: dict[tuple[TransportKind, Address], list[StreamFlow]] = {}
        self._aliased: dict[str, list[tuple[TransportKind, Address]]] = {}
        self._sources: dict[str, int] = {}
        self._inbound = 0
        self.ended = 0

    def __len__(self) -> int:
        """How many connections are usable."""
        return len(self._by_token)

    @property
    def opening(self) -> int:
        """How many connections are being opened."""
        return len(self._openings)

    @property
    def inbound(self) -> int:
        """How many connections peers have opened to us, unusable ones included."""
        return self._inbound

    def flows(self) -> list[StreamFlow]:
        """Return the flows of all usable connections."""
        return list(self._by_token.values())

    # -- caps -----------------------------------------------------------------

    def source_came(self, host: str) -> bool:
        """Count a connection from *host*; return False, uncounted, if it is one too many.

        The addresses of one IPv6 network are one source.
        """
        settings = self.settings
        source = source_of(host)
        count = self._sources.get(source, 0)
        allowed = settings.connections_per_local_source if is_loopback(host) else settings.connections_per_source
        if count >= allowed or self._total() >= settings.connections:
            return False
        self._sources[source] = count + 1
        self._inbound += 1
        return True

    def source_gone(self, host: str) -> None:
        """A connection from *host* that was counted is gone."""
        self._inbound -= 1
        source = source_of(host)
        count = self._sources[source] - 1
        if count:
            self._sources[source] = count
        else:
            del self._sources[source]

    def _total(self) -> int:
        return max(self._inbound, len(self._by_token)) + len(self._openings)

    # -- usable connections ---------------------------------------------------

    def add(self, flow: StreamFlow) -> None:
        """Take *flow* in: the latest connection to an address is the one that is reused."""
        self._by_token[flow.token] = flow
        self._by_remote.setdefault((flow.kind, flow.remote), []).append(flow)

    def remove(self, flow: StreamFlow) -> None:
        """Forget *flow*."""
        if self._by_token.pop(flow.token, None) is None:
            return
        key = (flow.kind, flow.remote)
        flows = self._by_remote[key]
        flows.remove(flow)
        if not flows:
            del self._by_remote[key]
        for alias in self._aliased.pop(flow.token, ()):
            flows = self._aliases[alias]
            flows.remove(flow)
            if not flows:
                del self._aliases[alias]

    def alias(self, flow: StreamFlow, request: Request) -> None:
        """Let *flow*, whose peer has proved who it is, carry requests to where *request* says that the peer listens, if
        it says so (RFC 5923 section 8.2)."""
        try:
            via = request.top_via
        except RemoteProtocolError:
            return
        if (
            "alias" not in via.params
            or via.transport != flow.kind.token
            or not proves(flow.identities, via.host)
            or flow.token not in self._by_token
        ):
            return
        alias = flow.kind, Address(flow.remote.host, via.port or flow.kind.default_port)
        known = self._aliased.setdefault(flow.token, [])
        if alias not in known and len(known) < _MOST_ALIASES:
            known.append(alias)
            self._aliases.setdefault(alias, []).append(flow)

    def by_token(self, token: str) -> StreamFlow | None:
        """Return the connection that *token* names, None if it is gone."""
        return self._by_token.get(token)

    def find(self, destination: Destination) -> StreamFlow | None:
        """Return an open connection that may carry what goes to *destination* (RFC 3261 section 18.1.1), else None."""
        flows = self._by_remote.get((destination.kind, destination.address))
        if flows is not None:
            for flow in reversed(flows):
                if flow.open and (not flow.kind.secure or self._may_carry(flow, destination)):
                    return flow
        for flow in reversed(self._aliases.get((destination.kind, destination.address), ())):
            # RFC 5923 section 8.2, condition 2: whatever else is believed, the name that is asked for has been proved.
            if flow.open and proves(flow.identities, destination.name):
                return flow
        return None

    def _may_carry(self, flow: StreamFlow, destination: Destination) -> bool:
        if not self.settings.tls.verify_peers or proves(flow.identities, destination.name):
            return True
        # A numeric name asks for the peer at that address, and the peer opened this connection from there itself.
        return not flow.outbound and destination.name.strip("[]") == flow.remote.host

    # -- connections being opened ---------------------------------------------

    def pending(self, destination: Destination) -> Opening | None:
        """Return the connection to *destination* that is being opened, None if there is none."""
        return self._openings.get(_key(destination))

    def openings(self) -> list[Opening]:
        """Return the connections that are being opened."""
        return list(self._openings.values())

    def begin(self, destination: Destination) -> Opening:
        """Note that a connection to *destination* is being opened.

        :raises TransportError: there are too many.
        """
        if len(self._openings) >= self.settings.pending_connects or self._total() >= self.settings.connections:
            raise TransportError("too many connections")
        key = _key(destination)
        opening = Opening(destination, lambda: self._opening_ended(key))
        self._openings[key] = opening
        return opening

    def _opening_ended(self, key: _Key) -> None:
        self._openings.pop(key, None)
        self.ended += 1


def _key(destination: Destination) -> _Key:
    # Only where names are proved do two names for one address need two connections.
    return destination.kind, destination.address, destination.name.lower() if destination.kind.secure else ""
