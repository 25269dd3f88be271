"""HEPv3, the protocol by which captured messages go to Homer and other capture servers (EEP/HEP version 3).

A packet is ``HEP3``, its length, and chunks: vendor, type, length with the six octets of the head, value. All numbers
are in network byte order.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

from twisted_sip.interfaces.flow import Address

_FAMILY, _PROTOCOL = 0x0001, 0x0002
_SOURCE_4, _DESTINATION_4, _SOURCE_6, _DESTINATION_6 = 0x0003, 0x0004, 0x0005, 0x0006
_SOURCE_PORT, _DESTINATION_PORT = 0x0007, 0x0008
_SECONDS, _MICROSECONDS = 0x0009, 0x000A
_PROTOCOL_TYPE, _AGENT, _KEY, _PAYLOAD, _CORRELATION = 0x000B, 0x000C, 0x000E, 0x000F, 0x0011

#: The protocol type of SIP.
_SIP = 1
_IPPROTO_TCP, _IPPROTO_UDP = 6, 17
_AF_INET, _AF_INET6 = 2, 10

#: The most octets of a packet: it goes as one datagram.
MAX_PACKET = 65000


def packet(
    data: bytes,
    source: Address,
    destination: Address,
    time: float,
    *,
    stream: bool,
    agent: int = 0,
    key: str = "",
    correlation: str = "",
) -> bytes:
    """Return the packet that carries the message *data*; what is too long for a datagram is cut.

    :param source: where it came from, numeric; and *destination*, where it went.
    :param time: when, in seconds since the epoch.
    :param stream: it went over TCP or TLS, else UDP.
    :param agent: the number of this capture agent.
    :param key: what the capture server knows us by.
    :param correlation: the Call-ID.
    :raises ValueError: an address is not numeric.
    """
    chunks = b"".join(_chunks(source, destination, time, stream, agent, key, correlation))
    room = MAX_PACKET - len(chunks) - 12
    chunks += _chunk(_PAYLOAD, data[: max(room, 0)])
    return b"HEP3" + struct.pack("!H", len(chunks) + 6) + chunks


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, len(value) + 6) + value


def _chunks(
    source: Address, destination: Address, time: float, stream: bool, agent: int, key: str, correlation: str
) -> Iterator[bytes]:
    here, there = ipaddress.ip_address(source.host.strip("[]")), ipaddress.ip_address(destination.host.strip("[]"))
    six = here.version == 6
    yield _chunk(_FAMILY, bytes([_AF_INET6 if six else _AF_INET]))
    yield _chunk(_PROTOCOL, bytes([_IPPROTO_TCP if stream else _IPPROTO_UDP]))
    yield _chunk(_SOURCE_6 if six else _SOURCE_4, here.packed)
    yield _chunk(_DESTINATION_6 if six else _DESTINATION_4, there.packed)
    yield _chunk(_SOURCE_PORT, struct.pack("!H", source.port))
    yield _chunk(_DESTINATION_PORT, struct.pack("!H", destination.port))
    microseconds = round(time * 1e6)
    yield _chunk(_SECONDS, struct.pack("!I", microseconds // 1_000_000 & 0xFFFFFFFF))
    yield _chunk(_MICROSECONDS, struct.pack("!I", microseconds % 1_000_000))
    yield _chunk(_PROTOCOL_TYPE, bytes([_SIP]))
    yield _chunk(_AGENT, struct.pack("!I", agent))
    if key:
        yield _chunk(_KEY, key.encode("utf-8", "surrogateescape"))
    if correlation:
        yield _chunk(_CORRELATION, correlation.encode("utf-8", "surrogateescape")[:1024])
