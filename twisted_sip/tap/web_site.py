"""The web sites of a server: how many connections they take, and how long one may keep its place (RFC 9110, RFC 9112).

A client has so many seconds to send a request, head and body, however steadily its bytes drop in, and so many to take
the end of an answer; then its connection is closed, without a word of the peer.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from twisted_sip.message.hosts import source_of
from twisted_sip.transport.listener import is_loopback

#: Seconds after which a connection on which nothing comes is closed.
IDLE = 60
#: Seconds that a request may take to come, head and body.
REQUEST_TIME = 30.0
#: Seconds in which a connection has to be gone that was closed here.
CLOSE_TIME = 15.0

#: The most connections at a time, and of one source; those of this host count for the first alone.
MAX_CONNECTIONS, MAX_PER_SOURCE = 1000, 100


class BoundedChannel(HTTPChannel):
    """A connection whose client has to come to an end."""

    _deadline: IDelayedCall | None = None
    _answering = False

    def dataReceived(self, data: bytes) -> None:
        """Take *data*; with the first of a request its time begins."""
        if self._deadline is None and not self._answering:
            self._within(REQUEST_TIME)
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def allContentReceived(self) -> None:
        """A request is there."""
        self._answering = True
        self._in_time()
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def requestDone(self, request: Request) -> None:
        """It has been answered."""
        self._answering = False
        super().requestDone(request)  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        """Close the connection; a peer that does not read, or says no goodbye in TLS, keeps it no longer."""
        self._in_time()
        self._within(CLOSE_TIME)
        super().loseConnection()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        self._in_time()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def _within(self, seconds: float) -> None:
        self._deadline = self.callLater(seconds, self._too_late)  # type: ignore[no-untyped-call]

    def _in_time(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()

    def _too_late(self) -> None:
        self._deadline = None
        transport: Any = self.transport
        transport.abortConnection()


class BoundedSite(Site):
    """A site whose connections are bounded in time; in number they are by :class:`WebConnections`."""

    protocol: Any = BoundedChannel

    def __init__(self, root: Resource, clock: Any, **how: Any) -> None:
        super().__init__(root, timeout=IDLE, reactor=clock, **how)  # type: ignore[no-untyped-call]
        # One line for each connection tells nobody anything.
        self.noisy = False

    def acceptableProtocols(self) -> list[bytes]:
        """Return what may be agreed on in TLS: HTTP/2 has other limits."""
        return [b"http/1.1"]


class WebConnections:
    """The connections of one site, over all its ports.

    :ivar most: the most at a time.
    :ivar most_per_source: the most of one source: a host, or a /64 of IPv6.
    """

    def __init__(self, most: int = MAX_CONNECTIONS, most_per_source: int = MAX_PER_SOURCE) -> None:
        self.most = most
        self.most_per_source = most_per_source
        self._sources: dict[str, int] = {}
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def bounded(self, factory: Any) -> WrappingFactory[Any]:
        """Return what makes the connections of *factory*, as long as there are not too many."""
        return _Door(self, factory)

    def came(self, host: str) -> str | None:
        """Count a connection from *host*; return what :meth:`gone` wants, None if it is one too many."""
        source = source_of(host)
        count = self._sources.get(source, 0)
        if self._total >= self.most or (count >= self.most_per_source and not is_loopback(host)):
            return None
        self._sources[source] = count + 1
        self._total += 1
        return source

    def gone(self, source: str) -> None:
        """A connection that was counted is gone."""
        self._total -= 1
        count = self._sources[source] - 1
        if count:
            self._sources[source] = count
        else:
            del self._sources[source]


class _Counted(ProtocolWrapper):
    """A connection that was counted."""

    factory: Any
    source = ""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self.factory.connections.gone(self.source)


class _Door(WrappingFactory[Any]):
    """Stands before the site, and before TLS: a handshake costs more than a request."""

    protocol = _Counted
    noisy = False

    def __init__(self, connections: WebConnections, factory: Any) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self.connections = connections

    def logPrefix(self) -> str:
        """Return what the log calls the site."""
        return "HTTP"

    def buildProtocol(self, addr: Any) -> Any:
        """Return a protocol, None to have the connection closed."""
        source = self.connections.came(getattr(addr, "host", ""))
        if source is None:
            return None
        made = super().buildProtocol(addr)
        made.source = source
        return made
