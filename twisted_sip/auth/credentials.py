"""Which of a request's credentials are for us, and whether they were made for its target.

RFC 3261 sections 22.2 to 22.4, RFC 7616 sections 3.4 and 3.4.6, RFC 8760 section 2.6 item 6.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.auth_params import Credentials
from twisted_sip.message.escapes import unescape
from twisted_sip.message.hosts import canonical_host
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI, parse_uri

#: The most values that are looked at in one request; each one costs a parse.
_MOST = 8


def credentials_for(request: Request, realm: str, proxy: bool) -> list[Credentials]:
    """Return the Digest credentials in *request* for *realm*, in order; those with an empty nonce are left out.

    :param proxy: look into Proxy-Authorization, else into Authorization.
    :raises RemoteProtocolError: there are none for the realm, and one value could not be read (status 400).
    """
    name = "proxy-authorization" if proxy else "authorization"
    headers = request.headers
    count = headers.names.count(name)
    if not count:
        return []
    label = "Proxy-Authorization" if proxy else "Authorization"
    found: list[Credentials] = []
    fault: RemoteProtocolError | None = None
    texts = [headers.first(name) or ""] if count == 1 else headers.all(name)[:_MOST]
    for text in texts:
        try:
            credentials = Credentials.parse(text, label)
            params = credentials.params
            if "uri" not in params and credentials.is_digest:
                # Section 22.4 item 1, RFC 7616 section 3.4: without it nothing can be checked.
                raise RemoteProtocolError(f"Malformed {label} header field: no uri", header=label)
        except RemoteProtocolError as error:
            fault = fault or error
            continue
        # Basic must not be accepted (section 22), other schemes are not known: both count as no credentials.
        if params.get("realm") == realm and params.get("nonce") and params.get("response") and credentials.is_digest:
            found.append(credentials)
    if fault is not None and not found:
        try:
            raise fault
        finally:
            # Its traceback holds this frame: nobody but the collector would free the request.
            fault = None
    return found


def consume_credentials(request: Request, realm: str) -> None:
    """Take the Proxy-Authorization values for *realm*, which is ours, off *request* before it is forwarded.

    Those of other realms stay: they are for other proxies (RFC 3261 section 22.3).
    """
    if "proxy-authorization" in request.headers.names:
        consume_credentials_where(request, lambda given: given == realm)


def consume_credentials_where(request: Request, is_ours: Callable[[str], bool]) -> None:
    """Take the Proxy-Authorization values for the realms that *is_ours* is true of off *request*.

    As :func:`consume_credentials`, where nobody was asked for credentials of a certain realm.
    """
    headers = request.headers
    values = headers.all("proxy-authorization")
    kept = [value for value in values if not _is_for(value, is_ours)]
    if len(kept) == len(values):
        return
    headers.remove("proxy-authorization")
    for value in kept:
        headers.append("proxy-authorization", value)


def _is_for(text: str, is_ours: Callable[[str], bool]) -> bool:
    try:
        credentials = Credentials.parse(text, "Proxy-Authorization")
    except RemoteProtocolError:
        return False
    return credentials.is_digest and is_ours(credentials.realm)


def made_for(uri: str, request: Request, realm: str, is_ours: Callable[[URI], bool] | None = None) -> bool:
    """Tell whether the digest-uri *uri* names the target of *request* (RFC 7616 section 3.4.6).

    Parameters, header fields, the scheme (sip or sips) and a default port written or not make no difference, since
    phones and the proxies on the way change them. User and host must be the same, or credentials that were overheard
    would be good for another target. In a REGISTER, of which To says what it is about, the user does not matter and
    the host may be the realm: some phones write their address-of-record there, or the domain while they send to an
    address. A URI without a user that *is_ours*, an address of this very server, will do for any target: SIPp and some
    gateways always write the address that they send to. It is their own credentials that they bind less closely, and a
    nonce count is used once whatever the URI.

    :param is_ours: tells whether a URI leads to this element.
    """
    if uri == request.uri_text:
        return True
    try:
        wanted = request.uri
        given = parse_uri(uri.strip(" \t<>"))
    except RemoteProtocolError:
        return False
    if not isinstance(wanted, SIPURI) or not isinstance(given, SIPURI):
        return str(given) == str(wanted)
    if not given.user and is_ours is not None and is_ours(given):
        return True
    if request.method == "REGISTER":
        return canonical_host(given.host) in (canonical_host(wanted.host), realm.lower()) and _same_port(given, wanted)
    return (
        user_of(given) == user_of(wanted)
        and canonical_host(given.host) == canonical_host(wanted.host)
        and _same_port(given, wanted)
    )


def _same_port(one: SIPURI, other: SIPURI) -> bool:
    return one.port == other.port or {one.port, other.port} <= {None, 5060, 5061}


def user_of(uri: SIPURI) -> str:
    """Return the user part of *uri* with its escapes undone (RFC 3261 section 19.1.2), empty if there is none."""
    return unescape(uri.user) if uri.user else ""
