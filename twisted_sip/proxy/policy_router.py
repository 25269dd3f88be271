"""Sends calls where the call policies of our users say.

RFC 5359 sections 2.7 to 2.9 (forwarding always, when busy, on no answer) and 2.13 (screening). What can be said of a
call when it comes is decided here at once; for what becomes of it later its targets carry a CallForwarding.

A call that is forwarded goes the way that routes, policies and location have for its new Request-URI, as one of the
user who has it forwarded: that is who pays for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.calls.call_policy import Action, Declined, Outcome, PolicyDecision, caller_of, decide
from twisted_sip.interfaces.call_policy import ANONYMOUS, CallPolicy, ICallPolicyStore
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Ended, IRouter, Retarget, RingTime, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.proxy.retargeting import MOST_FORWARDINGS, Retargeted, original_of, steps_of, times_forwarded

Routed = Sequence[Target] | Response

#: What targets say that are busy, and that nobody answers or is reached at (RFC 5359 sections 2.8 and 2.9).
_BUSY = (486, 600)
_NOBODY = (408, 430, 480, 487, 503)

#: The rules of a policy in the words of RFC 5806 section 4.
_REASONS = {
    "forward_always": "unconditional",
    "forward_busy": "user-busy",
    "forward_no_answer": "no-answer",
    "forward_unavailable": "unavailable",
    "forward_closed": "time-of-day",
    "do_not_disturb": "do-not-disturb",
}


class Way(Protocol):
    """Finds where requests go (ProxyService)."""

    def route(self, incoming: IncomingRequest) -> Routed | Awaitable[Routed]: ...

    @property
    def location_router(self) -> IRouter: ...


def _named(uri: SIPURI) -> str:
    return uri.address_of_record


def _nothing(request: Request) -> bool:
    return False


def outcome_of(ended: Sequence[Ended]) -> Outcome | None:
    """Return what has become of a call whose branches have *ended* so, None for what no policy speaks of."""
    if not ended:
        return Outcome.UNAVAILABLE
    if any(each.rang_out for each in ended):
        return Outcome.NO_ANSWER
    if any(each.status in _BUSY for each in ended):
        return Outcome.BUSY
    if any(each.status not in _NOBODY or (each.status == 503 and not each.made_here) for each in ended):
        return None
    return Outcome.NO_ANSWER if any(each.alerted for each in ended) else Outcome.UNAVAILABLE


@implementer(IRouter)
class PolicyRouter:
    """Asks the call policies of our users; put it before the location router.

    A call for a GRUU is declined as others are, but stays with its device (RFC 5627 section 6.1). So is one for a
    temporary GRUU that is good still; of others nobody is told whose they were.

    :param store: an ICallPolicyStore.
    :param is_local_uri: tells whether a URI is in one of our domains.
    :param now: seconds since the epoch.
    :param way: gives what finds where forwarded calls go: the proxy.
    :param owner_of: gives the address-of-record of whom a URI in our domains is, empty for nobody's.
    :param spares: tells whether a request goes where the operator leads it whatever users want: a call for help.
    """

    for_methods = frozenset(("INVITE",))
    #: Asked about GRUUs too.
    screens = True

    def __init__(
        self,
        store: Any,
        is_local_uri: Callable[[URI], bool],
        now: Callable[[], float],
        way: Callable[[], Way],
        owner_of: Callable[[SIPURI], str] = _named,
        spares: Callable[[Request], bool] = _nothing,
    ) -> None:
        self._owner_of = owner_of
        self._spares = spares
        self._store: ICallPolicyStore = store
        self._is_local_uri = is_local_uri
        self._now = now
        self._way = way

    def route(self, incoming: IncomingRequest) -> Any:
        """Return where the call goes, or how it is declined; an empty sequence where the policy has no word on
        it; or what can be awaited for one of them."""
        request = incoming.request
        uri = request.known_uri or request.uri
        if request.method != "INVITE" or not isinstance(uri, SIPURI) or not uri.user or not self._is_local_uri(uri):
            return ()
        owner = self._owner_of(uri)
        found: Any = self._store.lookup(owner) if owner else None
        if isinstance(found, Deferred):
            return found.addCallback(self._decided, incoming, uri, owner)
        return self._decided(found, incoming, uri, owner)

    def screen(self, incoming: IncomingRequest) -> Any:
        """Return what :meth:`route` does, for a request that something else than its Request-URI leads to a user: a
        static route, the contact of another one."""
        return () if self._spares(original_of(incoming).request) else self.route(incoming)

    def _decided(self, policy: CallPolicy | None, incoming: IncomingRequest, uri: SIPURI, aor: str) -> Any:
        if policy is None:
            return ()
        made = self.decide(policy, incoming, Outcome.ARRIVED)
        gruu = ";" in uri.text and "gr" in uri.params
        if made.action is Action.FORWARD and not gruu:
            return _deferred(self.forward(incoming, uri, made))
        if made.action is Action.DECLINE:
            if gruu and not uri.params.get("gr"):
                return _deferred(self._declined_if_good(incoming, made, aor))
            return self._declined(incoming, made, aor)
        if not gruu and (policy.forward_busy or policy.forward_no_answer or policy.forward_unavailable):
            return _deferred(self._attended(incoming, CallForwarding(self, incoming, uri, policy)))
        return ()

    @staticmethod
    def _declined(incoming: IncomingRequest, made: PolicyDecision, aor: str) -> Response:
        incoming.note("policy", "{0}: " + f"{made.status} {made.reason}".rstrip(), f"policy.{made.rule}", aor)
        return Declined.of(response_to(incoming.request, made.status, made.reason, to_tag=incoming.to_tag))

    async def _declined_if_good(self, incoming: IncomingRequest, made: PolicyDecision, aor: str) -> Routed:
        """Decline a call for a temporary GRUU; where its time is over it is answered as all such (section 6.1)."""
        found: Any = self._way().location_router.route(incoming)
        if isawaitable(found):
            found = await found
        return found if isinstance(found, Response) else self._declined(incoming, made, aor)

    def decide(self, policy: CallPolicy, incoming: IncomingRequest, outcome: Outcome) -> PolicyDecision:
        """Return what *policy* makes of a call with *outcome* so far."""
        original = original_of(incoming)
        caller = caller_of(original.request.from_.uri)
        if original.user and caller != ANONYMOUS:
            # Whom digest has told us counts for more than what stands in From.
            caller = caller_of(parse_uri(original.user))
        return decide(policy, caller, datetime.fromtimestamp(self._now(), UTC), outcome)

    async def _attended(self, incoming: IncomingRequest, forwarding: CallForwarding) -> Routed:
        """Return the contacts of a user who has calls forwarded that nobody takes there."""
        found: Any = self._way().location_router.route(incoming)
        if isawaitable(found):
            found = await found
        if isinstance(found, Response):
            onward = forwarding.after(()) if found.status == 480 else None
            return found if onward is None else await onward
        policy = forwarding.policy
        ring = RingTime(policy.no_answer_after, "policy.no_answer_after") if policy.forward_no_answer else 0.0
        steps = steps_of(incoming)
        return [
            attrs.evolve(target, onward=forwarding, steps=steps, no_answer=ring or target.no_answer) for target in found
        ]

    async def forward(self, incoming: IncomingRequest, uri: SIPURI, made: PolicyDecision) -> Routed:
        """Return where a call for *uri* goes that a policy forwards."""
        aor = uri.address_of_record
        steps = steps_of(incoming)
        target = parse_uri(made.target)
        known = [step.uri for step in steps]
        if times_forwarded(incoming) >= MOST_FORWARDINGS or any(
            isinstance(each, SIPURI) and each.address_of_record == aor for each in known
        ):
            incoming.note("policy", "482: forwarded in a circle, or too often: {0}", f"policy.{made.rule}", aor)
            return response_to(incoming.request, 482, "Loop Detected", to_tag=incoming.to_tag)
        incoming.note("policy", "{0} has it forwarded to {1}", f"policy.{made.rule}", aor, made.target)
        forwarded = Retargeted(incoming, Retarget(uri, target, _REASONS[made.rule]), aor)
        found: Any = self._way().route(forwarded)
        if isawaitable(found):
            found = await found
        if isinstance(found, Response):
            return found
        return [each if each.steps else attrs.evolve(each, steps=forwarded.steps) for each in found]


#: What is told of a call that a policy with other forwardings does not send elsewhere.
_LEFT_AT_THAT = {
    Outcome.BUSY: ("{0} is busy, and nothing is set for that", "policy.forward_busy"),
    Outcome.NO_ANSWER: ("{0} does not answer, and nothing is set for that", "policy.forward_no_answer"),
    Outcome.UNAVAILABLE: ("no device of {0} says anything, and nothing is set for that", "policy.forward_unavailable"),
}


class CallForwarding:
    """What a policy says of a call that nobody has taken at the user's own devices; provides Onward. It says so once.

    :ivar policy: the policy.
    """

    __slots__ = ("_asked", "_incoming", "_router", "_uri", "policy")

    def __init__(self, router: PolicyRouter, incoming: IncomingRequest, uri: SIPURI, policy: CallPolicy) -> None:
        self._router = router
        self._incoming = incoming
        self._uri = uri
        self.policy = policy
        self._asked = False

    def after(self, ended: Sequence[Ended]) -> Awaitable[Routed] | None:
        """Return what to await for where the call goes on; None where the policy leaves it at that."""
        outcome = None if self._asked else outcome_of(ended)
        self._asked = True
        if outcome is None:
            return None
        made = self._router.decide(self.policy, self._incoming, outcome)
        if made.action is not Action.FORWARD:
            # Who has set another of the keys wonders why it does not hold.
            words, key = _LEFT_AT_THAT[outcome]
            self._incoming.note("policy", words, key, self._uri.address_of_record)
            return None
        return self._router.forward(self._incoming, self._uri, made)


def _deferred(work: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(work)
