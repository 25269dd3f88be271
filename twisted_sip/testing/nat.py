"""NATs of the usual kinds (RFC 4787 section 4 and 5; the old names of RFC 3489 section 5 in brackets)."""

from __future__ import annotations

from twisted_sip.interfaces.flow import Address
from twisted_sip.testing.network import Network


class NAT:
    """A NAT with one public address.

    :param network: the network it joins.
    :param host: its public address.
    :param mapping: ``endpoint`` (one public port for each inside socket: cones) or ``address-and-port`` (one for each
        inside socket and destination: symmetric).
    :param filtering: ``endpoint`` (anybody may answer: full cone), ``address`` (restricted cone) or
        ``address-and-port``
        (port-restricted cone).
    :param lifetime: seconds after the last packet from inside that a datagram mapping lasts.
    """

    def __init__(
        self,
        network: Network,
        host: str,
        *,
        mapping: str = "endpoint",
        filtering: str = "address-and-port",
        lifetime: float = 120.0,
        name: str = "",
    ) -> None:
        if mapping not in ("endpoint", "address-and-port"):
            raise ValueError(f"{mapping!r} is no mapping: endpoint or address-and-port")
        if filtering not in ("endpoint", "address", "address-and-port"):
            raise ValueError(f"{filtering!r} is no filtering: endpoint, address or address-and-port")
        self.host = host
        self.name = name or f"nat {host}"
        self._mapping = mapping
        self._filtering = filtering
        self._lifetime = lifetime
        self._next_port = 40000
        self._ports: dict[object, int] = {}
        self._mappings: dict[int, _Mapping] = {}
        network.add_nat(self)

    @classmethod
    def full_cone(cls, network: Network, host: str) -> NAT:
        """A NAT that lets anybody in through an existing mapping."""
        return cls(network, host, filtering="endpoint")

    @classmethod
    def port_restricted(cls, network: Network, host: str) -> NAT:
        """A NAT that lets in only addresses and ports that were written to."""
        return cls(network, host)

    @classmethod
    def symmetric(cls, network: Network, host: str) -> NAT:
        """A NAT with another public port for each destination."""
        return cls(network, host, mapping="address-and-port")

    def outbound(self, source: Address, destination: Address, now: float) -> Address:
        """Return the public address of a packet from *source* inside, which opens or refreshes a mapping."""
        key = source if self._mapping == "endpoint" else (source, destination)
        port = self._ports.get(key)
        if port is not None and self._mappings[port].until <= now:
            del self._ports[key], self._mappings[port]
            port = None
        if port is None:
            port = self._next_port
            self._next_port += 1
            self._ports[key] = port
            self._mappings[port] = _Mapping(source)
        mapping = self._mappings[port]
        mapping.until = now + self._lifetime
        mapping.allowed.add(destination)
        return Address(self.host, port)

    def inbound(self, source: Address, destination: Address, now: float) -> Address | None:
        """Return where inside a packet for *destination* goes, None if it is dropped."""
        mapping = self._mappings.get(destination.port)
        if mapping is None or mapping.until <= now:
            return None
        if self._filtering == "address" and source.host not in {allowed.host for allowed in mapping.allowed}:
            return None
        if self._filtering == "address-and-port" and source not in mapping.allowed:
            return None
        return mapping.inside

    def reboot(self) -> None:
        """Forget every mapping, as a power cut does; new ones get other ports."""
        self._ports.clear()
        self._mappings.clear()
        self._next_port += 1000


class _Mapping:
    __slots__ = ("allowed", "inside", "until")

    def __init__(self, inside: Address) -> None:
        self.inside = inside
        self.until = 0.0
        self.allowed: set[Address] = set()
