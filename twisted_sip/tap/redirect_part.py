"""The redirect server as a part of a server: behind the registrar, in place of the proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted_sip.element.element import Element
from twisted_sip.message.methods import METHODS
from twisted_sip.message.request import Request
from twisted_sip.redirect.service import RedirectService
from twisted_sip.tap.part import Part, Prepared

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration


class RedirectPart(Part):
    """The part.

    :ivar redirect: the service, None before the start.
    :ivar redirect_class: what is made; a subclass of RedirectService.
    """

    sections = ("redirect",)

    redirect_class: type[RedirectService] = RedirectService

    def __init__(self) -> None:
        self.redirect: RedirectService | None = None

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        # Where requests go is found as a proxy does; it is asked for that alone.
        from twisted_sip.tap.chain import make_proxy

        proxy = make_proxy(server, element)
        # RFC 3261 section 21.3: a Contact may be any URI.
        proxy.location_router.any_scheme = True
        self.redirect = self.redirect_class(
            element,
            proxy,
            server.reactor.seconds,
            settings=lambda: server.configuration.redirect,
            history_info=lambda: server.configuration.proxy.history_info,
            diversion=lambda: server.configuration.proxy.diversion,
        )
        return [self.redirect]

    def claims(self, request: Request) -> bool:
        """RFC 3261 section 22.1: redirect servers ask with 401."""
        return True

    def methods(self) -> Sequence[str]:
        return tuple(METHODS)

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Its settings are looked up when a request comes."""
        return Prepared(lambda: None)

    async def close(self) -> None:
        self.redirect = None
