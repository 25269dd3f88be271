"""Credentials of a STUN client: what to add to requests, which responses to believe (RFC 8489 section 9)."""

from __future__ import annotations

import base64
import struct
from typing import Protocol

from twisted_sip.errors import LocalProtocolError
from twisted_sip.stun.integrity import (
    MD5,
    SHA256,
    integrity_kind,
    long_term_key,
    opaque_string,
    short_term_key,
    userhash,
    verified,
)
from twisted_sip.stun.message import (
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    REALM,
    USERHASH,
    USERNAME,
    STUNMessage,
)

#: What a nonce of RFC 8489 begins with; four characters of feature bits follow (section 9.2).
NONCE_COOKIE = b"obMatJos2"
#: STUN Security Features (section 18.1): bit 0 is the most significant of 24.
PASSWORD_ALGORITHMS_BIT, USERNAME_ANONYMITY_BIT = 1 << 23, 1 << 22

#: A realm or nonce is shorter than 128 characters, 763 octets at most (sections 14.9 and 14.10).
_LONGEST = 763


class Credentials(Protocol):
    """What a :class:`Requester` asks of credentials."""

    @property
    def key(self) -> bytes | None:
        """The HMAC key, None as long as requests go out without integrity."""

    @property
    def kinds(self) -> tuple[int, ...]:
        """The integrity attributes to send, in order."""

    def attributes(self) -> tuple[tuple[int, bytes], ...]:
        """What a request gets before its integrity attributes."""

    def believes(self, data: bytes, response: STUNMessage, key: bytes | None) -> bool:
        """Tell whether *response*, with the octets *data*, to a request that was signed with *key*, is genuine."""

    def retry(self, response: STUNMessage, key: bytes | None) -> bool:
        """Learn from an error response to a request signed with *key*; tell whether to ask again."""


class ShortTermCredentials:
    """A username and password that two agents agreed on for some time (section 9.1), as in ICE.

    :param kinds: the integrity attributes to send; both unless an agreement says otherwise (section 9.1.2).
    :raises LocalProtocolError: name or password cannot be.
    """

    def __init__(
        self,
        username: str,
        password: str,
        kinds: tuple[int, ...] = (MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256),
    ) -> None:
        self._username = opaque_string(username).encode("utf-8")
        self.key: bytes | None = short_term_key(password)
        self.kinds = kinds

    def attributes(self) -> tuple[tuple[int, bytes], ...]:
        return ((USERNAME, self._username),)

    def believes(self, data: bytes, response: STUNMessage, key: bytes | None) -> bool:
        kind = integrity_kind(response)
        # Section 9.1.4: of those that were sent; without any the response is discarded.
        if kind not in self.kinds or key is None or not verified(data, key, kind):
            return False
        # Section 9.1.5.
        self.kinds = (kind,)
        return True

    def retry(self, response: STUNMessage, key: bytes | None) -> bool:
        return False


