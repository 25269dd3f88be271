"""A play of calls that a seed writes: two or three user agents with a proxy, a b2bua or nothing between them.

They call, ring, answer, refuse, cancel, hold, resume, renegotiate, transfer and hang up, both sides at once where it
hurts: CANCEL against 200, BYE against BYE, re-INVITE against UPDATE and re-INVITE. When the last act is over the net
loses nothing any more and everybody has time to notice what has become of his calls: then both sides of each agree
on it. After the end, and every deadline that the RFCs know, nothing is left, and whatever was promised has come about.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.errors import LocalProtocolError, SIPError
from twisted_sip.testing.call_acts import CallActs
from twisted_sip.testing.call_agreement import contradictions, stories
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.testing.simulated_agent import SimulatedAgent
from twisted_sip.testing.simulated_b2bua import SimulatedB2BUA

_USERS = ("alice", "bob", "carol")
#: Seconds in which something new may begin.
ACTS = 60.0
#: Seconds after which both sides know what has become of a call: a phone rings for 40 s, a transaction takes 32 s, and
#: who has lost his peer hears of it at the next refresh: after 90 s at most, and 32 s for an answer to that.
RECOGNITION = 200.0
#: Seconds after the last hang-up in which everything comes to its end: BYE, the last states of transactions, Timer C of
#: the server; nonces last for 600 s.
EPILOGUE = 760.0


@attrs.define(slots=True, kw_only=True)
class CallPlot:
    """What a seed has decided, for people to read.

    :ivar middle: what is between the agents: ``proxy`` (a registrar, too), ``b2bua`` or nothing.
    :ivar calm: nothing is lost, doubled or overtaken.
    :ivar death: when an agent vanishes, never to come back; 0 for never.
    :ivar acts: what was done: (time, by whom, what).
    """

    seed: int
    calm: bool
    conditions: Conditions
    middle: str
    authentication: bool
    fork: bool
    death: float
    acts: list[tuple[float, str, str]] = attrs.Factory(list)


class _Player(SimulatedAgent):
    """Lets whoever knows a call take its place, and follows whoever is in one: here all know each other."""

    def accept_transfer(self, call: Any, referral: Any) -> bool:
        return call is not None

    def accept_replaces(self, call: Any, incoming: Any) -> bool:
        return True


class CallPlay:
    """One run.

    :ivar plot: what the seed has decided.
    :ivar agents: who plays.
    :ivar problems: what went wrong, one line each; empty in the end if nothing did.
    :ivar statuses: the final statuses of calls and changes, and how often; what was seen.
    """

    def __init__(self, seed: int, *, keep_trace: bool = False) -> None:
        """Set the stage."""
        chance = self.chance = random.Random(f"calls {seed}")
        calm = chance.random() < 0.2
        rough = Conditions(delay=(0.001, chance.choice((0.02, 0.1, 0.4))))
        if not calm:
            rough.loss = chance.choice((0.0, chance.uniform(0.0, 0.25)))
            rough.duplication = chance.uniform(0.0, 0.3)
            rough.reordering = chance.uniform(0.0, 0.4)
        middle = chance.choice(("", "proxy", "proxy", "b2bua"))
        server = middle == "proxy"
        self.plot = CallPlot(
            seed=seed,
            calm=calm,
            conditions=rough,
            middle=middle,
            authentication=chance.random() < 0.5,
            fork=bool(middle) and chance.random() < 0.4,
            death=chance.uniform(5.0, ACTS) if chance.random() < 0.1 else 0.0,
        )
        self.problems: list[str] = []
        self.statuses: dict[str, int] = {}
        self.network = Network(seed, Conditions(delay=rough.delay), keep_trace=keep_trace)
        self._promises: dict[int, tuple[str, SimulatedAgent]] = {}
        self._promised = 0
        self.server: SimulatedServer | None = None
        passwords = {user: f"secret of {user}" for user in _USERS}
        if server:
            self.server = SimulatedServer(
                self.network, "192.0.2.1", passwords=passwords if self.plot.authentication else None
            )
        self.b2bua = (
            SimulatedB2BUA(self.network, settings=B2BUASettings(session_expires=90)) if middle == "b2bua" else None
        )
        self.agents: list[SimulatedAgent] = []
        self.dead: list[SimulatedAgent] = []
        users = [*_USERS[: chance.choice((2, 3))], *(["bob"] if self.plot.fork else [])]
        for number, user in enumerate(users, 1):
            # The first of its kind is not patient; sessions are refreshed as often as they may be.
            settings = AgentSettings(
                session_expires=chance.choice((0, 90, 90, 120)),
                ring_timeout=chance.choice((15.0, 40.0)),
                reliable=chance.random() < 0.6,
            )
            how: dict[str, Any] = {"proxy": "sip:192.0.2.1", "password": passwords[user]} if server else {}
            if self.b2bua is not None:
                how = {"route": ("<sip:192.0.2.1;lr>",), "aor": f"sip:{user}@example.com"}
            player = _Player(self.network, f"198.51.100.{number}", user, settings=settings, **how)
            self.agents.append(player)
            if self.b2bua is not None:
                self.b2bua.bind(player)
        self.acts = CallActs(self)
        for agent in self.agents:
            agent.does = self.acts.react

    @property
    def living(self) -> list[SimulatedAgent]:
        """The agents that have not vanished."""
        return [agent for agent in self.agents if agent not in self.dead]

    # -- promises -------------------------------------------------------------------------

    def promised(self, agent: SimulatedAgent, what: str, deferred: Deferred[Any]) -> None:
        """Watch over *deferred*: it has to fire, and to fail with nothing but a SIPError."""
        self._promised += 1
        number = self._promised
        self._promises[number] = (what, agent)
        deferred.addCallbacks(self._kept, self._broken, (number,), errbackArgs=(number,))

    def _kept(self, _: object, number: int) -> None:
        del self._promises[number]

    def _broken(self, failure: Failure, number: int) -> None:
        what, agent = self._promises.pop(number)
        if failure.check(SIPError) is None:
            self.problems.append(f"{agent!r} {what}: {failure.getTraceback()}")
        self.seen(f"{what.split()[0]} {getattr(failure.value, 'status', type(failure.value).__name__)}")

    def seen(self, what: str) -> None:
        """Count *what*."""
        self.statuses[what] = self.statuses.get(what, 0) + 1

    def note(self, agent: SimulatedAgent, what: str) -> None:
        """Write down that *agent* does something."""
        self.plot.acts.append((round(self.network.clock.seconds(), 3), agent.who, what))
        self.seen(what.split()[0])

    def watch(self, agent: SimulatedAgent, call: Call) -> None:
        """Watch over the two promises that every call makes."""
        self.promised(agent, f"answered {call!r}", call.answered)
        self.promised(agent, f"ended {call!r}", call.ended)

    # -- the play ----------------------------------------------------------------------------

    def run(self) -> None:
        """Play it to the end and fill in :attr:`problems`."""
        chance, network = self.chance, self.network
        network.advance(3.0)
        self._set(self.plot.conditions)
        for _ in range(chance.randint(8, 30)):
            self.at(chance.uniform(0.0, ACTS), self.acts.something)
        if self.plot.death:
            self.at(self.plot.death, self._die)
        network.advance(ACTS)
        self._set(Conditions(delay=self.plot.conditions.delay))
        network.advance(RECOGNITION)
        found, pairs = contradictions(self.living, self.b2bua, whole=not self.dead)
        self.problems += found
        self.statuses["established at the end"] = pairs
        for agent in self.living:
            for call in agent.calls:
                self.promised(agent, f"hangup {call!r}", call.hangup())
        network.advance(40.0)
        for agent in self.living:
            self.promised(agent, "stop", agent.stopService())
        network.advance(10.0)
        if self.b2bua is not None:
            self.b2bua.stopService()
            network.advance(10.0)
            self.b2bua.disconnect()
        for agent in self.living:
            agent.disconnect()
        network.advance(EPILOGUE)
        self._check_end()

    def at(self, seconds: float, act: Callable[..., Any], *args: Any) -> None:
        """Do something after *seconds*."""
        self.network.clock.callLater(seconds, self._act, act, args)

    def _act(self, act: Callable[..., Any], args: Any) -> None:
        if any(arg in self.dead for arg in args):
            return
        try:
            act(*args)
        except LocalProtocolError:
            # Too late, or too early: the program is told so.
            self.seen("refused to us")

    def _set(self, conditions: Conditions) -> None:
        """Change the weather."""
        self.network.conditions = conditions

    def _die(self) -> None:
        agent = self.chance.choice(self.agents)
        self.note(agent, "dies")
        self.dead.append(agent)
        agent.node.crash()

    # -- the end -------------------------------------------------------------------------------

    def _check_end(self) -> None:
        living = self.living
        for what, agent in self._promises.values():
            if agent in living:
                self.problems.append(f"{agent!r}: nothing was heard of {what}")
        for agent in living:
            self.problems += stories(agent)
            self.problems += [f"{agent!r}: {problem}" for problem in agent.ports.problems]
            for call in agent.all_calls:
                if call.ending is not None:
                    self.seen(f"{call.ending.cause} {call.ending.status}")
            left = agent.leftovers()
            if left:
                self.problems.append(f"left over at {agent!r}: {left}")
        if self.b2bua is not None and self.b2bua.leftovers():
            self.problems.append(f"left over at {self.b2bua!r}: {self.b2bua.leftovers()}")
        if self.server is not None:
            left = self.server.leftovers()
            # Who has died has not unregistered.
            for name in ("bindings", "calls of the clock") if self.dead else ():
                left.pop(name, None)
            if left:
                self.problems.append(f"left over at {self.server!r}: {left}")

    def ladder(self) -> list[str]:
        """Return a line for each datagram with a message, if a trace was kept: when, from, to, its fate, what it is."""
        lines: list[str] = []
        for time, source, destination, fate, data in self.network.trace:
            rows = data.decode("utf-8", "replace").split("\r\n")
            wanted = [row for row in rows[1:] if row[:5].lower() == "cseq:" or row[:8].lower() == "call-id:"]
            ways = [row for row in rows if row[:5] in ("a=sen", "a=rec", "a=ina")]
            if rows[0]:
                lines.append(f"{time:9.3f} {source} > {destination} {fate}: {rows[0]} {' '.join([*wanted, *ways])}")
        return lines

    def fingerprint(self) -> tuple[float, float, int]:
        """Return what differs if anything at all went another way: time, the next number, how many calls."""
        calls = sum(len(agent.all_calls) for agent in self.agents)
        return self.network.clock.seconds(), self.network.random.random(), calls
