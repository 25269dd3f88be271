"""Where a redirection leads (RFC 3261 section 8.1.3.4)."""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI


def redirection_targets(response: Response) -> list[SIPURI]:
    """Return where a 3xx *response* leads, best first; what cannot be called or read is left out."""
    try:
        contacts = sorted(response.typed("contact"), key=lambda contact: -contact.q)
    except RemoteProtocolError:
        return []
    found = []
    for contact in contacts:
        if contact.address is None:
            continue
        try:
            uri = contact.address.uri
        except RemoteProtocolError:
            continue
        if isinstance(uri, SIPURI):
            found.append(uri.replace(headers="", params=uri.params.without("method")))
    return found
