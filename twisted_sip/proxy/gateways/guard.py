"""Who wants to go by a gateway takes a route: the routes say who may call what, and who pays for it.

Users may send requests to other places (RFC 3261 section 16.5). To name a gateway in a Request-URI, a Route, a maddr, a
Path, a Contact or a record of their own name servers would lead them past all routes.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.hosts import canonical_host
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import next_hop
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.gateways.live import LiveGateway
from twisted_sip.transport.resolver_selection import numeric_host


class GatewayGuard:
    """Refuses requests that go to a gateway though no route leads there.

    :param gateways: all that there are.
    """

    def __init__(self, gateways: Iterable[LiveGateway]) -> None:
        self._gateways = gateways

    def __call__(self, request: Request, target: Target, address: Address, incoming: IncomingRequest) -> None:
        """Look at *request*, which is in no dialog and about to leave for *address*.

        :raises RemoteProtocolError: it may not go there (403).
        """
        if target.failover is not None or target.configured or target.flow is not None:
            return
        binding = target.binding
        if binding is not None and binding.received.partition(":")[2] == str(address):
            # It has registered from there itself; others on its host, or behind the same NAT, have other ports.
            return
        uri = next_hop(request)
        for gateway in self._gateways:
            if _is_at(gateway, address) or _is_called(gateway, uri):
                incoming.note("gateway", "403: {0} is reached by routes alone", gateway.key, gateway.settings.label)
                raise RemoteProtocolError("Forbidden", status=403)


def gateway_named(gateways: Iterable[LiveGateway], uri: URI) -> LiveGateway | None:
    """Return which of *gateways* the host and port of *uri* mean, as far as that tells; None for none of them."""
    if not isinstance(uri, SIPURI):
        return None
    host = uri.maddr or uri.host
    addresses = [Address(host.strip("[]"), port) for port in ((uri.port,) if uri.port else (5060, 5061))]
    for gateway in gateways:
        if _is_called(gateway, uri) or (numeric_host(host) and any(_is_at(gateway, each) for each in addresses)):
            return gateway
    return None


def _is_at(gateway: LiveGateway, address: Address) -> bool:
    """Tell whether *gateway* is known to be at *address*."""
    if canonical_host(address.host).strip("[]") not in gateway.addresses:
        return False
    port = gateway.uri.port
    if port is None and not numeric_host(gateway.uri.host):
        # SRV records say which.
        return True
    return address.port in ((5060, 5061) if port is None else (port,))


def _is_called(gateway: LiveGateway, uri: URI) -> bool:
    """Tell whether *uri* has the name of *gateway*."""
    if not isinstance(uri, SIPURI) or numeric_host(gateway.uri.host):
        return False
    known = gateway.uri.port, uri.port
    same = known[0] == known[1] or None in known
    return same and canonical_host(uri.maddr or uri.host) == canonical_host(gateway.uri.host)
