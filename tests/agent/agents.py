"""Agents on the simulated network, with media that are none."""

from __future__ import annotations

from typing import Any

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallEvent
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.element.element import Element
from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.interfaces.media import MediaStatistics
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import leftovers
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

SDP = """v=0
o=- {id} {version} IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 4000 RTP/AVP 0
a={way}
"""


#: Settings of those who do what anybody wants of their calls.
OPEN: dict[str, Any] = {"accept_transfers": "anybody", "transfer_targets": ("*",), "accept_replaces": "anybody"}


class FakeMedia:
    """Describes sessions, keeps count, and has sound that nobody hears."""

    opened: list[FakeMedia]

    def __init__(self, call: Any = None) -> None:
        self.call = call
        self.holding = False
        self.version = 0
        self.offered = False
        self.local: SessionDescription | None = None
        self.remote: SessionDescription | None = None
        self.closed = 0
        self.rollbacks = 0
        self.refuses: MediaRefused | None = None
        self.on_dtmf: Any = None
        self.keys: list[tuple[str, Any]] = []
        self.bridged: list[Any] = []

    def describe(self) -> SessionDescription:
        self.version += 1
        way = "sendonly" if self.holding else "sendrecv"
        return SessionDescription.parse(SDP.format(id=id(self), version=self.version, way=way))

    def offer(self) -> SessionDescription:
        if self.offered or self.closed:
            raise LocalProtocolError("an offer is open")
        self.offered = True
        return self.describe()

    def answer(self, offer: SessionDescription) -> SessionDescription:
        if self.refuses is not None:
            raise self.refuses
        if self.offered or self.closed:
            raise LocalProtocolError("an offer is open")
        self.remote = offer
        return self.describe()

    def answered(self, answer: SessionDescription) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.offered = False
        self.remote = answer

    def rolled_back(self) -> None:
        self.rollbacks += 1
        self.offered = False

    def hold(self, on: bool) -> None:
        self.holding = on

    def statistics(self) -> MediaStatistics:
        return MediaStatistics(codec="PCMU/8000")

    def close(self) -> None:
        self.closed += 1

    def play(self, source: Any) -> Any:
        self.keys.append(("play", source))

    def stop_playing(self) -> None:
        self.keys.append(("stop", None))

    def record(self, sink: Any) -> None:
        self.keys.append(("record", sink))

    def stop_recording(self) -> None:
        self.keys.append(("stop recording", None))

    def echo(self, on: bool = True) -> None:
        self.keys.append(("echo", on))

    def bridge(self, other: Any) -> None:
        self.bridged.append(other)

    def send_dtmf(self, digits: str, **how: Any) -> Any:
        self.keys.append((digits, how["inband"]))


class Agent(UserAgent):
    """Keeps the calls that come in."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        super().__init__(*arguments, **how)
        self.arrived: list[Call] = []
        self.told: list[tuple[Call, CallEvent]] = []
        self.does: Any = None

    def incoming_call(self, call: Call) -> Any:
        self.arrived.append(call)
        return self.does(call) if self.does is not None else None


class Scene:
    """Some agents and a network."""

    def __init__(
        self, seed: int = 3, conditions: Conditions | None = None, *, server: bool = False, **how: Any
    ) -> None:
        self.network = Network(seed, conditions)
        self.media: list[FakeMedia] = []
        self.agents: dict[str, Any] = {}
        self.server: Any = None
        if server:
            how.setdefault("passwords", dict.fromkeys(("alice", "bob", "carol"), "secret"))
            self.server = SimulatedServer(self.network, "192.0.2.1", **how)

    def make_media(self, call: Any) -> FakeMedia:
        self.media.append(FakeMedia(call))
        return self.media[-1]

    def agent(self, name: str, number: int, *, kind: Any = Agent, media: bool = True, **settings: Any) -> Any:
        host = f"198.51.100.{number}"
        node = self.network.node(host)
        element = Element(node, random_bytes=self.network.random_bytes, resolver=Resolver(node, names=FakeDNS()))
        node.listenUDP(5060, SIPDatagramProtocol(element), interface=host, maxPacketSize=65535)
        made = kind(element, settings=AgentSettings(**settings), media=self.make_media if media else None)
        self.agents[name] = made
        if self.server is None:
            made.account(f"sip:{name}@{host}")
        else:
            made.register(f"sip:{name}@example.com", password="secret", outbound_proxies=["sip:192.0.2.1"])
        made.startService()
        made.uri = f"sip:{name}@{host}" if self.server is None else f"sip:{name}@example.com"
        self.network.advance(1)
        return made

    def peer(self, number: int = 9) -> Peer:
        return Peer(self.network.node(f"198.51.100.{number}"))

    def run(self, seconds: float = 1.0) -> None:
        self.network.advance(seconds)

    def established(self, caller: Any, callee: Any, **how: Any) -> tuple[Call, Call]:
        """Return both ends of a call."""
        callee.does = lambda call: call.answer()
        call = caller.call(callee.uri, **how)
        self.run()
        callee.does = None
        assert call.established, call
        return call, callee.arrived[-1]

    def stop(self) -> None:
        """Stop all agents; nothing is left of anything."""
        ends: list[Any] = []
        for agent in self.agents.values():
            agent.stopService().addCallback(ends.append)
        self.run(10)
        assert len(ends) == len(self.agents)
        self.run(300)
        for name, agent in self.agents.items():
            held = {
                **leftovers(agent.element),
                "calls": len(agent.table),
                "dialogs": len(agent.dialogs),
                "referrals": len(agent.referring),
                "flows": len(agent.keeper),
                "timers of calls": len(agent.table._timers),
            }
            assert {what: count for what, count in held.items() if count} == {}, name
        for media in self.media:
            assert media.closed == 1, media.call


def events(call: Call) -> list[str]:
    """Return the kinds of events of *call*."""
    return [type(event).__name__ for event in call.log.kept()]
