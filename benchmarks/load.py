"""Loads one SIP server on loopback with SIPp and measures what an operation costs it.

The server is tied to one core and SIPp to another. CPU is the time used by all processes of the server between the
start of the measured run and the end of a short drain, divided by the operations completed.
"""

from __future__ import annotations

import csv
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import tempfile
import time
from types import TracebackType
from typing import Any

from procs import Proc
from servers import HERE, SERVERS

IP, PORT, UAC_PORT, UAS_PORT, WATCH_PORT = "127.0.0.1", 15060, 15070, 15080, 15090
SIPP = os.environ.get("BENCH_SIPP", "sipp")

#: uac, uas, watch: scenarios; hold: milliseconds between ACK and BYE, or between two PUBLISHes; units: operations
#: of one run.
WORKLOADS: dict[str, dict[str, Any]] = {
    "W1": {"uac": "register", "unit": "REGISTER"},
    "W2": {"uac": "register_auth", "unit": "challenged REGISTER"},
    "W3": {"uac": "call_uac", "uas": "call_uas", "unit": "call, INVITE to BYE", "hold": 200},
    "W4": {"uac": "message_uac", "uas": "answer200", "unit": "MESSAGE"},
    "W5": {"uac": "publish", "watch": "watcher", "unit": "PUBLISH to NOTIFY", "units": 3, "hold": 20},
    "W6": {"uac": "options", "unit": "OPTIONS"},
    "W7": {"uac": "call_uac", "uas": "call_uas", "unit": "call through a b2bua, INVITE to BYE", "hold": 200},
    # Its peers are not SIPp's: presence_scale.py.
    "W8": {"unit": "10,000 watchers of 1,000 presentities"},
}


#: The columns of SIPp's message counts that say how many NOTIFYs came.
_NOTIFIES = re.compile(r"\d+_NOTIFY_Recv").fullmatch


class BenchError(Exception):
    """The measurement could not be made."""


class Sipp(Proc):
    """One SIPp."""

    serial = 0

    def __init__(self, bench: Bench, scenario: str, port: int, *args: object, remote: int | None = None) -> None:
        Sipp.serial += 1
        self.base = bench.work / f"{scenario}-{Sipp.serial}"
        argv = [SIPP, "-sf", str(HERE / "scenarios" / f"{scenario}.xml"), "-i", IP, "-p", str(port), "-t", "u1"]
        argv += ["-nostdin", "-auth_uri", "bench.test", "-default_behaviors", "abortunexp"]
        argv += ["-key", "uas", f"{IP}:{UAS_PORT}", "-key", "tp", "", "-buff_size", "1048576"]
        argv += ["-trace_stat", "-stf", f"{self.base}.csv", "-fd", "1", "-trace_err", "-error_file", f"{self.base}.err"]
        argv += map(str, args)
        if remote:
            argv.append(f"{IP}:{remote}")
        super().__init__(argv, bench.sipp_core, bench.work, pathlib.Path(f"{self.base}.log"))

    def count(self, column: str) -> int:
        """A counter out of the last line of its statistics."""
        try:
            with open(f"{self.base}.csv", errors="replace") as lines:
                rows = list(csv.DictReader(lines, delimiter=";"))
        except OSError:
            return 0
        return int(float(rows[-1].get(column) or 0)) if rows else 0


