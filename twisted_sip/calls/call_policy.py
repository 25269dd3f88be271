"""What a call policy makes of a call: a pure function of the policy, the caller, the time and what has become of it.

RFC 5359 sections 2.7 to 2.9 (forwarding), 2.13 (screening).
"""

from __future__ import annotations

import enum
from datetime import datetime
from zoneinfo import ZoneInfo

import attrs

from twisted_sip.interfaces.call_policy import ANONYMOUS, CallPolicy
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI


class Outcome(enum.Enum):
    """What has become of a call so far."""

    #: It has just come.
    ARRIVED = "arrived"
    #: The user is in another call, or a device has said so (486, 600).
    BUSY = "busy"
    #: It has rung for as long as the policy says.
    NO_ANSWER = "no answer"
    #: No device is there (480, 408 without ringing).
    UNAVAILABLE = "unavailable"


class Action(enum.Enum):
    """What to do with a call."""

    #: Go on: let it ring, or pass on what has become of it.
    PROCEED = "proceed"
    #: Let it go to somebody else.
    FORWARD = "forward"
    #: Answer it with a status.
    DECLINE = "decline"


@attrs.frozen(slots=True, kw_only=True)
class PolicyDecision:
    """What to do with a call.

    :ivar action: what.
    :ivar rule: the key of the policy that says so, empty where none does.
    :ivar target: the SIP URI to forward to.
    :ivar status: the status to decline with.
    :ivar reason: its reason phrase, empty for the usual one.
    """

    action: Action
    rule: str = ""
    target: str = ""
    status: int = 0
    reason: str = ""


PROCEED = PolicyDecision(action=Action.PROCEED)


class Declined(Response):
    """A response that a call policy has chosen: its user does not want the call, which is not to say that nobody is
    there, though the status may be the same one (RFC 3261 section 21.4.18: 480)."""

    __slots__ = ()

    @classmethod
    def of(cls, response: Response) -> Declined:
        """Return *response* as one that a call policy has chosen."""
        made = cls(response.status, response.reason, body=response.body)
        made.headers = response.headers
        return made


_FORWARDING = {
    Outcome.BUSY: "forward_busy",
    Outcome.NO_ANSWER: "forward_no_answer",
    Outcome.UNAVAILABLE: "forward_unavailable",
}


def caller_of(uri: URI | None, *, anonymous: bool = False) -> str:
    """Return how policies name the caller with *uri*.

    :param anonymous: the caller wishes not to be known.
    """
    if anonymous or not isinstance(uri, SIPURI) or uri.host.lower() == "anonymous.invalid":
        return ANONYMOUS
    # Who is blocked does not get through by escaping a letter of his name (RFC 3261 section 19.1.4).
    known = uri.address_of_record.removeprefix("sip:")
    return f"@{known}" if uri.user is None else known


def names(pattern: str, caller: str) -> bool:
    """Tell whether *pattern*, an entry of a list, stands for *caller*."""
    if pattern == caller:
        return True
    user, _, host = caller.rpartition("@")
    if pattern.startswith("@"):
        return caller != ANONYMOUS and pattern[1:] == host
    return pattern.endswith("*") and caller != ANONYMOUS and user.startswith(pattern[:-1])


def decide(policy: CallPolicy | None, caller: str, now: datetime, outcome: Outcome = Outcome.ARRIVED) -> PolicyDecision:
    """Return what *policy* does with a call.

    :param policy: None for a user who has none.
    :param caller: as :func:`caller_of` returns it.
    :param now: with a time zone.
    :param outcome: what has become of the call so far.
    """
    if policy is None:
        return PROCEED
    if outcome is not Outcome.ARRIVED:
        rule = _FORWARDING[outcome]
        target = getattr(policy, rule)
        return PolicyDecision(action=Action.FORWARD, rule=rule, target=target) if target else PROCEED
    if not any(names(one, caller) for one in policy.allowed):
        refused = _refused(policy, caller, now)
        if refused is not None:
            return refused
    if policy.forward_always:
        return PolicyDecision(action=Action.FORWARD, rule="forward_always", target=policy.forward_always)
    return PROCEED


def _refused(policy: CallPolicy, caller: str, now: datetime) -> PolicyDecision | None:
    """Return what keeps out a caller who is not allowed by name."""
    if any(names(one, caller) for one in policy.blocked):
        if caller == ANONYMOUS:
            # RFC 5079: so that the caller knows what to do about it.
            return PolicyDecision(action=Action.DECLINE, rule="blocked", status=433, reason="Anonymity Disallowed")
        return PolicyDecision(action=Action.DECLINE, rule="blocked", status=603)
    if policy.allowed_only:
        return PolicyDecision(action=Action.DECLINE, rule="allowed_only", status=603)
    # Calls that go on to somebody else in any case disturb nobody.
    if policy.forward_always:
        return None
    if policy.hours and not _open(policy, now):
        if policy.forward_closed:
            return PolicyDecision(action=Action.FORWARD, rule="forward_closed", target=policy.forward_closed)
        return PolicyDecision(action=Action.DECLINE, rule="hours", status=480)
    if policy.do_not_disturb:
        if policy.forward_busy:
            return PolicyDecision(action=Action.FORWARD, rule="do_not_disturb", target=policy.forward_busy)
        return PolicyDecision(action=Action.DECLINE, rule="do_not_disturb", status=480, reason="Do Not Disturb")
    return None


def _open(policy: CallPolicy, now: datetime) -> bool:
    there = now.astimezone(ZoneInfo(policy.time_zone))
    minute = 60 * there.hour + there.minute
    return any(hours.include(there.weekday(), minute) for hours in policy.hours)
