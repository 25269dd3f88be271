"""The presence service: takes publications, composes them, tells watchers what they may see (RFC 3856, 3903, 5025).

Subclass it to decide otherwise: ``authorize_watcher``, ``authorize_publisher``, ``compose`` and ``has_presentity`` are
the hooks. A program on the server sets presence with :meth:`PresenceService.publish`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.documents.permissions import Permissions, SubHandling
from twisted_sip.documents.pidf import MEDIA_TYPE, Presence
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, StoreFull
from twisted_sip.interfaces.documents import DocumentChange, IDocumentStore
from twisted_sip.interfaces.event_package import NotifierHost, PackageSubscription
from twisted_sip.interfaces.location import ILocationStore, LocationChange
from twisted_sip.interfaces.processing import IncomingRequest, Verdict
from twisted_sip.interfaces.publication import IPublicationStore, Publication
from twisted_sip.interfaces.services import IPresenceService
from twisted_sip.message.uri import SIPURI
from twisted_sip.presence.authorization import RULES_AUIDS, WatcherRules
from twisted_sip.presence.composition import Compositor
from twisted_sip.presence.event_state_compositor import EventStateCompositor
from twisted_sip.presence.facts import Facts
from twisted_sip.presence.lists.references import AUID as LISTS_AUID
from twisted_sip.presence.publication import Publications
from twisted_sip.presence.reauthorization import Reauthorization
from twisted_sip.presence.rule_lists import RuleLists
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.presence.watcher_info import WatcherInfoPackage

_log = Logger()

#: The event package.
PRESENCE = "presence"
_compositor = lru_cache(maxsize=16)(Compositor)

#: Composed documents that are kept; others are made anew when somebody asks.
_MOST_COMPOSED = 5_000


@implementer(IPresenceService)
class PresenceService(Service):
    """An event state compositor and presence agent for the users of our domains.

    :ivar element: the element it belongs to.
    :ivar publications: what is published.
    :ivar compositor: answers PUBLISH.
    :ivar facts: registrations and hard state.
    :ivar notifier: the host of our event package, None until the package is attached to one.
    :ivar authenticated: local users have to prove who they are before a request comes here; may change.
    :ivar watcher_info: the package that tells presentities of their watchers, None for none.
    """

    name = "presence"

    def __init__(
        self,
        element: Any,
        store: IPublicationStore,
        *,
        settings: PresenceSettings | None = None,
        documents: IDocumentStore | None = None,
        location: ILocationStore | None = None,
        authenticated: bool = True,
        make_text: Callable[[], str] | None = None,
        xcap_path: str = "/xcap-root",
    ) -> None:
        """Make a service; nothing is loaded before it starts.

        :param store: keeps publications over restarts.
        :param documents: presence rules and hard state as XCAP keeps them; None for none.
        :param location: the bindings of our users, for presence without PUBLISH; None for none.
        :param authenticated: local users have to prove who they are before a request comes here; False on trusted
            networks, where From is believed.
        :param xcap_path: the path of the XCAP root, by which rules refer to lists of this server.
        """
        self.element = element
        self._settings = settings or PresenceSettings()
        self.notifier: NotifierHost | None = None
        self.watcher_info: WatcherInfoPackage | None = None
        self.authenticated = authenticated
        self._documents = documents
        self._location = location
        self._is_local_uri = element.domains.is_local_uri
        clock = element.reactor
        make_text = make_text or element.random_text
        self.facts = Facts(documents, location, self.state_changed)
        self._reauthorization = Reauthorization(clock, self._sphere, self._watched, self._reauthorize)
        self._lists = RuleLists(documents, xcap_path)
        self._rules = WatcherRules(
            documents,
            clock.seconds,
            self._default_handling,
            self._sphere,
            self._reauthorization.note,
            self._lists.members,
        )
        self.publications = Publications(
            store,
            clock,
            make_text,
            self._published,
            max_publications=self.settings.max_publications,
            max_per_resource=self.settings.max_publications_per_user,
        )
        self.compositor = EventStateCompositor(self.publications, PRESENCE, self._may_publish, self.settings, make_text)
        # With what it was made of: whether somebody was registered.
        self._composed: dict[str, tuple[Presence, bool]] = {}
        #: The other packages whose watchers depend on presence rules.
        self.guarded: tuple[str, ...] = ()
        self._observers: list[Callable[[str], None]] = []
        self._stops: list[Callable[[], None]] = []

    @property
    def settings(self) -> PresenceSettings:
        """The current settings; may be replaced at any time, and count from then on."""
        return self._settings

    @settings.setter
    def settings(self, settings: PresenceSettings) -> None:
        self._settings = self.compositor.settings = settings
        self.publications.most = settings.max_publications
        self.publications.most_each = settings.max_publications_per_user
        self._composed.clear()

    # -- hooks -----------------------------------------------------------------

    def has_presentity(self, resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether *resource* may be watched; False answers 404.

        Default: every address in our domains, so that nobody learns by watching who is a user.
        """
        return True

    def authorize_watcher(
        self, resource: str, watcher: str, subscription: PackageSubscription
    ) -> Permissions | Deferred[Permissions] | Awaitable[Permissions]:
        """Return what *watcher* may see of *resource*: ``sub_handling`` decides about the subscription itself.

        Default: the presentity's presence rules, and the configured handling where there are none.
        """
        return self._rules.decide(resource, watcher, authenticated=self.is_ours(watcher))

    def authorize_publisher(self, incoming: IncomingRequest, resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether the sender of a PUBLISH may publish for *resource*; False answers 403 (RFC 3903 section 6).

        Default: users publish for themselves alone.
        """
        if incoming.user or self.authenticated:
            return incoming.user == resource
        claimed = incoming.request.from_.uri
        return isinstance(claimed, SIPURI) and claimed.address_of_record == resource

    def _may_publish(self, incoming: IncomingRequest, resource: str) -> Any:
        return self.authorize_publisher(incoming, resource)

    def compose(
        self, resource: str, publications: Sequence[Publication], hard_state: Presence | None, registered: bool
    ) -> Presence:
        """Return the one document that *publications* make. Default: by the configured policy (composition.Compositor).

        :param hard_state: what the user keeps on the XCAP server, None for nothing.
        :param registered: whether a device of the user is registered.
        """
        settings = self._settings
        compositor = _compositor(settings.composition, settings.registration_fallback, settings.max_composed)
        return compositor.compose(resource, publications, hard_state, registered)

    # -- for programs ------------------------------------------------------------

    def presence_of(self, resource: str) -> Presence:
        """Return what is known about *resource*, a canonical address-of-record, before anybody's rules."""
        known = self._composed.get(resource)
        if known is not None:
            return known[0]
        registered = self.facts.registered(resource)
        hard_state = self.facts.hard_state(resource)
        made = self.compose(resource, self.publications.of(resource, PRESENCE), hard_state, registered)
        while len(self._composed) >= _MOST_COMPOSED:
            del self._composed[next(iter(self._composed))]
        self._composed[resource] = (made, registered)
        return made

    def settling(self, resource: str) -> Deferred[None] | None:
        """Return a Deferred that fires with None once :meth:`presence_of` says all that can be known, None if it does:
        a store may have to look elsewhere."""
        return self.facts.settling(resource)

    def publish(self, resource: str, presence: Presence, *, expires: int = 3600, etag: str = "") -> Deferred[str]:
        """Publish on behalf of *resource*: what a device that speaks no SIP, or an automation, knows.

        :param resource: a SIP URI of a user of ours.
        :param expires: seconds that it lives unless it is published again.
        :param etag: the entity-tag that an earlier call gave, to replace what that published while it lives; empty for
            another publication beside it.
        :return: fires with the entity-tag once it is durable; fails with StoreError.
        :raises LocalProtocolError: *resource* is no SIP URI, or *expires* no time.
        """
        if expires < 1:
            raise LocalProtocolError("a publication lasts for 1 second at least")
        resource = _canonical(resource)
        try:
            made, committed = self.publications.publish(
                resource,
                PRESENCE,
                content_type=MEDIA_TYPE,
                body=presence.to_xml(),
                expires=expires,
                publisher=resource,
                replaces=self.publications.tagged(resource, PRESENCE, etag) if etag else None,
            )
        except StoreFull as error:
            return fail(error)
        return committed.addCallback(lambda _: made.etag)

    def unpublish(self, resource: str, etag: str) -> Deferred[None]:
        """Withdraw what :meth:`publish` published.

        :return: fires with None once that is durable, at once where it is gone already; fails with StoreError.
        :raises LocalProtocolError: *resource* is no SIP URI.
        """
        publication = self.publications.tagged(_canonical(resource), PRESENCE, etag)
        return succeed(None) if publication is None else self.publications.remove(publication)

    def handling_of(self, resource: str, watcher: str) -> SubHandling | Deferred[SubHandling]:
        """Return what the rules of *resource* make of *watcher*; who is not one of our users is blocked.

        For packages that have no rules of their own. Those named in :attr:`guarded` are asked anew when rules change.
        """
        if not self.is_ours(watcher):
            return SubHandling.BLOCK
        permissions = self._rules.decide(resource, watcher, authenticated=True)
        if isinstance(permissions, Deferred):
            return permissions.addCallback(lambda known: known.sub_handling)
        return permissions.sub_handling

    def state_changed(self, resource: str) -> None:
        """Something that :meth:`compose` looks at has changed: compose anew and tell the watchers."""
        self._composed.pop(resource, None)
        # First who may see what: then what.
        self._reauthorization.state_changed(resource)
        if self.notifier is not None:
            self.notifier.changed(PRESENCE, resource)
        for observer in self._observers and list(self._observers):
            try:
                observer(resource)
            except Exception:
                # One who looks on must not stop what he looks at.
                _log.failure("an observer of presence failed for {resource}", resource=resource)

    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        """Call *observer* with the resource whenever its state has changed; return what ends it."""
        self._observers.append(observer)

        def end() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return end

    def presentities(self) -> Sequence[str]:
        """Return everybody about whom something is published."""
        return self.publications.resources(PRESENCE)

    # -- life ------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what was published before a restart, and begin to observe the other stores.

        :raises StoreError: the store cannot be read.
        """
        await self.publications.load()
        if self._documents is not None:
            self._stops.append(self._documents.observe(self._document_changed))
        if self._location is not None:
            self._stops.append(self._location.observe(self._location_changed))

    def stop_observing(self) -> None:
        """Listen to documents and registrations no more."""
        for stop in self._stops:
            stop()
        self._stops.clear()

    def close(self) -> Deferred[None]:
        """Stop observing and close the store of publications; fires with None."""
        self.stop_observing()
        self._composed.clear()
        self._reauthorization.stop()
        self.facts.forget()
        if self.watcher_info is not None:
            self.watcher_info.stop()
        return self.publications.close()

    def _published(self, resource: str, package: str) -> None:
        self.state_changed(resource)

    def _document_changed(self, change: DocumentChange) -> None:
        owner = self.facts.document_changed(change)
        if owner is not None:
            self.state_changed(owner)
            return
        document = change.after or change.before
        if document is not None and document.auid == LISTS_AUID:
            self._lists.changed(document.owner)
            self._reauthorization.lists_changed(document.owner)
            if self.watcher_info is not None:
                self.watcher_info.decided(document.owner)
            return
        if document is None or document.auid not in RULES_AUIDS:
            return
        self._reauthorization.forget(document.owner)
        self._reauthorize(document.owner)
        if self.watcher_info is not None:
            self.watcher_info.decided(document.owner)

    def _reauthorize(self, resource: str) -> None:
        if self.notifier is not None:
            for event in (PRESENCE, *self.guarded):
                self.notifier.reauthorize(event, resource)

    def _watched(self, resource: str) -> bool:
        return self.notifier is not None and bool(self.notifier.subscriptions(PRESENCE, resource))

    def _location_changed(self, change: LocationChange) -> None:
        self.facts.bindings_changed(change.aor)
        known = self._composed.get(change.aor)
        # What nobody has asked for since it was told may have been told with something else in it.
        if known is None or known[1] != self.facts.registered(change.aor):
            self.state_changed(change.aor)

    def _sphere(self, resource: str) -> str | None:
        return self.presence_of(resource).sphere

    def is_ours(self, watcher: str) -> bool:
        """Tell whether *watcher* is a user of ours: then it is known who that is (Notifier.watcher_of)."""
        uri = _sip_uri(watcher)
        return uri is not None and bool(self._is_local_uri(uri))

    def _default_handling(self, watcher: str) -> str:
        return self.settings.default_handling if self.is_ours(watcher) else self.settings.foreign_handling

    # -- PUBLISH -----------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Answer a PUBLISH for one of our users, pass everything else on (RFC 3903 section 6).

        :raises RemoteProtocolError: a header field is malformed.
        """
        request = incoming.request
        if request.method != "PUBLISH":
            return None
        uri = request.uri
        # Step 1. Where the Request-URI leads elsewhere, somebody else may know what to do.
        if not isinstance(uri, SIPURI) or uri.user is None or not self._is_local_uri(uri):
            return None
        return self.compositor.process(incoming, uri.address_of_record)


def _sip_uri(text: str) -> SIPURI | None:
    try:
        return SIPURI.parse(text)
    except RemoteProtocolError:
        return None


def _canonical(resource: str) -> str:
    uri = _sip_uri(resource)
    if uri is None or uri.user is None:
        raise LocalProtocolError(f"{resource!r} is no SIP URI of a user")
    return uri.address_of_record
