"""Pinned child processes and what they cost."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

TICK = os.sysconf("SC_CLK_TCK")


def pin(core: int | None) -> Callable[[], None]:
    """Return what ties a child to *core*, if the machine has it."""

    def set_affinity() -> None:
        if core is not None and core < (os.cpu_count() or 1):
            os.sched_setaffinity(0, {core})

    return set_affinity


class Proc:
    """A child in a process group of its own, tied to one core."""

    def __init__(
        self,
        argv: Sequence[str],
        core: int | None,
        cwd: pathlib.Path,
        out: pathlib.Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.log = out.open("wb")
        self.p = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=pin(core),
            env={**os.environ, "TERM": "xterm", **(env or {})},
        )

    def pids(self) -> list[str]:
        """The processes of the group."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                stat = pathlib.Path("/proc", pid, "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[2]) == self.p.pid:
                found.append(pid)
        return found

    def cpu_us(self, pids: Iterable[str] | None = None) -> float:
        """User and system time of the group in microseconds."""
        total = 0.0
        for pid in pids or self.pids():
            try:
                tasks = pathlib.Path("/proc", pid, "task").iterdir()
                total += sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1000
            except (OSError, IndexError):
                try:
                    stat = pathlib.Path("/proc", pid, "stat").read_text()
                except OSError:
                    continue
                total += sum(map(int, stat.rpartition(")")[2].split()[11:13])) * 1e6 / TICK
        return total

    def stop(self, sig: int = signal.SIGTERM, wait: float = 5) -> None:
        """End the group, if need be by force."""
        if self.p.poll() is None:
            for attempt in (sig, signal.SIGKILL):
                try:
                    os.killpg(self.p.pid, attempt)
                    self.p.wait(wait)
                    break
                except subprocess.TimeoutExpired:
                    continue
                except ProcessLookupError:
                    break
        for _ in range(50):
            if not self.pids():
                break
            time.sleep(0.1)
        self.log.close()
