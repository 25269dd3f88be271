"""Programs that run beside the tests: started in a session of their own, read line by line, ended for certain."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

#: Seconds within which a peer on this machine is to have done what it was told; a slow machine needs some.
PATIENCE = 20.0
#: How to colour text, which some peers do even when nobody looks.
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]?")


def needed(*programs: str) -> None:
    """Skip the test if one of *programs* is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def _candidates() -> Iterator[int]:
    """Ports below those that the system hands out by itself, each once: nobody else takes one before it is used.

    Test processes that run side by side have a stretch each, and begin anywhere in it.
    """
    worker = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
    first, length = 20_000 + worker % 6 * 2_000, 2_000
    begin = os.getpid() % length
    while True:
        for step in range(0, length, 2):
            yield first + (begin + step) % length // 2 * 2


_ports = _candidates()


def free_port(host: str = "127.0.0.1", pair: bool = False) -> int:
    """Return an even port that is free over UDP and TCP (and so is the one above it, with *pair*)."""
    for port in _ports:
        with contextlib.ExitStack() as held:
            try:
                for number in range(port, port + (2 if pair else 1)):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        held.enter_context(socket.socket(socket.AF_INET, kind)).bind((host, number))
            except OSError:
                continue
            return port
    raise AssertionError("the candidates never end")


def wait_for(what: Callable[[], T | None], failure: Callable[[], str] | str, patience: float = PATIENCE) -> T:
    """Ask *what* again and again until it says something true, and return that.

    :param failure: what to say when it never does.
    :param patience: seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(failure if isinstance(failure, str) else failure())
        time.sleep(0.02)


class Program:
    """A running program whose output is kept.

    :param command: what to run.
    :param inside: words to put before it, so that it runs elsewhere (another network).
    """

    def __init__(
        self,
        command: Iterable[str | Path],
        *,
        directory: Path,
        inside: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        pass_fds: Iterable[int] = (),
    ) -> None:
        self.command = [*inside, *map(str, command)]
        self.directory = directory
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            self.command,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(_COLOUR.sub("", line.decode(errors="replace")).rstrip("\r\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, pattern: str, patience: float = PATIENCE, after: int = 0) -> re.Match[str]:
        """Wait until a line matches *pattern*.

        :param after: how many lines to pass over.
        """
        expression = re.compile(pattern)

        def seen() -> re.Match[str] | None:
            return next((found for line in self.lines[after:] if (found := expression.search(line))), None)

        def failure() -> str:
            return f"{self.command[-1]}: no {pattern!r} in:\n{self.text[-6000:]}"

        return wait_for(lambda: seen() or self._dead(pattern), failure, patience)

    def _dead(self, pattern: str) -> None:
        if self.process.poll() is not None:
            self._reader.join(1)
            if not re.search(pattern, self.text):
                raise AssertionError(f"{self.command} ended ({self.process.returncode}):\n{self.text[-6000:]}")

    def signal(self, number: int) -> None:
        """Send a signal to the program and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def finish(self, patience: float = PATIENCE) -> int:
        """Wait until the program ends by itself; return its status."""
        try:
            status = self.process.wait(patience)
        finally:
            self.stop(0)
        return status

    def stop(self, grace: float = 5.0) -> None:
        """End the program, and whatever it started.

        :param grace: seconds for it to end well.
        """
        if self.process.poll() is None and grace:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._reader.join(2)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
