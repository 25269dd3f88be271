"""The web site of a server, with XCAP as its first mount (RFC 4825 section 6.1).

Written settings are obeyed or the start fails; without any, a port that is taken costs a warning and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.web.resource import Resource

from twisted_sip.element.element import Element
from twisted_sip.errors import ConfigurationError
from twisted_sip.message.hosts import canonical_host
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.hosts import is_address
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.presence_part import PresencePart
from twisted_sip.tap.sections import DEFAULT_XCAP_LISTEN, XCAPSection
from twisted_sip.tap.startup import StartFailure
from twisted_sip.tap.web_ports import WebChange, WebPorts
from twisted_sip.tap.web_site import BoundedSite
from twisted_sip.transport.descriptors import parse_descriptor
from twisted_sip.xcap.diff_package import XCAPDiffPackage
from twisted_sip.xcap.digest import HTTPDigest
from twisted_sip.xcap.resource import BoundedRequest, XCAPResource
from twisted_sip.xcap.usages import default_usages

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server


class SitePart(Part):
    """The part that serves HTTP: stands behind the presence part, whose documents it serves.

    :ivar web: where it listens, None before the start.
    """

    sections = ("xcap",)
    fixed = ("xcap.enabled", "xcap.path")

    def __init__(self, presence: PresencePart) -> None:
        self._presence = presence
        self._diffs: XCAPDiffPackage | None = None
        self._digest: HTTPDigest | None = None
        self._resource: XCAPResource | None = None
        self.web: WebPorts | None = None

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
        self._digest = HTTPDigest(server.authenticator, server.realms(), server.credentials)
        self._resource = XCAPResource(
            documents, usages, self._digest, root=self._root(server), now=server.reactor.seconds
        )
        root.putChild(section.path.strip("/").encode(), self._resource)
        site = BoundedSite(root, server.reactor, requestFactory=BoundedRequest)
        self.web = WebPorts(server.reactor, site)
        self._bound(self.web, section)
        try:
            self._prepare(server.configuration, element).commit()
        except ConfigurationError as error:
            raise StartFailure("\n".join(error.problems)) from error
        return ()

    def _prepare(self, configuration: Configuration, element: Element) -> WebChange:
        assert self.web is not None
        listen = self.listens(configuration)
        return self.web.prepare(listen, element.transports.contexts, must=bool(configuration.xcap.listen))

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Open other ports, with the certificates of the transports, which are those to come by now.

        :raises ConfigurationError: one cannot be opened.
        """
        assert server.element is not None
        change = self._prepare(configuration, server.element)

        def commit() -> None:
            change.commit()
            if self.web is not None:
                self._bound(self.web, configuration.xcap)
            if self._digest is not None:
                self._digest.domains = tuple(canonical_host(realm) for realm in server.realms())
            if self._resource is not None:
                self._resource.xcap.root = self._root(server)
            if self._diffs is not None:
                self._diffs.root = self._root(server)

        return Prepared(commit, change.roll_back, change.opened, change.closed)

    @staticmethod
    def _bound(web: WebPorts, section: XCAPSection) -> None:
        web.connections.most = section.max_connections
        web.connections.most_per_source = section.max_connections_per_source

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

    async def close(self) -> None:
        web, self.web = self.web, None
        if web is not None:
            await web.close()
        diffs, self._diffs = self._diffs, None
        if diffs is not None:
            diffs.close()
