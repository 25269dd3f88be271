"""The record of a call while it goes on, and what the sink is told of it."""

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

#: A leg that begins within so many seconds of the call begins with it.
_AT_ONCE = 0.01


class CallNotes:
    """What is known of one call: its one record, which changes with it.

    :ivar call: the record; what it says of its legs is what the sink was told last.
    :ivar hold: what the caller's 2xx waits for: that the record is durable. None for nothing.
    """

    __slots__ = ("_legs", "_now", "_over", "_sink", "call", "hold")

    def __init__(self, sink: Any, now: Callable[[], float], *, id: str, user: str, caller: str, callee: str) -> None:
        """Begin.

        :param sink: an IAccountingSink, None for nobody.
        :param now: gives seconds since the epoch.
        """
        self._sink = sink
        self._now = now
        self._legs: dict[Call, LegRecord] = {}
        self._over = False
        self.call = CallRecord(id=id, user=user, caller=caller, callee=callee, set_up=now())
        self.hold: Deferred[Any] | None = None

    def leg_began(self, call: Call) -> None:
        """A leg begins."""
        record, legs = self.call, self._legs
        began = record.set_up
        if legs:
            # The first leg is what the call began with.
            now = self._now()
            if now - began >= _AT_ONCE:
                began = now
        outgoing = call.outgoing
        legs[call] = LegRecord(call_id=call.id, incoming=not outgoing, uri=call.remote.uri_text, began=began)
        if not outgoing:
            if not record.call_id:
                record.call_id = call.id
        elif not record.callee_user:
            record.callee_user = getattr(call.leg, "user", "")

    def leg_ended(self, call: Call) -> None:
        """A leg is over."""
        leg = self._legs.get(call)
        if leg is not None and leg.ended is None:
            leg.ended = self._now()

    def rang(self) -> None:
        """The callee's device rings."""
        if self.call.ringing is None:
            self.call.ringing = self._now()

    def was_answered(self, *calls: Call) -> None:
        """The call is answered; *calls* are the legs in which it is."""
        now = self._now()
        record, legs = self.call, self._legs
        for call in calls:
            leg = legs.get(call)
            if leg is not None and leg.answered is None:
                self._leg_answered(call, leg, now)
        if record.answered is None:
            record.answered = record.known_until = now
            if self._sink is not None:
                self.hold = self._tell(self._sink.answered, self.record())

    def was_answered_leg(self, call: Call) -> None:
        """One leg is answered, the call is not yet."""
        leg = self._legs.get(call)
        if leg is not None and leg.answered is None:
            self._leg_answered(call, leg, self._now())

    def _leg_answered(self, call: Call, leg: LegRecord, now: float) -> None:
        leg.answered = now
        if call.outgoing:
            user = getattr(call.leg, "user", "")
            if user:
                self.call.callee_user = user

    def ended(self, result: Result, status: int, reason: str, by: str) -> None:
        """The call is over."""
        if self._over:
            return
        self._over = True
        if self._sink is not None:
            record = self.call
            now = self._now()
            for leg in self._legs.values():
                if leg.ended is None:
                    leg.ended = now
            record.ended = now
            if record.answered is not None:
                record.known_until = now
            record.result = result
            record.status = status
            record.reason = reason
            record.ended_by = by
            self._tell(self._sink.ended, self.record())

    def record(self) -> CallRecord:
        """Return the record as it is now."""
        legs = self._legs
        for call, leg in legs.items():
            ending = call.ending
            if ending is not None:
                leg.status = ending.status
                leg.reason = ending.reason
            elif leg.answered is not None:
                leg.status = 200
        record = self.call
        record.legs = tuple(legs.values())
        return record

    def _tell(self, tell: Callable[[CallRecord], Any], record: CallRecord) -> Deferred[Any] | None:
        try:
            told = tell(record)
        except Exception:
            _log.failure("a call record was not kept: {id}", id=record.id)
            return None
        return told.addErrback(self._not_kept) if told is not None and isinstance(told, Deferred) else None

    def _not_kept(self, failure: Failure) -> None:
        _log.failure("a call record was not kept: {id}", failure, id=self.call.id)
