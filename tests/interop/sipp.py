"""SIPp with the scenarios beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from processes import Program, free_port, needed
from server import Server

SCENARIOS = Path(__file__).parent / "scenarios"


class SIPp:
    """One SIPp that runs a scenario over UDP.

    :param calls: how many calls, 0 for an answering SIPp that goes on until it is stopped.
    :param rate: calls a second.
    :param port: its port, 0 for a free one.
    :param rows: what the fields of the scenario are, one row for each call.
    """

    def __init__(
        self,
        directory: Path,
        scenario: str,
        server: Server,
        *options: str,
        calls: int = 0,
        rate: int = 100,
        rows: Iterable[Iterable[str]] = (),
        patience: int = 120,
        port: int = 0,
    ) -> None:
        needed("sipp")
        self.port = port or free_port()
        home = directory / f"sipp-{scenario}-{self.port}"
        while home.exists():
            # Started anew at the same port.
            home = home.with_name(f"{home.name}-again")
        home.mkdir(parents=True)
        self.log = home / "log"
        self.errors = home / "errors"
        command = ["sipp", f"127.0.0.1:{server.ports['udp']}", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-nostdin"]
        command += ["-i", "127.0.0.1", "-p", str(self.port), "-trace_err", "-error_file", str(self.errors)]
        command += ["-trace_logs", "-log_file", str(self.log), "-buff_size", "4194304", "-max_socket", "65000"]
        if calls:
            command += ["-m", str(calls), "-r", str(rate), "-l", str(max(1000, rate * 10)), "-timeout", str(patience)]
            command += ["-timeout_error"]
        table = [";".join(row) for row in rows]
        if table:
            (home / "rows").write_text("\n".join(["SEQUENTIAL", *table, ""]))
            command += ["-inf", str(home / "rows")]
        self.program = Program([*command, *options], directory=home, environment={"TERM": "dumb"})
        self.patience = patience

    def finish(self) -> tuple[int, int]:
        """Wait until all calls are over; return how many were good and how many failed."""
        self.program.finish(self.patience + 10)
        good = re.findall(r"Successful call +\| +\d+ +\| +(\d+)", self.program.text)
        failed = re.findall(r"Failed call +\| +\d+ +\| +(\d+)", self.program.text)
        assert good and failed, self.program.text[-3000:]
        return int(good[-1]), int(failed[-1])

    def logged(self) -> list[str]:
        """Return what the scenario has logged so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def why(self) -> str:
        """Return what it says of its failures."""
        errors = self.errors.read_text(errors="replace")[:4000] if self.errors.exists() else ""
        return errors + self.program.text[-3000:]

    def stop(self) -> None:
        self.program.stop(1)


def credentials(user: str, password: str) -> str:
    """Return the keyword by which SIPp answers a challenge."""
    return f"[authentication username={user} password={password}]"
