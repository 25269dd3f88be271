"""Hours of simulated time: whatever a server has served, the objects of the round before are all gone.

Phones register, call, give up, publish, watch, write and die; when the last deadline of a round is past, as many
objects of each kind live as after the round before. Empty tables do not show it: others may hold them.
"""

from __future__ import annotations

import gc
import random
from collections import Counter
from functools import _lru_cache_wrapper
from itertools import pairwise
from pathlib import Path

from twisted_sip.documents.pidf import Presence
from twisted_sip.message.kept import Kept
from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.heckler import Heckler
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.presence_client import PresenceClient
from twisted_sip.testing.presence_server import SimulatedPresenceServer

ROUNDS = 5
PHONES = 9
#: Of a round: seconds in which things are done, how many, and seconds until the last deadline is past.
ACTS, DONE, EPILOGUE = 600.0, 200, 1370.0


class Hours:
    """A server that goes on, and phones that come anew in each round."""

    def __init__(self, directory: Path) -> None:
        self.chance = random.Random(11)
        self.network = Network(11, Conditions(loss=0.03, delay=(0.001, 0.05)))
        self.passwords = {f"u{number}": f"secret {number}" for number in range(PHONES)}
        self.server = SimulatedPresenceServer(self.network, directory=directory, passwords=self.passwords)
        self.heckler = Heckler(self.network.node("198.51.100.250"), self.chance)

    def phone(self, number: int) -> PresenceClient:
        user, transport = f"u{number}", ("udp", "tcp")[number % 2]
        phone = PresenceClient(
            self.network,
            self.network.node(f"198.51.100.{number + 1}", name=user),
            user,
            proxy=self.server.route(transport),
            password=self.passwords[user],
            transport=transport,
            keep_alive=20.0 if transport == "tcp" else 0.0,
            behaviour=Behaviour.drawn(self.chance),
            instance=f"00000000-0000-1000-8000-{number:012}" if number % 3 == 0 else "",
        )
        phone.registration.start(60)
        return phone

    def round(self) -> None:
        phones = [self.phone(number) for number in range(PHONES)]
        began = self.network.clock.seconds()
        for at in sorted(self.chance.uniform(5.0, ACTS) for _ in range(DONE)):
            self.network.advance(began + at - self.network.clock.seconds())
            number = self.chance.randrange(PHONES)
            self.act(phones[number])
            if self.chance.random() < 0.03:
                phones[number].node.crash()
                phones[number] = self.phone(number)
        for phone in phones:
            phone.quiet()
        self.network.advance(EPILOGUE)
        for phone in phones:
            phone.disconnect()
            phone.node.crash()
        self.network.advance(60.0)
        self.server.element.dead_targets.expire()

    def act(self, phone: PresenceClient) -> None:
        lot = self.chance.random()
        other = f"sip:{self.chance.choice(list(self.passwords))}@example.com"
        if lot < 0.40:
            phone.call(other, Behaviour.drawn(self.chance))
        elif lot < 0.55:
            phone.message(other, "hello")
        elif lot < 0.60:
            phone.message("sip:nobody@example.com", "hello")
        elif lot < 0.70:
            phone.publish(Presence(phone.aor).with_status("open", note=str(lot)), 60)
        elif lot < 0.73:
            phone.unpublish()
        elif lot < 0.85:
            phone.watch(other, 60)
        elif lot < 0.88:
            phone.unwatch()
        elif lot < 0.92:
            phone.options("sip:example.com")
        elif lot < 0.96:
            self.heckler.shout((self.server.host, 5060))
        else:
            phone.registration.unregister()
            phone.registration.start(60)


def living() -> Counter[str]:
    """Count the objects of the package by type, without those that bounded caches keep."""
    for each in gc.get_objects():
        if type(each) is _lru_cache_wrapper:
            each.cache_clear()
        elif type(each) is Kept:
            each.clear()
    gc.collect()
    names = (f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
    return Counter(name for name in names if name.startswith("twisted_sip.") and ".testing." not in name)


def test_each_round_leaves_as_little_as_the_one_before(tmp_path: Path) -> None:
    hours = Hours(tmp_path)
    seen = []
    for _ in range(ROUNDS):
        hours.round()
        assert not hours.server.leftovers()
        seen.append(living())
    # What grows once or twice is something small that is kept until it is wanted anew; a leak grows each time.
    grown = {
        name: [counts[name] for counts in seen]
        for name in seen[-1]
        if all(later[name] > before[name] for before, later in pairwise(seen))
    }
    # Kept as they come, until there are some hundreds or thousands.
    for name in ("message.cseq.CSeq", "message.builders._Copied", "interfaces.destination.Destination"):
        grown.pop(f"twisted_sip.{name}", None)
    assert not grown
    assert sum(seen[-1].values()) < 1.1 * sum(seen[0].values())
