"""The addresses where an element listens, and what it calls itself to peers (RFC 3261 sections 18.1.1, 18.1.2)."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.transport.listener import Listener, bare, is_loopback, is_numeric, same_host

#: How many source addresses are remembered.
_ROUTES = 4096

#: How many names are remembered that peers were told earlier: they stand in routes and Vias that come back.
_FORMER = 16


class Listeners:
    """The listeners of one transport layer.

    :ivar own: every sent-by that the listeners write into Via, or wrote before they were told another name.
    :ivar changed: called with no arguments when there are others, or they are called something else.
    """

    def __init__(self, source_for: Callable[[str], str]) -> None:
        """Make an empty set.

        :param source_for: gives the local address from which a numeric host is reached, or an empty string.
        """
        self.all: list[Listener] = []
        self.own: frozenset[str] = frozenset()
        self.changed: Callable[[], object] | None = None
        self._former: dict[str, None] = {}
        self._exact: frozenset[tuple[str, int]] = frozenset()
        self._ports: frozenset[int] = frozenset()
        self._ask_source = source_for
        self._sources: dict[str, str] = {}

    def add(self, kind: TransportKind, address: Address, advertise: str) -> Listener:
        """Return the listener for *address*, made now or earlier."""
        known = self.at(kind, address)
        if known is not None:
            return known
        listener = Listener(kind, address, advertise)
        self.all.append(listener)
        self._refresh()
        return listener

    def at(self, kind: TransportKind, address: Address) -> Listener | None:
        """Return the listener of *kind* at *address*, None if there is none."""
        for known in self.all:
            if known.kind is kind and known.address == address:
                return known
        return None

    def readvertise(self, listener: Listener, advertise: str) -> None:
        """Tell peers of *listener* another name; the one that they were told stays ours."""
        before = listener.advertised
        if listener.readvertise(advertise):
            if before:
                self._former[before] = None
                if len(self._former) > _FORMER:
                    del self._former[next(iter(self._former))]
            self._refresh()

    def remove(self, listener: Listener) -> None:
        """Forget *listener*, if it is known."""
        if listener in self.all:
            self.all.remove(listener)
            self._refresh()

    def clear(self) -> None:
        """Forget all."""
        self.all.clear()
        self._former.clear()
        self._refresh()

    def forget_sources(self) -> None:
        """Ask anew by which address hosts are reached: this host may have others now."""
        self._sources.clear()

    def _refresh(self) -> None:
        self.own = frozenset(listener.advertised for listener in self.all if listener.advertised).union(self._former)
        self._exact = frozenset((listener.address.host, listener.address.port) for listener in self.all)
        advertised = (text.rpartition(":")[2] for text in self.own)
        self._ports = frozenset(listener.address.port for listener in self.all).union(
            int(number) for number in advertised if number.isascii() and number.isdigit()
        )
        if self.changed is not None:
            self.changed()

    def source(self, remote_host: str) -> str:
        """Return the local address that faces *remote_host*, an empty string if that is not known."""
        found = self._sources.get(remote_host)
        if found is None:
            if len(self._sources) >= _ROUTES:
                self._sources.clear()
            found = self._sources[remote_host] = self._ask_source(remote_host)
        return found

    def covers(self, kind: TransportKind, local: Address) -> bool:
        """Tell whether a listener of *kind* accepts what comes to *local*."""
        for listener in self.all:
            if listener.kind is kind and listener.address.port == local.port:
                if listener.wildcard or listener.address.host == local.host:
                    return True
        return False

    def ports(self) -> frozenset[int]:
        """Return the ports that are listened on or advertised."""
        return self._ports

    def is_local(self, host: str, port: int | None) -> bool:
        """Tell whether *host* and *port* are where one listens; no port means the default one of its transport."""
        if (host, port) in self._exact:
            return True
        if port is not None and port not in self._ports:
            return False
        for listener in self.all:
            wanted = listener.kind.default_port if port is None else port
            if _is_called(listener.advertised, host, wanted):
                return True
            if wanted == listener.address.port:
                if same_host(listener.address.host, host):
                    return True
                plain = bare(host)
                # A name never: the kernel would ask name servers for it, and everything else would wait.
                if listener.wildcard and is_numeric(plain) and (is_loopback(plain) or self.source(plain) == plain):
                    return True
        defaults = {listener.kind.default_port for listener in self.all} if port is None else (port,)
        return any(_is_called(name, host, wanted) for name in self._former for wanted in defaults)

    def sent_by(self, listener: Listener, remote_host: str) -> str:
        """Return the sent-by of what leaves by *listener* for *remote_host*."""
        return listener.advertised or listener.sent_by(self.source(remote_host) or listener.address.host)

    def stream_sent_by(self, kind: TransportKind, local: Address) -> str:
        """Return the sent-by for a connection of *kind* with the address *local* at our end: where we listen, so that
        a response finds us when the connection is gone; the connection's own address if we listen nowhere."""
        best: Listener | None = None
        for listener in self.all:
            if listener.kind is kind and not listener.retired and listener.ipv6 == (":" in local.host):
                if listener.address.host == local.host:
                    return listener.sent_by(local.host)
                if listener.wildcard or listener.loopback == is_loopback(local.host):
                    best = listener if best is None or best.wildcard else best
        return best.sent_by(local.host) if best is not None else str(local).lower()


def _is_called(name: str, host: str, port: int) -> bool:
    """Tell whether *name*, ``host:port`` or empty, is *host* and *port*."""
    known, _, number = name.rpartition(":")
    return bool(name) and number == str(port) and same_host(known, host)
