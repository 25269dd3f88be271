"""A listener that minds the call policy of whom a call is for, before another listener sees it.

RFC 5359 sections 2.7 to 2.9 (forwarding, by 302), 2.13 (screening).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.agent.call_events import CallState
from twisted_sip.agent.screening import is_anonymous
from twisted_sip.calls.call_policy import Action, Outcome, PolicyDecision, caller_of, decide
from twisted_sip.interfaces.agent import ICallListener
from twisted_sip.interfaces.call_policy import CallPolicy, ICallPolicyStore

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

_log = Logger()


@implementer(ICallListener)
class PolicedCalls:
    """Forwards and declines calls as the policies of their callees say; passes the others on.

    :param listener: the ICallListener that is asked about calls that go on.
    :param store: an ICallPolicyStore.
    :param now: seconds since the epoch.
    :param busy_at: a user with so many other calls is busy; 0 for never.
    """

    def __init__(self, listener: Any, store: Any, now: Callable[[], float], *, busy_at: int = 0) -> None:
        self._listener: ICallListener = listener
        self._store: ICallPolicyStore = store
        self._now = now
        self._busy_at = busy_at

    async def incoming_call(self, call: Call) -> None:
        """See ICallListener."""
        found: Any = self._store.lookup(call.account.aor)
        policy: CallPolicy | None = await found if isawaitable(found) else found
        if call.over or self._applied(call, self._decide(policy, call, Outcome.ARRIVED)):
            return
        if self._busy_at and self._others(call) >= self._busy_at:
            if not self._applied(call, self._decide(policy, call, Outcome.BUSY)):
                call.reject(486)
            return
        if policy is not None and policy.forward_no_answer:
            call.agent.table.later(policy.no_answer_after, lambda: self._not_answered(call, policy), call)
        answer = self._listener.incoming_call(call)
        if isawaitable(answer):
            await answer

    def call_event(self, call: Call, event: Any) -> None:
        """See ICallListener."""
        self._listener.call_event(call, event)

    def _others(self, call: Call) -> int:
        return sum(other.account is call.account and other is not call for other in call.agent.calls)

    def _decide(self, policy: CallPolicy | None, call: Call, outcome: Outcome) -> PolicyDecision:
        caller = caller_of(call.remote.uri, anonymous=is_anonymous(call.request))
        return decide(policy, caller, datetime.fromtimestamp(self._now(), UTC), outcome)

    def _not_answered(self, call: Call, policy: CallPolicy) -> None:
        if call.state in (CallState.TRYING, CallState.RINGING):
            self._applied(call, self._decide(policy, call, Outcome.NO_ANSWER))

    @staticmethod
    def _applied(call: Call, made: PolicyDecision) -> bool:
        """Do what was decided; tell whether the call is dealt with."""
        if made.action is Action.PROCEED:
            return False
        _log.info(
            "call from {caller} to {callee}: {action} {target}{status} ({rule})",
            caller=call.remote.uri_text, callee=call.account.aor, action=made.action.value, target=made.target,
            status=made.status or "", rule=made.rule,
        )  # fmt: skip
        if made.action is Action.FORWARD:
            call.redirect(made.target)
        else:
            call.reject(made.status, made.reason)
        return True
