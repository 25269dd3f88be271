#!/usr/bin/env python3
"""An hour of everything at once, with clients that die: does the server keep its memory and its tables in order?

  soak.py                              an hour at 30 % of one core
  soak.py --duration 300 --rate 20     five minutes, 20 things to do per second

Starts `twistd sip-proxy --presence` with digest, call records, metrics and trace. Phones of the library in some
processes, over UDP, TCP and TLS, register, call, hold, cancel, do not answer, publish, watch and write, to those who
are there and those who are not. Processes are killed, or stopped so that their sockets fall silent, at random.
Strangers send what is malformed and break connections off. At the end the load is taken away, and when the last
deadline that RFC 3261 and the configuration allow is past, every table must be as empty as before, memory flat, and
nothing in the log an error. One line is printed for each fault, and the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from typing import Any

from rich.console import Console
from soak_crew import PHONES, Crew
from soak_filling import fill
from soak_server import SHORT_TIMER_C, TIMER_C, SoakServer
from soak_verdict import FILLING, WARM_UP, Sample, growth, judge, may_judge

#: Share of one core that the server is to be given to do.
SHARE = 0.30
#: Rates of the two steps of the calibration: seconds to get going, and seconds that are measured.
FIRST_RATE, GOING, MEASURED = 20.0, 12.0, 12.0
#: Seconds of load below which few calls lose both ends at once and Timer C is short, so that the wait at the end is
#: short as well.
SHORT = 180.0
#: Below this the trace is small, so that it is full soon.
LONG = 1800.0
SMALL_TRACE = "[trace]\ncalls = 200\ndecisions = 2000\n"
_COLUMNS = ("bindings", "connections", "calls", "answered calls", "subscriptions", "publications")


class Soak:
    """One run.

    :ivar samples: what was seen, in order.
    """

    def __init__(self, args: argparse.Namespace, work: pathlib.Path, console: Console) -> None:
        self.args, self.console = args, console
        self.lots = random.Random(args.seed)
        users = args.processes * PHONES
        timer_c = SHORT_TIMER_C if args.duration < SHORT else TIMER_C
        self.server = SoakServer(work, users, "" if args.duration >= LONG else SMALL_TRACE, timer_c)
        self.crew = Crew(self.server, users, self.lots, apart=args.duration < SHORT)
        self.samples: list[Sample] = []
        self.began = time.monotonic()
        self._cpu = (self.began, self.server.cpu())
        self._operations = 0
        self._next_death = float("inf")
        self._filled: float | None = None

    # -- the load ------------------------------------------------------------------------------

    def run(self) -> None:
        """Load it, and take the load away."""
        self.say(f"server {self.server.proc.p.pid}, {self.args.processes * PHONES} phones, seed {self.args.seed}")
        if self.args.duration >= WARM_UP:
            # Memory is judged.
            answered = fill(self.server.ports["udp"], self.lots)
            self.say(f"caches are full: {answered} requests of strangers, each with names of its own, were answered")
        self.crew.start()
        # Registered, and one after the other.
        self.wait(5.0)
        rate = self.args.rate or self.calibrated()
        self.crew.set_rate(rate)
        self.began = time.monotonic()
        self._cpu_begun, self._operations_begun = self.server.cpu(), self.crew.counts()["operations"]
        self._next_death = self.began + self.lots.expovariate(1 / self.args.deaths)
        while self.server.alive and (left := self.began + self.args.duration - time.monotonic()) > 0:
            self.wait(min(self.args.sample, left))
            self.sample()
        self.seconds = time.monotonic() - self.began
        self.cpu_share = (self.server.cpu() - self._cpu_begun) / self.seconds
        self.operations = (self.crew.counts()["operations"] - self._operations_begun) / self.seconds
        # Where there is too little left to judge, half of the time says more.
        self.judged = may_judge(self.seconds, self._filled)
        self.grown = growth(self.samples, self._filled if self.judged else None)
        self._next_death = float("inf")
        self.crew.finish()

    def wait(self, seconds: float) -> None:
        """Let so much time pass; peers die meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(0.5, left))
            happened = self.crew.tend()
            if not happened and time.monotonic() >= self._next_death:
                self._next_death = time.monotonic() + self.lots.expovariate(1 / self.args.deaths)
                happened = self.crew.misfortune()
            if happened and self.args.verbose:
                self.say(happened)

    def calibrated(self) -> float:
        """Return the rate at which the server has its share of a core to do."""
        rate = FIRST_RATE
        for _ in range(2):
            self.crew.set_rate(rate)
            self.wait(GOING)
            before, start, done = self.server.cpu(), time.monotonic(), self.crew.counts()["operations"]
            self.wait(MEASURED)
            seconds = time.monotonic() - start
            share = (self.server.cpu() - before) / seconds
            really = (self.crew.counts()["operations"] - done) / seconds
            self.say(f"calibration: {really:.1f} of {rate:.0f} things per second are {share:.1%} of a core")
            rate = max(1.0, min(rate, really * 1.1) * SHARE / max(share, 0.001))
        return rate

    def sample(self) -> None:
        """Look at it, and show what is seen."""
        self.server.read_log()
        if not self.server.alive:
            return
        now, cpu = time.monotonic(), self.server.cpu()
        counts = self.server.counts()
        self.samples.append(Sample(now - self.began, self.server.memory(), counts))
        (last, used), self._cpu = self._cpu, (now, cpu)
        operations = self.crew.counts()["operations"]
        rate, self._operations = (operations - self._operations) / (now - last), operations
        done = operations - self._operations_begun
        if self._filled is None and now - self.began >= WARM_UP and done >= FILLING:
            self._filled = now - self.began
        transactions = sum(count for name, count in counts.items() if name.startswith("transactions"))
        held = "  ".join(f"{name} {counts.get(name, 0)}" for name in _COLUMNS)
        faults = f"  faults in the log: {len(self.server.faults)}" if self.server.faults else ""
        self.say(
            f"{rate:5.1f}/s  cpu {(cpu - used) / (now - last):4.0%}  {self.samples[-1].memory / 2**20:6.1f} MB  "
            f"{held}  transactions {transactions}  dead {self.crew.deaths}{faults}"
        )

    # -- the end -------------------------------------------------------------------------------

    def drain(self) -> None:
        """Wait until every table is at its base line, until the last deadline at most."""
        start = time.monotonic()
        self.held = self.server.held()
        while self.held and self.server.alive and time.monotonic() - start < self.server.last_deadline:
            time.sleep(min(5.0, self.args.sample))
            before, self.held = self.held, self.server.held()
            if before.keys() != self.held.keys():
                self.say(f"left after {time.monotonic() - start:.0f} s: {', '.join(self.held) or 'nothing'}")
        self.drained = time.monotonic() - start

    def report(self) -> dict[str, Any]:
        """Stop the server; return the figures and the faults."""
        alive, never, after = self.server.alive, self.server.never(), self.server.memory()
        self.server.stop()
        others = self.crew.troubles()
        judged = self.grown if self.judged else None
        faults = judge(judged, self.held, self.server.faults, never, alive=alive, others=others)
        grown = self.grown
        return {
            "seconds": round(self.seconds),
            "seed": self.args.seed,
            "operations per second": round(self.operations, 1),
            "share of a core": round(self.cpu_share, 3),
            "processes killed": self.crew.deaths,
            "processes silent for a while": self.crew.silences,
            "memory before the load, MB": round(self.server.base_memory / 2**20, 1),
            "memory in the load, MB": round(grown.mean / 2**20, 1) if grown else None,
            "growth, MB": round(grown.bytes / 2**20, 2) if grown else None,
            "growth allowed, MB": round(grown.allowed / 2**20, 2) if grown else None,
            "growth per hour": round(grown.hourly, 4) if grown else None,
            "growth was judged": judged is not None,
            "memory afterwards, MB": round(after / 2**20, 1),
            "seconds until all tables were at their base line": None if self.held else round(self.drained),
            "done": dict(self.crew.counts().most_common()),
            "warnings": dict(sorted(self.server.warnings.items(), key=lambda item: -item[1])),
            "faults": faults,
        }

    def close(self) -> None:
        """Stop whatever still runs."""
        self.crew.close()
        self.server.stop()

    def say(self, text: str) -> None:
        """Tell how it goes."""
        seconds = int(time.monotonic() - self.began)
        self.console.print(
            f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}  {text}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


