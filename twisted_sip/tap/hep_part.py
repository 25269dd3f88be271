"""Copies of messages for a capture server as a part of a server (HEPv3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.console.hep_exporter import HEPExporter
from twisted_sip.console.metric_table import BY_NAME
from twisted_sip.console.settings import HEPSettings
from twisted_sip.element.element import Element
from twisted_sip.tap.chain import watch_messages
from twisted_sip.tap.hosts import is_address
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.watching_sections import capture_address
from twisted_sip.transport.receiver import Watcher

if TYPE_CHECKING:
    from twisted_sip.console.metrics import Sample
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration

_log = Logger()


class HEPPart(Part):
    """The part.

    :ivar exporter: sends the copies, None where there is nobody to send them to.
    """

    sections = ("hep",)

    def __init__(self) -> None:
        self.exporter: HEPExporter | None = None
        self._port: Any = None

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        """Begin to send; it has no link of its own."""
        self._use(server, server.configuration.hep)
        return ()

    def _use(self, server: Server, settings: HEPSettings) -> None:
        self._stop()
        if not settings.server:
            return
        host, port = capture_address(settings.server)
        exporter = self.exporter = HEPExporter(settings, server.reactor.seconds)
        address = Deferred.fromCoroutine(_numeric(server.reactor, host))
        address.addCallback(lambda found: self._listen(server, exporter, found, port))
        address.addErrback(self._unknown, host)

    def _listen(self, server: Server, exporter: HEPExporter, host: str, port: int) -> None:
        if exporter is self.exporter:
            self._port = server.reactor.listenUDP(0, exporter, interface="::" if ":" in host else "0.0.0.0")
            exporter.reaches(host, port)
            _log.info("messages are copied to {host} port {port}", host=host, port=port)

    def _unknown(self, failure: Failure, host: str) -> None:
        _log.error(
            "hep.server: {host} has no address ({reason}); no messages are copied to it",
            host=host,
            reason=failure.getErrorMessage(),
        )

    def watchers(self) -> Sequence[tuple[Watcher, Watcher]]:
        exporter = self.exporter
        return [] if exporter is None else [(exporter.sent, exporter.seen)]

    def samples(self) -> Iterable[Sample]:
        if self.exporter is None:
            return []
        return [
            (BY_NAME["hep_exported_total"], (), float(self.exporter.exported)),
            (BY_NAME["hep_dropped_total"], (), float(self.exporter.dropped)),
        ]

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Send to another place, or to none."""
        if configuration.hep == server.configuration.hep:
            return Prepared()

        def commit() -> None:
            self._use(server, configuration.hep)
            if server.element is not None:
                watch_messages(server, server.element)

        return Prepared(commit)

    def _stop(self) -> None:
        port, self._port = self._port, None
        self.exporter = None
        if port is not None:
            port.stopListening()

    async def close(self) -> None:
        self._stop()


async def _numeric(reactor: Any, host: str) -> str:
    if is_address(host):
        return host
    found: str = await reactor.resolve(host)
    return found
