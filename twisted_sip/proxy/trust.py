"""The trust domain (RFC 3325 section 2.3): by networks, since an address is all that is known of the next hop."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import lru_cache


def trusts(networks: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells whether a numeric host is in one of *networks* (``192.0.2.0/24``, ``2001:db8::/32``)."""
    if not networks:
        return lambda host: False
    known = [ipaddress.ip_network(network, strict=False) for network in networks]

    def trusted(host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in known)

    return trusted


@lru_cache(maxsize=64)
def trust_in(networks: tuple[str, ...]) -> Callable[[str], bool]:
    """Return :func:`trusts` of *networks*, made once for each."""
    return trusts(networks)
