"""Reloads in the middle of the load: routes, limits, certificates and a listener change each time, no call is lost.

``INTEROP_RELOADS`` says how many (100 by default).
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from processes import free_port, wait_for
from server import Server
from sipp import SIPp, credentials

from twisted_sip.cli.control_client import ControlClient
from twisted_sip.transport.self_signed import make_self_signed

RELOADS = int(os.environ.get("INTEROP_RELOADS", "100"))
#: Calls a second, and calls that end between two reloads.
RATE, CALLS_BETWEEN = 40, 8
USERS = {f"u{number}": f"secret{number}" for number in range(10)}


class Operator:
    """A server, and somebody who cannot leave its configuration alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.udp, self.tls, self.spare = free_port(), free_port(), free_port()
        self.server = Server(directory, "--config", "sip.toml", transports=())
        self.write(0)
        for user, password in USERS.items():
            self.server.add_user(user, password)
        self.server.start()
        assert self.server.program is not None
        self.server.program.wait_for(rf"listening over tls .*\b{self.tls}\b", 60)
        self.server.ports["udp"] = self.udp
        self.started: list[SIPp] = []

    def write(self, number: int) -> None:
        """Write another configuration: each one is different from the one before it."""
        key, certificate = make_self_signed([f"n{number}.test", "127.0.0.1"], datetime.now(UTC))
        for name, data in ((f"key{number % 2}.pem", key), (f"cert{number % 2}.pem", certificate)):
            (self.directory / name).write_bytes(data)
        here = "interface=127.0.0.1"
        listen = [f"udp:{self.udp}:{here}", f"tls:{self.tls}:{here}"]
        if number % 2:
            listen += [f"udp:{self.spare}:{here}", f"tcp:{self.spare}:{here}"]
        (self.directory / "sip.toml").write_text(
            f"[server]\nlisten = {listen!r}\n"
            f'[tls]\ncertificate = "cert{number % 2}.pem"\nprivate_key = "key{number % 2}.pem"\n'
            f"[limits]\nmax_transactions = {50_000 + number}\nmax_connections = {5_000 + number}\n"
            f"[proxy]\nmax_branches = {20 + number % 5}\n"
            f'[[route]]\nuser = "9{number}*"\nstatus = 503\n'
        )

    def sipp(self, scenario: str, *options: str, calls: int = 0, rate: int = 100, rows: Any = ()) -> SIPp:
        made = SIPp(self.directory, scenario, self.server, *options, calls=calls, rate=rate, rows=rows, patience=600)
        self.started.append(made)
        return made

    def reload(self) -> Any:
        """As ``twisted-sip reload --json`` does, without a process of its own."""
        with ControlClient(self.server.state) as asked:
            return asked.ask("reload")

    def connect(self) -> ssl.SSLSocket:
        """Open a TLS connection that stays; it says nothing but keep-alives."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", self.tls), 30)
        return context.wrap_socket(raw)


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    made = Operator(tmp_path)
    yield made
    for each in made.started:
        each.stop()
    made.server.stop()


def is_alive(connection: ssl.SSLSocket) -> bool:
    """Tell whether a keep-alive is answered (RFC 5626 section 4.4.1)."""
    connection.sendall(b"\r\n\r\n")
    return connection.recv(10) == b"\r\n"


def done(caller: SIPp) -> int:
    return sum(line.startswith("done") for line in caller.logged())


OPTIONS = (
    "OPTIONS sip:sip.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    "From: <sip:x@elsewhere.test>;tag=1\r\nTo: <sip:sip.test>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


def test_reloads_in_the_middle_of_the_load(operator: Operator) -> None:
    callee = operator.sipp("callee")
    users = [(user, credentials(user, password)) for user, password in USERS.items()]
    register = operator.sipp("register", "-key", "uas", f"127.0.0.1:{callee.port}", calls=10, rows=users)
    assert register.finish() == (10, 0), register.why()
    connection = operator.connect()
    # A first message makes it one that may stay.
    connection.sendall(OPTIONS.encode())
    assert connection.recv(4096).startswith(b"SIP/2.0 200")
    seen = {connection.getpeercert(True)}

    calls = (RELOADS + 10) * CALLS_BETWEEN
    rows = [(f"u{n % 10}", f"u{(n + 1) % 10}", credentials(f"u{n % 10}", USERS[f"u{n % 10}"])) for n in range(calls)]
    caller = operator.sipp("caller", "-d", "1000", calls=calls, rate=RATE, rows=rows)
    for number in range(1, RELOADS + 1):
        wait_for(lambda: done(caller) >= number * CALLS_BETWEEN, caller.why, 60)  # noqa: B023
        operator.write(number)
        found = operator.reload()
        assert found["faults"] == [] and len(found["changed"]) >= 5, found
        # Its UDP socket may be in use still, and is taken back then.
        assert (f"tcp 127.0.0.1:{operator.spare}" in found["opened"]) == bool(number % 2)
        assert len(found["closed"]) == (0 if number % 2 else 2)
        assert is_alive(connection)
        if number % 10 == 0:
            fresh = operator.connect()
            seen.add(fresh.getpeercert(True))
            fresh.close()
    assert done(caller) < calls, "the load was over before the reloads were"
    good, failed = caller.finish()
    assert (good, failed) == (calls, 0), caller.why()
    # Each certificate was a new one.
    assert len(seen) == 1 + RELOADS // 10
    status = operator.server.json("status")
    assert status["listening"].keys() == ({"udp", "tls", "tcp"} if RELOADS % 2 else {"udp", "tls"})

    # A faulty file changes nothing and says why.
    (operator.directory / "sip.toml").write_text('[proxy]\nfork = "sideways"\n[auth]\nrequired = 1\n')
    told = operator.server.command("reload")
    assert told.returncode == 1
    lines = told.stderr.splitlines()
    assert [line.split(": ")[2] for line in lines[:-1]] == ["auth.required", "proxy.fork"]
    assert lines[-1] == "twisted-sip: nothing was changed"
    assert is_alive(connection)
    connection.close()
