"""A lossy network, a server that dies, a recipient who comes and goes: nothing acknowledged is lost, order is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.messaging.service import MessagingService
from twisted_sip.messaging.settings import MessagingSettings
from twisted_sip.proxy.location_router import LocationRouter
from twisted_sip.storage.message_sqlite import MESSAGE_FILE, SQLiteMessageStore
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.testing.slow_disk import SlowDisk

BOB = "sip:bob@example.com"
SETTINGS = MessagingSettings(retry_first=40.0, retry_most=80.0)
SEEDS = range(int(os.environ.get("SEEDS", "8")))


class MessagingServer(SimulatedServer):
    """A server with messaging, whose store is on a slow disk."""

    def __init__(self, network: Network, directory: Path, **how: Any) -> None:
        self.state = directory
        super().__init__(network, directory=directory, **how)

    def _start(self) -> None:
        super()._start()
        node, element = self.node, self.element
        self.message_disk = SlowDisk(node, (0.0, 0.05))
        self.messages = SQLiteMessageStore(self.state / MESSAGE_FILE, node, self.message_disk)
        router = LocationRouter(element, self.location)
        self.messaging = MessagingService(
            element,
            self.location,
            self.messages,
            router.target_of,
            settings=SETTINGS,
            user_known=lambda aor: aor == BOB,
        )
        element.chain.insert(-1, self.messaging)
        self.messaging.startService()

    def crash(self) -> None:
        self.message_disk.crash()
        self.messages.abandon()
        super().crash()


class Bob:
    """A user whose phones come and go."""

    def __init__(self, network: Network, server: MessagingServer) -> None:
        self.network = network
        self.server = server
        self.phones: list[SimulatedPhone] = []

    def come(self, transport: str = "udp") -> None:
        node = self.network.node(f"198.51.100.{len(self.phones) + 10}")
        phone = SimulatedPhone(
            self.network, node, "bob", proxy=self.server.route(transport), password="b", transport=transport,
            instance="00000000-0000-1000-8000-000000000002" if transport == "tcp" else "", keep_alive=20.0,
        )  # fmt: skip
        phone.registration.start(60)
        self.phones.append(phone)

    def go(self) -> None:
        if self.phones and self.phones[-1].alive:
            self.phones[-1].node.crash()

    @property
    def texts(self) -> list[str]:
        """What has come, in order, each once."""
        return list(dict.fromkeys(body.decode() for phone in self.phones for _, body in phone.messages))


class Writer:
    """Sends one message after the other, as RFC 3428 section 8 asks."""

    def __init__(self, phone: SimulatedPhone, count: int) -> None:
        self.phone = phone
        self.count = count
        self.number = 0
        self.outcomes: dict[str, int] = {}

    def write(self) -> None:
        if self.number == self.count:
            return
        text = str(self.number)
        self.number += 1

        def done(status: int, response: Any) -> None:
            self.outcomes[text] = status
            self.phone.element.timers.start(2.0, self.write)

        request = self.phone.build("MESSAGE", BOB, [("content-type", "text/plain")], text.encode())
        self.phone.send(request, done)

    @property
    def acknowledged(self) -> list[str]:
        return [text for text, status in self.outcomes.items() if status < 300]


def stage(
    seed: int, directory: Path, conditions: Conditions | None = None
) -> tuple[Network, MessagingServer, Any, Bob]:
    network = Network(seed, conditions)
    network.clock.advance(1_800_000_000.0)
    server = MessagingServer(network, directory, passwords={"alice": "a", "bob": "b"})
    alice = SimulatedPhone(network, network.node("198.51.100.1"), "alice", proxy=server.route(), password="a")
    return network, server, alice, Bob(network, server)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost(seed: int, tmp_path: Path) -> None:
    conditions = Conditions(loss=0.3, duplication=0.1, reordering=0.2, delay=(0.001, 0.1))
    network, server, alice, bob = stage(seed, tmp_path, conditions)
    chance = network.random
    writer = Writer(alice, 30)
    writer.write()
    while writer.number < writer.count:
        network.advance(chance.uniform(1.0, 15.0))
        event = chance.choice(("come", "come tcp", "go", "crash", ""))
        if event.startswith("come"):
            bob.go()
            bob.come("tcp" if event.endswith("tcp") else "udp")
        elif event == "go":
            bob.go()
        elif event == "crash":
            server.crash()
            network.advance(chance.uniform(0.0, 5.0))
            server.restart()
    network.advance(60.0)
    bob.go()
    bob.come()
    network.advance(900.0)
    assert len(writer.outcomes) == 30 and len(writer.acknowledged) > 15
    lost = [text for text in writer.acknowledged if text not in bob.texts]
    assert lost == []
    assert [text for text in bob.texts if text in writer.acknowledged] == writer.acknowledged
    assert list(server.messages.waiting(BOB)) == []
    # A message that came twice can be known for what it is: it has one Call-ID.
    for phone in bob.phones:
        assert len(phone.message_ids) <= len({body for _, body in phone.messages})
    # Every table is empty when everybody is gone.
    bob.phones[-1].quiet()
    alice.disconnect()
    network.advance(server.messaging.settings.lifetime + 10_000.0)
    assert server.leftovers() == {}
    assert (len(server.messaging.delivery), server.messaging.delivery.running) == (0, 0)


def test_away_and_back_again(tmp_path: Path) -> None:
    network, _, alice, bob = stage(1, tmp_path)
    first = alice.message(BOB, "one")
    network.advance(1.0)
    second = alice.message(BOB, "two")
    network.advance(1.0)
    assert [first.outcome, second.outcome] == [202, 202]
    bob.come("tcp")
    network.advance(5.0)
    assert bob.texts == ["one", "two"]
    third = alice.message(BOB, "three")
    network.advance(1.0)
    assert (third.outcome, bob.texts) == (200, ["one", "two", "three"])
    unknown = alice.message("sip:nobody@example.com", "x")
    network.advance(1.0)
    assert unknown.outcome == 404


def test_kill_9_between_the_200_of_the_device_and_the_disk(tmp_path: Path) -> None:
    """The one case in which a message comes twice: with all that tells it."""
    network, server, alice, bob = stage(1, tmp_path)
    alice.message(BOB, "one")
    network.advance(1.0)
    bob.come()
    phone = bob.phones[0]
    seen: list[Any] = []
    phone.element.message_seen = lambda message, data, flow: seen.append(message)
    network.advance_until(lambda: bool(phone.messages))
    network.advance_until(lambda: not server.messages.waiting(BOB))
    assert server.messages.under_way
    server.crash()
    server.restart()
    network.advance_until(lambda: len(phone.messages) == 2, 200.0)
    network.advance(1.0)
    requests = [message for message in seen if getattr(message, "method", "") == "MESSAGE"]
    assert len({(found.call_id, str(found.from_), str(found.to), found.cseq) for found in requests}) == 1
    assert len({found.top_via.branch for found in requests}) > 1
    network.advance(200.0)
    assert len(phone.messages) == 2 and server.messages.waiting(BOB) == []
