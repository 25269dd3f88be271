"""Two ICE agents on the simulated network, and what goes between them."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import DatagramProtocol

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.agent import ICEAgent
from twisted_sip.media.ice.pair import CandidatePair
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.media.ice.stream import ICEStream
from twisted_sip.testing.network import Network
from twisted_sip.testing.node import Node
from twisted_sip.transaction.timers import TimerQueue


class Socket(DatagramProtocol):
    """One socket of a component."""

    def __init__(self, side: Side, component: int) -> None:
        self.side = side
        self.component = component
        self.transport: Any = None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        source = Address(*addr[:2])
        stream = self.side.stream
        if not stream.datagram(self.component, self.base, source, datagram):
            self.side.received.append((self.component, datagram))

    def refused(self, destination: Address) -> None:
        if self.side.tell_refusals:
            self.side.stream.refused(self.component, self.base, destination)

    @property
    def base(self) -> Address:
        here = self.transport.getHost()
        return Address(here.host, here.port)


class Side:
    """One end of a call: sockets, agent and stream, and what they told."""

    def __init__(
        self,
        node: Node,
        settings: ICESettings | None = None,
        *,
        controlling: bool,
        lite: bool = False,
        components: int = 2,
    ) -> None:
        self.node = node
        self.timers = TimerQueue(node)
        self.sockets: dict[Address, Any] = {}
        self.received: list[tuple[int, bytes]] = []
        self.selected: dict[int, CandidatePair] = {}
        self.events: list[str] = []
        self.tell_refusals = False
        self.agent = ICEAgent(
            self, self.timers, node.network.random_bytes, settings, controlling=controlling, lite=lite
        )
        bases: dict[int, list[Address]] = {}
        for component in range(1, components + 1):
            for host in node.hosts:
                socket = Socket(self, component)
                port = node.listenUDP(0, socket, interface=host)
                self.sockets[socket.base] = port
                bases.setdefault(component, []).append(socket.base)
        self.stream: ICEStream = self.agent.add_stream(self, bases, name=node.name)

    # ICEUser and ICEStreamUser
    def ice_gathered(self) -> None:
        self.events.append("gathered")

    def ice_closed(self) -> None:
        self.events.append("closed")

    def ice_send(self, component: int, base: Address, remote: Address, data: bytes) -> None:
        self.sockets[base].write(data, (remote.host, remote.port))

    def ice_received(self, component: int, remote: Address, data: bytes) -> None:
        self.received.append((component, data))

    def ice_selected(self, component: int, pair: CandidatePair) -> None:
        self.selected[component] = pair
        self.events.append(f"selected {component}")

    def ice_completed(self) -> None:
        self.events.append("completed")

    def ice_failed(self, reason: str) -> None:
        self.events.append(f"failed: {reason}")

    @property
    def failed(self) -> bool:
        return any(event.startswith("failed") for event in self.events)

    @property
    def kinds(self) -> tuple[str, str]:
        """The types of the selected pair of the first component."""
        pair = self.selected[1]
        assert pair.local.candidate.kind is not None and pair.remote.kind is not None
        return pair.local.candidate.kind.value, pair.remote.kind.value


class ICECall:
    """An offerer and an answerer whose descriptions are handed over at once."""

    def __init__(self, network: Network, offerer: Side, answerer: Side) -> None:
        self.network = network
        self.offerer = offerer
        self.answerer = answerer

    def exchange(self) -> None:
        """Gather here, gather there, start both."""
        offerer, answerer = self.offerer, self.answerer
        self.gather(offerer)
        self.tell(offerer, answerer)
        self.gather(answerer)
        self.tell(answerer, offerer)
        answerer.agent.start()
        offerer.agent.start()

    def gather(self, side: Side) -> None:
        before = side.events.count("gathered")
        side.agent.gather()
        self.network.advance_until(lambda: side.events.count("gathered") > before, 60)

    def tell(self, one: Side, other: Side) -> None:
        stream = one.stream
        other.stream.set_remote(stream.ufrag, stream.pwd, stream.local_candidates, lite=one.agent.lite)

    def complete(self, limit: float = 120.0) -> None:
        self.network.advance_until(
            lambda: self.offerer.stream.state == self.answerer.stream.state == "completed", limit
        )

    def talk(self) -> None:
        """Send data both ways over every component."""
        for one, other in ((self.offerer, self.answerer), (self.answerer, self.offerer)):
            for component in one.selected:
                data = bytes((128, component)) + one.node.name.encode()
                for _ in range(40):
                    assert one.stream.send(component, data)
                    self.network.advance(0.1)
                    if (component, data) in other.received:
                        break
                assert (component, data) in other.received

    def close(self) -> None:
        for side in (self.offerer, self.answerer):
            side.agent.close()
        self.network.advance(60)
        for side in (self.offerer, self.answerer):
            assert side.agent.idle
            assert side.timers.pending == 0
            assert side.events.count("closed") == 1
