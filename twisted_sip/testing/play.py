"""A play that a seed writes: a server, phones behind all kinds of networks, and what they do to each other.

Nothing in it is drawn anywhere but from the seed, so a play runs the same way each time. After the last act the clock
runs past every deadline that the RFCs know; then every table has to be empty.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.testing.agreement import disagreements
from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.heckler import Heckler
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.phone_registration import PhoneRegistration
from twisted_sip.testing.server import SimulatedServer

_USERS = ("alice", "bob", "carol", "dave", "erin", "frank")
#: Seconds in which something new may begin.
ACTS = 150.0
#: Seconds after which nothing of it may be left: a phone rings 220 s at most, a client waits Timer C and 64*T1 for an
#: answer, then come BYE and the last state of a transaction with 64*T1 each; nonces last for 600 s.
EPILOGUE = 760.0


@attrs.define(slots=True, kw_only=True)
class Plot:
    """What a seed has decided, for people to read.

    :ivar crashes: when the server crashes and when it comes back; with a store in SQLite the first crash waits for what
        *crash_at_register* says.
    :ivar deaths: when phones vanish, never to come back.
    :ivar crash_at_register: a crash follows this REGISTER within the time that its change needs to become durable.
    """

    seed: int
    calm: bool
    conditions: Conditions
    authentication: bool
    fork: str
    two_domains: str
    sqlite: bool
    disk_latency: float
    crashes: list[tuple[float, float]]
    crash_at_register: int
    deaths: list[float]
    phones: list[str] = attrs.Factory(list)


class Play:
    """One run.

    :ivar plot: what the seed has decided.
    :ivar problems: what went wrong, one line each; empty in the end if nothing did.
    """

    def __init__(self, seed: int, directory: Path, *, keep_trace: bool = False) -> None:
        """Set the stage.

        :param directory: an empty directory, for the database of the server.
        """
        chance = self.chance = random.Random(f"play {seed}")
        calm = chance.random() < 0.15
        conditions = Conditions(delay=(0.001, chance.choice((0.02, 0.1, 0.4))))
        if not calm:
            conditions.loss = chance.uniform(0.0, 0.3)
            conditions.duplication = chance.uniform(0.0, 0.3)
            conditions.reordering = chance.uniform(0.0, 0.3)
            conditions.fragments_pass = chance.random() < 0.7
        crashes: list[tuple[float, float]] = []
        if not calm and chance.random() < 0.3:
            first = chance.uniform(3.0, 60.0)
            crashes.append((first, first + chance.choice((0.01, 1.0, 15.0))))
            if chance.random() < 0.3:
                crashes.append((first + 40.0, first + 40.0 + chance.uniform(0.0, 40.0)))
        self.plot = Plot(
            seed=seed,
            calm=calm,
            conditions=conditions,
            authentication=chance.random() < 0.6,
            fork=chance.choice(("parallel", "parallel", "serial", "none")),
            two_domains=chance.choice(("", "", "by address", "with SRV")),
            sqlite=(bool(crashes) and chance.random() < 0.6) or chance.random() < 0.15,
            disk_latency=chance.choice((0.0, 0.02, 0.3)),
            crashes=crashes,
            crash_at_register=chance.randint(1, 12),
            deaths=[chance.uniform(5.0, ACTS) for _ in range(0 if calm else chance.choice((0, 0, 1, 2)))],
        )
        self.problems: list[str] = []
        self.network = Network(seed, conditions, keep_trace=keep_trace)
        self._passwords = {user: f"secret of {user}" for user in _USERS}
        self._dns = FakeDNS()
        self.servers: list[SimulatedServer] = []
        self._add_server("example.com", 1, directory)
        if self.plot.two_domains:
            self._add_server("example.net", 2, directory)
        self.nats = [
            NAT.full_cone(self.network, "203.0.113.1"),
            NAT.port_restricted(self.network, "203.0.113.2"),
            NAT.symmetric(self.network, "203.0.113.3"),
        ]
        self.phones: list[SimulatedPhone] = []
        self._home: dict[SimulatedPhone, SimulatedServer] = {}
        for user in _USERS[: chance.randint(2, 6)]:
            for _ in range(chance.choice((1, 1, 2, 3))):
                self._add_phone(user)

    def _add_server(self, domain: str, number: int, directory: Path) -> None:
        host, ipv6_host, plot = f"192.0.2.{number}", f"2001:db8::{number}", self.plot
        home = directory / domain
        if plot.sqlite:
            home.mkdir()
        server = SimulatedServer(
            self.network,
            host,
            ipv6_host=ipv6_host,
            domain=domain,
            dns=self._dns,
            passwords=self._passwords if plot.authentication else None,
            directory=home if plot.sqlite else None,
            disk_latency=(0.0, plot.disk_latency),
            proxy_settings=ProxySettings(fork=plot.fork),
        )
        self.servers.append(server)
        self._dns.a(domain, host).aaaa(domain, ipv6_host)
        if plot.two_domains == "with SRV":
            self._dns.srv(f"_sip._udp.{domain}", 1, 1, 5060, f"sip.{domain}").a(f"sip.{domain}", host)

    def _add_phone(self, user: str) -> None:
        chance, network = self.chance, self.network
        number = len(self.phones) + 1
        server = self.servers[_USERS.index(user) % len(self.servers)]
        transport = chance.choice(("udp", "udp", "udp", "tcp"))
        nat = chance.choice((None, None, *self.nats))
        ipv6 = nat is None and chance.random() < 0.4
        host = f"10.0.0.{number}" if nat else f"2001:db8:1::{number}" if ipv6 else f"198.51.100.{number}"
        phone = SimulatedPhone(
            network,
            network.node(host, behind=nat, name=f"{user} {number}"),
            user,
            proxy=server.route(transport, ipv6=ipv6),
            domain=server.domain,
            password=self._passwords[user] if self.plot.authentication else "",
            transport=transport,
            instance=f"00000000-0000-1000-8000-{number:012}" if chance.random() < 0.4 else "",
            behaviour=Behaviour.drawn(chance),
            keep_alive=chance.uniform(15.0, 25.0) if nat is not None or transport == "tcp" else 0.0,
        )
        phone.registration.on_acknowledged = lambda: self.check_bindings(f"200 to {phone!r}")
        self.phones.append(phone)
        self._home[phone] = server
        self.plot.phones.append(f"{phone!r} {transport} {nat.name if nat else ''} {phone.behaviour.reaction}")

    @property
    def unlucky(self) -> SimulatedServer:
        """The server that crashes, if one does."""
        return self.servers[self.plot.seed % len(self.servers)]

    # -- the acts ----------------------------------------------------------------------

    def run(self) -> None:
        """Play it to the end and fill in :attr:`problems`."""
        chance, phones = self.chance, self.phones
        for phone in phones:
            self._at(chance.uniform(0.0, 5.0), phone.registration.start, chance.choice((60, 75, 120)))
        for _ in range(chance.randint(10, 60)):
            caller = chance.choice(phones)
            self._at(chance.uniform(1.0, ACTS), caller.call, self._someone(), Behaviour.drawn(chance))
        for _ in range(chance.randint(2, 30)):
            self._at(chance.uniform(1.0, ACTS), chance.choice(phones).message, self._someone(), "hello")
        for _ in range(chance.randint(0, 10)):
            uri = chance.choice(("sip:example.com", self._someone()))
            self._at(chance.uniform(1.0, ACTS), chance.choice(phones).options, uri)
        for _ in range(chance.randint(0, 4)):
            phone, when = chance.choice(phones), chance.uniform(10.0, ACTS)
            self._at(when, phone.registration.unregister)
            if chance.random() < 0.5:
                self._at(when + chance.choice((0.01, 5.0)), phone.registration.start, 60)
        for phone in phones:
            self._at(chance.uniform(0.0, ACTS), setattr, phone, "behaviour", Behaviour.drawn(chance))
        heckler = Heckler(self.network.node("198.51.100.250"), chance)
        for _ in range(chance.choice((0, 0, 20, 60))):
            where = (chance.choice(self.servers).host, 5060)
            shout = chance.choice((heckler.shout, heckler.shout, heckler.shout, heckler.call_over))
            self._at(chance.uniform(0.0, ACTS), shout, where)
        if not self.plot.calm:
            self._troubles()
        # The last act may take a moment.
        self.network.advance(ACTS + 10.0)
        for phone in phones:
            if phone.alive:
                phone.quiet()
        self.network.advance(EPILOGUE)
        self._check_end()

    def _troubles(self) -> None:
        chance = self.chance
        crashes = list(self.plot.crashes)
        if crashes and self.plot.sqlite:
            first, restart = crashes.pop(0)
            self._crash_at_register(self.plot.crash_at_register, restart - first)
        for crash, restart in crashes:
            self._at(crash, self._crash, restart - crash)
        for death in self.plot.deaths:
            self._at(death, chance.choice(self.phones).node.crash)
        if chance.random() < 0.3:
            phone, when = chance.choice(self.phones), chance.uniform(5.0, ACTS)
            self._at(when, self._cut, phone)
            self._at(when + chance.choice((0.5, 5.0, 40.0)), self._mend, phone)
        if chance.random() < 0.2:
            self._at(chance.uniform(10.0, ACTS), chance.choice(self.nats).reboot)

    def _at(self, seconds: float, act: Callable[..., Any], *args: Any) -> None:
        self.network.clock.callLater(seconds, self._act, act, args)

    def _act(self, act: Callable[..., Any], args: Any) -> None:
        # The dead do not act.
        actor = getattr(act, "__self__", None)
        if isinstance(actor, PhoneRegistration):
            actor = actor.phone
        if not (isinstance(actor, SimulatedPhone) and not actor.alive):
            act(*args)

    def _someone(self) -> str:
        return self.chance.choice([*(phone.aor for phone in self.phones), "sip:nobody@example.com"])

    # A cut goes by names, and each life of the server has its own.
    def _cut(self, phone: SimulatedPhone) -> None:
        self._parted = (phone.node, self._home[phone].node)
        self.network.cut(*self._parted)

    def _mend(self, phone: SimulatedPhone) -> None:
        self.network.mend(*self._parted)

    def _crash_at_register(self, left: int, pause: float) -> None:
        """Crash in the middle of the work on a REGISTER: when *left* of them have come."""
        element = self.unlucky.element

        def seen(message: Request | Response, data: bytes, flow: Flow) -> None:
            nonlocal left
            if isinstance(message, Request) and message.method == "REGISTER":
                left -= 1
                if not left:
                    element.message_seen = None
                    self._at(self.network.random.uniform(0.0, 0.01 + self.plot.disk_latency), self._crash, pause)

        element.message_seen = seen

    def _crash(self, pause: float) -> None:
        if self.unlucky.up:
            self.unlucky.crash()
            self._at(pause, self._restart)

    def _restart(self) -> None:
        self.unlucky.restart()
        self.check_bindings("restart")

    # -- checks --------------------------------------------------------------------------

    def check_bindings(self, occasion: str) -> None:
        """Note each binding that was acknowledged, lives, and is not in the store of the running server."""
        for phone, server in self._home.items():
            known = phone.registration.acknowledged
            if known is None or known.until <= phone.now() or not server.up:
                continue
            bindings: Any = server.location.lookup(phone.aor)
            if known.contact not in [binding.contact for binding in bindings]:
                self.problems.append(f"{phone.now():.3f} after {occasion}: {known} of {phone!r} is missing")

    def _check_end(self) -> None:
        self.problems += disagreements(self.phones, calm=self.plot.calm, one_mind=not self.plot.crashes)
        living = [phone for phone in self.phones if phone.alive]
        for phone in living:
            phone.disconnect()
        self.network.advance(10.0)
        holders: list[SimulatedServer | SimulatedPhone] = [*self.servers, *living]
        for holder in holders:
            left = holder.leftovers()
            if left:
                self.problems.append(f"left over at {holder!r}: {left}")

    def ladder(self) -> list[str]:
        """Return a line for each datagram with a message, if a trace was kept: when, from, to, its fate, what it is."""
        lines: list[str] = []
        for time, source, destination, fate, data in self.network.trace:
            rows = data.decode("utf-8", "replace").split("\r\n")
            wanted = [row for row in rows[1:] if row[:5].lower() == "cseq:" or row[:8].lower() == "call-id:"]
            if rows[0]:
                lines.append(f"{time:9.3f} {source} > {destination} {fate}: {rows[0]} {' '.join(wanted)}")
        return lines

    def fingerprint(self) -> tuple[float, float, int]:
        """Return what differs if anything at all went another way: time, the next number, how many requests."""
        sent = sum(len(phone.sent) for phone in self.phones)
        return self.network.clock.seconds(), self.network.random.random(), sent
