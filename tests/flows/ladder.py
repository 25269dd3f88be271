"""Flows of the RFCs as tests: parties on the simulated network, and the ladder of the text beside what was sent.

The ladder is compared link by link: between any two parties the same messages, to the same side, in the same order. How
messages of different links interleave (whether a proxy says 100 before it forwards, say) differs among the flows of the
RFCs themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.element.element import Element
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import leftovers
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.testing.simulated_agent import SimulatedAgent
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

#: (from, to, method or status)
Step = tuple[str, str, str]


class Party(SimulatedAgent):
    """Lets those who know a call take its place, and follows REFERs in calls, as all do in the flows."""

    def accept_transfer(self, call: Any, referral: Any) -> bool:
        return call is not None

    def accept_replaces(self, call: Any, incoming: Any) -> bool:
        return True


class Stage:
    """The parties of a flow, and what they have sent to each other since the curtain rose.

    :ivar steps: every message, as it arrived.
    :ivar parties: host -> name.
    """

    def __init__(self) -> None:
        self.network = Network(11, Conditions(delay=(0.01, 0.01)))
        self.dns = FakeDNS()
        self.parties: dict[str, str] = {}
        self.steps: list[Step] = []
        self.messages: list[tuple[Step, Request | Response]] = []
        self.agents: list[SimulatedAgent] = []
        self.servers: list[SimulatedServer] = []
        self.b2buas: list[B2BUA] = []

    # -- parties --------------------------------------------------------------------------

    def _seen_at(self, name: str) -> Callable[[Any, bytes, Any], None]:
        def seen(message: Any, data: bytes, flow: Any) -> None:
            self.note(flow.remote.host, name, message)

        return seen

    def note(self, source: str, name: str, message: Request | Response) -> None:
        """*message* has come to *name*. Registrations are no part of the flows."""
        what = message.method if isinstance(message, Request) else str(message.status)
        if message.cseq.method != "REGISTER":
            step = (self.parties.get(source, source), name, what)
            self.steps.append(step)
            self.messages.append((step, message))

    def proxy(self, name: str, number: int, domain: str = "example.com", **how: Any) -> SimulatedServer:
        """Add a registrar and proxy."""
        host = f"192.0.2.{number}"
        self.dns.a(domain, host)
        server = SimulatedServer(self.network, host, domain=domain, dns=self.dns, **how)
        server.element.message_seen = self._seen_at(name)
        self.parties[host] = name
        self.servers.append(server)
        return server

    def agent(
        self,
        name: str,
        number: int,
        server: SimulatedServer | None = None,
        does: Callable[[Call], Any] | None = None,
        *,
        kind: Any = Party,
        reliable: bool = False,
        settings: dict[str, Any] | None = None,
        **how: Any,
    ) -> Any:
        """Add an agent; it is registered at *server*."""
        host = f"198.51.100.{number}"
        self.parties[host] = name
        if server is not None:
            how.setdefault("proxy", f"sip:{server.host}")
            how.setdefault("domain", server.domain)
        agent = kind(
            self.network,
            host,
            name.lower().replace(" ", ""),
            dns=self.dns,
            does=does,
            settings=AgentSettings(reliable=reliable, **(settings or {})),
            **how,
        )
        agent.element.message_seen = self._seen_at(name)
        self.agents.append(agent)
        self.run(1.0)
        return agent

    def back_to_back(self, name: str, number: int, **how: Any) -> Any:
        """Add a b2bua that media pass by, for a network of our own."""
        host = f"192.0.2.{number}"
        self.parties[host] = name
        node = self.network.node(host)
        resolver = Resolver(node, names=self.dns, randbelow=self.network.random.randrange)
        element = Element(node, random_bytes=self.network.random_bytes, resolver=resolver, domains=["example.com"])
        node.listenUDP(5060, SIPDatagramProtocol(element), interface=host, maxPacketSize=65535)
        element.message_seen = self._seen_at(name)
        made = B2BUA(element, trusts_everybody=True, now=self.network.clock.seconds, **how)
        made.startService()
        self.b2buas.append(made)
        return made

    def silent(self, name: str, number: int) -> Peer:
        """Add somebody who listens and says nothing."""
        host = f"198.51.100.{number}"
        self.parties[host] = name
        stage = self

        class Silent(Peer):
            def _arrived(self, source: Any, data: bytes, message: Any) -> None:
                super()._arrived(source, data, message)
                stage.note(source.host, name, message)

        return Silent(self.network.node(host))

    # -- the play --------------------------------------------------------------------------

    def run(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.network.advance(seconds)

    def last(self, what: str, to: str) -> Any:
        """Return the last message *what* that came *to* somebody."""
        return next(message for step, message in reversed(self.messages) if step[1:] == (to, what))

    def check(self, ladder: str, *, without: Iterable[str] = (), extra: str = "", but: Iterable[str] = ()) -> None:
        """Compare what was sent with the *ladder* of the text.

        :param without: steps of the text, by their numbers (``F6``), that are not to be seen.
        :param extra: steps that the text has not.
        :param but: parties whom the text has not.
        """
        names = sorted(set(self.parties.values()), key=len, reverse=True)
        wanted = _links(_read(ladder, names, set(without)))
        more = _links(_read(extra, names, set()))
        got = _links(self.steps)
        for link in {*wanted, *more, *got}:
            if not link.isdisjoint(but):
                continue
            seen, steps = got.get(link, []), wanted.get(link, [])
            # What is more comes where it likes.
            rest = iter(seen)
            in_order = all(step in rest for step in steps)
            added = Counter(seen) - Counter(steps)
            told = f"between {' and '.join(sorted(link))}: {seen} and not {steps}; all: {self.steps}"
            assert in_order and added == Counter(more.get(link, [])), told

    def end(self) -> None:
        """Stop everything; nothing is left."""
        for agent in self.agents:
            agent.stopService()
        self.run(5.0)
        for b2bua in self.b2buas:
            b2bua.stopService()
        self.run(5.0)
        for agent in self.agents:
            agent.disconnect()
        for server in self.servers:
            for flow in server.element.transports.connections.flows():
                flow.abort()
        self.run(760.0)
        for agent in self.agents:
            assert agent.leftovers() == {}, agent
            assert agent.ports.problems == []
        for b2bua in self.b2buas:
            held = {**leftovers(b2bua.element), "calls": len(b2bua.table), "dialogs": len(b2bua.dialogs)}
            assert not any(held.values()) and not b2bua.bridged and not b2bua.click_calls, held
        for server in self.servers:
            left = server.leftovers()
            assert left == {}, (server, left)


def _read(ladder: str, names: list[str], without: set[str]) -> list[Step]:
    """Return the steps in *ladder*, written as in the RFCs: ``F2 180 Ringing Bob -> Alice``."""
    either = "|".join(map(re.escape, names))
    steps: list[Step] = []
    for line in ladder.strip().splitlines():
        found = re.fullmatch(rf"\s*(F\d+)\s+\(?(\d\d\d|[A-Z]+)\b.*?\)?\s*\b({either}) -> ({either})", line)
        assert found is not None, line
        if found[1] not in without:
            steps.append((found[3], found[4], found[2]))
    return steps


def _links(steps: Iterable[Step]) -> dict[frozenset[str], list[Step]]:
    found: dict[frozenset[str], list[Step]] = {}
    for step in steps:
        found.setdefault(frozenset(step[:2]), []).append(step)
    return found
