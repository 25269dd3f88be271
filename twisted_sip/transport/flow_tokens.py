"""Flow tokens: short texts that name a flow (RFC 5626 section 5.2), fit for a URI user part.

A datagram flow's token holds both addresses and so survives a restart. A connection's token holds the boot and a
serial number: after either end it names nothing, and never another connection. Tokens are not secret and not signed;
who puts them where peers see them signs them.
"""

from __future__ import annotations

import base64
import binascii
import socket
import struct
from functools import lru_cache

from twisted_sip.interfaces.flow import Address


def datagram_token(local: Address, remote: Address) -> str:
    """Return the token of a datagram flow between two numeric addresses."""
    return "U" + base64.urlsafe_b64encode(_pack(local) + _pack(remote)).rstrip(b"=").decode("ascii")


def parse_datagram_token(token: str) -> tuple[Address, Address] | None:
    """Return the local and the remote address that *token* names, None if it is no token of a datagram flow."""
    return _addresses(token) if len(token) <= _LONGEST and token[:1] == "U" else None


#: Addresses of either family, with a scope of the greatest length, in base64.
_LONGEST = 800


@lru_cache(maxsize=4096)
def _addresses(token: str) -> tuple[Address, Address] | None:
    text = token[1:]
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        local, rest = _unpack(data)
        remote, rest = _unpack(rest)
    except (binascii.Error, ValueError, struct.error, OSError):
        return None
    return None if rest else (local, remote)


def stream_token(boot: str, serial: int) -> str:
    """Return the token of the connection number *serial* of this *boot*."""
    return f"S{boot}.{serial}"


def _pack(address: Address) -> bytes:
    host, _, scope = address.host.partition("%")
    port = struct.pack("!H", address.port)
    if ":" not in host:
        return b"\x04" + socket.inet_pton(socket.AF_INET, host) + port
    packed = socket.inet_pton(socket.AF_INET6, host) + port
    if not scope:
        return b"\x06" + packed
    name = scope.encode("utf-8")[:255]
    return b"\x07" + packed + bytes((len(name),)) + name


def _unpack(data: bytes) -> tuple[Address, bytes]:
    form = data[:1]
    family, size = (socket.AF_INET, 4) if form == b"\x04" else (socket.AF_INET6, 16)
    if form not in (b"\x04", b"\x06", b"\x07"):
        raise ValueError("unknown address form")
    end = 1 + size + 2
    host = socket.inet_ntop(family, data[1 : 1 + size])
    (port,) = struct.unpack("!H", data[1 + size : end])
    if form == b"\x07":
        length = data[end] if len(data) > end else 0
        scope = data[end + 1 : end + 1 + length]
        end += 1 + length
        if len(data) < end:
            raise ValueError("cut off")
        host = f"{host}%{scope.decode('utf-8')}"
    return Address(host, port), data[end:]
