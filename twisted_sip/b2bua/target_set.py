"""The target set of a call (RFC 3261 section 16.5): what routes and redirections mean, contacts for users."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.b2bua.policing import CallDeclined
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri


def targets_of(route: Any) -> Sequence[Target] | int:
    """Return the targets that *route* means, or the status that it refuses with.

    :param route: what the route hook gives: URIs or Targets, one or several, a status, or a Response.
    :raises RemoteProtocolError: a URI is none, or there is no target at all (404).
    :raises LocalProtocolError: a status that refuses nothing.
    """
    if isinstance(route, bool) or route is None:
        return 404
    if isinstance(route, int):
        if not 300 <= route <= 699:
            # Nobody would be told anything.
            raise LocalProtocolError(f"{route} is no status to refuse a call with: 300 to 699")
        return route
    if isinstance(route, Response):
        return route.status
    several: Sequence[Any] = [route] if isinstance(route, str | Target | URI) else list(route)
    targets = []
    for place, one in enumerate(several):
        if isinstance(one, Target):
            if one.flow_lost:
                continue
            targets.append(one)
        else:
            # Those that are written one after the other are tried so.
            uri = parse_uri(one) if isinstance(one, str) else one
            # Where a program leads it was asked for: it may be a gateway.
            targets.append(Target(uri=uri, q=1000 - place, configured=True))
    if not targets:
        return 480 if several else 404
    return targets


def fitting(route: Any, asked: URI) -> Any:
    """Return *route* without the targets where *asked* may not be called: what is to be secure stays so (RFC 5630
    section 5.3).

    :param route: Targets, or what refuses.
    """
    if isinstance(route, (int, Response)) or not (isinstance(asked, SIPURI) and asked.secure):
        return route
    return [target for target in route if isinstance(target.uri, SIPURI) and target.uri.secure] or 480


async def all_targets(found: Sequence[Any]) -> list[Target]:
    """Return the targets of several look-ups, those that refuse left out.

    :raises RemoteProtocolError: there are none, and not since users have declined.
    """
    targets: list[Target] = []
    refusal: RemoteProtocolError | None = None
    for one in found:
        try:
            made = targets_of(await one if isinstance(one, Deferred) else one)
        except CallDeclined:
            continue
        except RemoteProtocolError as error:
            refusal = refusal or error
            continue
        if not isinstance(made, int):
            targets += made
    if refusal is not None and not targets:
        raise refusal
    return targets


async def expanded(
    targets: Sequence[Target],
    known: set[str],
    is_user: Callable[[Target], bool],
    contacts: Callable[[Target], Awaitable[Any]],
) -> list[Target] | int:
    """Return *targets* with the contacts of our users in place of the users; 480 where there are none.

    Who comes first stays first: the q of a user counts before that of his contacts.

    :param known: users who have been looked up: nobody is twice, so forwarding in a circle ends.
    :param is_user: tells users of ours from others.
    :param contacts: gives the route to a user.
    :raises RemoteProtocolError: nobody is left since it is declined.
    """
    ordered: list[tuple[tuple[int, int], Target]] = []
    refusal: RemoteProtocolError | None = None
    for target in targets:
        if not is_user(target):
            ordered.append(((target.q, 1000), target))
            continue
        key = target.uri.address_of_record if isinstance(target.uri, SIPURI) else ""
        if key in known:
            continue
        known.add(key)
        try:
            made = targets_of(await contacts(target))
        except RemoteProtocolError as error:
            refusal = error
            continue
        for each in () if isinstance(made, int) else made:
            limits = [limit for limit in (each.no_answer, target.no_answer) if limit]
            ordered.append(((target.q, each.q), attrs.evolve(each, no_answer=min(limits, default=0.0))))
    if refusal is not None and not ordered:
        raise refusal
    ranks = sorted({order for order, _ in ordered})
    return [attrs.evolve(target, q=ranks.index(order)) for order, target in ordered] or 480
