"""STUN messages: header and attributes, from bytes and to bytes (RFC 8489 sections 5 and 14).

Sans-I/O. Integrity attributes are kept as they are (see integrity.py); a binding server on a SIP port asks for none
(RFC 5626 section 8).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError

#: The fixed value in octets 4 to 7 of every message (section 5).
MAGIC_COOKIE = 0x2112A442
#: XORed with the CRC-32 to make the FINGERPRINT (section 14.7).
_FINGERPRINT_XOR = 0x5354554E

#: The Binding method (section 18.2).
BINDING = 0x001

#: Message classes (section 5).
REQUEST, INDICATION, SUCCESS, ERROR = 0b00, 0b01, 0b10, 0b11

#: Attribute types (section 18.3).
MAPPED_ADDRESS = 0x0001
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
REALM = 0x0014
NONCE = 0x0015
MESSAGE_INTEGRITY_SHA256 = 0x001C
PASSWORD_ALGORITHM = 0x001D
USERHASH = 0x001E
XOR_MAPPED_ADDRESS = 0x0020
PASSWORD_ALGORITHMS = 0x8002
ALTERNATE_DOMAIN = 0x8003
SOFTWARE = 0x8022
ALTERNATE_SERVER = 0x8023
FINGERPRINT = 0x8028

#: No message has more attributes: most of them could only be listed as unknown.
MOST_ATTRIBUTES = 128

_COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")


@attrs.frozen(slots=True)
class STUNMessage:
    """One STUN message.

    :ivar method: the method, :data:`BINDING` for all that SIP uses.
    :ivar message_class: :data:`REQUEST`, :data:`INDICATION`, :data:`SUCCESS` or :data:`ERROR`.
    :ivar transaction_id: twelve octets.
    :ivar attributes: (type, value) pairs in order, without padding; the FINGERPRINT is not among them.
    """

    method: int
    message_class: int
    transaction_id: bytes
    attributes: tuple[tuple[int, bytes], ...] = ()

    def first(self, attribute: int) -> bytes | None:
        """Return the value of the first attribute of that type, None if there is none (section 14)."""
        for known, value in self.attributes:
            if known == attribute:
                return value
        return None

    @property
    def unknown_required(self) -> tuple[int, ...]:
        """Types of comprehension-required attributes that nobody here understands (section 14: 0x0000 to 0x7FFF)."""
        return self.unknown_beyond(frozenset())

    def unknown_beyond(self, understood: frozenset[int]) -> tuple[int, ...]:
        """Types of comprehension-required attributes that are neither of RFC 8489 nor among those *understood*."""
        found = {
            known: None
            for known, _ in self.attributes
            if known < 0x8000 and known not in _UNDERSTOOD and known not in understood
        }
        return tuple(found)

    def all(self, attribute: int) -> tuple[bytes, ...]:
        """Return the values of every attribute of that type, in order."""
        return tuple(value for known, value in self.attributes if known == attribute)

    @property
    def error(self) -> tuple[int, str] | None:
        """Code and reason phrase of an error response, None if it has no ERROR-CODE that can be read (section 14.8)."""
        value = self.first(ERROR_CODE)
        if value is None or len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
            return None
        return (value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace")

    def to_bytes(self, *, fingerprint: bool = False) -> bytes:
        """Return the message as it goes onto the wire.

        :param fingerprint: end it with a FINGERPRINT (section 14.7).
        :raises LocalProtocolError: the transaction ID is not twelve octets long, or an attribute is too long.
        """
        if len(self.transaction_id) != 12:
            raise LocalProtocolError("a STUN transaction ID has twelve octets")
        body = b"".join(_attribute(kind, value) for kind, value in self.attributes)
        size = len(body) + (8 if fingerprint else 0)
        if size > 0xFFFF:
            raise LocalProtocolError("the STUN attributes are too long")
        head = _HEADER.pack(_message_type(self.method, self.message_class), size, MAGIC_COOKIE, self.transaction_id)
        data = head + body
        if fingerprint:
            data += _attribute(FINGERPRINT, _crc(data))
        return data


#: Those of the comprehension-required range that a binding client or server knows; the credentials attributes
#: (USERNAME, MESSAGE-INTEGRITY, REALM, NONCE, MESSAGE-INTEGRITY-SHA256, PASSWORD-ALGORITHM, USERHASH) may be ignored
#: by a server that asks for none (section 9.1.3 speaks of those that do).
_CREDENTIALS = (
    USERNAME,
    MESSAGE_INTEGRITY,
    REALM,
    NONCE,
    MESSAGE_INTEGRITY_SHA256,
    PASSWORD_ALGORITHM,
    USERHASH,
)
_UNDERSTOOD = frozenset((MAPPED_ADDRESS, ERROR_CODE, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS, *_CREDENTIALS))


def looks_like_stun(data: bytes) -> bool:
    """Tell whether a SIP port's datagram is STUN: first octet 0 to 3 (RFC 7983) and the magic cookie (section 5)."""
    return len(data) >= 20 and data[0] < 4 and data[4:8] == _COOKIE


