"""The ports of the web site of a server: opened, given other certificates, closed, while requests come and go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.server import Site

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.web_site import WebConnections
from twisted_sip.transport.descriptors import Descriptor, parse_descriptor
from twisted_sip.transport.tls import TLSContexts

_log = Logger()


class WebPorts:
    """Where the site listens.

    :param reactor: provides IReactorTCP.
    :param site: what is served.
    :param serves: what people call that.
    :param key: the key of the configuration that says where.
    :ivar connections: those that there are.
    :ivar ports: Twisted's ports, by where they are to be: transport and address.
    """

    def __init__(self, reactor: Any, site: Site, serves: str = "XCAP", key: str = "xcap.listen") -> None:
        self._reactor = reactor
        self._site = site
        self._serves = serves
        self._key = key
        self.connections = WebConnections()
        self.ports: dict[tuple[int, str], Any] = {}

    def prepare(self, texts: Iterable[str], contexts: TLSContexts, *, must: bool) -> WebChange:
        """Open what the descriptors in *texts* ask for and is not open yet.

        :param contexts: give the certificates, read anew.
        :param must: a port that cannot be had is a fault, else it costs a warning and is left out.
        :returns: what is to be committed or rolled back.
        :raises ConfigurationError: one line for each fault; nothing is left open then.
        """
        change = WebChange(self.ports, self._serves)
        problems: list[str] = []
        for descriptor in map(parse_descriptor, texts):
            key = descriptor.port, descriptor.interface
            try:
                factory = self._factory(descriptor, contexts)
            except ConfigurationError as error:
                problems += [f"{self._key}: {problem}" for problem in error.problems]
                continue
            if key in self.ports:
                change.kept[key] = factory
                continue
            try:
                change.new[key] = self._reactor.listenTCP(descriptor.port, factory, interface=descriptor.interface)
            except CannotListenError as error:
                reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
                line = f"{self._key}: {descriptor.text}: cannot listen ({reason.lower()}), choose another port"
                if must:
                    problems.append(line)
                else:
                    _log.warn("{line}; {serves} is not served there", line=line, serves=self._serves)
                continue
            change.named[key] = descriptor
        if problems:
            change.roll_back()
            raise ConfigurationError(problems)
        return change

    def _factory(self, descriptor: Descriptor, contexts: TLSContexts) -> Any:
        if not descriptor.kind.secure:
            return self.connections.bounded(self._site)
        given = [descriptor.certificate] if descriptor.certificate is not None else []
        return self.connections.bounded(TLSMemoryBIOFactory(contexts.server(given), False, self._site))

    async def close(self) -> None:
        """Close all."""
        ports, self.ports = list(self.ports.values()), {}
        for port in ports:
            await maybeDeferred(port.stopListening)


class WebChange:
    """A change of the ports.

    :ivar kept: other factories for ports that stay.
    :ivar new: ports that were opened, and *named* what they were opened for.
    """

    def __init__(self, ports: dict[tuple[int, str], Any], serves: str) -> None:
        self._ports = ports
        self._serves = serves
        self.kept: dict[tuple[int, str], Any] = {}
        self.new: dict[tuple[int, str], Any] = {}
        self.named: dict[tuple[int, str], Descriptor] = {}

    @property
    def opened(self) -> tuple[str, ...]:
        """What was opened, for people."""
        return tuple(_shown(port) for port in self.new.values())

    @property
    def closed(self) -> tuple[str, ...]:
        """What is to be closed, for people."""
        return tuple(_shown(port) for key, port in self._ports.items() if key not in self.kept)

    def roll_back(self) -> None:
        """Close what was opened."""
        for port in self.new.values():
            port.stopListening()

    def commit(self) -> None:
        """Put it in place; connections that are there go on."""
        for key in [key for key in self._ports if key not in self.kept]:
            self._ports.pop(key).stopListening()
        for key, factory in self.kept.items():
            port = self._ports[key]
            if port.factory is not factory:
                factory.doStart()
                before, port.factory = port.factory, factory
                before.doStop()
        self._ports.update(self.new)
        for key, descriptor in self.named.items():
            _log.info(
                "{serves} on {scheme} port {port}",
                serves=self._serves,
                scheme="https" if descriptor.kind.secure else "http",
                port=self.new[key].getHost().port,
            )


def _shown(port: Any) -> str:
    host = port.getHost()
    return f"web {host.host}:{host.port}"
