"""The legs of calls through a proxy, as its branches tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from twisted_sip.calls.open_calls import LONGEST, Key
from twisted_sip.interfaces.accounting import LegRecord
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response


class UnsentInvite:
    """An INVITE that never had a response context, in the place of one."""

    branches: tuple[Any, ...] = ()
    rang_at = 0.0

    def __init__(self, request: Request, incoming: IncomingRequest, now: float) -> None:
        self.request = request
        self.incoming = incoming
        self.began_at = now


def answering(branches: Sequence[Any], response: Response) -> Target:
    """Return the target of the branch that *response* came from."""
    found: Target = next((branch for branch in branches if branch.final is response), branches[-1]).target
    return found


def legs_of(context: Any, answer: Response | None = None, key: Key = ("", "", ""), now: float = 0.0) -> tuple[Any, ...]:
    """Return a leg for each branch of *context*; *answer*, a 2xx, has made the dialog *key*."""
    legs = []
    for branch in context.branches:
        final: Response | None = branch.final
        uri = cut(str(branch.target.uri))
        if final is answer and final is not None:
            legs.append(answered_leg(uri, key, context, now, final.status))
        else:
            legs.append(
                LegRecord(
                    call_id=cut(context.request.call_id),
                    incoming=False,
                    uri=uri,
                    began=context.began_at,
                    status=0 if final is None else final.status,
                    reason="" if final is None else final.reason,
                )
            )
    return tuple(legs)


def answered_leg(uri: str, key: Key, context: Any, answered: float | None, status: int) -> LegRecord:
    """Return the leg of a branch that was answered with *status*, to *uri*, which has made the dialog *key*."""
    return LegRecord(
        call_id=key[0],
        incoming=False,
        uri=uri,
        began=context.began_at,
        answered=answered,
        status=status,
        callee_tag=key[2],
    )


def ended_leg(leg: LegRecord, now: float, reason: str) -> LegRecord:
    """Return *leg* when the call is over for *reason*."""
    if leg.ended is not None:
        return leg
    return attrs.evolve(leg, ended=now, reason=reason if leg.answered is not None else leg.reason)


def cut(text: str) -> str:
    """Return *text*, or its beginning if a peer has made it very long."""
    return text if len(text) <= LONGEST else text[:LONGEST]
