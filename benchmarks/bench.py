#!/usr/bin/env python3
"""CPU per operation of ``twistd sip-proxy``, and of Kamailio beside it if it is installed, in one run.

  bench.py                       all workloads, both servers, a table
  bench.py W3 --rate 1500        one workload at another rate
  bench.py --repeats 3 --json    medians of three fresh runs each, as JSON

W1 REGISTER, W2 REGISTER with challenge, W3 proxied call INVITE to BYE with Record-Route, W4 MESSAGE, W5 PUBLISH to
NOTIFY, W6 OPTIONS (W5 needs Kamailio's presence and sqlite modules), W7 call through ``twistd sip-b2bua``, beside
sippy's b2bua where BENCH_SIPPY names a Python that has it.
Only the ratio means anything: the machines differ, and so does the same machine from one minute to the next.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from typing import Any

from load import SIPP, WORKLOADS, Bench, BenchError
from rich.console import Console
from rich.table import Table
from servers import SIPPY

#: Runs of the scenario per second: some 30 to 50 % of a core for either server.
RATES = {"W1": 4000, "W2": 2500, "W3": 1000, "W4": 3000, "W5": 600, "W6": 4000, "W7": 100}


def measure(server: str, workload: str, args: argparse.Namespace) -> float | None:
    """Return the CPU microseconds per operation of one fresh server, None if the run was not clean."""
    with Bench(
        server, workload, users=args.users, extra=args.extra if server.startswith("twisted-sip") else ""
    ) as bench:
        result = bench.measure(args.rate or RATES[workload], args.duration, args.warmup)
    faults = ", ".join(f"{result[name]} {name}" for name in ("failed", "retransmitted", "missing"))
    note = "" if result["ok"] else f"  not clean: {faults}"
    print(
        f"{workload} {server}: {result['cpu_us'] or 0:.1f} us, {result['core_pct']:.0f} % of a core{note}",
        file=sys.stderr,
        flush=True,
    )
    return float(result["cpu_us"]) if result["ok"] else None


def names(workload: str) -> tuple[str, str]:
    """Return our server for *workload*, and the one to compare it with, empty where that is not installed."""
    if workload == "W7":
        return "twisted-sip-b2bua", "sippy-b2bua" if SIPPY else ""
    return "twisted-sip", "kamailio" if shutil.which("kamailio") else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", default=["W1", "W2", "W3", "W4", "W6"])
    parser.add_argument("--rate", type=int, default=0, help="operations per second (default: by workload)")
    parser.add_argument("--duration", type=float, default=8.0, help="seconds of each measured run")
    parser.add_argument("--warmup", type=float, default=7.0, help="seconds of load before it")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=1, help="fresh runs of each server, interleaved")
    parser.add_argument("--extra", default="", help="more arguments for twistd sip-proxy")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    unknown = [name for name in args.workloads if name not in RATES]
    if unknown:
        parser.error(f"no such workload: {', '.join(unknown)} (there are {', '.join(RATES)})")
    if shutil.which(SIPP) is None:
        parser.error("SIPp is not installed (Debian: sip-tester)")
    rows: list[dict[str, Any]] = []
    for workload in args.workloads:
        ours_name, theirs_name = names(workload)
        servers = [name for name in (ours_name, theirs_name) if name]
        got: dict[str, list[float]] = {server: [] for server in servers}
        for _ in range(args.repeats):
            for server in servers:
                value = measure(server, workload, args)
                if value is not None:
                    got[server].append(value)
        row: dict[str, Any] = {"workload": workload, "operation": WORKLOADS[workload]["unit"]}
        for server in servers:
            row[server] = round(statistics.median(got[server]), 1) if got[server] else None
        ours, theirs = row[ours_name], row.get(theirs_name)
        row["ratio"] = round(ours / theirs, 2) if ours and theirs else None
        rows.append(row)
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        table = Table(title="CPU microseconds per operation")
        for name in ("workload", "operation", "ours", "beside", "its", "ratio"):
            table.add_column(name, justify="right" if name in ("ours", "its", "ratio") else "left")
        for row in rows:
            ours_name, theirs_name = names(row["workload"])
            cells = [row["workload"], row["operation"], row[ours_name], theirs_name or "-", row.get(theirs_name)]
            table.add_row(*[str(cell) if cell is not None else "-" for cell in [*cells, row["ratio"]]])
        Console().print(table)
    return 0 if all(row[names(row["workload"])[0]] for row in rows) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(str(error))
