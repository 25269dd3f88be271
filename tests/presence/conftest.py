"""A presence server on a simulated network, with scripted users; stores that wait or fail as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from twisted_sip.documents.pidf import Presence
from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.interfaces.documents import Document
from twisted_sip.interfaces.publication import IPublicationStore, PublicationChange
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.presence.package import PresencePackage
from twisted_sip.presence.service import PresenceService
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.presence.watcher_info import WatcherInfoPackage
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.publication_memory import MemoryPublicationStore
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

HOST = "192.0.2.1"
ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
CAROL = "sip:carol@example.com"
PIDF = "application/pidf+xml"


@implementer(IPublicationStore)
class PublicationStore(MemoryPublicationStore):
    """A store that waits or fails as a test says.

    :ivar commits: how often it was asked to write.
    """

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.slow = False
        self.broken: Exception | None = None
        self.waiting: list[tuple[PublicationChange, Deferred[None]]] = []
        self.commits = 0

    def commit(self, change: PublicationChange) -> Deferred[None]:
        self.commits += 1
        if self.broken is not None:
            return fail(self.broken)
        if self.slow:
            acknowledged: Deferred[None] = Deferred()
            self.waiting.append((change, acknowledged))
            return acknowledged
        return super().commit(change)

    def write(self, error: Exception | None = None, most: int = 100) -> None:
        """What waits is written now, or fails."""
        now, self.waiting = self.waiting[:most], self.waiting[most:]
        for change, acknowledged in now:
            if error is None:
                super().commit(change)
                acknowledged.callback(None)
            else:
                acknowledged.errback(error)


class User:
    """A scripted user at a host of its own: publishes and watches."""

    def __init__(self, desk: Desk, host: str, name: str, domain: str = "example.com") -> None:
        self.desk = desk
        self.host = host
        self.name = name
        self.aor = f"sip:{name}@{domain}"
        self.peer = Peer(desk.network.node(host))
        self.etag = ""
        self._count = 0

    def request(self, method: str, uri: str, *lines: str, body: str | bytes = "", **changes: str) -> str | bytes:
        """Return the text of a request outside of dialogs; *changes* replace lines by name, "" leaves one out."""
        self._count += 1
        head = {
            "start": f"{method} {uri} SIP/2.0",
            "via": f"Via: SIP/2.0/UDP {self.host};branch=z9hG4bK{self.name}{self._count};rport",
            "max_forwards": "Max-Forwards: 70",
            "from": f"From: <{self.aor}>;tag=t{self.name}{self._count}",
            "to": f"To: <{uri}>",
            "call_id": f"Call-ID: {self.name}-{self._count}@{self.host}",
            "cseq": f"CSeq: {self._count} {method}",
        }
        head.update(changes)
        text = "\n".join([*(line for line in head.values() if line), *(line for line in lines if line), "", ""])
        if isinstance(body, str):
            return text + body
        return text.replace("\n", "\r\n").encode() + body

    def send(self, text: str | bytes) -> None:
        self.peer.send(text, (HOST, 5060))

    def response(self, within: float = 5.0) -> Response:
        found: Response = self.peer.expect(lambda message: isinstance(message, Response), within=within)
        return found

    def publish(
        self,
        body: Presence | str | bytes | None = None,
        *lines: str,
        uri: str = "",
        if_match: str | None = None,
        expires: int | None = 3600,
        content_type: str = PIDF,
        event: str = "presence",
        wait: bool = True,
        **changes: str,
    ) -> Any:
        """Send a PUBLISH and return the response; remember the entity-tag."""
        if isinstance(body, Presence):
            body = body.to_xml()
        tag = self.etag if if_match is None else if_match
        text = self.request(
            "PUBLISH",
            uri or self.aor,
            f"Event: {event}" if event else "",
            "" if expires is None else f"Expires: {expires}",
            f"SIP-If-Match: {tag}" if tag else "",
            f"Content-Type: {content_type}" if body and content_type else "",
            *lines,
            body=body or "",
            **changes,
        )
        self.send(text)
        if not wait:
            return None
        response = self.response()
        if response.status == 200:
            self.etag = response.headers.first("sip-etag") or ""
            if response.headers.first("expires") == "0":
                self.etag = ""
        return response

    def watch(self, uri: str = ALICE, expires: int = 600, *lines: str, event: str = "presence", **how: Any) -> Watching:
        """Subscribe, and return the subscription, which has had no NOTIFY yet."""
        watching = Watching(self, uri, event, *lines, **how)
        watching.subscribe(expires)
        return watching

    def watched(self, uri: str = ALICE, *lines: str, **how: Any) -> Watching:
        """Subscribe, and take the first NOTIFY."""
        watching = self.watch(uri, 600, *lines, **how)
        assert watching.status in (200, 202), watching.status
        watching.notify()
        return watching


class Watching:
    """A subscription of a scripted user.

    :ivar status: how the last SUBSCRIBE was answered.
    :ivar told: the bodies of the NOTIFYs.
    """

    def __init__(self, user: User, uri: str, event: str, *lines: str) -> None:
        self.user = user
        self.uri = uri
        self.event = event
        self.lines = lines
        self.status = 0
        self.told: list[bytes] = []
        self.remote_tag = self.contact = ""
        user._count += 1
        self.call_id = f"w{user._count}@{user.host}"
        self.tag = f"w{user._count}"
        self.cseq = 0
        self.response: Any = None

    def subscribe(self, expires: int = 600, *lines: str) -> Response:
        """Send a SUBSCRIBE, in the dialog if there is one."""
        user = self.user
        self.cseq += 1
        to = f"To: <{self.uri}>" + (f";tag={self.remote_tag}" if self.remote_tag else "")
        contact = f"Contact: <sip:{user.name}@{user.host}>"
        text = user.request(
            "SUBSCRIBE",
            self.contact or self.uri,
            contact,
            f"Event: {self.event}",
            f"Expires: {expires}",
            *(lines or self.lines),
            **{
                "from": f"From: <{user.aor}>;tag={self.tag}",
                "to": to,
                "call_id": f"Call-ID: {self.call_id}",
                "cseq": f"CSeq: {self.cseq} SUBSCRIBE",
            },
        )
        user.send(text)
        self.response = response = user.response()
        self.status = response.status
        if response.status == 200 and not self.remote_tag:
            self.remote_tag = response.to.tag or ""
            self.contact = str(response.contacts[0].uri)
        return response

    def notify(self, status: int | None = 200, within: float = 6.0) -> Request:
        """Return the next NOTIFY, answered with *status*, None for not at all."""
        request: Request = self.user.peer.expect("NOTIFY", within=within)
        if status is not None:
            self.user.peer.answer(request, status, to_tag=self.tag)
        if request.body:
            self.told.append(request.body)
        self.user.desk.network.advance(0.05)
        return request

    def presence(self, within: float = 6.0) -> Presence:
        """Return what the next NOTIFY says."""
        return Presence.parse(self.notify(within=within).body)

    def quiet(self, seconds: float = 10.0) -> None:
        """Nothing comes for some *seconds*."""
        self.user.peer.expect_nothing(within=seconds)


class Desk:
    """A presence server at 192.0.2.1.

    :ivar strangers: users who have proved nothing.
    """

    def __init__(self, service: type[PresenceService] = PresenceService, **settings: Any) -> None:
        self.network = Network(5, Conditions(delay=(0.01, 0.01)))
        self.network.clock.advance(1_800_000_000.0)
        self.service_class = service
        self.settings = PresenceSettings(**settings)
        self.notifier_settings = NotifierSettings()
        self.authenticated = True
        self.believes: Callable[[Request], bool] = lambda request: True
        self.node: Any = self.network.node(HOST)
        self.store = PublicationStore(self.node)
        self.subscriptions = MemorySubscriptionStore(self.node)
        self.documents: Any = MemoryDocumentStore()
        self.location: Any = MemoryLocationStore(self.network.clock)
        self._users = 0
        self._etags = 0

    def start(self) -> Desk:
        """Make element, notifier and service, as a process that starts does."""
        self.element = Element(
            self.node,
            domains=["example.com"],
            random_bytes=self.network.random_bytes,
            resolver=Resolver(self.node, names=FakeDNS()),
        )
        self.node.listenUDP(5060, SIPDatagramProtocol(self.element), interface=HOST, maxPacketSize=65535)
        self.notifier = Notifier(self.element, self.subscriptions, settings=self.notifier_settings)
        self.service = self.service_class(
            self.element,
            self.store,
            settings=self.settings,
            documents=self.documents,
            location=self.location,
            authenticated=self.authenticated,
        )
        self.watcher_info = self.service.watcher_info = WatcherInfoPackage(
            self.service, self.element, self.subscriptions
        )
        self.notifier.add(PresencePackage(self.service))
        self.notifier.add(self.watcher_info)
        loaded = Deferred.fromCoroutine(self._load())
        self.element.chain[:] = [
            EntryProcessor(self.element.domains, ("pres",)),
            self,
            self.notifier,
            self.service,
        ]
        assert loaded.called
        return self

    async def _load(self) -> None:
        await self.service.load()
        await self.notifier.start()

    def process(self, incoming: Any) -> None:
        """Authentication: whoever says so is one of our users, if a test does not say otherwise."""
        uri = incoming.request.from_.uri
        if self.authenticated and self.element.domains.is_local_uri(uri) and self.believes(incoming.request):
            incoming.user = uri.address_of_record

    def restart(self, away: float = 1.0) -> None:
        """Kill the process, and start another one at the same place."""
        self.node.crash()
        # A process that is no more observes nothing.
        self.service.stop_observing()
        self.network.advance(away)
        self.node = self.network.node(HOST)
        self.store._clock = self.subscriptions._clock = self.node
        self.start()

    def user(self, name: str, domain: str = "example.com") -> User:
        self._users += 1
        return User(self, f"192.0.2.{10 + self._users}", name, domain)

    def put(self, auid: str, content: bytes | str, owner: str = ALICE, name: str = "index") -> Document:
        """A user puts a document by XCAP."""
        self._etags += 1
        before = self.documents.get(auid, owner, name)
        document = Document(
            auid=auid,
            owner=owner,
            name=name,
            etag=f"d{self._etags}",
            content=content if isinstance(content, bytes) else content.encode(),
        )
        self.documents.put(document, before.etag if before is not None else "")
        self.network.advance(0.01)
        return document

    def settle(self) -> None:
        """Past the last legal deadline everything is empty."""
        self.store.broken = None
        self.store.slow = False
        self.network.advance(90_000)
        for _ in range(20):
            self.network.advance(86_400)
        assert {name: count for name, count in leftovers(self.element).items() if count} == {}
        service = self.service
        assert not len(service.publications) and not service.publications._durable and not service.publications._tags
        assert not service.publications._under_way and not len(service.publications._expiry)
        assert not self.notifier.counts()["subscriptions"] and not len(self.notifier.dialogs)
        assert not len(self.watcher_info.waiting) and not len(service._reauthorization)
        assert not service.compositor.turns
        assert not self.store.load() and not self.subscriptions.load()


@pytest.fixture
def failures() -> Iterator[LoggedFailures]:
    """What is logged as an error meanwhile; tests that mean it clear it."""
    with LoggedFailures() as observer:
        yield observer
    assert not observer.texts


@pytest.fixture
def make_desk(failures: LoggedFailures) -> Iterator[Callable[..., Desk]]:
    """Makes desks, not started yet, with other settings; each has to be empty in the end."""
    made: list[Desk] = []

    def make(service: type[PresenceService] = PresenceService, **settings: Any) -> Desk:
        made.append(Desk(service, **settings))
        return made[-1]

    yield make
    for desk in made:
        desk.settle()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk().start()


@pytest.fixture
def alice(desk: Desk) -> User:
    return desk.user("alice")


@pytest.fixture
def bob(desk: Desk) -> User:
    return desk.user("bob")
