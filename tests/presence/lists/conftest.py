"""A resource list server with presence on a simulated network, scripted watchers, and their tables of resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.documents import resource_lists, rls_services
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.resource_lists import DisplayName, Entry, ResourceList, ResourceLists
from twisted_sip.documents.rlmi import Instance, ListState
from twisted_sip.documents.rls_services import RLSService, RLSServices
from twisted_sip.element.element import Element
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.interfaces.documents import Document
from twisted_sip.message.multipart import BodyPart, parse_multipart
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.presence.lists.server import ResourceListServer
from twisted_sip.presence.lists.settings import ListSettings
from twisted_sip.presence.package import PresencePackage
from twisted_sip.presence.service import PresenceService
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.presence.watcher_info import WatcherInfoPackage
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.publication_memory import MemoryPublicationStore
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.peer import connect
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.stream import SIPFactory

HOST = "192.0.2.1"
ADAM = "sip:adam@example.com"
BUDDIES = "sip:adam-buddies@example.com"
ACCEPT = "application/pidf+xml, application/rlmi+xml, multipart/related"


class Table:
    """What a watcher knows of a list (RFC 4662 section 5.6).

    :ivar rows: URI -> (instances, the part of the first one that has any).
    :ivar version: of the last document.
    """

    def __init__(self) -> None:
        self.rows: dict[str, tuple[tuple[Instance, ...], BodyPart | None]] = {}
        self.version = -1
        self.last: ListState | None = None

    def take(self, body: BodyPart) -> ListState:
        """Read the *body* of a NOTIFY."""
        assert body.content_type.key == "multipart/related"
        assert (body.content_type.params.get("type") or "").strip('"') == "application/rlmi+xml"
        assert body.root is body.parts[0]
        state = ListState.parse(body.root.body)
        assert state.version > self.version
        if state.full:
            self.rows.clear()
        else:
            assert state.version == self.version + 1
        self.version = state.version
        referred = set()
        for resource in state.resources:
            part = None
            for instance in resource.instances:
                if instance.cid:
                    part = body.part(instance.cid)
                    assert part is not None
                    referred.add(instance.cid)
            self.rows[resource.uri] = (resource.instances, part)
        # Every part is told of, and nothing else (section 5.5).
        assert referred == {part.content_id for part in body.parts[1:]}
        self.last = state
        return state

    def state(self, uri: str) -> str:
        """Return the state and reason of the one instance of *uri*, empty for none."""
        instances = self.rows[uri][0]
        return f"{instances[0].state} {instances[0].reason}".strip() if instances else ""

    def basic(self, uri: str) -> str | None:
        """Return what the part of *uri* says: open or closed."""
        part = self.rows[uri][1]
        return None if part is None else Presence.parse(part.body).basic or None


class Watcher:
    """A scripted watcher, over TCP."""

    body_of: Any

    def __init__(self, site: Site, host: str, uri: str = ADAM) -> None:
        self.site = site
        self.uri = uri
        self.host = host
        self.peer = connect(site.network.node(host), (HOST, 5060))
        self.table = Table()
        self.tag = f"tag{host[-2:]}"
        self.call_id = f"call-{host}"
        self.cseq = 0
        self.to = BUDDIES
        self.remote_tag = ""
        self.contact = ""

    def subscribe(self, to: str = "", *, expires: int = 600, body: str = "", **changes: str) -> Response:
        """Send a SUBSCRIBE, in the dialog if there is one, and return the response.

        :param changes: replace lines by name, "" leaves one out.
        """
        self.cseq += 1
        self.to = to or self.to
        lines = {
            "start": f"SUBSCRIBE {self.contact or self.to} SIP/2.0",
            "via": f"Via: SIP/2.0/TCP {self.host};branch=z9hG4bK{self.call_id}{self.cseq};rport",
            "max_forwards": "Max-Forwards: 70",
            "from": f"From: <{self.uri}>;tag={self.tag}",
            "to": f"To: <{self.to}>" + (f";tag={self.remote_tag}" if self.remote_tag else ""),
            "call_id": f"Call-ID: {self.call_id}",
            "cseq": f"CSeq: {self.cseq} SUBSCRIBE",
            "contact": f"Contact: <sip:{self.host};transport=tcp>",
            "event": "Event: presence",
            "expires": f"Expires: {expires}",
            "supported": "Supported: eventlist",
            "accept": f"Accept: {ACCEPT}",
            **changes,
        }
        self.peer.send("\n".join([*(line for line in lines.values() if line), "", body]))
        response: Response = self.peer.expect(lambda message: isinstance(message, Response))
        if response.status == 200 and not self.remote_tag:
            self.remote_tag = response.to.tag
            self.contact = str(response.contacts[0].uri)
        return response

    def again(self) -> None:
        """Forget the dialog: the next SUBSCRIBE begins another one."""
        self.remote_tag = self.contact = ""
        self.call_id += "x"
        self.table = Table()

    def notify(self, status: int = 200, *, within: float = 5.0) -> Request:
        """Return the next NOTIFY, answered with *status*."""
        request: Request = self.peer.expect("NOTIFY", within=within)
        self.peer.answer(request, status, to_tag=self.tag)
        return request

    def told(self, *, within: float = 5.0) -> ListState:
        """Return the list in the next NOTIFY, which goes into the table."""
        request = self.notify(within=within)
        assert request.typed("require") == ("eventlist",) or list(request.typed("require")) == ["eventlist"]
        return self.table.take(body_of(request))

    def told_the_end(self, reason: str = "timeout") -> ListState:
        """Return the list in the last NOTIFY."""
        request = self.notify()
        state = request.typed("subscription-state")
        assert (state.state, state.reason) == ("terminated", reason)
        return self.table.take(body_of(request))

    def quiet(self, seconds: float = 3.0) -> None:
        """Nothing comes for some *seconds*."""
        self.peer.expect_nothing(within=seconds)


def body_of(request: Request) -> BodyPart:
    """Return the parts of the body of *request*."""
    return parse_multipart(request.headers.first("content-type") or "", request.body, parts=2000)


class Site:
    """Presence and lists for example.com at 192.0.2.1."""

    server_class: type[ResourceListServer] = ResourceListServer
    list_of: Any

    def __init__(self, *, domain: str = "example.com", **settings: Any) -> None:
        self.domain = domain
        self.network = Network(7, Conditions(delay=(0.01, 0.01)))
        self.network.clock.advance(1_800_000_000.0)
        self.settings = ListSettings(**settings)
        self.presence_settings = PresenceSettings()
        self.notifier_settings = NotifierSettings()
        self.dns = FakeDNS()
        self.documents: Any = MemoryDocumentStore()
        self.node: Any = self.network.node(HOST)
        self.subscriptions = MemorySubscriptionStore(self.node)
        self.publications = MemoryPublicationStore(self.node)
        self.users: Callable[[Request], str] = lambda request: str(request.from_.uri)
        self.watchers = 0
        self.etags: dict[str, str] = {}
        self.add_lists: Callable[[ResourceListServer], object] = lambda lists: lists.add("presence")
        self.build()

    def build(self) -> None:
        """Begin as a process does."""
        element = self.element = Element(
            self.node,
            domains=[self.domain],
            chain=[cast(Any, self)],
            random_bytes=self.network.random_bytes,
            resolver=Resolver(self.node, names=self.dns),
        )
        self.node.listenUDP(5060, SIPDatagramProtocol(element), interface=HOST, maxPacketSize=65535)
        self.node.listenTCP(5060, SIPFactory(element), interface=HOST)
        self.notifier = Notifier(element, self.subscriptions, settings=self.notifier_settings, claims_all=True)
        self.subscriber = Subscriber(element)
        self.presence = PresenceService(
            element, self.publications, settings=self.presence_settings, documents=self.documents
        )
        self.winfo = self.presence.watcher_info = WatcherInfoPackage(self.presence, element)
        self.notifier.add(PresencePackage(self.presence))
        self.notifier.add(self.winfo)
        self.lists = self.server_class(self.notifier, self.documents, self.subscriber, settings=self.settings)
        self.add_lists(self.lists)
        element.chain += [self.subscriber, self.notifier, self.presence]
        started = Deferred.fromCoroutine(self.presence.load())
        started.addCallback(lambda _: self.notifier.start())
        assert started.called

    def process(self, incoming: Any) -> None:
        if incoming.request.method != "NOTIFY":
            incoming.user = self.users(incoming.request)

    def restart(self) -> None:
        """The process is killed, and another one starts at the same place."""
        self.lists.close()
        self.presence._stops.pop()()
        self.node.crash()
        self.network.advance(1.0)
        self.network.remove(self.node)
        self.node = self.network.node(HOST)
        self.subscriptions._clock = self.publications._clock = self.node
        self.build()

    # -- documents -------------------------------------------------------------------

    def put(self, auid: str, owner: str, content: bytes, name: str = "index") -> None:
        """Keep a document."""
        before = self.documents.get(auid, owner, name)
        etag = f"e{self.network.random.getrandbits(60):x}"
        document = Document(auid=auid, owner=owner, name=name, etag=etag, content=content)
        stored: Deferred[None] = self.documents.put(document, before.etag if before else "")
        assert stored.called

    def put_services(self, *services: RLSService, owner: str = ADAM) -> None:
        """Keep the list services of *owner*."""
        self.put("rls-services", owner, rls_services.build(RLSServices(services)))

    def put_list(self, *uris: str, uri: str = BUDDIES, owner: str = ADAM, name: str = "Buddies") -> None:
        """Keep one list of *owner*."""
        self.put_services(RLSService(uri=uri, members=list_of(*uris, name=name)), owner=owner)

    def put_resource_lists(self, *lists: ResourceList, owner: str = ADAM, name: str = "index") -> None:
        self.put("resource-lists", owner, resource_lists.build(ResourceLists(lists)), name)

    def put_rules(self, owner: str, handling: str) -> None:
        """Let everybody be handled so by the presence rules of *owner*."""
        rules = f"""<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"
            xmlns:pr="urn:ietf:params:xml:ns:pres-rules"><rule id="a"><conditions><identity><many/></identity>
            </conditions><actions><pr:sub-handling>{handling}</pr:sub-handling></actions><transformations>
            <pr:provide-services><pr:all-services/></pr:provide-services></transformations></rule></ruleset>"""
        self.put("pres-rules", owner, rules.encode())

    # -- presence -----------------------------------------------------------------------

    def publish(self, user: str, basic: str = "open", note: str = "") -> None:
        """Publish for *user* of the domain."""
        resource = f"sip:{user}@{self.domain}"
        presence = Presence(resource).with_status(basic, note=note, id="t")
        made = self.presence.publish(resource, presence, expires=3600, etag=self.etags.get(user, ""))
        etags: list[str] = []
        made.addCallback(etags.append)
        (self.etags[user],) = etags

    def watcher(self, uri: str = ADAM) -> Watcher:
        self.watchers += 1
        return Watcher(self, f"192.0.2.{10 + self.watchers}", uri)

    def subscribed(self, to: str = BUDDIES, uri: str = ADAM, **how: Any) -> Watcher:
        """Return a watcher that has subscribed to a list and had its first NOTIFY."""
        watcher = self.watcher(uri)
        response = watcher.subscribe(to, **how)
        assert response.status == 200, response.status
        assert watcher.told().full
        return watcher

    def virtual(self, key: str = "presence") -> Sequence[Any]:
        """Return the virtual subscriptions to a package."""
        hosted = self.notifier.hosted(key)
        assert hosted is not None
        return [each for known in hosted.virtual._by_resource.values() for each in known]

    def settle(self) -> None:
        """Past the last legal deadline everything is empty."""
        self.network.advance(90_000)
        assert {name: count for name, count in leftovers(self.element).items() if count} == {}
        assert not self.notifier.counts()["subscriptions"] and not len(self.notifier.dialogs)
        assert not self.virtual() and not self.virtual("presence;eventlist")
        assert not any(self.lists.counts().values())
        assert not self.subscriber._subscriptions and not self.subscriptions._records
        assert self.element.timers.pending == 0
        self.lists.close()


def list_of(*uris: str, name: str = "") -> ResourceList:
    """Return a list of entries."""
    entries = tuple(Entry(uri, DisplayName(uri.partition(":")[2].partition("@")[0].title(), "en")) for uri in uris)
    return ResourceList(name, entries, DisplayName(name) if name else None)


Site.list_of = staticmethod(list_of)
Watcher.body_of = staticmethod(body_of)


@pytest.fixture
def make_site(failures: LoggedFailures) -> Iterator[Callable[..., Site]]:
    """Makes sites with other settings; each has to be empty in the end."""
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(**settings))
        return made[-1]

    yield make
    for site in made:
        site.settle()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def failures() -> Iterator[LoggedFailures]:
    """What is logged as an error meanwhile; tests that mean it clear it."""
    with LoggedFailures() as observer:
        yield observer
    assert not observer.texts
