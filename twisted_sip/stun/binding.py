"""The Binding method on a SIP port: asking for, and telling, the address a datagram came from.

RFC 8489 sections 6, 14.1 and 14.2, as RFC 5626 sections 3.5.2 and 8 use them for keep-alive. Sans-I/O.
"""

from __future__ import annotations

import socket
import struct

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.stun.message import (
    BINDING,
    ERROR,
    ERROR_CODE,
    MAGIC_COOKIE,
    MAPPED_ADDRESS,
    REQUEST,
    SUCCESS,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    STUNMessage,
    error_code,
    has_fingerprint,
    parse_stun,
    unknown_attributes,
)

_COOKIE = struct.pack("!I", MAGIC_COOKIE)


def binding_request(transaction_id: bytes) -> bytes:
    """Return a Binding request as bytes (RFC 8489 section 6.1).

    :param transaction_id: twelve octets from a cryptographically strong source.
    :raises LocalProtocolError: it has another length.
    """
    return STUNMessage(BINDING, REQUEST, transaction_id).to_bytes()


def binding_answer(data: bytes, host: str, port: int) -> bytes | None:
    """Return the answer to the datagram *data* that came from *host* and *port*, None if none is due.

    None is due to indications, responses, other methods and anything that is not STUN (RFC 8489 section 6.3).
    """
    try:
        request = parse_stun(data)
    except RemoteProtocolError:
        return None
    if request.method != BINDING or request.message_class != REQUEST:
        return None
    unknown = request.unknown_required
    if unknown:
        # Section 6.3.1: 420 with the list.
        answer = STUNMessage(
            BINDING,
            ERROR,
            request.transaction_id,
            (
                (ERROR_CODE, error_code(420, "Unknown Attribute")),
                (UNKNOWN_ATTRIBUTES, unknown_attributes(unknown)),
            ),
        )
    else:
        mapped = encode_xor_address(host, port, request.transaction_id)
        answer = STUNMessage(BINDING, SUCCESS, request.transaction_id, ((XOR_MAPPED_ADDRESS, mapped),))
    return answer.to_bytes(fingerprint=has_fingerprint(data))


def mapped_address(response: STUNMessage) -> tuple[str, int] | None:
    """Return the address that a Binding success *response* tells, None if it tells none.

    :raises RemoteProtocolError: it is malformed.
    """
    value = response.first(XOR_MAPPED_ADDRESS)
    if value is not None:
        return decode_xor_address(value, response.transaction_id)
    value = response.first(MAPPED_ADDRESS)
    return None if value is None else decode_address(value)


def encode_address(host: str, port: int) -> bytes:
    """Return the value of a MAPPED-ADDRESS or ALTERNATE-SERVER for a numeric *host* (RFC 8489 sections 14.1, 14.15).

    :raises LocalProtocolError: *host* is not numeric.
    """
    return _encode(host, port, bytes(16))


def decode_address(value: bytes) -> tuple[str, int]:
    """Return host and port of a MAPPED-ADDRESS or ALTERNATE-SERVER (RFC 8489 sections 14.1 and 14.15).

    :raises RemoteProtocolError: it is malformed.
    """
    return _decode(value, bytes(16))


def encode_xor_address(host: str, port: int, transaction_id: bytes) -> bytes:
    """Return the value of an XOR-MAPPED-ADDRESS for a numeric *host* (RFC 8489 section 14.2).

    :raises LocalProtocolError: *host* is not numeric.
    """
    return _encode(host, port, _COOKIE + transaction_id)


def decode_xor_address(value: bytes, transaction_id: bytes) -> tuple[str, int]:
    """Return host and port of an XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).

    :raises RemoteProtocolError: it is malformed.
    """
    return _decode(value, _COOKIE + transaction_id)


def _encode(host: str, port: int, key: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        packed = socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        raise LocalProtocolError(f"{host!r} is no numeric address") from None
    head = bytes((0, 2 if family == socket.AF_INET6 else 1))
    return head + _xor(struct.pack("!H", port), key) + _xor(packed, key)


def _decode(value: bytes, key: bytes) -> tuple[str, int]:
    sizes = {1: (socket.AF_INET, 8), 2: (socket.AF_INET6, 20)}
    family, size = sizes.get(value[1] if len(value) > 1 else 0, (None, 0))
    if family is None or len(value) != size:
        raise RemoteProtocolError("malformed STUN address attribute")
    port = struct.unpack("!H", _xor(value[2:4], key))[0]
    return socket.inet_ntop(family, _xor(value[4:], key)), port


def _xor(data: bytes, key: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(data, key, strict=False))
