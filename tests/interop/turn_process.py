"""A STUN and TURN server on UDP. Arguments: its address, port, and optionally user and password."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.task import LoopingCall

from twisted_sip.testing.turn_server import TURNServerProtocol

host, port, *user = sys.argv[1:]
server = TURNServerProtocol(reactor, host, {user[0]: user[1]} if user else None)
reactor.listenUDP(int(port), server, interface=host)
told: list[tuple[int, int]] = []


def tell() -> None:
    if told[-1:] != [(server.relayed, len(server.allocations))]:
        told.append((server.relayed, len(server.allocations)))
        print(f"relayed {server.relayed}, {len(server.allocations)} allocations", flush=True)


print("ready", flush=True)
LoopingCall(tell).start(0.2)
reactor.run()
