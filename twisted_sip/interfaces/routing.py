"""Where a proxied request goes: targets, the router that finds them, and the policy for each branch."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

import attrs
from zope.interface import Interface

from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import URI


@attrs.frozen(slots=True, kw_only=True)
class Target:
    """One place to which a proxy may send a request (RFC 3261 section 16.5).

    :ivar uri: the Request-URI to use.
    :ivar q: preference in thousandths; equal values are tried in parallel, lower ones afterwards (section 16.6).
    :ivar flow: the flow to use whatever the URI says, or None.
    :ivar flow_lost: the binding's flow is gone and nothing may stand in for it (RFC 5626 section 5.3: 430).
    :ivar path: Route values to put before it, topmost first (RFC 3327 section 5.3).
    :ivar instance: the instance of the device: bindings of one instance are alternatives, never forked to together
        (RFC 5626 section 6), or empty.
    :ivar secure: go there over secure transports alone, though the Request-URI is ``sip``: the contact was ``sips``
        (RFC 5630 section 5.3).
    :ivar no_answer: seconds for which an INVITE may ring there; then it is cancelled, and goes on to the targets that
        are less preferred. 0 for as long as Timer C lets it.
    :ivar aor: the address-of-record whose binding this is, or empty.
    :ivar key: Binding.key, or empty.
    """

    uri: URI
    q: int = 1000
    flow: Flow | None = None
    flow_lost: bool = False
    path: tuple[str, ...] = ()
    instance: str = ""
    secure: bool = False
    no_answer: float = 0.0
    aor: str = ""
    key: str = ""


class IRouter(Interface):
    """Decides where a request that is not in a dialog goes."""

    def route(incoming: IncomingRequest) -> Sequence[Target] | Response | Awaitable[Sequence[Target] | Response]:
        """Return the targets, or the response that says why there are none (404, 480, 302 ...), or a Deferred or
        coroutine that gives them."""


class IForwardingPolicy(Interface):
    """Has the last word on each request and response that a proxy forwards: privacy, identity, header policy."""

    def branch(request: Request, target: Target, incoming: IncomingRequest) -> None:
        """Change *request*, the copy about to be sent to *target* (RFC 3261 section 16.6), in place."""

    def response(response: Response, context: Any) -> None:
        """Change *response*, about to be forwarded upstream (RFC 3261 section 16.7), in place."""
