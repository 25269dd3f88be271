"""Event packages: what a notifier asks of each (RFC 6665 section 5), and what a package may do in return."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


class Notification(NamedTuple):
    """The body of one NOTIFY.

    :ivar content_type: its media type, empty for a NOTIFY without body.
    :ivar body: the document.
    :ivar etag: an entity-tag of the full state that it tells (RFC 5839), empty where the package has none: the
        notifier then makes one of the body.
    :ivar headers: further header fields, (name, value).
    """

    content_type: str = ""
    body: bytes = b""
    etag: str = ""
    headers: tuple[tuple[str, str], ...] = ()


#: What a package gives in place of a notification where the watcher has been told exactly that last: no NOTIFY leaves
#: for mere news. Never the first answer, nor the one after ``full_state_due``.
UNCHANGED: Final = Notification(etag="unchanged")


@attrs.frozen(slots=True, kw_only=True)
class Authorization:
    """What a package decides about a watcher (RFC 6665 section 4.2.1.1).

    :ivar state: ``active``, ``pending`` or ``terminated``.
    :ivar reason: of ``terminated``: ``rejected``, ``noresource``, ``giveup`` ...
    :ivar status: the response to a SUBSCRIBE that makes no subscription: 403, 404; 0 where one is made.
    :ivar phrase: the reason phrase of that response, empty for the usual one.
    :ivar detail: whatever the package wants to find again in ``subscription.authorization.detail``.
    :ivar key: the key of the configuration that decides so, empty where none does.
    """

    state: str = "active"
    reason: str = ""
    status: int = 0
    phrase: str = ""
    detail: Any = None
    key: str = ""


class PackageSubscription(Protocol):
    """One subscription as its package sees it.

    :ivar resource: the canonical URI subscribed to.
    :ivar watcher: the canonical URI of who watches.
    :ivar event: the event type, templates included.
    :ivar event_id: the id parameter of Event, or empty.
    :ivar event_params: the parameters of Event in the last SUBSCRIBE, (name, value).
    :ivar state: ``active``, ``pending`` or ``terminated``.
    :ivar reason: why it is terminated, or empty.
    :ivar expires_at: seconds since the epoch.
    :ivar created_at: seconds since the epoch.
    :ivar accept: the media types that the watcher takes, without parameters, in the order of preference; the package's
        default if the SUBSCRIBE had no Accept.
    :ivar supported: the option tags of Supported and Require in the last SUBSCRIBE.
    :ivar body: content type and body of the last SUBSCRIBE that had one (filters, lists), ("", b"") without.
    :ivar authorization: what :meth:`IEventPackage.authorize` decided last.
    :ivar memory: the package's own notes on this subscription (what was sent last, for partial state). Lost in a
        restart: full state is due then.
    :ivar id: a text that names it among all of this notifier, the same over restarts.
    """

    resource: str
    watcher: str
    event: str
    event_id: str
    event_params: tuple[tuple[str, str], ...]
    state: str
    reason: str
    created_at: float
    accept: tuple[str, ...]
    supported: tuple[str, ...]
    body: tuple[str, bytes]
    authorization: Authorization
    memory: dict[str, Any]

    @property
    def expires_at(self) -> float: ...
    @property
    def id(self) -> str: ...

    def next_version(self) -> int:
        """Return the next number for documents with a version attribute: 0, 1, 2 ...; after a restart some are left out
        (and full state is due)."""


class NotifierHost(Protocol):
    """What a package may ask of the notifier that hosts it."""

    def changed(self, event: str, resource: str) -> None:
        """The state of *resource* has changed: its watchers are told, in order, paced, as often as each wants."""

    def notify(self, subscription: PackageSubscription) -> None:
        """Tell one watcher."""

    def subscriptions(self, event: str, resource: str | None = None) -> Sequence[PackageSubscription]:
        """Return the subscriptions to *resource*, or to everything."""

    def reauthorize(self, event: str, resource: str) -> None:
        """Ask the package about each watcher of *resource* anew: its rules have changed."""

    def terminate(self, subscription: PackageSubscription, reason: str, retry_after: int | None = None) -> None:
        """End a subscription with a last NOTIFY (RFC 6665 section 4.2.2)."""


class IEventPackage(Interface):
    """One event package at the notifier. Implementations pass ``twisted_sip.testing.package_contract``."""

    event: str = Attribute("The event type: ``presence``, ``presence.winfo``.")
    default_expires: int = Attribute("Seconds, where a SUBSCRIBE has no Expires (RFC 6665 section 5.4.3).")
    content_types: tuple[str, ...] = Attribute("The media types it can make, the default one first (section 5.4.5).")
    min_interval: float = Attribute("The least seconds between two NOTIFYs of one subscription (section 5.4.10).")

    def attached(host: NotifierHost) -> None:
        """Called once, before anything else, by the notifier that hosts the package."""

    def has_resource(resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether there is such a resource; asked after authentication. False answers 404."""

    def authorize(
        subscription: PackageSubscription,
    ) -> Authorization | Deferred[Authorization] | Awaitable[Authorization]:
        """Decide about a watcher: when it subscribes, when it refreshes, and on ``reauthorize``."""

    def notification(
        subscription: PackageSubscription,
    ) -> Notification | Deferred[Notification] | Awaitable[Notification]:
        """Return what to tell this watcher now: full state, or partial state where the package knows what the watcher
        has. Also asked while the subscription is pending (neutral state) and for the last NOTIFY.

        UNCHANGED where the watcher has had just that since ``full_state_due`` was called last: who is not to see what
        has changed does not learn either that something has. A package that answers so says it with an attribute
        ``tells_differences = True``: then other rights that make no difference are not told of either."""

    def full_state_due(subscription: PackageSubscription) -> None:
        """The watcher lacks what was sent last (refresh, restart, NOTIFY failed): the next notification must be full
        state."""

    def subscriptions_changed(subscriptions: Iterable[PackageSubscription]) -> None:
        """These were made, changed state or ended: for packages about watchers (RFC 3857). Most do nothing."""
