"""Changes of an established call, one after the other: re-INVITE with our offers, glare, refreshes that need one.

RFC 3261 section 14.1, RFC 3311, RFC 4028 section 7.4, RFC 6141 section 3.4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ref

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from twisted_sip.agent.call_events import MediaChanged, MediaRejected
from twisted_sip.dialog.session import Session
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, RequestRefused

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

#: How many changes may wait.
_MOST_WAITING = 8


class Change:
    """One change that is wanted.

    :ivar prepare: called before the offer is made.
    :ivar undo: called if it was refused.
    :ivar body: the offer; made by the media unless given.
    :ivar offers: False to leave the offer to the peer.
    :ivar done: fires with the call, or fails with RequestRefused.
    """

    __slots__ = ("body", "done", "offers", "prepare", "undo")

    def __init__(
        self,
        prepare: Callable[[], object] | None = None,
        undo: Callable[[], object] | None = None,
        body: SessionBody | None = None,
        *,
        offers: bool = True,
    ) -> None:
        self.prepare = prepare
        self.undo = undo
        self.body = body
        self.offers = offers
        self.done: Deferred[Call] = Deferred()


class Renegotiation:
    """The changes of one call."""

    def __init__(self, call: Call) -> None:
        # What belongs to a call does not keep it alive.
        self._weak_call = ref(call)
        self._closed = False
        self._waiting: deque[Change] = deque()
        self._current: Change | None = None
        # An offer is being made, and the re-INVITE is not sent yet.
        self._making = False
        # Whether our offer was answered with what is of use; None while it has had no answer.
        self._answered: bool | None = None

    @property
    def _call(self) -> Call:
        call = self._weak_call()
        assert call is not None  # the table has it until it is closed
        return call

    @property
    def idle(self) -> bool:
        """True while nothing of ours is under way."""
        return self._current is None and not self._making

    def want(self, change: Change) -> Deferred[Call]:
        """Make *change* as soon as it may be made (section 14.1: one at a time)."""
        if self._closed or self._call.session is None or self._call.session.state != "confirmed":
            return fail(LocalProtocolError("the call is not established"))
        if len(self._waiting) >= _MOST_WAITING:
            return fail(LocalProtocolError(f"{_MOST_WAITING} changes wait already"))
        self._waiting.append(change)
        self.go_on()
        return change.done

    def go_on(self) -> None:
        """Begin what waits, if it may begin."""
        session = None if self._closed else self._call.session
        if session is None or self._making or self._current is not None or not self._waiting:
            return
        if not session.can_reinvite:
            # ``free`` comes.
            return
        self._current = change = self._waiting.popleft()
        self._send(change)

    def wanted(self, why: str) -> None:
        """The session asks for an offer of ours: ``refresh``, ``glare`` or ``resync``."""
        session = self._call.session
        if session is None or self._making or (self._current is not None and why != "glare"):
            # What is under way tells both sides as much.
            return
        if session.can_reinvite:
            self._send(self._current)
            return
        if self._waiting and why != "glare":
            return
        # The peer was faster: ``free`` comes.
        self._waiting.appendleft(self._current or _silent(Change()))
        self._current = None

    def _send(self, change: Change | None) -> None:
        self._making = True
        if change is not None and not change.offers:
            self._made(None, change)
            return
        try:
            if change is not None and change.prepare is not None:
                change.prepare()
        except Exception:
            # A mistake of the program's media too is told to who wants the change.
            self._unmade(Failure(), change)
            return
        if change is not None and change.body is not None:
            self._call.descriptions.offer_of_program()
            self._made(change.body, change)
            return
        making = self._call.descriptions.offer()
        making.addCallbacks(self._made, self._failed, callbackArgs=(change,), errbackArgs=(change,))

    def _made(self, body: SessionBody | None, change: Change | None) -> None:
        self._making = False
        session = None if self._closed else self._call.session
        if session is None or session.state != "confirmed":
            return
        if not session.can_reinvite:
            # The peer was faster while the offer was being made.
            self._call.descriptions.withdraw()
            if change is not None:
                self._waiting.appendleft(change)
            else:
                self._waiting.appendleft(_silent(Change()))
            self._current = None
            return
        self._answered = None if body is not None else True
        try:
            session.reinvite(body)
        except LocalProtocolError:
            self._call.descriptions.withdraw()
            self._failed(Failure(), change)

    def _failed(self, failure: Failure, change: Change | None) -> None:
        """There is no offer."""
        if not self._closed and change is not None and change.undo is not None:
            change.undo()
        self._unmade(failure, change)

    def _unmade(self, failure: Failure, change: Change | None) -> None:
        self._making = False
        self._current = None
        if change is not None and not change.done.called:
            change.done.errback(failure)
        self.go_on()

    def answered(self, *, useless: bool = False) -> None:
        """Our offer has had an answer; the call is the same as before if that was *useless*."""
        self._answered = not useless

    def modified(self, session: Session, method: str, status: int) -> None:
        """A re-INVITE or UPDATE of ours has its outcome."""
        call = self._call
        if method != "INVITE" or status == 491:
            # After 491 the session comes back and wants an offer.
            return
        change, self._current = self._current, None
        answered = self._answered
        if 200 <= status < 300 and not answered:
            # The offer was accepted without an answer that could be used.
            status = 488
        if 200 <= status < 300:
            call.log.add(MediaChanged(by="local"))
            if change is not None:
                change.done.callback(call)
        else:
            if answered is not False:
                call.log.add(MediaRejected(by="local", status=status))
            if change is not None:
                if change.undo is not None:
                    change.undo()
                change.done.errback(RequestRefused(f"the change was refused: {status}", status=status))
        self.go_on()

    def close(self) -> None:
        """The call is over: nothing is changed any more."""
        self._closed = True
        waiting = list(self._waiting)
        if self._current is not None:
            waiting.append(self._current)
        self._waiting.clear()
        self._current = None
        for change in waiting:
            if not change.done.called:
                change.done.errback(RequestRefused("the call is over", status=481))


def _silent(change: Change) -> Change:
    """Return *change*, for whose outcome nobody waits."""
    change.done.addErrback(lambda failure: None)
    return change