def parse_stun(data: bytes) -> STUNMessage:
    """Read one datagram.

    :raises RemoteProtocolError: it is no STUN message of RFC 5389 or later, or its FINGERPRINT is wrong.
    """
    if len(data) < 20 or data[0] >= 64 or data[4:8] != _COOKIE:
        raise RemoteProtocolError("not a STUN message")
    kind, size, _cookie, transaction_id = _HEADER.unpack_from(data)
    if size % 4 or 20 + size != len(data):
        raise RemoteProtocolError("STUN message length does not fit the datagram")
    attributes: list[tuple[int, bytes]] = []
    closed = 0
    place = 20
    while place < len(data):
        # The length is a multiple of four, so a header always fits.
        attribute, length = _ATTRIBUTE.unpack_from(data, place)
        value = data[place + 4 : place + 4 + length]
        if len(attributes) >= MOST_ATTRIBUTES:
            raise RemoteProtocolError(f"More than {MOST_ATTRIBUTES} STUN attributes")
        if len(value) != length:
            raise RemoteProtocolError("STUN attribute beyond the end of the message")
        if attribute == FINGERPRINT:
            # Section 14.7: the last attribute; what follows is ignored.
            if value != _crc(data[:2] + struct.pack("!H", place - 20 + 8) + data[4:place]):
                raise RemoteProtocolError("wrong STUN FINGERPRINT")
            break
        # Section 9: nothing after an integrity attribute counts, but for a stronger one and a FINGERPRINT.
        if not closed or (closed == MESSAGE_INTEGRITY and attribute == MESSAGE_INTEGRITY_SHA256):
            attributes.append((attribute, value))
        if attribute in (MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256):
            closed = max(closed, attribute)
        place += 4 + length + (-length % 4)
    method = (kind & 0x000F) | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    message_class = (kind >> 4 & 1) | (kind >> 7 & 2)
    return STUNMessage(method, message_class, transaction_id, tuple(attributes))


def has_fingerprint(data: bytes) -> bool:
    """Tell whether *data*, a message that :func:`parse_stun` accepts, ends with a FINGERPRINT."""
    return len(data) >= 28 and data[-8:-4] == b"\x80\x28\x00\x04"


def error_code(code: int, reason: str) -> bytes:
    """Return the value of an ERROR-CODE attribute (section 14.8)."""
    return bytes((0, 0, code // 100, code % 100)) + reason.encode("utf-8")


def unknown_attributes(kinds: Iterable[int]) -> bytes:
    """Return the value of an UNKNOWN-ATTRIBUTES attribute (section 14.9)."""
    return b"".join(struct.pack("!H", kind) for kind in kinds)


def _message_type(method: int, message_class: int) -> int:
    # Section 5, figure 3: the class bits stand between the method bits.
    spread = (method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2
    return spread | (message_class & 1) << 4 | (message_class & 2) << 7


def _attribute(kind: int, value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise LocalProtocolError("a STUN attribute is too long")
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def _crc(data: bytes) -> bytes:
    return struct.pack("!I", zlib.crc32(data) ^ _FINGERPRINT_XOR)
