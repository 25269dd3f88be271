"""Which domains, hosts and URIs are ours (RFC 3261 sections 16.4 and 16.5).

A configured domain is ours with no port or with a port we listen on; an address of ours only with a port we listen on:
phones on the same host with other ports are not us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from twisted_sip.interfaces.flow import Address
from twisted_sip.message.limits import SHORT
from twisted_sip.message.uri import SIPURI, URI

#: The most answers that are remembered.
_REMEMBERED = 4096


class _Listener(Protocol):
    @property
    def address(self) -> Address: ...


class _Listening(Protocol):
    """What is asked of the transport layer, which has one list of listeners as long as it lives."""

    @property
    def listeners(self) -> Sequence[_Listener]: ...

    def is_local_address(self, host: str, port: int | None) -> bool: ...


class Domains:
    """Answers questions of ownership.

    :param domains: host names and addresses for whose users we are responsible.
    :param transports: knows where we listen.
    :ivar names: the domains, in lower case, IPv6 addresses without brackets.
    """

    __slots__ = ("_asked_of", "_known", "_known_uris", "_listeners", "_transports", "names")

    def __init__(self, domains: Iterable[str], transports: _Listening) -> None:
        self.names = frozenset(_plain(domain) for domain in domains)
        self._transports = transports
        self._listeners = transports.listeners
        self._known: dict[tuple[str, int | None, bool], bool] = {}
        self._known_uris: dict[str, bool] = {}
        self._asked_of = 0

    def adopt(self, domains: Iterable[str]) -> None:
        """Be responsible for the users of *domains* from now on, and of no others."""
        self.names = frozenset(_plain(domain) for domain in domains)
        self.forget()

    def forget(self) -> None:
        """Forget the answers given: who listens where has changed."""
        self._known.clear()
        self._known_uris.clear()

    def is_local(self, host: str, port: int | None = None, secure: bool = False) -> bool:
        """Tell whether *host* (a name, an address or an IPv6 reference) with *port* (None: not written) is ours.

        :param secure: the default port is that of sips.
        """
        self._check_listeners()
        key = (host, port, secure)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._decide(_plain(host), port, secure)
        return known

    def _check_listeners(self) -> None:
        """Forget the answers given before somebody began or ceased to listen."""
        listening = len(self._listeners)
        if listening != self._asked_of or len(self._known) > _REMEMBERED or len(self._known_uris) > _REMEMBERED:
            self._known.clear()
            self._known_uris.clear()
            self._asked_of = listening

    def _decide(self, host: str, port: int | None, secure: bool) -> bool:
        if host in self.names:
            if port is None:
                return True
            if any(listener.address.port == port for listener in self._listeners):
                return True
        if port is None:
            port = 5061 if secure else 5060
        return self._transports.is_local_address(host, port)

    def is_local_uri(self, uri: URI) -> bool:
        """Tell whether *uri* is a sip or sips URI of ours: one that leads elsewhere by its maddr is not."""
        if type(uri) is not SIPURI:
            return False
        # Asked several times for each request.
        if len(self._listeners) == self._asked_of:
            known = self._known_uris.get(uri.text)
            if known is not None:
                return known
        secure = uri.scheme == "sips"
        known = self.is_local(uri.host, uri.port, secure)
        if known:
            maddr = uri.maddr
            known = not maddr or self.is_local(maddr, uri.port, secure)
        if len(uri.text) <= SHORT:
            self._known_uris[uri.text] = known
        return known


def _plain(host: str) -> str:
    host = host.lower()
    if host[:1] == "[":
        host = host[1:].rstrip("]")
    return host[:-1] if host[-1:] == "." else host
