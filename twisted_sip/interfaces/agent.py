"""The seam of user agents: the agent itself, and who listens for its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Interface

from twisted_sip.interfaces.processing import IRequestProcessor

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from twisted.internet.defer import Deferred

    from twisted_sip.message.uri import SIPURI


class ICallListener(Interface):
    """Told of the calls of a user agent; a subclass of the agent overrides its hooks instead.

    What is returned may be awaitable. What a method raises is answered with 500, or with the status of a
    RemoteProtocolError.
    """

    def incoming_call(call: Any) -> Awaitable[Any] | Deferred[Any] | None:
        """A call has come in: ring, answer, reject or redirect it, now or later (agent.call.Call).

        A call that is left alone rings out after the ``ring_timeout`` of the settings.
        """

    def call_event(call: Any, event: Any) -> None:
        """Something has happened to a call (agent.call_events.CallEvent): each event of each call, in order."""


class IUserAgent(IRequestProcessor):
    """Makes and takes calls (RFC 3261 section 6)."""

    def register(aor: Any) -> Any:
        """Register an address-of-record and keep that up; return the agent.registration.Registration."""

    def call(uri: Any) -> Any:
        """Call somebody; return the agent.call.Call."""

    def incoming_call(call: Any) -> Awaitable[Any] | Deferred[Any] | None:
        """A call has come in; see ICallListener."""

    def incoming_message(message: Any) -> Awaitable[Any] | Deferred[Any] | None:
        """A MESSAGE has come in (RFC 3428); what returns has taken it."""

    def accept_transfer(call: Any, referral: Any) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether to call whom a REFER names (RFC 3515 section 2.4.2)."""

    def serves(uri: SIPURI) -> bool:
        """Tell whether requests to *uri* are for this agent."""
