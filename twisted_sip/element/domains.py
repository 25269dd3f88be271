"""Which domains, hosts and URIs are ours (RFC 3261 sections 16.4 and 16.5).

A configured domain is ours with no port or with a port we listen on; an address of ours only with a port we listen on:
phones on the same host with other ports are not us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted_sip.message.uri import SIPURI, URI


class Domains:
    """Answers questions of ownership.

    :param domains: host names and addresses for whose users we are responsible.
    :param listens_on: tells whether one of our sockets has this (host, port); the host in lower case without brackets.
    :param ports: gives the ports that we listen on.
    """

    __slots__ = ("_listens_on", "_ports", "names")

    def __init__(
        self,
        domains: Iterable[str],
        listens_on: Callable[[str, int], bool] = lambda host, port: False,
        ports: Callable[[], Iterable[int]] = lambda: (5060, 5061),
    ) -> None:
        self.names = frozenset(_plain(domain) for domain in domains)
        self._listens_on = listens_on
        self._ports = ports

    def is_local(self, host: str, port: int | None = None) -> bool:
        """Tell whether *host* (a name, an address or an IPv6 reference) with *port* (None: not written) is ours."""
        host = _plain(host)
        if host in self.names:
            if port is None:
                return True
            if port in self._ports():
                return True
        return self._listens_on(host, 5060 if port is None else port)

    def is_local_uri(self, uri: URI) -> bool:
        """Tell whether *uri* is a sip or sips URI in one of our domains."""
        if type(uri) is not SIPURI:
            return False
        if uri.port is None and uri.secure and _plain(uri.host) not in self.names:
            return self._listens_on(_plain(uri.host), 5061)
        return self.is_local(uri.host, uri.port)


def _plain(host: str) -> str:
    host = host.lower()
    if host[:1] == "[":
        host = host[1:].rstrip("]")
    return host[:-1] if host[-1:] == "." else host
