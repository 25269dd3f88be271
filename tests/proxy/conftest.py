"""A proxy on the simulated network, scripted peers around it, and what every scenario has to leave behind: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from twisted_sip.element.domains import Domains
from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor, OptionsProcessor
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.interfaces.transport_kind import TCP, TLS
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.service import ProxyService
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.node import Node
from twisted_sip.testing.peer import Peer, StreamPeer, connect
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.stream import SIPFactory, SIPStreamProtocol

HOST = "192.0.2.1"
PROXY = (HOST, 5060)

#: Past every legal deadline: Timer C, the CANCEL after it and twice 64*T1.
LONG = 600.0


class PlainTLS(SIPFactory):
    """Makes connections that pass for TLS: the handshake is over as soon as they are there."""

    def buildProtocol(self, addr: Any) -> SIPStreamProtocol:
        protocol = super().buildProtocol(addr)
        made = protocol.connectionMade

        def connected() -> None:
            made()
            if protocol._timer is not None:
                protocol._timer.cancel()
                protocol._timer = None
            protocol._usable()

        protocol.connectionMade = connected  # type: ignore[method-assign]
        return protocol


class Admit:
    """Stands for the link that admits; *user* is who the sender has proved to be."""

    def __init__(self) -> None:
        self.user = ""

    def process(self, incoming: Any) -> None:
        incoming.admitted = True
        incoming.user = self.user


class House:
    """A proxy for example.com at 192.0.2.1, with UDP and TCP on 5060 and TLS on 5061 (the encryption left out)."""

    def __init__(self, network: Network, proxy: Callable[..., ProxyService] = ProxyService, **how: Any) -> None:
        self.network = network
        self.node: Node = network.node(HOST)
        self.dns = FakeDNS()
        max_transactions = how.pop("max_transactions", 10_000)
        self.element = element = Element(
            self.node,
            domains=["example.com"],
            random_bytes=network.random_bytes,
            resolver=Resolver(self.node, names=self.dns, randbelow=network.random.randrange),
            max_transactions=max_transactions,
        )
        self.store = MemoryLocationStore(self.node)
        self.admit = Admit()
        admit: list[Any] = [self.admit] if how.pop("admit", True) else []
        self.proxy = proxy(element, how.pop("location", self.store), **how)
        domains: Domains = element.domains
        element.chain[:] = [EntryProcessor(domains), *admit, OptionsProcessor(domains), self.proxy]
        self.node.listenUDP(5060, SIPDatagramProtocol(element), interface=HOST, maxPacketSize=65535)
        self.node.listenTCP(5060, SIPFactory(element, TCP), interface=HOST)
        self.node.listenTCP(5061, PlainTLS(element, TLS), interface=HOST)
        element.transports.listening(TCP, Address(HOST, 5060))
        element.transports.listening(TLS, Address(HOST, 5061))

    # -- peers --------------------------------------------------------------------------

    def peer(self, host: str, port: int = 5060, **where: Any) -> Peer:
        """Return a peer over UDP on a node of its own."""
        return Peer(self.network.node(host, **where), port)

    def stream(self, host: str, port: int = 5060, **where: Any) -> StreamPeer:
        """Return a peer with a connection to the proxy: TCP on port 5060, TLS on 5061."""
        return connect(self.network.node(host, **where), (HOST, port))

    # -- bindings -----------------------------------------------------------------------

    def bind(self, user: str, contact: str, **fields: Any) -> None:
        """Register *contact* for sip:user@example.com, for a day."""
        aor = f"sip:{user}@example.com"
        fields.setdefault("expires_at", self.node.seconds() + 86400)
        fields.setdefault("registered_at", self.node.seconds())
        made = Binding(aor=aor, key=fields.pop("key", contact), contact=contact, call_id="r", cseq=1, **fields)
        self.store.commit(LocationChange(aor, put=(made,)))

    def register(self, user: str, peer: Peer | StreamPeer, contact: str = "", **fields: Any) -> None:
        """Register *peer* as a phone of *user*, the flow to it kept; by default its contact is where it is."""
        flow = self.last_flow(peer)
        if not contact:
            contact = f"sip:{user}@{flow.remote}"
        self.bind(user, contact, flow=flow.token, received=f"{flow.kind.token}:{flow.remote}", **fields)

    def unbind(self) -> None:
        """End every registration."""
        for binding in list(self.store.bindings()):
            self.store.commit(LocationChange(binding.aor, remove=(binding.key,)))

    def flow_of(self, peer: Peer | StreamPeer) -> str:
        """Return the token of the flow from *peer*, which has sent something."""
        return self.last_flow(peer).token

    def last_flow(self, peer: Peer | StreamPeer) -> Any:
        """Return the flow over which the last request of *peer* came; it sends an OPTIONS for that."""
        seen: list[Any] = []

        def saw(message: Request | Response, data: bytes, flow: Any) -> None:
            if isinstance(message, Request) and message.method == "OPTIONS":
                seen.append(flow)

        self.element.message_seen = saw
        text = request(
            "OPTIONS", "sip:example.com", via="192.0.2.2;rport", branch=f"flow{id(peer)}", call_id=f"flow{id(peer)}"
        )
        if isinstance(peer, Peer):
            peer.send(text, PROXY)
        else:
            peer.send(text.replace("SIP/2.0/UDP", "SIP/2.0/TLS"))
        peer.expect(200)
        self.element.message_seen = None
        return seen[0]

    # -- messages -----------------------------------------------------------------------

    @staticmethod
    def request(method: str, uri: str, **fields: Any) -> str:
        """Return the text of a request; see :func:`request`."""
        return request(method, uri, **fields)

    @staticmethod
    def ack_for(text: str, response: Response) -> str:
        """Return the ACK for *response*, not a 2xx, to the INVITE in *text*; see :func:`ack_for`."""
        return ack_for(text, response)

    @staticmethod
    def in_dialog(method: str, uri: str, routes: Sequence[str], **fields: Any) -> str:
        """Return a request in a dialog with the route set *routes*."""
        return in_dialog(method, uri, routes, **fields)

    def refused(self, peer: Peer | StreamPeer, text: str, status: int, within: float = 5.0) -> Response:
        """Send the INVITE in *text*, expect *status*, acknowledge it, and return the response."""
        self.send(peer, text)
        return self.refusal(peer, text, status, within)

    def refusal(self, peer: Peer | StreamPeer, text: str, status: int, within: float = 5.0) -> Response:
        """Expect *status* to the INVITE in *text*, which was sent, acknowledge it, and return the response."""
        response: Response = peer.expect(status, within=within)
        self.send(peer, ack_for(text, response))
        return response

    @staticmethod
    def send(peer: Peer | StreamPeer, text: str) -> None:
        """Send *text* to the proxy."""
        if isinstance(peer, Peer):
            peer.send(text, PROXY)
        else:
            peer.send(text)

    # -- the end ------------------------------------------------------------------------

    def settle(self, seconds: float = LONG) -> None:
        """Let every deadline pass; nothing may be left."""
        self.unbind()
        self.network.advance(seconds)
        assert {name: count for name, count in leftovers(self.element).items() if count} == {}


def request(
    method: str,
    uri: str,
    *,
    branch: str = "one",
    via: str = "192.0.2.2",
    transport: str = "UDP",
    from_: str = "<sip:alice@example.net>;tag=a",
    to: str = "",
    call_id: str = "call",
    cseq: int = 1,
    max_forwards: int | None = 70,
    contact: str = "<sip:alice@192.0.2.2>",
    extra: Sequence[str] = (),
    body: str = "",
) -> str:
    """Return the text of a request."""
    lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/{transport} {via};branch=z9hG4bK{branch}"]
    if max_forwards is not None:
        lines.append(f"Max-Forwards: {max_forwards}")
    lines += [f"From: {from_}", f"To: {to or '<' + uri + '>'}", f"Call-ID: {call_id}", f"CSeq: {cseq} {method}"]
    if contact:
        lines.append(f"Contact: {contact}")
    return "\n".join([*lines, *extra, "", body])


def ack_for(text: str, response: Response) -> str:
    """Return the ACK for *response*, not a 2xx, to the INVITE in *text* (section 17.1.1.3)."""
    kept = [
        line
        for line in text.split("\n\n")[0].split("\n")[1:]
        if line.partition(":")[0] in ("Via", "From", "Call-ID", "Max-Forwards", "Route")
    ]
    uri = text.split(" ", 2)[1]
    cseq = response.cseq.number
    return "\n".join([f"ACK {uri} SIP/2.0", *kept, f"To: {response.headers.first('to')}", f"CSeq: {cseq} ACK", "", ""])


def in_dialog(method: str, uri: str, routes: Sequence[str], **fields: Any) -> str:
    """Return a request in a dialog with the route set *routes*."""
    extra = [f"Route: {', '.join(routes)}"] if routes else []
    return request(method, uri, extra=[*extra, *fields.pop("extra", ())], **fields)


def record_routes(message: Request | Response) -> list[str]:
    """Return the Record-Route values of *message*, topmost first."""
    return message.headers.elements("record-route")


@pytest.fixture
def network() -> Network:
    """A network without loss."""
    return Network(1)


@pytest.fixture
def house(network: Network) -> Iterator[House]:
    """A proxy that forwards for everybody; after the test nothing may be left in it."""
    made = House(network)
    yield made
    made.settle()


@pytest.fixture
def make_house(network: Network) -> Iterator[Callable[..., House]]:
    """Makes a proxy with settings of its own; after the test nothing may be left in it."""
    houses: list[House] = []

    def make(**how: Any) -> House:
        houses.append(House(network, **how))
        return houses[-1]

    yield make
    for made in houses:
        made.settle()


@pytest.fixture
def logged() -> Iterator[Callable[[type[Exception]], int]]:
    """Tells how many failures of a kind were logged during the test."""
    failures: list[Any] = []

    def observer(event: Any) -> None:
        if "log_failure" in event:
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observer)
    yield lambda kind: sum(bool(failure.check(kind)) for failure in failures)
    globalLogPublisher.removeObserver(observer)
