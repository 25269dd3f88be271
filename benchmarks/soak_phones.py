#!/usr/bin/env python3
"""Some phones of the soak in one process, which may be killed at any time; `soak.py` starts it.

Lines in: ``rate R`` (things to do per second, all phones together), ``quit`` (leave in good order). Lines out: what
has been done since the start, as JSON, every two seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from typing import Any

from soak_phone import Phone
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.stdio import StandardIO
from twisted.logger import LogLevel, globalLogPublisher
from twisted.protocols.basic import LineOnlyReceiver

#: Seconds between two reports.
REPORT = 2.0


class Orders(LineOnlyReceiver):
    """What the phones are told, and what they tell."""

    delimiter = b"\n"

    def __init__(self, phones: list[Phone], lots: random.Random, counts: Counter[str]) -> None:
        self.phones, self.lots, self.counts = phones, lots, counts
        self.rate = 0.0
        self.over: Deferred[None] = Deferred()
        self._next: Any = None
        self._report = task.LoopingCall(self.report)
        self._report.start(REPORT, now=False)

    def lineReceived(self, line: bytes) -> None:
        order, *words = line.decode().split()
        if order == "rate":
            self.rate = float(words[0])
            if self._next is not None and self._next.active():
                self._next.cancel()
            self._wait()
        elif not self.over.called:
            self.over.callback(None)

    def connectionLost(self, reason: object = None) -> None:
        if not self.over.called:
            self.over.callback(None)

    def _wait(self) -> None:
        if self.rate > 0:
            self._next = reactor.callLater(self.lots.expovariate(self.rate), self._act)  # type: ignore[attr-defined]

    def _act(self) -> None:
        self._wait()
        phone = self.lots.choice(self.phones)
        if not phone.stopping:
            phone.act()

    def report(self) -> None:
        """Tell what has been done."""
        print(json.dumps(self.counts), flush=True)

    def stop(self) -> None:
        """Begin nothing more."""
        self.rate = 0.0
        if self._next is not None and self._next.active():
            self._next.cancel()


async def main(reactor: Any, args: argparse.Namespace) -> None:
    lots = random.Random(args.seed)
    counts: Counter[str] = Counter()

    def unhandled(event: Any) -> None:
        if event.get("log_level") is not None and event["log_level"] >= LogLevel.error:
            counts["errors of phones"] += 1
            if counts["errors of phones"] <= 3:
                failure = event.get("log_failure")
                print(failure.getTraceback() if failure else event.get("log_format"), file=sys.stderr, flush=True)

    globalLogPublisher.addObserver(unhandled)
    ports = dict(part.split(":") for part in args.ports.split(","))
    phones = []
    for number in range(args.first, args.first + args.count):
        # Half of them by UDP, the rest by connections.
        transport = ("udp", "tcp", "udp", "tls")[number % 4]
        near = range(args.first, args.first + args.count) if args.apart else range(0)
        phones.append(Phone(reactor, number, args.users, transport, int(ports[transport]), lots, counts, near))
    orders = Orders(phones, lots, counts)
    StandardIO(orders)
    for number, phone in enumerate(phones):
        reactor.callLater(0.1 * number, phone.start)
    await orders.over
    orders.stop()
    await DeferredList([phone.stopService() for phone in phones if phone.running])
    await DeferredList([phone.publisher.stop() for phone in phones])
    await DeferredList([phone.element.stop() for phone in phones])
    orders.report()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ports", required=True, help="those of the server, as udp:5060,tcp:5060,tls:5061")
    parser.add_argument("--first", type=int, default=0, help="the number of the first user")
    parser.add_argument("--count", type=int, default=8, help="how many phones")
    parser.add_argument("--users", type=int, default=8, help="how many users there are in all")
    parser.add_argument("--apart", action="store_true", help="call phones of other processes alone")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, given)))
