"""Transfers that are carried out here: the other leg sees a re-INVITE and nothing else.

REFER (RFC 3515, RFC 5589), Replaces (RFC 3891). The new leg is called without an offer; what it offers goes to the leg
that stays, as in RFC 3725 section 4.4. Media that are relayed get ports of their own, so that who is gone is not heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from twisted_sip.agent.account import Account
from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallState
from twisted_sip.agent.referral import Referral
from twisted_sip.agent.referring import Referring
from twisted_sip.b2bua.following import Following, Tell, connect
from twisted_sip.b2bua.joined_legs import JoinedLegs, end_leg, leave
from twisted_sip.b2bua.legs import BridgedLeg, CallerLeg
from twisted_sip.b2bua.noting import ReferralNotes
from twisted_sip.b2bua.responders import InviteResponder
from twisted_sip.b2bua.users import took_place
from twisted_sip.dialog.dialog import DialogID
from twisted_sip.dialog.dialogs import INVITE_USAGE
from twisted_sip.dialog.session import CONFIRMED, Session
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import RemoteProtocolError, SIPError

if TYPE_CHECKING:
    from twisted_sip.b2bua.b2bua import B2BUA
    from twisted_sip.b2bua.bridged_call import BridgedCall

#: Why a REFER that was accepted comes to nothing before anybody is called.
_NOT_TRANSFERRED = {
    481: "481: not transferred: there is no call with two who talk",
    488: "488: not transferred: the two calls cannot be joined, their media pass in different ways",
    491: "491: not transferred: a call is being changed",
}


class TransferReferring(Referring):
    """REFER within a b2bua: the new call is a new leg of the old one."""

    def __init__(self, b2bua: B2BUA, transfers: Transfers) -> None:
        super().__init__(b2bua)
        self._transfers = transfers

    def leads_back(self, referral: Referral) -> bool:
        """See Referring: nobody but users is behind our addresses, and what goes round is found by its hops."""
        return False

    def _follow(self, referral: Referral, account: Account) -> None:
        def tell(status: int, final: bool) -> None:
            notifier = self._followed.get(referral)
            if notifier is not None:
                notifier.tell(status, final=final)
            if final and status < 300 and referral.call is not None:
                self._end_later(referral.call)

        self._transfers.refer(referral, tell)


class Transfers:
    """The transfers of one b2bua.

    :ivar referring: what takes REFERs.
    """

    def __init__(self, b2bua: B2BUA) -> None:
        self._b2bua = b2bua
        self.referring = TransferReferring(b2bua, self)

    def close(self) -> None:
        """Follow nothing any more."""
        self.referring.close()

    # -- REFER ------------------------------------------------------------------------------------

    def refer(self, referral: Referral, tell: Tell) -> None:
        """Carry out what a REFER in a call asks for."""
        call = referral.call
        leg = call.leg if call is not None else None
        bridged = leg.bridged if isinstance(leg, BridgedLeg) else None
        notes = ReferralNotes(self._b2bua.element, referral)
        if leg is None or not isinstance(leg, BridgedLeg) or bridged is None or not bridged.answered:
            notes.note("b2bua", _NOT_TRANSFERRED[481])
            tell(481, True)
            return
        if bridged.following is not None or (bridged.bridge is not None and bridged.bridge.busy):
            notes.note("b2bua", _NOT_TRANSFERRED[491])
            tell(491, True)
            return
        replaces = referral.replaces
        if replaces is not None:
            id = DialogID(replaces.call_id, replaces.to_tag, replaces.from_tag)
            session = self._b2bua.dialogs.usage(id, INVITE_USAGE)
            if isinstance(session, Session):
                status = self._attended(bridged, leg, session)
                if status != 200:
                    notes.note("b2bua", _NOT_TRANSFERRED[status])
                tell(status, True)
                return
        Following(bridged, leg, referral, tell).begin()

    def _attended(self, bridged: JoinedLegs, leg: BridgedLeg, session: Session) -> int:
        """Connect the peer of *leg* with that of *session*, both of whom the transferor talks with."""
        second = self._b2bua.table.call_of(session)
        other = second.leg.bridged if second is not None and isinstance(second.leg, BridgedLeg) else None
        if second is None or other is None or session.state != CONFIRMED or not other.answered or other is bridged:
            return 481
        assert isinstance(second.leg, BridgedLeg)
        joined = other.other_leg(second.leg)
        stays = bridged.other_leg(leg)
        if joined is None or stays is None or (bridged.bridge is None) != (other.bridge is None):
            return 488
        if other.following is not None or (other.bridge is not None and other.bridge.busy):
            return 491
        moved = joined.call
        bridged.notes.leg_began(moved)
        bridged.notes.was_answered(moved)
        joined.leave()
        other.notes.leg_ended(moved)
        if other.callee is moved:
            other.callee = None
        else:
            other.caller = None
        other.end("answered", 200, "Transferred", "caller" if second is other.caller else "callee")
        end_leg(second, "")
        connect(bridged, leg.side, moved)
        took_place(bridged, leg.call, moved)
        if bridged.bridge is not None:
            bridged.bridge.ask(1 - leg.side)
        return 200

    # -- Replaces -----------------------------------------------------------------------------------

    def replacing(self, call: Call) -> None:
        """The incoming *call* takes the place of another one (RFC 3891 section 3)."""
        old = call.replaces
        leg = call.leg
        assert old is not None and isinstance(leg, CallerLeg)
        # It is answered here, not by the agent.
        leg.answering = True
        bridged = old.leg.bridged if isinstance(old.leg, BridgedLeg) else None
        if bridged is None or bridged.over:
            call.reject(481)
            return
        if not bridged.answered:
            self._pick_up(bridged, old, call, leg)
            return
        side = old.leg.side if isinstance(old.leg, BridgedLeg) else 0
        other = bridged.leg_at(1 - side)
        if other is None:
            call.reject(481)
            return
        if bridged.bridge is None:
            self._replace_with_media(bridged, side, call)
            return
        responder = Replacing(bridged, side, old, call)
        offer = leg.invite.offer
        bridged.bridge.legs[side] = leg
        leg.side = side
        leg.bridged = bridged
        if offer is None:
            bridged.bridge.asked_by(side, responder)
        else:
            bridged.bridge.offer_from(side, offer, responder)

    @staticmethod
    def _replace_with_media(bridged: JoinedLegs, side: int, call: Call) -> None:
        leg, old = call.leg, bridged.leg_at(side)
        replaced = call.replaces
        assert isinstance(leg, CallerLeg) and old is not None and replaced is not None
        leg.answering = False
        following = bridged.following
        if following is not None and following.hunt.attempt_of(replaced) is None:
            # Who wanted a transfer is told before the BYE, lest that come out of order.
            end_following(bridged, replaced)
        # The agent ends it before we are told.
        leave(old)

        def refused(failure: Failure) -> None:
            decline(call, failure)
            if isinstance(old.leg, BridgedLeg) and not bridged.over:
                old.leg.bridged = bridged

        def answered(_: Any) -> None:
            if bridged.over:
                call.hangup()
                return
            bridged.notes.leg_began(call)
            bridged.notes.was_answered(call)
            end_following(bridged, replaced)
            connect(bridged, side, call)
            took_place(bridged, replaced, call)

        call.answer(media=bridged.b2bua.plane).addCallbacks(answered, refused)

    def _pick_up(self, bridged: JoinedLegs, old: Call, call: Call, leg: CallerLeg) -> None:
        """Somebody takes a call that rings elsewhere (RFC 5359 section 2.16)."""
        from twisted_sip.b2bua.bridged_call import BridgedCall

        bridge = bridged.bridge
        if not isinstance(bridged, BridgedCall):
            # One of two who are called: there is nobody yet who could be taken over.
            call.reject(488)
            return
        if bridge is None:
            self._pick_up_with_media(bridged, old, call, leg)
            return
        caller = bridged.caller_leg
        offer, asked = leg.invite.offer, caller.invite.offer
        if offer is None and asked is None:
            call.reject(488)
            return
        known = silent = sent = None
        try:
            if offer is not None and asked is not None:
                known = bridged.described or SessionBody(asked.content_type, caller.own.silence(asked.data))
                silent = SessionBody(offer.content_type, leg.own.silence(offer.data))
            elif offer is not None:
                sent = bridge.offer_for(offer, 1, caller)
            elif asked is not None:
                sent = bridge.offer_for(asked, 0, leg)
        except RemoteProtocolError as error:
            call.reject(error.status)
            return
        leg.side = 1
        leg.bridged = bridged
        bridged.notes.leg_began(call)
        bridged.connected(call)
        bridge.legs[1] = leg
        if sent is None:
            # Both have made an offer, neither of which answers the other: they agree anew.
            caller.invite.accept(known)
            leg.invite.accept(silent)
            bridge.ask(1)
        elif offer is not None:
            bridge.offered_in_response(1, offer, sent, InviteResponder(leg.invite))
            caller.invite.accept(sent)
        elif asked is not None:
            bridge.offered_in_response(0, asked, sent, InviteResponder(caller.invite))
            leg.invite.accept(sent)
        for one in (caller.call, call):
            if one.session is not None and one.session.state == CONFIRMED:
                one.was_answered()

    @staticmethod
    def _pick_up_with_media(bridged: BridgedCall, old: Call, call: Call, leg: CallerLeg) -> None:
        """The same where each leg has media of its own: both are answered, and hear each other."""
        caller = bridged.caller_leg.call
        leg.answering = False
        # The agent ends it before we are told.
        leave(old)

        def refused(failure: Failure) -> None:
            decline(call, failure)
            if bridged.over or bridged.answered:
                return
            if old.over:
                bridged.attempt_failed(old, 480, None)
            elif isinstance(old.leg, BridgedLeg):
                old.leg.bridged = bridged

        def answered(_: Any) -> None:
            if bridged.over or bridged.answered:
                call.hangup()
                return
            leg.side = 1
            leg.bridged = bridged
            bridged.notes.leg_began(call)
            bridged.connected(call)
            assert bridged.transcoding is not None
            bridged.transcoding.answered(caller, call, [])

        call.answer(media=bridged.b2bua.plane).addCallbacks(answered, refused)


def end_following(bridged: JoinedLegs, replaced: Call) -> None:
    """*replaced*, a leg of *bridged*, is replaced: a transfer that is under way has come about, or comes to nothing."""
    following, bridged.following = bridged.following, None
    if following is not None and not following.picked_up(replaced):
        # Who wanted a transfer is no party any more.
        following.close()


def decline(call: Call, failure: Failure) -> None:
    """*call* cannot be answered."""
    failure.trap(SIPError)
    if call.state in (CallState.TRYING, CallState.RINGING):
        error = failure.value
        call.reject(error.status if isinstance(error, RemoteProtocolError) else 488)


class Replacing(InviteResponder):
    """An INVITE that takes the place of a leg (RFC 3891 section 3): once media are agreed it does so, and the old one
    ends."""

    __slots__ = ("_before", "_bridged", "_call", "_old", "_side")

    def __init__(self, bridged: JoinedLegs, side: int, old: Call, call: Call) -> None:
        leg = call.leg
        assert isinstance(leg, CallerLeg)
        super().__init__(leg.invite)
        self._bridged = bridged
        self._side = side
        self._old = old
        self._call = call
        bridge = bridged.bridge
        self._before = bridge.legs[side] if bridge is not None else None

    def answer(self, body: SessionBody) -> None:
        """Accept it with *body*, and put it in the place of the old leg."""
        super().answer(body)
        self._taken()

    def offer(self, body: SessionBody) -> None:
        """Accept it with the offer *body*, and put it in the place of the old leg."""
        super().offer(body)
        self._taken()

    def _taken(self) -> None:
        bridged = self._bridged
        bridged.notes.leg_began(self._call)
        bridged.notes.was_answered(self._call)
        end_following(bridged, self._old)
        bridged.put(self._side, self._call)
        took_place(bridged, self._old, self._call)
        # The agent ends the old one.
        self._call.was_answered()

    def refuse(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Refuse it with *status* and *headers*; the old leg stays."""
        leave(self._call)
        bridge = self._bridged.bridge
        leg = self._call.leg
        if bridge is not None and isinstance(leg, BridgedLeg) and bridge.legs[self._side] is leg:
            bridge.legs[self._side] = self._before
        super().refuse(status, headers)
