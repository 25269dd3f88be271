"""A simulated network on a task.Clock: datagrams and streams between nodes, with all that real networks do to them.

All chance comes from one seed, so a run repeats exactly. Nodes are reactors (see node.py); NATs stand between nodes and
the rest (see nat.py). Nothing here touches a real socket or the wall clock.
"""

from __future__ import annotations

import ipaddress
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from twisted.internet.task import Clock

from twisted_sip.interfaces.flow import Address

if TYPE_CHECKING:
    from twisted_sip.testing.nat import NAT
    from twisted_sip.testing.node import Node

#: The largest UDP payload of IPv4.
_LARGEST = 65507


@attrs.define(slots=True)
class Conditions:
    """What the network does to packets; may be changed while it runs.

    :ivar loss: the share of datagrams that vanish, 0 to 1.
    :ivar duplication: the share of datagrams that come twice.
    :ivar reordering: the share of datagrams that are held back and overtaken.
    :ivar delay: the least and the most seconds that a packet takes.
    :ivar mtu: datagrams with more bytes need fragments.
    :ivar fragments_pass: False drops datagrams beyond the MTU, as many firewalls do.
    """

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    delay: tuple[float, float] = (0.002, 0.02)
    mtu: int = 1500
    fragments_pass: bool = True


class Network:
    """The simulated network.

    :param seed: decides everything that is left to chance.
    :param conditions: see :class:`Conditions`; perfect but for delay unless given.
    :ivar clock: the one clock of all nodes.
    :ivar random: the one source of chance.
    :ivar trace: (time, source, destination, what became of it, data) of every datagram, kept if ``keep_trace`` is set.
    """

    def __init__(self, seed: int = 0, conditions: Conditions | None = None, *, keep_trace: bool = False) -> None:
        self.seed = seed
        self.clock = Clock()
        self.random = random.Random(seed)
        self.conditions = conditions or Conditions()
        self.trace: list[tuple[float, Address, Address, str, bytes]] = []
        self._keep_trace = keep_trace
        self._nodes: dict[str, Node] = {}
        self._nats: dict[str, NAT] = {}
        self._cuts: set[frozenset[str]] = set()

    def random_bytes(self, size: int) -> bytes:
        """Return *size* bytes that the seed decides: pass it wherever secrets are drawn."""
        return self.random.randbytes(size)

    # -- topology -------------------------------------------------------------------

    def node(self, *hosts: str, behind: NAT | None = None, name: str = "") -> Node:
        """Return a new node with these numeric addresses, public or *behind* a NAT.

        :raises ValueError: an address is taken.
        """
        from twisted_sip.testing.node import Node

        node = Node(self, tuple(hosts), behind, name or hosts[0])
        for host in hosts:
            key = self._key(host, behind)
            if key in self._nodes or host in self._nats:
                raise ValueError(f"{host} is taken")
            self._nodes[key] = node
        return node

    def add_nat(self, nat: NAT) -> None:
        """Put *nat* at its public address."""
        if nat.host in self._nats or nat.host in self._nodes:
            raise ValueError(f"{nat.host} is taken")
        self._nats[nat.host] = nat

    def remove(self, node: Node) -> None:
        """Take a crashed *node* out, so that another one can have its addresses."""
        for host in node.hosts:
            if self._nodes.get(self._key(host, node.nat)) is node:
                del self._nodes[self._key(host, node.nat)]

    @staticmethod
    def _key(host: str, nat: NAT | None) -> str:
        return f"{nat.host}/{host}" if nat is not None else host

    def cut(self, one: Node | NAT, other: Node | NAT) -> None:
        """Part two nodes: nothing gets from one to the other until :meth:`mend`."""
        self._cuts.add(frozenset((one.name, other.name)))

    def mend(self, one: Node | NAT, other: Node | NAT) -> None:
        """Undo :meth:`cut`."""
        self._cuts.discard(frozenset((one.name, other.name)))

    def parted(self, one: Node, other: Node) -> bool:
        """Tell whether a cut stands between two nodes (or their NATs)."""
        if not self._cuts:
            return False
        ones = [one.name] + ([one.nat.name] if one.nat else [])
        others = [other.name] + ([other.nat.name] if other.nat else [])
        return any(frozenset((a, b)) in self._cuts for a in ones for b in others)

    # -- time ---------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, every call at its own time."""
        clock = self.clock
        end = clock.seconds() + seconds
        while self._next_call(end) is not None:
            self._step(end)
        clock.advance(max(0.0, end - clock.seconds()))

    def advance_until(self, condition: Callable[[], bool], limit: float = 300.0) -> None:
        """Let time pass until *condition* holds.

        :raises AssertionError: it does not within *limit* seconds.
        """
        end = self.clock.seconds() + limit
        while not condition():
            if not self._step(end):
                raise AssertionError(f"seed {self.seed}: the condition did not come true within {limit} s")

    def _next_call(self, end: float) -> float | None:
        """Return when the next call is due, None if that is after *end*.

        The clock keeps its calls in order but for those that were put off or brought forward.
        """
        due: float = min((call.getTime() for call in self.clock.calls), default=math.inf)
        return due if due <= end else None

    def _step(self, end: float) -> bool:
        """Go to the next call that is due until *end*; tell whether there was one."""
        due = self._next_call(end)
        if due is None:
            return False
        self.clock.advance(max(0.0, due - self.clock.seconds()))
        return True

    def latency(self) -> float:
        """Return the seconds that the next packet takes."""
        least, most = self.conditions.delay
        return self.random.uniform(least, most)

    # -- datagrams -----------------------------------------------------------------------

    def send_datagram(self, sender: Node, source: Address, destination: Address, data: bytes) -> None:
        """Carry a datagram from *sender*, or lose it."""
        conditions = self.conditions
        inside = sender.nat is not None and self._key(destination.host, sender.nat) in self._nodes
        if sender.nat is not None and not inside:
            # A NAT is next to its nodes: what gets lost is lost behind it.
            source_outside = sender.nat.outbound(source, destination, self.clock.seconds())
        else:
            source_outside = source
        if len(data) > conditions.mtu and not conditions.fragments_pass:
            self._note(source_outside, destination, "too large", data)
            return
        if self.random.random() < conditions.loss:
            self._note(source_outside, destination, "lost", data)
            return
        copies = 2 if self.random.random() < conditions.duplication else 1
        for _ in range(copies):
            delay = self.latency()
            if self.random.random() < conditions.reordering:
                delay += self.random.uniform(0.0, 5 * conditions.delay[1])
            self.clock.callLater(delay, self._arrive, sender, source, source_outside, destination, data)

    def _arrive(self, sender: Node, source: Address, seen: Address, destination: Address, data: bytes) -> None:
        """A datagram from *source*, *seen* from outside of its NAT, comes to *destination*."""
        inner = destination
        target: Node | None
        if sender.nat is not None and self._key(destination.host, sender.nat) in self._nodes:
            target = self._nodes[self._key(destination.host, sender.nat)]
        elif destination.host in self._nats:
            nat = self._nats[destination.host]
            mapped = nat.inbound(seen, destination, self.clock.seconds())
            if mapped is None:
                self._note(seen, destination, "filtered", data)
                return
            inner = mapped
            target = self._nodes.get(self._key(mapped.host, nat))
        else:
            target = self._nodes.get(destination.host)
        if target is None or self.parted(sender, target):
            self._note(seen, destination, "unreachable", data)
            return
        self._note(seen, destination, "delivered", data)
        if not target.datagram_arrives(seen, inner, data) and target.alive and sender.alive:
            # ICMP port unreachable.
            if self.random.random() >= self.conditions.loss:
                self.clock.callLater(self.latency(), sender.datagram_refused, source, destination)

    def _note(self, source: Address, destination: Address, fate: str, data: bytes) -> None:
        if self._keep_trace:
            self.trace.append((self.clock.seconds(), source, destination, fate, data))

    # -- streams -----------------------------------------------------------------------------

    def stream_target(self, caller: Node, source: Address, destination: Address) -> tuple[Node | None, Address]:
        """Return the node that a connection from *caller* reaches, and the address it is seen to come from."""
        public = source
        if caller.nat is not None:
            inside = self._nodes.get(self._key(destination.host, caller.nat))
            if inside is not None:
                return inside, source
            public = caller.nat.outbound(source, destination, self.clock.seconds())
        # A NAT lets no connection in.
        target = None if destination.host in self._nats else self._nodes.get(destination.host)
        return target, public


def is_ipv6(host: str) -> bool:
    """Tell whether *host* is an IPv6 address."""
    return ipaddress.ip_address(host).version == 6


def too_large(data: bytes) -> bool:
    """Tell whether a socket would refuse *data* as one datagram."""
    return len(data) > _LARGEST
