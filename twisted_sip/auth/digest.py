"""The arithmetic of Digest: HA1, HA2 and the response (RFC 7616 section 3.4, RFC 8760, RFC 3261 section 22.4).

Texts are hashed as the bytes in which they came (UTF-8 with surrogate escapes). Nothing here compares or decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

from cryptography.hazmat.primitives import hashes

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.credentials import ALGORITHMS
from twisted_sip.message.limits import SHORT


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    # hashlib knows it only where its OpenSSL was built with it.
    digest = hashes.Hash(hashes.SHA512_256())
    digest.update(data)
    return digest.finalize().hex()


#: Algorithm name in upper case, without -SESS -> H (RFC 7616 section 3.3), which gives lower-case hexadecimal.
HASHES: dict[str, Callable[[bytes], str]] = {"MD5": _md5, "SHA-256": _sha256, "SHA-512-256": _sha512_256}


def base_algorithm(name: str) -> str:
    """Return *name* in the spelling of ALGORITHMS without ``-sess``, empty if it is unknown."""
    upper = name.upper()
    if upper.endswith("-SESS"):
        upper = upper[:-5]
    return upper if upper in HASHES else ""


def is_session(name: str) -> bool:
    """Tell whether *name* is the session variant of an algorithm (RFC 7616 section 3.4.2)."""
    return name.upper().endswith("-SESS")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def ha1(user: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """Return H(A1) of the plain variant of *algorithm*, in lower-case hexadecimal: what a credential store keeps.

    :raises LocalProtocolError: the algorithm is unknown.
    """
    found = HASHES.get(base_algorithm(algorithm))
    if found is None:
        raise LocalProtocolError(f"{algorithm!r} is no digest algorithm: {', '.join(ALGORITHMS)}")
    return found(_bytes(f"{user}:{realm}:{password}"))


def ha1s(user: str, realm: str, password: str) -> dict[str, str]:
    """Return H(A1) for every algorithm, strongest first."""
    return {algorithm: ha1(user, realm, password, algorithm) for algorithm in ALGORITHMS}


def hashed_username(user: str, realm: str, algorithm: str) -> str:
    """Return the user name as a client sends it with ``userhash=true`` (RFC 7616 section 3.4.4)."""
    return HASHES[base_algorithm(algorithm)](_bytes(f"{user}:{realm}"))


def _md5_ha2(method: str, uri: str) -> str:
    return _md5(f"{method}:{uri}".encode("utf-8", "surrogateescape"))


#: The phones of one domain register with one method and one URI, and call again whom they have called.
_kept_ha2 = lru_cache(maxsize=1024)(_md5_ha2)


def digest_response(
    ha1: str,
    method: str,
    uri: str,
    nonce: str,
    *,
    algorithm: str = "MD5",
    qop: str = "",
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """Return the ``response`` (RFC 7616 section 3.4.1), in lower-case hexadecimal.

    :param ha1: H(A1) of the plain variant; that of a session is made here.
    :param uri: the digest-uri as it stands in the credentials.
    :param algorithm: any of ALGORITHMS, also with ``-sess``, in any case.
    :param qop: ``auth``, ``auth-int``, or empty for a peer of RFC 2069.
    :param nc: the nonce count as written.
    :param body: what ``auth-int`` protects.
    :raises KeyError: the algorithm is unknown.
    """
    if algorithm == "MD5" and qop == "auth":
        # What nearly every phone sends: the same as below, without its questions.
        ha2 = _kept_ha2(method, uri) if len(uri) <= SHORT and len(method) <= SHORT else _md5_ha2(method, uri)
        return _md5(f"{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}".encode("utf-8", "surrogateescape"))
    upper = algorithm.upper()
    if upper.endswith("-SESS"):
        hashed = HASHES[upper[:-5]]
        ha1 = hashed(_bytes(f"{ha1}:{nonce}:{cnonce}"))
    else:
        hashed = HASHES[upper]
    if qop == "auth-int":
        # Section 3.4.3; an empty body is hashed like any other (RFC 8760 section 2.6 item 7).
        ha2 = hashed(_bytes(f"{method}:{uri}:{hashed(body)}"))
    else:
        ha2 = hashed(_bytes(f"{method}:{uri}"))
    if qop:
        return hashed(_bytes(f"{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}"))
    # RFC 2069 section 2.1.2, RFC 2617 section 3.2.2.1.
    return hashed(_bytes(f"{ha1}:{nonce}:{ha2}"))
