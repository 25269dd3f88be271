"""The calls that are known now, by INVITE and by user, their limits and their deadlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.calls.invitation import Invitation
from twisted_sip.calls.settings import CallTrackerSettings
from twisted_sip.interfaces.calls import CONFIRMED, EARLY, PROCEEDING, TERMINATED, TRYING, Call, ICallTracker

_log = Logger()

_ORDER = {TRYING: 0, PROCEEDING: 1, EARLY: 2, CONFIRMED: 3, TERMINATED: 4}
_NO_CALLS: dict[Call, None] = {}


@implementer(ICallTracker)
class CallTable:
    """A bounded table of calls.

    :ivar settings: its limits.
    :ivar untracked: how many calls were not taken since there were too many.
    :ivar invitations: the INVITEs with calls, by Call-ID and tag of the caller.
    :ivar now: the time in seconds since the epoch.
    """

    def __init__(self, clock: IReactorTime, settings: CallTrackerSettings) -> None:
        """Know no call.

        :param clock: its seconds are seconds since the epoch.
        """
        self.settings = settings
        self.untracked = 0
        self.invitations: dict[tuple[str, str], Invitation] = {}
        self.now: Callable[[], float] = clock.seconds
        self._clock = clock
        self._by_aor: dict[str, dict[Call, None]] = {}
        self._count = 0
        self._observers: dict[object, Callable[[Call], None]] = {}
        self._sweep_call: IDelayedCall | None = None

    def __len__(self) -> int:
        return self._count

    def calls(self) -> Iterable[Call]:
        """Return every call that is not over."""
        return [call for invitation in self.invitations.values() for call in invitation.calls]

    def of(self, aor: str) -> Sequence[Call]:
        """Return the calls of *aor* that are not over, in the order in which they began."""
        return tuple(self._by_aor.get(aor, _NO_CALLS))

    def observe(self, observer: Callable[[Call], None]) -> Callable[[], None]:
        """Call *observer* with each call that began, changed its state or ended; return what ends it."""
        token = object()
        self._observers[token] = observer

        def end() -> None:
            self._observers.pop(token, None)

        return end

    def stop(self) -> None:
        """Forget every call; nobody is told."""
        self.invitations.clear()
        self._by_aor.clear()
        self._count = 0
        if self._sweep_call is not None:
            self._sweep_call.cancel()
            self._sweep_call = None

    # -- for the tracker -----------------------------------------------------------------------

    def fork(self, invitation: Invitation, aor: str, tag: str) -> Call | None:
        """Begin one more call of *invitation*, if there is room."""
        if self._count >= self.settings.max_calls or invitation.made >= self.settings.max_forks:
            self.untracked += 1
            return None
        first = invitation.calls[0]
        made = Call(
            first.call_id,
            first.caller_tag,
            tag,
            first.caller_aor,
            aor,
            first.caller,
            first.callee,
            first.caller_contact,
            "",
            self.now(),
            invitation.made,
            first.replaces,
            first.referred_by,
            self.now() + self.settings.max_setup,
            first.caller_session,
        )
        self.begin(invitation, made)
        return made

    def begin(self, invitation: Invitation, call: Call) -> None:
        """Take *call* of *invitation* into the table."""
        invitation.calls.append(call)
        invitation.made += 1
        self._count += 1
        by_aor = self._by_aor
        for aor in (call.caller_aor, call.callee_aor):
            if aor:
                known = by_aor.get(aor)
                if known is None:
                    by_aor[aor] = {call: None}
                else:
                    known[call] = None
        if self._sweep_call is None:
            self._sweep_call = self._clock.callLater(self.settings.sweep_interval, self._sweep)
        if self._observers:
            self._tell(call)

    def move(self, call: Call, state: str) -> None:
        """Go on to *state*; there is no way back (section 3.7.1, figure 3)."""
        if _ORDER[state] > _ORDER[call.state]:
            call.state = state
            call.revision += 1
            if self._observers:
                self._tell(call)

    def end(self, invitation: Invitation, call: Call, event: str) -> None:
        """Take *call* of *invitation* out of the table: *event* has ended it. Harmless when repeated."""
        if call.state is TERMINATED:
            return
        invitation.calls.remove(call)
        if not invitation.calls:
            self.invitations.pop(invitation.key, None)
        self._count -= 1
        for aor in (call.caller_aor, call.callee_aor):
            known = self._by_aor.get(aor)
            if known is not None:
                known.pop(call, None)
                if not known:
                    del self._by_aor[aor]
        call.event = event
        self.move(call, TERMINATED)

    def _tell(self, call: Call) -> None:
        for observer in list(self._observers.values()):
            try:
                observer(call)
            except Exception:
                _log.failure("an observer of calls failed for {call_id}", call_id=call.call_id)

    def _sweep(self) -> None:
        """End what has lasted too long: nobody has told that it is over."""
        self._sweep_call = None
        now = self.now()
        over = [
            (invitation, call)
            for invitation in self.invitations.values()
            for call in invitation.calls
            if call.expires_at <= now
        ]
        for invitation, call in over:
            self.end(invitation, call, "timeout")
        if self.invitations:
            self._sweep_call = self._clock.callLater(self.settings.sweep_interval, self._sweep)
