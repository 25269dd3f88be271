"""Whether a dialog goes by way of the servers that an account is registered at.

There a GRUU is the Contact (RFC 5627 section 4.4). A peer that talks with us past them may have no way to the GRUU's
domain, and then the Contact is the address that it has reached, or is reached from (RFC 3261 section 8.1.1.8).
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sip.agent.account import Account
from twisted_sip.agent.registration import Registration
from twisted_sip.agent.screening import is_same_way
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import next_hop
from twisted_sip.message.uri import SIPURI
from twisted_sip.transport.listener import bare, is_numeric


def came_by_registration(account: Account, request: Request, flow: Flow, servers: Iterable[str] = ()) -> bool:
    """Tell whether *request*, which has come by *flow*, came by way of the servers of *account*.

    It came over a flow of the registration, from their address with a Via besides that of its sender, or they want to
    stay in the route (Record-Route).

    :param servers: numeric addresses of further servers of ours.
    """
    registration = account.registration
    if registration is None:
        return False
    if any(known.flow == flow for known in registration.flows if known.flow is not None):
        return True
    ways = [known.flow for known in registration.flows if known.flow is not None]
    ours = flow.remote.host in servers or any(is_same_way(known, flow) for known in ways)
    if ours and len(request.headers.elements("via")) > 1:
        return True
    places = _places(registration)
    return any(_place(value) in places for value in request.headers.elements("record-route"))


def leaves_by_registration(account: Account, request: Request, flow: Flow) -> bool:
    """Tell whether *request*, which leaves by *flow* and begins a dialog, goes by way of the servers of *account*: over
    a flow of the registration, along its route, or to the registrar."""
    registration = account.registration
    if registration is None:
        return False
    for known in registration.flows:
        if known.flow is not None and (known.flow == flow or known.flow.remote == flow.remote):
            return True
    try:
        hop = next_hop(request)
    except RemoteProtocolError:
        return False
    return isinstance(hop, SIPURI) and (bare(hop.host).lower(), hop.port or 0) in _places(registration)


def _places(registration: Registration) -> set[tuple[str, int]]:
    """Return host and port of each server of *registration*, as they are known; port 0 stands for none."""
    found: set[tuple[str, int]] = set()
    for uri in (registration.registrar, *(known.proxy for known in registration.flows)):
        if uri is not None:
            found.add((bare(uri.host).lower(), uri.port or 0))
    domain = registration.aor.host.lower()
    if not is_numeric(bare(domain)):
        # At an address of their own others may listen as well.
        found.add((domain, registration.aor.port or 0))
    for value in registration.route:
        found.add(_place(value))
    for known in registration.flows:
        if known.flow is not None:
            host, port = known.flow.remote
            found.add((host, port))
            if port == (5061 if known.flow.kind.secure else 5060):
                found.add((host, 0))
    return found


def _place(value: str) -> tuple[str, int]:
    """Return host and port that a Route or Record-Route value names."""
    try:
        uri = NameAddr.parse(value).uri
    except RemoteProtocolError:
        return "", 0
    return (bare(uri.host).lower(), uri.port or 0) if isinstance(uri, SIPURI) else ("", 0)
