"""The services themselves: what a program may replace whole. Each has a default class to subclass instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_sip.interfaces.processing import IRequestProcessor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from twisted.internet.defer import Deferred

    from twisted_sip.interfaces.location import Binding
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.interfaces.routing import Target
    from twisted_sip.message.response import Response


class IProxy(IRequestProcessor):
    """Forwards requests (RFC 3261 section 16)."""

    def route(incoming: IncomingRequest) -> Sequence[Target] | Response | Awaitable[Any]:
        """Return the targets of a request that is not in a dialog, or the response that says why there are none."""


class IRegistrar(IRequestProcessor):
    """Takes registrations (RFC 3261 section 10.3)."""

    def accept_binding(incoming: IncomingRequest, binding: Binding) -> Binding | Deferred[Any] | Awaitable[Any] | None:
        """Return the binding to keep, changed or not, or None to leave it out."""
