"""A DNS in memory whose answers take their time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.node import Node


class SlowDNS(FakeDNS):
    """The DNS client of one node: it sees the zones of another FakeDNS, and each answer takes a time that the seed
    decides."""

    def __init__(self, zones: FakeDNS, node: Node, latency: tuple[float, float] = (0.001, 0.3)) -> None:
        """Ask *zones* for *node*; an answer comes between the two *latency* seconds later."""
        super().__init__()
        self._zones = zones
        self._node = node
        self._latency = latency

    def _look_up(self, type_: str, name: str) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        delay = self._node.network.random.uniform(*self._latency)
        self._node.callLater(delay, lambda: self._zones._look_up(type_, name).chainDeferred(waiting))
        return waiting
