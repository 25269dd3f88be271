#!/usr/bin/env python3
"""Calls with sound through ``twistd sip-b2bua``: CPU of each media packet that it relays, and how many are lost.

  media_relay.py                  100 calls of G.711 at a time, the callee sends back what it hears
  media_relay.py --calls 50 --seconds 20 --json

Caller and callee are SIPp (``rtp_stream``, ``-rtp_echo``). Lost is what the kernel dropped at sockets of the server.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from load import IP, PORT, SIPP, UAC_PORT, UAS_PORT
from procs import Proc
from servers import HERE, program

CONFIGURATION = f"""\
[server]
domains = ["bench.test"]
listen = ["udp:{PORT}:interface={IP}"]
[auth]
required = false
[b2bua]
media = "relay"
[media]
host = "{IP}"
[[route]]
user = "*"
to = "sip:callee@{IP}:{UAS_PORT}"
"""


def status(work: pathlib.Path) -> dict[str, Any]:
    """Return the counts of the server."""
    command = [program("twisted-sip"), "status", "--json", "--state-dir", str(work / "twisted-sip-state")]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return dict(found["counts"])


def drops(pids: list[str]) -> int:
    """Return how many datagrams were dropped at UDP sockets of these processes."""
    sockets = set()
    for pid in pids:
        for link in pathlib.Path("/proc", pid, "fd").iterdir():
            name = str(link.readlink()) if link.is_symlink() else ""
            if name.startswith("socket:["):
                sockets.add(name[8:-1])
    rows = [line.split() for line in pathlib.Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[12]) for row in rows if row[9] in sockets)


def sound(path: pathlib.Path) -> None:
    """Write ten seconds of PCMU, a buzz of 500 Hz, as SIPp wants it: without a head."""
    path.write_bytes(bytes(0x90 if n % 16 < 8 else 0x10 for n in range(80000)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100, help="at a time")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the measurement")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started: list[Proc] = []
    with tempfile.TemporaryDirectory(prefix="sipmedia-") as name:
        work = pathlib.Path(name)
        (work / "b2bua.toml").write_text(CONFIGURATION)
        (work / "users.csv").write_text("SEQUENTIAL\nu0;\n")
        sound(work / "sound.ulaw")
        try:
            command = f"{program('twistd')} -n --pidfile= sip-b2bua --config b2bua.toml"
            server = Proc(shlex.split(command), 0, work, work / "server.log")
            started.append(server)
            time.sleep(4)
            common = ["-nostdin", "-t", "u1", "-i", IP, "-mi", IP]
            callee = [SIPP, "-sf", str(HERE / "scenarios/call_uas.xml"), *common, "-p", str(UAS_PORT), "-key", "tp", ""]
            callee += ["-rtp_echo", "-mp", "20000"]
            started.append(Proc(callee, 1, work, work / "uas.log"))
            hold = int((args.seconds + args.calls / 20 + 6) * 1000)
            caller = [SIPP, "-sf", str(HERE / "scenarios/media_uac.xml"), *common, "-p", str(UAC_PORT)]
            caller += ["-inf", "users.csv", "-r", "20"]
            caller += ["-m", str(args.calls), "-l", str(args.calls), "-d", str(hold), f"{IP}:{PORT}"]
            started.append(Proc(caller, 1, work, work / "uac.log"))
            time.sleep(args.calls / 20 + 3)
            before, used, lost = status(work), server.cpu_us(), drops(server.pids())
            began = time.monotonic()
            time.sleep(args.seconds)
            after, used, lost = status(work), server.cpu_us() - used, drops(server.pids()) - lost
            seconds = time.monotonic() - began
        finally:
            for process in reversed(started):
                process.stop(signal.SIGKILL if process is not started[0] else signal.SIGTERM)
    packets = after["media packets"] - before["media packets"]
    result = {
        "calls": after["calls"],
        "packets": packets,
        "packets per second": round(packets / seconds),
        "lost": lost,
        "cpu us per packet": round(used / packets, 1) if packets else None,
        "core %": round(used / seconds / 1e4, 1),
    }
    print(json.dumps(result) if args.json else "\n".join(f"{key}: {value}" for key, value in result.items()))
    return 0 if packets and not lost and after["calls"] == args.calls else 1


if __name__ == "__main__":
    sys.exit(main())
