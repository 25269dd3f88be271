"""Binding requests as connectivity checks: ICE's attributes (RFC 8445 sections 7.1, 7.2.2 and 16.1)."""

from __future__ import annotations

import attrs

from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.integrity import sign
from twisted_sip.stun.message import (
    BINDING,
    INDICATION,
    MESSAGE_INTEGRITY,
    REQUEST,
    SUCCESS,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    STUNMessage,
)
from twisted_sip.stun.server import Signature, answer

PRIORITY, USE_CANDIDATE, ICE_CONTROLLED, ICE_CONTROLLING = 0x0024, 0x0025, 0x8029, 0x802A

#: What an ICE agent understands beyond RFC 8489 in the comprehension-required range.
ICE_ATTRIBUTES = frozenset((PRIORITY, USE_CANDIDATE))

ROLE_CONFLICT = 487


@attrs.frozen(slots=True)
class CheckTerms:
    """What a check says.

    :ivar username: the peer's ufrag, a colon and ours (section 7.2.2).
    :ivar key: made of the peer's password.
    :ivar priority: that of a peer-reflexive candidate in place of the local one (section 7.1.1).
    :ivar tiebreaker: eight octets.
    """

    username: str
    key: bytes = attrs.field(repr=False)
    priority: int
    controlling: bool
    tiebreaker: int
    use_candidate: bool = False


def check_request(transaction_id: bytes, terms: CheckTerms) -> bytes:
    """Return a connectivity check as octets; RFC 8445 knows MESSAGE-INTEGRITY alone."""
    role = ICE_CONTROLLING if terms.controlling else ICE_CONTROLLED
    attributes: tuple[tuple[int, bytes], ...] = (
        (USERNAME, terms.username.encode("utf-8")),
        (PRIORITY, terms.priority.to_bytes(4, "big")),
        (role, terms.tiebreaker.to_bytes(8, "big")),
    )
    if terms.use_candidate:
        attributes = (*attributes, (USE_CANDIDATE, b""))
    message = STUNMessage(BINDING, REQUEST, transaction_id, attributes)
    return sign(message, terms.key, (MESSAGE_INTEGRITY,), fingerprint=True)


def check_response(request: STUNMessage, host: str, port: int, signature: Signature) -> bytes:
    """Return the success response to a check that came from *host* and *port* (section 7.3)."""
    mapped = encode_xor_address(host, port, request.transaction_id)
    return answer(request, SUCCESS, ((XOR_MAPPED_ADDRESS, mapped),), signature)


def keepalive(transaction_id: bytes) -> bytes:
    """Return a Binding indication (section 11): no authentication, a FINGERPRINT and nothing else."""
    return STUNMessage(BINDING, INDICATION, transaction_id).to_bytes(fingerprint=True)


def number(request: STUNMessage, attribute: int, size: int) -> int | None:
    """Return an attribute of *size* octets as a number, None if it is missing or malformed."""
    value = request.first(attribute)
    return int.from_bytes(value, "big") if value is not None and len(value) == size else None
