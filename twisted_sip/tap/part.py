"""What a server may have beside registrar and proxy: a part brings stores, links of the chain and commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twisted_sip.element.element import Element
from twisted_sip.message.request import Request
from twisted_sip.tap.control import Command

if TYPE_CHECKING:
    from twisted_sip.interfaces.routing import IForwardingPolicy
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration


class Part(Protocol):
    """One part of a server, from its start to its end. The methods are called in this order, each once a start."""

    def listens(self, configuration: Configuration) -> Sequence[str]:
        """Return where it will listen beside the SIP ports, as descriptors."""

    def open_stores(self, server: Server, directory: Path) -> None:
        """Open the databases in *directory*.

        :raises StoreError: one cannot be used.
        """

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        """Return the links of the chain that stand between the registrar and the proxy, in order.

        Twisted services among them become services of the server.
        """

    def front_links(self) -> Sequence[Any]:
        """Return links that stand before admission: for requests that nobody has to be asked for (NOTIFY to us)."""

    def claims(self, request: Request) -> bool:
        """Tell whether the server answers *request* itself: authentication asks with 401 then."""

    def policies(self) -> Sequence[IForwardingPolicy]:
        """Return what has a word on requests and responses that the proxy forwards."""

    def methods(self) -> Sequence[str]:
        """Return the methods that are served though nothing is forwarded."""

    def schemes(self) -> Sequence[str]:
        """Return the URI schemes by which its users are addressed beside sip and sips, as user@domain."""

    def extensions(self) -> Sequence[str]:
        """Return the option tags that it supports, for answers to OPTIONS."""

    def events(self) -> Sequence[str]:
        """Return the event types that it serves (RFC 6665 section 8.2.2)."""

    def commands(self) -> Mapping[str, Command]:
        """Return what it adds to the control socket."""

    async def remove_user(self, aor: str, keep_data: bool) -> Mapping[str, int]:
        """Remove what *aor* has here, who is no user any more; return how much of what, by the name of many of them.

        :param keep_data: keep what is more than the state of devices that are there.
        :raises StoreError: that is not durable.
        """

    def counts(self) -> Mapping[str, Any]:
        """Return what it holds, for the status page."""

    async def close(self) -> None:
        """Flush and close the stores; also after a start that failed half-way."""
