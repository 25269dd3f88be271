"""The call tracker: which of our users are in a call, as far as a proxy can see (RFC 4235 sections 3.7.1 and 3.11).

It is a policy of the proxy, so that it sees what was really forwarded: each branch of an INVITE, each response on its
way upstream, each BYE. Other methods cost two comparisons. A call begins with the first branch and ends with a BYE,
with a final response, with 481 or 408 to a request in its dialog, or when its time is over: the session interval where
there is one (RFC 4028), else the configured maximum.

CANCEL is seen by its 487. Whoever loses a fork is over as soon as another one has answered, for the proxy cancels then;
a 2xx that comes all the same begins a call of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.calls.call_table import CallTable
from twisted_sip.calls.invitation import Invitation
from twisted_sip.calls.settings import CallTrackerSettings
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.calls import CONFIRMED, EARLY, PROCEEDING, TRYING, Call
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.message import Message
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI

_log = Logger()

#: A call whose Call-ID, tags, addresses or contacts are longer than this is not worth the memory.
_LONGEST = 512


@implementer(IForwardingPolicy)
class CallTracker(CallTable):
    """Keeps track of calls; one of the policies of a proxy."""

    for_methods = frozenset(("INVITE", "BYE"))

    def __init__(
        self, clock: IReactorTime, is_local: Callable[[URI], bool], settings: CallTrackerSettings | None = None
    ) -> None:
        """Know no call.

        :param clock: its seconds are seconds since the epoch.
        :param is_local: tells whether a URI is one of ours (Domains.is_local_uri).
        """
        super().__init__(clock, settings or CallTrackerSettings())
        self._is_local = is_local

    # -- IForwardingPolicy -----------------------------------------------------------------

    def branch(self, request: Request, target: Target, incoming: IncomingRequest) -> None:
        """Take note of an INVITE that is sent to *target*, or of a BYE."""
        method = request.method
        if method == "INVITE":
            try:
                if not request.to.tag:
                    self._invited(request, target, incoming)
            except RemoteProtocolError as error:
                _log.debug("a call is not tracked: {reason}", reason=error.reason)
        elif method == "BYE":
            self._ended(request, "bye", 0)

    def response(self, response: Response, context: Any) -> None:
        """Take note of a *response* before it goes upstream."""
        if context.calls and not context.in_dialog:
            try:
                self._answered(response, context.request, context.incoming.user)
            except RemoteProtocolError as error:
                _log.debug("the answer to a call is not understood: {reason}", reason=error.reason)
        elif context.in_dialog and response.status >= 200:
            self._answered_in_dialog(response, context.request)

    def refused(self, incoming: IncomingRequest, response: Response) -> None:
        """Take note of a *response* of the proxy itself to a request for which there was no branch."""
        try:
            if incoming.request.to.tag:
                self._answered_in_dialog(response, incoming.request)
        except RemoteProtocolError as error:
            _log.debug("a refusal in a call is not understood: {reason}", reason=error.reason)

    # -- requests --------------------------------------------------------------------------

    def _invited(self, request: Request, target: Target, incoming: IncomingRequest) -> None:
        from_ = request.from_
        key = (request.call_id, from_.tag)
        invitation = self.invitations.get(key)
        came = incoming.request
        aor = target.aor
        if not aor and (invitation is None or not invitation.targets):
            # No binding, but a name of ours that stands for it: a conference, a place to park calls.
            uri = came.uri
            if isinstance(uri, SIPURI) and self._is_local(uri):
                aor = uri.address_of_record
        if invitation is None:
            to = request.to
            contact = came.headers.first("contact") or ""
            caller = incoming.user or self._own_aor(from_)
            if not caller and not aor:
                return
            if max(len(key[0]), len(key[1]), len(str(from_)), len(str(to)), len(contact)) > _LONGEST:
                return
            if len(self) >= self.settings.max_calls:
                self.untracked += 1
                return
            invitation = self.invitations[key] = Invitation(key, incoming.user)
            invitation.targets.append((aor, target))
            self.begin(invitation, self._first(key, caller, aor, from_, to, contact, came))
            self._note_replaced(came, caller, aor)
            return
        if invitation.user != incoming.user or len(invitation.targets) >= self.settings.max_forks:
            # Another INVITE with the Call-ID and tag of this one is none of its branches.
            return
        invitation.targets.append((aor, target))
        if aor and invitation.waiting_for(aor) is None and not any(call.callee_aor == aor for call in invitation.calls):
            self.fork(invitation, aor, "")

    def _own_aor(self, address: NameAddr) -> str:
        uri = address.uri
        return uri.address_of_record if isinstance(uri, SIPURI) and self._is_local(uri) else ""

    def _first(
        self,
        key: tuple[str, str],
        caller: str,
        callee: str,
        from_: NameAddr,
        to: NameAddr,
        contact: str,
        request: Request,
    ) -> Call:
        now = self.now()
        headers = request.headers
        names = headers.names
        return Call(
            key[0],
            key[1],
            "",
            caller,
            callee,
            from_,
            to,
            contact,
            "",
            now,
            0,
            _short(headers.first("replaces")) if "replaces" in names else "",
            _short(headers.first("referred-by")) if "referred-by" in names else "",
            now + self.settings.max_setup,
            self._session(request),
        )

    def _note_replaced(self, request: Request, caller: str, callee: str) -> None:
        """Find the call that this INVITE is to take the place of (RFC 3891 section 3): one of a party to it.

        It ends by the BYE that its parties send then; what anybody writes into an INVITE ends no call.
        """
        if "replaces" not in request.headers.names:
            return
        replaces: Any = request.typed("replaces")
        for mine, other in ((replaces.to_tag, replaces.from_tag), (replaces.from_tag, replaces.to_tag)):
            invitation = self.invitations.get((replaces.call_id, mine))
            call = None if invitation is None else invitation.call_with(other)
            if call is not None and {caller, callee} & {call.caller_aor, call.callee_aor} - {""}:
                call.replaced = True

    # -- responses -----------------------------------------------------------------------------

    def _answered(self, response: Response, request: Request, user: str) -> None:
        """A response to an INVITE of *user* outside of a dialog."""
        invitation = self.invitations.get((request.call_id, request.from_.tag))
        if invitation is None or invitation.user != user:
            return
        status = response.status
        if status >= 300:
            # Section 3.7.1: all that came of the INVITE, but for calls that are answered already.
            event = "cancelled" if status == 487 else "rejected"
            for call in [call for call in invitation.calls if call.state is not CONFIRMED]:
                call.code = status
                self.end(invitation, call, event)
            return
        tag = response.to.tag
        if not tag:
            if status < 200:
                for call in [call for call in invitation.calls if call.state is TRYING]:
                    call.code = status
                    self.move(call, PROCEEDING)
            return
        found = self._dialog(invitation, tag, response)
        if found is None:
            return
        if status < 200:
            if found.state is not CONFIRMED:
                found.code = status
                self.move(found, EARLY)
            return
        if found.state is CONFIRMED:
            return
        found.code = status
        found.expires_at = self._session_end(response)
        self.move(found, CONFIRMED)
        if len(invitation.calls) > 1:
            for call in [call for call in invitation.calls if call.state is not CONFIRMED]:
                self.end(invitation, call, "cancelled")

    def _dialog(self, invitation: Invitation, tag: str, response: Response) -> Call | None:
        """Return the call with this *tag* of the callee; it may be a new one."""
        call = invitation.call_with(tag)
        if call is None:
            if len(tag) > _LONGEST:
                return None
            aor = invitation.aor_of(response)
            call = invitation.waiting_for(aor)
            if call is None:
                call = self.fork(invitation, aor, tag)
                if call is None:
                    return None
            call.callee_tag = tag
        contact = response.headers.first("contact")
        if contact is not None:
            call.callee_contact = _short(contact)
        if self.settings.session_limit and response.body:
            call.callee_session = self._session(response) or call.callee_session
        return call

    def _answered_in_dialog(self, response: Response, request: Request) -> None:
        """A final response to a request in a dialog."""
        status, method = response.status, request.method
        if method == "BYE":
            # It may have found no way to the other side, and no branch then: the one who hangs up is gone all the same.
            # Unless that was not believed.
            if status not in (401, 407):
                self._ended(request, "bye", 0)
        elif status in (408, 481):
            self._ended(request, "error", status)
        elif status < 300 and method in ("INVITE", "UPDATE"):
            _, call, _ = self._find(request)
            if call is not None and call.state is CONFIRMED:
                # RFC 4028 section 8: the session goes on.
                call.expires_at = self._session_end(response)

    def _session_end(self, response: Response) -> float:
        seconds = self.settings.max_duration
        if "session-expires" in response.headers.names:
            try:
                seconds = min(seconds, response.typed("session-expires").seconds + self.settings.grace)
            except RemoteProtocolError as error:
                _log.debug("a session interval is not understood: {reason}", reason=error.reason)
        return self.now() + seconds

    def _session(self, message: Message) -> tuple[str, bytes] | None:
        limit = self.settings.session_limit
        if not limit or not 0 < len(message.body) <= limit:
            return None
        return _short(message.headers.first("content-type")), message.body

    # -- ends ------------------------------------------------------------------------------------

    def _find(self, request: Request) -> tuple[Invitation | None, Call | None, bool]:
        """Return the call that *request* belongs to, and whether it is the caller's."""
        try:
            call_id, tag, other = request.call_id, request.from_.tag, request.to.tag
        except RemoteProtocolError:
            return None, None, False
        for mine, its, from_caller in ((tag, other, True), (other, tag, False)):
            invitation = self.invitations.get((call_id, mine))
            call = None if invitation is None or not its else invitation.call_with(its)
            if call is not None:
                return invitation, call, from_caller
        return None, None, False

    def _ended(self, request: Request, event: str, code: int) -> None:
        invitation, call, from_caller = self._find(request)
        if invitation is not None and call is not None:
            call.ended_by_caller = from_caller
            call.code = code
            self.end(invitation, call, "replaced" if call.replaced else event)


def _short(value: str | None) -> str:
    """Return *value* unless it is missing or too long to be kept."""
    return value if value is not None and len(value) <= _LONGEST else ""
