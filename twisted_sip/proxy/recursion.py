"""Redirections that are followed here instead of by the caller (RFC 3261 sections 16.5 and 16.7 step 4).

Contacts are followed as targets of whoever has sent the 3xx: routes, policies and location are asked for each of them,
at the cost of the user whose device it was; all others, gateways too, have the rights of strangers. What is followed is
taken out of the response (step 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.element.caller_preferences import preferred
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.routing import Retarget, Target
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.parameterized import parse_quality
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.diversion import diversions_of
from twisted_sip.proxy.retargeting import MOST_FORWARDINGS, Retargeted, times_forwarded
from twisted_sip.proxy.sips import fit_scheme

if TYPE_CHECKING:
    from twisted_sip.proxy.branch import Branch
    from twisted_sip.proxy.response_context import ResponseContext

_log = Logger()

#: What is followed. 305 and 380 are for the caller to make something of.
_FOLLOWED = (300, 301, 302)

#: The most contacts of one response that are followed.
_MOST_CONTACTS = 8


def recurse(context: ResponseContext, branch: Branch, response: Response) -> bool:
    """Begin to follow the 3xx *response* that *branch* has ended with; tell whether that is done.

    ResponseContext.redirected() is called with what comes of it.
    """
    request, service = context.request, context.service
    if response.status not in _FOLLOWED or context.in_dialog or not service.element.domains.is_local_uri(request.uri):
        # Section 16.5: the target set is ours to add to for our own users alone.
        return False
    if context.disposition is not None and "no-recurse" in context.disposition:
        return False
    steps = branch.target.steps
    if len(steps) + times_forwarded(context.incoming) >= MOST_FORWARDINGS:
        context.incoming.note("proxy", "{0} is not followed: redirected too often", "", str(response.status))
        return False
    followed, rest = _contacts(request, response)
    if not followed:
        return False
    words = ", ".join([contact.uri_text for contact in followed])
    context.incoming.note("proxy", "{0} has redirected to {1}", "proxy.recurse", str(branch.target.uri), words)
    found = Deferred.fromCoroutine(_targets(context, branch, response, followed))
    found.addCallback(
        lambda targets: context.redirected(branch, fit_scheme(request, preferred(context.incoming, targets)), rest)
    )
    found.addErrback(_failed, context, branch)
    return True


def _failed(failure: Failure, context: ResponseContext, branch: Branch) -> None:
    _log.failure("where a redirection leads was not found", failure)
    context.redirected(branch, (), None)


def _contacts(request: Request, response: Response) -> tuple[list[NameAddr], Response]:
    """Return the contacts of *response* that are followed, and what is left of it."""
    rest = response.copy()
    rest.flow = response.flow
    followed: list[NameAddr] = []
    left: list[str] = []
    secure = request.uri_text[:5].lower() == "sips:"
    for text in response.headers.elements("contact"):
        try:
            contact = NameAddr.parse(text)
            uri = contact.uri
        except RemoteProtocolError:
            left.append(text)
            continue
        # Section 16.7 step 4: from sips to sips alone.
        if isinstance(uri, SIPURI) and (uri.secure or not secure) and len(followed) < _MOST_CONTACTS:
            followed.append(contact)
        else:
            left.append(text)
    rest.headers.remove("contact")
    for text in left:
        rest.headers.append("contact", text)
    return followed, rest


async def _targets(
    context: ResponseContext, branch: Branch, response: Response, contacts: Sequence[NameAddr]
) -> Sequence[Target]:
    """Return where *contacts* lead, best q first."""
    service, incoming = context.service, context.incoming
    before = branch.target
    diversions = diversions_of(response, before.aor, service.settings)
    found: list[tuple[tuple[int, int], Target]] = []
    for contact in contacts:
        how = next((name for name in ("rc", "mp") if name in contact.params), "")
        step = Retarget(before.uri, contact.uri, how=how, diversions=diversions)
        retargeted = Retargeted(incoming, step, before.aor, before.steps)
        routed: Any = service.route(retargeted)
        if isawaitable(routed):
            routed = await routed
        if isinstance(routed, Response):
            continue
        q = parse_quality(contact.params.get("q"))
        expanded = await service.expanded(retargeted, routed)
        for target in () if isinstance(expanded, Response) else expanded:
            if not target.steps:
                target = attrs.evolve(target, steps=retargeted.steps)
            found.append(((q, target.q), target))
    ranks = sorted({order for order, _ in found})
    return [attrs.evolve(target, q=ranks.index(order)) for order, target in found]
