"""Makes the record of a call while it goes on, and tells the sink of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.interfaces.accounting import CallRecord, LegRecord, Result

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

_log = Logger()


class LegNotes:
    """What is known of one leg."""

    __slots__ = ("answered", "began", "call", "ended")

    def __init__(self, call: Call, now: float) -> None:
        self.call = call
        self.began = now
        self.answered: float | None = None
        self.ended: float | None = None

    def record(self) -> LegRecord:
        """Return its record."""
        call = self.call
        ending = call.ending
        if ending is None:
            status, reason = 0 if self.answered is None else 200, ""
        else:
            status, reason = ending.status, ending.reason
        return LegRecord(
            call_id=call.id,
            incoming=not call.outgoing,
            uri=call.remote.uri_text,
            began=self.began,
            answered=self.answered,
            ended=self.ended,
            status=status,
            reason=reason,
        )


class CallNotes:
    """What is known of one call.

    :ivar id: what its record is known by.
    :ivar set_up: when it began, in seconds since the epoch; *ringing* and *answered* alike.
    :ivar callee_user: the address-of-record of the user of ours who has answered, or was called; empty for none.
    :ivar hold: what the caller's 2xx waits for: that the record is durable. None for nothing.
    """

    __slots__ = (
        "_legs",
        "_now",
        "_over",
        "_sink",
        "answered",
        "callee",
        "callee_user",
        "caller",
        "hold",
        "id",
        "ringing",
        "set_up",
        "user",
    )

    def __init__(self, sink: Any, now: Callable[[], float], *, id: str, user: str, caller: str, callee: str) -> None:
        """Begin.

        :param sink: an IAccountingSink, None for nobody.
        :param now: gives seconds since the epoch.
        """
        self._sink = sink
        self._now = now
        self._legs: dict[Call, LegNotes] = {}
        self._over = False
        self.id = id
        self.user = user
        self.caller = caller
        self.callee = callee
        self.callee_user = ""
        self.hold: Deferred[Any] | None = None
        self.set_up = now()
        self.ringing: float | None = None
        self.answered: float | None = None

    def leg_began(self, call: Call) -> None:
        """A leg begins."""
        # The first leg is what the call began with.
        self._legs[call] = LegNotes(call, self._now() if self._legs else self.set_up)
        if not self.callee_user:
            self._note_user(call)

    def leg_ended(self, call: Call) -> None:
        """A leg is over."""
        notes = self._legs.get(call)
        if notes is not None and notes.ended is None:
            notes.ended = self._now()

    def rang(self) -> None:
        """The callee's device rings."""
        if self.ringing is None:
            self.ringing = self._now()

    def was_answered(self, *calls: Call) -> None:
        """The call is answered; *calls* are the legs in which it is."""
        now = self._now()
        for call in calls:
            notes = self._legs.get(call)
            if notes is not None and notes.answered is None:
                notes.answered = now
                self._note_user(call)
        if self.answered is None:
            self.answered = now
            if self._sink is not None:
                self.hold = self._tell(self._sink.answered, self.record())

    def was_answered_leg(self, call: Call) -> None:
        """One leg is answered, the call is not yet."""
        notes = self._legs.get(call)
        if notes is not None and notes.answered is None:
            notes.answered = self._now()
            self._note_user(call)

    def _note_user(self, call: Call) -> None:
        user = getattr(call.leg, "user", "") if call.outgoing else ""
        if user:
            self.callee_user = user

    def ended(self, result: Result, status: int, reason: str, by: str) -> None:
        """The call is over."""
        if self._over:
            return
        self._over = True
        if self._sink is not None:
            now = self._now()
            for notes in self._legs.values():
                if notes.ended is None:
                    notes.ended = now
            self._tell(self._sink.ended, self.record(result, status, reason, by, now))

    def record(
        self, result: Result = "", status: int = 0, reason: str = "", by: str = "", ended: float | None = None
    ) -> CallRecord:
        """Return the record as it is now."""
        return CallRecord(
            id=self.id,
            user=self.user,
            callee_user=self.callee_user,
            caller=self.caller,
            callee=self.callee,
            set_up=self.set_up,
            ringing=self.ringing,
            answered=self.answered,
            ended=ended,
            result=result,
            status=status,
            reason=reason,
            ended_by=by,
            call_id=next((call.id for call in self._legs if not call.outgoing), ""),
            known_until=self.answered and (ended or self.answered),
            legs=tuple([notes.record() for notes in self._legs.values()]),
        )

    def _tell(self, tell: Callable[[CallRecord], Any], record: CallRecord) -> Deferred[Any] | None:
        try:
            told = tell(record)
        except Exception:
            _log.failure("a call record was not kept: {id}", id=record.id)
            return None
        return told.addErrback(self._not_kept) if told is not None and isinstance(told, Deferred) else None

    def _not_kept(self, failure: Failure) -> None:
        _log.failure("a call record was not kept: {id}", failure, id=self.id)
