"""A b2bua on a node of the simulated network, by which media pass; what is left of it can be asked for."""

from __future__ import annotations

from typing import Any

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.element.element import Element
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.phone import leftovers
from twisted_sip.testing.simulated_agent import SimulatedAgent
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver


class SimulatedB2BUA(B2BUA):
    """A b2bua for ``example.com`` on a network that it trusts; it listens at port 5060 over UDP.

    :ivar who: its name.
    :ivar node: its node.
    """

    def __init__(
        self, network: Network, host: str = "192.0.2.1", *, who: str = "b2bua", dns: FakeDNS | None = None, **how: Any
    ) -> None:
        """Switch it on.

        :param how: further arguments of B2BUA.
        """
        self.who = who
        self.node = node = network.node(host)
        self._bindings = MemoryLocationStore(network.clock)
        element = Element(
            node,
            random_bytes=network.random_bytes,
            resolver=Resolver(node, names=dns or FakeDNS(), randbelow=network.random.randrange),
            domains=["example.com"],
        )
        node.listenUDP(5060, SIPDatagramProtocol(element), interface=host, maxPacketSize=65535)
        super().__init__(element, location=self._bindings, trusts_everybody=True, now=network.clock.seconds, **how)
        self.startService()

    def __repr__(self) -> str:
        return f"<{self.who} at {self.node.hosts[0]}>"

    def bind(self, agent: SimulatedAgent) -> None:
        """Calls for ``sip:<user>@example.com`` go to *agent*, too."""
        aor = f"sip:{agent.who}@example.com"
        contact = f"sip:{agent.user}@{agent.node.hosts[0]}"
        binding = Binding(aor=aor, key=contact, contact=contact, call_id="r", cseq=1, expires_at=1e9, registered_at=0.0)
        found = self._bindings.lookup(aor)
        self._bindings.commit(LocationChange(aor=aor, put=(*found, binding)))

    def disconnect(self) -> None:
        """Close every connection."""
        for flow in self.element.transports.connections.flows():
            flow.abort()

    def leftovers(self) -> dict[str, Any]:
        """Return what is still held, by name; empty once it has stopped and every deadline has passed."""
        held: dict[str, Any] = {
            **leftovers(self.element),
            "calls": len(self.table),
            "timers of calls": len(self.table._timers),
            "dialogs": len(self.dialogs),
            "referrals": len(self.referring),
            "bridged calls": len(self.bridged),
            "clicked calls": len(self.click_calls),
            "users": len(self.users),
        }
        return {name: found for name, found in held.items() if found}
