"""Two legs that are connected, however that has come about: what passes between them, how long, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallState
from twisted_sip.agent.descriptions import is_held
from twisted_sip.b2bua.call_limits import TOO_LONG, CallLimits
from twisted_sip.b2bua.legs import BridgedLeg, check_package
from twisted_sip.b2bua.record import CallNotes
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.accounting import Result
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import URI

if TYPE_CHECKING:
    from twisted_sip.b2bua.b2bua import B2BUA
    from twisted_sip.b2bua.exchange import Bridge
    from twisted_sip.b2bua.following import Following
    from twisted_sip.b2bua.legs import CalleeLeg
    from twisted_sip.b2bua.transcoding import Transcoding
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_offers import OfferReceived
    from twisted_sip.transaction.timers import Timer


class JoinedLegs:
    """Two legs.

    :ivar b2bua: whose they are.
    :ivar id: what its record is known by.
    :ivar uri: whom the caller wants: the Request-URI.
    :ivar user: the address-of-record that proved to be the caller's, empty if none did.
    :ivar caller: the leg of who calls; None once that is gone and the callee waits for somebody else.
    :ivar callee: the leg of who has answered, None before.
    :ivar answered: both have been connected.
    :ivar over: it has ended.
    :ivar max_duration: seconds that it may last once it is answered, 0 for no limit. The route hook may set it.
    :ivar grant: seconds that it was authorised for, None for no such limit.
    :ivar following: the transfer that is being carried out, None without one.
    """

    caller: Call | None = None
    callee: Call | None = None
    answered = False
    over = False
    grant: float | None = None
    bridge: Bridge | None = None
    transcoding: Transcoding | None = None
    following: Following | None = None
    _data: dict[str, Any] | None = None
    _limits: CallLimits | Timer | None = None
    _began = 0.0

    def __init__(self, b2bua: B2BUA, uri: URI, user: str, *, caller: str) -> None:
        self.b2bua = b2bua
        self.uri = uri
        self.user = user
        self.max_duration = b2bua.b2bua_settings.max_duration
        self.id = b2bua.element.random_text()
        self.notes = CallNotes(b2bua.accounting, b2bua.now, id=self.id, user=user, caller=caller, callee=str(uri))

    @property
    def data(self) -> dict[str, Any]:
        """For the application to keep what it likes."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def seconds(self) -> float:
        """For how long it has been answered, 0.0 before."""
        return self.b2bua.element.timers.now() - self._began if self.answered else 0.0

    def begun(self, caller: Call, callee: Call) -> None:
        """Both have answered."""
        if not self.answered:
            self.answered = True
            timers = self.b2bua.element.timers
            self._began = timers.now()
            if self.grant is not None:
                self._limits = CallLimits(
                    timers, self.max_duration, self.grant, lambda: self.b2bua.authorize_call(self), self._expired
                )
            elif self.max_duration:
                self._limits = timers.start(self.max_duration, self._expired, TOO_LONG)
        self.notes.was_answered(caller, callee)

    def _expired(self, reason: str) -> None:
        self.hangup(reason, by="server")

    def fell_silent(self, seconds: float) -> None:
        """No media have come from either side for so many *seconds*: both are gone, unless one is on hold."""
        bridge = self.bridge
        if not self.answered or bridge is None:
            return
        if not any(leg is not None and is_held(leg.remote) for leg in bridge.legs):
            self.hangup("No Media", by="server")

    # -- the two of them ------------------------------------------------------------------------

    def leg_at(self, side: int) -> Call | None:
        """Return the leg of side 0, the caller's, or 1."""
        return self.callee if side else self.caller

    def other_leg(self, leg: BridgedLeg) -> BridgedLeg | None:
        """Return the leg that *leg* is connected with."""
        if self.bridge is not None and self.bridge.legs[leg.side] is leg:
            return self.bridge.legs[1 - leg.side]
        call = self.leg_at(1 - leg.side)
        return call.leg if call is not None and isinstance(call.leg, BridgedLeg) else None

    def put(self, side: int, call: Call) -> None:
        """*call* is the leg of *side* from now on."""
        leg = call.leg
        assert isinstance(leg, BridgedLeg)
        old = self.leg_at(side)
        if old is not None and old is not call:
            leave(old)
        leg.side = side
        leg.bridged = self
        if side:
            self.callee = call
        else:
            self.caller = call
        if self.bridge is not None:
            self.bridge.legs[side] = leg

    # -- requests that pass -----------------------------------------------------------------------

    def pass_info(self, leg: BridgedLeg, info: Request, package: str) -> None:
        """Pass an INFO on (RFC 6086).

        :raises RemoteProtocolError: there is nobody who takes it.
        """
        other = self.other_leg(leg)
        session = other.session if other is not None else None
        if session is None or session.over:
            raise RemoteProtocolError("Temporarily Unavailable", status=480)
        check_package(session, package)
        names = ("content-type", "content-disposition")
        fields = [(name, value) for name in names for value in info.headers.all(name)]
        session.info(info.body, fields, package)

    # -- what legs tell while the call is being set up -----------------------------------------------

    def answer_comes(self, leg: CalleeLeg) -> bool:
        """Tell whether the 2xx of *leg* is about to be told, so that nothing need be done about the answer in it."""
        return False

    def answer_in_set_up(self, leg: BridgedLeg, session: Session, body: Any) -> bool:
        """A leg has had an answer; return True if that was for the set-up."""
        return False

    def offer_in_set_up(self, leg: BridgedLeg, session: Session, offer: OfferReceived) -> bool:
        """A leg has had an offer; return True if that was for the set-up."""
        return False

    def callee_progressed(self, leg: CalleeLeg, session: Session, response: Response) -> None:
        """A provisional response."""

    def callee_answered(self, leg: CalleeLeg, session: Session, response: Response | None) -> None:
        """A 2xx."""

    def attempt_failed(self, call: Call, status: int, response: Response | None) -> None:
        """A refusal, or no answer."""

    def caller_confirmed(self) -> None:
        """The ACK of the caller."""

    # -- the end ----------------------------------------------------------------------------------

    def hangup(self, reason: str = "", *, by: str = "server") -> None:
        """End it."""
        if self.over:
            return
        legs = [call for call in (self.caller, self.callee) if call is not None]
        self.end("answered" if self.answered else "failed", 200 if self.answered else 480, reason, by)
        for call in legs:
            end_leg(call, reason)

    def leg_over(self, call: Call) -> None:
        """A leg has ended."""
        if self.over:
            return
        if self.following is not None and self.following.leg_over(call):
            self.notes.leg_ended(call)
        elif call is self.caller:
            self.caller_over(call)
        elif call is self.callee:
            self.callee_over(call)
        else:
            self.notes.leg_ended(call)

    def caller_over(self, call: Call) -> None:
        """The caller has gone."""
        self._part(call, self.callee, "caller")

    def callee_over(self, call: Call) -> None:
        """The callee has gone."""
        self._part(call, self.caller, "callee")

    def _part(self, call: Call, other: Call | None, who: str) -> None:
        ending = call.ending
        reason = ending.reason if ending is not None else ""
        self.end("answered" if self.answered else "failed", 200 if self.answered else 480, reason, _by(call, who))
        if other is not None:
            end_leg(other, reason_of(call))

    def end(self, result: Result, status: int, reason: str, by: str) -> None:
        """It is over: keep nothing of it; the legs are the caller's to end."""
        if self.over:
            return
        self.over = True
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.cancel()
        if self.transcoding is not None:
            self.transcoding.close()
        following, self.following = self.following, None
        if following is not None:
            following.close()
        self.notes.ended(result, status, reason, by)
        self.b2bua.forget(self)
        bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.close()
        for call in (self.caller, self.callee):
            leg = None if call is None else call.leg
            if isinstance(leg, BridgedLeg):
                leg.bridged = None


def leave(call: Call) -> None:
    """*call* is no leg of its bridged call any more."""
    if isinstance(call.leg, BridgedLeg):
        call.leg.leave()


def end_leg(call: Call, reason: Reason | str | tuple[Reason, ...]) -> None:
    """Hang up, or refuse where it was not answered."""
    if call.over:
        return
    if not call.outgoing and call.state in (CallState.TRYING, CallState.RINGING):
        call.reject(480)
    else:
        call.leave(reason)


def reason_of(call: Call) -> Reason | str | tuple[Reason, ...]:
    """Return the Reason for the other leg (RFC 3326): as the peer has said it, if it has."""
    ending = call.ending
    if ending is None:
        return ""
    if ending.reasons:
        return ending.reasons
    if not ending.reason:
        return ""
    return Reason.build("SIP", ending.status or 200, ending.reason[:80])


def _by(call: Call, who: str) -> str:
    ending = call.ending
    if ending is None or ending.by == "remote":
        return who
    return "network" if ending.by == "network" else "server"
