"""3xx responses: where the caller is to try (RFC 3261 sections 8.3 and 21.3, RFC 5630 section 5.4).

Who redirects leaves the way to the caller: devices behind NAT, or at the end of a Path, are not reached by it.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted_sip.element.history import RequestHistory
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.history import format_index
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.parameterized import format_quality
from twisted_sip.message.push_uri import without_push
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI

#: The most contacts of one response.
MOST_CONTACTS = 32


def contact_uri(uri: URI) -> URI:
    """Return *uri* as it may stand in a Contact of a redirection."""
    uri = without_push(uri)
    if isinstance(uri, SIPURI) and uri.transport == "tls":
        # RFC 5630 section 5.4: never.
        return uri.replace(params=uri.params.without("transport"))
    return uri


def _place_of(target: Target) -> URI:
    """Return where a sender is to try *target*."""
    if not (target.configured and target.path):
        return target.uri
    # What was asked for goes there by a Route, and stays in the Request-URI: a call for help. A Contact can tell no
    # Route (RFC 3261 section 19.1.5), so it is the proxy that would stand in it.
    uri = NameAddr.parse(target.path[0]).uri
    return uri.replace(params=uri.params.without("lr")) if isinstance(uri, SIPURI) else uri


def redirection(
    incoming: IncomingRequest,
    targets: Sequence[Target],
    *,
    expires: int = 0,
    now: float = 0.0,
    history: RequestHistory | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> Response:
    """Return the response that sends the sender of *incoming* to *targets*: 302 to one, 300 for a choice of several,
    404 where the only one is the Request-URI (section 8.3).

    :param expires: seconds for which the sender may remember them at most, 0 for this request alone.
    :param now: seconds since the epoch, for what is left of registrations.
    :param history: the targets that the request has had, None where nobody wants to know (RFC 7044 section 8).
    :param headers: further header fields of a 3xx.
    """
    request = incoming.request
    asked = request.uri
    contacts: list[str] = []
    known: list[URI] = []
    targets = sorted(targets, key=lambda target: -target.q)
    # What orders them is no q-value: it is the order alone that counts.
    ranks = sorted({target.q for target in targets})
    for target in targets:
        uri = contact_uri(_place_of(target))
        if uri in known or uri == asked or (isinstance(uri, SIPURI) and uri.equivalent(asked)):
            continue
        known.append(uri)
        params: list[tuple[str, str | None]] = []
        if len(targets) > 1:
            params.append(("q", format_quality(1000 * (ranks.index(target.q) + 1) // len(ranks))))
        if expires:
            left = expires if target.binding is None else max(0, int(target.binding.expires_at - now))
            params.append(("expires", str(min(expires, left))))
        if history is not None:
            params.append(("rc" if target.aor and not target.steps else "mp", format_index(history.index)))
        contacts.append(str(NameAddr.build(uri, "", params)))
        if len(contacts) == MOST_CONTACTS:
            break
    if not contacts:
        return response_to(request, 404, to_tag=incoming.to_tag)
    status = 302 if len(contacts) == 1 else 300
    incoming.note("redirect", "{0}: {1}", "", str(status), ", ".join(map(str, known)))
    fields = [("contact", contact) for contact in contacts]
    response = response_to(request, status, "", [*fields, *headers], to_tag=incoming.to_tag)
    if history is not None:
        history.answer(response)
    return response
