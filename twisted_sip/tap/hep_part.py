"""Copies of messages for a capture server as a part of a server (HEPv3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IHostResolution, IResolutionReceiver
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.console.hep_exporter import HEPExporter
from twisted_sip.console.metric_table import BY_NAME
from twisted_sip.console.settings import HEPSettings
from twisted_sip.element.element import Element
from twisted_sip.tap.chain import watch_messages
from twisted_sip.tap.hosts import is_address
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.startup import os_error_words
from twisted_sip.tap.watching_sections import capture_address
from twisted_sip.transport.receiver import Watcher

if TYPE_CHECKING:
    from twisted_sip.console.metrics import Sample
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration

_log = Logger()

#: Seconds after which the name of a capture server is looked up again.
LOOK_AGAIN = 60.0

_KINDS = (IPv4Address, IPv6Address)


class HEPPart(Part):
    """The part.

    :ivar exporter: sends the copies, None where there is nobody to send them to.
    """

    sections = ("hep",)

    def __init__(self) -> None:
        self.exporter: HEPExporter | None = None
        self._port: Any = None
        self._again: IDelayedCall | None = None
        # What was last said of where copies go: the address, or why there is none.
        self._said = ""

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        """Begin to send; it has no link of its own."""
        self._use(server.reactor, server.configuration.hep)
        return ()

    def _use(self, reactor: Any, settings: HEPSettings) -> None:
        self._stop()
        if settings.server:
            self.exporter = HEPExporter(settings, reactor.seconds)
            self._find(reactor, self.exporter, *capture_address(settings.server))

    def _find(self, reactor: Any, exporter: HEPExporter, name: str, port: int) -> None:
        """Find the address of *name*, and again from time to time: it may have none yet, or another one later."""
        self._again = None
        if is_address(name):
            self._reach(reactor, exporter, name, port)
            return
        # A socket that is open reaches one version of IP.
        kinds = _KINDS if self._port is None else [type(self._port.getHost())]

        def found(hosts: Sequence[str]) -> None:
            if exporter is not self.exporter:
                return
            if hosts:
                self._reach(reactor, exporter, hosts[0], port)
            else:
                self._say_once(f"{name} has no address")
            self._again = reactor.callLater(LOOK_AGAIN, self._find, reactor, exporter, name, port)

        reactor.nameResolver.resolveHostName(_Addresses(found), name, port, kinds)

    def _reach(self, reactor: Any, exporter: HEPExporter, host: str, port: int) -> None:
        if self._port is None:
            try:
                self._port = reactor.listenUDP(0, exporter, interface="::" if ":" in host else "0.0.0.0")
            except CannotListenError as error:
                self._say_once(f"there is no socket to send from ({os_error_words(error.socketError)})")
                return
        exporter.reaches(host, port)
        if self._said != host:
            self._said = host
            _log.info("messages are copied to {host} port {port}", host=host, port=port)

    def _say_once(self, reason: str) -> None:
        if self._said != reason:
            self._said = reason
            _log.error("hep.server: {reason}; messages are not copied until that is mended", reason=reason)

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
            self._use(server.reactor, configuration.hep)
            if server.element is not None:
                watch_messages(server, server.element)

        return Prepared(commit)

    def _stop(self) -> None:
        port, self._port = self._port, None
        again, self._again = self._again, None
        self.exporter = None
        self._said = ""
        if again is not None:
            again.cancel()
        if port is not None:
            port.stopListening()

    async def close(self) -> None:
        self._stop()


@implementer(IResolutionReceiver)
class _Addresses:
    """Gathers the addresses of a name.

    :param found: is given all of them, none where it has none.
    """

    def __init__(self, found: Callable[[Sequence[str]], None]) -> None:
        self._found = found
        self._hosts: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """It takes a while."""

    def addressResolved(self, address: IAddress) -> None:
        """Take one."""
        assert isinstance(address, _KINDS)
        self._hosts.append(address.host)

    def resolutionComplete(self) -> None:
        """There are no more."""
        self._found(self._hosts)
