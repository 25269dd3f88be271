"""Whether a peer is reached at its Contact as written, or by the flow it came over alone (RFC 5626 section 7).

A phone behind a NAT, on a stream, or with a host name that nobody else knows writes a Contact that leads nowhere. A
Contact at another public address, or at a name, is somebody else's on purpose (RFC 3261 section 10.2: third-party
registration, forwarding) and is left alone.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from twisted_sip.message.hosts import canonical_host, ipv4_bytes
from twisted_sip.message.uri import SIPURI


def reachable(uri: SIPURI, transport: str, address: str) -> bool:
    """Tell whether *uri*, the Contact of a peer, leads to that peer, or to whom it means.

    :param transport: the Via token of the transport that the peer used.
    :param address: numeric host and port that it sent from, as Address is written.
    """
    if transport != "UDP":
        return False
    if f"{uri.host}:{uri.port or 5060}" == address:
        return True
    return _leads_away(uri.host, address.rpartition(":")[0])


@lru_cache(maxsize=4096)
def _leads_away(host: str, source: str) -> bool:
    host = canonical_host(host)
    if host[0] != "[" and ipv4_bytes(host) is None:
        # RFC 7118 and RFC 5626 use .invalid; a name without a dot is known to its own network at best.
        return "." in host and host != "invalid" and not host.endswith(".invalid")
    there = ipaddress.ip_address(host.strip("[]"))
    if host == canonical_host(source):
        # The same host with another port: a NAT that the phone knows half of. There is none on the loopback interface,
        # where some register from one port for another.
        return there.is_loopback
    return there.is_global
