"""An ICE agent, and a peer that does what the test says."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import DatagramProtocol

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.binding_check import CheckTerms, check_request
from twisted_sip.media.ice.candidate import Candidate
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.message import (
    INDICATION,
    MESSAGE_INTEGRITY,
    REQUEST,
    SUCCESS,
    XOR_MAPPED_ADDRESS,
    STUNMessage,
    parse_stun,
)
from twisted_sip.stun.server import Signature, answer
from twisted_sip.testing.network import Network

from .conftest import Side

UFRAG, PWD = "peer", "p" * 22
KEY = Signature(PWD.encode(), MESSAGE_INTEGRITY, "")


class Peer(DatagramProtocol):
    """Takes what comes; answers checks as *manner* says."""

    def __init__(self, scene: Scene, host: str, port: int = 7000) -> None:
        self.scene = scene
        self.requests: list[STUNMessage] = []
        self.responses: list[STUNMessage] = []
        self.indications = 0
        node = scene.network.node(host) if host not in scene.nodes else scene.nodes[host]
        scene.nodes[host] = node
        self.address = Address(host, port)
        self.port = node.listenUDP(port, self, interface=host)
        self.manner: Any = self.agree

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = parse_stun(datagram)
        if message.message_class == REQUEST:
            self.requests.append(message)
            response = self.manner(message, Address(*addr))
            if response is not None:
                self.port.write(response, addr)
        elif message.message_class == INDICATION:
            self.indications += 1
        else:
            self.responses.append(message)

    def agree(self, request: STUNMessage, source: Address) -> bytes | None:
        mapped = encode_xor_address(*source, request.transaction_id)
        return answer(request, SUCCESS, ((XOR_MAPPED_ADDRESS, mapped),), KEY)

    def silent(self, request: STUNMessage, source: Address) -> bytes | None:
        return None

    def check(
        self, *, controlling: bool = False, use_candidate: bool = False, component: int = 1, tiebreaker: int = 1
    ) -> None:
        """Send a connectivity check."""
        stream = self.scene.side.stream
        terms = CheckTerms(f"{stream.ufrag}:{UFRAG}", stream.pwd.encode(), 5, controlling, tiebreaker, use_candidate)
        self.send(check_request(self.scene.network.random_bytes(12), terms), component)

    def send(self, data: bytes, component: int = 1) -> None:
        self.port.write(data, self.scene.side.stream.bases[component][0])

    def candidate(self, component: int = 1, priority: int = 2130706431) -> Candidate:
        host, port = self.address
        return Candidate.parse(f"1 {component} UDP {priority} {host} {port} typ host")


class Scene:
    def __init__(
        self,
        settings: ICESettings | None = None,
        *,
        controlling: bool = True,
        components: int = 1,
        lite: bool = False,
    ) -> None:
        self.network = Network(3)
        self.nodes: dict[str, Any] = {}
        self.side = Side(
            self.network.node("192.0.2.1"), settings, controlling=controlling, components=components, lite=lite
        )
        self.peer = Peer(self, "192.0.2.2")
        self.side.agent.gather()

    @property
    def stream(self) -> Any:
        return self.side.stream

    def start(self, *candidates: Candidate, lite: bool = False) -> Scene:
        self.stream.set_remote(UFRAG, PWD, candidates or [self.peer.candidate()], lite=lite)
        self.side.agent.start()
        return self

    def pass_time(self, seconds: float = 2.0) -> Scene:
        self.network.advance(seconds)
        return self

    def close(self) -> None:
        self.side.agent.close()
        assert self.side.agent.idle
        assert not self.side.timers.pending
        self.peer.check()
        before = len(self.peer.responses)
        self.pass_time(100)
        assert len(self.peer.responses) == before
        self.side.agent.close()
        self.side.agent.wake()
        assert self.side.events.count("closed") == 1
