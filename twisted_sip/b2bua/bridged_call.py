"""One call through a b2bua: authorisation, route, the search for a callee, its answer, its end.

RFC 3261 sections 13 and 16.6 to 16.8 for the parts that a b2bua does like a proxy; RFC 7092.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallState
from twisted_sip.agent.waiting import then
from twisted_sip.b2bua.call_limits import granted
from twisted_sip.b2bua.failures import status_for_caller
from twisted_sip.b2bua.hunt import Attempt, Hunt
from twisted_sip.b2bua.joined_legs import leave, reason_of
from twisted_sip.b2bua.legs import BridgedLeg, CalleeLeg, CallerLeg
from twisted_sip.b2bua.policing import CallDeclined, Policed
from twisted_sip.b2bua.privacy import privacy_failure
from twisted_sip.b2bua.responders import warning_of
from twisted_sip.b2bua.set_up import SetUp
from twisted_sip.b2bua.transcoding import Transcoding
from twisted_sip.b2bua.users import callee_key, caller_key, took_place
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.interfaces.accounting import Result
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI

if TYPE_CHECKING:
    from twisted_sip.b2bua.b2bua import B2BUA
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_offers import OfferReceived

_log = Logger()

#: What a callee says that cannot use the caller's media (RFC 3261 sections 21.4.13, 21.4.26, 21.6.4).
_MEDIA_REFUSED = (415, 488, 606)


class BridgedCall(SetUp):
    """A call between two legs.

    :ivar media: how media pass: ``direct``, ``relay`` or ``transcode``. The route hook may set it.
    :ivar headers: further header fields for the INVITE to the callee. The route hook may add to them.
    :ivar policed: where the call policies of our users have led it, None where nobody has asked them.
    """

    policed: Policed | None = None
    # Why what the caller says about media is of no use (RFC 3261 section 20.43).
    _warning: Sequence[tuple[str, str]] = ()
    # The caller is a stranger who hears nothing before somebody is called.
    _unheard = False

    def __init__(self, b2bua: B2BUA, call: Call, uri: URI, user: str) -> None:
        """Take the incoming *call*; :meth:`begin` goes on."""
        settings = b2bua.b2bua_settings
        leg = call.leg
        assert isinstance(leg, CallerLeg)
        super().__init__(b2bua, leg, uri, user)
        self.media: str = settings.media
        self.headers: list[tuple[str, str]] = []
        self.notes.leg_began(call)
        self.hunt = Hunt(self._start, self._nobody)
        leg.bridged = self

    def __repr__(self) -> str:
        return f"<BridgedCall {self.notes.call.caller} to {self.notes.call.callee}>"

    @property
    def request(self) -> Request:
        """The caller's INVITE."""
        return self.caller_leg.call.request

    # -- set-up ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Ask whether it may be made, and where it goes."""
        if self.b2bua.calls_for_help(self.request):
            self.max_duration = 0
            self._authorized(True)
            return
        failure = privacy_failure(self.request, self.media != "direct")
        if failure:
            self.caller_leg.incoming.note("privacy", "500: privacy is critical: {0}", "b2bua.media", failure)
            self.refuse(500, failure)
            return
        then(self.b2bua.authorize_call, self._authorized, self._failed, self)

    def has_to_wait(self) -> None:
        """Where it goes is not known yet. By UDP, who has proved nothing gets one answer, what comes of that (RFC 3261
        section 26.3.2.4), unless it takes half of Timer B."""
        incoming: Any = self.caller_leg.incoming
        if not self.over and incoming.doubtful:
            self._unheard = True
            incoming.transaction.trying_after(self.b2bua.element.timer_values.timeout / 2)

    def _is_called(self) -> None:
        """Somebody is called for a stranger who has heard nothing."""
        self._unheard = False
        incoming: Any = self.caller_leg.incoming
        incoming.transaction.trying_after(self.b2bua.element.timer_values.trying)

    def _authorized(self, answer: Any) -> None:
        if self.over:
            return
        if answer is not True:
            try:
                self.grant = granted(answer)
            except RemoteProtocolError as error:
                self.refuse(error.status, error.reason)
                return
        then(self.b2bua.route, self._routed, self._failed, self)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, RemoteProtocolError):
            self.refuse(error.status, error.reason, declined=isinstance(error, CallDeclined))
        else:
            _log.failure("while setting up {call}", failure, call=repr(self))
            self.refuse(500)

    def _routed(self, route: Any) -> None:
        if self.over:
            return
        found = self.b2bua.targets_of(route, self.uri)
        if isinstance(found, int):
            reason = route.reason if isinstance(route, Response) else ""
            if found == 480:
                self._note_secure(route)
            self._go_elsewhere(found, lambda status: self.refuse(status, reason))
            return
        if self.media == "transcode":
            if self.transcoding is None:
                self._terminate()
        elif self.bridge is None:
            self.bridge = self.b2bua.make_bridge(self, self.media)
            self.bridge.legs[0] = self.caller_leg
        self.hunt.add(found)
        self.hunt.go_on()

    def _note_secure(self, route: Any) -> None:
        if isinstance(self.uri, SIPURI) and self.uri.secure and not isinstance(route, (int, Response)):
            self.caller_leg.incoming.note("b2bua", "480: {0} is not reached by sips", "", str(self.uri))

    def _terminate(self) -> None:
        """Have media of our own on each leg."""
        self.transcoding = Transcoding(self)
        self.caller_leg.call.choose_media(self.b2bua.plane, None)

    def _start(self, target: Target, one_of_several: bool) -> Attempt | int:
        """Call *target*."""
        limited = self.b2bua.enter_user(self, target)
        if limited:
            return limited
        transcoding = self.bridge is None
        try:
            call = self.b2bua.call_target(self, target, one_of_several=one_of_several)
        except LocalProtocolError as error:
            _log.info("{target} cannot be called: {reason}", target=str(target.uri), reason=str(error))
            return 500
        except RemoteProtocolError as error:
            return error.status
        except Exception:
            # A hook: others may be called all the same.
            _log.failure("while calling {target}", target=str(target.uri))
            return 500
        self.notes.leg_began(call)
        leg = call.leg
        assert isinstance(leg, CalleeLeg)
        try:
            self.begin_leg(leg)
        except RemoteProtocolError as error:
            # The caller's description is of no use.
            leg.never_began(error)
            self.notes.leg_ended(call)
            self._warning = warning_of(error, self.caller_leg)
            return error.status
        if self._unheard:
            self._is_called()
        return Attempt(target, call, transcoding)

    def attempt_failed(self, call: Call, status: int, response: Response | None) -> None:
        """A target has refused, or cannot be reached."""
        self.notes.leg_ended(call)
        attempt = self.hunt.attempt_of(call)
        if self.over or attempt is None:
            return
        self.fork_lost(call)
        if self.b2bua.users.most:
            self._count([other.target for other in self.hunt.attempts if other is not attempt])
        status = status or 408
        self.last_refusal = response
        if self._transcode_instead(attempt, status):
            return
        if 300 <= status < 400 and response is not None:
            then(
                lambda: self.b2bua.redirected(self, response),
                lambda targets: self._redirected(attempt, status, targets),
                lambda failure: self._not_redirected(attempt, failure),
            )
            return
        self.hunt.lost(attempt, status, response is not None)

    def _transcode_instead(self, attempt: Attempt, status: int) -> bool:
        b2bua = self.b2bua
        if (
            status not in _MEDIA_REFUSED
            or self.media != "relay"
            or not b2bua.b2bua_settings.fallback
            or b2bua.plane is None
            or self.described
            or len(self.hunt.attempts) > 1
        ):
            return False
        try:
            self._terminate()
        except MediaRefused as error:
            _log.info("{call} is not transcoded: {reason}", call=repr(self), reason=str(error))
            self.transcoding = None
            return False
        bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.close()
        self.media = "transcode"
        self.hunt.again(attempt, self._start(attempt.target, False))
        return True

    def _redirected(self, attempt: Attempt, status: int, targets: Sequence[Target]) -> None:
        if self.over or attempt not in self.hunt.attempts:
            return
        self.hunt.add(targets)
        self.hunt.lost(attempt, status)

    def _not_redirected(self, attempt: Attempt, failure: Failure) -> None:
        if failure.check(RemoteProtocolError) is None:
            _log.failure("a redirection of {call}", failure, call=repr(self))
        if not self.over and attempt in self.hunt.attempts:
            self.hunt.lost(attempt, 480)

    def _nobody(self, status: int) -> None:
        """Nobody answers."""
        self._go_elsewhere(status, self._unanswered)

    def _go_elsewhere(self, status: int, nowhere: Callable[[int], object]) -> None:
        """Ask where it goes on."""

        def told(route: Any) -> None:
            if self.over:
                return
            if not route:
                nowhere(status)
                return
            self.last_refusal = None
            self.hunt = Hunt(self._start, self._nobody)
            self._routed(route)

        then(lambda: self.b2bua.unanswered(self, status), told, self._failed)

    def _unanswered(self, status: int) -> None:
        """Nobody will: tell the caller."""
        response = self.last_refusal
        hidden = self.b2bua.b2bua_settings.hide_callee
        mapped = status_for_caller(status)
        passed = response is not None and response.status == status == mapped
        fields: Sequence[tuple[str, str]] = ()
        if response is not None and passed:
            fields = found = self.b2bua.policy.fields(response.headers)
            if not hidden and all(name != "warning" for name, _ in found):
                found += [("warning", value) for value in response.headers.all("warning")]
        if response is None and mapped == 488:
            fields = self._warning
        reason = response.reason if response is not None and passed and not hidden else ""
        self.refuse(mapped, reason, fields)

    def refuse(
        self, status: int, reason: str = "", headers: Sequence[tuple[str, str]] = (), *, declined: bool = False
    ) -> None:
        """Refuse the caller, whose call has not been answered.

        :param declined: a user does not want it, whatever the status.
        """
        call = self.caller_leg.call
        if self.over:
            return
        unreached = status in (408, 430, 480, 500, 503, 504) and not declined
        result: Result = "failed" if unreached else "refused"
        self.end(result, status, reason, "server" if not self.hunt.over else "callee")
        if call.state in (CallState.TRYING, CallState.RINGING):
            call.reject(status, reason, headers)

    def _count(self, targets: Sequence[Target]) -> None:
        """It is at *targets* and at no others any more: others may have another call."""
        self.b2bua.users.keep(self, [caller_key(self), *[callee_key(self, target) for target in targets]])

    # -- answered -----------------------------------------------------------------------------------

    def connected(self, callee: Call) -> None:
        """*callee* has answered, and is let through to the caller."""
        self.callee = callee
        if self.b2bua.users.most:
            answered = self.hunt.attempt_of(callee)
            self._count([] if answered is None else [answered.target])
            if answered is None:
                # Somebody has picked it up who was not called.
                took_place(self, callee, callee)
        for other in self.hunt.end(callee):
            leave(other)
            self.notes.leg_ended(other)
            other.hangup(Reason.build("SIP", 200, "Call completed elsewhere"))
        self.begun(self.caller_leg.call, callee)

    def media_refused(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Media cannot be agreed with the callee who has answered."""
        callee, caller = self.callee, self.caller_leg.call
        self.end("failed", status, "", "server")
        if callee is not None:
            callee.hangup(Reason.build("SIP", status, "Media cannot be agreed"))
        if caller.state in (CallState.TRYING, CallState.RINGING):
            caller.reject(status, headers=headers)

    # -- the end ----------------------------------------------------------------------------------

    def hangup(self, reason: str = "", *, by: str = "server") -> None:
        """End it, wherever it is."""
        if not self.answered:
            self.refuse(480, reason)
        else:
            super().hangup(reason, by=by)

    def caller_over(self, call: Call) -> None:
        """The caller has gone."""
        ending = call.ending
        if self.callee is not None and self.answered:
            super().caller_over(call)
            return
        by = "caller" if ending is not None and ending.cause == "cancel" else "network"
        status = ending.status if ending is not None else 487
        reason = ending.reason if ending is not None else ""
        self.end("cancelled" if by == "caller" else "failed", status or 487, reason, by)

    def end(self, result: Result, status: int, reason: str, by: str) -> None:
        """It is over."""
        if self.over:
            return
        # Where it was answered nobody is searched for any more.
        calls = () if self.answered else self.hunt.end(self.callee)
        super().end(result, status, reason, by)
        for other in calls:
            leave(other)
            other.hangup(reason_of(self.caller_leg.call))
        self.caller_leg.leave()

    # -- while it is set up ---------------------------------------------------------------------------

    def answer_comes(self, leg: CalleeLeg) -> bool:
        """See JoinedLegs."""
        bridge = self.bridge
        return not self.answered and bridge is not None and bridge.exchange is None

    def answer_in_set_up(self, leg: BridgedLeg, session: Session, body: Any) -> bool:
        """See SetUp."""
        if self.answered or not isinstance(leg, CalleeLeg):
            return False
        bridge = self.bridge
        if bridge is not None and bridge.exchange is not None and bridge.exchange.side == 0 and bridge.legs[1] is leg:
            # An early UPDATE of the caller (RFC 3311), for the one that it hears.
            return False
        self.callee_described(leg, session, body)
        return True

    def offer_in_set_up(self, leg: BridgedLeg, session: Session, offer: OfferReceived) -> bool:
        """See SetUp."""
        if self.answered or not isinstance(leg, CalleeLeg) or leg.offered or offer.request is not None:
            # An early UPDATE is no offer of the set-up.
            return False
        self.callee_offered(leg, session, offer)
        return True
