"""Senders whose certificate says who they are, and who register for others.

RFC 5922 section 7.4 (what certificates prove is for policy to use), RFC 3261 sections 10.2 and 10.3 (third parties).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted_sip.element.admission_seams import ThirdPartyRule
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.hosts import canonical_host
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI, parse_uri


def certified(flow: Flow, identity: SIPURI, anonymous: bool) -> SIPURI | None:
    """Return whom the client of *flow* has proved to be by its certificate, None if that is not *identity*.

    :param anonymous: any user in the domain of *identity* will do.
    """
    proved: Any = getattr(flow, "proved", None)
    if not proved:
        return None
    users, domains = proved
    host = canonical_host(identity.host)
    if not anonymous:
        return identity if identity.address_of_record in users or host in domains else None
    for user in users:
        uri = parse_uri(user)
        if isinstance(uri, SIPURI) and uri.host == host:
            return uri
    return None


def speaks_for(flow: Flow, uri: URI) -> bool:
    """Tell whether the client of *flow* is the server of the domain in *uri*, which is none of ours."""
    if not isinstance(uri, SIPURI):
        return False
    host = canonical_host(uri.host)
    proved: Any = getattr(flow, "proved", None)
    return host in flow.identities or (proved is not None and host in proved[1])


def registrant_of(request: Request, user: URI, rules: Iterable[ThirdPartyRule]) -> URI:
    """Return who has to prove who it is for a REGISTER for *user*: the user, or a third party that may do that."""
    sender = request.from_.uri
    if isinstance(sender, SIPURI) and isinstance(user, SIPURI):
        registrant, aor = sender.address_of_record, user.address_of_record
        if registrant != aor and any(rule.allows(registrant, aor) for rule in rules):
            return sender
    return user
