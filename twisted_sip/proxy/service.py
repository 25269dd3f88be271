"""The proxy service (RFC 3261 section 16): validation, routing, forwarding.

``route`` is the hook that a subclass overrides to change one decision and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.interfaces.routing import IForwardingPolicy, IRouter, Target
from twisted_sip.interfaces.services import IProxy
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import leave_proxy
from twisted_sip.message.uri import SIPURI
from twisted_sip.message.via import Via
from twisted_sip.proxy.branch import DIALOG_MAKING, forwarded_copy
from twisted_sip.proxy.location_router import LocationRouter
from twisted_sip.proxy.loop import SEPARATOR, is_loop, loop_part
from twisted_sip.proxy.record_route import FlowMark, RecordRouting
from twisted_sip.proxy.response_context import ResponseContext
from twisted_sip.proxy.settings import ProxySettings

#: What a router may give.
Routed = Sequence[Target] | Response


@implementer(IProxy, IRequestProcessor, IRouter)
class ProxyService(Service):
    """A stateful, forking, record-routing proxy; the last link of the chain.

    :param element: the element whose requests it forwards.
    :param location: where the bindings of our users are, None for a proxy without users of its own.
    :param routers: asked in order for requests that are not in a dialog; the first that gives targets or a response
        decides (an empty sequence passes the question on); the location router stands at the end.
    :param policies: have the last word on each branch and response.
    :param open_relay: forward what no earlier link of the chain has admitted, too. Leave this off: AdmissionProcessor, or a
        link of your own that sets ``incoming.admitted``, decides who may send what where.
    """

    name = "sip-proxy"

    def __init__(
        self,
        element: Element,
        location: ILocationStore | None = None,
        *,
        settings: ProxySettings | None = None,
        routers: Sequence[IRouter] = (),
        policies: Sequence[IForwardingPolicy] = (),
        open_relay: bool = False,
    ) -> None:
        self.element = element
        self.settings = settings or ProxySettings()
        self.location = location
        self.policies = list(policies)
        self.record_routing = RecordRouting(element.dialog_tokens)
        self.routers: list[IRouter] = [*routers]
        self.location_router = LocationRouter(element, location)
        self._open_relay = open_relay

    # -- hooks ---------------------------------------------------------------------------

    def route(self, incoming: IncomingRequest) -> Routed | Deferred[Routed]:
        """Decide where a request that is not in a dialog goes; override to decide otherwise.

        :return: the targets, or a response to send instead; or a Deferred of one of them.
        """
        for router in self.routers:
            found = router.route(incoming)
            if found:
                return found
        return self.location_router.route(incoming)

    def response_forwarded(self, response: Response, context: ResponseContext) -> None:
        """Called with each response before it goes upstream; override to look at it."""

    # -- the chain -------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Forward, or answer why not (section 16.3)."""
        request = incoming.request
        if not incoming.admitted and not self._open_relay:
            if request.method != "ACK":
                incoming.respond_statelessly(403)
            return TAKEN
        if request.method == "ACK":
            self._forward_ack(incoming)
            return TAKEN
        refusal = self._validate(request)
        if refusal is not None:
            return refusal
        if request.to.tag:
            return self._in_dialog(incoming)
        part = loop_part(request)
        if is_loop(request, part, self._is_own_via):
            return response_to(request, 482, "Loop Detected", to_tag=incoming.to_tag)
        mark = self.record_routing.path_mark(incoming.own_routes) if incoming.own_routes else None
        if mark is not None:
            return self._forward(incoming, [self._marked_target(request, mark)], part)
        if "route" in request.headers.names:
            # An admitted request with Routes of its own goes where they say (section 16.5: the Request-URI stays).
            return self._forward(incoming, [Target(uri=request.uri)], part)
        routed = self.route(incoming)
        if isinstance(routed, Deferred):
            return routed.addCallback(lambda found: self._routed(incoming, found, part))
        return self._routed(incoming, routed, part)

    def _validate(self, request: Request) -> Response | None:
        names = request.headers.names
        left = request.max_forwards
        if left == 0:
            return response_to(request, 483, to_tag=self.element.stateless_tag(request))
        if "proxy-require" in names:
            # Section 16.3 step 5: no proxy extension is supported here.
            unknown = request.headers.elements("proxy-require")
            if unknown:
                tag = self.element.stateless_tag(request)
                return response_to(request, 420, "", [("unsupported", ", ".join(unknown))], to_tag=tag)
        return None

    def _is_own_via(self, via: Via) -> bool:
        return self.element.domains.is_local(via.host, via.port)

    def _routed(self, incoming: IncomingRequest, found: Routed, part: str) -> Verdict:
        if isinstance(found, Response):
            return found
        if not found:
            return response_to(incoming.request, 480, to_tag=incoming.to_tag)
        return self._forward(incoming, found, part)

    def _in_dialog(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        request = incoming.request
        mark = self.record_routing.mark(request, incoming.own_routes) if incoming.own_routes else None
        if mark is not None:
            return self._forward(incoming, [self._marked_target(request, mark)], "")
        uri = request.uri
        if "route" not in request.headers.names and isinstance(uri, SIPURI) and self.element.domains.is_local_uri(uri):
            # A GRUU, or a Contact that names us: the location service knows more.
            routed = self.route(incoming)
            if isinstance(routed, Deferred):
                return routed.addCallback(lambda found: self._routed(incoming, found, ""))
            return self._routed(incoming, routed, "")
        return self._forward(incoming, [Target(uri=uri)], "")

    def _marked_target(self, request: Request, mark: FlowMark) -> Target:
        flow = self.flow_of(mark)
        return Target(uri=request.uri, flow=flow, flow_lost=flow is None, aor=mark.aor, key=mark.key)

    def flow_of(self, mark: FlowMark) -> Flow | None:
        """Return the open flow that *mark* names: itself, or the one that its binding has now; None if it is lost."""
        flow = self.element.transports.flow_from_token(mark.flow)
        if flow is None and mark.aor:
            return self.location_router.flow_of_binding(mark.aor, mark.key)
        return flow

    def _forward(self, incoming: IncomingRequest, targets: Sequence[Target], part: str) -> Verdict:
        request = incoming.request
        breadth = self.settings.max_breadth
        if "max-breadth" in request.headers.names:
            # RFC 5393 section 5.3.3.
            given = request.typed("max-breadth")
            if given < 1:
                return response_to(request, 440, to_tag=incoming.to_tag)
            breadth = min(breadth, given)
        suffix = SEPARATOR + part if part else ""
        mark, pinned = None, False
        if request.method in DIALOG_MAKING and not request.to.tag:
            # A stranger gets a token good for the two ends of this dialog alone: with the flows in it, the Request-URI of
            # a later request leads nowhere else.
            pinned = not incoming.user and not self.element.domains.is_local_uri(request.from_.uri)
            mark = FlowMark(incoming.flow.token) if pinned else self._caller_mark(incoming)
        ResponseContext(self, incoming, suffix, breadth, mark, pinned).start(targets)
        return TAKEN

    def _caller_mark(self, incoming: IncomingRequest) -> FlowMark | None:
        """Return the flow back to the caller if its Contact is unreachable as written, else None."""
        request, flow = incoming.request, incoming.flow
        headers = request.headers
        if request.to.tag or "contact" not in headers.names:
            return None
        if headers.count("via") > 1 or "," in headers.lines[headers.names.index("via")]:
            # It came through another proxy, whose Record-Route or Path leads back.
            return None
        if not flow.kind.stream:
            contacts = request.contacts
            uri = contacts[0].uri if contacts else None
            if isinstance(uri, SIPURI):
                host = uri.host.lower().strip("[]")
                if host == flow.remote.host and (uri.port or 5060) == flow.remote.port:
                    return None
            return FlowMark(flow.token)
        if not incoming.user:
            return FlowMark(flow.token)
        return FlowMark(flow.token, incoming.user, self.location_router.key_of_flow(incoming.user, flow.token))

    def _forward_ack(self, incoming: IncomingRequest) -> None:
        """Forward an ACK for a 2xx: a request without a response (sections 13.2.2.4 and 16.11)."""
        request = incoming.request
        if request.max_forwards == 0:
            return
        mark = self.record_routing.mark(request, incoming.own_routes) if incoming.own_routes else None
        if mark is None and self._ends_here(request):
            return
        target = Target(uri=request.uri) if mark is None else self._marked_target(request, mark)
        if target.flow_lost:
            return
        copy = forwarded_copy(request, target, self.settings.max_forwards)
        leave_proxy(copy)
        self.element.sender.send_ack(copy, flow=target.flow)

    def _ends_here(self, request: Request) -> bool:
        """Tell whether an ACK without a way of its own names us: it is for a response that we sent statelessly (section
        26.3.2.4), and forwarded it would come back until its Max-Forwards are used up."""
        return "route" not in request.headers.names and self.element.domains.is_local_uri(request.uri)

    def add_path(self, request: Request, incoming: IncomingRequest) -> None:
        """Put our Path into a REGISTER that goes to another registrar (RFC 3327 section 5.2, RFC 5626 section 5.1)."""
        if "path" not in [tag.lower() for tag in request.headers.elements("supported")]:
            return
        try:
            outbound = any("reg-id" in contact.params for contact in request.contacts)
        except RemoteProtocolError:
            outbound = False
        value = self.record_routing.path(incoming.flow, FlowMark(incoming.flow.token), outbound)
        request.headers.prepend("path", value)

    def describe(self) -> dict[str, Any]:
        """Return what a status listing shows."""
        return {"record_route": self.settings.record_route, "fork": self.settings.fork}
