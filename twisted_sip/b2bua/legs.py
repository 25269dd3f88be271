"""The two legs of a call: agent's calls, whose session descriptions come from each other.

Where media are terminated here a leg has media of its own and does what an agent's leg does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_sip.agent.call_events import CallState
from twisted_sip.agent.incoming_leg import IncomingLeg
from twisted_sip.agent.leg import Leg
from twisted_sip.agent.outgoing_leg import OutgoingLeg
from twisted_sip.agent.wire import Wire
from twisted_sip.b2bua.responders import InviteResponder, OfferResponder
from twisted_sip.b2bua.session_lines import OwnSession
from twisted_sip.dialog.session_terms import SessionBody, SessionTerms
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.b2bua.exchange import Bridge
    from twisted_sip.b2bua.following import Following
    from twisted_sip.b2bua.joined_legs import JoinedLegs
    from twisted_sip.dialog.invite_attempt import InviteAttempt
    from twisted_sip.dialog.server_invite import ServerInvite
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_offers import OfferReceived


class BridgedLeg(Leg):
    """What both legs have in common.

    :ivar bridged: the call that it is a leg of, None before there is one and after it has left it.
    :ivar side: which one of its two.
    :ivar own: our session with its peer, as our descriptions tell of it.
    :ivar remote: what the peer has said about media last, and the other leg knows.
    :ivar user: the address-of-record that proved to be its peer's, or that its peer is registered as; empty without.
    """

    bridged: JoinedLegs | None = None
    side = 0
    own: OwnSession
    remote: SessionBody | None = None
    user = ""

    @property
    def session(self) -> Session | None:
        """The session that counts, early or not."""
        return self.call.session

    @property
    def bridge(self) -> Bridge | None:
        """Where its offers and answers go; None where it has media of its own."""
        bridged = self.bridged
        return bridged.bridge if bridged is not None else None

    def take_answer(self, session: Session, body: SessionBody) -> None:
        """The peer's answer."""
        bridge = self.bridge
        if bridge is None or self.bridged is None:
            super().take_answer(session, body)
        elif not self.bridged.answer_in_set_up(self, session, body):
            bridge.answer_from(self.side, body)

    def offer_received(self, session: Session, offer: OfferReceived) -> None:
        """The peer makes an offer outside of INVITE requests."""
        bridge = self.bridge
        if bridge is None or self.bridged is None:
            super().offer_received(session, offer)
        elif self.bridged.offer_in_set_up(self, session, offer):
            return
        elif session is self.session and bridge.legs[self.side] is self:
            # Other forks are not heard: what they would change the other leg does not know of.
            bridge.offer_from(self.side, offer.body, OfferResponder(offer))
        else:
            offer.refuse()

    def reinvited(self, session: Session, invite: ServerInvite) -> None:
        """The peer wants to change the session."""
        bridge = self.bridge
        if bridge is None:
            super().reinvited(session, invite)
            return
        self.await_cancel(invite)
        if invite.offer is None:
            bridge.asked_by(self.side, InviteResponder(invite))
        else:
            bridge.offer_from(self.side, invite.offer, InviteResponder(invite))

    def rolled_back(self, session: Session) -> None:
        """What was offered or answered last has come to nothing."""
        bridge = self.bridge
        if bridge is None:
            super().rolled_back(session)
        elif session is self.session:
            bridge.rolled_back(self.side)

    def modified(self, session: Session, method: str, status: int) -> None:
        """Our re-INVITE or UPDATE has its outcome."""
        bridge = self.bridge
        if bridge is None:
            super().modified(session, method, status)
        elif session is self.session:
            bridge.modified(self.side, session, method, status)

    def offer_wanted(self, session: Session, why: str) -> None:
        """An offer of ours is wanted."""
        bridge = self.bridge
        if bridge is None:
            super().offer_wanted(session, why)
        elif session is self.session:
            bridge.offer_wanted(self.side, session, why)

    def free(self, session: Session) -> None:
        """Changes are possible again."""
        bridged = self.bridged
        bridge = bridged.bridge if bridged is not None else None
        if bridge is None:
            super().free(session)
        elif bridge.busy and session is self.session:
            bridge.free()

    def info_received(self, session: Session, info: Request, package: str) -> None:
        """An INFO: it is for the other leg (RFC 6086).

        :raises RemoteProtocolError: nobody takes it there.
        """
        bridged = self.bridged
        if bridged is None or bridged.bridge is None:
            super().info_received(session, info, package)
        elif session is self.session:
            bridged.pass_info(self, info, package)

    def told_end(self) -> None:
        """A session is over: tell the call if the leg is."""
        bridged = self.bridged
        if self.call.over and bridged is not None:
            bridged.leg_over(self.call)

    def leave(self) -> None:
        """It is no leg of the call any more, whatever becomes of it."""
        self.bridged = None


