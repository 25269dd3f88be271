"""Senders who do not say who they are in From, and whom the credentials that they send could name.

RFC 3323 section 4.1.1.3 (the anonymous From), RFC 3325 section 5 (the identity is that which has been authenticated).
"""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.auth_params import Credentials
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI

#: The host of anonymous URIs (RFC 3323 section 4.1.1.3).
ANONYMOUS_HOST = "anonymous.invalid"

#: The most credentials that are looked at.
_MOST = 8


def is_anonymous(uri: URI) -> bool:
    """Tell whether *uri* is what anonymous senders write into From."""
    return isinstance(uri, SIPURI) and uri.host.lower() == ANONYMOUS_HOST


def preferred_identity(request: Request, claimed: URI) -> URI:
    """Return the identity that *request* claims, which has P-Preferred-Identity: that beside an anonymous From, else
    From, which is *claimed* (RFC 3325 section 9.2, RFC 3323 section 4.1.1.3)."""
    if is_anonymous(claimed):
        for value in request.typed("p-preferred-identity"):
            if isinstance(value.uri, SIPURI):
                return value.uri
    return claimed


def credential_realms(request: Request, name: str) -> list[str]:
    """Return the realms of the Digest credentials in the header field *name* of *request*."""
    found: list[str] = []
    for text in request.headers.all(name)[:_MOST]:
        try:
            credentials = Credentials.parse(text)
        except RemoteProtocolError:
            continue
        if credentials.is_digest:
            found.append(credentials.realm)
    return found


def nobody_in(name: str) -> SIPURI:
    """Return the URI without a user of the domain or realm *name*; an IPv6 address may have brackets or not."""
    return SIPURI(f"[{name}]" if ":" in name and name[0] != "[" else name)
