"""Host names and addresses: how they are read, and what makes two of them the same.

RFC 3261 section 25.1 (``host``, ``hostport``) with the IPv6 rules of RFC 5954; lenient as RFC 5118 asks.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.escapes import escape_reason

#: A host name (its top label is not a number, RFC 5954 section 4.1; underscores are in use, so they are read) or an
#: IPv4 address or something that looks like an IPv6 reference, as a pattern without groups; possessive throughout.
HOST = (
    r"(?:(?=[0-9.\-]*+[A-Za-z_])[A-Za-z0-9_][A-Za-z0-9_\-]*+(?:\.[A-Za-z0-9_][A-Za-z0-9_\-]*+)*+\.?"
    r"|(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})(?:\.(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})){3}"
    r"|\[[0-9A-Fa-f:.]{2,60}\])"
)
_HOST = re.compile(HOST).fullmatch
_HOST_PORT = re.compile(rf"({HOST})(?:[ \t]*+:[ \t]*+([0-9]{{1,19}}+))?[ \t]*+").fullmatch
_IPV4 = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})").fullmatch
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,60}").fullmatch


def printable(text: str) -> str:
    """Return the beginning of a peer's *text*, quoted and escaped such that it can stand in a Reason-Phrase."""
    return f"'{escape_reason(text[:40])}'"


def ipv6_bytes(text: str) -> bytes | None:
    """Return the 16 bytes of the IPv6 address *text* (brackets or none), None if it is no address.

    The surplus colon of RFC 3261's grammar (``[2001:db8:::192.0.2.1]``) is read over (RFC 5118 section 4.10), as are
    leading zeros in an embedded IPv4 address (RFC 5954 section 3.2).
    """
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return _packed(text) if _IPV6(text) is not None else None


@lru_cache(maxsize=1024)
def _packed(text: str) -> bytes | None:
    if "." in text:
        head, _, last = text.rpartition(":")
        mapped = ipv4_bytes(last)
        if mapped is None:
            return None
        if head.endswith("::"):
            head = head[:-1]
        text = f"{head}:{mapped[0]:x}{mapped[1]:02x}:{mapped[2]:x}{mapped[3]:02x}"
    try:
        return IPv6Address(text).packed
    except ValueError:
        return None


def ipv4_bytes(text: str) -> bytes | None:
    """Return the 4 bytes of the IPv4 address *text*, None if it is none; leading zeros are decimal (RFC 5954)."""
    found = _IPV4(text)
    if found is None:
        return None
    numbers = [int(group) for group in found.groups()]
    return bytes(numbers) if max(numbers) < 256 else None


def is_host(text: str) -> bool:
    """Tell whether *text* is a host name, an IPv4 address or an IPv6 reference (in brackets)."""
    return _HOST(text) is not None and (text[0] != "[" or ipv6_bytes(text) is not None)


def canonical_host(text: str) -> str:
    """Return *text* such that hosts that are the same have the same text (RFC 3261 section 19.1.4, RFC 5954).

    Names in lower case without a final dot, addresses in their usual shortest spelling (RFC 5952), IPv6 in brackets.
    """
    if ":" in text:
        packed = ipv6_bytes(text)
        return f"[{IPv6Address(packed).compressed}]" if packed is not None else text.lower()
    packed = ipv4_bytes(text)
    if packed is not None:
        return ".".join(map(str, packed))
    text = text.lower()
    return text[:-1] if text.endswith(".") else text


def check_port(digits: str) -> int:
    """Return the port number that *digits* say.

    :raises RemoteProtocolError: it is above 65535.
    """
    port = int(digits)
    if port > 65535:
        raise RemoteProtocolError(f"Malformed port {printable(digits)}")
    return port


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Return host (an IPv6 reference keeps its brackets) and port (None where it is left out) of ``host[:port]``.

    White space around the parts is allowed, as in a Via (``COLON``, RFC 3261 section 25.1).

    :raises RemoteProtocolError: the host or the port is malformed.
    """
    found = _HOST_PORT(text.strip(" \t"))
    if found is None:
        raise RemoteProtocolError(f"Malformed host or port {printable(text)}")
    host: str
    host, port = found.groups()
    if host[0] == "[" and ipv6_bytes(host) is None:
        raise RemoteProtocolError(f"Malformed IPv6 reference {printable(host)}")
    return host, None if port is None else check_port(port)


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    if address.is_loopback or address.is_link_local:
        return host
    # A subscriber has a /64 at least (RFC 6177): its addresses are one source.
    return str(IPv6Network((int(address) >> 64 << 64, 64)))


def source_of(host: str) -> str:
    """Return what counts as one source: *host* itself, or the /64 network of a global IPv6 address."""
    return _network(host) if ":" in host and "/" not in host else host
