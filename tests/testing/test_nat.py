"""NATs: mapping, filtering, lifetime (RFC 4787 sections 4 and 5)."""

from __future__ import annotations

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer

#: Where those outside are.
ONE, OTHER = "192.0.2.1", "192.0.2.2"


class Ground:
    def __init__(self, nat: NAT, network: Network) -> None:
        self.network, self.nat = network, nat
        self.inside = Peer(network.node("10.0.0.1", behind=nat))
        self.one, self.other = Peer(network.node(ONE)), Peer(network.node(OTHER))

    def open(self) -> Address:
        """Send from inside to ONE; return the public address that it sees."""
        self.inside.send(b"out", (ONE, 5060))
        self.network.advance(0.1)
        return self.one.arrivals[-1].source

    def gets_in(self, peer: Peer, to: Address) -> bool:
        before = len(self.inside.arrivals)
        peer.send(b"in", to)
        self.network.advance(0.1)
        return len(self.inside.arrivals) > before


def ground(**kind: str) -> Ground:
    network = Network()
    return Ground(NAT(network, "203.0.113.1", **kind), network)  # type: ignore[arg-type]


def test_nothing_gets_in_before_something_went_out() -> None:
    stage = ground(filtering="endpoint")
    assert not stage.gets_in(stage.one, Address("203.0.113.1", 5060))
    assert not stage.gets_in(stage.one, Address("203.0.113.1", 40000))


@pytest.mark.parametrize(
    ("filtering", "same_host", "other_host"),
    [("endpoint", True, True), ("address", True, False), ("address-and-port", False, False)],
)
def test_filtering(filtering: str, same_host: bool, other_host: bool) -> None:
    stage = ground(filtering=filtering)
    public = stage.open()
    assert public.host == "203.0.113.1"
    assert stage.gets_in(stage.one, public)
    second = Peer(stage.one.node, 5070)
    assert stage.gets_in(second, public) is same_host
    assert stage.gets_in(stage.other, public) is other_host


def test_a_cone_keeps_the_port_and_a_symmetric_one_does_not() -> None:
    for mapping, same in (("endpoint", True), ("address-and-port", False)):
        stage = ground(mapping=mapping)
        public = stage.open()
        assert stage.open() == public
        stage.inside.send(b"out", (OTHER, 5060))
        stage.network.advance(0.1)
        assert (stage.other.arrivals[-1].source == public) is same


def test_the_usual_kinds() -> None:
    network = Network()
    full = Ground(NAT.full_cone(network, "203.0.113.1"), network)
    assert full.gets_in(full.other, full.open())
    network = Network()
    restricted = Ground(NAT.port_restricted(network, "203.0.113.1"), network)
    assert not restricted.gets_in(restricted.other, restricted.open())
    network = Network()
    symmetric = Ground(NAT.symmetric(network, "203.0.113.1"), network)
    assert not symmetric.gets_in(symmetric.other, symmetric.open())


def test_a_mapping_ends_unless_it_is_refreshed_from_inside() -> None:
    stage = ground()
    public = stage.open()
    for _ in range(3):
        stage.network.advance(100.0)
        assert stage.gets_in(stage.one, public)
        assert stage.open() == public
    stage.network.advance(121.0)
    assert not stage.gets_in(stage.one, public)
    assert stage.open() != public


def test_what_comes_in_refreshes_nothing() -> None:
    stage = ground()
    public = stage.open()
    stage.network.advance(100.0)
    assert stage.gets_in(stage.one, public)
    stage.network.advance(100.0)
    assert not stage.gets_in(stage.one, public)


def test_a_lost_datagram_refreshes_the_mapping_all_the_same() -> None:
    stage = ground()
    public = stage.open()
    stage.network.advance(100.0)
    stage.network.conditions.loss = 1.0
    stage.inside.send(b"out", (ONE, 5060))
    stage.network.conditions.loss = 0.0
    stage.network.advance(100.0)
    assert stage.gets_in(stage.one, public)


def test_after_a_power_cut_the_ports_are_others() -> None:
    stage = ground()
    public = stage.open()
    stage.nat.reboot()
    assert not stage.gets_in(stage.one, public)
    assert stage.open() != public


def test_two_inside_reach_each_other_without_it() -> None:
    stage = ground()
    second = Peer(stage.network.node("10.0.0.2", behind=stage.nat))
    second.send(b"x", ("10.0.0.1", 5060))
    stage.network.advance(0.1)
    assert stage.inside.arrivals[-1].source == Address("10.0.0.2", 5060)


def test_two_networks_may_use_the_same_private_addresses() -> None:
    stage = ground()
    elsewhere = NAT(stage.network, "203.0.113.2")
    double = Peer(stage.network.node("10.0.0.1", behind=elsewhere))
    double.send(b"x", (ONE, 5060))
    stage.network.advance(0.1)
    assert stage.one.arrivals[-1].source.host == "203.0.113.2"


def test_faults_of_the_caller() -> None:
    network = Network()
    with pytest.raises(ValueError, match="mapping"):
        NAT(network, "203.0.113.1", mapping="cone")
    with pytest.raises(ValueError, match="filtering"):
        NAT(network, "203.0.113.1", filtering="none")
    NAT(network, "203.0.113.1")
    with pytest.raises(ValueError, match="taken"):
        NAT(network, "203.0.113.1")
    with pytest.raises(ValueError, match="taken"):
        network.node("203.0.113.1")
