"""Finds who answers a call: targets of one rank at once, those of lower rank afterwards (RFC 3261 section 16.6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted_sip.b2bua.failures import best_status
from twisted_sip.interfaces.routing import Target

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

#: The most targets that one call tries, redirections included.
MOST_TARGETS = 32


class Attempt(NamedTuple):
    """A target and, while it is called, the call.

    :ivar target: where it is.
    :ivar call: the call to it.
    :ivar transcoded: media are terminated for it.
    """

    target: Target
    call: Call
    transcoded: bool


class Hunt:
    """The search for one callee.

    :ivar attempts: what is under way.
    :ivar over: somebody has answered, or nobody will.
    :ivar rang_out: a target has rung for as long as it may.
    :ivar unserved: a target has answered 503 itself.
    """

    __slots__ = (
        "_failed",
        "_groups",
        "_start",
        "_starting",
        "_statuses",
        "_tried",
        "attempts",
        "over",
        "rang_out",
        "unserved",
    )

    def __init__(self, start: Callable[[Target, bool], Attempt | int], failed: Callable[[int], object]) -> None:
        """Be ready to search.

        :param start: calls a target; the second argument is True if it is one of several that come in turn. Returns
            what is under way, or the status with which that has failed.
        :param failed: called with the status that decides when nobody is left.
        """
        self.attempts: list[Attempt] = []
        self.over = self.rang_out = self.unserved = False
        self._start = start
        self._failed = failed
        self._groups: list[list[Target]] = []
        self._statuses: list[int] = []
        self._tried = 0
        self._starting = False

    def add(self, targets: Sequence[Target]) -> None:
        """Try *targets* too, after what is there."""
        if len(targets) == 1 and self._tried < MOST_TARGETS:
            self._tried += 1
            self._groups.append(list(targets))
            return
        instances: set[str] = set()
        groups: dict[int, list[Target]] = {}
        for target in targets:
            if self._tried >= MOST_TARGETS:
                break
            if target.instance and target.instance in instances:
                # RFC 5626 section 6: the same device by another way; the first one is the best.
                continue
            instances.add(target.instance)
            self._tried += 1
            groups.setdefault(target.q, []).append(target)
        self._groups += [groups[rank] for rank in sorted(groups, reverse=True)]

    def go_on(self) -> None:
        """Call the next ones, if nobody is being called."""
        if self._starting:
            return
        self._starting = True
        try:
            while not self.over and not self.attempts and self._groups:
                group = self._groups.pop(0)
                for target in group:
                    made = self._start(target, bool(self._groups))
                    if isinstance(made, Attempt):
                        self.attempts.append(made)
                    else:
                        self._statuses.append(made)
        finally:
            self._starting = False
        if not self.over and not self.attempts:
            self.over = True
            self._failed(best_status(self._statuses))

    def again(self, attempt: Attempt, made: Attempt | int) -> None:
        """*attempt* has come to nothing, and *made* is tried in its place."""
        self.attempts.remove(attempt)
        if isinstance(made, Attempt):
            self.attempts.append(made)
        else:
            self._statuses.append(made)
            self.go_on()

    def attempt_of(self, call: Call) -> Attempt | None:
        """Return the attempt under way that *call* is, None if it is none."""
        for attempt in self.attempts:
            if attempt.call is call:
                return attempt
        return None

    def lost(self, attempt: Attempt, status: int, said: bool = True) -> None:
        """*attempt* has come to nothing.

        :param said: the other side has said so; else it gave no response, or there was no way to it.
        """
        self.attempts.remove(attempt)
        self._statuses.append(status)
        self.rang_out = self.rang_out or _has_rung_out(attempt.call)
        self.unserved = self.unserved or (status == 503 and said)
        terms = attempt.target.failover
        if terms is not None:
            terms.outcome(status, said)
            if said and (status not in terms.statuses or _rang(attempt.call)):
                # A gateway has said what the callee says, or the callee was reached: others would say the same.
                self._groups.clear()
        if status >= 600:
            # Section 16.7 step 5: nobody else is to be asked.
            self._groups.clear()
            others = [other.call for other in self.attempts]
            for call in others:
                call.hangup()
        self.go_on()

    def end(self, winner: Call | None = None) -> list[Call]:
        """Search no more; return the calls that are not wanted."""
        if self._start is _nobody:
            # It has ended before.
            return []
        self.over = True
        # Whose search it was is let go of.
        self._start, self._failed = _nobody, _nothing
        calls = []
        for attempt in self.attempts:
            if attempt.call is not winner:
                calls.append(attempt.call)
            elif attempt.target.failover is not None:
                attempt.target.failover.outcome(200, True)
        self._groups.clear()
        self.attempts.clear()
        return calls


def _rang(call: Call) -> bool:
    """Tell whether the callee of *call*, which has come to nothing, was reached."""
    attempt: Any = getattr(call.leg, "attempt", None)
    return attempt is not None and bool(attempt.rang)


def _has_rung_out(call: Call) -> bool:
    """Tell whether *call* was given up since nobody has answered where it rang."""
    attempt: Any = getattr(call.leg, "attempt", None)
    return attempt is not None and attempt.timed_out and bool(attempt.sessions)


def _nobody(target: Target, one_of_several: bool) -> int:
    return 487


def _nothing(status: int) -> None:
    pass
