"""One branch of a forwarded request: the copy that goes to one target, and Timer C (RFC 3261 section 16.6).

The copy is made once for each attempt, since failover may take it over another flow with other Record-Route values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from twisted_sip.element.straight import StraightUser
from twisted_sip.errors import RemoteProtocolError, TransactionLimitReached
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.routing import RingTime, Target
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.message.methods import METHODS
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import leave_proxy
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.diversion import divert, leave_out_hearsay
from twisted_sip.proxy.loop import ONE_LESS
from twisted_sip.proxy.notes import ATTEMPT, NEXT_SERVER, RANG, SILENT, note_outcome
from twisted_sip.proxy.record_route import FREE, GUARDED, PINNED, FlowMark
from twisted_sip.proxy.sips import sips_warning

if TYPE_CHECKING:
    from twisted_sip.proxy.response_context import ResponseContext

_log = Logger()

#: Methods that make no dialog. Of others nobody knows: they are record-routed (RFC 3261 section 16.6 step 4).
DIALOG_LESS = frozenset(METHODS) - {"INVITE", "SUBSCRIBE", "REFER", "NOTIFY"}

_EVER = float("inf")

#: Seconds that sums of times may be wrong by.
_HAIR = 1e-4

#: Methods whose requests need nothing that depends on the flow.
PASSES = DIALOG_LESS - {"REGISTER"}


class Branch(StraightUser):
    """One branch; the user of one Outgoing, or of its client transaction where the way is straight.

    :ivar target: where it goes.
    :ivar final: the final response it ended with (one made here for a timeout or a lost transport), None while it
        goes on.
    """

    __slots__ = (
        "_context",
        "_expired",
        "_heard",
        "_proceeding",
        "_timer_c",
        "breadth",
        "final",
        "outgoing",
        "target",
    )

    def __init__(self, context: ResponseContext, target: Target, breadth: int) -> None:
        self._context = context
        self.target = target
        self.breadth = breadth
        self.final: Response | None = None
        self.outgoing: Any = None
        self.transaction = None
        self.cancelled = False
        self._timer_c: Any = None
        # When Timer C began anew last, infinitely long ago if it has not.
        self._heard = -_EVER
        self._proceeding = False
        self._expired = False

    def start(self) -> None:
        """Make the copy and send it."""
        context = self._context
        target = self.target
        service = context.service
        request = forwarded_copy(context.request, target, service.settings.max_forwards)
        # RFC 5393 section 5.3.3: every proxied request has one.
        headers = request.headers
        if context.breadth_given:
            headers.set("max-breadth", str(self.breadth))
        else:
            headers.names.append("max-breadth")
            headers.lines.append(f"Max-Breadth: {self.breadth}")
        if "diversion" in headers.names or "history-info" in headers.names:
            leave_out_hearsay(request, target, context.incoming, service.settings, context.history is not None)
        if target.steps:
            divert(request, target, service.settings.diversion)
        if context.history is not None:
            context.history.sent(request, target, self)
        for policy in context.policies:
            policy.branch(request, target, context.incoming)
        if context.calls:
            limit = target.no_answer or service.settings.timer_c
            self._timer_c = service.element.timers.start(limit, self._timer_c_fired)
        self.send(request)

    def send(self, request: Request) -> None:
        """Send *request*, the copy for the target."""
        context, target = self._context, self.target
        sender, suffix = context.service.element.sender, context.loop_suffix
        strict = None
        if "route" in request.headers.names:
            strict = leave_proxy(request)
        elif not target.secure and sender.start_straight(request, self, target.flow, suffix):
            return
        outgoing = self.outgoing = sender.send(
            request, self, flow=target.flow, uri=strict, secure_required=target.secure, branch_suffix=suffix
        )
        if outgoing.destination is not None:
            # It was known at once; else prepare() is to tell.
            self._note_way(ATTEMPT, outgoing.destination.kind, outgoing.destination.address)

    def not_sent(self, error: Exception) -> None:
        """The branch was not started because of *error*, which is being handled."""
        if isinstance(error, RemoteProtocolError):
            self.failed(None, error.status, error.reason)
            return
        # A policy, or what a target says, is wrong: the other branches go on.
        _log.failure("a branch was not sent: {target}", target=self.target)
        self.failed(None, 500, "Server Internal Error")

    def cancel(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Give the branch up: CANCEL for an INVITE (section 16.10); other requests run out by themselves."""
        if self.final is None and not self.cancelled and self._context.request.method == "INVITE":
            self.cancelled = True
            self._cancel_sent(headers)

    def _cancel_sent(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        if self.transaction is not None:
            self.sender.transactions.cancel(self.transaction, headers)
        elif self.outgoing is not None:
            self.outgoing.cancel(headers)

    @property
    def rang_out(self) -> bool:
        """True once it was cancelled since nobody has answered in time."""
        return self._expired

    @property
    def alerted(self) -> bool:
        """True once a provisional response other than 100 has come."""
        return self._heard > -_EVER

    def end(self) -> None:
        """Stop what is pending here."""
        if self._timer_c is not None:
            self._timer_c.cancel()
            self._timer_c = None

    # -- the user of an Outgoing, or of a client transaction ------------------------------

    def prepare(self, request: Request, flow: Flow) -> None:
        """Add what depends on the flow that *request* leaves by: Record-Route or Path."""
        if self.outgoing is not None:
            # Not the usual way: a name was looked up, or a server has failed.
            self._note_way(NEXT_SERVER if self.outgoing.failed_once else ATTEMPT, flow.kind, flow.remote)
        context = self._context
        service = context.service
        if service.guard is not None and not context.in_dialog:
            service.guard(request, self.target, flow.remote, context.incoming)
        if request.method in PASSES:
            return
        if makes_dialog(request.method):
            if service.settings.record_route and (not context.in_dialog or request.method == "NOTIFY"):
                headers = request.headers
                values = service.record_routing.values(request, context.incoming.flow, flow, *self._marks(flow))
                for value in reversed(values):
                    # As prepend(), which checks what it is given: these were made here.
                    headers.names.insert(0, "record-route")
                    headers.lines.insert(0, f"Record-Route: {value}")
                headers.parsed.pop("record-route", None)
        elif request.method == "REGISTER":
            service.record_routing.add_path(request, context.incoming.flow)

    def _note_way(self, text: str, kind: TransportKind, address: Address) -> None:
        self._context.incoming.note("proxy", text, "", str(self.target.uri), f"{kind.parameter} {address}")

    def _marks(self, goes: Flow) -> tuple[FlowMark | None, FlowMark | None, tuple[str, str]]:
        """Return the flows to both sides for the tokens of the dialog, and how far those tokens reach."""
        context, target = self._context, self.target
        caller, callee = context.caller_mark, None
        if target.flow is not None and not target.path:
            callee = FlowMark(target.flow.token, target.aor, target.key)
        if context.pinned:
            return caller, callee or FlowMark(goes.token), PINNED
        if target.aor and (callee or context.service.location_router.is_flow_of_binding(target.aor, target.key, goes)):
            return caller, callee, FREE
        # It does not go to a phone of ours: what that stranger gets is good for this dialog alone.
        return caller or FlowMark(context.incoming.flow.token), callee or FlowMark(goes.token), GUARDED

    def response_received(self, outgoing: Any, response: Response) -> None:
        """A response of the server (section 16.7)."""
        status = response.status
        transaction = self.transaction
        if transaction is not None:
            if status == 503 or self.sender.dead_targets.marks:
                self.note_answer(response)
            if status >= 200:
                self.transaction = None
                transaction.forget()
        if status < 200:
            self._proceeding = True
            if status > 100:
                # Section 16.7 step 2; the timer that is running sees to it.
                self._heard = self._context.service.element.timers.now()
                self._context.provisional(self, response)
            return
        if self._timer_c is not None:
            self.end()
        again = self.final is not None
        if self._expired and self.target.no_answer and status == 487 and not again:
            # It is we who have cancelled it: as if it had not answered (section 16.8).
            response = self._context.local_response(408, "")
        self.final = response
        if status >= 300 and not again:
            note_outcome(self, self._context.incoming, status, response.reason, response.flow is not None)
        # There is nothing to cancel any more, and who is done with each other shall go without the garbage collector.
        self.outgoing = None
        self._context.final(self, response, again)

    def failed(self, outgoing: Any, status: int, reason: str) -> None:
        """No server answered: 408 after a timeout, 503 without a way (section 16.9)."""
        if self.final is not None:
            return
        self.end()
        context = self._context
        headers: list[tuple[str, str]] = []
        if self._expired:
            status, reason = 408, "Request Timeout"
        elif status == 503:
            if outgoing is not None and isinstance(outgoing.error, TransactionLimitReached):
                headers.append(("retry-after", "10"))
            elif self.target.flow is not None:
                # RFC 5626 section 5.3.1: the flow to the client is gone.
                status, reason = 430, "Flow Failed"
        elif status == 480:
            # RFC 5630 section 5.3: no secure way to where sips is asked for.
            headers.append(sips_warning(context.incoming, self.target.secure))
        note_outcome(self, context.incoming, status, reason, False)
        self.final = context.local_response(status, reason, headers)
        context.final(self, self.final, False)

    def _timer_c_fired(self) -> None:
        """Section 16.8; or it has rung for as long as it may."""
        service = self._context.service
        timers = service.element.timers
        left = self._heard + service.settings.timer_c - timers.now()
        if left > _HAIR and not self.target.no_answer:
            self._timer_c = timers.start(left, self._timer_c_fired)
            return
        self._timer_c = None
        given = self.target.no_answer
        key = given.key if isinstance(given, RingTime) else "" if given else "proxy.timer_c"
        rung = f"{given or service.settings.timer_c:g}"
        text = RANG if self._proceeding else SILENT
        self._context.incoming.note("proxy", text, key, str(self.target.uri), rung)
        if self._proceeding:
            # Its end comes with the response to the CANCEL, or when there is none.
            self._expired = True
            self.cancel()
        else:
            self._cancel_sent()
            self.failed(self.outgoing, 408, "Request Timeout")


def makes_dialog(method: str) -> bool:
    """Tell whether a request of *method* makes a dialog, or may (RFC 3261 section 12, RFC 6665 section 4, RFC 3515)."""
    return method not in DIALOG_LESS


def forwarded_copy(request: Request, target: Target, max_forwards: int) -> Request:
    """Return the copy of *request* for *target* (section 16.6 steps 1 to 3, and the target's Path by RFC 3327)."""
    copy = request.copy()
    uri = target.uri
    if isinstance(uri, SIPURI):
        if uri.headers or (";" in uri.text and "method" in uri.params):
            # Step 2: neither may stand in a Request-URI (section 19.1.1, table 1).
            uri = uri.replace(headers="", params=uri.params.without("method"))
        if uri.text != request.uri_text:
            # As set_uri(), for what it is.
            copy.known_uri, copy.uri_text = uri, uri.text
    elif str(uri) != request.uri_text:
        copy.set_uri(uri)
    headers = copy.headers
    lines = headers.lines
    # The parser lets one at most through.
    try:
        place = headers.names.index("max-forwards")
    except ValueError:
        headers.names.append("max-forwards")
        lines.append(f"Max-Forwards: {max_forwards}")
    else:
        less = ONE_LESS.get(lines[place])
        if less is None:
            left = copy.max_forwards
            less = f"Max-Forwards: {max_forwards if left is None or left > 255 else left - 1}"
        lines[place] = less
    if target.path:
        for value in reversed(target.path):
            headers.prepend("route", value)
    return copy
