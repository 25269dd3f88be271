"""Targets that are users of ours: their contacts stand in for them (RFC 3261 section 16.5).

A static route to one of our users, or a contact that forwards to another one, would otherwise bring the request back
here, to be asked for credentials that are spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any

import attrs

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Retarget, Target
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.location_router import LocationRouter

#: How often a user may be forwarded to another one.
_DEPTH = 8


async def expand(
    targets: Sequence[Target],
    incoming: IncomingRequest,
    location: LocationRouter,
    is_local: Callable[[URI], bool],
) -> list[Target]:
    """Return *targets* with the contacts of our users in place of the users.

    Who comes first stays first: the q of a user counts before that of his contacts. Nobody is looked up twice, so
    forwarding in a circle ends.
    """
    known: set[str] = set()

    async def contacts(target: Target, order: tuple[int, ...]) -> list[tuple[tuple[int, ...], Target]]:
        uri = target.uri
        order = (*order, target.q)
        if target.flow is not None or target.path or not isinstance(uri, SIPURI) or not is_local(uri):
            # Who needs no looking up is on a par with a contact of the best q.
            return [(order + (1000,) * (_DEPTH + 1 - len(order)), target)]
        if len(order) > _DEPTH or uri.address_of_record in known:
            return []
        known.add(uri.address_of_record)
        found: Any = location.find(incoming, uri)
        if isawaitable(found):
            found = await found
        if isinstance(found, Response):
            return []
        found = [_on_behalf(target, contact, incoming) for contact in found]
        return [item for contact in found for item in await contacts(contact, order)]

    ordered = [item for target in targets for item in await contacts(target, ())]
    ranks = sorted({order for order, _ in ordered})
    return [attrs.evolve(target, q=ranks.index(order)) for order, target in ordered]


def _on_behalf(target: Target, contact: Target, incoming: IncomingRequest) -> Target:
    """Return *contact*, which stands for *target*, with what goes for that."""
    at = target.steps[-1].to if target.steps else incoming.request.uri
    steps = target.steps
    if str(at) != str(target.uri):
        steps = (*steps, Retarget(at, target.uri))
    return attrs.evolve(contact, no_answer=target.no_answer or contact.no_answer, steps=steps, onward=target.onward)
