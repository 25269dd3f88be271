"""What the call policies of our users make of calls to them (RFC 5359 sections 2.7 to 2.9 and 2.13).

A call that is forwarded goes on as one of the user who has it forwarded: that is who pays for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import attrs
from twisted.logger import Logger

from twisted_sip.agent.incoming_leg import IncomingLeg
from twisted_sip.agent.screening import is_anonymous
from twisted_sip.b2bua.noting import Noting
from twisted_sip.calls.call_policy import Action, Outcome, PolicyDecision, caller_of, decide
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.call_policy import ANONYMOUS, CallPolicy, ICallPolicyStore
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.proxy.location_router import LocationRouter

if TYPE_CHECKING:
    from twisted_sip.b2bua.bridged_call import BridgedCall
    from twisted_sip.b2bua.legs import BridgedLeg
    from twisted_sip.element.element import Element

_log = Logger()

#: How often one call is forwarded, so that users who forward to each other come to an end (RFC 3261 section 16.3).
MOST_FORWARDINGS = 5

#: What targets say that are busy, and that nobody answers at (RFC 5359 sections 2.8 and 2.9).
_BUSY = (486, 600)
_NOBODY = (408, 430, 480, 487)

_NOT_ASKED: Any = object()

_FORWARDED = "{0} has it forwarded to {1}"
_CIRCLE = "482: forwarded in a circle, or too often: {0}"


class CallDeclined(RemoteProtocolError):
    """The call policy of a user declines a call."""


@attrs.define(slots=True)
class Policed:
    """Where policies lead a call.

    :ivar uri: whom it is for now.
    :ivar user: who has forwarded it there, empty where nobody has.
    :ivar policy: that of whom it is for, None without one.
    :ivar forwarded: how often it was forwarded.
    """

    uri: URI
    user: str = ""
    policy: CallPolicy | None = None
    forwarded: int = 0


class Policing:
    """The call policies of our users.

    A call for a GRUU is declined as others are, but stays with its device (RFC 5627 section 6.1). So is one for a
    temporary GRUU that is good still; of others nobody is told whose they were.

    :param store: an ICallPolicyStore.
    :param element: knows our domains, and whose temporary GRUUs are.
    :param now: seconds since the epoch.
    :param location: the registrations, by which temporary GRUUs last; None where there are none.
    """

    def __init__(
        self, store: Any, element: Element, now: Callable[[], float], location: ILocationStore | None = None
    ) -> None:
        self._registered = LocationRouter(element, location)
        self._owner_of = element.temporary_gruus.owner_of
        self._store: ICallPolicyStore = store
        self._is_local_uri = element.domains.is_local_uri
        self._now = now

    def asked(self, uri: URI) -> Any:
        """Return the policy of the user of ours at *uri*, or what can be awaited for it; None for none, as most users
        have.

        :raises StoreError: it cannot be read.
        """
        if not isinstance(uri, SIPURI) or not uri.user or not self._is_local_uri(uri):
            return None
        owner = self._owner_of(uri)
        return self._store.lookup(owner) if owner else None

    async def arrived(self, call: BridgedCall, policed: Policed, found: Any = _NOT_ASKED) -> Policed:
        """Follow *policed* to somebody who takes calls, and return where that is.

        :param found: what :meth:`asked` gives for it, if somebody has asked already.
        :raises RemoteProtocolError: the call is declined, or forwarded in a circle.
        """
        while isinstance(policed.uri, SIPURI) and policed.uri.user and self._is_local_uri(policed.uri):
            if found is _NOT_ASKED:
                found = self.asked(policed.uri)
            policed.policy = await found if isawaitable(found) else found
            found = _NOT_ASKED
            made = self._decide(call, policed.policy, Outcome.ARRIVED)
            gruu = "gr" in policed.uri.params
            if made.action is Action.DECLINE and not (
                gruu and await self._has_ended(call.caller_leg.incoming, policed.uri)
            ):
                raise self._declined(made, policed.uri, call.caller_leg.incoming)
            if gruu:
                break
            if made.action is Action.PROCEED:
                return policed
            policed = self._forward(call, policed, made)
        policed.policy = None
        return policed

    async def placed(
        self, uri: URI, user: str, party: BridgedLeg, asked: Any, found: Any = _NOT_ASKED
    ) -> tuple[URI, str]:
        """Return where a call to *uri* goes made for the peer of *party* without an INVITE, and who pays for it.

        :param user: who pays if nobody has it forwarded.
        :param asked: stands for the INVITE that has not come, and keeps what is decided.
        :param found: as for :meth:`arrived`.
        :raises RemoteProtocolError: as for :meth:`arrived`.
        """
        caller = _caller_at(party)
        for _ in range(MOST_FORWARDINGS + 1):
            if found is _NOT_ASKED:
                found = self.asked(uri)
            policy = await found if isawaitable(found) else found
            found = _NOT_ASKED
            made = decide(policy, caller, datetime.fromtimestamp(self._now(), UTC))
            if not isinstance(uri, SIPURI):
                return uri, user
            gruu = "gr" in uri.params
            if made.action is Action.DECLINE and not (gruu and await self._has_ended(asked, uri)):
                raise self._declined(made, uri, asked)
            if gruu or made.action is Action.PROCEED:
                return uri, user
            user = uri.address_of_record
            asked.note("policy", _FORWARDED, f"policy.{made.rule}", user, made.target)
            uri = parse_uri(made.target)
        asked.note("policy", _CIRCLE, f"policy.{made.rule}", user)
        raise RemoteProtocolError("Loop Detected", status=482)

    def _declined(self, made: PolicyDecision, uri: SIPURI, told: Noting) -> CallDeclined:
        """Return what refuses a call to *uri* that a policy declines."""
        text = "{0}: " + f"{made.status} {made.reason}".rstrip()
        told.note("policy", text, f"policy.{made.rule}", self._owner_of(uri))
        return CallDeclined(made.reason, status=made.status)

    async def _has_ended(self, incoming: Any, gruu: SIPURI) -> bool:
        """Tell whether *gruu* is a temporary one that leads nowhere: then it is answered as all such (section 6.1)."""
        if gruu.params.get("gr"):
            return False
        found: Any = self._registered.find(incoming, gruu)
        return isinstance(await found if isawaitable(found) else found, Response)

    async def unanswered(self, call: BridgedCall, policed: Policed, status: int) -> Policed | None:
        """Return where *call* goes on, which nobody has answered but with *status*; None for nowhere.

        :raises RemoteProtocolError: as for :meth:`arrived`.
        """
        outcome = _outcome(call, status)
        if (
            outcome is None
            or policed.policy is None
            or (isinstance(policed.uri, SIPURI) and "gr" in policed.uri.params)
        ):
            return None
        made = self._decide(call, policed.policy, outcome)
        if made.action is not Action.FORWARD:
            return None
        return await self.arrived(call, self._forward(call, policed, made))

    def _forward(self, call: BridgedCall, policed: Policed, made: PolicyDecision) -> Policed:
        assert isinstance(policed.uri, SIPURI)
        aor = policed.uri.address_of_record
        if policed.forwarded >= MOST_FORWARDINGS:
            call.caller_leg.incoming.note("policy", _CIRCLE, f"policy.{made.rule}", aor)
            raise RemoteProtocolError("Loop Detected", status=482)
        _log.info("{call} is forwarded by {user} to {target} ({rule})", call=repr(call), user=aor, target=made.target,
                  rule=made.rule)  # fmt: skip
        call.caller_leg.incoming.note("policy", _FORWARDED, f"policy.{made.rule}", aor, made.target)
        return Policed(parse_uri(made.target), aor, None, policed.forwarded + 1)

    def _decide(self, call: BridgedCall, policy: CallPolicy | None, outcome: Outcome) -> PolicyDecision:
        request = call.request
        caller = caller_of(request.from_.uri, anonymous=is_anonymous(request))
        if call.user and caller != ANONYMOUS:
            # Whom digest has told us counts for more than what stands in From.
            caller = caller_of(parse_uri(call.user))
        return decide(policy, caller, datetime.fromtimestamp(self._now(), UTC), outcome)


def _caller_at(leg: BridgedLeg) -> str:
    """Return how policies name the peer of *leg*: by what digest has told us, if it does not want to be unknown."""
    hidden = isinstance(leg, IncomingLeg) and is_anonymous(leg.invite.request)
    return caller_of(parse_uri(leg.user) if leg.user and not hidden else leg.call.remote.uri, anonymous=hidden)


def _outcome(call: BridgedCall, status: int) -> Outcome | None:
    if call.hunt.rang_out and status <= 600:
        # Whatever other devices of the user have said.
        return Outcome.NO_ANSWER
    if status in _BUSY:
        return Outcome.BUSY
    if status not in _NOBODY and (status != 503 or call.hunt.unserved):
        # Without a word of the target's a 503 says that there was no way to it.
        return None
    return Outcome.NO_ANSWER if call.notes.call.ringing is not None else Outcome.UNAVAILABLE
