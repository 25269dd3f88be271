"""Decides whether a request proves who sent it: the server's side of Digest (RFC 3261 section 22, RFC 7616, RFC 8760).

What a stranger sees never depends on whether a user exists: unknown users and wrong answers take the same steps and get
the same challenge. (A user for whom an algorithm of its own is set can be told by it; ``[auth] algorithms`` makes all
challenges alike.) Nothing is kept of a request that proves nothing, but failures against a nonce of ours.

stale=true is said for any nonce that is not good, before the answer is looked at: RFC 7616 section 3.3 allows it, and
who answers to a nonce of his own making must not learn whether a guess was right, since such guesses cannot be counted.
An answer to an old nonce that was issued to the source is looked at, and counted if it is wrong.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from twisted.internet.defer import Deferred

from twisted_sip.auth.bans import Bans
from twisted_sip.auth.credentials import credentials_for, made_for
from twisted_sip.auth.digest import HASHES, digest_response
from twisted_sip.auth.nonces import Nonces, Use
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.credentials import Credential, ICredentialStore
from twisted_sip.message.auth_params import Credentials
from twisted_sip.message.grammar import quote
from twisted_sip.message.request import Request
from twisted_sip.message.uri import URI

#: Longer user names than any account has; they are not looked up.
_MOST_USER_CHARS = 256


class Accepted(NamedTuple):
    """The request is from *user*, the digest user name."""

    user: str


class Challenge(NamedTuple):
    """The request is to be answered with *status* (401 or 407) and *headers*.

    ``stale`` tells that only the nonce was at fault. ``wrong`` is the digest user name whose answer was looked at and
    is wrong, and ``known`` tells whether there is such a user: for those who run the server, never for the peer.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    stale: bool = False
    wrong: str | None = None
    known: bool = False


class Refused(NamedTuple):
    """The request is to be answered with *status* and, where it is not empty, *reason*.

    ``limit`` names the setting that led to the ban, if there is one: ``ban_failures`` or ``ban_users``.
    """

    status: int
    reason: str = ""
    limit: str = ""


Outcome = Accepted | Challenge | Refused


