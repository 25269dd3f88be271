"""What comes to a user agent, in dialogs and outside: which call it belongs to, or how it is refused.

RFC 3261 sections 8.2, 11.2 and 12.2.2, RFC 3891 section 3, RFC 3911 section 4, RFC 5057 section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from twisted_sip.agent.call import Call
from twisted_sip.agent.descriptions import deferred
from twisted_sip.agent.dialog_reference import joined_by, replaced_by
from twisted_sip.agent.entitlement import proved_identity
from twisted_sip.agent.referral import ReferralNotifier
from twisted_sip.agent.registered_way import came_by_registration
from twisted_sip.agent.screening import is_anonymous, is_unreadable, unsupported
from twisted_sip.agent.transfer import Transfer
from twisted_sip.dialog.dialog import DialogID
from twisted_sip.dialog.dialogs import INVITE_USAGE, Usage, dialog_id_of
from twisted_sip.dialog.session import CONFIRMED, Session
from twisted_sip.dialog.session_offers import SDP, is_plain
from twisted_sip.dialog.session_terms import InviteRefused, SessionTerms
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, Verdict
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, TelURI
from twisted_sip.transport.listener import is_loopback

if TYPE_CHECKING:
    from twisted_sip.agent.user_agent import UserAgent

#: The header fields that have a call take the place of another one, or join it.
_CALL_CONTROL = frozenset(("replaces", "join"))

#: Methods that begin nothing.
_IN_DIALOG_ONLY = frozenset(("BYE", "PRACK", "UPDATE", "INFO", "NOTIFY"))


class Ingress:
    """The way in of one user agent."""

    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Take what is for the agent, pass on what is not.

        :raises RemoteProtocolError: answer with its status.
        """
        request = incoming.request
        try:
            tag = (request.headers.parsed.get("to") or request.to).tag
        except RemoteProtocolError:
            if request.method == "ACK":
                return TAKEN
            raise
        if not tag:
            return self._outside(incoming)
        id = dialog_id_of(request)
        return self.within(incoming, id, self._agent.dialogs.usage(id, INVITE_USAGE))

    # -- within dialogs --------------------------------------------------------------------------

    def within(self, incoming: IncomingRequest, id: DialogID, session: Usage | None) -> Verdict | Deferred[Verdict]:
        """Take a request within the dialog with *id*, if there is one; see :meth:`process`.

        :param session: the INVITE usage of that dialog.
        """
        agent = self._agent
        request = incoming.request
        method = request.method
        if method == "ACK":
            if isinstance(session, Session):
                session.ack_received(request)
                return TAKEN
            return TAKEN if self._is_ours(request) else None
        if method in ("NOTIFY", "SUBSCRIBE") and self._refer_event(request):
            verdict = self._of_referral(incoming, id)
            if verdict is not None:
                return verdict
        if isinstance(session, Session):
            # Who knows the tags of a dialog is no stranger: what he sends again gets the same answer (section 17.2).
            incoming.start_transaction()
            if method != "INVITE" and not _CALL_CONTROL.isdisjoint(request.headers.names):
                _refuse_call_control(request)
            if session.request_received(incoming):
                return TAKEN
            call = agent.table.call_of(session)
            if method in ("REFER", "MESSAGE") and call is not None and not session.over:
                session.dialog.receive(request)
                return self._of_call(incoming, call)
        if method == "SUBSCRIBE" and session is None and len(agent.element.chain) > 1:
            # Whoever serves events knows his dialogs.
            return None
        if method == "NOTIFY" or (method == "SUBSCRIBE" and id in agent.dialogs):
            verdict = agent.subscriber.process(incoming)
            if verdict is not None:
                return verdict
        if isinstance(session, Session) and not session.over and method not in ("NOTIFY", "SUBSCRIBE"):
            return self._not_allowed(incoming)
        if not self._is_ours(request):
            return None
        # Section 12.2.2: a dialog that there is not, or no more (RFC 5407 section 3.2).
        return response_to(request, 481, to_tag=incoming.to_tag)

    def _of_call(self, incoming: IncomingRequest, call: Call) -> Verdict | Deferred[Verdict]:
        missing = unsupported(incoming.request, self._agent.terms.supported)
        if missing:
            return response_to(incoming.request, 420, "", [("unsupported", ", ".join(missing))])
        if incoming.request.method == "REFER":
            if call.dialog is None:
                # Our INVITE is not answered yet, as far as we know.
                raise RemoteProtocolError("The call is not established", status=491)
            return self._agent.referring.refer_received(incoming, call.dialog, call)
        return self._agent.messages.received(incoming, call)

    @staticmethod
    def _refer_event(request: Request) -> bool:
        event = request.typed("event")
        return event is not None and event.token.lower() == "refer"

    def _of_referral(self, incoming: IncomingRequest, id: Any) -> Verdict:
        """A NOTIFY or SUBSCRIBE of an implicit subscription (RFC 3515 section 2.4.4)."""
        request = incoming.request
        event = request.typed("event")
        usages = list(self._agent.dialogs.usages(id).values())
        if request.method == "NOTIFY":
            transfers = [usage for usage in usages if isinstance(usage, Transfer)]
            found = [usage for usage in transfers if usage.matches(event)]
            # A challenge that was answered has changed the number of the REFER.
            chosen = found or (transfers if len(transfers) == 1 else [])
            if not chosen:
                # Before the 202 to the REFER (RFC 3515 section 2.4.4).
                early = self._agent.referring.early_notify(request)
                if early is None:
                    return None
                chosen = [early]
            chosen[0].notify_received(incoming)
            return TAKEN
        for usage in usages:
            if isinstance(usage, ReferralNotifier) and usage.matches(event.id):
                usage.dialog.receive(request)
                asked = request.expires
                granted = usage.granted(600 if asked is None else asked)
                incoming.respond(200, headers=[("expires", str(granted))])
                usage.refresh(granted)
                return TAKEN
        return None

    # -- outside of dialogs --------------------------------------------------------------------------

    def _is_ours(self, request: Request) -> bool:
        try:
            uri = request.known_uri or request.uri
        except RemoteProtocolError:
            return False
        if isinstance(uri, SIPURI):
            return self._agent.serves(uri)
        return self._agent.serves_numbers and isinstance(uri, TelURI)

    def _outside(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        agent = self._agent
        request = incoming.request
        method = request.method
        if not self._is_ours(request):
            if method != "ACK" and not isinstance(request.uri, SIPURI) and len(agent.element.chain) == 1:
                # Section 8.2.2.1.
                return response_to(request, 416, to_tag=incoming.to_tag)
            return None
        if method == "ACK":
            return TAKEN
        # Whoever cannot be named cannot be answered by name either: 400.
        known = request.headers.parsed.get
        _ = (known("to") or request.to).uri, (known("from") or request.from_).uri
        terms = agent.terms
        if agent.settings.trust == "servers" and not agent.is_from_servers(incoming.flow):
            return response_to(request, 403, to_tag=incoming.to_tag)
        if method in ("SUBSCRIBE", "PUBLISH"):
            # RFC 3515 section 2.4.4: there is no other way to the state of a REFER.
            if method == "SUBSCRIBE" and self._refer_event(request):
                return response_to(request, 403, to_tag=incoming.to_tag)
            if len(agent.element.chain) > 1:
                return None
        if method != "INVITE":
            _refuse_call_control(request)
        if method in _IN_DIALOG_ONLY:
            return response_to(request, 481, to_tag=incoming.to_tag)
        if method not in terms.allow:
            return self._not_allowed(incoming)
        if "require" in request.headers.names:
            missing = unsupported(request, terms.supported)
            if missing:
                return response_to(request, 420, "", [("unsupported", ", ".join(missing))], to_tag=incoming.to_tag)
        if method == "INVITE":
            return self._invited(incoming, terms)
        if method == "OPTIONS":
            return self._options(incoming)
        if not incoming.claim_as_uas():
            # Section 8.2.2.2: it has come here before by another way.
            return TAKEN
        if method == "MESSAGE":
            return agent.messages.received(incoming, None)
        if method == "REFER":
            return agent.referring.refer_outside(incoming)
        return self._not_allowed(incoming)

    def _not_allowed(self, incoming: IncomingRequest) -> Verdict:
        allow = ", ".join(self._agent.terms.allow)
        return response_to(incoming.request, 405, "", [("allow", allow)], to_tag=incoming.to_tag)

    def _options(self, incoming: IncomingRequest) -> Verdict:
        """Section 11.2: as an INVITE would be answered now."""
        agent = self._agent
        full = self._no_room(agent.account_for(incoming.request))
        status = 200 if full is None else full[0]
        fields = [*agent.terms.capabilities(), ("accept-encoding", "identity"), ("accept-language", "en")]
        return response_to(incoming.request, status, "", fields, to_tag=incoming.to_tag)

    def _no_room(self, account: Any) -> tuple[int, list[tuple[str, str]]] | None:
        agent = self._agent
        settings = agent.settings
        if agent.table.alive >= settings.max_calls:
            return 503, [("retry-after", "10")]
        if 0 < settings.max_calls_per_account <= account.calls:
            return 486, []
        return None

    def _is_crowded(self, incoming: IncomingRequest) -> bool:
        """Tell whether as many calls have come from where *incoming* comes from as may: nobody has proved who he is."""
        agent = self._agent
        most = agent.settings.max_calls_per_source
        if not most or agent.table.alive < most:
            return False
        host = incoming.flow.remote.host
        if is_loopback(host) or agent.is_from_servers(incoming.flow):
            return False
        ways = [call.wire.came_by for call in agent.calls if not call.outgoing]
        return sum(1 for flow in ways if flow is not None and flow.remote.host == host) >= most

    # -- INVITE -----------------------------------------------------------------------------------------

    def _invited(self, incoming: IncomingRequest, terms: SessionTerms) -> Verdict | Deferred[Verdict]:
        agent = self._agent
        request = incoming.request
        names = request.headers.names
        account = agent.account_for(request)
        settings = agent.settings
        old = other = None
        if not _CALL_CONTROL.isdisjoint(names):
            replaced = replaced_by(request) if "replaces" in names else None
            joined = joined_by(request) if "join" in names else None
            if replaced is not None and joined is not None:
                # RFC 3891 section 3.
                raise RemoteProtocolError("Replaces and Join contradict each other")
            old = self._replaceable(replaced) if replaced is not None else None
            other = self._joinable(joined) if joined is not None else None
        if agent.table.alive >= settings.max_calls or 0 < settings.max_calls_per_account <= account.calls:
            full = self._no_room(account)
            # Who takes the place of another call needs no room, but for one at a time.
            if full is not None and (old is None or any(call.replaces is old for call in agent.calls)):
                return response_to(request, full[0], "", full[1], to_tag=incoming.to_tag)
        if old is None and settings.max_calls_per_source and self._is_crowded(incoming):
            return response_to(request, 486, to_tag=incoming.to_tag)
        if settings.reject_anonymous and is_anonymous(request):
            return response_to(request, 433, "Anonymity Disallowed", to_tag=incoming.to_tag)
        accept = terms.accept
        if request.body and not (SDP in accept and is_plain(request, SDP)) and is_unreadable(request, accept):
            return response_to(request, 415, "", [("accept", ", ".join(accept))], to_tag=incoming.to_tag)
        found = agent.screen(incoming)
        if found is None and old is None and other is None:
            # The usual case: nobody has to be waited for.
            return self._screened(None, incoming, account, None, None, terms)
        screening = deferred(lambda: found)
        if old is not None or other is not None:
            screening.addCallback(lambda status: deferred(self._authorized, status, incoming, old, other))
        return _verdict(screening.addCallback(self._screened, incoming, account, old, other, terms))

    def _replaceable(self, wanted: Any) -> Call:
        """Return the call that *wanted* names (RFC 3891 section 3)."""
        call, session = self._named(wanted.id)
        if session.state == CONFIRMED:
            if wanted.early_only:
                raise RemoteProtocolError("Busy Here", status=486)
        elif not call.outgoing:
            raise RemoteProtocolError("Call/Transaction Does Not Exist", status=481)
        return call

    def _joinable(self, wanted: Any) -> Call:
        """Return the call that *wanted* names (RFC 3911 section 4)."""
        return self._named(wanted.id)[0]

    def _named(self, id: Any) -> tuple[Call, Session]:
        session = self._agent.dialogs.usage(id, INVITE_USAGE)
        if not isinstance(session, Session):
            if self._agent.table.has_ended(id):
                raise RemoteProtocolError("Declined", status=603)
            raise RemoteProtocolError("Call/Transaction Does Not Exist", status=481)
        call = self._agent.table.call_of(session)
        if session.over or call is None or call.leaving:
            raise RemoteProtocolError("Declined", status=603)
        return call, session

    async def _authorized(
        self, status: int | None, incoming: IncomingRequest, old: Call | None, other: Call | None
    ) -> int | None:
        agent = self._agent
        if status:
            return status
        if old is not None and not await deferred(agent.accept_replaces, old, incoming):
            return 403
        if other is not None and not await deferred(agent.accept_join, other, incoming):
            return 403
        return None

    def _screened(
        self,
        status: int | None,
        incoming: Any,
        account: Any,
        old: Call | None,
        other: Call | None,
        terms: SessionTerms,
    ) -> Verdict:
        request = incoming.request
        if status:
            if not 300 <= status <= 699:
                raise LocalProtocolError(f"screen gave {status!r}, no status to refuse with: 300 to 699")
            return response_to(request, status, to_tag=incoming.to_tag)
        if incoming.over or not incoming.claim_as_uas():
            return TAKEN
        agent = self._agent
        headers = request.headers
        names, known = headers.names, headers.parsed.get
        straight = (names.count("via") == 1 and "," not in headers.lines[names.index("via")]) or len(
            headers.elements("via")
        ) == 1
        flow = incoming.flow
        local = account.registration is None or not came_by_registration(account, request, flow, agent.settings.servers)
        wire = agent.wire_type(agent.element, account, flow if straight else None, flow, False, local)
        hops = request.max_forwards
        if hops is not None and hops < 70:
            wire.hops = hops
        call = Call(
            agent,
            account,
            wire,
            known("call-id") or request.call_id,
            False,
            (known("to") or request.to).without("tag"),
            (known("from") or request.from_).without("tag"),
            request,
        )
        identity = incoming.user or proved_identity(agent, incoming)
        if identity:
            call.identity = identity
        if old is not None or other is not None:
            call.replaces, call.joins = old, other
        if "referred-by" in names:
            # Should it be ours, which has come back by another name: it counts on.
            call.referrals = max((known.referrals for known in agent.calls if known.id == call.id), default=0)
        try:
            call.leg = agent.incoming_leg(call, wire, incoming, terms)
        except InviteRefused as refusal:
            return response_to(request, refusal.status, refusal.reason, refusal.headers, to_tag=incoming.to_tag)
        agent.table.arrived(call, incoming)
        return TAKEN


def _verdict(waiting: Deferred[Verdict]) -> Verdict | Deferred[Verdict]:
    """Return the verdict at once where it is known; what failed is raised."""
    if not waiting.called or waiting.paused:
        return waiting
    outcome: list[Verdict] = []
    failures: list[Any] = []
    waiting.addCallbacks(outcome.append, failures.append)
    if failures:
        failures[0].raiseException()
    return outcome[0]


def _refuse_call_control(request: Request) -> None:
    """Refuse Replaces and Join in anything but INVITE (RFC 3891 section 3, RFC 3911 section 4).

    :raises RemoteProtocolError: one of them is there.
    """
    names = request.headers.names
    if "replaces" in names or "join" in names:
        name = "Replaces" if "replaces" in names else "Join"
        raise RemoteProtocolError(f"{name} belongs into INVITE", header=name)
