"""A notifier on a simulated network, a package that does what tests say, and scripted watchers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from twisted_sip.element.element import Element
from twisted_sip.errors import StoreError
from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.interfaces.event_package import Authorization, IEventPackage, Notification
from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionChange
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.peer import Peer, StreamPeer, connect
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.stream import SIPFactory

HOST = "192.0.2.1"
ALICE = "sip:alice@example.com"


@implementer(IEventPackage)
class Package:
    """Tells a text for each resource."""

    default_expires = 3600
    min_interval = 0.0

    def __init__(self, event: str = "presence") -> None:
        self.event = event
        self.content_types: tuple[str, ...] = ("text/plain", "text/html")
        self.host: Any = None
        self.texts: dict[str, str] = {}
        self.resources: Any = True
        #: What is decided, or what decides.
        self.decision: Any = Authorization()
        #: What tells, in place of the text.
        self.telling: Callable[[Any], Any] | None = None
        self.changes: list[str] = []
        self.asked: list[str] = []
        self.due: list[str] = []

    def attached(self, host: Any) -> None:
        self.host = host

    def has_resource(self, resource: str) -> Any:
        return self.resources(resource) if callable(self.resources) else self.resources

    def authorize(self, subscription: Any) -> Any:
        return self.decision(subscription) if callable(self.decision) else self.decision

    def notification(self, subscription: Any) -> Any:
        self.asked.append(subscription.state)
        if self.telling is not None:
            return self.telling(subscription)
        return self.plain(subscription)

    def plain(self, subscription: Any) -> Notification:
        if subscription.authorization.state != "active":
            return Notification()
        text = self.texts.get(subscription.resource, "none")
        return Notification(content_type=self.content_types[0], body=text.encode())

    def full_state_due(self, subscription: Any) -> None:
        self.due.append(subscription.watcher)

    def subscriptions_changed(self, subscriptions: Iterable[Any]) -> None:
        for subscription in subscriptions:
            self.changes.append(f"{subscription.state} {subscription.reason}".strip())

    def put(self, text: str, resource: str = ALICE) -> None:
        """The state of *resource* changes."""
        self.texts[resource] = text
        self.host.changed(self.event, resource)


@implementer(ISubscriptionStore)
class Store(MemorySubscriptionStore):
    """A store that waits or fails as a test says."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.slow = False
        self.broken: Exception | None = None
        self.waiting: list[tuple[SubscriptionChange, Deferred[None]]] = []
        self.commits = 0

    def commit(self, change: SubscriptionChange) -> Deferred[None]:
        self.commits += 1
        if self.broken is not None:
            return fail(self.broken)
        if self.slow:
            waiting: Deferred[None] = Deferred()
            self.waiting.append((change, waiting))
            return waiting
        return super().commit(change)

    def write(self, error: Exception | None = None) -> None:
        """What waits is written now, or fails."""
        waiting, self.waiting = self.waiting, []
        for change, acknowledged in waiting:
            if error is None:
                super().commit(change)
                acknowledged.callback(None)
            else:
                acknowledged.errback(error)


class Watcher:
    """A scripted watcher at *host*."""

    def __init__(self, desk: Desk, host: str, user: str = "bob", *, tcp: bool = False) -> None:
        self.desk = desk
        self.user = user
        node = desk.network.node(host)
        self.peer: Any = connect(node, (HOST, 5060)) if tcp else Peer(node)
        self.host = host
        self.kind = "TCP" if tcp else "UDP"
        self.tag = f"tag{user}{host[-1]}"
        self.call_id = f"call-{user}-{host}"
        self.cseq = 0
        self.remote_tag = ""
        self.contact = ""

    def text(self, expires: int | None = 600, **changes: str) -> str:
        """Return the next SUBSCRIBE; *changes* replace lines by name, "" leaves one out."""
        self.cseq += 1
        lines = {
            "start": f"SUBSCRIBE {self.contact or ALICE} SIP/2.0",
            "via": f"Via: SIP/2.0/{self.kind} {self.host};branch=z9hG4bK{self.call_id}{self.cseq};rport",
            "max_forwards": "Max-Forwards: 70",
            "from": f"From: <sip:{self.user}@example.com>;tag={self.tag}",
            "to": f"To: <{ALICE}>" + (f";tag={self.remote_tag}" if self.remote_tag else ""),
            "call_id": f"Call-ID: {self.call_id}",
            "cseq": f"CSeq: {self.cseq} SUBSCRIBE",
            "contact": f"Contact: <sip:{self.user}@{self.host};transport={self.kind.lower()}>",
            "event": "Event: presence",
            "expires": "" if expires is None else f"Expires: {expires}",
        }
        body = changes.pop("body", "")
        lines.update(changes)
        return "\n".join([*(line for line in lines.values() if line), "", body])

    def send(self, text: str) -> None:
        if isinstance(self.peer, StreamPeer):
            self.peer.send(text)
        else:
            self.peer.send(text, (HOST, 5060))

    def subscribe(self, expires: int | None = 600, **changes: str) -> Response:
        """Send a SUBSCRIBE, in the dialog if there is one, and return the response."""
        self.send(self.text(expires, **changes))
        response: Response = self.peer.expect(lambda message: isinstance(message, Response))
        if response.status == 200 and not self.remote_tag:
            self.remote_tag = response.to.tag
            self.contact = str(response.contacts[0].uri)
        return response

    def again(self) -> None:
        """Forget the dialog: the next SUBSCRIBE begins another one."""
        self.remote_tag = self.contact = ""
        self.call_id += "x"

    def notify(
        self, status: int | None = 200, headers: Iterable[tuple[str, str]] = (), *, within: float = 5.0
    ) -> Request:
        """Return the next NOTIFY, answered with *status*, None for not at all."""
        request: Request = self.peer.expect("NOTIFY", within=within)
        if status is not None:
            self.peer.answer(request, status, headers, to_tag=self.tag)
        return request

    def quiet(self, seconds: float = 3.0) -> None:
        """Nothing comes for some *seconds*."""
        self.peer.expect_nothing(within=seconds)


