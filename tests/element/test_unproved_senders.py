"""Who has proved nothing gets one answer, leaves nothing behind, and cannot choose where answers go."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.message.builders import response_to
from twisted_sip.message.parser import parse_message
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer, connect, on_the_wire
from twisted_sip.testing.server import SimulatedServer

SERVER = ("192.0.2.1", 5060)
_branches = count()


def request(method: str, uri: str, *, via: str = "SIP/2.0/UDP 198.51.100.9", forwards: int = 70, to: str = "") -> str:
    return "\n".join(
        [
            f"{method} {uri} SIP/2.0",
            f"Via: {via};rport;branch=z9hG4bK{next(_branches)}",
            f"Max-Forwards: {forwards}",
            "From: <sip:eve@example.net>;tag=e",
            f"To: {to or '<sip:nobody@example.com>'}",
            "Call-ID: call",
            f"CSeq: 1 {method}",
            "",
            "",
        ]
    )


@pytest.fixture
def network() -> Network:
    return Network(5)


@pytest.fixture
def server(network: Network) -> SimulatedServer:
    return SimulatedServer(network, passwords={"alice": "secret"})


@pytest.fixture
def eve(network: Network) -> Peer:
    return Peer(network.node("198.51.100.9"))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (request("INVITE", "sip:nobody@example.com"), 480),
        (request("INVITE", "sip:example.com"), 404),
        (request("INVITE", "http://example.com"), 416),
        (request("INVITE", "sip:nobody@example.com", forwards=0), 483),
        (request("INVITE", "sip:x@example.net"), 403),
        (request("MESSAGE", "sip:nobody@example.com"), 480),
        (request("OPTIONS", "sip:example.com"), 200),
        (request("CANCEL", "sip:nobody@example.com"), 481),
        (request("BYE", "sip:nobody@example.com", to="<sip:nobody@example.com>;tag=x"), 480),
    ],
)
def test_one_answer_and_nothing_kept(server: SimulatedServer, eve: Peer, text: str, status: int) -> None:
    eve.send(text, SERVER)
    first = eve.expect(status)
    assert not any(server.element.transactions.counts().values())
    # Over datagrams a transaction would repeat its answer to an INVITE until an ACK comes: not to who forges addresses.
    eve.expect_nothing(within=40.0)
    eve.send(text, SERVER)
    again = eve.expect(status)
    assert again.to.tag == first.to.tag


class Slow:
    """A router that refuses what it is asked when it is told to."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.gate: Deferred[Any] = Deferred()

    def route(self, incoming: Any) -> Any:
        incoming.user = self.user
        return self.gate.addCallback(lambda status: response_to(incoming.request, status, to_tag=incoming.to_tag))


@pytest.mark.parametrize(
    ("user", "transport", "before", "after"),
    [
        ("", "udp", [], [403]),
        # The server transaction sends 100 within 200 ms (section 17.2.1).
        ("", "tcp", [100], [100, 403]),
        ("sip:alice@example.com", "udp", [100], [100, 403, 403, 403, 403, 403]),
    ],
)
def test_who_has_to_wait(network: Network, user: str, transport: str, before: list[int], after: list[int]) -> None:
    """By UDP one answer is all that there is for an address that may be forged."""
    server = SimulatedServer(network, passwords={"alice": "secret"})
    slow = Slow(user)
    server.proxy.routers.insert(0, slow)
    node = network.node("198.51.100.9")
    eve: Any = Peer(node) if transport == "udp" else connect(node, SERVER)
    text = request("INVITE", "sip:nobody@example.com", via=f"SIP/2.0/{transport.upper()} 198.51.100.9")
    eve.send(text, *([SERVER] if transport == "udp" else []))
    network.advance(15.0)
    assert [message.status for message in eve.messages] == before
    slow.gate.callback(403)
    network.advance(10.0)
    assert [message.status for message in eve.messages] == after


def test_nobody_gives_up_while_somebody_is_asked(network: Network) -> None:
    """An INVITE is given up after 64*T1 by who has heard nothing (Timer B)."""
    server = SimulatedServer(network)
    server.proxy.routers.insert(0, Slow(""))
    eve = Peer(network.node("198.51.100.9"))
    eve.send(request("INVITE", "sip:nobody@example.com"), SERVER)
    network.advance(20.0)
    assert [message.status for message in eve.messages] == [100]


def test_the_ack_for_such_an_answer_ends_here(server: SimulatedServer, eve: Peer) -> None:
    invite = request("INVITE", "sip:nobody@example.com")
    eve.send(invite, SERVER)
    tag = eve.expect(480).to.tag
    seen: list[Any] = []
    server.element.chain[:] = [SimpleNamespace(process=seen.append)]  # type: ignore[list-item]
    ack = invite.replace("INVITE", "ACK").replace("nobody@example.com>", f"nobody@example.com>;tag={tag}")
    eve.send(ack, SERVER)
    server.network.advance(1.0)
    assert seen == []
    # That for a 2xx of somebody else, with a tag of the same length, goes on.
    eve.send(ack.replace(f"tag={tag}", f"tag={'f' * len(tag)}"), SERVER)
    server.network.advance(1.0)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("via", "reached"),
    [
        ("SIP/2.0/TCP 198.51.100.9:5090", ["198.51.100.9:5090"]),
        ("SIP/2.0/TCP 10.0.0.6:6379", []),
        ("SIP/2.0/TCP 127.0.0.1:6379", []),
        ("SIP/2.0/UDP 198.51.100.9:5090", []),
        ("SIP/2.0/TCP inside.example.net:6379", []),
        ("SIP/2.0/TCP backup.example.net:5060", ["203.0.113.8:5060"]),
    ],
)
def test_a_lost_way_back_leads_to_nobody_else(network: Network, via: str, reached: list[str]) -> None:
    dns = FakeDNS().a("inside.example.net", "127.0.0.1").a("backup.example.net", "203.0.113.8")
    server = SimulatedServer(network, dns=dns)
    asked: list[str] = []

    def flow_to(destination: Any) -> Any:
        asked.append(str(destination.address))
        return SimpleNamespace()

    server.element.transports.flow_to = flow_to  # type: ignore[method-assign]
    transaction = SimpleNamespace(
        rerouted=False,
        request=parse_message(on_the_wire(request("OPTIONS", "sip:example.com", via=via))),
        flow=SimpleNamespace(kind=TCP, remote=Address("198.51.100.9", 40000)),
        reroute=lambda flow: None,
    )
    server.element.find_way_back(transaction)
    server.network.advance(1.0)
    assert asked == reached
