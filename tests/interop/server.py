"""`twistd sip-proxy` as an operator runs it: a real process, users made by `twisted-sip user add`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from processes import Program, free_port

ROOT = Path(__file__).parents[2]
RUN = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
#: Seconds to start, on a machine that does other things too.
START = 60.0


class Server:
    """A server and its state directory; both can be started anew on the same state.

    :ivar domain: whose users it serves.
    :ivar ports: port of each transport.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        plugin: str = "sip-proxy",
        domain: str = "sip.test",
        host: str = "127.0.0.1",
        inside: Iterable[str] = (),
        transports: Iterable[str] = ("udp", "tcp", "tls"),
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.domain = domain
        self.host = host
        self.ports = dict(ports or {transport: free_port() for transport in transports})
        self._plugin = plugin
        self._options = options
        self._inside = [*inside]
        self.program: Program | None = None

    @property
    def environment(self) -> dict[str, str]:
        path = os.environ.get("PYTHONPATH")
        return {"PYTHONPATH": f"{ROOT}:{path}" if path else str(ROOT), "PYTHONUNBUFFERED": "1"}

    def start(self) -> None:
        """Start the server and wait until it listens on all its ports."""
        arguments = ["--state-dir", str(self.state), "--domain", self.domain]
        for transport, port in self.ports.items():
            arguments += ["--listen", f"{transport}:{port}:interface={self.host}"]
        command = [sys.executable, "-c", RUN, "-n", "--pidfile=", self._plugin, *arguments, *self._options]
        self.program = Program(command, directory=self.directory, inside=self._inside, environment=self.environment)
        for transport, port in self.ports.items():
            self.program.wait_for(rf"listening over {transport} .*\b{port}\b", START)

    @property
    def text(self) -> str:
        """What the server has logged since its last start."""
        assert self.program is not None
        return self.program.text

    def kill(self) -> None:
        """Kill it so that it cannot do anything any more (`kill -9`)."""
        assert self.program is not None
        self.program.signal(signal.SIGKILL)
        self.program.stop(0)

    def stop(self) -> None:
        """Stop it as an operator does; it may not have logged a traceback."""
        if self.program is None:
            return
        self.program.stop(10)
        assert "Traceback" not in self.text, self.text[-8000:]
        assert "Unhandled" not in self.text, self.text[-8000:]

    def uri(self, transport: str = "udp") -> str:
        """Return the URI by which a phone reaches it over *transport*."""
        return f"sip:{self.host}:{self.ports[transport]};transport={transport}"

    def command(self, *arguments: str, stdin: str = "", patience: float = START) -> subprocess.CompletedProcess[str]:
        """Run `twisted-sip` against its state directory."""
        return self._run([*arguments, "--state-dir", str(self.state)], stdin, patience)

    def command_of_client(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of the client tools of `twisted-sip` against it over UDP."""
        proxy = f"sip:{self.host}:{self.ports['udp']}"
        return self._run([*arguments, "--proxy", proxy, "--password-stdin"], stdin, START)

    def _run(self, arguments: list[str], stdin: str, patience: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "twisted_sip.cli.main", *arguments],
            cwd=self.directory,
            env={**os.environ, **self.environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.command(*arguments, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def add_user(self, name: str, password: str, *options: str) -> None:
        done = self.command("user", "add", f"{name}@{self.domain}", "--password-stdin", *options, stdin=password)
        assert done.returncode == 0, done

    def import_users(self, passwords: dict[str, str]) -> None:
        """Make many users at once."""
        table = self.directory / "users.csv"
        rows = [f"{name}@{self.domain},{password}" for name, password in passwords.items()]
        table.write_text("\n".join(["aor,password", *rows, ""]))
        done = self.command("user", "import", str(table), patience=120)
        assert done.returncode == 0, done

    def contacts(self, name: str = "") -> list[str]:
        """Return the contact URIs of a user, or of all."""
        who = [f"{name}@{self.domain}"] if name else []
        return [row["contact"] for row in self.json("contacts", *who)]

    def ladder(self, *options: str) -> str:
        """Return the call that began last as a ladder diagram with the messages beneath."""
        done = self.command("trace", "--last", "--full", *options)
        return done.stdout + done.stderr

    def seen(self, pattern: str, *options: str) -> bool:
        return re.search(pattern, self.ladder(*options)) is not None
