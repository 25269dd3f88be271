"""Runs the programs of examples/ as a reader would, and speaks SIP to them over sockets."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Seconds within which a program starts and a peer answers.
PATIENCE = 30.0


class Peer:
    """A UDP phone of few words.

    :ivar port: its own port.
    """

    def __init__(self, server_port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(("127.0.0.1", server_port))
        self.port = self._socket.getsockname()[1]
        self._sent = 0

    def request(self, method: str, uri: str, user: str, to: str, *fields: str, body: str = "") -> None:
        """Send a request from *user*."""
        self._sent += 1
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.port}{self._sent}",
            "Max-Forwards: 70",
            f"From: <{user}>;tag={self.port}",
            f"To: <{to}>",
            f"Call-ID: {self.port}-{self._sent}",
            f"CSeq: {self._sent} {method}",
            *fields,
            f"Content-Length: {len(body)}",
        ]
        self._socket.send("\r\n".join([*head, "", body]).encode())

    def register(self, user: str, domain: str) -> str:
        """Register *user* and return the status line of the answer."""
        aor = f"sip:{user}@{domain}"
        contact = f"Contact: <sip:{user}@127.0.0.1:{self.port}>"
        self.request("REGISTER", f"sip:{domain}", aor, aor, contact, "Expires: 600")
        return self.receive().partition("\r\n")[0]

    def receive(self) -> str:
        """Return the next message that is no provisional response."""
        while True:
            message = self._socket.recv(65535).decode()
            if not message.startswith("SIP/2.0 1"):
                return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory with a short name: the path of a control socket in it must fit into 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="sip") as name:
        yield Path(name)


@pytest.fixture
def peer() -> Iterator[Callable[[int], Peer]]:
    """Gives phones that talk to a port of this host."""
    made: list[Peer] = []

    def make(server_port: int) -> Peer:
        made.append(Peer(server_port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def free_port() -> int:
    """A port that nobody has now, over UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("", 0))
            try:
                udp.bind(("", tcp.getsockname()[1]))
            except OSError:
                continue
            return int(tcp.getsockname()[1])


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts an example and returns the first line that it prints; it must end in good order when it is interrupted."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: str) -> str:
        command = [sys.executable, str(EXAMPLES / name), *arguments]
        log = (tmp_path / "stderr").open("w")
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        running.append(process)
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            ready = selector.select(PATIENCE)
        line = os.read(process.stdout.fileno(), 4096).decode() if ready else ""
        assert line, (tmp_path / "stderr").read_text()
        return line.strip()

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    errors = (tmp_path / "stderr").read_text() if running else ""
    assert "Traceback" not in errors
