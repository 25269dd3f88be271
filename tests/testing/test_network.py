"""The simulated network: what happens to datagrams, time, partitions, and that one seed always does the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol

from twisted_sip.interfaces.flow import Address
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.node import Node


class Sink(DatagramProtocol):
    noisy = False

    def __init__(self, node: Node, port: int = 5060, interface: str = "") -> None:
        self.node = node
        self.came: list[tuple[float, bytes, tuple[str, int]]] = []
        self.refusals: list[Address] = []
        self.port: Any = node.listenUDP(port, self, interface, maxPacketSize=65535)

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        self.came.append((self.node.seconds(), data, addr))

    def refused(self, destination: Address) -> None:
        self.refusals.append(destination)

    def send(self, data: bytes, to: tuple[str, int] = ("192.0.2.2", 5060)) -> None:
        transport: Any = self.transport
        transport.write(data, to)


def pair(conditions: Conditions | None = None, seed: int = 1) -> tuple[Network, Sink, Sink]:
    network = Network(seed, conditions, keep_trace=True)
    return network, Sink(network.node("192.0.2.1")), Sink(network.node("192.0.2.2"))


def test_a_datagram_arrives_within_the_delay() -> None:
    network, one, other = pair(Conditions(delay=(0.1, 0.2)))
    one.send(b"hello")
    network.advance(0.0999)
    assert other.came == []
    network.advance(0.11)
    [(time, data, source)] = other.came
    assert 0.1 <= time <= 0.2
    assert (data, source) == (b"hello", ("192.0.2.1", 5060))


def test_nothing_is_lost_unless_asked_for() -> None:
    network, one, other = pair()
    for number in range(200):
        one.send(b"%d" % number)
    network.advance(1.0)
    assert len(other.came) == 200


def test_loss_and_duplication_come_at_their_rates() -> None:
    network, one, other = pair(Conditions(loss=0.3))
    for _ in range(2000):
        one.send(b"x")
    network.advance(1.0)
    assert 1300 < len(other.came) < 1500
    assert [fate for *_, fate, _ in network.trace].count("lost") == 2000 - len(other.came)
    network, one, other = pair(Conditions(duplication=0.2))
    for _ in range(2000):
        one.send(b"x")
    network.advance(1.0)
    assert 2300 < len(other.came) < 2500


def test_reordering_lets_some_be_overtaken() -> None:
    def disorder(reordering: float) -> int:
        network, one, other = pair(Conditions(reordering=reordering, delay=(0.01, 0.01)))
        for number in range(500):
            one.send(b"%d" % number)
            network.advance(0.005)
        network.advance(1.0)
        numbers = [int(data) for _, data, _ in other.came]
        assert sorted(numbers) == list(range(500))
        return sum(1 for before, after in pairwise(numbers) if after < before)

    assert disorder(0.0) == 0
    assert disorder(0.2) > 20


def test_fragments_pass_or_not() -> None:
    network, one, other = pair(Conditions(mtu=1500))
    one.send(b"x" * 1501)
    network.advance(1.0)
    assert len(other.came) == 1
    network.conditions.fragments_pass = False
    one.send(b"x" * 1501)
    one.send(b"x" * 1500)
    network.advance(1.0)
    assert [len(data) for _, data, _ in other.came] == [1501, 1500]
    assert network.trace[1][3] == "too large"


def test_a_socket_refuses_what_no_datagram_holds() -> None:
    _, one, _ = pair()
    with pytest.raises(MessageLengthError):
        one.send(b"x" * 65508)


def test_a_receiver_cuts_off_what_is_beyond_its_buffer() -> None:
    network, one, other = pair()
    other.port.maxPacketSize = 10
    one.send(b"x" * 20)
    network.advance(1.0)
    assert other.came[0][1] == b"x" * 10


def test_nobody_listens() -> None:
    network, one, _ = pair()
    one.send(b"x", ("192.0.2.2", 9))
    one.send(b"x", ("192.0.2.99", 5060))
    network.advance(1.0)
    # ICMP says so, where there is a machine to say it.
    assert one.refusals == [Address("192.0.2.2", 9)]


def test_a_closed_socket_hears_and_says_nothing() -> None:
    network, one, other = pair()
    other.port.stopListening()
    one.send(b"x")
    other.port.write(b"x", ("192.0.2.1", 5060))
    network.advance(1.0)
    assert (one.came, other.came) == ([], [])
    Sink(other.node)


def test_addresses_are_taken_once() -> None:
    network, one, _ = pair()
    with pytest.raises(ValueError, match="taken"):
        network.node("192.0.2.1")
    with pytest.raises(CannotListenError):
        Sink(one.node)
    with pytest.raises(CannotListenError):
        one.node.listenUDP(5061, DatagramProtocol(), interface="192.0.2.2")
    assert one.node.listenUDP(0, DatagramProtocol()).getHost().port >= 49152


def test_ipv6() -> None:
    network = Network()
    one, other = Sink(network.node("2001:db8::1")), Sink(network.node("192.0.2.2", "2001:db8::2"), interface="::")
    one.send(b"x", ("2001:db8::2", 5060))
    network.advance(1.0)
    assert other.came[0][2] == ("2001:db8::1", 5060)


def test_a_cut_parts_two_nodes_and_no_others() -> None:
    network, one, other = pair()
    third = Sink(network.node("192.0.2.3"))
    network.cut(one.node, other.node)
    one.send(b"lost")
    one.send(b"arrives", ("192.0.2.3", 5060))
    network.advance(1.0)
    assert (len(other.came), len(third.came)) == (0, 1)
    network.mend(other.node, one.node)
    one.send(b"arrives")
    network.advance(1.0)
    assert [data for _, data, _ in other.came] == [b"arrives"]


def test_a_crash_stops_timers_and_sockets_and_frees_the_address() -> None:
    network, one, other = pair()
    fired: list[str] = []
    one.node.callLater(1.0, fired.append, "of the dead")
    other.node.callLater(1.0, fired.append, "of the living")
    other.send(b"x", ("192.0.2.1", 5060))
    one.node.crash()
    one.send(b"from the dead")
    network.advance(2.0)
    assert fired == ["of the living"]
    assert (one.came, other.came) == ([], [])
    again = Sink(network.node("192.0.2.1"))
    other.send(b"x", ("192.0.2.1", 5060))
    network.advance(1.0)
    assert len(again.came) == 1
    assert one.node.getDelayedCalls() == []


def test_every_call_has_its_own_time() -> None:
    network = Network()
    node = network.node("192.0.2.1")
    times: list[float] = []

    def again() -> None:
        times.append(node.seconds())
        if len(times) < 5:
            node.callLater(0.25, again)

    node.callLater(0.25, again)
    network.advance(10.0)
    assert times == [0.25, 0.5, 0.75, 1.0, 1.25]
    assert node.seconds() == 10.0


def test_advance_until() -> None:
    network = Network(7)
    node = network.node("192.0.2.1")
    done: list[bool] = []
    node.callLater(3.0, done.append, True)
    node.callLater(9.0, done.append, True)
    network.advance_until(lambda: bool(done))
    assert (node.seconds(), len(done)) == (3.0, 1)
    with pytest.raises(AssertionError, match="seed 7"):
        network.advance_until(lambda: len(done) == 3, 60.0)


def test_many_calls_are_forgotten_when_they_are_over() -> None:
    network = Network()
    node = network.node("192.0.2.1")
    for _ in range(1000):
        node.callLater(0.0, lambda: None)
        network.advance(0.001)
    assert len(node._calls) < 200
    assert node.getDelayedCalls() == []


def test_one_seed_does_the_same_and_another_something_else() -> None:
    def run(seed: int) -> list[Any]:
        network, one, other = pair(Conditions(loss=0.3, duplication=0.3, reordering=0.3), seed)
        for number in range(100):
            one.send(b"%d" % number)
        network.advance(1.0)
        return [*other.came, network.random_bytes(8)]

    assert run(1) == run(1)
    assert run(1) != run(2)
