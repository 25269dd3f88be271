"""Presence and instant messaging as a part of a server: stores, notifier, services, and flows that lead to watchers.

The stores are loaded in the background when the server starts; until that is done requests for these services wait. If
they cannot be read, these requests are refused, and the rest of the server works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.element.element import Element
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.events.watcher_flows import WatcherFlows
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.message.request import Request
from twisted_sip.messaging.service import MessagingService
from twisted_sip.presence.lists.server import OPTION_TAGS, ResourceListServer
from twisted_sip.presence.package import PresencePackage
from twisted_sip.presence.service import PRESENCE, PresenceService
from twisted_sip.presence.watcher_info import WatcherInfoPackage
from twisted_sip.proxy.identity import IdentityPolicy
from twisted_sip.proxy.location_router import LocationRouter
from twisted_sip.storage.batch_writer import WriterThread
from twisted_sip.storage.documents_sqlite import SQLiteDocumentStore
from twisted_sip.storage.message_sqlite import SQLiteMessageStore
from twisted_sip.storage.publication_sqlite import PUBLICATION_FILE, SQLitePublicationStore
from twisted_sip.storage.service_index import ServiceIndex
from twisted_sip.storage.subscription_sqlite import SUBSCRIPTION_FILE, SQLiteSubscriptionStore
from twisted_sip.tap.behind_proxy import BehindProxy
from twisted_sip.tap.control import Command
from twisted_sip.tap.gate import Gate
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.presence_commands import message_commands, presence_commands
from twisted_sip.tap.presence_reload import FIXED, SECTIONS, document_quota, message_limits, put_in_place
from twisted_sip.tap.presence_removal import end_subscriptions, remove_documents, remove_publications

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration

_log = Logger()

#: The names of the databases in a state directory.
DOCUMENT_FILE = "documents.db"
MESSAGE_FILE = "messages.db"

#: What is served: requests of these methods wait until the stores are loaded.
_METHODS = ("SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE")


class PresencePart(Part):
    """The part: ``twistd sip-presence`` has it, and ``twistd sip-proxy --presence``.

    :ivar presence: the presence service, None before the start.
    :ivar messaging: the messaging service, likewise.
    :ivar notifier: the notifier, likewise.
    :ivar subscriber: our own subscriptions, likewise.
    :ivar documents: what users keep by XCAP, likewise.
    :ivar lists: the resource list server, likewise.
    :ivar services: the URIs of all lists, likewise; for XCAP too.
    """

    sections = SECTIONS
    fixed = FIXED

    #: The services that are made; subclasses of these.
    presence_class: type[PresenceService] = PresenceService
    messaging_class: type[MessagingService] = MessagingService

    def __init__(self) -> None:
        self.presence: PresenceService | None = None
        self.messaging: MessagingService | None = None
        self.notifier: Notifier | None = None
        self.subscriber: Subscriber | None = None
        self.documents: SQLiteDocumentStore | None = None
        self.lists: ResourceListServer | None = None
        self.services: ServiceIndex | None = None
        self._publications: SQLitePublicationStore | None = None
        self._subscriptions: SQLiteSubscriptionStore | None = None
        self._messages: SQLiteMessageStore | None = None
        self._flows: WatcherFlows | None = None
        self._server: Server | None = None

    @property
    def messages(self) -> SQLiteMessageStore | None:
        """What waits for those who are away, None before the start."""
        return self._messages

    # -- tap.part.Part -----------------------------------------------------------------

    def open_stores(self, server: Server, directory: Path) -> None:
        self._server = server
        reactor, rounds = server.reactor, server.rounds
        section = server.configuration.storage
        how: dict[str, Any] = {
            "interval": section.flush_interval,
            "batch_size": section.batch_size,
            "timeout": section.lock_timeout,
        }
        self._publications = SQLitePublicationStore(
            directory / PUBLICATION_FILE, reactor, WriterThread(rounds, "publications"), **how
        )
        self._subscriptions = SQLiteSubscriptionStore(
            directory / SUBSCRIPTION_FILE, reactor, WriterThread(rounds, "subscriptions"), **how
        )
        self._messages = SQLiteMessageStore(
            directory / MESSAGE_FILE,
            reactor,
            WriterThread(rounds, "messages"),
            message_limits(server.configuration.messaging),
            **how,
        )
        self.documents = SQLiteDocumentStore(
            directory / DOCUMENT_FILE,
            reactor,
            WriterThread(rounds, "documents"),
            quota=document_quota(server.configuration),
            **how,
        )

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        configuration, location = server.configuration, server.location
        assert location is not None
        assert self._publications is not None and self._subscriptions is not None and self._messages is not None
        # Behind a proxy nobody registers here: it is not known who is there, but by which way everybody is reached.
        registered: ILocationStore | None = location if server.registers else None
        devices: ILocationStore = (
            registered if registered is not None else BehindProxy(configuration.presence.outbound_proxy)
        )
        router = LocationRouter(element, devices)
        flows = WatcherFlows(element.transports.flow_from_token, location)
        self.notifier = Notifier(
            element,
            self._subscriptions,
            settings=configuration.events,
            flow_for=flows.find,
            claims_all=not server.forwards,
        )
        flows.observe(self.notifier.delivery)
        self._flows = flows
        self.subscriber = Subscriber(element)
        self.presence = self.presence_class(
            element,
            self._publications,
            settings=configuration.presence,
            documents=self.documents,
            location=registered,
            authenticated=configuration.auth.required,
            xcap_path=configuration.xcap.path,
        )
        self.messaging = self.messaging_class(
            element,
            devices,
            self._messages,
            router.reaching,
            settings=configuration.messaging,
            user_known=server.user_known,
            authenticated=configuration.auth.required,
            policies=[IdentityPolicy(lambda host: server.trusted(host))],
        )
        watcher_info = WatcherInfoPackage(self.presence, element, self._subscriptions)
        self.presence.watcher_info = watcher_info
        for package in (PresencePackage(self.presence), watcher_info):
            self.notifier.add(package)
        assert self.documents is not None
        self.services = ServiceIndex(self.documents)
        self.lists = ResourceListServer(
            self.notifier,
            self.documents,
            self.subscriber,
            settings=configuration.lists,
            xcap_path=configuration.xcap.path,
            index=self.services,
            is_user=None if server.user_known is None else server.user_known.is_taken,
        )
        self.lists.add_known()
        gate = Gate(_METHODS)
        loading = Deferred.fromCoroutine(self._load())
        loading.addCallbacks(lambda _: gate.open(), self._not_loaded, errbackArgs=(gate,))
        return [gate, self.notifier, self.presence, self.messaging]

    def front_links(self) -> Sequence[Any]:
        # Notifiers whom we have asked cannot answer a challenge.
        return () if self.subscriber is None else (self.subscriber,)

    def claims(self, request: Request) -> bool:
        if request.method == "SUBSCRIBE":
            return self.notifier is not None and self.notifier.claims(request)
        return (
            request.method in ("PUBLISH", "MESSAGE")
            and self._server is not None
            and self._server.element is not None
            and self._server.element.domains.is_local_uri(request.uri)
        )

    async def _load(self) -> None:
        assert self.presence is not None and self.notifier is not None
        await self.presence.load()
        await self.notifier.start()

    def _not_loaded(self, failure: Failure, gate: Gate) -> None:
        if self.presence is not None:
            # The server has not been stopped meanwhile.
            _log.critical("presence cannot start: {reason}; its requests are refused", reason=failure.getErrorMessage())
        gate.shut()

    def methods(self) -> Sequence[str]:
        return _METHODS

    def schemes(self) -> Sequence[str]:
        # RFC 3856 section 5, RFC 3428 section 5.
        return ("pres", "im")

    def events(self) -> Sequence[str]:
        # Packages alone, without templates (RFC 6665 section 4.4.4).
        return () if self.notifier is None else [event for event in self.notifier.events if "." not in event]

    def extensions(self) -> Sequence[str]:
        return OPTION_TAGS

    def commands(self) -> Mapping[str, Command]:
        assert self.presence is not None and self.notifier is not None and self._messages is not None
        location = None if self._server is None else self._server.location
        return {**presence_commands(self.presence, self.notifier, location), **message_commands(self._messages)}

    async def remove_user(self, aor: str, keep_data: bool) -> Mapping[str, int]:
        presence, notifier, messaging, documents = self.presence, self.notifier, self.messaging, self.documents
        if presence is None or notifier is None or messaging is None or documents is None:
            return {}
        counts = {
            "subscriptions": end_subscriptions(notifier, aor),
            "publications": await remove_publications(presence.publications, aor, PRESENCE),
        }
        if presence.watcher_info is not None:
            presence.watcher_info.forget(aor)
        if not keep_data:
            counts["messages"] = await messaging.delivery.forget(aor)
            counts["documents"] = await remove_documents(documents, aor)
        return counts

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Make ready for other settings; what was granted stays granted."""
        return Prepared(lambda: put_in_place(self, configuration))

    def counts(self) -> Mapping[str, Any]:
        if self.presence is None or self.notifier is None:
            return {}
        counts, watcher_info = self.notifier.counts(), self.presence.watcher_info
        return {
            "publications": len(self.presence.publications),
            "subscriptions": counts["subscriptions"],
            "notifications waiting": counts["waiting"],
            "watchers undecided": 0 if watcher_info is None else len(watcher_info.waiting),
            **({} if self.lists is None else self.lists.counts()),
        }

    async def close(self) -> None:
        notifier, self.notifier = self.notifier, None
        if notifier is not None:
            notifier.stop()
        if self._flows is not None:
            self._flows.close()
        if self.lists is not None:
            self.lists.close()
        if self.services is not None:
            self.services.close()
        if self.subscriber is not None:
            await self.subscriber.stop()
        presence, self.presence = self.presence, None
        publications, self._publications = self._publications, None
        if presence is not None:
            await presence.close()
        elif publications is not None:
            await publications.close()
        for store in (self._subscriptions, self._messages, self.documents):
            if store is not None:
                await store.close()
        self._subscriptions = self._messages = self.documents = None
