"""`twistd sip-ua` as somebody runs it, and `twisted-sip call` beside it: real processes."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from processes import Program, free_port, wait_for
from server import ROOT, RUN, START

ENVIRONMENT = {
    "PYTHONPATH": f"{ROOT}:{os.environ['PYTHONPATH']}" if "PYTHONPATH" in os.environ else str(ROOT),
    "PYTHONUNBUFFERED": "1",
}


class AnsweringPhone:
    """One `twistd sip-ua`.

    :param options: its options.
    :param user: whom to call there.
    :param password: what it reads from standard input, where *options* say so.
    """

    def __init__(self, directory: Path, *options: str | Path, password: str = "", user: str = "phone") -> None:
        self.user = user
        self.port = free_port()
        self.state = directory / f"state-{self.port}"
        self.directory = directory
        command = [sys.executable, "-c", RUN, "-n", "--pidfile=", "sip-ua", "--state-dir", self.state]
        listen = [f"--listen={kind}:{self.port}:interface=127.0.0.1" for kind in ("udp", "tcp")]
        self.program = Program([*command, *listen, *options], directory=directory, environment=ENVIRONMENT)
        if password:
            self.program.write(password + "\n")
        for kind in ("udp", "tcp"):
            self.program.wait_for(f"listening over {kind} ", START)

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@127.0.0.1:{self.port}"

    @property
    def mark(self) -> int:
        """How many lines it has logged so far."""
        return len(self.program.lines)

    def wait_for(self, pattern: str, after: int = 0) -> re.Match[str]:
        return self.program.wait_for(pattern, after=after)

    def registered(self) -> None:
        self.wait_for(r" registered as ")

    def keys(self, after: int, how: str) -> str:
        """Return the keys that have come in one way."""
        return "".join(re.findall(rf" key (\S) by {how}$", "\n".join(self.program.lines[after:]), re.MULTILINE))

    def wait_for_keys(self, keys: str, how: str, after: int) -> None:
        wait_for(lambda: self.keys(after, how) == keys, lambda: f"no {keys} by {how}:\n{self.program.text[-4000:]}")

    def stop(self) -> None:
        """Stop it as an operator does; it may not have logged a traceback."""
        self.program.stop(10)
        assert "Traceback" not in self.program.text, self.program.text[-8000:]
        assert "Unhandled" not in self.program.text, self.program.text[-8000:]


class Caller:
    """One `twisted-sip call`."""

    def __init__(self, directory: Path, uri: str, *options: str | Path) -> None:
        command = [sys.executable, "-m", "twisted_sip.cli.main", "call", uri, "--json", *options]
        self.program = Program(command, directory=directory, environment=ENVIRONMENT)

    def finish(self) -> tuple[int, Any]:
        """Return its exit status and what it tells."""
        status = self.program.finish(60)
        assert "Traceback" not in self.program.text, self.program.text
        return status, json.loads(self.program.text)
