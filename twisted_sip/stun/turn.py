"""TURN on the wire: methods, attributes and ChannelData messages (RFC 8656 sections 12.4, 17 and 18). Sans-I/O."""

from __future__ import annotations

import struct

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.stun.message import STUNMessage

#: Methods (section 17).
ALLOCATE, REFRESH, SEND, DATA_INDICATION, CREATE_PERMISSION, CHANNEL_BIND = 0x003, 0x004, 0x006, 0x007, 0x008, 0x009

#: Attributes (section 18).
CHANNEL_NUMBER = 0x000C
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
DATA = 0x0013
XOR_RELAYED_ADDRESS = 0x0016
REQUESTED_ADDRESS_FAMILY = 0x0017
EVEN_PORT = 0x0018
REQUESTED_TRANSPORT = 0x0019
DONT_FRAGMENT = 0x001A
RESERVATION_TOKEN = 0x0022
ADDITIONAL_ADDRESS_FAMILY = 0x8000
ADDRESS_ERROR_CODE = 0x8001
ICMP = 0x8004

#: What a TURN client or server understands beyond RFC 8489 in the comprehension-required range.
TURN_ATTRIBUTES = frozenset(
    (
        CHANNEL_NUMBER,
        LIFETIME,
        XOR_PEER_ADDRESS,
        DATA,
        XOR_RELAYED_ADDRESS,
        REQUESTED_ADDRESS_FAMILY,
        EVEN_PORT,
        REQUESTED_TRANSPORT,
        DONT_FRAGMENT,
        RESERVATION_TOKEN,
    )
)

#: REQUESTED-TRANSPORT for UDP (section 18.8: 17).
UDP_TRANSPORT = bytes((17, 0, 0, 0))
#: REQUESTED-ADDRESS-FAMILY (section 18.6).
IPV4_FAMILY, IPV6_FAMILY = bytes((1, 0, 0, 0)), bytes((2, 0, 0, 0))

#: The channel numbers that may be used (section 12, table 2).
FIRST_CHANNEL, LAST_CHANNEL = 0x4000, 0x4FFF

#: Seconds (sections 3.2, 9 and 12).
DEFAULT_LIFETIME, PERMISSION_LIFETIME, CHANNEL_LIFETIME = 600, 300, 600

_CHANNEL = struct.Struct("!HH")


def channel_data(number: int, data: bytes, *, padded: bool = False) -> bytes:
    """Return a ChannelData message (section 12.4).

    :param padded: to a multiple of four octets, which streams demand and datagrams do without (section 12.5).
    :raises LocalProtocolError: no channel has that number, or *data* is too long.
    """
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL or len(data) > 0xFFFF:
        raise LocalProtocolError("bad channel number or too much data for a ChannelData message")
    padding = bytes(-len(data) % 4) if padded else b""
    return _CHANNEL.pack(number, len(data)) + data + padding


def is_channel_data(data: bytes) -> bool:
    """Tell whether a datagram is a ChannelData message by its first octet: 64 to 79 (section 12, table 3)."""
    return len(data) >= 4 and 64 <= data[0] <= 79


def parse_channel_data(data: bytes) -> tuple[int, bytes]:
    """Return channel number and application data of one datagram (section 12.6).

    :raises RemoteProtocolError: it is no ChannelData message, or shorter than it says.
    """
    if not is_channel_data(data):
        raise RemoteProtocolError("not a ChannelData message")
    number, length = _CHANNEL.unpack_from(data)
    if 4 + length > len(data):
        # Section 12.6: silently discarded by the receiver.
        raise RemoteProtocolError("ChannelData message shorter than its length")
    return number, data[4 : 4 + length]


def channel_number(number: int) -> bytes:
    """Return the value of a CHANNEL-NUMBER (section 18.1)."""
    return struct.pack("!HH", number, 0)


def parse_channel_number(value: bytes) -> int:
    """Return the channel of a CHANNEL-NUMBER.

    :raises RemoteProtocolError: it is malformed.
    """
    if len(value) != 4:
        raise RemoteProtocolError("malformed CHANNEL-NUMBER")
    return int.from_bytes(value[:2], "big")


def lifetime(seconds: int) -> bytes:
    """Return the value of a LIFETIME (section 18.2)."""
    return struct.pack("!I", seconds)


def parse_lifetime(message: STUNMessage) -> int | None:
    """Return the LIFETIME of *message* in seconds, None if it has none.

    :raises RemoteProtocolError: it is malformed.
    """
    value = message.first(LIFETIME)
    if value is None:
        return None
    if len(value) != 4:
        raise RemoteProtocolError("malformed LIFETIME")
    return int.from_bytes(value, "big")
