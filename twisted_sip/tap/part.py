"""What a server may have beside registrar and proxy: a part brings stores, links of the chain and commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from twisted_sip.element.element import Element
from twisted_sip.message.request import Request
from twisted_sip.tap.control import Command

if TYPE_CHECKING:
    from twisted_sip.console.metrics import Sample
    from twisted_sip.interfaces.accounting import IAccountingSink
    from twisted_sip.interfaces.routing import IForwardingPolicy, IRouter
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration
    from twisted_sip.transport.receiver import Watcher


def _nothing() -> None:
    """Nothing has to be given back."""


@attrs.frozen(slots=True)
class Prepared:
    """Other settings, made ready for while the old ones hold; either of the two is called before anything else happens.

    :ivar commit: puts them in place; must not fail.
    :ivar roll_back: gives back what was taken for them.
    :ivar opened: sockets that are new, for people to read.
    :ivar closed: sockets that are given up.
    """

    commit: Callable[[], object] = _nothing
    roll_back: Callable[[], object] = _nothing
    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


class Part:
    """One part of a server, from its start to its end.

    A subclass overrides what it has something for. The methods are called in this order, each once a start; reload is
    called each time that a server that runs gets other settings.

    :cvar sections: the sections of the configuration that it reads.
    :cvar fixed: keys, or sections, that it takes at its start and not while it runs.
    """

    sections: Sequence[str] = ()
    fixed: Sequence[str] = ()

    def listens(self, configuration: Configuration) -> Sequence[str]:
        """Return where it will listen beside the SIP ports, as descriptors."""
        return ()

    def open_stores(self, server: Server, directory: Path) -> None:
        """Open the databases in *directory*.

        :raises StoreError: one cannot be used.
        """

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        """Return the links of the chain that stand between the registrar and the proxy, in order.

        Twisted services among them become services of the server.
        """
        return ()

    def front_links(self) -> Sequence[Any]:
        """Return links that stand before admission: for requests that nobody has to be asked for (NOTIFY to us)."""
        return ()

    def claims(self, request: Request) -> bool:
        """Tell whether the server answers *request* itself: authentication asks with 401 then."""
        return False

    def routers(self, server: Server, element: Element) -> Sequence[IRouter]:
        """Return what the proxy asks for targets after the static routes, before the call policies and the location."""
        return ()

    def policies(self) -> Sequence[IForwardingPolicy]:
        """Return what has a word on requests and responses that the proxy forwards."""
        return ()

    def watchers(self) -> Sequence[tuple[Watcher, Watcher]]:
        """Return what is told of each message: pairs of ``element.message_sent`` and ``element.message_seen``."""
        return ()

    def methods(self) -> Sequence[str]:
        """Return the methods that are served though nothing is forwarded."""
        return ()

    def schemes(self) -> Sequence[str]:
        """Return the URI schemes by which its users are addressed beside sip and sips, as user@domain."""
        return ()

    def extensions(self) -> Sequence[str]:
        """Return the option tags that it supports, for answers to OPTIONS."""
        return ()

    def events(self) -> Sequence[str]:
        """Return the event types that it serves (RFC 6665 section 8.2.2)."""
        return ()

    def commands(self) -> Mapping[str, Command]:
        """Return what it adds to the control socket."""
        return {}

    async def remove_user(self, aor: str, keep_data: bool) -> Mapping[str, int]:
        """Remove what *aor* has here, who is no user any more; return how much of what, by the name of many of them.

        :param keep_data: keep what is more than the state of devices that are there.
        :raises StoreError: that is not durable.
        """
        return {}

    def read_ahead(self, configuration: Configuration) -> None:
        """Read the large files that *configuration* names; called before :meth:`reload`, in a thread of its own.

        What is wrong with them is for :meth:`reload` to say.
        """

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Make ready for the settings in *configuration*, and change nothing yet: ``server.configuration`` holds.

        :returns: what puts them in place; None where none of its sections can change before the next start.
        :raises ConfigurationError: they cannot be had, one line for each reason.
        """
        return None

    def counts(self) -> Mapping[str, Any]:
        """Return what it holds, for the status page."""
        return {}

    def sinks(self) -> Sequence[IAccountingSink]:
        """Return who is told of calls beside the database of call records; asked before :meth:`links`."""
        return ()

    def samples(self) -> Iterable[Sample]:
        """Return what it measures beside its counts, for the metrics."""
        return ()

    async def close(self) -> None:
        """Flush and close the stores; also after a start that failed half-way."""
