"""The web site of a server, with XCAP as its first mount (RFC 4825 section 6.1).

Written settings are obeyed or the start fails; without any, a port that is taken costs a warning and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import Site

from twisted_sip.element.element import Element
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.hosts import is_address
from twisted_sip.tap.part import Part
from twisted_sip.tap.presence_part import PresencePart
from twisted_sip.tap.sections import DEFAULT_XCAP_LISTEN
from twisted_sip.tap.startup import StartFailure
from twisted_sip.transport.descriptors import Descriptor, parse_descriptor
from twisted_sip.xcap.diff_package import XCAPDiffPackage
from twisted_sip.xcap.digest import HTTPDigest
from twisted_sip.xcap.resource import BoundedRequest, XCAPResource
from twisted_sip.xcap.usages import default_usages

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server

_log = Logger()

#: Seconds after which a connection on which nothing comes is closed, and the most of them at a time.
_IDLE = 60


class SitePart(Part):
    """The part that serves HTTP: stands behind the presence part, whose documents it serves.

    :ivar ports: where it listens, as Twisted's ports.
    """

    def __init__(self, presence: PresencePart) -> None:
        self._presence = presence
        self._diffs: XCAPDiffPackage | None = None
        self.ports: list[Any] = []

    def listens(self, configuration: Configuration) -> Sequence[str]:
        return configuration.xcap.listen or DEFAULT_XCAP_LISTEN

    def open_stores(self, server: Server, directory: Path) -> None:
        """The presence part has opened them."""

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        section = server.configuration.xcap
        documents, services = self._presence.documents, self._presence.services
        assert documents is not None and services is not None and server.authenticator is not None
        root = Resource()
        usages = default_usages(services, *([] if server.user_known is None else [server.user_known.is_taken]))
        if self._presence.notifier is not None:
            self._diffs = XCAPDiffPackage(documents, usages, self._root(server))
            self._presence.notifier.add(self._diffs)
        resource = XCAPResource(
            documents,
            usages,
            HTTPDigest(server.authenticator, server.realms(), server.credentials),
            root=self._root(server),
            now=server.reactor.seconds,
        )
        root.putChild(section.path.strip("/").encode(), resource)
        site = Site(root, requestFactory=BoundedRequest, timeout=_IDLE)
        for descriptor in map(parse_descriptor, self.listens(server.configuration)):
            self._listen(server, element, site, descriptor, must=bool(section.listen))
        return ()

    def _root(self, server: Server) -> str:
        """Return the XCAP root URI as clients are to write it."""
        section = server.configuration.xcap
        descriptors = [parse_descriptor(text) for text in self.listens(server.configuration)]
        chosen = next((one for one in descriptors if one.kind.secure), descriptors[0])
        host = server.configuration.server.advertise or server.domains[0]
        if is_address(host) and ":" in host and not host.startswith("["):
            host = f"[{host}]"
        scheme = "https" if chosen.kind.secure else "http"
        return f"{scheme}://{host}:{chosen.port}/{section.path.strip('/')}"

    def _listen(self, server: Server, element: Element, site: Site, descriptor: Descriptor, *, must: bool) -> None:
        factory: Any = site
        if descriptor.kind.secure:
            given = [descriptor.certificate] if descriptor.certificate is not None else []
            factory = TLSMemoryBIOFactory(element.transports.contexts.server(given), False, site)
        try:
            port = server.reactor.listenTCP(descriptor.port, factory, interface=descriptor.interface)
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
            line = f"xcap.listen: {descriptor.text}: cannot listen ({reason.lower()}), choose another port"
            if must:
                raise StartFailure(line) from error
            _log.warn("{line}; XCAP is not served there", line=line)
            return
        self.ports.append(port)
        _log.info(
            "XCAP on {scheme} port {port}",
            scheme="https" if descriptor.kind.secure else "http",
            port=port.getHost().port,
        )

    async def close(self) -> None:
        ports, self.ports = self.ports, []
        for port in ports:
            await port.stopListening()
        diffs, self._diffs = self._diffs, None
        if diffs is not None:
            diffs.close()
