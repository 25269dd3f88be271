"""An agent's element on the simulated network, beside a scripted peer and the shipped registrar and proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.agent.flow_keeper import FlowKeeper
from twisted_sip.agent.registration import Registration
from twisted_sip.element.element import Element
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import leftovers
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

HOST, PEER, SERVER = "198.51.100.1", "192.0.2.9", "192.0.2.1"
INSTANCE = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
CHALLENGE = 'Digest realm="{realm}", nonce="n{nonce}", algorithm={algorithm}, qop="auth"'


class RegistrarScene:
    """A client and a registrar by script."""

    def __init__(self) -> None:
        self.network = Network(11)
        node = self.network.node(HOST)
        self.element = Element(node, random_bytes=self.network.random_bytes, resolver=Resolver(node, names=FakeDNS()))
        node.listenUDP(5060, SIPDatagramProtocol(self.element), interface=HOST, maxPacketSize=65535)
        self.keeper = FlowKeeper(self.element)
        self.peer = Peer(self.network.node(PEER))
        self.settled: list[Any] = []
        self.registration: Registration

    def register(self, aor: str = "sip:alice@example.com", **how: Any) -> Registration:
        how.setdefault("registrar", f"sip:{PEER}")
        self.registration = Registration(self.element, aor, keeper=self.keeper, **how)
        self.registration.start().addBoth(self.settled.append)
        return self.registration

    def answer(self, request: Request, status: int, *headers: tuple[str, str]) -> None:
        self.peer.send(response_to(request, status, headers=headers, to_tag="r"), (HOST, 5060))
        self.network.advance(0.1)

    def accept(self, request: Request, *headers: tuple[str, str], expires: int | None = None) -> None:
        """Answer 200 with the Contact of *request*."""
        [contact] = request.headers.all("contact")
        if expires is not None:
            contact = f"{contact.rpartition(';expires=')[0]};expires={expires}" if "expires=" in contact else contact
        self.answer(request, 200, ("contact", contact), *headers)

    def expect(self, within: float = 10.0) -> Request:
        request: Request = self.peer.expect("REGISTER", within=within)
        return request

    def silent(self, seconds: float) -> bool:
        """Tell whether nothing comes for so long."""
        before = len(self.peer.arrivals)
        self.network.advance(seconds)
        return len(self.peer.arrivals) == before

    def leftovers(self) -> dict[str, int]:
        self.network.advance(300)
        held = {**leftovers(self.element), "watched flows": len(self.keeper)}
        return {name: count for name, count in held.items() if count}


@pytest.fixture
def registrar() -> RegistrarScene:
    return RegistrarScene()


@pytest.fixture
def server_scene() -> Callable[..., Any]:
    """Gives a network with the shipped server and a client element."""

    def make(**how: Any) -> Any:
        network = Network(5)
        how.setdefault("passwords", {"alice": "secret", "bob": "secret"})
        server = SimulatedServer(network, SERVER, **how)
        node = network.node(HOST)
        element = Element(node, random_bytes=network.random_bytes, resolver=Resolver(node, names=FakeDNS()))
        node.listenUDP(5060, SIPDatagramProtocol(element), interface=HOST, maxPacketSize=65535)
        return network, server, element

    return make
