"""The life of a call: states, Deferreds, events, what ends it, how it changes (RFC 3261 sections 13 to 15).

What the machines of the dialog floor say comes by way of its leg.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, fail, succeed

from twisted_sip.agent.account import Account
from twisted_sip.agent.call_events import (
    Answered,
    CallEnd,
    CallEvent,
    CallRefused,
    CallState,
    Confirmed,
    Ended,
    HoldChanged,
)
from twisted_sip.agent.descriptions import Description, Descriptions, OnOffer, is_held, session_body
from twisted_sip.agent.event_log import EventLog, EventStream
from twisted_sip.agent.renegotiation import Change, Renegotiation
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.session import CONFIRMED, Session
from twisted_sip.dialog.session_terms import Ending, SessionBody
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.incoming_leg import IncomingLeg
    from twisted_sip.agent.outgoing_leg import OutgoingLeg
    from twisted_sip.agent.referral import Referral
    from twisted_sip.agent.user_agent import UserAgent


class CallCore:
    """What every call has; see Call.

    :ivar agent: whose it is.
    :ivar id: its Call-ID.
    :ivar outgoing: we have made it.
    :ivar account: who we are in it.
    :ivar local: our address as the peer sees it, without tag; and *remote*, the peer's.
    :ivar request: the INVITE that it was made by, as it came or was last sent.
    :ivar state: where it is.
    :ivar session: its session, None before there is one that counts.
    :ivar descriptions: where session descriptions come from.
    :ivar identity: the address-of-record that the caller has proved to have, empty for none.
    :ivar on_hold: we have put the peer on hold, and *held*: it has put us on hold.
    :ivar negotiated: media were agreed.
    :ivar replaces: the call that this one takes the place of (RFC 3891), and *joins*, that which it joins (RFC 3911).
    :ivar referral: the REFER because of which we have made it.
    :ivar referrals: how many REFERs in a row have led to it.
    :ivar ending: how it ended, None before.
    :ivar data: for the application to keep what it likes.
    :ivar log: what has happened.
    """

    leg: OutgoingLeg | IncomingLeg

    def __init__(
        self,
        agent: UserAgent,
        account: Account,
        wire: Wire,
        *,
        id: str,
        outgoing: bool,
        local: NameAddr,
        remote: NameAddr,
        request: Request,
        body: SessionBody | None = None,
    ) -> None:
        self.agent = agent
        self.id = id
        self.outgoing = outgoing
        self.account = account
        self.wire = wire
        self.local = local
        self.remote = remote
        self.request = request
        self.state = CallState.TRYING
        self.session: Session | None = None
        self.descriptions = Descriptions(cast("Call", self), None, body)
        self.changes = Renegotiation(cast("Call", self))
        self.identity = ""
        self.on_hold = False
        self.held = False
        self.negotiated = False
        self.replaces: Call | None = None
        self.joins: Call | None = None
        self.referral: Referral | None = None
        self.referrals = 0
        self.ending: CallEnd | None = None
        self.data: dict[str, Any] = {}
        self.log: EventLog[CallEvent] = EventLog()
        self.answer_response: Response | None = None
        self._established_at: float | None = None
        self._answered: list[Deferred[Call]] = []
        self._ended: list[Deferred[CallEnd]] = []
        self._refusal: CallRefused | None = None
        self._cause: tuple[str, int, str] | None = None

    def __repr__(self) -> str:
        arrow = "to" if self.outgoing else "from"
        return f"<Call {arrow} {self.remote.uri_text} {self.state.value}>"

    # -- what it is -----------------------------------------------------------------------

    @property
    def media(self) -> Any:
        """Its media (interfaces.media.IMediaSession), None for signalling only."""
        return self.descriptions.media

    @property
    def on_offer(self) -> OnOffer | None:
        """Without media: what describes our side of the session (RFC 3264); None for nobody.

        Called with the call and the peer's offer as SessionBody, None where the offer is ours to make. Returns our
        description as SessionBody, None for none, or what can be awaited for it. RemoteProtocolError refuses with its
        status.
        """
        return self.descriptions.on_offer

    @on_offer.setter
    def on_offer(self, hook: OnOffer | None) -> None:
        """Set it, before the call is answered or has its answer."""
        self.descriptions.on_offer = hook

    @property
    def dialog(self) -> Dialog | None:
        """Its dialog, None before there is one that counts."""
        return self.session.dialog if self.session is not None else None

    @property
    def established(self) -> bool:
        """True while it is answered and not over."""
        return self.state is CallState.ESTABLISHED

    @property
    def over(self) -> bool:
        """True once it has ended."""
        return self.state is CallState.ENDED

    @property
    def leaving(self) -> bool:
        """True once it has ended, or is about to."""
        return self.state in (CallState.ENDING, CallState.ENDED)

    @property
    def local_body(self) -> SessionBody | None:
        """Our description that is agreed, None before."""
        return self.session.offers.local if self.session is not None else None

    @property
    def remote_body(self) -> SessionBody | None:
        """The peer's description that is agreed, or the offer in its INVITE."""
        session = self.session
        if session is None:
            return None
        if session.offers.remote is None and session.invite is not None:
            return session.invite.offer
        return session.offers.remote

    @property
    def local_host(self) -> str:
        """The numeric address of ours by which it goes, as far as that is known before anything is sent."""
        return self.wire.local_host(self.remote)

    @property
    def signalling_is_secure(self) -> bool:
        """Whether its messages leave us encrypted, as far as that is known: keys of media may stand in them then."""
        return self.wire.is_secure(self.remote)

    @property
    def seconds(self) -> float:
        """For how long it is established, or was."""
        if self.ending is not None:
            return self.ending.seconds
        began = self._established_at
        return 0.0 if began is None else self.agent.element.timers.now() - began

    @property
    def warn_agent(self) -> str:
        """The host that Warning header fields name."""
        return self.account.domain or "invalid"

    @property
    def answered(self) -> Deferred[Call]:
        """A Deferred that fires with this call once it is answered; fails with CallRefused if it comes to nothing.

        Another one each time.
        """
        if self._established_at is not None:
            return succeed(cast("Call", self))
        if self._refusal is not None:
            return self._unheeded(fail(self._refusal))
        waiting: Deferred[Call] = Deferred(self._answered.remove)
        self._answered.append(waiting)
        return waiting

    @property
    def ended(self) -> Deferred[CallEnd]:
        """A Deferred that fires with how it ended. Never fails. Another one each time."""
        if self.ending is not None:
            return succeed(self.ending)
        waiting: Deferred[CallEnd] = Deferred(self._ended.remove)
        self._ended.append(waiting)
        return waiting

    def events(self) -> EventStream[CallEvent]:
        """Return what happens, to iterate over with ``async for``; what has happened already comes first."""
        return self.log.stream()

    def observe(self, observer: Callable[[CallEvent], object]) -> Callable[[], None]:
        """Call *observer* with each event from now on; return what ends that."""
        return self.log.observe(observer)

    # -- hanging up -------------------------------------------------------------------------

    def hangup(
        self, reason: Reason | str | tuple[Reason, ...] = "", headers: Iterable[tuple[str, str]] = ()
    ) -> Deferred[CallEnd]:
        """End it, wherever it is: CANCEL, a refusal or a BYE (sections 9.1, 13.3.1.3 and 15.1.1).

        :param reason: what to tell the peer (RFC 3326), in one protocol or several; a text is taken for that of
            ``SIP;cause=200`` where it was answered.
        :return: as :attr:`ended`.
        """
        ended = self.ended
        if self.state in (CallState.ENDED, CallState.ENDING):
            return ended
        fields = list(headers)
        if reason:
            made = Reason.build("SIP", 200, reason) if isinstance(reason, str) else reason
            fields += [("reason", str(one)) for one in (made if isinstance(made, tuple) else (made,))]
        session = self.session
        if session is not None and session.state == CONFIRMED:
            session.bye(fields)
        else:
            self.leg.give_up(fields)
        return ended

    def end_for_media(self, reason: str) -> None:
        """Media cannot be agreed: hang up."""
        if self._cause is None:
            self._cause = ("media", 488, reason)
        self.hangup(Reason.build("SIP", 488, reason[:80]))

    def end_without_media(self, reason: str) -> None:
        """The media have died: hang up, and tell the peer why (RFC 3326)."""
        if self._cause is None:
            self._cause = ("media", 0, reason)
        self.hangup(Reason.build("SIP", 200, "RTP timeout"))

    # -- changes ------------------------------------------------------------------------------

    def hold(self) -> Deferred[Call]:
        """Put the peer on hold (RFC 3264 section 8.4, RFC 5359 section 2.1).

        :return: fires with this call once the peer has agreed; fails with RequestRefused, or LocalProtocolError where
            there is nothing to hold.
        """
        return self._hold(True)

    def resume(self) -> Deferred[Call]:
        """Take the peer back; as :meth:`hold`."""
        return self._hold(False)

    def _hold(self, on: bool) -> Deferred[Call]:
        def prepare() -> None:
            self.descriptions.hold(on)
            self.on_hold = on

        def undo() -> None:
            # An answer of ours may have told the peer meanwhile, and that was agreed.
            self.on_hold = self.descriptions.holding
            self.descriptions.hold(self.on_hold)

        return self.changes.want(Change(prepare, undo))

    def update(self, body: Description | None = None, *, late: bool = False) -> Deferred[Call]:
        """Agree on media anew, with a re-INVITE (section 14.1).

        :param body: the offer; made by the media, or ``on_offer``, unless given.
        :param late: leave the offer to the peer.
        :return: as :meth:`hold`.
        """
        return self.changes.want(Change(body=session_body(body), offers=not late))

    # -- for its leg ---------------------------------------------------------------------------

    def become(self, state: CallState) -> None:
        """It is in *state* now."""
        if self.state is not CallState.ENDED:
            self.state = state

    def media_agreed(self, remote: SessionBody | None) -> None:
        """An exchange is complete; *remote* is what the peer has said."""
        self.negotiated = True
        held = is_held(remote)
        if held != self.held:
            self.held = held
            self.log.add(HoldChanged(on=held))

    def was_answered(self, status: int = 200) -> None:
        """A 2xx has come or gone."""
        if self._established_at is not None or self.over:
            return
        self._established_at = self.agent.element.timers.now()
        self.become(CallState.ESTABLISHED)
        self.log.add(Answered(status=status))
        waiting, self._answered = self._answered, []
        for waiter in waiting:
            waiter.callback(cast("Call", self))

    def was_confirmed(self) -> None:
        """The ACK has come or gone."""
        self.log.add(Confirmed())

    def blame_media(self, status: int, reason: str) -> None:
        """It is going to end since media cannot be agreed."""
        self._cause = ("media", status, reason)

    def refused(self, status: int, reason: str, response: Response | None, *, by: str, cause: str) -> None:
        """It has come to nothing."""
        if self._cause is not None:
            cause, status, reason = self._cause
            by = "local"
        text = f"{status} {reason}".strip()
        self._refusal = CallRefused(f"the call came to nothing: {text}", status=status, response=response)
        self._end(CallEnd(by=by, cause=cause, status=status, reason=reason))

    def session_ended(self, ending: Ending) -> None:
        """Its session is over."""
        reason = next((found.text for found in ending.reasons if found.text), "")
        by, cause, status = ending.by, ending.cause, ending.status
        if self._cause is not None:
            cause, status, reason = self._cause
        elif cause == "cancel" and any(found.cause == 200 for found in ending.reasons):
            # RFC 3326 section 3.1: another device was faster.
            cause = "elsewhere"
        if self._established_at is None:
            self._refusal = CallRefused(f"the call ended: {cause} {status}", status=status or 487)
        self._end(
            CallEnd(by=by, cause=cause, status=status, reason=reason, seconds=self.seconds, reasons=ending.reasons)
        )

    def _end(self, end: CallEnd) -> None:
        if self.over:
            return
        self.ending = end
        self.state = CallState.ENDED
        self.descriptions.close()
        self.changes.close()
        refusal = self._refusal or CallRefused("the call is over", status=487)
        answered, self._answered = self._answered, []
        for waiter in answered:
            waiter.errback(refusal)
            self._unheeded(waiter)
        self.log.add(Ended(end=end))
        self.log.close()
        ended, self._ended = self._ended, []
        for waiting in ended:
            waiting.callback(end)
        self.agent.table.ended(cast("Call", self))

    def _unheeded(self, failed: Deferred[Call]) -> Deferred[Call]:
        """Callers who hang up are no news: nobody has to look at what tells that a call of theirs was not answered."""
        notes = failed._debugInfo
        if not self.outgoing and notes is not None:
            notes.failResult = None
        return failed

    def gone(self) -> None:
        """Nothing of it is left in any table."""
        self.agent.table.forget(cast("Call", self))

    def _confirmed_session(self) -> Session:
        session = self.session
        if session is None or session.over:
            raise LocalProtocolError("the call is not established")
        return session
