"""Digest over HTTP with the credentials of SIP (RFC 4825 section 8, RFC 7616).

The same authenticator as for SIP checks the answer: nonces, bans and HA1s are shared. What differs is what a
digest-uri may look like, and how user names are written: as the user part, or as a whole user identifier, where the
store knows that name or the client uses the HA1 of the user part.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_to_bytes, urlsplit

from twisted.internet.defer import Deferred

from twisted_sip.auth.authenticator import Accepted, Authenticator, Challenge, Refused
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.credentials import Credential, ICredentialStore
from twisted_sip.message.auth_params import Credentials
from twisted_sip.message.escapes import escape_user
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.hosts import canonical_host
from twisted_sip.message.request import Request
from twisted_sip.xcap.selectors import SelectorError, canonical_xui

#: The most Authorization fields, and bytes of each, that are looked at.
_MOST_FIELDS, _MOST_CHARS = 4, 4096


class HTTPDigest:
    """Tells who a request is from.

    :param authenticator: checks digests; that of the SIP server, to share its bans.
    :param credentials: what the authenticator looks users up in, to know user names that are whole identifiers.
    :param domains: the domains of the server's users, the default one first.
    """

    def __init__(
        self, authenticator: Authenticator, domains: Sequence[str], credentials: ICredentialStore | None = None
    ) -> None:
        self.authenticator = authenticator
        self.domains = tuple(canonical_host(domain) for domain in domains)
        self._credentials = credentials

    def realm_of(self, domain: str) -> str:
        """Return the realm for users of *domain*: the domain, unless one is set for all."""
        return self.authenticator.settings.realm or domain

    async def check(
        self, method: str, target: str, fields: Sequence[str], source: str, owner: str
    ) -> str | Challenge | Refused:
        """Return the canonical address-of-record of who sent a request, or what to answer instead.

        :param method: the method.
        :param target: the request target as it came.
        :param fields: the values of Authorization.
        :param source: the numeric host it came from.
        :param owner: the user whose document it is about, empty for the global tree.
        :raises StoreError: the credential store cannot be read.
        """
        given = _parsed(fields)
        domain = self._domain(given, owner)
        realm = self.realm_of(domain)
        if not self.authenticator.settings.required:
            # For trusted networks: every claim is believed, and the claim is whose document one asks for.
            return owner or f"sip:anonymous@{domain}"
        chosen = [each for each in given if each.realm == realm and not each.userhash]
        names = {each.username: await self._user(each.username, realm, domain) for each in chosen}
        headers = HeaderMap()
        for each in given:
            if each.username in names and each in chosen:
                each.params["username"] = names[each.username]
            headers.append("authorization", str(each))
        uri = next((each.uri for each in chosen if same_target(each.uri, target)), target)
        request = Request.from_parts(method, uri, headers, b"")
        outcome = self.authenticator.check(request, source, realm, False, user=owner.partition("@")[0][4:])
        if isinstance(outcome, Deferred):
            outcome = await outcome
        if isinstance(outcome, Accepted):
            return self._identity(outcome.user, domain)
        return outcome

    def _domain(self, given: Sequence[Credentials], owner: str) -> str:
        """Return the domain whose user has to prove itself."""
        domain = owner.rpartition("@")[2]
        if domain in self.domains:
            return domain
        # The global tree is for users of any domain: for that of the realm that they answer.
        claimed = [each.realm for each in given if each.realm in self.domains]
        return claimed[0] if claimed else self.domains[0]

    async def _user(self, name: str, realm: str, domain: str) -> str:
        """Return the user name to look up for *name*, which may be a whole identifier of a user of *domain*."""
        if "@" not in name:
            return name
        if self._credentials is not None:
            found = self._credentials.lookup(name, realm)
            if isinstance(found, Deferred):
                found = await found
            if isinstance(found, Credential):
                return name
        user, _, host = name.rpartition("@")
        return user.removeprefix("sip:") if canonical_host(host) == domain else name

    @staticmethod
    def _identity(user: str, domain: str) -> str:
        if "@" in user:
            try:
                identity = canonical_xui(user)
            except SelectorError:
                identity = ""
            if identity.rpartition("@")[2] == domain:
                return identity
        return f"sip:{escape_user(user)}@{domain}"


def _parsed(fields: Sequence[str]) -> list[Credentials]:
    found: list[Credentials] = []
    for text in fields[:_MOST_FIELDS]:
        if len(text) > _MOST_CHARS:
            continue
        try:
            credentials = Credentials.parse(text)
        except RemoteProtocolError:
            # A client that cannot say what it knows is asked anew.
            continue
        if credentials.is_digest and credentials.uri:
            # The plain form of a name in another character set (RFC 7616 section 3.4).
            name = credentials.username
            credentials.params.pop("username*", None)
            credentials.params["username"] = name
            found.append(credentials)
    return found


def same_target(uri: str, target: str) -> bool:
    """Tell whether a digest-uri names the request *target* (RFC 7616 section 3.4.6).

    It may be absolute, and octets may be escaped in one and not in the other: clients and proxies on the way do that.
    """
    return _plain(uri) == _plain(target)


def _plain(uri: str) -> bytes:
    if uri.startswith("/"):
        return unquote_to_bytes(uri.encode("utf-8", "surrogateescape"))
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri.encode("utf-8", "surrogateescape")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return unquote_to_bytes(path.encode("utf-8", "surrogateescape"))
