"""The notifier: the link of the chain that takes SUBSCRIBE, and the host of event packages (RFC 6665 section 4.2).

Memory is authoritative; the store makes subscriptions outlive the process. Nothing is acknowledged before it is stored.
After a restart each watcher gets a full NOTIFY in its old dialog, at a pace, with a CSeq beyond all that it has had;
subscriptions whose time ran out meanwhile are gone at both ends. A graceful stop ends none: they go on after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.dialog.notifier import AT_ONCE, NEWS, NOTHING, TERMINATED
from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.answers import deferred_answer, settled
from twisted_sip.events.delivery import Delivery, no_flow
from twisted_sip.events.hosted import UNDECIDED, HostedPackage, HostedSubscription
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.events.records import SubscriptionRecords, not_stored
from twisted_sip.events.restoring import load
from twisted_sip.events.room import Room
from twisted_sip.events.subscribe_request import SubscribeRefused
from twisted_sip.events.subscribing import Subscribing
from twisted_sip.events.virtual import VirtualSubscription
from twisted_sip.interfaces.event_package import Authorization, PackageSubscription
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.processing import IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionRecord
from twisted_sip.message.hosts import source_of
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

_log = Logger()


@implementer(IRequestProcessor)
class Notifier:
    """Serves subscriptions to the packages that were added; a NotifierHost for them.

    :ivar element: the element it belongs to.
    :ivar settings: how it behaves.
    :ivar dialogs: the dialogs of the element.
    :ivar delivery: what is owed to watchers.
    :ivar claims_all: answer 489 to a SUBSCRIBE for one of our URIs and an event that is not served here; otherwise it
        is passed on: the user's own device may serve it.
    """

    def __init__(
        self,
        element: Any,
        store: ISubscriptionStore,
        *,
        settings: NotifierSettings | None = None,
        dialogs: Dialogs | None = None,
        flow_for: Callable[[HostedSubscription], Flow | None] = no_flow,
        claims_all: bool = False,
        option_tags: Iterable[str] = (),
        resource_of: Callable[[SIPURI], str] = attrgetter("address_of_record"),
    ) -> None:
        """Make a notifier without packages; call :meth:`start` once they are there.

        :param dialogs: the dialogs of the element, where others use some; its own unless given.
        :param flow_for: gives the flow to a watcher whose SUBSCRIBE came directly, once that by which it came, its
            ``flow``, is not known or open any more.
        :param option_tags: the option tags that a SUBSCRIBE may require.
        :param resource_of: gives the resource that a Request-URI of ours names; its address-of-record unless given.
        """
        self.resource_of = resource_of
        self.element = element
        self.settings = settings or NotifierSettings()
        self.dialogs = dialogs if dialogs is not None else Dialogs(self.settings.max_dialogs)
        self.claims_all = claims_all
        self._option_tags = frozenset(tag.lower() for tag in option_tags)
        self.records = SubscriptionRecords(store)
        self.delivery = Delivery(
            element,
            self.settings,
            self.dialogs,
            self.records,
            flow_for,
            ended=self.ended,
            decide=self._decide_restored,
        )
        self._subscribing = Subscribing(self)
        self.packages: dict[str, HostedPackage] = {}
        self._room = Room()
        #: Subscriptions are loaded, so that requests in their dialogs can be told from others.
        self.started = False

    # -- packages -------------------------------------------------------------------------

    def add(self, package: Any) -> None:
        """Serve *package*, an IEventPackage.

        :class:`~twisted_sip.events.hosted.HostedPackage` tells which further attributes of a package are used. One with
        a ``variant`` serves some resources of an event in the place of the package for that event; it is known here as
        ``event;variant``.

        :raises LocalProtocolError: there is one for this event, or subscriptions are loaded already.
        :raises TypeError: it is no IEventPackage.
        """
        settings = self.settings
        hosted = HostedPackage(
            package,
            min_expires=settings.min_expires,
            max_expires=settings.max_expires,
            option_tags=self._option_tags,
        )
        if self.started or hosted.key in self.packages:
            raise LocalProtocolError(f"{hosted.key}: too late, or there is one already")
        self.packages[hosted.key] = hosted
        # What a variant asks its watchers for is understood for other resources too, though there is no use for it (RFC
        # 3261 section 8.2.2.3, RFC 4662 section 4.1: a URI does not tell whether it is a list).
        alike = [each for each in self.packages.values() if each.event == hosted.event]
        for each in alike:
            each.option_tags = each.option_tags.union(*(one.required_options for one in alike))
        package.attached(self)

    def package(self, event: str) -> Any:
        """Return the package for *event*, None if there is none."""
        return self.packages[event].package if event in self.packages else None

    def hosted(self, event: str) -> HostedPackage | None:
        """Return the package for *event* with its subscriptions, None if there is none."""
        return self.packages.get(event)

    @property
    def events(self) -> tuple[str, ...]:
        """The event types served here."""
        return tuple(dict.fromkeys(hosted.event for hosted in self.packages.values()))

    @property
    def allow_events(self) -> str:
        """The value of Allow-Events: the packages, without templates (RFC 6665 section 4.4.4)."""
        return ", ".join(event for event in self.events if "." not in event)

    async def serving(self, event: str, request: Request, resource: str) -> HostedPackage | None:
        """Return who serves *event* of *resource*: the first variant that says so, else the package for the event.

        :raises SubscribeRefused: a variant refuses *request*.
        """
        for hosted in self.packages.values():
            if hosted.event == event and hosted.serves is not None and await settled(hosted.serves(request, resource)):
                return hosted
        return self.packages.get(event)

    # -- the chain --------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Answer a SUBSCRIBE that is ours, pass everything else on.

        :raises RemoteProtocolError: a header field is malformed.
        """
        if incoming.request.method != "SUBSCRIBE":
            return None
        return self._subscribing.process(incoming)

    def claims(self, request: Request) -> bool:
        """Tell whether *request* is a SUBSCRIBE that this notifier answers itself: authentication asks with 401 then,
        not with 407 (RFC 6665 section 4.2.1.3)."""
        return request.method == "SUBSCRIBE" and self._subscribing.claims(request)

    def watcher_of(self, incoming: IncomingRequest) -> str:
        """Return the canonical URI of who subscribes: who has proved to be somebody, else the From.

        A From that is none of our users, for its port or its maddr, is not taken for the one without these: nobody has
        asked who that is.
        """
        if incoming.user:
            return incoming.user
        uri = incoming.request.from_.uri
        if not isinstance(uri, SIPURI):
            return str(uri)
        aor = uri.address_of_record
        is_local_uri = self.element.domains.is_local_uri
        if not is_local_uri(uri) and is_local_uri(SIPURI.parse(aor)):
            return uri.text
        return aor

    def source_of(self, incoming: IncomingRequest) -> str:
        """Return with whom a watcher who has proved nothing shares room: one host, or one /64 of IPv6.

        Empty for who has proved to be somebody, and for our users where nobody has to prove anything.
        """
        uri = None if incoming.user else incoming.request.from_.uri
        if uri is None or (isinstance(uri, SIPURI) and self.element.domains.is_local_uri(uri)):
            return ""
        return source_of(incoming.flow.remote.host)

    # -- for packages (interfaces.event_package.NotifierHost) ---------------------------------

    def changed(self, event: str, resource: str) -> None:
        """The state of *resource* has changed: its watchers are told, in order, paced, as often as each wants.

        Those who may be told at once are asked for before this returns.
        """
        hosted = self.packages.get(event)
        if hosted is not None:
            if known := hosted.by_resource.get(resource):
                self.delivery.news(list(known))
            hosted.virtual.changed(resource)

    def notify(self, subscription: PackageSubscription) -> None:
        """Tell one watcher."""
        if isinstance(subscription, VirtualSubscription):
            subscription.news()
        else:
            self.delivery.owe(cast(HostedSubscription, subscription), NEWS)

    def subscriptions(self, event: str, resource: str | None = None) -> Sequence[PackageSubscription]:
        """Return the subscriptions to *resource*, or to everything, that are not over, virtual ones last."""
        hosted = self.packages.get(event)
        return [] if hosted is None else [*hosted.of(resource), *hosted.virtual.of(resource)]

    def reauthorize(self, event: str, resource: str) -> None:
        """Ask the package about each watcher of *resource* anew: its rules have changed."""
        hosted = self.packages.get(event)
        if hosted is not None:
            for subscription in hosted.of(resource):
                self._decide(subscription)
            hosted.virtual.reauthorize(resource)

    def terminate(self, subscription: PackageSubscription, reason: str, retry_after: int | None = None) -> None:
        """End a subscription with a last NOTIFY (RFC 6665 section 4.2.2)."""
        if isinstance(subscription, VirtualSubscription):
            subscription.terminate(reason)
        else:
            self.end(cast(HostedSubscription, subscription), reason, retry_after)

    # -- decisions -------------------------------------------------------------------------------

    def _decide_restored(self, subscription: HostedSubscription) -> None:
        """Ask the package about a subscription that was loaded, before its watcher is told anything."""
        if not subscription.deciding:
            self._decide(subscription)

    def _decide(self, subscription: HostedSubscription) -> None:
        subscription.asked += 1
        subscription.deciding = True
        try:
            answer = subscription.hosted.package.authorize(subscription)
            if type(answer) is Authorization:
                self._decided(answer, subscription, subscription.asked)
                return
            waiting = deferred_answer(answer)
        except Exception:
            self._undecided(Failure(), subscription)
            return
        waiting.addTimeout(self.settings.answer_timeout, self.element.reactor)
        waiting.addCallback(self._decided, subscription, subscription.asked)
        waiting.addErrback(self._undecided, subscription)

    def _undecided(self, failure: Failure, subscription: HostedSubscription) -> None:
        """The package failed: what it has decided before holds, and what is known of one that was loaded."""
        _log.failure("the package {event} could not decide", failure, event=subscription.event, id=subscription.id)
        subscription.deciding = False
        if subscription.authorization is UNDECIDED:
            subscription.authorization = Authorization(state=subscription.state)
            self.delivery.serve(subscription)
        else:
            self.delivery.owe(subscription, NOTHING)

    def _decided(self, answer: Authorization, subscription: HostedSubscription, asked: int) -> None:
        if asked != subscription.asked:
            # It has been asked again since: that answer counts.
            return
        subscription.deciding = False
        if not isinstance(answer, Authorization):
            raise LocalProtocolError(f"the package {subscription.event} gave {answer!r}")
        before = subscription.authorization
        if self.apply(subscription, answer) and subscription.state is not TERMINATED:
            self.records.keep((subscription,), subscription.cseq_limit).addErrback(not_stored)
        elif before != answer and before is not UNDECIDED:
            # The same state, but not the same rights: others see to it that it has no more than these.
            if subscription.hosted.tells_differences:
                subscription.owe(NEWS)
            else:
                subscription.hosted.full_state_due(subscription)
                subscription.owe(AT_ONCE)
        if before is UNDECIDED:
            # Its turn had come already.
            self.delivery.serve(subscription)
        else:
            self.delivery.owe(subscription, NOTHING)

    def apply(self, subscription: HostedSubscription, answer: Authorization) -> bool:
        """Do what its package has decided; what is owed then is not sent yet.

        :return: True if the state of the subscription is another one now.
        """
        if subscription.state is TERMINATED:
            if subscription.authorization is UNDECIDED:
                # Its last NOTIFY waits for what it may tell.
                subscription.authorization = answer
            return False
        subscription.authorization = answer
        state = TERMINATED if answer.status else answer.state
        if not subscription.decide(state, answer.reason):
            return False
        subscription.hosted.full_state_due(subscription)
        if subscription.state is TERMINATED:
            self.ended(subscription)
        else:
            subscription.hosted.tell((subscription,))
        return True

    # -- the table ----------------------------------------------------------------------------------

    def check_room(self, subscription: HostedSubscription) -> None:
        """Refuse *subscription* where a limit does not allow it.

        :raises SubscribeRefused: 503.
        """
        key = self._room.limit(subscription, self.settings)
        if key:
            raise self.full(key=key)

    def full(self, status: int = 503, key: str = "") -> SubscribeRefused:
        """Return the refusal where there is no room, because of *key*."""
        return SubscribeRefused(status, headers=(("retry-after", str(self.settings.retry_after)),), key=key)

    def take(self, subscription: HostedSubscription) -> None:
        """Take *subscription* into the tables.

        :raises SubscribeRefused: 503.
        """
        if not self.dialogs.add(subscription.dialog, subscription.usage_key, subscription):
            raise self.full()
        subscription.hosted.add(subscription)
        self._room.add(subscription)
        self.delivery.deadlines.at(subscription, subscription.expires_at)

    def end(self, subscription: HostedSubscription, reason: str, retry_after: int | None = None) -> None:
        """End *subscription* and owe its watcher the last NOTIFY."""
        if subscription.end(reason, retry_after):
            self.ended(subscription)
            self.delivery.owe(subscription, AT_ONCE)

    def ended(self, subscription: HostedSubscription, *, told: bool = True) -> None:
        """*subscription* is over: take it out of the tables and the store. Harmless when repeated.

        :param told: its package has heard of it.

        Its usage of the dialog lasts until its last NOTIFY has ended (RFC 6665 section 4.4.1).
        """
        self.delivery.deadlines.forget(subscription)
        if not subscription.hosted.remove(subscription):
            return
        self._room.remove(subscription)
        if subscription.stored:
            subscription.stored = False
            self.records.forget((subscription.id,)).addErrback(not_stored)
        if told:
            subscription.hosted.tell((subscription,))

    def counts(self) -> Mapping[str, Any]:
        """Return what there is, for a status page: subscriptions in all, those of watchers who have proved nothing, and
        in each state by event; NOTIFYs that wait for their turn."""
        return {
            "subscriptions": len(self._room),
            "foreign": self._room.foreign,
            "watchers": self._room.watchers,
            "resources": sum(len(hosted.by_resource) for hosted in self.packages.values()),
            "waiting": len(self.delivery.queue),
            "events": {event: dict(sorted(hosted.states().items())) for event, hosted in self.packages.items()},
        }

    # -- start and stop -------------------------------------------------------------------------------

    def start(self) -> Deferred[int]:
        """Load the subscriptions of the store and tell their watchers, at a pace.

        :return: fires with the number of subscriptions, or fails with StoreError; SUBSCRIBEs are answered 503 before.
        """
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> int:
        records: Sequence[SubscriptionRecord] = await settled(self.records.load())
        loaded = load(self, records)
        self.started = True
        for hosted in self.packages.values():
            restored = [subscription for subscription in loaded if subscription.hosted is hosted]
            if restored:
                hosted.tell(restored)
        for subscription in loaded:
            subscription.hosted.full_state_due(subscription)
            self.delivery.owe(subscription, AT_ONCE)
        return len(loaded)

    def stop(self) -> None:
        """Serve nobody any more. Subscriptions stay in the store and alive: a notifier that starts on it goes on."""
        self.started = False
        self.delivery.stop()
