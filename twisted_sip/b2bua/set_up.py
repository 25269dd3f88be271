"""Between the INVITE of the caller and the answer: what callees say reaches the caller as one voice.

RFC 3261 section 13.2.2 (forks), RFC 3262, RFC 3960 (early media), RFC 6337 section 3.1.1. The caller has one dialog
with us, however many devices ring: the first description of a callee is what it hears, and where another one answers
the two agree anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.agent.call_events import CallState
from twisted_sip.b2bua.exchange import Bridge
from twisted_sip.b2bua.joined_legs import JoinedLegs
from twisted_sip.b2bua.passage import is_sdp
from twisted_sip.b2bua.responders import OfferResponder, warning_of
from twisted_sip.b2bua.session_lines import same_session
from twisted_sip.dialog.session_terms import SessionBody, option_tags
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.b2bua.b2bua import B2BUA
    from twisted_sip.b2bua.legs import CalleeLeg, CallerLeg
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_offers import OfferReceived
    from twisted_sip.message.response import Response
    from twisted_sip.message.uri import URI

_log = Logger()


class SetUp(JoinedLegs):
    """The set-up of a bridged call.

    :ivar caller_leg: the leg of who has called.
    :ivar described: the caller has had a session description.
    :ivar last_refusal: the latest final response of a callee.
    """

    described: SessionBody | None = None
    last_refusal: Response | None = None
    # The session of a callee that the caller hears.
    _heard: Session | None = None
    # A provisional response whose description is about to be told.
    _response: Response | None = None
    _offer: tuple[CalleeLeg, OfferReceived] | None = None
    _agree_again = False

    def __init__(self, b2bua: B2BUA, leg: CallerLeg, uri: URI, user: str) -> None:
        super().__init__(b2bua, uri, user, caller=leg.call.remote.uri_text)
        self.caller = leg.call
        self.caller_leg = leg

    def connected(self, callee: Call) -> None:
        """*callee* has answered, and is let through."""
        raise NotImplementedError

    # -- to callees ---------------------------------------------------------------------------

    def begin_leg(self, leg: CalleeLeg) -> None:
        """Send the INVITE of *leg*.

        :raises RemoteProtocolError: the caller's offer cannot be passed on.
        """
        bridge = self.bridge
        if bridge is None:
            assert self.transcoding is not None
            self.transcoding.begin(leg)
            return
        offer = self.caller_leg.invite.offer
        leg.begin(None if offer is None else bridge.offer_for(offer, 0, leg))

    # -- from callees -----------------------------------------------------------------------------

    def callee_progressed(self, leg: CalleeLeg, session: Session, response: Response) -> None:
        """A provisional response."""
        if self.over or self.answered or response.status == 199:
            return
        if response.status in (180, 183):
            self.notes.rang()
        if self.bridge is not None and _describes(session, response) and self.described is None:
            # ``callee_described`` comes next.
            self._response = response
            return
        if (
            self.transcoding is not None
            and response.body
            and self.transcoding.early(self.caller_leg.call, leg.call, response.status)
        ):
            return
        self._progress(response, None)

    def _progress(self, response: Response, body: SessionBody | None, *, reliable: bool | None = None) -> None:
        invite = self.caller_leg.invite
        call = self.caller_leg.call
        if invite.answered or call.over:
            return
        reason = "" if self.b2bua.b2bua_settings.hide_callee else response.reason
        fields = self.b2bua.policy.fields(response.headers)
        try:
            invite.progress(response.status, body=body, reliable=reliable, headers=fields, reason=reason)
        except LocalProtocolError as error:
            _log.debug("progress of {call} is not passed on: {reason}", call=repr(self), reason=str(error))
            return
        call.become(CallState.RINGING)

    def callee_described(self, leg: CalleeLeg, session: Session, body: SessionBody) -> None:
        """A callee has answered our offer: early, or with its 2xx."""
        bridge = self.bridge
        assert bridge is not None
        response, self._response = self._response, None
        if session.state == "confirmed" or self.described is not None or response is None:
            # ``callee_answered`` comes next; or another one is heard already.
            return
        try:
            passed = bridge.answer_for(body, 1, self.caller_leg, self.caller_leg.invite.offer)
        except RemoteProtocolError as error:
            _log.debug("early media of {call} are of no use: {reason}", call=repr(self), reason=error.reason)
            self._progress(response, None)
            return
        self._heard = leg.heard = session
        self.described = passed
        self._hears(leg, body)
        self._progress(response, passed)

    def _hears(self, leg: CalleeLeg, body: SessionBody | None) -> None:
        """The caller and *leg* are connected."""
        bridge = self.bridge
        assert bridge is not None
        bridge.legs[1] = leg
        leg.remote = body
        self.caller_leg.remote = self.caller_leg.invite.offer

    def callee_offered(self, leg: CalleeLeg, session: Session, offer: OfferReceived) -> None:
        """The callee makes the offer, since the caller has made none."""
        bridge = self.bridge
        assert bridge is not None
        if offer.carrier == "2xx":
            # ``callee_answered`` comes next.
            self._offer = (leg, offer)
            return
        if self.described is not None or self.caller_leg.invite.answered:
            offer.refuse()
            return
        try:
            passed = bridge.offer_for(offer.body, 1, self.caller_leg)
            self.caller_leg.invite.progress(183, body=passed, reliable=True)
        except (RemoteProtocolError, LocalProtocolError):
            offer.refuse()
            return
        self._heard = leg.heard = session
        self.described = passed
        self._hears(leg, offer.body)
        bridge.offered_in_response(1, offer.body, passed, OfferResponder(offer))

    def fork_lost(self, call: Call) -> None:
        """A target has come to nothing."""
        if self.bridge is not None and self.bridge.legs[1] is not None and self.bridge.legs[1].call is call:
            self.bridge.legs[1] = None

    # -- the answer -----------------------------------------------------------------------------------

    def callee_answered(self, leg: CalleeLeg, session: Session, response: Response | None) -> None:
        """A callee has accepted."""
        caller = self.caller_leg
        if self.over or self.answered:
            leg.leave()
            leg.call.hangup()
            return
        fields = [] if response is None else self.b2bua.policy.fields(response.headers)
        self.connected(leg.call)
        bridge = self.bridge
        if bridge is None:
            assert self.transcoding is not None
            self.transcoding.answered(caller.call, leg.call, fields)
            return
        try:
            self._accept(bridge, caller, leg, session, fields)
        except RemoteProtocolError as error:
            # What the callee says about media is of no use to the caller.
            self.media_refused(error.status, warning_of(error, caller))
        except LocalProtocolError as error:
            _log.debug("the answer of {call} comes too late: {reason}", call=repr(self), reason=str(error))
            leg.call.hangup()

    def _accept(
        self, bridge: Bridge, caller: CallerLeg, leg: CalleeLeg, session: Session, fields: list[tuple[str, str]]
    ) -> None:
        if bridge.exchange is not None and bridge.legs[1] is not leg:
            stale, bridge.exchange = bridge.exchange, None
            stale.responder.refuse(491, [])
        bridge.legs[1] = leg
        body = session.offers.remote
        pending, self._offer = self._offer, None
        if pending is not None and pending[0] is leg:
            offer = pending[1]
            if self.described is not None:
                # Another fork has made its offer in a provisional response: both make a new start.
                offer.refuse()
                return
            passed = bridge.offer_for(offer.body, 1, caller)
            self._hears(leg, offer.body)
            bridge.offered_in_response(1, offer.body, passed, OfferResponder(offer))
            caller.invite.accept(passed, headers=fields)
        elif body is None or session is self._heard:
            caller.invite.accept(None, headers=fields)
        else:
            heard = self.described
            passed = bridge.answer_for(body, 1, caller, caller.invite.offer)
            self._hears(leg, body)
            if heard is not None and is_sdp(heard):
                # RFC 3261 section 13.2.1: what was said before counts; the truth follows in a re-INVITE.
                self._agree_again = not same_session(heard.data, passed.data)
                passed = heard
            caller.invite.accept(passed, headers=fields)
        caller.call.was_answered()

    def media_refused(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Media cannot be agreed with the callee who has answered."""
        raise NotImplementedError

    def caller_confirmed(self) -> None:
        """The caller knows that it is answered."""
        if self._agree_again and self.bridge is not None:
            self._agree_again = False
            self.bridge.ask(1)


def _describes(session: Session, response: Response) -> bool:
    """Tell whether *response* has a description that is news, so that the session tells of it next."""
    offers = session.offers
    if not response.body or offers.stable:
        return False
    if "100rel" in option_tags(response, "require"):
        return (response.headers.first("content-type") or "").lower().startswith("application/sdp")
    return offers.previewed is None