class Desk:
    """A notifier at 192.0.2.1."""

    def __init__(self, **settings: Any) -> None:
        # In order: what is expected next is not the retransmission of what was passed over.
        self.network = Network(5, Conditions(delay=(0.01, 0.01)))
        self.network.clock.advance(1_800_000_000.0)
        self.settings = NotifierSettings(**settings)
        self.claims_all = False
        #: Whom the authentication that stands before the notifier has found; None where there is none.
        self.users: Callable[[Request], str] = lambda request: ""
        self.node: Any = self.network.node(HOST)
        self.store = Store(self.node)
        self.package = Package()
        self.watchers = 0
        self.flow_for: Any = None
        self.build()

    def build(self, *packages: Any) -> None:
        """Make element and notifier, as a process that starts does."""
        self.element = Element(
            self.node,
            domains=["example.com"],
            chain=[self],
            random_bytes=self.network.random_bytes,
            resolver=Resolver(self.node, names=FakeDNS()),
        )
        self.node.listenUDP(5060, SIPDatagramProtocol(self.element), interface=HOST, maxPacketSize=65535)
        self.node.listenTCP(5060, SIPFactory(self.element), interface=HOST)
        how = {} if self.flow_for is None else {"flow_for": self.flow_for}
        self.notifier = Notifier(self.element, self.store, settings=self.settings, **how)
        self.element.chain.append(self.notifier)
        for package in packages or (self.package,):
            self.notifier.add(package)
        self.started = self.notifier.start()

    def process(self, incoming: Any) -> None:
        incoming.user = self.users(incoming.request)
        self.notifier.claims_all = self.claims_all

    def restart(self, *packages: Any, away: float = 1.0, graceful: bool = True) -> None:
        """End the process, and start another one at the same place."""
        if graceful:
            self.notifier.stop()
        self.node.crash()
        self.network.advance(away)
        self.network.remove(self.node)
        self.node = self.network.node(HOST)
        self.store._clock = self.node
        if not packages:
            self.package = Package()
        self.build(*packages)

    def watcher(self, user: str = "bob", *, tcp: bool = False) -> Watcher:
        self.watchers += 1
        return Watcher(self, f"192.0.2.{10 + self.watchers}", user, tcp=tcp)

    def subscribed(self, user: str = "bob", *, expires: int = 600, **changes: str) -> Watcher:
        """Return a watcher that has subscribed and had its first NOTIFY."""
        watcher = self.watcher(user)
        assert watcher.subscribe(expires, **changes).status == 200
        watcher.notify()
        self.network.advance(0.1)
        return watcher

    def only(self) -> HostedSubscription:
        """Return the one subscription."""
        (found,) = self.notifier.subscriptions(self.package.event)
        return found

    def stored(self) -> list[Any]:
        return list(self.store.load())

    def settle(self) -> None:
        """Past the last legal deadline everything is empty."""
        self.network.advance(90_000)
        assert {name: count for name, count in leftovers(self.element).items() if count} == {}
        assert not self.notifier.counts()["subscriptions"] and not len(self.notifier.dialogs)
        assert not self.notifier.counts()["watchers"] and not len(self.notifier.delivery.queue)
        assert not len(self.notifier.delivery.deadlines) and not self.notifier.delivery.deadlines._heap
        assert not any(hosted.by_resource for hosted in self.notifier.packages.values())
        assert not self.store._records
        assert self.element.timers.pending == 0


@pytest.fixture
def make_desk(failures: LoggedFailures) -> Iterator[Callable[..., Desk]]:
    """Makes desks with other settings; each has to be empty in the end."""
    made: list[Desk] = []

    def make(**settings: Any) -> Desk:
        made.append(Desk(**settings))
        return made[-1]

    yield make
    for desk in made:
        desk.store.broken = None
        desk.store.slow = False
        desk.settle()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


@pytest.fixture
def failures() -> Iterator[LoggedFailures]:
    """What is logged as an error meanwhile; tests that mean it clear it."""
    with LoggedFailures() as observer:
        yield observer
    assert not observer.texts


@pytest.fixture
def package_type() -> type[Package]:
    return Package


@pytest.fixture
def store_error() -> StoreError:
    return StoreError("the disk is full")


@pytest.fixture
def delayed() -> Callable[[Any], Deferred[Any]]:
    return succeed
