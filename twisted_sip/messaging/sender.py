"""Who sent a message: who has proved to be one of our users, or somebody of another domain (RFC 3261 section 22.1).

Nobody speaks as one of our users without proof. That a dialog of ours admits a request proves nothing: both who are in
it know its token and its tags.
"""

from __future__ import annotations

from twisted_sip.element.domains import Domains
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.hosts import ipv4_bytes
from twisted_sip.message.uri import SIPURI, URI


def sender_of(incoming: IncomingRequest, domains: Domains, authenticated: bool) -> str:
    """Return who sent a message, canonical: as admission knows or, of strangers, as From says.

    :param authenticated: our users have to prove who they are; False believes them.
    :raises RemoteProtocolError: From is somebody else than who has proved to be somebody, or one of our users of whom
        nothing is proved (403).
    """
    uri = incoming.request.from_.uri
    claimed = uri.address_of_record if isinstance(uri, SIPURI) else str(uri)
    user = incoming.user
    if user and claimed == user:
        return user
    if not user and not (authenticated and claims_ours(uri, domains)):
        if isinstance(uri, SIPURI) and not domains.is_local_uri(uri) and domains.is_local_uri(SIPURI.parse(claimed)):
            # A phone at a port beside ours is not the user without the port.
            return uri.text
        return claimed
    if user and isinstance(uri, SIPURI) and uri.host.lower() == "anonymous.invalid":
        # RFC 3323 section 4.1.1.3: who it is stands in P-Preferred-Identity, which admission has looked at.
        return user
    raise RemoteProtocolError("From is not who you are", status=403, header="From")


def claims_ours(uri: URI, domains: Domains) -> bool:
    """Tell whether whoever reads *uri* in a From takes it for one of our users: by its domain, whatever its scheme
    (``im``, RFC 3428 section 5) and its port."""
    if not isinstance(uri, SIPURI):
        try:
            uri = SIPURI.parse(f"sip:{str(uri).partition(':')[2].partition('?')[0]}")
        except RemoteProtocolError:
            return False
    if domains.is_local_uri(uri):
        return True
    host = uri.host
    # Phones on the host of this server, with addresses and ports of their own, are not ours.
    return host[:1] != "[" and ipv4_bytes(host) is None and domains.is_local(host)
