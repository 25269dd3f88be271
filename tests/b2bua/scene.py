"""A b2bua on the simulated network, agents with sound around it, and what each scenario has to leave: nothing."""

from __future__ import annotations

from typing import Any

from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.b2bua.bridged_call import BridgedCall
from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.element.element import Element
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.accounting_memory import MemoryAccounting
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.media_network import MediaNetwork
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

HOST = "192.0.2.1"


class Agent(UserAgent):
    """Keeps the calls that come in."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        super().__init__(*arguments, **how)
        self.arrived: list[Call] = []
        self.does: Any = None

    def incoming_call(self, call: Call) -> Any:
        self.arrived.append(call)
        return self.does(call) if self.does is not None else None


class Scene:
    """A b2bua for example.com, with agents whose contacts it knows."""

    def __init__(
        self,
        seed: int = 5,
        conditions: Conditions | None = None,
        *,
        kind: Any = B2BUA,
        settings: dict[str, Any] | None = None,
        plane: bool | None = None,
        **how: Any,
    ) -> None:
        self.network = Network(seed, conditions, keep_trace=True)
        self.media = MediaNetwork(self.network.clock)
        self.location = MemoryLocationStore(self.network.clock)
        self.accounting = MemoryAccounting()
        made = B2BUASettings(**(settings or {}))
        element = self.element(HOST, domains=["example.com"])
        self.plane = self.media.plane(HOST) if plane or made.media != "direct" else None
        how.setdefault("trusts_everybody", True)
        self.b2bua = kind(
            element,
            settings=made,
            location=self.location,
            media=self.plane,
            accounting=self.accounting,
            now=self.network.clock.seconds,
            **how,
        )
        self.b2bua.startService()
        self.agents: dict[str, Any] = {}
        self.planes: list[Any] = []

    def element(self, host: str, **how: Any) -> Element:
        node = self.network.node(host)
        resolver = Resolver(node, names=FakeDNS())
        element = Element(node, random_bytes=self.network.random_bytes, resolver=resolver, **how)
        node.listenUDP(5060, SIPDatagramProtocol(element), interface=host, maxPacketSize=65535)
        return element

    def agent(
        self,
        name: str,
        number: int,
        *,
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
        sound: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Any:
        host = f"198.51.100.{number}"
        plane = self.media.plane(host, codecs=codecs, timeout=0, **(sound or {}))
        self.planes.append(plane)
        made = Agent(self.element(host), settings=AgentSettings(**settings), media=plane)
        # It calls by way of the b2bua.
        made.account(f"sip:{name}@example.com", route=[f"<sip:{HOST};lr>"])
        made.startService()
        made.uri = f"sip:{name}@example.com"
        made.host = host
        self.agents[name] = made
        self.bind(name, f"sip:{made.user}@{host}")
        return made

    def bind(self, name: str, contact: str, **how: Any) -> None:
        """Register *contact*."""
        aor = f"sip:{name}@example.com"
        binding = Binding(
            aor=aor, key=contact, contact=contact, call_id="r", cseq=1, expires_at=1e9, registered_at=0.0, **how
        )
        self.location.commit(LocationChange(aor=aor, put=(binding,)))

    def peer(self, number: int = 9) -> Peer:
        return Peer(self.network.node(f"198.51.100.{number}"))

    def run(self, seconds: float = 1.0) -> None:
        self.network.advance(seconds)

    @property
    def bridged(self) -> list[BridgedCall]:
        return list(self.b2bua.bridged)

    def established(self, caller: Any, callee: Any, **how: Any) -> tuple[Call, Call]:
        """Return both ends of a call."""
        callee.does = lambda call: call.answer()
        call = caller.call(callee.uri, **how)
        self.run()
        callee.does = None
        assert call.established, (call, call.ending)
        return call, callee.arrived[-1]

    def hear(self, *pairs: tuple[Call, Call]) -> None:
        """Check that those hear each other."""
        before = {call: call.statistics().packets_received for pair in pairs for call in pair}
        self.run(1.0)
        for call, count in before.items():
            assert call.statistics().packets_received - count > 30, call

    def messages(self, host: str) -> list[bytes]:
        """Return what went to or came from *host*."""
        return [data for _, source, target, _, data in self.network.trace if host in (source.host, target.host)]

    def stop(self) -> None:
        """Stop everybody; nothing is left of anything."""
        ends: list[Any] = []
        for agent in self.agents.values():
            agent.stopService().addCallback(ends.append)
        self.run(10)
        self.b2bua.stopService().addCallback(ends.append)
        self.run(10)
        assert len(ends) == len(self.agents) + 1
        self.run(300)
        for name, agent in {**self.agents, "b2bua": self.b2bua}.items():
            held = {
                **leftovers(agent.element),
                "calls": len(agent.table),
                "dialogs": len(agent.dialogs),
                "referrals": len(agent.referring),
                "timers of calls": len(agent.table._timers),
            }
            assert {what: count for what, count in held.items() if count} == {}, name
        assert not self.b2bua.bridged and not self.b2bua.click_calls and not len(self.b2bua.users)
        for plane in [*self.planes, *([self.plane] if self.plane else [])]:
            assert not plane.sessions and not plane.relays
        assert not self.media.sockets
        assert not self.accounting.under_way
