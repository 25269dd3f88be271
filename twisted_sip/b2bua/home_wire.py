"""How messages leave to phones whose registrar we are: where they are we know better than their Contact.

RFC 5627 section 6.1 (a GRUU of our domain leads to us and to nobody else), RFC 5626 section 5.3 (flows through NATs).
An INVITE gets to a gateway by a route alone, whatever name has led there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.agent.wire import Wire
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import apply_route_set
from twisted_sip.message.uri import SIPURI, URI

if TYPE_CHECKING:
    from twisted_sip.b2bua.noting import Noting
    from twisted_sip.b2bua.routing import Routing
    from twisted_sip.interfaces.routing import Target


class HomeWire(Wire):
    """A Wire of a leg.

    :ivar routing: knows where registered phones are.
    :ivar target: where our INVITE went, None for a call that has come in.
    :ivar told: keeps what is decided about our INVITE: the request that it is for, None where there was none.
    """

    routing: Routing | None = None
    target: Target | None = None
    told: Noting | None = None

    def put_contact(self, request: Request, flow: Flow, *, within: bool) -> None:
        """See Wire.

        :raises RemoteProtocolError: an INVITE may not go there (403).
        """
        if not within and self.routing is not None and self.target is not None and request.method == "INVITE":
            self.routing.check_way(request, self.target, flow.remote, self.told)
        super().put_contact(request, flow, within=within)

    def way_within(self, request: Request) -> Flow | None:
        """See Wire; a GRUU of ours is replaced by where its device is."""
        uri, routing, target = request.uri, self.routing, self.target
        if routing is None or not isinstance(uri, SIPURI):
            return super().way_within(request)
        if ";" in uri.text and "gr" in uri.params and routing.is_ours(uri):
            device = routing.device(uri) or target
            if device is None:
                # By the way that its INVITE has come.
                return self.straight
            apply_route_set(request, device.path, str(device.uri))
            return None if device.path else routing.flow_of(device)
        if target is not None and target.flow is not None and _same_place(uri, target.uri):
            # A Contact behind a NAT leads nowhere: that is why there is a flow.
            return routing.flow_of(target)
        return super().way_within(request)


def _same_place(uri: SIPURI, other: URI) -> bool:
    return isinstance(other, SIPURI) and (uri.host.lower(), uri.port) == (other.host.lower(), other.port)
