"""The life of a call: states, Deferreds, events, what ends it, how it changes (RFC 3261 sections 13 to 15).

What the machines of the dialog floor say comes by way of its leg.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed

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
from twisted_sip.agent.call_parts import CallParts
from twisted_sip.agent.descriptions import Description, is_held, session_body
from twisted_sip.agent.event_log import EventStream
from twisted_sip.agent.renegotiation import Change
from twisted_sip.dialog.session import CONFIRMED, Session
from twisted_sip.dialog.session_terms import Ending, SessionBody
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

_new = tuple.__new__

# To ask an enumeration for its members is slow.
_ESTABLISHED, _ENDING, _ENDED = CallState.ESTABLISHED, CallState.ENDING, CallState.ENDED

#: What is told of nearly every call; events do not change.
_ANSWERED = Answered(status=200)
_CONFIRMED = Confirmed()


class CallCore(CallParts):
    """The life of a call."""

    @property
    def answered(self) -> Deferred[Call]:
        """A Deferred that fires with this call once it is answered; fails with CallRefused if it comes to nothing.

        Another one each time.
        """
        if self._established_at is not None:
            return succeed(self._call)
        if self._refusal is not None:
            return self._unheeded(fail(self._refusal))
        line = self._answered
        if line is None:
            line = self._answered = []
        waiting: Deferred[Call] = Deferred(line.remove)
        line.append(waiting)
        return waiting

    @property
    def ended(self) -> Deferred[CallEnd]:
        """A Deferred that fires with how it ended. Never fails. Another one each time."""
        if self.ending is not None:
            return succeed(self.ending)
        line = self._ended
        if line is None:
            line = self._ended = []
        waiting: Deferred[CallEnd] = Deferred(line.remove)
        line.append(waiting)
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
        :param headers: further header fields of the CANCEL, refusal or BYE, as pairs of name and value.
        :return: as :attr:`ended`.
        :raises LocalProtocolError: a value that SIP does not allow; the call goes on.
        """
        ended = self.ended
        self.leave(reason, headers)
        return ended

    def leave(self, reason: Reason | str | tuple[Reason, ...] = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        """As :meth:`hangup`, for those who do not wait for its end."""
        if self.state is _ENDED or self.state is _ENDING:
            return
        fields = list(headers)
        if reason:
            made = Reason.build("SIP", 200, reason) if isinstance(reason, str) else reason
            fields += [("reason", str(one)) for one in (made if isinstance(made, tuple) else (made,))]
        if fields:
            # Before it is over: what cannot be sent leaves it as it is.
            HeaderMap(fields)
        session = self.session
        if session is not None and session.state == CONFIRMED:
            session.bye(fields)
        else:
            self.leg.give_up(fields)

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
        if self.state is not _ENDED:
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
        if self._established_at is not None or self.state is _ENDED:
            return
        self._established_at = self.agent.element.timers.now()
        self.state = _ESTABLISHED
        self.log.add(_ANSWERED if status == 200 else Answered(status=status))
        if self._answered:
            waiting, self._answered = self._answered, None
            for waiter in waiting:
                waiter.callback(self._call)

    def was_confirmed(self) -> None:
        """The ACK has come or gone."""
        self.log.add(_CONFIRMED)

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
        reason = next((found.text for found in ending.reasons if found.text), "") if ending.reasons else ""
        by, cause, status = ending.by, ending.cause, ending.status
        if self._cause is not None:
            cause, status, reason = self._cause
        elif cause == "cancel" and any(found.cause == 200 for found in ending.reasons):
            # RFC 3326 section 3.1: another device was faster.
            cause = "elsewhere"
        began = self._established_at
        if began is None:
            self._refusal = CallRefused(f"the call ended: {cause} {status}", status=status or 487)
            seconds = 0.0
        else:
            seconds = self.agent.element.timers.now() - began
        self._end(_new(CallEnd, (by, cause, status, reason, seconds, ending.reasons)))

    def _end(self, end: CallEnd) -> None:
        if self.state is _ENDED:
            return
        self.ending = end
        self.state = _ENDED
        self.over = True
        if self._descriptions is not None:
            self._descriptions.close()
        if self._changes is not None:
            self._changes.close()
        if self._answered:
            refusal = self._refusal or CallRefused("the call is over", status=487)
            answered, self._answered = self._answered, None
            for waiter in answered:
                waiter.errback(refusal)
                self._unheeded(waiter)
        log = self.log
        log.add(Ended(end))
        log.close()
        if self._ended:
            ended, self._ended = self._ended, None
            for waiting in ended:
                waiting.callback(end)
        self.agent.table.ended(self)  # type: ignore[arg-type]

    def _unheeded(self, failed: Deferred[Call]) -> Deferred[Call]:
        """Callers who hang up are no news: nobody has to look at what tells that a call of theirs was not answered."""
        notes = failed._debugInfo
        if not self.outgoing and notes is not None:
            notes.failResult = None
        return failed

    def gone(self) -> None:
        """Nothing of it is left in any table."""
        self.agent.table.forget(self)  # type: ignore[arg-type]

    def _confirmed_session(self) -> Session:
        session = self.session
        if session is None or session.over:
            raise LocalProtocolError("the call is not established")
        return session