class Authenticator:
    """Checks credentials and makes challenges.

    :param credentials: finds HA1s.
    :param nonces: issues nonces and watches over their use.
    :param bans: counts failures.
    :param settings: algorithms and require_qop; may be replaced at any time.
    :param random_bytes: what the answers of unknown users are compared with is made of these.
    """

    __slots__ = ("_credentials", "_dummies", "bans", "nonces", "settings")

    def __init__(
        self,
        credentials: ICredentialStore,
        nonces: Nonces,
        bans: Bans,
        settings: AuthSettings,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._credentials = credentials
        self.nonces = nonces
        self.bans = bans
        self.settings = settings
        self._dummies = {name: hashed(random_bytes(32)) for name, hashed in HASHES.items()}

    @classmethod
    def build(
        cls,
        credentials: ICredentialStore,
        settings: AuthSettings,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Authenticator:
        """Return an authenticator with nonces and bans of its own, made as *settings* say.

        :param now: gives the time in seconds, best from a clock that is never set.
        """
        nonces = Nonces(random_bytes, now, settings.nonce_lifetime, settings.max_nonces)
        return cls(credentials, nonces, Bans(settings, now), settings, random_bytes)

    def configure(self, settings: AuthSettings) -> None:
        """Take new *settings* over; nonces, failures and bans stay as they are."""
        self.settings = settings
        self.bans.settings = settings
        self.nonces.configure(settings.nonce_lifetime, settings.max_nonces)

    def expire(self) -> None:
        """Drop what is past its deadline; for a caller that looks now and then, since an idle table is not visited."""
        self.nonces.expire()
        self.bans.expire()

    def check(
        self,
        request: Request,
        source: str,
        realm: str,
        proxy: bool,
        user: str = "",
        is_ours: Callable[[URI], bool] | None = None,
    ) -> Outcome | Deferred[Outcome]:
        """Tell what the credentials of *request* are worth; at once where the store answers at once.

        :param source: the numeric host it came from.
        :param realm: the realm it needs credentials for.
        :param proxy: True: Proxy-Authorization and 407, False: Authorization and 401 (RFC 3261 section 22.1).
        :param user: the user it claims to be from, whose algorithm a challenge offers where there are no credentials.
        :param is_ours: tells whether a URI leads to this element: a digest-uri may name it, whatever the Request-URI.
        :raises StoreError: the store cannot be read (raised, or the Deferred's failure).
        """
        try:
            candidates = credentials_for(request, realm, proxy)
        except RemoteProtocolError as error:
            # RFC 7616 section 3.4: improper parameters get a 4xx.
            return Refused(error.status, error.reason)
        if not candidates:
            if self.bans.banned(source):
                return Refused(403, limit="ban_users")
            return self._challenge(user, realm, source, proxy, False)
        credentials = candidates[0]
        issued = False
        # Several for one realm are legal (section 22.3): the one that answers us counts.
        for candidate in candidates:
            if self.nonces.issued_to(candidate.params["nonce"], source):
                credentials = candidate
                issued = True
                break
        # A hashed user name cannot be looked up and is not asked for (RFC 7616 section 3.4.4).
        params = credentials.params
        if "username" in params and "userhash" not in params:
            name = params["username"]
        else:
            name = "" if credentials.userhash else credentials.username
        if self.bans.banned(source, name):
            return self._banned(source)
        if not issued:
            return self._challenge(name, realm, source, proxy, True)
        uri = params["uri"]
        if uri != request.uri_text and not made_for(uri, request, realm, is_ours):
            # RFC 7616 section 3.4.6, RFC 8760 section 2.6 item 6.
            return Refused(400, "Digest uri and Request-URI differ")
        found = self._lookup(name, realm)
        # Asked in this order, since to ask whether something else is a Deferred, an abstract class, is slow.
        if found is None or isinstance(found, Credential):
            return self._judge(found, credentials, name, request, source, realm, proxy)
        return found.addCallback(self._judge, credentials, name, request, source, realm, proxy)

    def _lookup(self, user: str, realm: str) -> Credential | Deferred[Credential | None] | None:
        if not user or len(user) > _MOST_USER_CHARS:
            return None
        return self._credentials.lookup(user, realm)

    def _judge(
        self,
        found: Credential | None,
        credentials: Credentials,
        name: str,
        request: Request,
        source: str,
        realm: str,
        proxy: bool,
    ) -> Outcome:
        params = credentials.params
        algorithm = (params.get("algorithm") or "MD5").upper()
        offered = self._offered(found)
        qop = params.get("qop", "").lower()
        nonce = params["nonce"]
        settings = self.settings
        if algorithm not in offered or (
            qop not in settings.qop if qop else settings.require_qop or "auth" not in settings.qop
        ):
            # What was not offered is no answer (RFC 7616 section 3.4); no guess could be checked with it either.
            return self._challenge_with(offered, realm, source, proxy, False)
        if self.bans.banned(source, name):
            # It happened while the store was looking.
            return self._banned(source)
        ha1 = found.ha1.get(algorithm) if found is not None else None
        # An unknown user costs the same digest and the same comparison.
        expected = digest_response(
            ha1 or self._dummies[algorithm],
            request.method,
            params["uri"],
            nonce,
            algorithm=algorithm,
            qop=qop,
            nc=params.get("nc", ""),
            cnonce=params.get("cnonce", ""),
            body=request.body,
        )
        given = params["response"].lower()
        right = hmac.compare_digest(expected, given if given.isascii() else "")
        if not right or ha1 is None:
            ban = self.bans.failed(source, name, given)
            if ban is not None:
                return Refused(403, limit="ban_failures" if ban.user else "ban_users")
            outcome = self._challenge_with(offered, realm, source, proxy, False)
            return Challenge(outcome.status, outcome.headers, wrong=name, known=found is not None)
        # With a qop it has a count in good order, or it would not have been read.
        if self.nonces.use(nonce, int(params["nc"], 16) if qop else 0) is Use.STALE:
            return self._challenge_with(offered, realm, source, proxy, True)
        self.bans.succeeded(source, name)
        return Accepted(name)

    def _banned(self, source: str) -> Refused:
        """Return the refusal of somebody at *source* who is banned, alone or with all others there."""
        return Refused(403, limit="ban_users" if self.bans.banned(source) else "ban_failures")

    # -- challenges --------------------------------------------------------------

    def _offered(self, found: Credential | None) -> tuple[str, ...]:
        """Return the algorithms for a user, in order of preference (RFC 8760 section 2.3)."""
        configured = self.settings.algorithms
        if configured:
            return configured
        if found is not None and found.algorithm in HASHES:
            return (found.algorithm,)
        return ("MD5",)

    def _challenge(self, user: str, realm: str, source: str, proxy: bool, stale: bool) -> Outcome | Deferred[Outcome]:
        if self.settings.algorithms:
            # The same for everybody, so nothing need be looked up for a stranger.
            return self._challenge_with(self.settings.algorithms, realm, source, proxy, stale)
        found = self._lookup(user, realm)
        if found is None or isinstance(found, Credential):
            return self._challenge_with(self._offered(found), realm, source, proxy, stale)
        return found.addCallback(lambda found: self._challenge_with(self._offered(found), realm, source, proxy, stale))

    def _challenge_with(self, offered: tuple[str, ...], realm: str, source: str, proxy: bool, stale: bool) -> Challenge:
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        start = _quoted_realm(realm)
        nonce = self.nonces.issue(source)
        # RFC 3261 section 22.4 item 8: qop is always sent. RFC 8760 section 2.3: one field for each algorithm.
        end = _end_of_challenge(self.settings.qop, stale)
        return Challenge(
            407 if proxy else 401,
            tuple([(name, f'Digest realm={start}, nonce="{nonce}", algorithm={each}{end}') for each in offered]),
            stale,
        )


@lru_cache(maxsize=8)
def _end_of_challenge(qop: tuple[str, ...], stale: bool) -> str:
    return f'{", stale=true" if stale else ""}, qop="{",".join(qop)}"'


@lru_cache(maxsize=256)
def _quoted_realm(realm: str) -> str:
    return quote(realm)
