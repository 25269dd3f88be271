"""In which order to try the addresses of one host: RFC 6724 section 6 over the A and AAAA records (RFC 7984 section 4).

Addresses of a family that this host has no way to are left out (RFC 7984 section 3.1).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The source address that the system would use towards a numeric host, None if it has no way there.
SourceOf = Callable[[str], str | None]

#: RFC 6724 section 2.1: prefix, precedence, label.
_POLICY = tuple(
    (ipaddress.IPv6Network(prefix), precedence, label)
    for prefix, precedence, label in (
        ("::1/128", 50, 0),
        ("::ffff:0:0/96", 35, 4),
        ("::/96", 1, 3),
        ("2001::/32", 5, 5),
        ("2002::/16", 30, 2),
        ("3ffe::/16", 1, 12),
        ("fec0::/10", 1, 11),
        ("fc00::/7", 3, 13),
        ("::/0", 40, 1),
    )
)

_LINK_LOCAL = 2
_SITE_LOCAL = 5
_GLOBAL = 14


def system_source_of(host: str) -> str | None:
    """Ask the kernel which source address it would use towards *host*; nothing is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def order_addresses(hosts: Iterable[str], source_of: SourceOf = system_source_of) -> tuple[str, ...]:
    """Return numeric *hosts* in the order in which to try them; those that cannot be reached are dropped.

    If none can be reached, all are kept as they came: then sending says what is wrong.
    """
    given = tuple(dict.fromkeys(hosts))
    if len(given) < 2:
        return given
    usable = [(host, source) for host in given if (source := source_of(host)) is not None]
    if not usable:
        return given
    ranked = sorted(usable, key=lambda pair: _rank(ipaddress.ip_address(pair[0]), _parse(pair[1])))
    return tuple(host for host, _ in ranked)


def _parse(source: str) -> IPAddress:
    return ipaddress.ip_address(source.partition("%")[0])


def _rank(destination: IPAddress, source: IPAddress) -> tuple[int, ...]:
    """Rules 2, 5, 6, 8 and 9 of RFC 6724 section 6 as a sort key; the sort is stable, which is rule 10.

    Rules 3, 4 and 7 (deprecated and home addresses, tunnels) ask for what the socket interface does not tell.
    """
    precedence, label = _policy(destination)
    scope = _scope(destination)
    return (
        scope != _scope(source),  # Rule 2: prefer matching scope.
        label != _policy(source)[1],  # Rule 5: prefer matching label.
        -precedence,  # Rule 6: prefer higher precedence.
        scope,  # Rule 8: prefer smaller scope.
        -_common_prefix(destination, source),  # Rule 9: longest matching prefix.
    )


def _as_ipv6(address: IPAddress) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)


def _policy(address: IPAddress) -> tuple[int, int]:
    wide = _as_ipv6(address)
    best = max((entry for entry in _POLICY if wide in entry[0]), key=lambda entry: entry[0].prefixlen)
    return best[1], best[2]


def _scope(address: IPAddress) -> int:
    """Return the scope (RFC 6724 sections 3.1 and 3.2); IPv4 private addresses have global scope."""
    if address.is_link_local or address.is_loopback:
        return _LINK_LOCAL
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_multicast:
            return address.packed[1] & 0x0F
        if address.is_site_local:
            return _SITE_LOCAL
    return _GLOBAL


def _common_prefix(destination: IPAddress, source: IPAddress) -> int:
    """Return the bits that both share, 64 at most; nothing for IPv4, where it would undo the DNS's round robin."""
    if isinstance(destination, ipaddress.IPv4Address) or isinstance(source, ipaddress.IPv4Address):
        return 0
    return min(128 - (int(destination) ^ int(source)).bit_length(), 64)
