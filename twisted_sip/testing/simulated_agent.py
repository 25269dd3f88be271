"""A user agent on a node of the simulated network, with media that nobody hears; what is left of it can be asked for.

::

    network = Network(seed=7)
    alice = SimulatedAgent(network, "198.51.100.1", "alice")
    bob = SimulatedAgent(network, "198.51.100.2", "bob")
    call = alice.call(bob.uri)
    network.advance(1)
    bob.arrived[0].answer()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.element.element import Element
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.faked_media import FakedPorts
from twisted_sip.testing.network import Network
from twisted_sip.testing.phone import leftovers
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.stream import SIPFactory


class SimulatedAgent(UserAgent):
    """A user agent that listens at port 5060 of its host, over UDP and TCP.

    :ivar who: its user.
    :ivar uri: where it can be called: its host, or its address-of-record where it has a proxy.
    :ivar node: its node.
    :ivar ports: the ports of its media.
    :ivar arrived: the calls that came in.
    :ivar made: the calls that it has made, those that transfers ask for included.
    :ivar does: called with each call that comes in, may be awaitable; None lets it be.
    """

    def __init__(
        self,
        network: Network,
        host: str,
        name: str,
        *,
        proxy: str = "",
        domain: str = "example.com",
        password: str = "",
        dns: FakeDNS | None = None,
        media: bool = True,
        does: Callable[[Call], Any] | None = None,
        settings: AgentSettings | None = None,
        route: tuple[str, ...] = (),
        aor: str = "",
        **how: Any,
    ) -> None:
        """Switch it on.

        :param proxy: the host of its registrar and outbound proxy, as ``sip:192.0.2.1``; it does not register without.
        :param media: False for signalling only.
        :param route: without a proxy: Route values for requests outside of dialogs, and *aor*, who it is, in place of
            its user at its host.
        :param how: further arguments of ``UserAgent.register``.
        """
        self.node = node = network.node(host)
        self.who = name
        self.network = network
        element = Element(
            node,
            random_bytes=network.random_bytes,
            resolver=Resolver(node, names=dns or FakeDNS(), randbelow=network.random.randrange),
        )
        node.listenUDP(5060, SIPDatagramProtocol(element), interface=host, maxPacketSize=65535)
        node.listenTCP(5060, SIPFactory(element), interface=host)
        element.transports.listening(TCP, Address(host, 5060))
        self.ports = FakedPorts(host)
        self.arrived: list[Call] = []
        self.made: list[Call] = []
        self.does = does
        super().__init__(element, settings=settings, media=self.ports if media else None)
        if proxy:
            self.uri = f"sip:{name}@{domain}"
            self.register(self.uri, password=password, outbound_proxies=[proxy], **how)
        else:
            self.uri = aor or f"sip:{name}@{host}"
            self.account(self.uri, route=route)
        self.startService()

    def __repr__(self) -> str:
        return f"<{self.who} at {self.node.hosts[0]}>"

    def call(self, *arguments: Any, **how: Any) -> Call:
        """As UserAgent.call; the call is remembered."""
        call = super().call(*arguments, **how)
        self.made.append(call)
        return call

    def incoming_call(self, call: Call) -> Any:
        """Remember it, and do what is to be done."""
        self.arrived.append(call)
        return self.does(call) if self.does is not None else None

    @property
    def all_calls(self) -> list[Call]:
        """Every call that there ever was."""
        return [*self.made, *self.arrived]

    def disconnect(self) -> None:
        """Close every connection."""
        for flow in self.element.transports.connections.flows():
            flow.abort()

    def leftovers(self) -> dict[str, Any]:
        """Return what is still held, by name; empty once it has stopped and every deadline has passed."""
        # The wake-up of the queue of timers may come late; they are counted themselves.
        calls = [str(call) for call in self.node.getDelayedCalls()]
        held: dict[str, Any] = {
            **leftovers(self.element),
            "calls": len(self.table),
            "timers of calls": len(self.table._timers),
            "dialogs": len(self.dialogs),
            "referrals": len(self.referring),
            "flows": len(self.keeper),
            "ports of media": sorted(self.ports.open),
            "calls of the clock": [call for call in calls if "TimerQueue._wake" not in call],
        }
        return {name: found for name, found in held.items() if found}
