"""The simulated server, its disk and DNS, the heckler, and the collector of logged failures."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.heckler import Heckler
from twisted_sip.testing.network import Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.testing.slow_disk import SlowDisk
from twisted_sip.testing.slow_dns import SlowDNS

AOR = "sip:alice@example.com"


def binding() -> Binding:
    return Binding(aor=AOR, key="k", contact="sip:a@192.0.2.9", call_id="c", cseq=1, expires_at=100.0)


def test_what_is_not_durable_at_a_crash_is_gone(tmp_path: Path) -> None:
    for waits, survives in ((0.01, 0), (0.3, 1)):
        network = Network()
        directory = tmp_path / str(waits)
        directory.mkdir()
        server = SimulatedServer(network, directory=directory, disk_latency=(0.1, 0.2))
        done: list[Any] = []
        server.location.commit(LocationChange(AOR, put=(binding(),))).addCallback(done.append)
        network.advance(waits)
        server.crash()
        network.advance(1.0)
        assert len(done) == survives
        server.restart()
        found: Any = server.location.lookup(AOR)
        assert len(found) == survives
        assert (server.up, server.starts) == (True, 2)


def test_a_store_in_memory_outlives_its_server() -> None:
    network = Network()
    server = SimulatedServer(network)
    server.location.commit(LocationChange(AOR, put=(binding(),)))
    assert "bindings" in server.leftovers()
    server.crash()
    server.restart()
    found: Any = server.location.lookup(AOR)
    assert len(found) == 1
    network.advance(101.0)
    assert server.leftovers() == {}


def test_a_disk_does_one_thing_after_the_other_and_nothing_after_a_crash() -> None:
    network = Network()
    disk = SlowDisk(network.node("192.0.2.1"), (1.0, 1.0))
    done: list[tuple[str, Failure | None]] = []

    def work(name: str) -> None:
        disk.submit(lambda: None, lambda failure: done.append((name, failure)))

    def fault() -> None:
        raise OSError("full")

    work("one")
    disk.submit(fault, lambda failure: done.append(("two", failure)))
    work("three")
    network.advance(1.5)
    assert done == [("one", None)]
    network.advance(1.0)
    assert done[1][0] == "two" and done[1][1] is not None and done[1][1].check(OSError)
    disk.crash()
    disk._node.crash()
    network.advance(5.0)
    assert len(done) == 2
    work("clearing up")
    assert done[2] == ("clearing up", None)


def test_answers_of_the_dns_take_their_time_and_do_not_reach_the_dead() -> None:
    network = Network()
    zones = FakeDNS().a("example.net", "192.0.2.5")
    answers: list[Any] = []
    nodes = [network.node("192.0.2.1"), network.node("192.0.2.2")]
    for node in nodes:
        waiting: Deferred[Any] = SlowDNS(zones, node, (1.0, 2.0)).lookupAddress("example.net")
        waiting.addCallback(answers.append)
    network.advance(0.9)
    assert answers == []
    nodes[1].crash()
    network.advance(2.0)
    assert len(answers) == 1


def test_a_heckler_sends_many_things_and_the_same_for_the_same_seed() -> None:
    def messages(seed: int) -> list[bytes]:
        network = Network()
        heckler = Heckler(network.node("198.51.100.250"), random.Random(seed))
        peer = Peer(network.node("192.0.2.1"))
        for _ in range(50):
            heckler.shout(("192.0.2.1", 5060))
        network.advance(1.0)
        return sorted(arrival.data for arrival in peer.arrivals)

    assert messages(1) == messages(1)
    assert messages(1) != messages(2)
    assert len(set(messages(1))) > 45


def test_behaviours_are_drawn_from_a_seed() -> None:
    drawn = [Behaviour.drawn(random.Random(seed)) for seed in range(100)]
    assert drawn == [Behaviour.drawn(random.Random(seed)) for seed in range(100)]
    assert len({behaviour.reaction for behaviour in drawn}) == 6


def test_logged_failures() -> None:
    log = Logger(namespace="test")
    with LoggedFailures() as failures:
        log.warn("no error")
        log.error("an {what}", what="error")
        log.failure("a failure", Failure(ValueError("why")))
    log.error("too late")
    assert len(failures.texts) == 2
    assert failures.texts[0] == "an error"
    assert "ValueError: why" in failures.texts[1]
