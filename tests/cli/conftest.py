"""A presence server that runs, and the commands beside it, as processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import twisted_sip

ROOT = Path(twisted_sip.__file__).parent.parent
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
#: Long enough for a slow machine; a process that hangs fails its test.
PATIENCE = 60
HERE = "udp:0:interface=127.0.0.1"


class Program:
    """A command that runs, with pipes."""

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=directory, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin: IO[str] = self.process.stdin
        self.output: IO[str] = self.process.stdout
        self.text = ""

    def type(self, text: str) -> None:
        self.stdin.write(text)
        self.stdin.flush()

    def until(self, text: str) -> None:
        """Read until a line has *text*."""
        for line in self.output:
            self.text += line
            if text in line:
                return
        raise AssertionError(f"{text} did not come: {self.text}")

    def end(self) -> int:
        """End its input, read the rest and return the exit status."""
        self.stdin.close()
        self.text += self.output.read()
        self.output.close()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        self.stdin.close()
        self.output.close()


class Terminal:
    """A command on a terminal of its own.

    :ivar left: the flags of the terminal as it was left.
    """

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str]) -> None:
        self.text = ""
        self.status: int | None = None
        self.left: Any = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.chdir(directory)
                os.execvpe(command[0], command, {**environment, "TERM": "xterm-256color", "LANG": "C.UTF-8"})
            finally:
                os._exit(127)
        termios.tcsetwinsize(self.fd, (20, 100))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, text: str) -> str:
        """Read until *text* is there; return what has come since the last time."""
        found = ""
        deadline = time.monotonic() + PATIENCE
        while text not in found:
            ready = select.select([self.fd], [], [], deadline - time.monotonic())[0]
            try:
                data = os.read(self.fd, 65536) if ready else b""
            except OSError:
                data = b""
            assert data, f"{text} did not come: {self.text}{found}"
            found += data.decode("utf-8", "replace")
        self.text += found
        return found

    def flags(self) -> Any:
        return termios.tcgetattr(self.fd)[:4]

    def end(self) -> int:
        """Return the exit status."""
        if self.status is None:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline and self.status is None:
                if select.select([self.fd], [], [], 0.1)[0]:
                    with contextlib.suppress(OSError):
                        self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
                found, status = os.waitpid(self.pid, os.WNOHANG)
                if found:
                    self.status = os.waitstatus_to_exitcode(status)
            if self.status is None:
                os.kill(self.pid, signal.SIGKILL)
                self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            with contextlib.suppress(termios.error):
                self.left = self.flags()
            os.close(self.fd)
        return self.status


class PresenceServer:
    """``twistd sip-presence --demo`` for 127.0.0.1.

    :ivar passwords: those of alice and bob.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "150"}
        arguments = ["-n", "--pidfile=", "sip-presence", "--demo", "--domain", "127.0.0.1", "--listen", HERE]
        self.twistd = Program([sys.executable, "-c", TWISTD, *arguments, "--xcap", "off"], directory, self.environment)
        self.twistd.until("Then call")
        self.passwords = dict(re.findall(r"user +(alice|bob)\n +password +(\S+)", self.twistd.text))
        status = json.loads(self.run("status", "--json").stdout)
        self.proxy = f"sip:{status['listening']['udp'][0]}"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "twisted_sip.cli.main", *arguments]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments), cwd=self.directory, env=self.environment, input=stdin, capture_output=True,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    def as_user(self, command: str, user: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a client command as *user*, his address first among its arguments."""
        given = [command, f"{user}@127.0.0.1", *arguments, "--password-stdin", "--proxy", self.proxy]
        return self.run(*given, stdin=f"{self.passwords[user]}\n{stdin}")


@pytest.fixture(scope="module")
def server() -> Iterator[PresenceServer]:
    """A server for all tests of a module."""
    # The path of a control socket must fit into 108 bytes.
    with tempfile.TemporaryDirectory(prefix="sip") as name:
        made = PresenceServer(Path(name))
        try:
            yield made
        finally:
            made.twistd.process.send_signal(signal.SIGTERM)
            made.twistd.end()
        assert "Traceback" not in made.twistd.text


@pytest.fixture
def program(server: PresenceServer) -> Iterator[Callable[..., Program]]:
    """Starts commands with pipes."""
    begun: list[Program] = []

    def begin(*arguments: str) -> Program:
        begun.append(Program(server.command(*arguments), server.directory, server.environment))
        return begun[-1]

    yield begin
    for one in begun:
        one.kill()


@pytest.fixture
def terminal(server: PresenceServer) -> Iterator[Callable[..., Terminal]]:
    """Starts commands on terminals."""
    begun: list[Terminal] = []
    environment = {name: value for name, value in server.environment.items() if name != "COLUMNS"}

    def begin(*arguments: str) -> Terminal:
        begun.append(Terminal(server.command(*arguments), server.directory, environment))
        return begun[-1]

    yield begin
    for one in begun:
        if one.status is None:
            os.kill(one.pid, signal.SIGKILL)
            one.end()
