"""The server of the soak: a real `twistd sip-proxy --presence`, what it holds, what it costs and what it logs."""

from __future__ import annotations

import os
import pathlib
import re
import socket
import subprocess
import sys
import time
from typing import Any

from procs import Proc
from servers import HERE, program
from soak_phone import AWAY, DOMAIN

from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import Failed

#: Everything that a phone can leave behind ends within minutes.
SETTINGS = """\
[server]
domains = ["{domain}"]
listen = ["udp:{udp}:interface=127.0.0.1", "tcp:{tcp}:interface=127.0.0.1", "tls:{tls}:interface=127.0.0.1"]
state_dir = "state"

[transport]
first_message_timeout = 10
message_timeout = 10
idle_timeout = 60

[auth]
nonce_lifetime = 60
ban_window = 20
ban_time = 20

[registrar]
min_expires = 10
default_expires = 30
max_expires = 60

[presence]
min_expires = 10
default_expires = 30
max_expires = 60

[events]
min_expires = 10
max_expires = 60

[messaging]
answer_within = 5
lifetime = 30
max_lifetime = 60
expiry_interval = 5

[accounting]
max_duration = 60

[metrics]
enabled = true
listen = ["tcp:0:interface=127.0.0.1"]

[xcap]
listen = ["tcp:0:interface=127.0.0.1"]
"""
#: Timer C as it is, and in a short run, where a phone rings for less than that.
TIMER_C, SHORT_TIMER_C = 181.0, 21.0
#: A call whose ends have both died: session interval, grace, and the time between two looks.
_CALL_OVER = 90 + 32 + 30
#: Counts of the status page that are no tables.
NO_TABLES = {"messages refused", "requests shed", "load", "traced calls", "calls not tracked"}
#: Counts that must not grow at all.
NEVER = {"requests shed", "calls not tracked", "call records lost", "call records cut short", "call records not taken"}
_FAULT = re.compile(r"#(error|critical)\]|Unhandled|Traceback")
_TOPIC = re.compile(r"^\S+ \[([\w.]+)#warn\] (.{0,60})")


def last_deadline(timer_c: float) -> float:
    """Return the seconds after which nothing may be left of anything.

    That is Timer C, then 64*T1 for the CANCEL and again for what follows it (RFC 3261 sections 16.8 and 17.1).
    """
    return max(timer_c + 2 * 32, _CALL_OVER) + 15


def free_port() -> int:
    """A port of loopback that nobody uses, neither over UDP nor over TCP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(("127.0.0.1", 0))
            try:
                datagram.bind(stream.getsockname())
            except OSError:
                continue
            return int(stream.getsockname()[1])


class SoakServer:
    """A server that runs.

    :ivar ports: by transport.
    :ivar last_deadline: seconds after the end of the load until nothing may be left of it.
    :ivar base: what it counts before there is a load; *base_memory* and *base_descriptors*: its memory and open files.
    :ivar faults: lines of its log that should not be there.
    :ivar warnings: how often it has warned, by what the lines begin with.
    :raises RuntimeError: it does not start.
    """

    def __init__(self, work: pathlib.Path, users: int, extra: str = "", timer_c: float = TIMER_C) -> None:
        self.work = work
        self.last_deadline = last_deadline(timer_c)
        self.ports = {transport: free_port() for transport in ("udp", "tcp", "tls")}
        self.log = work / "server.log"
        (work / "soak.toml").write_text(SETTINGS.format(domain=DOMAIN, **self.ports) + extra)
        names = [f"u{number}" for number in range(users)]
        rows = [f"{name}@{DOMAIN},secret{name[1:]}" for name in names]
        rows += [f"{kind}{number}@{DOMAIN},never-told" for kind in ("away", "guess") for number in range(AWAY)]
        (work / "users.csv").write_text("\n".join(["aor,password", *rows, ""]))
        command = [
            program("twisted-sip"),
            "user",
            "import",
            str(work / "users.csv"),
            "--state-dir",
            str(work / "state"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        arguments = ["-n", "--pidfile=", "sip-proxy", "--presence", "--config", "soak.toml"]
        twistd, environment = [program("twistd")], None
        if timer_c != TIMER_C:
            twistd = [sys.executable, str(HERE / "soak_twistd.py")]
            environment = {**os.environ, "SOAK_TIMER_C": str(timer_c)}
        self.proc = Proc([*twistd, *arguments], None, work, self.log, environment)
        self._read = 0
        self.faults: list[str] = []
        self.warnings: dict[str, int] = {}
        for _ in range(600):
            try:
                self.base = self.counts()
                break
            except Failed:
                if self.proc.p.poll() is not None:
                    break
                time.sleep(0.1)
        else:
            self.stop()
        if not self.alive or not hasattr(self, "base"):
            raise RuntimeError(f"the server has not started:\n{self.log.read_text()[-2000:]}")
        # The server needs a moment to see the end of the last question.
        time.sleep(0.5)
        self.base_memory, self.base_descriptors = self.memory(), self.descriptors()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.proc.p.poll() is None

    def counts(self) -> dict[str, Any]:
        """What `twisted-sip status --json` counts.

        :raises Failed: it does not answer.
        """
        with ControlClient(self.work / "state") as control:
            counts: dict[str, Any] = control.ask("status")["counts"]
            away = [f"sip:away{number}@{DOMAIN}" for number in range(AWAY)]
            counts["messages for the absent"] = sum(len(control.ask("messages", aor=aor)) for aor in away)
            return counts

    def memory(self) -> int:
        """Its memory in bytes, mapped files aside: what counts of those that peers map too changes as they die."""
        with open(f"/proc/{self.proc.p.pid}/smaps_rollup") as lines:
            return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.proc.p.pid}/fd"))

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        return self.proc.cpu_us([str(self.proc.p.pid)]) / 1e6

    def read_log(self) -> None:
        """Take in what it has logged since the last time: faults, and warnings by their beginnings."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        # An unfinished line is for the next time.
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if _FAULT.search(line):
                self.faults.append(line)
            elif found := _TOPIC.match(line):
                topic = f"{found[1]}: {re.sub(r'[0-9]+', '#', found[2])}"
                if topic in self.warnings or len(self.warnings) < 50:
                    self.warnings[topic] = self.warnings.get(topic, 0) + 1

    def held(self) -> dict[str, str]:
        """The tables that are not at their base line, and files: how much they hold, and held."""
        # Before it is asked anything, which takes a socket.
        descriptors = self.descriptors()
        now = self.counts() | {"files and sockets": descriptors}
        base = self.base | {"files and sockets": self.base_descriptors}
        names = sorted((set(now) | set(base)) - NO_TABLES - NEVER)
        return {
            name: f"{now.get(name, 0)} in place of {base.get(name, 0)}"
            for name in names
            if now.get(name, 0) > base.get(name, 0)
        }

    def never(self) -> dict[str, int]:
        """What should never have happened, by name."""
        now = self.counts()
        return {name: now[name] for name in sorted(NEVER) if now.get(name)}

    def stop(self) -> None:
        """Stop it as an operator does."""
        self.proc.stop(wait=20)
        self.read_log()
