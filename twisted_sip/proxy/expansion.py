"""Targets that are users of ours: their contacts stand in for them (RFC 3261 section 16.5).

A static route to one of our users, or a contact that forwards to another one, would otherwise bring the request back
here, to be asked for credentials that are spent. What those users want to become of calls holds for such calls too
(RFC 5359 sections 2.7 to 2.9 and 2.13).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from typing import Any

import attrs

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Ended, IRouter, Onward, Retarget, Target
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.best_response import best_response
from twisted_sip.proxy.location_router import LocationRouter
from twisted_sip.proxy.retargeting import Retargeted, original_of, steps_of

#: How often a user may be forwarded to another one.
_DEPTH = 8


async def expand(
    targets: Sequence[Target],
    incoming: IncomingRequest,
    location: LocationRouter,
    is_local: Callable[[URI], bool],
    routers: Iterable[IRouter] = (),
) -> list[Target] | Response:
    """Return *targets* with the contacts of our users in place of the users, or with where those have calls forwarded;
    a response where nobody is left since they have them declined.

    Who comes first stays first: the q of a user counts before that of his contacts. Nobody is looked up twice, so
    forwarding in a circle ends.

    :param routers: those of them that have a method ``screen`` are asked about each user first; see PolicyRouter.
    """
    known: set[str] = set()
    # In a dialog nobody is called.
    screens = [] if original_of(incoming).request.to.tag else [one for one in routers if hasattr(one, "screen")]
    refusals: list[Response] = []

    async def contacts(target: Target, order: tuple[int, ...]) -> list[tuple[tuple[int, ...], Target]]:
        uri = target.uri
        order = (*order, target.q)
        if target.flow is not None or target.path or not isinstance(uri, SIPURI) or not is_local(uri):
            # Who needs no looking up is on a par with a contact of the best q.
            return [(order + (1000,) * (_DEPTH + 1 - len(order)), target)]
        if len(order) > _DEPTH or uri.address_of_record in known:
            return []
        known.add(uri.address_of_record)
        steps = _steps(target, incoming)
        found: Any = ()
        for router in screens:
            found = router.screen(_view(incoming, steps))
            if isawaitable(found):
                found = await found
            if found:
                break
        if isinstance(found, Response):
            refusals.append(found)
            return []
        if not found:
            found = location.find(incoming, uri)
            if isawaitable(found):
                found = await found
            if isinstance(found, Response):
                return []
        onwards: dict[Onward | None, Onward | None] = {}
        found = [_on_behalf(target, contact, steps, onwards) for contact in found]
        return [item for contact in found for item in await contacts(contact, order)]

    ordered = [item for target in targets for item in await contacts(target, ())]
    if refusals and not ordered:
        return best_response(refusals)
    ranks = sorted({order for order, _ in ordered})
    return [attrs.evolve(target, q=ranks.index(order)) for order, target in ordered]


def _steps(target: Target, incoming: IncomingRequest) -> tuple[Retarget, ...]:
    """Return who has had *incoming* go to *target*, and that itself."""
    steps = target.steps or steps_of(incoming)
    at = steps[-1].to if steps else incoming.request.uri
    return steps if str(at) == str(target.uri) else (*steps, Retarget(at, target.uri))


def _view(incoming: IncomingRequest, steps: tuple[Retarget, ...]) -> IncomingRequest:
    """Return *incoming* as if it were for whom the last of *steps* leads to."""
    return Retargeted(incoming, steps[-1], incoming.user, steps[:-1]) if steps else incoming


def _on_behalf(
    target: Target, contact: Target, steps: tuple[Retarget, ...], onwards: dict[Onward | None, Onward | None]
) -> Target:
    """Return *contact*, which stands for *target*, with what goes for that.

    :param onwards: what takes the place of the Onward of contacts: contacts that have the same one keep the same one.
    """
    if contact.onward not in onwards:
        first, second = contact.onward, target.onward
        onwards[first] = second if first is None else first if second is None else _Both(first, second)
    # Whose patience ends first.
    limits = [limit for limit in (target.no_answer, contact.no_answer) if limit]
    return attrs.evolve(
        contact,
        no_answer=min(limits, default=0.0),
        steps=contact.steps or steps,
        onward=onwards[contact.onward],
    )


class _Both:
    """Where a request goes on for a user, or else for the one who has had it forwarded there; provides Onward."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Onward, second: Onward) -> None:
        self._first = first
        self._second = second

    def after(self, ended: Sequence[Ended]) -> Awaitable[Sequence[Target] | Response] | None:
        """Return what the first one says, or else the second one."""
        return self._first.after(ended) or self._second.after(ended)