class Bench:
    """One server under one workload; a context manager."""

    def __init__(
        self,
        server: str,
        workload: str,
        *,
        users: int = 2000,
        server_core: int = 0,
        sipp_core: int = 1,
        extra: str = "",
    ) -> None:
        self.name, self.workload, self.users = server, workload, users
        self.entry, self.load_of = SERVERS[server], WORKLOADS[workload]
        self.server_core, self.sipp_core, self.extra = server_core, sipp_core, extra
        self.hold = int(self.load_of.get("hold", 0))
        self.server: Proc | None = None
        self.uas: Sipp | None = None
        self.watch: Sipp | None = None

    def __enter__(self) -> Bench:
        try:
            self.work = pathlib.Path(tempfile.mkdtemp(prefix="sipbench-"))
            rows = [f"u{i};[authentication username=u{i} password=secret{i}]\n" for i in range(self.users)]
            (self.work / "users.csv").write_text("SEQUENTIAL\n" + "".join(rows))
            self.start_server()
            if "uas" in self.load_of:
                # Phones register from the port that they listen on.
                if self.entry.get("registers", True):
                    self.load("register", 500, self.users, must=True, port=UAS_PORT)
                self.uas = Sipp(self, self.load_of["uas"], UAS_PORT)
                time.sleep(0.3)
            if "watch" in self.load_of:
                self.start_watchers()
            return self
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what was started and remove the work folder."""
        for peer in (self.uas, self.watch):
            if peer is not None:
                peer.stop(signal.SIGKILL)
        if self.server is not None:
            self.server.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    def start_server(self) -> None:
        """Start the server and wait until it answers OPTIONS."""
        context = {
            "ip": IP,
            "port": PORT,
            "uas_port": UAS_PORT,
            "work": self.work,
            "here": HERE,
            "users": self.users,
            "workload": self.workload,
        }
        prepare = self.entry.get("prepare")
        if prepare is not None:
            prepare(context)
        template = " ".join([self.entry["cmd"], self.entry.get("flags", {}).get(self.workload, ""), self.extra])
        self.server = Proc(
            shlex.split(template.format(**context)),
            self.server_core,
            self.work,
            self.work / "server.log",
            self.entry.get("env", {}),
        )
        if not self.entry.get("registers", True):
            # It knows no OPTIONS: time to start is all that it gets.
            time.sleep(3)
            return
        end = time.time() + 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((IP, 0))
            probe.settimeout(0.3)
            here = probe.getsockname()[1]
            serial = 0
            while time.time() < end and self.server.p.poll() is None:
                serial += 1
                text = (
                    f"OPTIONS sip:bench.test SIP/2.0\r\nVia: SIP/2.0/UDP {IP}:{here};branch=z9hG4bKp{here}{serial}\r\n"
                    f"Max-Forwards: 70\r\nFrom: <sip:probe@bench.test>;tag=p{serial}\r\nTo: <sip:bench.test>\r\n"
                    f"Call-ID: probe-{here}-{serial}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
                )
                try:
                    probe.sendto(text.encode(), (IP, PORT))
                    if probe.recv(65535).startswith(b"SIP/2.0 "):
                        return
                except (TimeoutError, ConnectionRefusedError):
                    time.sleep(0.1)
        log = (self.work / "server.log").read_text(errors="replace")[-2000:]
        raise BenchError(f"{self.name} did not become ready\n{log}")

    def start_watchers(self) -> None:
        """Have each presentity watched by one watcher, who answers every NOTIFY."""
        self.watch = Sipp(
            self, self.load_of["watch"], WATCH_PORT, "-m", self.users, "-r", 200, "-l", self.users,
            "-inf", self.work / "users.csv", "-trace_counts", "-max_retrans", 5, remote=PORT,
        )  # fmt: skip
        end = time.time() + self.users / 200 + 15
        while time.time() < end and self.notified() < self.users:
            time.sleep(0.5)
        if self.notified() < self.users:
            raise BenchError(f"{self.name}: {self.notified()} of {self.users} watchers had their first NOTIFY")

    def notified(self) -> int:
        """NOTIFYs that have reached the watchers."""
        assert self.watch is not None
        for file in self.work.glob(f"*_{self.watch.p.pid}_counts.csv"):
            with file.open(errors="replace") as lines:
                rows = list(csv.DictReader(lines, delimiter=";"))
            if rows:
                return sum(int(count or 0) for name, count in rows[-1].items() if name and _NOTIFIES(name))
        return 0

    def load(
        self, scenario: str, rate: float, calls: int, *, must: bool = False, port: int = UAC_PORT, grace: float = 12
    ) -> dict[str, Any]:
        """Run one SIPp caller to its end, which is bounded, and return its counters."""
        span = calls / rate
        limit = max(1000, int(rate * (3 + self.hold / 1000)))
        caller = Sipp(
            self, scenario, port, "-r", int(rate), "-m", calls, "-l", limit, "-inf", self.work / "users.csv",
            "-d", self.hold, "-max_retrans", 4, "-timer_resol", 2, "-recv_timeout", 15000 + self.hold, remote=PORT,
        )  # fmt: skip
        began, late = time.time(), False
        try:
            while caller.p.poll() is None:
                if time.time() - began > span + self.hold / 1000 + grace:
                    late = True
                    break
                time.sleep(0.2)
        finally:
            caller.stop(signal.SIGKILL)
        done = caller.count("SuccessfulCall(C)")
        failed = max(caller.count("FailedCall(C)"), calls - done)
        retransmitted = caller.count("Retransmissions(C)")
        if must and done < calls:
            error = pathlib.Path(f"{caller.base}.err")
            text = error.read_text(errors="replace")[-1500:] if error.exists() else ""
            raise BenchError(f"{scenario} on {self.name}: {done} of {calls} done\n{text}")
        return {"calls": done, "failed": failed, "retransmitted": retransmitted, "late": late}

    def measure(self, rate: float, duration: float, warmup: float = 7.0) -> dict[str, Any]:
        """One measured run at a fixed *rate* for *duration* seconds.

        :param warmup: seconds of load before it: longer than the server keeps finished transactions.
        """
        server = self.server
        assert server is not None
        if warmup:
            self.load(self.load_of["uac"], rate, max(1, int(rate * warmup)))
            time.sleep(1)
        if server.p.poll() is not None:
            raise BenchError("server died: " + (self.work / "server.log").read_text(errors="replace")[-1500:])
        units = int(self.load_of.get("units", 1))
        calls = max(1, int(rate * duration))
        notified = self.notified() if self.watch is not None else 0
        before = server.cpu_us()
        began = time.time()
        result = self.load(self.load_of["uac"], rate, calls, grace=12)
        wall = time.time() - began
        time.sleep(2)
        used = server.cpu_us() - before
        ok = not result["late"] and result["failed"] + result["retransmitted"] <= 0.001 * calls
        missing = 0
        if self.watch is not None:
            missing = units * result["calls"] - (self.notified() - notified)
            ok = ok and missing <= 0.005 * units * result["calls"]
        return {
            **result,
            "missing": missing,
            "cpu_us": used / (units * result["calls"]) if result["calls"] else None,
            "core_pct": used / wall / 1e4,
            "ok": ok,
        }
