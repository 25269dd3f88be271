"""Answers challenges: the client's side of Digest (RFC 3261 sections 22.1 to 22.4, RFC 7616, RFC 8760 section 2.4)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping

from twisted_sip.auth.digest import HASHES, base_algorithm, digest_response, ha1, hashed_username, is_session
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.credentials import ALGORITHMS
from twisted_sip.message.auth_params import Challenge, Credentials
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI

#: In ``realms``: answer whoever asks. What is sent then can be attacked by anybody on the way with a dictionary.
ANY_REALM = "*"

#: Challenges remembered at a time.
_MOST_SESSIONS = 16
#: Values looked at in one response.
_MOST_CHALLENGES = 32

_FIELDS = (
    # (status that goes with it, challenge, credentials)
    (401, "www-authenticate", "authorization"),
    (407, "proxy-authenticate", "proxy-authorization"),
)


class _Session:
    """One challenge that is being answered (RFC 7616 section 3.6).

    :ivar challenge: the challenge.
    :ivar field: canonical name of the header field that answers it.
    :ivar cnonce: our nonce; one for the whole session, as ``-sess`` algorithms want it.
    :ivar count: how many requests have carried its nonce.
    """

    __slots__ = ("challenge", "cnonce", "count", "field")

    def __init__(self, challenge: Challenge, field: str, cnonce: str) -> None:
        self.challenge = challenge
        self.field = field
        self.cnonce = cnonce
        self.count = 0


class DigestClient:
    """Credentials of one user, and the challenges answered with them so far.

    :param user: the user name.
    :param password: the password; or give *ha1s*.
    :param ha1s: realm -> algorithm -> H(A1) in hexadecimal, in place of a password. Its realms are trusted.
    :param realms: the realms that may be answered. None: with a password, the domain of each request's From alone, or
        the domains that :meth:`belong_to` names. ``(ANY_REALM,)``: all.
    :param algorithms: the algorithms that may be used; leaving MD5 out keeps an attacker on the way from asking for it.
    :param strongest: of several challenges of one realm answer that with the strongest algorithm, wherever it stands;
        otherwise the topmost, as RFC 8760 section 2.4 has it where there is no policy of ours.
    :param integrity: protect bodies where the server lets us: ``auth-int`` for requests that have one (RFC 7616 section
        3.4.3). A server that wants nothing else gets it in any case.
    :param token: gives an unguessable text for use as cnonce.
    :raises LocalProtocolError: neither or both of password and HA1s, an unknown algorithm, CR, LF or NUL in the user.
    """

    def __init__(
        self,
        user: str,
        password: str | None = None,
        *,
        ha1s: Mapping[str, Mapping[str, str]] | None = None,
        realms: Iterable[str] | None = None,
        algorithms: Iterable[str] = ALGORITHMS,
        strongest: bool = False,
        integrity: bool = False,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        if (password is None) == (ha1s is None):
            raise LocalProtocolError("a digest client has a password or HA1s")
        if any(char in user for char in "\r\n\0"):
            raise LocalProtocolError("a user name must not hold CR, LF or NUL")
        self.user = user
        self._password = password
        self._ha1s = ha1s
        if realms is None and ha1s is not None:
            realms = ha1s
        self._realms = None if realms is None else frozenset(realms)
        self._domains: frozenset[str] = frozenset()
        self._algorithms = frozenset(algorithms)
        if not self._algorithms <= HASHES.keys():
            raise LocalProtocolError(f"digest algorithms are {', '.join(ALGORITHMS)}")
        self._strongest = strongest
        self._integrity = integrity
        self._token = token
        self._sessions: dict[tuple[str, str], _Session] = {}

    def __repr__(self) -> str:
        return f"<DigestClient {self.user!r}>"

    def belong_to(self, domain: str) -> None:
        """Where no realms were given: answer *domain* from now on, and no more whatever stands in From.

        Within a dialog that a peer has begun From is what the peer has written into To (RFC 3261 section 12.1.1): who
        owns the password must not go by it.
        """
        self._domains |= {domain.lower()}

    def authorize(self, request: Request, response: Response) -> Request | None:
        """Return *request* once more with credentials that answer *response*, a 401 or 407 to it.

        CSeq, Via and branch are as they were: the sender puts new ones in place (RFC 3261 section 22.2). A server that
        calls every nonce stale is not told from a busy one: the sender limits how often it tries.

        :returns: None where there is nothing to try: no challenge of a trusted realm that we can answer, or credentials
            that have just been rejected (section 22.1: they MUST NOT be tried again unless the nonce was stale).
        """
        if response.status not in (401, 407):
            return None
        answered: list[_Session] = []
        for status, asks, answers in _FIELDS:
            # A 401 or 407 made of several branches' responses may hold both (RFC 3261 section 16.7 step 7).
            for challenge in self._chosen(request, response, asks):
                if not challenge.stale and self._rejected(request, challenge.realm, answers):
                    self._sessions.pop((answers, challenge.realm), None)
                    if status == response.status:
                        return None
                    continue
                answered.append(self._open(challenge, answers))
        if not answered:
            return None
        made = request.copy()
        self._sign(made, answered)
        return made

    def preauthorize(self, request: Request) -> Request:
        """Return *request* with credentials for every challenge that is remembered; itself if there is none.

        Saves the challenge of a later request (RFC 7616 section 3.6) with the next nonce count. A nonce that has become
        stale meanwhile costs what a challenge costs.
        """
        sessions = [session for (_, realm), session in self._sessions.items() if self._trusts(request, realm)]
        if not sessions:
            return request
        made = request.copy()
        self._sign(made, sessions)
        return made

    def forget(self) -> None:
        """Drop every remembered challenge."""
        self._sessions.clear()

    # -- choosing ------------------------------------------------------------------

    def _trusts(self, request: Request, realm: str) -> bool:
        if self._realms is not None:
            return realm in self._realms or ANY_REALM in self._realms
        if self._domains:
            return realm.lower() in self._domains
        uri = request.from_.uri
        return isinstance(uri, SIPURI) and uri.host.lower() == realm.lower()

    def _chosen(self, request: Request, response: Response, field: str) -> list[Challenge]:
        """Return for each trusted realm the topmost challenge that can be answered, or the strongest where that is
        wanted (RFC 8760 section 2.4)."""
        chosen: dict[str, Challenge] = {}
        for text in response.headers.all(field)[:_MOST_CHALLENGES]:
            try:
                challenge = Challenge.parse(text)
            except RemoteProtocolError:
                # "The client MUST ignore any challenge it does not understand."
                continue
            realm = challenge.realm
            known = chosen.get(realm)
            if known is not None and not self._strongest:
                continue
            if not challenge.is_digest or not self._trusts(request, realm) or not self._can_answer(challenge):
                continue
            if known is None or _strength(challenge) > _strength(known):
                chosen[realm] = challenge
        return list(chosen.values())

    def _can_answer(self, challenge: Challenge) -> bool:
        algorithm = base_algorithm(challenge.algorithm)
        if algorithm not in self._algorithms:
            return False
        offered = challenge.qop
        if offered and not _qop(challenge):
            return False
        if not offered and is_session(challenge.algorithm):
            # RFC 3261 section 22.4 item 8: no cnonce without qop, and no session without cnonce.
            return False
        return self._ha1s is None or algorithm in self._ha1s.get(challenge.realm, {})

    def _rejected(self, request: Request, realm: str, field: str) -> bool:
        """Tell whether *request* carried our credentials for *realm*, made for the first request of their nonce.

        Later ones worked before: there the nonce is at fault, though not every server says so.
        """
        return any(given.realm == realm and given.nc < 2 for given in _given(request, field))

    def _open(self, challenge: Challenge, field: str) -> _Session:
        key = (field, challenge.realm)
        session = self._sessions.pop(key, None)
        if session is None or session.challenge.nonce != challenge.nonce:
            session = _Session(challenge, field, self._token())
        self._sessions[key] = session
        if len(self._sessions) > _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    # -- answering -----------------------------------------------------------------

    def _sign(self, request: Request, answered: list[_Session]) -> None:
        """Put credentials for *answered* into *request*, and fresh counts on those it has for other realms."""
        for field in ("authorization", "proxy-authorization"):
            sessions = {session.challenge.realm: session for session in answered if session.field == field}
            values = request.headers.all(field)
            if not sessions and not values:
                continue
            request.headers.remove(field)
            for text in values:
                try:
                    realm = Credentials.parse(text).realm
                except RemoteProtocolError:
                    realm = ""
                # What another server accepted before is sent again, never with the same count: that is a replay.
                known = self._sessions.get((field, realm))
                if known is not None:
                    sessions.setdefault(realm, known)
                else:
                    request.headers.append(field, text)
            for session in sessions.values():
                request.headers.append(field, str(self._credentials(session, request)))

    def _ha1(self, realm: str, algorithm: str) -> str:
        if self._ha1s is not None:
            return self._ha1s[realm][algorithm]
        return ha1(self.user, realm, self._password or "", algorithm)

    def _credentials(self, session: _Session, request: Request) -> Credentials:
        challenge = session.challenge
        algorithm = base_algorithm(challenge.algorithm)
        qop = _qop(challenge, self._integrity and bool(request.body))
        session.count += 1
        params: dict[str, str] = {}
        username = self.user
        if challenge.userhash:
            username = hashed_username(username, challenge.realm, algorithm)
            params["userhash"] = "true"
        return Credentials.digest(
            username=username,
            realm=challenge.realm,
            nonce=challenge.nonce,
            uri=request.uri_text,
            response=digest_response(
                self._ha1(challenge.realm, algorithm),
                request.method,
                request.uri_text,
                challenge.nonce,
                algorithm=challenge.algorithm,
                qop=qop,
                nc=f"{session.count:08x}",
                cnonce=session.cnonce,
                body=request.body,
            ),
            algorithm=challenge.algorithm,
            cnonce=session.cnonce,
            nc=session.count,
            qop=qop,
            opaque=challenge.opaque,
            params=params.items(),
        )


def _strength(challenge: Challenge) -> int:
    """Return a number that is higher for stronger algorithms."""
    return -ALGORITHMS.index(base_algorithm(challenge.algorithm))


def _qop(challenge: Challenge, integrity: bool = False) -> str:
    """Return the quality of protection to use: auth before auth-int unless *integrity* is wanted, empty for a server of
    RFC 2069."""
    for quality in ("auth-int", "auth") if integrity else ("auth", "auth-int"):
        if quality in challenge.qop:
            return quality
    return ""


def _given(request: Request, field: str) -> list[Credentials]:
    found: list[Credentials] = []
    for text in request.headers.all(field):
        try:
            found.append(Credentials.parse(text))
        except RemoteProtocolError:
            continue
    return found
