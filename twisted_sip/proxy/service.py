"""The proxy service (RFC 3261 section 16): validation, routing, forwarding.

``route`` is the hook that a subclass overrides to change one decision and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from inspect import isawaitable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface import implementer

from twisted_sip.element.by_method import ByMethod
from twisted_sip.element.caller_preferences import FIELDS, disposition_of, preferred
from twisted_sip.element.element import Element
from twisted_sip.element.history import RequestHistory, history_of
from twisted_sip.element.redirection import redirection
from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.interfaces.routing import Guard, IForwardingPolicy, IRouter, Target
from twisted_sip.interfaces.services import IProxy
from twisted_sip.message.builders import response_to
from twisted_sip.message.caller_preferences import RequestDisposition
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import leave_proxy
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.message.via import Via
from twisted_sip.proxy.branch import DIALOG_LESS, PASSES, forwarded_copy
from twisted_sip.proxy.diversion import believed
from twisted_sip.proxy.expansion import expand
from twisted_sip.proxy.location_router import LocationRouter
from twisted_sip.proxy.loop import ONE_LESS, ROUTING_FIELDS, SEPARATOR, hops_used, is_loop, loop_part
from twisted_sip.proxy.notes import BREADTH, BY_PATH, BY_ROUTE, LEAVES, LOOP, NO_SIPS, STAYS, note_refusal
from twisted_sip.proxy.one_target import forward_to_one
from twisted_sip.proxy.privacy import privacy_refusal
from twisted_sip.proxy.record_route import FlowMark, RecordRouting
from twisted_sip.proxy.response_context import ResponseContext
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.sips import fit_scheme, sips_warning
from twisted_sip.proxy.target_groups import as_written
from twisted_sip.proxy.upstream import Upstream

#: The usual types of targets; to ask whether something can be awaited takes longer than all the rest.
_AT_ONCE = (tuple, list)

#: Tells that a request has none of the header fields that change how it is forwarded; the second, nor any of those that
#: change where it goes or whether.
_CHANGING = (*FIELDS, "max-breadth", "history-info", "privacy")
_USUAL = frozenset(_CHANGING).isdisjoint
_PLAIN = frozenset((*_CHANGING, *ROUTING_FIELDS, "diversion")).isdisjoint

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
    :param open_relay: forward what no earlier link of the chain has admitted, too. Leave this off: AdmissionProcessor,
        or a link of your own that sets ``incoming.admitted``, decides who may send what where.
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
        if self.settings.timer_c >= element.timer_values.client_limit:
            # The transactions would end before Timer C fires, and nobody would cancel what rings.
            raise LocalProtocolError(
                f"timer_c of {self.settings.timer_c} s is longer than transactions last: see TimerValues.timer_c"
            )
        self.location = location
        self.policies = list(policies)
        #: Told of each request that goes nowhere, and what it is answered.
        self.refusals = [policy.refused for policy in policies if hasattr(policy, "refused")]
        self.record_routing = RecordRouting(element.dialog_tokens)
        self.routers: list[IRouter] = [*routers]
        self._routers: ByMethod[Any] = ByMethod("route")
        self._policies: ByMethod[Any] = ByMethod("branch", "response")
        self.location_router = LocationRouter(element, location, wakes=True)
        self.guard: Guard | None = None
        self._open_relay = open_relay

    # -- hooks ---------------------------------------------------------------------------

    def route(self, incoming: IncomingRequest) -> Routed | Awaitable[Routed]:
        """Decide where a request that is not in a dialog goes; override to decide otherwise, as a coroutine if need be.

        :return: the targets, or a response to send instead; or what can be awaited for one of them. Targets that are
            users of ours stand for their contacts.
        """
        request = incoming.request
        by_method = self._routers
        if by_method.seen != self.routers:
            by_method.follow(self.routers)
        routers: Sequence[IRouter] = by_method[request.method]
        if routers and ";" in request.uri_text and _is_gruu(request.uri):
            if self.element.domains.is_local_uri(request.uri):
                # RFC 5627 section 6.1: a GRUU is not forwarded to others. Who may call it is asked all the same.
                routers = [router for router in routers if getattr(router, "screens", False)]
        others = iter(routers)
        for router in others:
            found = router.route(incoming)
            if type(found) is list or type(found) is tuple:
                if found:
                    return found
            elif isawaitable(found):
                return Deferred.fromCoroutine(self._route_on(incoming, found, others))
            elif found:
                return found
        # As route() of it.
        return self.location_router.find(incoming, request.known_uri or request.uri)

    async def _route_on(
        self, incoming: IncomingRequest, answer: Awaitable[Routed], others: Iterable[IRouter]
    ) -> Routed:
        """Wait for the *answer* of one router, then ask the *others*, and at the end the location router."""
        found = await answer
        for router in (*others, self.location_router):
            if found:
                break
            asked: Any = router.route(incoming)
            found = await asked if isawaitable(asked) else asked
        return found

    def response_forwarded(self, response: Response, context: Upstream) -> None:
        """Called with each response before it goes upstream; override to look at it."""

    def policies_for(self, method: str, in_dialog: bool) -> Sequence[IForwardingPolicy]:
        """Return the policies that care for requests of *method*: all in a dialog, which may be one that they know."""
        by_method = self._policies
        if by_method.seen != self.policies:
            by_method.follow(self.policies)
        return by_method.seen if in_dialog else by_method[method]

    # -- the chain -------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Forward, or answer why not (section 16.3)."""
        request = incoming.request
        if not incoming.admitted and not self._open_relay:
            if request.method != "ACK":
                incoming.respond_statelessly(403)
            return TAKEN
        method = request.method
        if method == "ACK":
            return self._ack(incoming)
        headers = request.headers
        names = headers.names
        plain = _PLAIN(names)
        if not plain or "max-forwards" not in names or headers.lines[names.index("max-forwards")] not in ONE_LESS:
            # Not the usual one, which has nothing that could be wrong.
            refusal = self._validate(request)
            if refusal is not None:
                return note_refusal(incoming, refusal)
        if (headers.parsed.get("to") or request.to).tag:
            return self._in_dialog(incoming)
        part = loop_part(request, plain)
        if (names.count("via") != 1 or "," in headers.lines[names.index("via")]) and is_loop(
            request, part, self._is_own_via
        ):
            incoming.note("proxy", LOOP)
            return response_to(request, 482, "Loop Detected", to_tag=incoming.to_tag)
        mark = self.record_routing.path_mark(incoming.own_routes) if incoming.own_routes else None
        if mark is not None:
            incoming.note("proxy", BY_PATH)
            return self._forward(incoming, [self._marked_target(request, mark)], part)
        uri = request.known_uri or request.uri
        if (not plain and "route" in names) or (";" in request.uri_text and isinstance(uri, SIPURI) and uri.maddr):
            # An admitted request with Routes of its own goes where they say, one with maddr there (section 16.5).
            incoming.note("proxy", BY_ROUTE)
            return self._forward(incoming, [Target(uri=uri)], part)
        routed: Any = self.route(incoming)
        if type(routed) not in _AT_ONCE:
            return self._follow(incoming, routed, part)
        if plain and len(routed) == 1 and method in PASSES:
            # Most requests: the usual case of _routed() and _forward().
            target = routed[0]
            if (target.flow is not None or not self.element.domains.is_local_uri(target.uri)) and forward_to_one(
                self, incoming, target, SEPARATOR + part, False
            ):
                return TAKEN
        # The usual case of _follow().
        return self._routed(incoming, routed, part)

    def _follow(self, incoming: IncomingRequest, routed: Any, part: str) -> Verdict | Deferred[Verdict]:
        """Go on with what a router has found, or will find."""
        if type(routed) in _AT_ONCE or isinstance(routed, Response) or not isawaitable(routed):
            return self._routed(incoming, routed, part)
        if not isinstance(routed, Deferred):
            routed = ensureDeferred(routed)  # type: ignore[arg-type]
        return routed.addCallback(lambda found: self._routed(incoming, found, part))  # type: ignore[no-any-return]

    def _validate(self, request: Request) -> Response | None:
        if hops_used(request):
            return response_to(request, 483, to_tag=self.element.stateless_tag(request))
        if "proxy-require" in request.headers.names:
            # Section 16.3 step 5: RFC 3323 and RFC 3841 (section 5) are supported here.
            required = request.headers.elements("proxy-require")
            unknown = [tag for tag in required if tag.lower() not in ("privacy", "pref")]
            if unknown:
                tag = self.element.stateless_tag(request)
                return response_to(request, 420, "", [("unsupported", ", ".join(unknown))], to_tag=tag)
        return None

    def _is_own_via(self, via: Via) -> bool:
        return self.element.domains.is_local(via.host, via.port)

    def _routed(self, incoming: IncomingRequest, found: Routed, part: str) -> Verdict | Deferred[Verdict]:
        if isinstance(found, Response):
            return self._refused(incoming, found)
        is_local_uri = self.element.domains.is_local_uri
        for target in found:
            if target.flow is None and not target.path and is_local_uri(target.uri):
                expanded = Deferred.fromCoroutine(self.expanded(incoming, found))
                return expanded.addCallback(lambda targets: self._forward_any(incoming, targets, part))
        return self._forward(incoming, found, part) if found else self._forward_any(incoming, found, part)

    async def expanded(self, incoming: IncomingRequest, targets: Sequence[Target]) -> Routed:
        """Return *targets* with the contacts of our users in place of the users; see expand()."""
        return await expand(targets, incoming, self.location_router, self.element.domains.is_local_uri, self.routers)

    def _forward_any(self, incoming: IncomingRequest, targets: Routed, part: str) -> Verdict:
        found = targets or response_to(incoming.request, 480, to_tag=incoming.to_tag)
        return self._refused(incoming, found) if isinstance(found, Response) else self._forward(incoming, found, part)

    def _refused(self, incoming: IncomingRequest, response: Response) -> Response:
        for tell in self.refusals:
            tell(incoming, response)
        return response

    def _in_dialog(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        request = incoming.request
        uri = request.uri
        local = isinstance(uri, SIPURI) and self.element.domains.is_local_uri(uri)
        if not (local and _is_gruu(uri)) or self.record_routing.held(incoming.own_routes):
            mark = self._mark(incoming)
            if mark is not None:
                return self._forward(incoming, self._to_wake(request, (self._marked_target(request, mark),)), "")
            if not local or "route" in request.headers.names:
                return self._forward(incoming, self._to_wake(request, as_written(request)), "")
        # A GRUU, or a Contact that names us: the location service knows more (RFC 5627 section 6.1). What it knows may
        # lead back here, To tag or not (RFC 5393).
        part = loop_part(request)
        if is_loop(request, part, self._is_own_via):
            return response_to(request, 482, "Loop Detected", to_tag=incoming.to_tag)
        return self._follow(incoming, self.location_router.route(incoming), part)

    def _to_wake(self, request: Request, targets: tuple[Target, ...]) -> Sequence[Target]:
        """Return the *targets* of a request in a dialog, with those that sleep to be woken first (RFC 8599)."""
        router = self.location_router
        if router.waker is None or "pn-purr" not in request.uri_text:
            return targets
        return [router.in_dialog(request, target) for target in targets]

    def _mark(self, incoming: IncomingRequest) -> FlowMark | None:
        routes = incoming.own_routes
        return self.record_routing.mark(incoming.request, routes, incoming.flow, self.flow_of) if routes else None

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
        method = request.method
        breadth = self.settings.max_breadth
        suffix = SEPARATOR + part if part else ""
        in_dialog = bool((request.headers.parsed.get("to") or request.to).tag)
        # Most requests have none of those header fields, asked for in one go.
        plain = _PLAIN(request.headers.names)
        if plain and len(targets) == 1 and method in PASSES:
            if forward_to_one(self, incoming, targets[0], suffix, in_dialog):
                return TAKEN
        usual = plain or _USUAL(request.headers.names)
        breadth_given = not usual and "max-breadth" in request.headers.names
        if breadth_given:
            # RFC 5393 section 5.3.3.
            given = request.typed("max-breadth")
            if given < 1:
                incoming.note("proxy", BREADTH, "proxy.max_breadth")
                return response_to(request, 440, to_tag=incoming.to_tag)
            breadth = min(breadth, given)
        if not usual:
            refusal = privacy_refusal(incoming)
            if refusal is not None:
                return self._refused(incoming, refusal)
        targets = fit_scheme(request, targets)
        if not targets:
            incoming.note("proxy", NO_SIPS)
            warning = sips_warning(incoming)
            return self._refused(incoming, response_to(request, 480, "", [warning], to_tag=incoming.to_tag))
        mark, pinned = None, False
        disposition: RequestDisposition | None = None
        history: RequestHistory | None = None
        if not in_dialog:
            if not usual or method == "INVITE":
                history = history_of(incoming, self.settings.history_info, believed(incoming, self.settings))
            if not usual or len(targets) > 1:
                targets = preferred(incoming, targets)
                disposition = disposition_of(incoming, self.element.domains.is_local_uri)
                if not targets:
                    return self._refused(incoming, response_to(request, 480, to_tag=incoming.to_tag))
                if (
                    disposition is not None
                    and "redirect" in disposition
                    and (incoming.user or self.element.domains.is_local_uri(request.from_.uri))
                ):
                    # Strangers do not learn from us where somebody is; they are put through.
                    return self._refused(incoming, redirection(incoming, targets, history=history))
        if method not in DIALOG_LESS and (not in_dialog or method == "NOTIFY"):
            # A stranger gets a token good for the two ends of this dialog alone: with the flows in it, the Request-URI
            # of a later request leads nowhere else.
            pinned = (not incoming.user and not self.element.domains.is_local_uri(request.from_.uri)) or (
                in_dialog and self.record_routing.held(incoming.own_routes)
            )
            mark = self.record_routing.caller_mark(
                incoming, pinned, self.element.domains.is_local_uri, self.location_router.key_of_flow
            )
            incoming.note("proxy", STAYS if self.settings.record_route else LEAVES, "proxy.record_route")
        policies = self.policies_for(method, in_dialog)
        context = ResponseContext(self, incoming, suffix, breadth, breadth_given, in_dialog, mark, pinned, policies)
        context.disposition, context.history = disposition, history
        context.start(targets)
        return TAKEN

    def _ack(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Forward an ACK for a 2xx: a request without a response (sections 13.2.2.4 and 16.11)."""
        request = incoming.request
        if hops_used(request):
            return TAKEN
        uri = request.uri
        local = "route" not in request.headers.names and self.element.domains.is_local_uri(uri)
        if not (local and _is_gruu(uri)) or self.record_routing.held(incoming.own_routes):
            mark = self._mark(incoming)
            if mark is not None:
                return self._forward_ack(incoming, [self._marked_target(request, mark)])
            if not local:
                return self._forward_ack(incoming, as_written(request))
        if not any(route.user for route in incoming.own_routes) and (
            not _is_gruu(uri) or request.to.tag == self.element.stateless_tag(request)
        ):
            # Without a token it is for a stateless response of ours (section 26.3.2.4), and would come back until there
            # are no hops left. But who has a GRUU is reached by way of us even where we do not record-route.
            return TAKEN
        found = self.location_router.route(incoming)
        if isinstance(found, Deferred):
            return found.addCallback(lambda targets: self._forward_ack(incoming, targets))
        return self._forward_ack(incoming, found)

    def _forward_ack(self, incoming: IncomingRequest, found: Routed) -> Verdict:
        request = incoming.request
        if isinstance(found, Response):
            return TAKEN
        is_local_uri = self.element.domains.is_local_uri
        for target in fit_scheme(request, found):
            if not target.flow_lost and (target.flow is not None or target.path or not is_local_uri(target.uri)):
                break
        else:
            return TAKEN
        copy = forwarded_copy(request, target, self.settings.max_forwards)
        for policy in self.policies:
            policy.branch(copy, target, incoming)
        strict = leave_proxy(copy) if "route" in copy.headers.names else None
        self.element.sender.send_ack(copy, flow=target.flow, uri=strict, secure_required=target.secure)
        return TAKEN


def _is_gruu(uri: URI) -> bool:
    # The text tells at once where there are no parameters.
    return isinstance(uri, SIPURI) and ";" in uri.text and "gr" in uri.params
