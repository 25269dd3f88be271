"""A user agent that answers, and one that calls it, on the simulated networks of signalling and of media."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.element.element import Element
from twisted_sip.tap.answering import Answer
from twisted_sip.tap.ua_agent import AnsweringAgent, LineAnswers
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.media_network import MediaNetwork
from twisted_sip.testing.network import Network
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

HERE, THERE = "198.51.100.1", "198.51.100.2"


class Stage:
    """Both agents.

    :ivar answering: the one that answers, and *caller*.
    """

    def __init__(
        self, answer: Answer, *, ring: float = 0.0, longest: float = 0.0, settings: AgentSettings | None = None
    ) -> None:
        self.network = Network(7)
        self.media = MediaNetwork(self.network.clock)
        lines = LineAnswers((answer, ring), longest=longest)
        self.answering: Any = self._agent(HERE, AnsweringAgent, listener=lines, settings=settings)
        self.answering.lines = lines
        self.caller: Any = self._agent(THERE, UserAgent)
        self.caller.account(f"sip:caller@{THERE}")

    def phone(self, host: str) -> UserAgent:
        """Return one more agent; who wants it stops it."""
        return self._agent(host, UserAgent)

    def _agent(self, host: str, kind: type[UserAgent], **how: Any) -> UserAgent:
        node = self.network.node(host)
        element = Element(node, random_bytes=self.network.random_bytes, resolver=Resolver(node, names=FakeDNS()))
        node.listenUDP(5060, SIPDatagramProtocol(element), interface=host, maxPacketSize=65535)
        plane = self.media.plane(host, inband_keys="always")
        agent = kind(element, media=plane, **how)
        agent.startService()
        return agent

    def call(self, user: str = "phone") -> Call:
        """Call the answering agent, and run for a moment."""
        made: Call = self.caller.call(f"sip:{user}@{HERE}")
        self.run(0.3)
        return made

    def run(self, seconds: float) -> None:
        self.network.advance(seconds)

    def until(self, what: Callable[[], object], most: float = 60.0) -> None:
        """Run until *what* is true."""
        for _ in range(int(most * 10)):
            if what():
                return
            self.run(0.1)
        raise AssertionError("it never came to that")

    def stop(self) -> None:
        """Stop both; no call and no medium is left."""
        for agent in (self.caller, self.answering):
            agent.stopService()
        self.run(10)
        assert not self.caller.calls and not self.answering.calls
        assert self.media.sockets == {}


def kept(directory: Path) -> list[Path]:
    """Return the messages in *directory*."""
    return sorted(path for path in directory.glob("*.wav") if not path.name.startswith("."))
