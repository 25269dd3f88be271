"""Challenges, credentials and Authentication-Info: header fields made of a scheme and auth-params.

RFC 3261 sections 20.6, 20.7, 20.27, 20.28 and 20.44 with the parameters of RFC 7616 sections 3.3 to 3.5; RFC 8898 for
Bearer. Parsing is syntax alone: whether a nonce or a response is any good is for the auth floor. None of these fields
is a comma-separated list (RFC 3261 section 7.3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.auth_grammar import (
    BARE_IN_CHALLENGE,
    BARE_IN_CREDENTIALS,
    SCHEME,
    TOKEN68,
    build_auth_params,
    decode_extended,
    format_auth_params,
    has_forbidden,
    is_nonce_count,
    parse_auth_params,
)
from twisted_sip.message.grammar import is_token
from twisted_sip.message.parameterized import refuse


class _SchemeAndParams:
    """A scheme and its auth-params; what challenges and credentials share.

    :ivar scheme: the scheme as written: ``Digest``.
    :ivar params: values by parameter name in lower case, unquoted.
    :ivar token68: what stands in place of parameters with Basic and Bearer (RFC 9110 section 11.2), else empty.
    """

    __slots__ = ("params", "scheme", "token68")

    _bare: frozenset[str] = frozenset()
    _required: tuple[str, ...] = ()

    def __init__(
        self, scheme: str, params: Mapping[str, str] | Iterable[tuple[str, str]] = (), token68: str = ""
    ) -> None:
        """Make a value to send.

        :raises LocalProtocolError: a name is no token, or CR, LF or NUL stands in a value.
        """
        if not is_token(scheme):
            raise LocalProtocolError(f"{scheme!r} is no authentication scheme")
        if token68 and (params or not TOKEN68.match(token68)):
            raise LocalProtocolError("a token68 stands alone and has letters, digits and -._~+/= only")
        self.scheme = scheme
        self.params = build_auth_params(params)
        self.token68 = token68

    @classmethod
    def _parse(cls, text: str, header: str) -> Self:
        if has_forbidden(text):
            refuse(header, "control character")
        made = cls.__new__(cls)
        if text.startswith("Digest "):
            made.scheme = "Digest"
            start = 7
            digest = True
        else:
            found = SCHEME.match(text)
            if found is None:
                refuse(header, "no authentication scheme")
            made.scheme = found.group(1)
            start = found.end()
            digest = made.is_digest
        if not digest and TOKEN68.match(text, start):
            made.token68 = text[start:].rstrip(" \t")
            made.params = {}
            return made
        made.token68 = ""
        made.params = params = parse_auth_params(text, start, header)
        if digest:
            for name in cls._required:
                if name not in params:
                    refuse(header, f"no {name}")
        return made

    @property
    def is_digest(self) -> bool:
        """True for Digest; scheme names are case-insensitive."""
        return self.scheme == "Digest" or self.scheme.lower() == "digest"

    def get(self, name: str) -> str | None:
        """Return the value of the parameter called *name* (lower case), None if it is missing."""
        return self.params.get(name)

    @property
    def realm(self) -> str:
        """The realm, empty if there is none."""
        return self.params.get("realm", "")

    @property
    def nonce(self) -> str:
        """The nonce, empty if there is none."""
        return self.params.get("nonce", "")

    @property
    def opaque(self) -> str | None:
        """The opaque value, to be sent back as it came; None if there is none."""
        return self.params.get("opaque")

    @property
    def algorithm(self) -> str:
        """The algorithm as written, ``MD5`` if there is none (RFC 7616 section 3.3)."""
        return self.params.get("algorithm") or "MD5"

    @property
    def userhash(self) -> bool:
        """Whether the user name is, or may be, sent as a hash (RFC 7616 section 3.4.4)."""
        return self.params.get("userhash", "").lower() == "true"

    def __str__(self) -> str:
        rest = self.token68 or format_auth_params(self.params, self._bare)
        return f"{self.scheme} {rest}" if rest else self.scheme

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, _SchemeAndParams)
        return (self.scheme.lower(), self.params, self.token68) == (other.scheme.lower(), other.params, other.token68)

    def __hash__(self) -> int:
        return hash((self.scheme.lower(), tuple(sorted(self.params.items())), self.token68))

    def __repr__(self) -> str:
        # Responses and tokens are secrets or nearly so and must not reach a log through a traceback.
        return f"<{type(self).__name__} {self.scheme} realm={self.realm!r}>"


class Challenge(_SchemeAndParams):
    """One WWW-Authenticate or Proxy-Authenticate value (RFC 3261 sections 20.27 and 20.44)."""

    __slots__ = ()

    _bare = BARE_IN_CHALLENGE
    _required = ("realm", "nonce")

    @classmethod
    def parse(cls, text: str, header: str = "WWW-Authenticate") -> Challenge:
        """Return the challenge in *text*; *header* is the field's name for the error.

        :raises RemoteProtocolError: it is malformed, a parameter stands twice, or Digest lacks realm or nonce.
        """
        return cls._parse(text, header)

    @classmethod
    def digest(
        cls,
        realm: str,
        nonce: str,
        algorithm: str = "MD5",
        *,
        qop: Iterable[str] = ("auth",),
        opaque: str = "",
        stale: bool = False,
        params: Iterable[tuple[str, str]] = (),
    ) -> Challenge:
        """Return a Digest challenge (RFC 7616 section 3.3).

        :raises LocalProtocolError: a value that cannot be sent.
        """
        if not is_token(algorithm):
            raise LocalProtocolError(f"{algorithm!r} is no algorithm")
        made = {"realm": realm, "nonce": nonce}
        if opaque:
            made["opaque"] = opaque
        if stale:
            made["stale"] = "true"
        made["algorithm"] = algorithm
        offered = ",".join(qop)
        if offered:
            made["qop"] = offered
        made.update(params)
        return cls("Digest", made)

    @property
    def qop(self) -> tuple[str, ...]:
        """The qualities of protection on offer in lower case, empty for a server of RFC 2069 (RFC 7616 section 3.3)."""
        offered = self.params.get("qop", "")
        return tuple(part for part in offered.lower().replace(" ", ",").replace("\t", ",").split(",") if part)

    @property
    def stale(self) -> bool:
        """True if only the nonce was at fault (RFC 7616 section 3.3)."""
        return self.params.get("stale", "").lower() == "true"


class Credentials(_SchemeAndParams):
    """One Authorization or Proxy-Authorization value (RFC 3261 sections 20.7 and 20.28)."""

    __slots__ = ()

    _bare = BARE_IN_CREDENTIALS
    _required = ("realm", "nonce", "response")

    @classmethod
    def parse(cls, text: str, header: str = "Authorization") -> Credentials:
        """Return the credentials in *text*; *header* is the field's name for the error.

        They may be without a digest-uri, as the examples of RFC 3261 sections 20.7 and 20.28 are: who checks them
        refuses that (auth.credentials).

        :raises RemoteProtocolError: they are malformed, a parameter stands twice, or Digest lacks one that it requires
            (RFC 7616 section 3.4; a 400 answers that).
        """
        made = cls._parse(text, header)
        if made.is_digest:
            params = made.params
            if ("username" in params) is ("username*" in params):
                refuse(header, "one username is required")
            if "username*" in params:
                decode_extended(params["username*"], header)
            nc = params.get("nc")
            if nc is not None and not is_nonce_count(nc):
                refuse(header, "bad nc")
            if "qop" in params and (nc is None or "cnonce" not in params):
                refuse(header, "qop without nc and cnonce")
        return made

    @classmethod
    def digest(
        cls,
        *,
        username: str,
        realm: str,
        nonce: str,
        uri: str,
        response: str,
        algorithm: str = "MD5",
        cnonce: str = "",
        nc: int = 0,
        qop: str = "",
        opaque: str | None = None,
        params: Iterable[tuple[str, str]] = (),
    ) -> Credentials:
        """Return Digest credentials (RFC 7616 section 3.4); cnonce and nc are sent with *qop* alone.

        :raises LocalProtocolError: a value that cannot be sent.
        """
        if not is_token(algorithm) or (qop and not is_token(qop)):
            raise LocalProtocolError("algorithm and qop are tokens")
        made = {"username": username, "realm": realm, "nonce": nonce, "uri": uri, "response": response}
        made["algorithm"] = algorithm
        if qop:
            if not 0 < nc < 1 << 32:
                raise LocalProtocolError("nc is from 1 to 2**32-1")
            made.update(cnonce=cnonce, qop=qop, nc=f"{nc:08x}")
        if opaque is not None:
            made["opaque"] = opaque
        made.update(params)
        return cls("Digest", made)

    @property
    def username(self) -> str:
        """The user name, that of ``username*`` decoded (RFC 7616 section 3.4); empty if there is none."""
        plain = self.params.get("username")
        if plain is not None:
            return plain
        extended = self.params.get("username*")
        # What it means in another scheme nobody knows, so it was not checked there.
        return "" if extended is None or not self.is_digest else decode_extended(extended, "Authorization")

    @property
    def uri(self) -> str:
        """The digest-uri, empty if there is none."""
        return self.params.get("uri", "")

    @property
    def response(self) -> str:
        """The response digest in lower case, empty if there is none."""
        return self.params.get("response", "").lower()

    @property
    def cnonce(self) -> str:
        """The client's nonce, empty if there is none."""
        return self.params.get("cnonce", "")

    @property
    def qop(self) -> str:
        """The quality of protection in lower case, empty if there is none (RFC 2069)."""
        return self.params.get("qop", "").lower()

    @property
    def nc_text(self) -> str:
        """The nonce count as written, for the digest; empty if there is none."""
        return self.params.get("nc", "")

    @property
    def nc(self) -> int:
        """The nonce count, 0 if there is none."""
        text = self.params.get("nc", "")
        return int(text, 16) if is_nonce_count(text) else 0


