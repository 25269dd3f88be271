"""From a password to what is kept of it: an HA1 for each digest algorithm (RFC 7616 section 3.4.2, RFC 8760)."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.credentials import ALGORITHMS, Credential


def ha1_of(algorithm: str, user: str, realm: str, password: str) -> str:
    """Return ``H(user:realm:password)`` in lower-case hexadecimal.

    :param algorithm: one of :data:`~twisted_sip.interfaces.credentials.ALGORITHMS`.
    :raises LocalProtocolError: the algorithm is none of them.
    """
    text = f"{user}:{realm}:{password}".encode("utf-8", "surrogateescape")
    if algorithm == "MD5":
        return hashlib.md5(text, usedforsecurity=False).hexdigest()
    if algorithm == "SHA-256":
        return hashlib.sha256(text).hexdigest()
    if algorithm == "SHA-512-256":
        # Not a truncated SHA-512: it has initial values of its own (RFC 7616 section 3.2, FIPS 180-4).
        digest = hashes.Hash(hashes.SHA512_256())
        digest.update(text)
        return digest.finalize().hex()
    raise LocalProtocolError(f"{algorithm!r} is no digest algorithm; known are {', '.join(ALGORITHMS)}")


def make_credential(user: str, realm: str, password: str, algorithm: str = "") -> Credential:
    """Return the credential of *user* in *realm* for *password*, with HA1s for all algorithms.

    :param algorithm: what to challenge this user with, empty for the server's default.
    :raises LocalProtocolError: an empty user, realm or password, a colon or control character in the user, a control
        character elsewhere, an unknown algorithm.
    """
    for name, value in (("user", user), ("realm", realm), ("password", password)):
        if not value:
            raise LocalProtocolError(f"the {name} is empty")
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise LocalProtocolError(f"the {name} holds a control character")
    if ":" in user:
        raise LocalProtocolError(f"the user {user!r} holds a colon, which no digest can carry (RFC 7616 section 3.4.2)")
    if algorithm and algorithm not in ALGORITHMS:
        raise LocalProtocolError(f"{algorithm!r} is no digest algorithm; known are {', '.join(ALGORITHMS)}")
    return Credential(
        user=user, realm=realm, ha1={name: ha1_of(name, user, realm, password) for name in ALGORITHMS},
        algorithm=algorithm,
    )  # fmt: skip
