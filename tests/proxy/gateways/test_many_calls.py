"""Many calls over gateways that do what they like, on a network that loses datagrams: each call has one end, and
nothing is left."""

from __future__ import annotations

import random
from typing import Any

import pytest

from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.gateways.settings import GatewaysSettings
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.peer import Peer

CALLS = 60
#: What a gateway does with an INVITE: seconds after which it answers what.
WAYS = [
    [],
    [(0.1, 200)],
    [(0.1, 180), (2.0, 200)],
    [(0.2, 503)],
    [(0.1, 500)],
    [(0.1, 180), (0.2, 486)],
    [(4.0, 200)],
    [(4.0, 180), (1.0, 200)],
    [(3.0, 200)],
    [(0.1, 100), (5.0, 503)],
    [(0.1, 603)],
]


class Wilful(Peer):
    """A gateway that does something else each time."""

    def __init__(self, node: Any, drawn: random.Random) -> None:
        super().__init__(node)
        self.drawn = drawn
        self.known: dict[str, str] = {}
        self.answered = 0

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        super().datagramReceived(data, addr)
        message = self.arrivals[-1].message
        if not isinstance(message, Request) or message.method == "ACK":
            return
        branch = str(message.top_via.branch)
        if message.method == "INVITE":
            if branch not in self.known:
                self.known[branch] = "open"
                self.act(message, branch, list(self.drawn.choice(WAYS)))
        elif message.method == "CANCEL":
            self.answer(message, 200)
            if self.known.get(branch) == "open":
                self.known[branch] = "over"
                invite = next(
                    one
                    for one in self.messages
                    if isinstance(one, Request) and one.method == "INVITE" and one.top_via.branch == branch
                )
                self.answer(invite, 487)
        elif self.drawn.random() < 0.7:
            self.answer(message, self.drawn.choice([200, 200, 404, 503]))

    def say(self, invite: Request, status: int, to_tag: str) -> None:
        self.answer(invite, status, [("contact", f"<sip:{self.address}>")], to_tag=to_tag)

    def act(self, invite: Request, branch: str, steps: list[tuple[float, int]]) -> None:
        if not steps or self.known[branch] == "over":
            return
        after, status = steps.pop(0)

        def answer() -> None:
            if self.known[branch] == "over":
                return
            if status >= 200:
                self.known[branch] = "over"
            # A 2xx is repeated by whoever has sent it (RFC 3261 section 13.3.1.4); nobody acknowledges it here.
            for again in range(4 if status < 300 else 1):
                self.node.callLater(again, self.say, invite, status, branch[-8:])
            self.act(invite, branch, steps)

        self.node.callLater(after, answer)


@pytest.fixture(params=[0.0, 0.1])
def network(request: pytest.FixtureRequest) -> Network:
    return Network(5, Conditions(loss=request.param))


def test_each_call_has_one_end(network: Network, trunk: Any) -> None:
    drawn = random.Random(11)
    settings = GatewaysSettings(probe_interval=5.0, probe_again=2.0, probe_timeout=2.0, hold=5.0)
    made = trunk(*[f"sip:192.0.2.{number}" for number in (50, 51, 52)], priority=1, settings=settings)
    made.gateways._randbelow = drawn.randrange
    for number in (50, 51, 52):
        Wilful(network.node(f"192.0.2.{number}"), drawn)
    made.probes.start()
    alice = made.house.peer("192.0.2.2")
    texts = {}
    for number in range(CALLS):
        text = texts[f"c{number}"] = made.house.request(
            "INVITE", f"sip:0{number}@example.com", branch=f"b{number}", call_id=f"c{number}"
        )
        made.house.send(alice, text)
        if drawn.random() < 0.2:
            network.clock.callLater(drawn.random() * 5, made.house.send, alice, text.replace("INVITE", "CANCEL"))
        # It comes again until something is heard of it.
        for after in (0.5, 1.5, 3.5):
            network.clock.callLater(after, made.house.send, alice, text)
        network.advance(drawn.random())
    # Past Timer C, where a final response was lost, and what follows it.
    network.advance(300.0)
    finals: dict[str, set[tuple[int, str]]] = {}
    for message in alice.messages:
        if isinstance(message, Response) and message.status >= 200 and message.cseq.method == "INVITE":
            finals.setdefault(message.call_id, set()).add((message.status, str(message.to.tag)))
    assert finals.keys() == texts.keys()
    for ends in finals.values():
        # Several 2xx may come, and nothing but a 2xx beside one.
        assert len(ends) == 1 or all(status == 200 for status, _ in ends)
    assert {status for ends in finals.values() for status, _ in ends} >= {200, 486, 487, 603}
    made.probes.stop()
