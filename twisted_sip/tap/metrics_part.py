"""Metrics as a part of a server: what is counted, what is looked up, and the site that serves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from twisted_sip import __version__
from twisted_sip.console.call_counts import CallCounts
from twisted_sip.console.message_counts import MessageCounts
from twisted_sip.console.metric_table import BY_NAME
from twisted_sip.console.metrics import MetricsResource, Sample, ServerMetrics, of_counts, of_messages
from twisted_sip.element.element import Element
from twisted_sip.errors import ConfigurationError
from twisted_sip.proxy.gateways.live import State
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.startup import StartFailure
from twisted_sip.tap.watching_sections import DEFAULT_METRICS_LISTEN
from twisted_sip.tap.web_ports import WebChange, WebPorts
from twisted_sip.tap.web_site import BoundedSite
from twisted_sip.transport.receiver import Watcher

if TYPE_CHECKING:
    from twisted_sip.interfaces.accounting import IAccountingSink
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration

#: The most connections at a time: a few are to look on.
_MOST = 100


class MetricsPart(Part):
    """The part.

    :ivar web: where it listens, None before the start.
    :ivar messages: how many messages came and went.
    :ivar calls: what calls have come to.
    """

    sections = ("metrics",)
    fixed = ("metrics.enabled", "metrics.path")

    def __init__(self) -> None:
        self.web: WebPorts | None = None
        self.messages = MessageCounts()
        self.calls = CallCounts()

    def listens(self, configuration: Configuration) -> Sequence[str]:
        return configuration.metrics.listen or DEFAULT_METRICS_LISTEN

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        """Serve them; it has no link of its own.

        :raises StartFailure: a port cannot be had.
        """
        sources: list[Callable[[], Iterable[Sample]]] = [
            lambda: _about(server),
            lambda: of_counts(server.counts().items()),
            lambda: of_messages(self.messages),
            lambda: _gateways(server),
            lambda: _certificates(element),
            lambda: [sample for part in server.parts for sample in part.samples()],
        ]
        root = _Root()  # type: ignore[no-untyped-call]
        root.putChild(
            server.configuration.metrics.path.strip("/").encode(),
            MetricsResource(ServerMetrics(sources, self.calls), server.reactor),
        )
        self.web = WebPorts(server.reactor, _ScrapedSite(root, server.reactor), "metrics", "metrics.listen")
        self.web.connections.most = _MOST
        try:
            self._prepare(server.configuration, element).commit()
        except ConfigurationError as error:
            raise StartFailure("\n".join(error.problems)) from error
        return ()

    def _prepare(self, configuration: Configuration, element: Element) -> WebChange:
        assert self.web is not None
        return self.web.prepare(self.listens(configuration), element.transports.contexts, must=True)

    def watchers(self) -> Sequence[tuple[Watcher, Watcher]]:
        return [(self.messages.sent, self.messages.seen)]

    def sinks(self) -> Sequence[IAccountingSink]:
        return [self.calls]

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Open other ports.

        :raises ConfigurationError: one cannot be had.
        """
        if self.web is None or server.element is None:
            return None
        change = self._prepare(configuration, server.element)
        return Prepared(change.commit, change.roll_back, change.opened, change.closed)

    async def close(self) -> None:
        web, self.web = self.web, None
        if web is not None:
            await web.close()


class _ScrapedSite(BoundedSite):
    def log(self, request: Any) -> None:
        """Say nothing: Prometheus comes every few seconds, and what went wrong is in the log without this."""


class _Root(Resource):
    """The site has one page."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


def _about(server: Server) -> Iterator[Sample]:
    yield BY_NAME["info"], (__version__,), 1.0
    yield BY_NAME["start_time_seconds"], (), server.started


def _gateways(server: Server) -> Iterator[Sample]:
    for gateway in server.routing.gateways or ():
        up = gateway.enabled and gateway.state is State.UP
        settings = gateway.settings
        yield BY_NAME["gateway_up"], (settings.group, settings.name or settings.uri), float(up)


def _certificates(element: Element) -> Iterator[Sample]:
    metric = BY_NAME["certificate_expiry_time_seconds"]
    made = [place.wanted.tls for place in element.transports.places if place.wanted.tls is not None]
    ends: dict[str, float] = {}
    for pair in [pair for tls in made for pair in tls.pairs]:
        name = ", ".join(pair.identities) or pair.certificate.subject.rfc4514_string()
        end = pair.certificate.not_valid_after_utc.timestamp()
        # Of several for the same names the one that ends first is the one to look after.
        ends[name] = min(end, ends.get(name, end))
    for name, end in ends.items():
        yield metric, (name,), end
