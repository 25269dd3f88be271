"""Third party call control: two who are called and connected (RFC 3725 sections 4.1, 4.3 and 4.4).

Flow IV calls the first one without streams, the second one without offer, and offers the first what the second has.
Flow III calls the first one without offer and answers it with silence; from then on it goes as in flow IV. Phones that
refuse an offer without streams are called again in that way.
Flow I calls the first one without offer and lets it wait for the answer of the second, which must come at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallRefused
from twisted_sip.agent.waiting import then
from twisted_sip.b2bua.failures import status_for_caller
from twisted_sip.b2bua.hunt import Attempt, Hunt
from twisted_sip.b2bua.joined_legs import JoinedLegs, leave
from twisted_sip.b2bua.legs import BridgedLeg, CalleeLeg
from twisted_sip.b2bua.responders import OfferResponder
from twisted_sip.b2bua.transcoding import Transcoding
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.interfaces.accounting import Result
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.status import reason_phrase
from twisted_sip.message.uri import URI, parse_uri
from twisted_sip.sdp.description import MEDIA_TYPE

if TYPE_CHECKING:
    from twisted_sip.b2bua.b2bua import B2BUA
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_offers import OfferReceived
    from twisted_sip.message.response import Response

_log = Logger()

FLOWS = ("I", "III", "IV")

#: How phones refuse an offer without streams that they cannot make anything of (RFC 3261 sections 21.4.13 and 21.4.26).
_NO_STREAMS = (415, 488, 606)


class ClickToCall(JoinedLegs):
    """Two who are called one after the other.

    :ivar a: whom to call first, and *b* afterwards.
    """

    def __init__(
        self, b2bua: B2BUA, a: URI | str, b: URI | str, *, flow: str, identity: NameAddr | str | None, user: str
    ) -> None:
        """See B2BUA.click_to_call."""
        if flow not in FLOWS:
            raise LocalProtocolError(f"{flow!r} is no flow: {', '.join(FLOWS)}")
        self.a, self.b = _uri(a), _uri(b)
        self.flow = flow
        try:
            self._identity = NameAddr.parse(identity) if isinstance(identity, str) else identity
            if self._identity is not None:
                _ = self._identity.uri
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason) from error
        super().__init__(b2bua, self.b, user, caller=str(self.a))
        self.media = b2bua.b2bua_settings.media
        self._hunt: Hunt | None = None
        self._pending: tuple[SessionBody, OfferResponder] | None = None
        self._connected: list[Deferred[ClickToCall]] = []
        self._ended: list[Deferred[ClickToCall]] = []
        self.result: Result = ""
        self.status = 0

    def __repr__(self) -> str:
        return f"<ClickToCall {self.a} to {self.b}>"

    @property
    def connected(self) -> Deferred[ClickToCall]:
        """A Deferred that fires with this once both have answered; fails with CallRefused if it comes to nothing."""
        if self.answered:
            return succeed(self)
        if self.over:
            return fail(self._refusal(""))
        waiting: Deferred[ClickToCall] = Deferred(self._connected.remove)
        self._connected.append(waiting)
        return waiting

    @property
    def ended(self) -> Deferred[ClickToCall]:
        """A Deferred that fires with this once it is over. Never fails."""
        if self.over:
            return succeed(self)
        waiting: Deferred[ClickToCall] = Deferred(self._ended.remove)
        self._ended.append(waiting)
        return waiting

    def _refusal(self, reason: str) -> CallRefused:
        why = reason or reason_phrase(self.status)
        return CallRefused(f"the call came to nothing: {self.status} {why}", status=self.status)

    # -- one after the other ----------------------------------------------------------------------

    def begin(self) -> None:
        """Call the first one."""
        try:
            if self.media != "transcode":
                self.bridge = self.b2bua.make_bridge(self, self.media)
            else:
                self.transcoding = Transcoding(self)
        except MediaRefused as error:
            self._nobody(error.status)
            return
        self._search(self.a)

    def _search(self, uri: URI) -> None:
        self._hunt = Hunt(self._start, self._nobody)
        then(lambda: self.b2bua.route_click(self, uri), self._routed, self._failed)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, RemoteProtocolError):
            _log.failure("while setting up {call}", failure, call=repr(self))
        self._nobody(error.status if isinstance(error, RemoteProtocolError) else 500)

    def _routed(self, route: object) -> None:
        hunt = self._hunt
        if self.over or hunt is None:
            return
        found = self.b2bua.targets_of(route, self.a if self.caller is None else self.b)
        if isinstance(found, int):
            self._nobody(found)
            return
        hunt.add(found)
        hunt.go_on()

    def _start(self, target: Target, one_of_several: bool, streamless: bool = True) -> Attempt | int:
        first = self.caller is None
        other = self.b if first else self.a
        b2bua = self.b2bua
        if target.aor and not b2bua.users.enter(self, target.aor):
            return 486
        try:
            call = b2bua.make_leg(
                self,
                target,
                self._identity or NameAddr.build(other),
                self.a if first else self.b,
                b2bua.policy.invite_fields(HeaderMap()),
                timeout=b2bua.patience(target, one_of_several),
                reliable=self.bridge is None,
            )
        except LocalProtocolError as error:
            _log.info("{target} cannot be called: {reason}", target=str(target.uri), reason=str(error))
            return 500
        self.notes.leg_began(call)
        leg = call.leg
        assert isinstance(leg, CalleeLeg)
        leg.side = 0 if first else 1
        try:
            self._begin_leg(leg, streamless)
        except RemoteProtocolError as error:
            leg.never_began(error)
            self.notes.leg_ended(call)
            return error.status
        return Attempt(target, call, self.transcoding is not None)

    def _begin_leg(self, leg: CalleeLeg, streamless: bool) -> None:
        """Send the INVITE of *leg*.

        :param streamless: in flow IV, offer the first one a session without streams.
        :raises RemoteProtocolError: there are no media for it, or what the first one offers cannot be passed on.
        """
        bridge = self.bridge
        if bridge is None:
            assert self.transcoding is not None
            self.transcoding.begin(leg)
        elif leg.side == 0 and self.flow == "IV" and streamless:
            leg.begin(SessionBody(MEDIA_TYPE, leg.own.nothing()))
        elif leg.side == 1 and self._pending is not None:
            leg.begin(bridge.offer_for(self._pending[0], 0, leg))
        else:
            leg.begin(None)

    # -- what the legs tell -----------------------------------------------------------------------

    def answer_in_set_up(self, leg: BridgedLeg, session: Session, body: SessionBody) -> bool:
        """The first one agrees to no streams, in flow IV; the second one answers the first, in flow I."""
        return not self.answered

    def offer_in_set_up(self, leg: BridgedLeg, session: Session, offer: OfferReceived) -> bool:
        """Whoever was called without offer has made one."""
        if self.answered:
            return False
        if offer.carrier != "2xx":
            offer.refuse()
        elif leg.side == 0 and self.flow != "I":
            try:
                offer.answer(SessionBody(MEDIA_TYPE, leg.own.silence(offer.body.data)))
            except RemoteProtocolError as error:
                offer.refuse(error.status)
        else:
            self._pending = (offer.body, OfferResponder(offer))
        return True

    def callee_progressed(self, leg: CalleeLeg, session: Session, response: Response) -> None:
        """It rings."""
        if response.status in (180, 183) and leg.side == 1:
            self.notes.rang()

    def callee_answered(self, leg: CalleeLeg, session: Session, response: Response | None) -> None:
        """One of the two has answered."""
        hunt = self._hunt
        if self.over or hunt is None or hunt.attempt_of(leg.call) is None:
            leave(leg.call)
            leg.call.hangup()
            return
        for other in hunt.end(leg.call):
            leave(other)
            other.hangup()
        self.put(leg.side, leg.call)
        self._count([])
        if leg.side == 0:
            self.notes.was_answered_leg(leg.call)
            self._search(self.b)
            return
        caller = self.caller
        assert caller is not None
        self.begun(caller, leg.call)
        waiting, self._connected = self._connected, []
        leg.remote = session.offers.remote
        self._agree(caller, leg)
        for waiter in waiting:
            waiter.callback(self)

    def _agree(self, caller: Call, leg: CalleeLeg) -> None:
        bridge, pending = self.bridge, self._pending
        self._pending = None
        if self.transcoding is not None:
            self.transcoding.join(caller, leg.call)
        elif bridge is None or pending is None:
            self.hangup("Media cannot be agreed")
        elif self.flow != "I":
            leg.remote = None
            bridge.offer_from(1, *pending)
        elif leg.remote is not None:
            body, responder = pending
            first = bridge.legs[0]
            assert first is not None
            try:
                responder.answer(bridge.answer_for(leg.remote, 1, first, body))
            except RemoteProtocolError:
                self.hangup("Media cannot be agreed")
                return
            first.remote = body

    def _count(self, targets: Sequence[Target]) -> None:
        """It is at *targets*, beside who has answered, and at no others any more."""
        legs = [call.leg for call in (self.caller, self.callee) if call is not None]
        users = [leg.user for leg in legs if isinstance(leg, BridgedLeg)]
        self.b2bua.users.keep(self, [self.user, *users, *[target.aor for target in targets]])

    def attempt_failed(self, call: Call, status: int, response: Response | None) -> None:
        """A target has refused, or cannot be reached."""
        self.notes.leg_ended(call)
        hunt = self._hunt
        attempt = hunt.attempt_of(call) if hunt is not None else None
        if hunt is None or attempt is None or self.over:
            return
        self._count([other.target for other in hunt.attempts if other is not attempt])
        leg = call.leg
        streamless = isinstance(leg, CalleeLeg) and leg.side == 0 and self.flow == "IV" and leg.offered
        if streamless and self.bridge is not None and status in _NO_STREAMS:
            hunt.again(attempt, self._start(attempt.target, False, streamless=False))
        else:
            hunt.lost(attempt, status or 408, response is not None)

    def _nobody(self, status: int) -> None:
        if self.over:
            return
        self.status = status_for_caller(status)
        caller = self.caller
        self.end("refused", self.status, "", "callee")
        if caller is not None and not caller.over:
            caller.hangup("Nobody answers")

    # -- the end ----------------------------------------------------------------------------------

    def end(self, result: Result, status: int, reason: str, by: str) -> None:
        """It is over."""
        if self.over:
            return
        self.result, self.status = result, status
        pending, self._pending = self._pending, None
        hunt, self._hunt = self._hunt, None
        super().end(result, status, reason, by)
        for call in hunt.end(self.callee) if hunt is not None else ():
            leave(call)
            call.hangup()
        if pending is not None:
            pending[1].refuse(488, [])
        connected, self._connected = self._connected, []
        for waiter in connected:
            waiter.errback(self._refusal(reason))
        ended, self._ended = self._ended, []
        for waiting in ended:
            waiting.callback(self)


def _uri(uri: URI | str) -> URI:
    try:
        return parse_uri(uri) if isinstance(uri, str) else uri
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.reason) from error