def show(console: Console, report: dict[str, Any]) -> None:
    """Write a report for people."""
    for name, value in report.items():
        if name in ("done", "warnings"):
            text = ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
            console.print(f"{name}: {text}", highlight=False, markup=False, soft_wrap=True)
        elif name != "faults":
            console.print(f"{name}: {value}", highlight=False, markup=False)
    for fault in report["faults"]:
        console.print(f"FAULT {fault}", highlight=False, markup=False, soft_wrap=True, style="red")
    console.print("not clean" if report["faults"] else "clean", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=3600.0, help="seconds of load")
    parser.add_argument("--rate", type=float, default=0.0, help="things to do per second (default: 30 %% of a core)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn by lot")
    parser.add_argument("--processes", type=int, default=6, help=f"of phones, {PHONES} in each")
    parser.add_argument("--deaths", type=float, default=15.0, help="seconds between two misfortunes, on average")
    parser.add_argument("--sample", type=float, default=10.0, help="seconds between two looks at the server")
    parser.add_argument("--verbose", action="store_true", help="tell of every death")
    parser.add_argument("--keep", action="store_true", help="keep the log and the databases")
    parser.add_argument("--json", action="store_true", help="report as JSON; progress goes to standard error")
    args = parser.parse_args()
    console = Console(stderr=args.json)
    work = pathlib.Path(tempfile.mkdtemp(prefix="soak-"))
    # Whoever ends it by a signal shall leave no server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    soak = Soak(args, work, console)
    try:
        soak.run()
        soak.drain()
        report = soak.report()
    finally:
        soak.close()
        if args.keep:
            console.print(f"kept in {work}", highlight=False)
        else:
            shutil.rmtree(work, ignore_errors=True)
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        show(console, report)
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, KeyboardInterrupt) as error:
        sys.exit(str(error) or "interrupted")
