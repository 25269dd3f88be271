"""What protects media: crypto suites and their keys (RFC 4568 section 6.2, RFC 5764 section 4.1.2, RFC 7714)."""

from __future__ import annotations

import base64
import binascii

import attrs

from twisted_sip.errors import LocalProtocolError

#: RFC 3711 section 9.2: packets of SRTP that one master key may ever protect.
MOST_PACKETS = 1 << 48

#: Packets under one master key of all sources together (RFC 4568 section 6.4.2, RFC 5764 section 4.1.2).
LIFETIME = 1 << 31


@attrs.frozen(slots=True)
class SRTPProfile:
    """One way to protect packets.

    :ivar suite: its name in session descriptions.
    :ivar dtls: its name in OpenSSL.
    :ivar library: its name in the SRTP library.
    :ivar key_length: octets of the master key.
    :ivar salt_length: octets of the master salt.
    :ivar rtp_tag: octets behind the place of the MKI in an SRTP packet.
    :ivar rtcp_tag: the same of an SRTCP packet.
    """

    suite: str
    dtls: str
    library: str
    key_length: int
    salt_length: int
    rtp_tag: int
    rtcp_tag: int

    @property
    def length(self) -> int:
        """Octets of master key and salt together."""
        return self.key_length + self.salt_length


# The tag of AEAD is part of the ciphertext, and the MKI stands behind it (RFC 7714).
_ALL = (
    SRTPProfile("AEAD_AES_256_GCM", "SRTP_AEAD_AES_256_GCM", "SRTP_PROFILE_AEAD_AES_256_GCM", 32, 12, 0, 0),
    SRTPProfile("AEAD_AES_128_GCM", "SRTP_AEAD_AES_128_GCM", "SRTP_PROFILE_AEAD_AES_128_GCM", 16, 12, 0, 0),
    SRTPProfile("AES_CM_128_HMAC_SHA1_80", "SRTP_AES128_CM_SHA1_80", "SRTP_PROFILE_AES128_CM_SHA1_80", 16, 14, 10, 10),
    SRTPProfile("AES_CM_128_HMAC_SHA1_32", "SRTP_AES128_CM_SHA1_32", "SRTP_PROFILE_AES128_CM_SHA1_32", 16, 14, 4, 10),
)

#: Profiles by suite, the best first.
PROFILES = {one.suite: one for one in _ALL}


def profiles_of(suites: tuple[str, ...]) -> tuple[SRTPProfile, ...]:
    """Return the profiles with these names.

    :raises LocalProtocolError: one is not known, or there is none.
    """
    unknown = [one for one in suites if one.upper() not in PROFILES]
    if unknown or not suites:
        raise LocalProtocolError(f"{unknown or 'none'} is no SRTP suite; there are {', '.join(PROFILES)}")
    return tuple(PROFILES[one.upper()] for one in suites)


@attrs.frozen(slots=True, repr=False)
class MasterKey:
    """What one side protects its packets with. Its repr does not tell the key.

    :ivar profile: how.
    :ivar key_salt: master key and master salt.
    :ivar mki: what each packet carries (RFC 3711 section 3.1), empty for nothing.
    :ivar lifetime: packets that it is good for, of SRTP and of SRTCP each.
    """

    profile: SRTPProfile
    key_salt: bytes
    mki: bytes = b""
    lifetime: int = LIFETIME

    @property
    def text(self) -> str:
        """Key and salt in base64, padded (RFC 4568 section 6.1)."""
        return base64.b64encode(self.key_salt).decode("ascii")

    def __repr__(self) -> str:
        return f"<MasterKey {self.profile.suite}>"


def decoded(profile: SRTPProfile, text: str) -> bytes | None:
    """Return key and salt out of base64, None where they do not fit *profile*."""
    try:
        # Padding is left out by some.
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == profile.length else None