class LongTermCredentials:
    """A username and password of a subscriber, sent after a challenge (section 9.2).

    :raises LocalProtocolError: name or password cannot be.
    """

    def __init__(self, username: str, password: str) -> None:
        self._username = opaque_string(username)
        self._password = opaque_string(password)
        self._realm = ""
        self._nonce = b""
        self._anonymous = False
        self._algorithms: bytes | None = None
        self._algorithm = MD5
        self.key: bytes | None = None

    @property
    def kinds(self) -> tuple[int, ...]:
        # Section 9.2.5: SHA-256 only once the server has told its password algorithms.
        return (MESSAGE_INTEGRITY if self._algorithms is None else MESSAGE_INTEGRITY_SHA256,)

    def attributes(self) -> tuple[tuple[int, bytes], ...]:
        if self.key is None:
            # Section 9.2.3.1: the first request.
            return ()
        if self._anonymous:
            who = (USERHASH, userhash(self._username, self._realm))
        else:
            who = (USERNAME, self._username.encode("utf-8"))
        made = (who, (REALM, self._realm.encode("utf-8")), (NONCE, self._nonce))
        if self._algorithms is None:
            return made
        chosen = struct.pack("!HH", self._algorithm, 0)
        return (*made, (PASSWORD_ALGORITHMS, self._algorithms), (PASSWORD_ALGORITHM, chosen))

    def believes(self, data: bytes, response: STUNMessage, key: bytes | None) -> bool:
        error = response.error
        code = error[0] if error else 0
        kind = integrity_kind(response)
        if code not in (401, 438):
            features = nonce_features(response.first(NONCE) or b"")
            if features & PASSWORD_ALGORITHMS_BIT and response.first(PASSWORD_ALGORITHMS) is None:
                # Section 9.2.5: somebody took the algorithms out.
                return False
        if kind is None:
            # Challenges carry no integrity; nor can what answers a request without it. A bare 400 is discarded.
            return code in (401, 438) or (key is None and code != 400) or (key is not None and code == 300)
        return key is not None and verified(data, key, kind)

    def retry(self, response: STUNMessage, key: bytes | None) -> bool:
        error = response.error
        if error is None or error[0] not in (401, 438):
            return False
        nonce, realm_value = response.first(NONCE), response.first(REALM)
        if not nonce or realm_value is None or len(nonce) > _LONGEST or len(realm_value) > _LONGEST:
            return False
        features = nonce_features(nonce)
        algorithms = response.first(PASSWORD_ALGORITHMS)
        if features & PASSWORD_ALGORITHMS_BIT and algorithms is None:
            # Section 9.2.5: a bid-down.
            return False
        algorithm = MD5
        if algorithms is not None:
            known = [each for each in password_algorithms(algorithms) if each in (MD5, SHA256)]
            if not known:
                return False
            algorithm = known[0]
        try:
            realm = opaque_string(realm_value.decode("utf-8").strip('"').rstrip("\0"))
            made = long_term_key(self._username, realm, self._password, algorithm)
        except (UnicodeDecodeError, LocalProtocolError):
            return False
        # Section 9.2.5: the same name, realm and password are not tried a second time, unless the nonce was stale.
        if error[0] == 401 and key == made:
            return False
        self._realm, self._nonce, self.key = realm, nonce, made
        self._anonymous = bool(features & USERNAME_ANONYMITY_BIT)
        self._algorithms, self._algorithm = algorithms, algorithm
        return True


def nonce_features(nonce: bytes) -> int:
    """Return the STUN Security Features that a nonce tells, 0 if it has no cookie (section 9.2)."""
    if not nonce.startswith(NONCE_COOKIE) or len(nonce) < 13:
        return 0
    try:
        return int.from_bytes(base64.b64decode(nonce[9:13], validate=True), "big")
    except ValueError:
        return 0


def cookie_nonce(features: int, rest: bytes) -> bytes:
    """Return a nonce that tells *features* and goes on with *rest* (section 9.2)."""
    return NONCE_COOKIE + base64.b64encode(features.to_bytes(3, "big")) + rest


def password_algorithms(value: bytes) -> tuple[int, ...]:
    """Return the algorithm numbers of a PASSWORD-ALGORITHMS or PASSWORD-ALGORITHM (sections 14.11 and 14.12).

    Those with parameters are left out: none that is known here has any. What is cut short ends the list.
    """
    found = []
    place = 0
    while place + 4 <= len(value):
        algorithm, length = struct.unpack_from("!HH", value, place)
        if not length:
            found.append(algorithm)
        place += 4 + length + (-length % 4)
    return tuple(found)


def algorithm_list(algorithms: tuple[int, ...]) -> bytes:
    """Return the value of a PASSWORD-ALGORITHMS attribute without parameters (section 14.11)."""
    return b"".join(struct.pack("!HH", each, 0) for each in algorithms)
