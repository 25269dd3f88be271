"""A server with messaging on the simulated network, and scripted peers around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer, provider

from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.interfaces.processing import IRequestProcessor
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.messaging.service import MessagingService
from twisted_sip.messaging.settings import MessagingSettings
from twisted_sip.proxy.location_router import LocationRouter
from twisted_sip.proxy.service import ProxyService
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.message_memory import MemoryMessageStore
from twisted_sip.storage.message_table import MessageLimits
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer, StreamPeer, connect
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.stream import SIPFactory

HOST = "192.0.2.1"
ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
#: Past every legal deadline but the expiry of what is kept.
LONG = 600.0


@implementer(IRequestProcessor)
class Admit:
    """Stands for the link that admits: whoever says to be ours is."""

    proves = True

    def process(self, incoming: Any) -> None:
        incoming.admitted = True
        uri = incoming.request.from_.uri
        if self.proves and getattr(uri, "host", "") in ("example.com", "EXAMPLE.com"):
            incoming.user = uri.address_of_record


class House:
    """A server for example.com at 192.0.2.1, with UDP and TCP on 5060."""

    def __init__(
        self,
        network: Network,
        service: type[MessagingService] = MessagingService,
        *,
        limits: MessageLimits | None = None,
        messages: Any = None,
        known: Sequence[str] | None = None,
        policies: Sequence[Any] = (),
        **settings: Any,
    ) -> None:
        self.network = network
        self.node = network.node(HOST)
        # So that its seconds are such as there are.
        self.element = element = Element(
            self.node,
            domains=["example.com"],
            random_bytes=network.random_bytes,
            resolver=Resolver(self.node, names=FakeDNS(), randbelow=network.random.randrange),
        )
        self.location = MemoryLocationStore(self.node)
        self.messages: Any = messages or MemoryMessageStore(self.node, limits)
        self.admit = Admit()
        self.service = service(
            element,
            self.location,
            self.messages,
            LocationRouter(element, self.location).target_of,
            settings=MessagingSettings(**settings),
            user_known=None if known is None else known.__contains__,
            policies=policies,
        )
        element.chain[:] = [
            EntryProcessor(element.domains),
            self.admit,
            self.service,
            ProxyService(element, self.location),
        ]
        self.node.listenUDP(5060, SIPDatagramProtocol(element), interface=HOST, maxPacketSize=65535)
        self.node.listenTCP(5060, SIPFactory(element, TCP), interface=HOST)
        element.transports.listening(TCP, Address(HOST, 5060))
        self.service.startService()

    # -- peers -----------------------------------------------------------------------

    def peer(self, host: str, **where: Any) -> Peer:
        return Peer(self.network.node(host, **where))

    def stream(self, host: str, **where: Any) -> StreamPeer:
        return connect(self.network.node(host, **where), (HOST, 5060))

    def bind(self, user: str, contact: str, **fields: Any) -> None:
        """Register *contact* for sip:user@example.com."""
        aor = f"sip:{user}@example.com"
        now = self.node.seconds()
        given: dict[str, Any] = {"expires_at": now + 86400, "registered_at": now, "key": contact, **fields}
        made = Binding(aor=aor, contact=contact, call_id="r", cseq=1, **given)
        self.location.commit(LocationChange(aor, put=(made,)))

    def register(self, user: str, peer: Peer | StreamPeer, **fields: Any) -> None:
        """Register *peer* with the flow to it kept."""
        flow = self._flow(peer)
        contact = fields.pop("contact", f"sip:{user}@{flow.remote}")
        self.bind(user, contact, flow=flow.token, received=f"{flow.kind.token}:{flow.remote}", **fields)

    def unregister(self, user: str) -> None:
        aor = f"sip:{user}@example.com"
        keys = tuple(binding.key for binding in self.location.lookup(aor))
        self.location.commit(LocationChange(aor, remove=keys))

    def _flow(self, peer: Peer | StreamPeer) -> Any:
        seen: list[Any] = []

        def saw(message: Request | Response, data: bytes, flow: Any) -> None:
            if isinstance(message, Request) and message.method == "OPTIONS":
                seen.append(flow)

        self.element.message_seen = saw
        self.send(peer, message("sip:nobody@example.com", method="OPTIONS", call_id=f"flow{id(peer)}"))
        peer.expect(lambda found: isinstance(found, Response))
        self.element.message_seen = None
        return seen[0]

    # -- messages ----------------------------------------------------------------------

    def send(self, peer: Peer | StreamPeer, text: str) -> None:
        if isinstance(peer, Peer):
            peer.send(text, (HOST, 5060))
        else:
            peer.send(text.replace("SIP/2.0/UDP", "SIP/2.0/TCP"))

    def say(self, peer: Peer | StreamPeer, text: str = "hello", to: str = BOB, **fields: Any) -> None:
        """Send a MESSAGE of alice."""
        self.send(peer, message(to, body=text, **fields))

    def waiting(self, aor: str = BOB) -> list[str]:
        return [found.body.decode() for found in self.messages.waiting(aor)]

    # -- the end -----------------------------------------------------------------------

    def settle(self, seconds: float = LONG) -> None:
        """Let every deadline pass; nothing may be left."""
        for binding in list(self.location.bindings()):
            self.location.commit(LocationChange(binding.aor, remove=(binding.key,)))
        self.network.advance(seconds)
        assert {name: count for name, count in leftovers(self.element).items() if count} == {}
        assert (len(self.service.delivery), self.service.delivery.running) == (0, 0)
        assert not self.service.delivery._held and not self.service._turns


_numbers = iter(range(10**9))


def message(
    uri: str = BOB,
    *,
    body: str = "hello",
    method: str = "MESSAGE",
    from_: str = f"<{ALICE}>;tag=a",
    to: str = "",
    via: str = "192.0.2.2;rport",
    call_id: str = "",
    cseq: int = 1,
    content_type: str = "text/plain",
    extra: Sequence[str] = (),
) -> str:
    """Return the text of a MESSAGE; each has a branch and Call-ID of its own."""
    number = next(_numbers)
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {via};branch=z9hG4bK{number}",
        "Max-Forwards: 70",
        f"From: {from_}",
        f"To: {to or f'<{uri}>'}",
        f"Call-ID: {call_id or f'call{number}'}",
        f"CSeq: {cseq} {method}",
        *([f"Content-Type: {content_type}"] if content_type else []),
        *extra,
    ]
    return "\n".join([*lines, "", body])


@pytest.fixture
def network() -> Network:
    made = Network(1)
    made.clock.advance(1_800_000_000.0)
    return made


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[str]]:
    """The failures that were logged; a test that means them clears the list."""
    events: list[str] = []

    @provider(ILogObserver)
    def observer(event: Any) -> None:
        if "log_failure" in event:
            events.append(event["log_failure"].getTraceback())

    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)
    assert events == []


@pytest.fixture
def house(network: Network) -> House:
    return House(network)


@pytest.fixture
def make_house(network: Network) -> Callable[..., House]:
    """Makes a house with settings of its own."""
    return lambda *args, **how: House(network, *args, **how)
