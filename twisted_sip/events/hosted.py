"""What a notifier hosts: subscriptions with all that is known of them, and packages with their subscriptions.

A subscription is one object: the machine of RFC 6665 section 4.2, what its package sees of it
(interfaces.event_package.PackageSubscription), the usage of its dialog, and the user of the NOTIFY that is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import UsageKey
from twisted_sip.dialog.notifier import NotifierSubscription, Outcome
from twisted_sip.errors import TransportError
from twisted_sip.events.deadlines import NEVER
from twisted_sip.events.rates import RateControl
from twisted_sip.events.virtual import VirtualSubscriptions
from twisted_sip.interfaces.event_package import Authorization, IEventPackage, PackageSubscription
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.subscription import SubscriptionRecord
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.element.outgoing import Outgoing
    from twisted_sip.events.delivery import Delivery

_log = Logger()

#: Stands for the decision of a package that has not been asked yet.
UNDECIDED = Authorization(state="pending")

_NO_BODY = ("", b"")
_NO_PARAMS: tuple[tuple[str, str], ...] = ()


class HostedSubscription(NotifierSubscription):
    """One subscription at the notifier; see interfaces.event_package.PackageSubscription for what packages use.

    :ivar hosted: its package.
    :ivar flow: the token of the flow by which the SUBSCRIBE came, empty where it came through a proxy.
    :ivar instance: the instance of the watcher's device (message.gruu.instance_key), empty where that is not known.
    :ivar way: that flow itself, None where it is not known or has failed.
    :ivar authenticated: the watcher had to prove who it is.
    :ivar source: with whom it shares room where the watcher has proved nothing (Notifier.source_of), else empty.
    :ivar stored: a record of it is in the store, or on its way there.
    :ivar shared: there have been other subscriptions in its dialog.
    :ivar version: the next number for a document.
    :ivar cseq_limit: no CSeq and no version from this one on before a new limit is in the store.
    :ivar kept_limit: the greatest limit that the store was given.
    :ivar reserving: a new limit is on its way there.
    :ivar rates: what it asked for of RFC 6446, None for nothing.
    :ivar condition: its Suppress-If-Match as long as that is true (RFC 5839), or empty.
    :ivar sent_at: when its last NOTIFY was sent, 0 before.
    :ivar queued: it waits in the paced queue.
    :ivar deciding: its package has been asked, outside of a SUBSCRIBE, and has not answered yet.
    :ivar asked: counts the questions to its package whether it is allowed: the last one counts.
    :ivar wake_at: for Deadlines.
    :ivar noted: what its NOTIFY under way is (events.long_notify).
    :ivar no_connection: the remote target, once it is known that it takes no connections; else empty.
    :ivar untold: its state is too long to be told.
    :ivar moved: it has another flow since its last NOTIFY was not answered.
    :ivar heard: its watcher has answered a NOTIFY, and so has really asked for it.
    """

    __slots__ = (
        "_memory",
        "accept",
        "asked",
        "authenticated",
        "authorization",
        "body",
        "condition",
        "created_at",
        "cseq_limit",
        "deciding",
        "delivery",
        "event_params",
        "flow",
        "heard",
        "hosted",
        "id",
        "instance",
        "kept_limit",
        "moved",
        "no_connection",
        "noted",
        "queued",
        "rates",
        "reserving",
        "resource",
        "sent_at",
        "shared",
        "source",
        "stored",
        "supported",
        "untold",
        "version",
        "wake_at",
        "watcher",
        "way",
    )

    def __init__(
        self,
        delivery: Delivery,
        hosted: HostedPackage,
        dialog: Dialog,
        *,
        id: str,
        event_id: str,
        resource: str,
        watcher: str,
        created_at: float,
        expires_at: float,
    ) -> None:
        NotifierSubscription.__init__(self, dialog, hosted.event, event_id, expires_at)
        self.delivery = delivery
        self.hosted = hosted
        self.id = id
        self.resource = resource
        self.watcher = watcher
        self.created_at = created_at
        self.event_params = _NO_PARAMS
        self.accept = hosted.default_accept
        self.supported: tuple[str, ...] = ()
        self.body = _NO_BODY
        self.authorization = UNDECIDED
        self.flow = self.instance = self.source = ""
        self.way: Flow | None = None
        self.authenticated = False
        self.stored = False
        self.shared = False
        self.version = 0
        self.cseq_limit = 0
        self.kept_limit = 0
        self.reserving = False
        self.rates: RateControl | None = None
        self.condition = ""
        self.sent_at = 0.0
        self.queued = False
        self.asked = 0
        self.deciding = False
        self.wake_at = NEVER
        self.noted = 0
        self.no_connection = ""
        self.untold = False
        self.moved = False
        self.heard = False
        self._memory: dict[str, Any] | None = None

    # -- for packages -----------------------------------------------------------------

    @property
    def memory(self) -> dict[str, Any]:
        """The package's own notes."""
        memory = self._memory
        if memory is None:
            memory = self._memory = {}
        return memory

    @memory.setter
    def memory(self, notes: dict[str, Any]) -> None:
        self._memory = notes

    def next_version(self) -> int:
        """Return the next number for documents with a version attribute."""
        version = self.version
        self.version = version + 1
        return version

    # -- for the host -----------------------------------------------------------------

    @property
    def unheard(self) -> bool:
        """True while nothing shows that the watcher has asked for anything: it has proved nothing and answered nothing.

        Whoever forges an address has NOTIFYs sent to somebody else: these go once, and no others follow.
        """
        return not self.heard and bool(self.source)

    def answered(self, status: int, now: float, retry_after: int | None = None) -> Outcome:
        """As in the base; who is unheard is not tried again."""
        outcome = super().answered(status, now, retry_after)
        return Outcome.OVER if outcome is Outcome.LATER and self.unheard else outcome

    @property
    def usage_key(self) -> UsageKey:
        """Which usage of its dialog it is."""
        return self.hosted.usage_key if not self.event_id else UsageKey("notifier", self.event, self.event_id)

    def gap_end(self) -> float:
        """Return from when on news may be told (RFC 6446 section 5.2, RFC 6665 section 5.4.10)."""
        gap = self.hosted.min_interval
        rates = self.rates
        if rates is not None and rates.gap > gap:
            gap = rates.gap
        return self.sent_at + gap

    # -- the user of its NOTIFY -----------------------------------------------------------

    def prepare(self, request: Request, flow: Flow) -> None:
        """Put the Contact for *flow* into a NOTIFY."""
        headers = request.headers
        headers.names.append("contact")
        headers.lines.append(self.delivery.contact_line(flow, self.dialog.secure))

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        """The NOTIFY was answered."""
        if response.status >= 200:
            self.heard = True
            self.delivery.answered(self, response)

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        """The NOTIFY was not answered."""
        # That there is no room for another transaction is no fault of the way.
        self.delivery.failed(self, status, way_failed=isinstance(outgoing.error, TransportError))

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone, and the subscription with it (RFC 5057 section 5.1)."""
        self.delivery.lost(self)

    def __repr__(self) -> str:
        return f"<HostedSubscription {self.id} of {self.watcher} to {self.event} of {self.resource}, {self.state}>"


def _types(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(name.lower() for name in names)


class HostedPackage:
    """One package and the subscriptions to it.

    :ivar package: the package.
    :ivar event: its event type.
    :ivar key: by what the notifier knows it: the event type, with a semicolon and the attribute ``variant`` of the
        package if it has one.
    :ivar serves: of a variant, ``serves(request, resource)``: whether it serves *resource* in the place of the package
        for the event; may raise SubscribeRefused.
    :ivar content_types: what it can make, the default one first.
    :ivar default_accept: what a watcher without Accept takes.
    :ivar body_types: the bodies of SUBSCRIBE that it understands, None where it judges itself: the attribute
        ``body_types`` of the package, if it has one.
    :ivar refresh_body_types: the same for SUBSCRIBEs within a dialog: its attribute of that name.
    :ivar option_tags: the option tags that may be required of it: its attribute ``option_tags``, if it has one.
    :ivar required_options: the option tags that a watcher must support: its attribute of that name; 421 without.
    :ivar required_types: media types that an Accept must name beside one of *content_types*: its attribute of that
        name.
    :ivar response_headers: gives further header fields for the 200 to a SUBSCRIBE: its method of that name, if it has
        one.
    :ivar tells_differences: it answers UNCHANGED where the watcher would learn nothing: its attribute of that name.
    :ivar waiting_restored: takes the records of watchers who waited before a restart: its method of that name, if it
        has one.
    :ivar by_resource: subscriptions that are not over, by resource, in the order of their making.
    :ivar count: how many these are.
    :ivar virtual: subscriptions to it without a dialog.
    """

    __slots__ = (
        "body_types",
        "by_resource",
        "content_types",
        "count",
        "default_accept",
        "default_expires",
        "event",
        "key",
        "max_expires",
        "min_expires",
        "min_interval",
        "option_tags",
        "package",
        "refresh_body_types",
        "required_options",
        "required_types",
        "response_headers",
        "serves",
        "tells_differences",
        "usage_key",
        "virtual",
        "waiting_restored",
    )

    def __init__(self, package: Any, *, min_expires: int, max_expires: int, option_tags: frozenset[str]) -> None:
        IEventPackage(package)
        self.package = package
        self.event: str = package.event
        variant: str = getattr(package, "variant", "")
        self.key = f"{self.event};{variant}" if variant else self.event
        self.serves: Callable[[Request, str], Any] | None = package.serves if variant else None
        self.default_expires: int = package.default_expires
        self.min_expires = min_expires
        self.max_expires = max_expires
        self.min_interval = float(package.min_interval)
        self.content_types: tuple[str, ...] = tuple(name.lower() for name in package.content_types)
        self.default_accept = self.content_types[:1]
        self.body_types = _types(getattr(package, "body_types", None))
        self.refresh_body_types = _types(getattr(package, "refresh_body_types", self.body_types))
        self.required_options: tuple[str, ...] = tuple(getattr(package, "required_options", ()))
        self.required_types: tuple[str, ...] = tuple(getattr(package, "required_types", ()))
        self.option_tags = option_tags | {tag.lower() for tag in getattr(package, "option_tags", ())}
        self.response_headers: Callable[[HostedSubscription], Iterable[tuple[str, str]]] | None = getattr(
            package, "response_headers", None
        )
        self.tells_differences = bool(getattr(package, "tells_differences", False))
        self.waiting_restored: Callable[[Iterable[SubscriptionRecord]], None] | None = getattr(
            package, "waiting_restored", None
        )
        self.usage_key = UsageKey("notifier", self.event)
        self.by_resource: dict[str, dict[HostedSubscription, None]] = {}
        self.count = 0
        self.virtual = VirtualSubscriptions(self)

    def add(self, subscription: HostedSubscription) -> None:
        """Take *subscription* in."""
        known = self.by_resource.get(subscription.resource)
        if known is None:
            known = self.by_resource[subscription.resource] = {}
        else:
            # One text for all who watch the same.
            subscription.resource = next(iter(known)).resource
        known[subscription] = None
        self.count += 1

    def remove(self, subscription: HostedSubscription) -> bool:
        """Take *subscription* out; return False if it was not there."""
        known = self.by_resource.get(subscription.resource)
        if known is None or subscription not in known:
            return False
        del known[subscription]
        if not known:
            del self.by_resource[subscription.resource]
        self.count -= 1
        return True

    def of(self, resource: str | None) -> list[HostedSubscription]:
        """Return the subscriptions to *resource*, to everything if it is None, that are not over."""
        if resource is not None:
            return list(self.by_resource.get(resource, ()))
        return [subscription for known in self.by_resource.values() for subscription in known]

    def tell(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Tell the package that *subscriptions* were made, changed state or ended."""
        try:
            self.package.subscriptions_changed(subscriptions)
        except Exception:
            _log.failure("the package {event} failed to hear of its subscriptions", event=self.event)

    def full_state_due(self, subscription: PackageSubscription) -> None:
        """Tell the package that the watcher lacks what was sent last."""
        try:
            self.package.full_state_due(subscription)
        except Exception:
            _log.failure("the package {event} failed to note that full state is due", event=self.event)

    def states(self) -> dict[str, int]:
        """Return how many subscriptions there are in each state."""
        counted: dict[str, int] = {}
        for subscription in self.of(None):
            counted[subscription.state] = counted.get(subscription.state, 0) + 1
        return counted