class AuthenticationInfo:
    """The Authentication-Info value of a 2xx (RFC 3261 section 20.6, RFC 7616 section 3.5): parameters, no scheme.

    :ivar params: values by parameter name in lower case, unquoted.
    """

    __slots__ = ("params",)

    def __init__(self, params: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """Make a value to send.

        :raises LocalProtocolError: there is no parameter, a name is no token, or CR, LF or NUL stands in a value.
        """
        self.params = build_auth_params(params)
        if not self.params:
            raise LocalProtocolError("Authentication-Info has one parameter at least")

    @classmethod
    def parse(cls, text: str, header: str = "Authentication-Info") -> AuthenticationInfo:
        """Return the value in *text*; *header* is the field's name for the error.

        :raises RemoteProtocolError: it is malformed, empty, or a parameter stands twice.
        """
        if has_forbidden(text):
            refuse(header, "control character")
        made = cls.__new__(cls)
        made.params = parse_auth_params(text, 0, header)
        if not made.params:
            refuse(header, "no parameter")
        return made

    @property
    def nextnonce(self) -> str:
        """The nonce to use from now on, empty if there is none."""
        return self.params.get("nextnonce", "")

    @property
    def rspauth(self) -> str:
        """The server's proof that it knows the secret, in lower case; empty if there is none."""
        return self.params.get("rspauth", "").lower()

    def get(self, name: str) -> str | None:
        """Return the value of the parameter called *name* (lower case), None if it is missing."""
        return self.params.get(name)

    def __str__(self) -> str:
        return format_auth_params(self.params, BARE_IN_CREDENTIALS)

    def __eq__(self, other: object) -> bool:
        return self.params == other.params if isinstance(other, AuthenticationInfo) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.params.items())))

    def __repr__(self) -> str:
        return f"<AuthenticationInfo {sorted(self.params)}>"
