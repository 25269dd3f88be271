"""The services themselves: what a program may replace whole. Each has a default class to subclass instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_sip.interfaces.processing import IRequestProcessor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from twisted.internet.defer import Deferred

    from twisted_sip.interfaces.event_package import PackageSubscription
    from twisted_sip.interfaces.location import Binding
    from twisted_sip.interfaces.message_store import StoredMessage
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.interfaces.publication import Publication
    from twisted_sip.interfaces.routing import Target
    from twisted_sip.message.request import Request
    from twisted_sip.message.response import Response


class IProxy(IRequestProcessor):
    """Forwards requests (RFC 3261 section 16)."""

    def route(incoming: IncomingRequest) -> Sequence[Target] | Response | Awaitable[Any]:
        """Return the targets of a request that is not in a dialog, or the response that says why there are none."""


class IRegistrar(IRequestProcessor):
    """Takes registrations (RFC 3261 section 10.3)."""

    def accept_binding(incoming: IncomingRequest, binding: Binding) -> Binding | Deferred[Any] | Awaitable[Any] | None:
        """Return the binding to keep, changed or not, or None to leave it out."""


class IMessagingService(IRequestProcessor):
    """Takes messages to the devices of our users, and keeps them for those who are away (RFC 3428)."""

    def accept(sender: str, recipient: str, message: Request) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether *sender* may write to *recipient*; False answers 403."""

    def deliver(message: Request, incoming: IncomingRequest) -> bool | Deferred[bool] | Awaitable[bool]:
        """Take a message in place of the devices, as a program that answers does; True answers 200."""

    def store(message: StoredMessage) -> StoredMessage | Deferred[Any] | Awaitable[Any] | None:
        """Return what to keep of a message that no device took, or None."""

    def send(
        from_: str,
        to: str,
        text: str | bytes,
        *,
        content_type: str = "text/plain",
        expires: int | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Deferred[Response]:
        """Send a message from a program on this server; fires with the final response."""


class IPresenceService(IRequestProcessor):
    """Takes publications and tells watchers what they may see (RFC 3856, RFC 3903)."""

    def has_presentity(resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether *resource*, a canonical address-of-record, may be watched; False answers 404."""

    def authorize_watcher(resource: str, watcher: str, subscription: PackageSubscription) -> Any:
        """Return the documents.permissions.Permissions of *watcher*, or what can be awaited for them."""

    def authorize_publisher(incoming: IncomingRequest, resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether the sender of a PUBLISH may publish for *resource*; False answers 403."""

    def compose(resource: str, publications: Sequence[Publication], hard_state: Any, registered: bool) -> Any:
        """Return the documents.pidf.Presence that several publications make."""
