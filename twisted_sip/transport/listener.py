"""One place where messages arrive: a socket, or an address behind which somebody else's port listens."""

from __future__ import annotations

import ipaddress

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TransportKind

_ANY = ("0.0.0.0", "::", "")


class Listener:
    """A listening address.

    :ivar kind: the transport.
    :ivar address: the numeric local address; the port is the real one.
    :ivar advertised: ``host:port`` that peers are told (Via, Record-Route), empty on a wildcard without an advertised
        name: what peers are told depends on who they are then.
    :ivar wildcard: it listens on every local address.
    :ivar retired: it is being given up: what is under way goes on, nothing new leaves by it.
    """

    __slots__ = ("address", "advertised", "kind", "retired", "wildcard")

    def __init__(self, kind: TransportKind, address: Address, advertise: str = "") -> None:
        """Describe a listening socket.

        :param advertise: a host, or host and port, to tell peers instead of *address*.
        """
        self.kind = kind
        self.address = address
        self.wildcard = address.host in _ANY
        self.retired = False
        self.advertised = self._name(advertise)

    def _name(self, advertise: str) -> str:
        if advertise:
            return _with_port(advertise, self.address.port)
        return "" if self.wildcard else str(self.address).lower()

    def readvertise(self, advertise: str) -> bool:
        """Tell peers *advertise* from now on, as at the beginning; return True if that is another name."""
        before, self.advertised = self.advertised, self._name(advertise)
        return before != self.advertised

    def __repr__(self) -> str:
        return f"<Listener {self.kind} {self.address}>"

    def sent_by(self, local_host: str) -> str:
        """Return ``host:port`` for the Via of what leaves by *local_host* (RFC 3261 section 18.1.1)."""
        return self.advertised or str(Address(local_host, self.address.port)).lower()

    @property
    def ipv6(self) -> bool:
        """True if it takes IPv6."""
        return ":" in self.address.host

    @property
    def loopback(self) -> bool:
        """True if it is reached from this host only."""
        return is_loopback(self.address.host)


def is_loopback(host: str) -> bool:
    """Tell whether the numeric *host* is this machine itself."""
    return host == "::1" or host.startswith(("127.", "::ffff:127."))


def is_numeric(host: str) -> bool:
    """Tell whether *host* is an IPv4 or IPv6 address (brackets or none)."""
    host = bare(host)
    if ":" not in host and not host[-1:].isdigit():
        # A name.
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def bare(host: str) -> str:
    """Return *host* without the brackets of an IPv6 reference."""
    return host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host


def same_host(left: str, right: str) -> bool:
    """Tell whether two hosts are the same: addresses by value, names without regard to case."""
    left, right = bare(left), bare(right)
    if left == right:
        return True
    if ":" in left and ":" in right:
        try:
            return ipaddress.ip_address(left) == ipaddress.ip_address(right)
        except ValueError:
            return False
    return left.lower() == right.lower()


def _with_port(host: str, port: int) -> str:
    """Return *host* in lower case with a port: its own one, else *port*."""
    host = host.lower()
    if host.startswith("["):
        return host if "]:" in host else f"{host}:{port}"
    if host.count(":") > 1:
        return f"[{host}]:{port}"
    return host if ":" in host else f"{host}:{port}"
