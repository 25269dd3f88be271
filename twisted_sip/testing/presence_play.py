"""A play about presence that a seed writes: users publish and watch over a bad network, and the server crashes.

In the end every watcher knows what was published last, what was acknowledged is there, and when all has expired nothing
is left.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from twisted_sip.documents.pidf import Presence
from twisted_sip.interfaces.documents import Document
from twisted_sip.presence.composition import offline
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.presence_client import PresenceClient
from twisted_sip.testing.presence_server import SimulatedPresenceServer

_USERS = ("alice", "bob", "carol", "dave")
#: Seconds in which something new may begin; then in which everybody comes to know what is; and until all is over.
ACTS, CALM, EPILOGUE = 150.0, 900.0, 1300.0

_RULES = """<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
<rule id="a"><conditions><identity><many/></identity></conditions>
<actions><pr:sub-handling>{handling}</pr:sub-handling></actions></rule></ruleset>"""


@attrs.define(slots=True, kw_only=True)
class PresencePlot:
    """What a seed has decided, for people to read.

    :ivar crashes: when the server crashes, and for how long it is away.
    :ivar blocked: who blocks everybody politely, or nobody.
    """

    seed: int
    conditions: Conditions
    authentication: bool
    disk_latency: float
    crashes: list[tuple[float, float]]
    blocked: str


class PresencePlay:
    """One run.

    :ivar plot: what the seed has decided.
    :ivar problems: what went wrong, one line each; empty in the end if nothing did.
    """

    def __init__(self, seed: int, directory: Path, *, keep_trace: bool = False) -> None:
        """Set the stage.

        :param directory: an empty directory, for the databases of the server.
        """
        chance = self.chance = random.Random(f"presence {seed}")
        conditions = Conditions(
            loss=chance.uniform(0.0, 0.3),
            duplication=chance.uniform(0.0, 0.3),
            reordering=chance.uniform(0.0, 0.3),
            delay=(0.001, chance.choice((0.02, 0.1, 0.4))),
        )
        crashes = [
            (chance.uniform(5.0, ACTS), chance.choice((0.01, 1.0, 20.0, 70.0)))
            for _ in range(chance.choice((0, 1, 1, 2)))
        ]
        self.plot = PresencePlot(
            seed=seed,
            conditions=conditions,
            authentication=chance.random() < 0.5,
            disk_latency=chance.choice((0.0, 0.02, 0.5)),
            crashes=crashes,
            blocked=chance.choice(("", *_USERS)),
        )
        self.problems: list[str] = []
        self.network = Network(seed, conditions, keep_trace=keep_trace)
        passwords = {user: f"secret of {user}" for user in _USERS} if self.plot.authentication else None
        self.server = SimulatedPresenceServer(
            self.network,
            directory=directory,
            disk_latency=(0.0, self.plot.disk_latency),
            passwords=passwords,
            presence_settings=PresenceSettings(composition="latest"),
        )
        nat = NAT.port_restricted(self.network, "203.0.113.1")
        self.clients: list[PresenceClient] = []
        for number, user in enumerate(_USERS, 1):
            behind = chance.choice((None, nat))
            transport = chance.choice(("udp", "udp", "tcp"))
            host = f"10.0.0.{number}" if behind else f"198.51.100.{number}"
            self.clients.append(
                PresenceClient(
                    self.network,
                    self.network.node(host, behind=behind, name=user),
                    user,
                    proxy=self.server.route(transport),
                    password=passwords[user] if passwords else "",
                    transport=transport,
                    keep_alive=20.0 if behind is not None or transport == "tcp" else 0.0,
                )
            )
        self._notes = 0

    # -- the acts ----------------------------------------------------------------------

    def run(self) -> None:
        """Play it to the end and fill in :attr:`problems`."""
        chance, clients = self.chance, self.clients
        if self.plot.blocked:
            self._block(f"sip:{self.plot.blocked}@example.com")
        for client in clients:
            self._at(chance.uniform(0.0, 10.0), self._publish, client)
            for other in clients:
                if chance.random() < 0.7:
                    self._at(chance.uniform(0.0, 60.0), client.watch, other.aor, chance.choice((60, 90, 120)))
        for _ in range(chance.randint(5, 40)):
            self._at(chance.uniform(10.0, ACTS), self._publish, chance.choice(clients))
        for _ in range(chance.choice((0, 0, 1, 2))):
            self._at(chance.uniform(10.0, ACTS), chance.choice(clients).unpublish)
        for when, pause in self.plot.crashes:
            self._at(when, self._crash, pause)
        self.network.advance(ACTS + 75.0)
        # From now on nothing gets lost: whoever has been told something else in the bad time must come to know better.
        self.plot.conditions.loss = 0.0
        self.network.advance(CALM)
        self._check_promises("the end")
        self._check_watchers()
        for client in clients:
            if chance.random() < 0.3:
                client.node.crash()
            else:
                client.quiet()
        self.network.advance(EPILOGUE)
        living = [client for client in clients if client.alive]
        for client in living:
            client.disconnect()
        self.network.advance(10.0)
        holders: list[SimulatedPresenceServer | PresenceClient] = [self.server, *living]
        for holder in holders:
            left = holder.leftovers()
            if left:
                self.problems.append(f"left over at {holder!r}: {left}")

    def _at(self, seconds: float, act: Callable[..., Any], *args: Any) -> None:
        self.network.clock.callLater(seconds, act, *args)

    def _publish(self, client: PresenceClient) -> None:
        self._notes += 1
        basic = self.chance.choice(("open", "open", "closed"))
        client.publish(Presence(client.aor).with_status(basic, note=str(self._notes)), self.chance.choice((60, 120)))

    def _block(self, owner: str) -> None:
        content = _RULES.format(handling="polite-block").encode()
        document = Document(auid="pres-rules", owner=owner, name="index", etag="e", content=content)
        self.server.documents.put(document)

    def _crash(self, pause: float) -> None:
        if self.server.up:
            self.server.crash()
            self._at(pause, self._restart)

    def _restart(self) -> None:
        self.server.restart()
        # The stores have to be read first.
        self._at(2.0, self._check_promises, "a restart")

    # -- checks --------------------------------------------------------------------------

    def _check_promises(self, occasion: str) -> None:
        """Note each publication that was acknowledged, lives, and is not there."""
        if not self.server.up:
            return
        for client in self.clients:
            found = {each.body for each in self.server.presence.publications.of(client.aor, "presence")}
            if client.promised and found.isdisjoint(client.candidates):
                self.problems.append(f"{client.now():.3f} after {occasion}: the publication of {client!r} is missing")

    def _check_watchers(self) -> None:
        """Note each watcher that does not know what was published last."""
        for client in self.clients:
            for watch in client.watches:
                user = next(other for other in self.clients if other.aor == watch.uri)
                wanted = user.published
                if wanted is None or (user.user == self.plot.blocked and user is not client):
                    wanted = offline(watch.uri).to_xml()
                if watch.told != wanted:
                    self.problems.append(
                        f"{client!r} was told of {watch.uri} {_shown(watch.told)}, not {_shown(wanted)}; {watch.states}"
                    )

    def fingerprint(self) -> tuple[float, float, int]:
        """Return what differs if anything at all went another way: time, the next number, how much was told."""
        told = sum(len(watch.states) for client in self.clients for watch in client.watches)
        return self.network.clock.seconds(), self.network.random.random(), told


def _shown(body: bytes | None) -> str:
    if body is None:
        return "nothing"
    presence = Presence.parse(body)
    return f"{presence.basic} {presence.note}"
