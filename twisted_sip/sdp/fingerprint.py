"""Certificates of DTLS, and who opens: ``a=fingerprint`` (RFC 8122), ``a=setup`` (RFC 4145, RFC 5763 section 5)."""

from __future__ import annotations

import enum
import re

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.lines import check_token, is_token

_HEX = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*+").fullmatch

#: Hash functions that nobody may rely on (RFC 8122 section 5).
WEAK_HASHES = frozenset({"md2", "md5"})


@attrs.frozen(slots=True)
class Fingerprint:
    """The hash of a certificate (RFC 8122 section 5).

    :ivar hash_function: ``sha-256`` and the like, in lower case.
    :ivar value: bytes in upper-case hex with colons between.
    """

    hash_function: str
    value: str

    def __attrs_post_init__(self) -> None:
        check_token(self.hash_function, "hash function")
        if _HEX(self.value) is None:
            raise LocalProtocolError(f"{self.value[:40]!r} is no fingerprint")

    @classmethod
    def of(cls, hash_function: str, digest: bytes) -> Fingerprint:
        """Return the fingerprint for the *digest* of a certificate."""
        return cls(hash_function.lower(), digest.hex(":").upper())

    @classmethod
    def parse(cls, value: str) -> Fingerprint:
        """Return the value of a fingerprint attribute.

        :raises RemoteProtocolError: it is malformed.
        """
        words = value.split()
        if len(words) != 2 or not is_token(words[0]) or _HEX(words[1]) is None:
            raise RemoteProtocolError(f"Malformed fingerprint {printable(value)}", status=488)
        return cls(words[0].lower(), words[1].upper())

    @property
    def digest(self) -> bytes:
        """The hash itself."""
        return bytes.fromhex(self.value.replace(":", ""))

    @property
    def attribute(self) -> Attribute:
        """The attribute that says so."""
        return Attribute("fingerprint", str(self))

    def __str__(self) -> str:
        return f"{self.hash_function} {self.value}"


class Setup(enum.Enum):
    """Who opens the connection, or the DTLS association (RFC 4145 section 4, RFC 5763 section 5)."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"
    HOLDCONN = "holdconn"

    @property
    def answers(self) -> tuple[Setup, ...]:
        """What may answer it, the best first (RFC 4145 section 4.1; RFC 5763 section 5 prefers active)."""
        return _ANSWERS[self]

    def __str__(self) -> str:
        return self.value


_ANSWERS = {
    Setup.ACTPASS: (Setup.ACTIVE, Setup.PASSIVE, Setup.HOLDCONN),
    Setup.ACTIVE: (Setup.PASSIVE, Setup.HOLDCONN),
    Setup.PASSIVE: (Setup.ACTIVE, Setup.HOLDCONN),
    Setup.HOLDCONN: (Setup.HOLDCONN,),
}
