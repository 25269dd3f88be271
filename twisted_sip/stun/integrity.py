"""Keys and message integrity: HMACs over STUN messages (RFC 8489 sections 9.1.1, 9.2.2, 14.4 to 14.6 and 18.5.1).

Every comparison takes the same time whatever differs.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import unicodedata

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.stun.message import MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, STUNMessage

#: Password algorithms (section 18.5).
MD5, SHA256 = 0x0001, 0x0002

_ATTRIBUTE = struct.Struct("!HH")
_DIGESTS = {MESSAGE_INTEGRITY: "sha1", MESSAGE_INTEGRITY_SHA256: "sha256"}


def opaque_string(text: str) -> str:
    """Return *text* as the OpaqueString profile has it: spaces mapped, normal form C (section 9.1.1).

    :raises LocalProtocolError: it is empty or holds control characters.
    """
    mapped = "".join(" " if unicodedata.category(each) == "Zs" else each for each in text)
    made = unicodedata.normalize("NFC", mapped)
    if not made or any(unicodedata.category(each) in ("Cc", "Cs") for each in made):
        raise LocalProtocolError("a user name, realm or password is empty or holds control characters")
    return made


def short_term_key(password: str) -> bytes:
    """Return the HMAC key of a short-term credential (section 9.1.1).

    :raises LocalProtocolError: see :func:`opaque_string`.
    """
    return opaque_string(password).encode("utf-8")


def long_term_key(username: str, realm: str, password: str, algorithm: int = MD5) -> bytes:
    """Return the HMAC key of a long-term credential (sections 9.2.2 and 18.5.1).

    :param algorithm: :data:`MD5` or :data:`SHA256`.
    :raises LocalProtocolError: another algorithm, or see :func:`opaque_string`.
    """
    digest = {MD5: hashlib.md5, SHA256: hashlib.sha256}.get(algorithm)
    if digest is None:
        raise LocalProtocolError(f"password algorithm {algorithm} is not known")
    realm = opaque_string(realm.strip('"').rstrip("\0"))
    text = f"{opaque_string(username)}:{realm}:{opaque_string(password)}"
    return digest(text.encode("utf-8")).digest()


def userhash(username: str, realm: str) -> bytes:
    """Return the value of a USERHASH (section 14.4)."""
    return hashlib.sha256(f"{opaque_string(username)}:{opaque_string(realm)}".encode()).digest()


def sign(message: STUNMessage, key: bytes, kinds: tuple[int, ...], *, fingerprint: bool = False) -> bytes:
    """Return *message* as bytes with integrity attributes at its end (sections 14.5 and 14.6).

    :param kinds: of :data:`MESSAGE_INTEGRITY` and :data:`MESSAGE_INTEGRITY_SHA256`, in this order if both.
    :raises LocalProtocolError: as :meth:`STUNMessage.to_bytes`.
    """
    for kind in kinds:
        data = message.to_bytes()
        size = hashlib.new(_DIGESTS[kind]).digest_size
        value = _digest(data, len(data), size, key, kind)
        message = attrs.evolve(message, attributes=(*message.attributes, (kind, value)))
    return message.to_bytes(fingerprint=fingerprint)


def verified(data: bytes, key: bytes, kind: int) -> bool:
    """Tell whether the integrity attribute *kind* of *data*, which parse_stun accepts, is there and right."""
    place = 20
    while place + 4 <= len(data):
        attribute, length = _ATTRIBUTE.unpack_from(data, place)
        if attribute == kind:
            value = data[place + 4 : place + 4 + length]
            # Section 14.6: only a usage that says so may truncate; none here does.
            return hmac.compare_digest(value, _digest(data, place, length, key, kind))
        place += 4 + length + (-length % 4)
    return False


def integrity_kind(message: STUNMessage) -> int | None:
    """Return the integrity attribute of *message* that counts, the stronger one if there are both (section 9.1.3)."""
    for kind in (MESSAGE_INTEGRITY_SHA256, MESSAGE_INTEGRITY):
        if message.first(kind) is not None:
            return kind
    return None


def _digest(data: bytes, end: int, size: int, key: bytes, kind: int) -> bytes:
    # The length in the header counts to the end of the integrity attribute.
    head = data[:2] + struct.pack("!H", (end - 20 + 4 + size) & 0xFFFF)
    return hmac.new(key, head + data[4:end], _DIGESTS[kind]).digest()
