"""The calls of one agent, from their first message until nothing of them is left; what they wait for.

Calls that are over stay for as long as one of their transactions, BYE above all, takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.call_events import CallEvent, CallRefused, CallState, Joined, Replaced
from twisted_sip.agent.incoming_leg import IncomingLeg
from twisted_sip.agent.screening import answer_after
from twisted_sip.agent.three_way import ThreeWay
from twisted_sip.agent.waiting import then
from twisted_sip.dialog.dialog import DialogID
from twisted_sip.dialog.session import Session
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, SIPError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.user_agent import UserAgent

_log = Logger()

#: Dialogs that have ended and are remembered, so that who wants to replace one is told so (RFC 3891 section 3).
_ENDED = 64

#: Stands for the leg of a call that is gone.
_GONE: Any = object()


class CallTable:
    """The calls of one agent."""

    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent
        self._alive: dict[Call, None] = {}
        #: How many calls are not over.
        self.alive = 0
        self._leaving: dict[Call, None] = {}
        self._ended: deque[DialogID] = deque(maxlen=_ENDED)
        self._timers: dict[Call, list[Timer]] = {}
        #: Called with each call that begins.
        self.when_begun: Callable[[Call], object] | None = None
        self._when_empty: list[Deferred[None]] = []

    def __len__(self) -> int:
        """How many calls there are, those that are over but not gone included."""
        return len(self._alive) + len(self._leaving)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are not over."""
        return tuple(self._alive)

    def call_of(self, session: Session) -> Call | None:
        """Return the call that *session* belongs to, None if to none."""
        call: Call | None = getattr(session.user, "call", None)
        return call if call is not None and (call in self._alive or call in self._leaving) else None

    def has_ended(self, id: DialogID) -> bool:
        """Tell whether there was a call in this dialog lately."""
        return id in self._ended

    # -- life -------------------------------------------------------------------------------------

    def enter(self, call: Call) -> None:
        """*call* begins."""
        alive = self._alive
        alive[call] = None
        self.alive = len(alive)
        call.account.calls += 1
        listener = self._agent.listener
        if listener is not None:
            call.observe(lambda event: listener.call_event(call, event))
        if self.when_begun is not None:
            self.when_begun(call)

    def arrived(self, call: Call, incoming: IncomingRequest) -> None:
        """*call* has come in: ask the program."""
        agent = self._agent
        self.enter(call)
        old = call.replaces or call.joins
        if old is not None:
            # What replaces or joins a call is answered in any case (RFC 3891 section 3).
            call.observe(lambda event: self._took_place(call, event))
            old.ended.addCallback(lambda _: self._too_late(call))
            if call.over:
                # While somebody thought about whether to let it in: there is nothing to ask the program about.
                return
        then(
            agent.incoming_call,
            _nothing if old is None else lambda _: call.answer_unless_done(),
            lambda failure: self._failed(failure, call),
            call,
        )
        wait = answer_after(call.request)
        if wait is not None and not call.over:
            then(
                lambda: agent.auto_answers(call, incoming),
                lambda granted: self.later(wait, call.answer_unless_done, call) if granted else None,
                lambda failure: _log.failure("auto_answers for {call}", failure, call=repr(call)),
            )

    @staticmethod
    def _too_late(call: Call) -> None:
        """What *call* was to replace or join is over: it is not wanted any more (RFC 3891 section 3)."""
        leg = call.leg
        if call.state in (CallState.TRYING, CallState.RINGING) and isinstance(leg, IncomingLeg) and not leg.answering:
            call.reject(603)

    def _failed(self, failure: Failure, call: Call) -> None:
        error = failure.value
        if call.over:
            if failure.check(SIPError) is None:
                _log.failure("incoming_call for {call}", failure, call=repr(call))
            return
        reason = ""
        if isinstance(error, RemoteProtocolError):
            status, reason = error.status, error.reason
        elif isinstance(error, CallRefused):
            # It is about to end, by whatever has told the program so.
            status = 480
        else:
            _log.failure("incoming_call for {call}", failure, call=repr(call))
            status = 500
        try:
            if call.state in (CallState.TRYING, CallState.RINGING):
                call.reject(status, reason)
            else:
                call.hangup()
        except LocalProtocolError:
            # It was answered meanwhile.
            call.hangup()

    def _took_place(self, call: Call, event: CallEvent) -> None:
        if type(event).__name__ != "Answered":
            return
        old, other = call.replaces, call.joins
        if old is not None and not old.leaving:
            old.log.add(Replaced(by=call))
            old.hangup()
        if other is not None and not other.leaving:
            other.log.add(Joined(by=call))
            try:
                if other.conversation is None:
                    ThreeWay(other, call)
                else:
                    # RFC 3911 section 4: those who hear each other already are included.
                    other.conversation.add(call)
            except SIPError as error:
                # RFC 3911 section 4: there is nothing to mix with.
                _log.info("{call} cannot join: {reason}", call=repr(call), reason=str(error))
                call.hangup()

    def ended(self, call: Call) -> None:
        """*call* is over."""
        alive = self._alive
        if call in alive:
            del alive[call]
            self.alive = len(alive)
            self._leaving[call] = None
            call.account.calls -= 1
        if call.session is not None:
            self._ended.append(call.session.dialog.id)
        if self._timers:
            for timer in self._timers.pop(call, ()):
                timer.cancel()

    def forget(self, call: Call) -> None:
        """Nothing is left of *call*."""
        if call in self._alive:
            self.ended(call)
        self._leaving.pop(call, None)
        # The two let go of each other, so that they leave without the garbage collector.
        leg, call.leg = call.leg, _GONE
        if leg is not _GONE:
            leg.part()
        self._agent.referring.call_gone(call)
        if self._when_empty:
            self.check()

    def check(self) -> None:
        """Tell those who wait for it that every call is over and every BYE is answered."""
        if self._when_empty and not self._alive and all(call.leg.quiet for call in self._leaving):
            waiting, self._when_empty = self._when_empty, []
            for waiter in waiting:
                waiter.callback(None)

    def later(self, seconds: float, function: Callable[[], Any], call: Call) -> None:
        """Call *function* after so many seconds, unless *call* is over by then."""
        if call in self._alive:
            self._timers.setdefault(call, []).append(self._agent.element.timers.start(seconds, function))

    # -- the end ---------------------------------------------------------------------------------------

    def hang_up(self) -> Deferred[None]:
        """End every call; fires with None once that is told and acknowledged. May be cancelled."""
        waiting: Deferred[None] = Deferred(self._when_empty.remove)
        self._when_empty.append(waiting)
        for call in self.calls:
            call.hangup()
        self.check()
        return waiting

    def close(self) -> None:
        """Let go of every call at once."""
        for call in [*self._alive, *self._leaving]:
            call.leg.close()
            if call in self._alive or call in self._leaving:
                self.forget(call)


def _nothing(_: object) -> None:
    """The program has been asked."""
