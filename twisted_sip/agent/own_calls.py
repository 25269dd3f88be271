"""The calls of an agent as dialogs that can be watched (RFC 4235 sections 3.7.1 and 4.1): an ICallTracker of its own.

A call that comes in is told of once it rings: nobody learns of those that are refused at once. Of the forks of a call
that we make the latest one is told until one has answered. Session descriptions are not told: keys may stand in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.agent.call_events import Answered, CallEnd, CallEvent, Ended, Progress, Replaced
from twisted_sip.agent.outgoing_leg import OutgoingLeg
from twisted_sip.interfaces.calls import CONFIRMED, EARLY, PROCEEDING, TERMINATED, TRYING, ICallTracker
from twisted_sip.interfaces.calls import Call as TrackedCall

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.call_table import CallTable
    from twisted_sip.dialog.dialog import Dialog

_log = Logger()

#: What ended a call -> the event of section 3.7.1; whatever else ended one is an error.
_EVENTS = {
    "bye": "bye",
    "cancel": "cancelled",
    "elsewhere": "cancelled",
    "refused": "rejected",
    "media": "rejected",
    "timeout": "timeout",
}


@implementer(ICallTracker)
class OwnCalls:
    """Follows the calls of one agent; there are as many of them as the agent may have calls."""

    def __init__(self, table: CallTable, clock: IReactorTime) -> None:
        """Follow calls that begin from now on, and those of *table* that have not ended.

        :param clock: its seconds are seconds since the epoch.
        """
        self._clock = clock
        self._known: dict[Call, TrackedCall] = {}
        self._replaced: set[Call] = set()
        self._observers: dict[object, Callable[[TrackedCall], None]] = {}
        for call in table.calls:
            self._begun(call)
        table.when_begun = self._begun

    def __len__(self) -> int:
        return len(self._known)

    # -- ICallTracker -------------------------------------------------------------------------

    def calls(self) -> Iterable[TrackedCall]:
        """See ICallTracker."""
        return [_as_it_is(call, tracked) for call, tracked in self._known.items()]

    def of(self, aor: str) -> Sequence[TrackedCall]:
        """See ICallTracker."""
        return [_as_it_is(call, tracked) for call, tracked in self._known.items() if call.account.aor == aor]

    def observe(self, observer: Callable[[TrackedCall], None]) -> Callable[[], None]:
        """See ICallTracker."""
        token = object()
        self._observers[token] = observer
        return lambda: self._observers.pop(token, None) and None

    # -- from the calls --------------------------------------------------------------------------

    def _begun(self, call: Call) -> None:
        call.observe(partial(self._happened, call))
        if call.established:
            self._go_on(call, CONFIRMED)
        elif call.outgoing:
            self._go_on(call, TRYING)

    def _happened(self, call: Call, event: CallEvent) -> None:
        if isinstance(event, Progress):
            # Without a tag of the callee there is no dialog yet.
            self._go_on(call, EARLY if _dialog_of(call) is not None else PROCEEDING, event.status)
        elif isinstance(event, Answered):
            self._go_on(call, CONFIRMED, event.status)
        elif isinstance(event, Replaced):
            self._replaced.add(call)
        elif isinstance(event, Ended):
            self._end(call, event.end)

    def _go_on(self, call: Call, state: str, status: int = 0) -> None:
        tracked = self._known.get(call)
        if tracked is None:
            tracked = self._known[call] = _tracked(call, self._clock.seconds())
        _as_it_is(call, tracked)
        tracked.state, tracked.code = state, status
        self._tell(tracked)

    def _end(self, call: Call, end: CallEnd) -> None:
        replaced = call in self._replaced
        self._replaced.discard(call)
        tracked = self._known.pop(call, None)
        if tracked is None:
            return
        tracked.state = TERMINATED
        tracked.event = "replaced" if replaced else _EVENTS.get(end.cause, "error")
        tracked.ended_by_caller = (end.by == "local") == call.outgoing
        tracked.code = end.status
        self._tell(tracked)

    def _tell(self, tracked: TrackedCall) -> None:
        tracked.revision += 1
        for observer in list(self._observers.values()):
            try:
                observer(tracked)
            except Exception:
                _log.failure("an observer of calls failed for {call_id}", call_id=tracked.call_id)


def _dialog_of(call: Call) -> Dialog | None:
    """Return the dialog of *call*: that of its latest fork where nobody has answered."""
    leg = call.leg
    if call.dialog is not None or not isinstance(leg, OutgoingLeg) or leg.attempt is None:
        return call.dialog
    early = [session.dialog for session in leg.attempt.sessions.values() if not session.over]
    return early[-1] if early else None


def _tracked(call: Call, now: float) -> TrackedCall:
    headers = call.request.headers
    caller, callee = (call.local, call.remote) if call.outgoing else (call.remote, call.local)
    return TrackedCall(
        call_id=call.id,
        caller_tag=call.request.from_.tag or "",
        callee_tag="",
        caller_aor=call.account.aor if call.outgoing else "",
        callee_aor="" if call.outgoing else call.account.aor,
        caller=caller,
        callee=callee,
        caller_contact="",
        callee_contact="",
        started_at=now,
        number=0,
        replaces=headers.first("replaces") or "",
        referred_by=headers.first("referred-by") or "",
        # The agent itself ends its calls.
        expires_at=float("inf"),
    )


def _as_it_is(call: Call, tracked: TrackedCall) -> TrackedCall:
    """Return *tracked* with the tag and the Contacts of *call* as they are now."""
    dialog = _dialog_of(call)
    ours = f"<{call.wire.contact}>" if call.wire.contact else ""
    theirs = f"<{dialog.remote_target}>" if dialog is not None and dialog.remote_target else ""
    tracked.caller_contact, tracked.callee_contact = (ours, theirs) if call.outgoing else (theirs, ours)
    if dialog is not None:
        tracked.callee_tag = dialog.remote_tag if call.outgoing else dialog.local_tag
    return tracked
