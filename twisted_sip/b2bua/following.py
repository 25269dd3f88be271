"""A REFER that is followed: whom it names is called, and takes the place of who has sent it (RFC 3515, RFC 5589)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.call import Call
from twisted_sip.agent.referral import Referral
from twisted_sip.agent.waiting import then
from twisted_sip.b2bua.home_wire import HomeWire
from twisted_sip.b2bua.hunt import Attempt, Hunt
from twisted_sip.b2bua.joined_legs import JoinedLegs, end_leg, leave
from twisted_sip.b2bua.legs import BridgedLeg, CalleeLeg
from twisted_sip.b2bua.noting import ReferralNotes
from twisted_sip.b2bua.privacy import shown
from twisted_sip.b2bua.users import took_place
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.status import reason_phrase

_log = Logger()

_NO_HEADERS = HeaderMap()

#: Told the status, and whether that is the last one.
Tell = Callable[[int, bool], object]


class Following:
    """A REFER that is followed: the search for whom it names."""

    def __init__(self, bridged: JoinedLegs, leg: BridgedLeg, referral: Referral, tell: Tell) -> None:
        self._bridged = bridged
        self._leg = leg
        self._referral = referral
        self._tell = tell
        self._notes = ReferralNotes(bridged.b2bua.element, referral)
        self.hunt = Hunt(self._start, self._nobody)
        self._progress = 0
        self._over = False
        bridged.following = self

    def begin(self) -> None:
        """Ask where it goes."""
        bridged = self._bridged
        then(
            lambda: bridged.b2bua.route_transfer(bridged, self._leg, self._referral),
            self._routed,
            self._failed,
        )

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, RemoteProtocolError):
            self._nobody(error.status, error.reason)
        else:
            _log.failure("a transfer of {call}", failure, call=repr(self._bridged))
            self._nobody(500)

    def _routed(self, route: Any) -> None:
        if self._over:
            return
        found = self._bridged.b2bua.targets_of(route, self._referral.target)
        if isinstance(found, int):
            self._nobody(found)
            return
        self.hunt.add(found)
        self.hunt.go_on()

    def _start(self, target: Target, one_of_several: bool) -> Attempt | int:
        bridged = self._bridged
        b2bua = bridged.b2bua
        referral = self._referral
        stays = bridged.other_leg(self._leg)
        if stays is None:
            return 481
        headers = b2bua.policy.invite_fields(_NO_HEADERS)
        if all(name != "referred-by" for name, _ in headers):
            headers.append(("referred-by", referral.referred_by))
        if referral.replaces is not None:
            headers += [("replaces", str(referral.replaces)), ("require", "replaces")]
        hops = referral.request.max_forwards
        try:
            call = b2bua.make_leg(
                bridged,
                target,
                shown(stays),
                referral.target,
                headers,
                hops=70 if hops is None else min(70, hops) - 1,
                timeout=b2bua.patience(target, one_of_several),
                reliable=bridged.bridge is None,
            )
        except LocalProtocolError as error:
            _log.info("{target} cannot be called: {reason}", target=str(target.uri), reason=str(error))
            return 500
        if isinstance(call.wire, HomeWire):
            call.wire.told = self._notes
        bridged.notes.leg_began(call)
        call.referrals = self._leg.call.referrals + 1
        leg = call.leg
        assert isinstance(leg, CalleeLeg)
        leg.side = self._leg.side
        leg.following = self
        if bridged.bridge is None:
            try:
                call.choose_media(b2bua.plane, None)
            except MediaRefused as error:
                leg.following = None
                leg.never_began(error)
                bridged.notes.leg_ended(call)
                return error.status
            leg.start()
        else:
            leg.begin(None)
        return Attempt(target, call, bridged.bridge is None)

    # -- what the new leg tells ---------------------------------------------------------------------

    def progressed(self, status: int) -> None:
        """It rings."""
        if status > self._progress and not self._over:
            self._progress = status
            self._tell(status, False)

    def answered(self, leg: CalleeLeg) -> None:
        """It has answered: it takes the place of who has sent the REFER."""
        call = leg.call
        if self._over:
            leave(call)
            call.hangup()
            return
        bridged = self._bridged
        self._over = True
        bridged.following = None
        for other in self.hunt.end(call):
            leave(other)
            other.hangup()
        leg.following = None
        bridged.notes.was_answered(call)
        old = bridged.leg_at(leg.side)
        connect(bridged, leg.side, call)
        took_place(bridged, self._leg.call, call)
        if old is not None and old is not self._leg.call:
            end_leg(old, "")
        self._tell(200, True)

    def picked_up(self, call: Call) -> bool:
        """Somebody else takes the place of *call*, which rings; return True if that is one of ours: then whoever was to
        be called has been found."""
        if self._over or self.hunt.attempt_of(call) is None:
            return False
        self._over = True
        self._bridged.following = None
        for other in self.hunt.end(call):
            leave(other)
            other.hangup()
        self._tell(200, True)
        return True

    def lost(self, call: Call, status: int, said: bool = True) -> None:
        """It has come to nothing; *said*: its peer has said so."""
        self._bridged.notes.leg_ended(call)
        attempt = self.hunt.attempt_of(call)
        if attempt is not None and not self._over:
            self.hunt.lost(attempt, status, said)

    def leg_over(self, call: Call) -> bool:
        """A leg of the old call has ended; return True if the transfer goes on all the same."""
        bridged = self._bridged
        if call is not self._leg.call:
            return False
        if bridged.bridge is not None:
            bridged.bridge.legs[self._leg.side] = None
        if call is bridged.caller:
            bridged.caller = None
        else:
            bridged.callee = None
        return True

    def _nobody(self, status: int, reason: str = "") -> None:
        if self._over:
            return
        self._over = True
        bridged = self._bridged
        bridged.following = None
        status = status if status >= 400 else 480
        text = f"the transfer to {{0}} comes to nothing: {status} {{1}}"
        self._notes.note("b2bua", text, "", str(self._referral.target), reason or reason_phrase(status))
        self._tell(status, True)
        if self._leg.call.over:
            # Who has sent the REFER did not wait, and the other one has nobody left.
            bridged.hangup("Transfer failed")

    def close(self) -> None:
        """The call is over."""
        if self._over:
            return
        self._over = True
        for call in self.hunt.end():
            leave(call)
            call.hangup()
        self._tell(487, True)


def connect(bridged: JoinedLegs, side: int, call: Call) -> None:
    """Have *call* take the place of the leg of *side*, with media of their own for the new pair."""
    bridge = bridged.bridge
    if bridge is not None:
        try:
            passage = bridged.b2bua.media_for(bridged, bridge.mode)
        except MediaRefused as error:
            # There are no further ports: those that there are do for the new leg, too.
            _log.info("no media of their own for {call}: {reason}", call=repr(bridged), reason=str(error))
            passage = bridge.passage
        bridge.renew(passage)
    if bridged.over:
        # An offer that came in a response was under way: there was no way to refuse it but to hang up.
        leave(call)
        end_leg(call, "")
        return
    bridged.put(side, call)
    other = bridged.leg_at(1 - side)
    if bridge is None and bridged.transcoding is not None and other is not None:
        bridged.transcoding.join(call, other)
