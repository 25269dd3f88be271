"""The server side of STUN credentials: checking requests, signing answers (RFC 8489 sections 6.3, 9.1.3 and 9.2.4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping

import attrs

from twisted_sip.stun.credentials import (
    PASSWORD_ALGORITHMS_BIT,
    USERNAME_ANONYMITY_BIT,
    algorithm_list,
    cookie_nonce,
    nonce_features,
    password_algorithms,
)
from twisted_sip.stun.integrity import MD5, SHA256, integrity_kind, long_term_key, sign, userhash, verified
from twisted_sip.stun.message import (
    ERROR,
    ERROR_CODE,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    REALM,
    UNKNOWN_ATTRIBUTES,
    USERHASH,
    USERNAME,
    STUNMessage,
    error_code,
    unknown_attributes,
)

#: Suggested reason phrases (section 14.8, RFC 8445 section 16.2, RFC 8656 section 19).
REASONS = {
    300: "Try Alternate",
    400: "Bad Request",
    401: "Unauthenticated",
    403: "Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    440: "Address Family not Supported",
    441: "Wrong Credentials",
    442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch",
    486: "Allocation Quota Reached",
    487: "Role Conflict",
    500: "Server Error",
    508: "Insufficient Capacity",
}


@attrs.frozen(slots=True)
class Signature:
    """How a request was signed, and its answer will be.

    :ivar key: the HMAC key.
    :ivar kind: the integrity attribute.
    :ivar username: whose key it is.
    """

    key: bytes = attrs.field(repr=False)
    kind: int
    username: str


def error_response(
    request: STUNMessage, code: int, extra: tuple[tuple[int, bytes], ...] = (), signature: Signature | None = None
) -> bytes:
    """Return an error response as octets (section 6.3.1.1).

    :param extra: further attributes.
    :param signature: of the request, None if it was not authenticated.
    """
    made = ((ERROR_CODE, error_code(code, REASONS.get(code, ""))), *extra)
    return answer(request, ERROR, made, signature)


def unknown_response(request: STUNMessage, unknown: tuple[int, ...], signature: Signature | None = None) -> bytes:
    """Return a 420 with the list of what was not understood (section 6.3.1)."""
    return error_response(request, 420, ((UNKNOWN_ATTRIBUTES, unknown_attributes(unknown)),), signature)


def answer(
    request: STUNMessage,
    message_class: int,
    attributes: tuple[tuple[int, bytes], ...],
    signature: Signature | None = None,
) -> bytes:
    """Return the answer to *request* as octets, with FINGERPRINT and, if authenticated, one integrity attribute."""
    message = STUNMessage(request.method, message_class, request.transaction_id, attributes)
    if signature is None:
        return message.to_bytes(fingerprint=True)
    return sign(message, signature.key, (signature.kind,), fingerprint=True)


def check_short_term(data: bytes, message: STUNMessage, key_of: Callable[[str], bytes | None]) -> Signature | int:
    """Check a request or indication with short-term credentials (section 9.1.3).

    :param data: the octets of *message*.
    :param key_of: the HMAC key of a username, None if it is not valid.
    :return: the signature, or the code of the error response (400 or 401).
    """
    kind, name = integrity_kind(message), message.first(USERNAME)
    if kind is None or name is None:
        return 400
    username = name.decode("utf-8", "replace")
    key = key_of(username)
    if key is None or not verified(data, key, kind):
        return 401
    return Signature(key, kind, username)


class LongTermServer:
    """Challenges and checks requests with long-term credentials (section 9.2.4). It keeps no state per client.

    :param realm: the domain of the provider.
    :param passwords: by username.
    :param secret: of the nonces, random.
    :param now: gives the time in seconds.
    :param nonce_lifetime: seconds that a nonce is good for.
    :param algorithms: password algorithms to offer, best first; none makes a server of RFC 5389.
    :param anonymous: ask for USERHASH in place of USERNAME.
    """

    def __init__(
        self,
        realm: str,
        passwords: Mapping[str, str],
        secret: bytes,
        now: Callable[[], float],
        *,
        nonce_lifetime: float = 3600.0,
        algorithms: tuple[int, ...] = (SHA256, MD5),
        anonymous: bool = False,
    ) -> None:
        self._realm = realm
        self._passwords = passwords
        self._secret = secret
        self._now = now
        self._lifetime = nonce_lifetime
        self._algorithms = algorithms
        self._features = (PASSWORD_ALGORITHMS_BIT if algorithms else 0) | (USERNAME_ANONYMITY_BIT if anonymous else 0)

    def check(self, data: bytes, request: STUNMessage, source: tuple[str, int]) -> Signature | bytes:
        """Check a request with the octets *data* from *source*.

        :return: the signature, or an error response as octets.
        """
        kind = integrity_kind(request)
        if kind is None:
            return self._challenge(request, 401, source)
        nonce, realm = request.first(NONCE), request.first(REALM)
        if nonce is None or realm is None or not (request.first(USERNAME) or request.first(USERHASH)):
            return error_response(request, 400)
        algorithm = self._algorithm(request, nonce)
        if algorithm is None:
            return error_response(request, 400)
        username = self._username(request)
        if username is None:
            return self._challenge(request, 401, source)
        key = long_term_key(username, self._realm, self._passwords[username], algorithm)
        if not verified(data, key, kind):
            return self._challenge(request, 401, source)
        if not self._valid(nonce, source):
            return self._challenge(request, 438, source)
        return Signature(key, kind, username)

    def nonce(self, source: tuple[str, int]) -> bytes:
        """Return a nonce for *source*: no two sources get the same one."""
        return self._nonce(f"{self._now():.0f}", source)

    def _nonce(self, stamp: str, source: tuple[str, int]) -> bytes:
        mark = hmac.new(self._secret, f"{stamp} {source[0]} {source[1]}".encode(), hashlib.sha256).hexdigest()[:32]
        rest = f"{stamp}-{mark}".encode()
        return cookie_nonce(self._features, rest) if self._features else rest

    def _valid(self, nonce: bytes, source: tuple[str, int]) -> bool:
        stamp = nonce[13 if self._features else 0 :].partition(b"-")[0].decode("ascii", "replace")
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            return False
        if not hmac.compare_digest(self._nonce(stamp, source), nonce):
            return False
        return self._now() - int(stamp) <= self._lifetime

    def _algorithm(self, request: STUNMessage, nonce: bytes) -> int | None:
        """Return the password algorithm to use, None if the request is to be refused with 400."""
        told, chosen = request.first(PASSWORD_ALGORITHMS), request.first(PASSWORD_ALGORITHM)
        if not nonce_features(nonce) & PASSWORD_ALGORITHMS_BIT or (told is None and chosen is None):
            return MD5
        if told is None or chosen is None or told != algorithm_list(self._algorithms):
            return None
        picked = password_algorithms(chosen)
        return picked[0] if len(picked) == 1 and picked[0] in self._algorithms else None

    def _username(self, request: STUNMessage) -> str | None:
        name = request.first(USERNAME)
        if name is not None:
            username = name.decode("utf-8", "replace")
            return username if username in self._passwords else None
        digest = request.first(USERHASH) or b""
        found = None
        for known in self._passwords:
            if hmac.compare_digest(userhash(known, self._realm), digest):
                found = known
        return found

    def _challenge(self, request: STUNMessage, code: int, source: tuple[str, int]) -> bytes:
        extra: tuple[tuple[int, bytes], ...] = ((REALM, self._realm.encode()), (NONCE, self.nonce(source)))
        if self._algorithms:
            extra = (*extra, (PASSWORD_ALGORITHMS, algorithm_list(self._algorithms)))
        return error_response(request, code, extra)