class CallerLeg(BridgedLeg, IncomingLeg):
    """The leg of the caller.

    :ivar incoming: the INVITE as it came.
    """

    def __init__(self, call: Call, wire: Wire, incoming: Any, terms: SessionTerms) -> None:
        """See IncomingLeg."""
        self.incoming = incoming
        super().__init__(call, wire, incoming, terms)

    def respond(self, session: Session, incoming: Any, response: Response) -> None:
        """Answer a request; the 2xx to the INVITE when the record of the call is durable."""
        hold = self.bridged.notes.hold if self.bridged is not None and incoming is self.incoming else None
        if hold is None or hold.called or not 200 <= response.status < 300:
            super().respond(session, incoming, response)
        else:
            # Whatever has become of the call meanwhile: this was said first.
            hold.addBoth(self._respond, session, incoming, response)

    def _respond(self, result: Any, session: Session, incoming: Any, response: Response) -> None:
        super().respond(session, incoming, response)

    def ended(self, session: Session) -> None:
        """It is over."""
        super().ended(session)
        self.told_end()

    def confirmed(self, session: Session) -> None:
        """The ACK has come."""
        super().confirmed(session)
        if self.bridged is not None:
            self.bridged.caller_confirmed()


class CalleeLeg(BridgedLeg, OutgoingLeg):
    """The leg of a callee.

    :ivar heard: the early session that the caller hears.
    :ivar following: the transfer that it was made for, until it has answered.
    """

    side = 1
    heard: Session | None = None
    following: Following | None = None

    def begin(self, offer: SessionBody | None) -> None:
        """Send the INVITE with *offer*, None has the callee make it."""
        self._begin(offer)

    def never_began(self, error: RemoteProtocolError) -> None:
        """No INVITE can be sent, because of *error*."""
        self.leave()
        self.call.refused(error.status, error.reason, None, by="local", cause="media")
        self.call.gone()

    @property
    def offered(self) -> bool:
        """True if the INVITE has an offer."""
        return self._offer is not None

    @property
    def session(self) -> Session | None:
        """The session that counts, early or not."""
        return self.call.session or self.heard

    def progressed(self, session: Session, response: Response) -> None:
        """A provisional response."""
        super().progressed(session, response)
        if self.following is not None:
            self.following.progressed(response.status)
        elif self.bridged is not None and not self.call.over:
            self.bridged.callee_progressed(self, session, response)

    def answer_received(self, session: Session, body: SessionBody) -> None:
        """The answer of one fork."""
        bridged = self.bridged
        if bridged is not None and session.state == "confirmed" and bridged.answer_comes(self):
            # ``callee_answered`` comes next, and looks for itself.
            self._adopt(session)
        elif self.bridge is None or session.state == "confirmed":
            super().answer_received(session, body)
        elif self.counts(session):
            self.take_answer(session, body)

    def offer_received(self, session: Session, offer: OfferReceived) -> None:
        """The peer makes the offer."""
        self._adopt(session)
        if self.following is not None and self.bridge is not None:
            if offer.carrier != "2xx":
                offer.refuse()
                return
            self.following.answered(self)
        super().offer_received(session, offer)

    def ended(self, session: Session) -> None:
        """A session is over."""
        super().ended(session)
        self.told_end()

    def confirmed(self, session: Session) -> None:
        """The first 2xx."""
        bridged = self.bridged
        if bridged is None or bridged.bridge is None:
            super().confirmed(session)
            return
        call = self.call
        if call.session is None:
            self._adopt(session)
        if call.state is not CallState.ENDED:
            call.was_answered()
            call.was_confirmed()

    def attempt_over(self, attempt: InviteAttempt) -> None:
        """It has its outcome."""
        super().attempt_over(attempt)
        bridged = self.bridged
        if attempt is not self.attempt or bridged is None:
            return
        following = self.following
        if following is not None:
            if attempt.winner is not None and not self.call.over:
                following.answered(self)
            else:
                following.lost(self.call, attempt.status or 408, attempt.response is not None)
            return
        if bridged.leg_at(self.side) is self.call:
            # It was let in already, with its offer.
            return
        if attempt.winner is not None and self.call.established:
            bridged.callee_answered(self, attempt.winner, attempt.response)
        elif self.call.over:
            bridged.attempt_failed(self.call, attempt.status, attempt.response)


def check_package(session: Session, package: str) -> None:
    """Look whether the peer of *session* takes an Info Package, empty for none.

    :raises RemoteProtocolError: it does not (RFC 6086 section 4.2.2).
    """
    if package and package.lower() not in {name.lower() for name in session.peer_packages or ()}:
        raise RemoteProtocolError("Bad Info Package", status=469)
