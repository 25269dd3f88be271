#!/usr/bin/env python3
"""W8: many watchers of many presentities, at ``twistd sip-proxy --presence`` and at Kamailio's presence modules.

  presence_scale.py                          10,000 watchers of 1,000 presentities, both servers in turn
  presence_scale.py --watchers 1000 --presentities 100 --settle 0 --servers twisted-sip

The subscriptions are made, and memory is taken once the transactions of their making are gone. Then follow refreshes
alone, PUBLISHes that nobody watches, PUBLISHes that are watched, both kinds of load at once, and one PUBLISH of many
presentities in one moment. At the end every watcher must know the last published state.
CPU is that of all processes of the server; memory is their proportional set size.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from typing import Any

from load import Bench, BenchError
from presence_peers import Peers
from rich.console import Console
from rich.table import Table

#: Finished transactions live for 32 seconds over UDP, and the garbage collector looks every ten.
SETTLE = 45.0


class ScaleBench(Bench):
    """One server with its watchers and publishers."""

    def __init__(self, server: str, args: argparse.Namespace) -> None:
        super().__init__(server, "W8", users=2 * args.presentities, extra=args.extra if server == "twisted-sip" else "")
        self.args = args

    def pss(self) -> int:
        """The proportional set size of all processes of the server, in bytes."""
        assert self.server is not None
        total = 0
        for pid in self.server.pids():
            with open(f"/proc/{pid}/smaps_rollup") as lines:
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total * 1024

    def phase(
        self, peers: Peers, seconds: float, *, refreshes: float = 0, publishes: float = 0, unwatched: float = 0
    ) -> dict[str, float]:
        """Return what a time of load has cost: rates are per second."""
        assert self.server is not None
        before, start = peers.counts(), self.server.cpu_us()
        peers.run(seconds, refreshes=refreshes, publishes=publishes, unwatched=unwatched)
        busy = self.server.cpu_us() - start
        # What is paced comes later.
        peers.run(3.0)
        after = peers.counts()
        made = {name: after[name] - before[name] for name in after}
        made["cpu_us"] = self.server.cpu_us() - start
        made["core_pct"] = busy / seconds / 1e4
        return made

    def run(self) -> dict[str, Any]:
        """All phases; returns the figures."""
        args = self.args
        seconds = args.duration
        with Peers(args.watchers, args.presentities) as peers:
            # Whatever is made once, for the first requests, is no subscription.
            peers.run(2.0, unwatched=200)
            peers.run(args.settle)
            empty = self.pss()
            peers.subscribe(args.subscribe_rate)
            first = self.pss()
            peers.run(args.settle)
            settled = self.pss()
            alone = self.phase(peers, seconds, refreshes=args.refresh_alone)
            publish = self.phase(peers, seconds, unwatched=args.publish_alone)
            watched = self.phase(peers, seconds, publishes=args.publish)
            mixed = self.phase(peers, seconds, publishes=args.publish, refreshes=args.refresh)
            many = min(args.burst, args.presentities)
            burst = peers.burst(many)
            stale = peers.stale()
            counts = peers.counts()
        per_publish = publish["cpu_us"] / max(1, publish["published"])
        notifies = max(1, watched["notified"])
        return {
            "refresh with its NOTIFY, us": alone["cpu_us"] / max(1, alone["refreshed"]),
            "PUBLISH alone, us": per_publish,
            "NOTIFY, us": (watched["cpu_us"] - watched["published"] * per_publish) / notifies,
            "PUBLISH with its NOTIFYs, us": watched["cpu_us"] / max(1, watched["published"]),
            "mixed load, % of a core": mixed["core_pct"],
            "memory per subscription, bytes": (settled - empty) / args.watchers,
            "the same at once, bytes": (first - empty) / args.watchers,
            "memory before, MB": empty / 1e6,
            "NOTIFYs missing": sum(
                max(0, each["published"] * peers.each + each["refreshed"] - each["notified"])
                for each in (alone, watched, mixed)
            ),
            "watchers with old state": stale,
            "unanswered": counts["unanswered"],
            "NOTIFYs sent again": counts["repeated"],
            "NOTIFYs out of order": counts["disordered"],
            "refused": counts["refused"],
            "datagrams dropped": peers.drops(),
            f"NOTIFYs of {many} PUBLISHes": burst["notified"],
            "most of them in 50 ms": burst["peak"],
            "last one after, ms": burst["last_ms"],
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="twisted-sip,kamailio", help="which ones, with commas")
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--presentities", type=int, default=1_000)
    parser.add_argument("--duration", type=float, default=8.0, help="seconds of each kind of load")
    parser.add_argument("--settle", type=float, default=SETTLE, help="seconds until memory is taken")
    parser.add_argument("--subscribe-rate", type=float, default=1000)
    parser.add_argument("--refresh", type=float, default=300, help="refreshes per second in the mixed load")
    parser.add_argument("--publish", type=float, default=150, help="watched PUBLISHes per second")
    parser.add_argument("--refresh-alone", type=float, default=1200)
    parser.add_argument("--publish-alone", type=float, default=1500)
    parser.add_argument("--burst", type=int, default=200, help="PUBLISHes at once")
    parser.add_argument("--extra", default="", help="more arguments for twistd sip-proxy")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    servers = [name for name in args.servers.split(",") if name != "kamailio" or shutil.which("kamailio")]
    results: dict[str, dict[str, Any]] = {}
    # The peers stay on the core that the server has not.
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    for server in servers:
        with ScaleBench(server, args) as bench:
            results[server] = {name: round(value, 1) for name, value in bench.run().items()}
        print(f"{server}: done", file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps(results, indent=2))
        return 0
    table = Table(title=f"{args.watchers} watchers of {args.presentities} presentities")
    for name in ("", *servers, *(["ratio"] if len(servers) == 2 else [])):
        table.add_column(name, justify="right" if name else "left")
    for name in next(iter(results.values())):
        values = [results[server][name] for server in servers]
        cells = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        if len(servers) == 2:
            cells.append(f"{values[0] / values[1]:.2f}" if values[1] and name.endswith(("us", "bytes", "core")) else "")
        table.add_row(name, *cells)
    Console().print(table)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(str(error))
