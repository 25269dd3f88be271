"""Every torture message against ``twistd -n sip-proxy`` as it is run, over real sockets on the loopback interface."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_running_server import uri_of
from torture_server import DOMAINS, Answer, answers, via_port
from verdicts import VERDICTS, Verdict

import twisted_sip
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.builders import response_to
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.transaction.keys import server_key

ROOT = Path(twisted_sip.__file__).parent.parent
RUN = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
#: Long enough for a slow machine; and how long something that must not come is waited for.
PATIENCE, MOMENT = 30.0, 0.02
#: The tester has an address of its own, on which the ports that the messages name are free.
TESTER = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250 + 1}.7"


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def udp(host: str, port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        pytest.skip(f"the answers go to UDP port {port} of this host, which is in use: {error}")
    return sock


class Server:
    """A twistd process, a phone behind it, and somebody who sends it torture messages."""

    def __init__(self, directory: Path, required: bool) -> None:
        self.ports = {"udp": free_port(socket.SOCK_DGRAM), "tcp": free_port(socket.SOCK_STREAM)}
        command = [sys.executable, "-c", RUN, "-n", "--pidfile=", "sip-proxy", *([] if required else ["--no-auth"])]
        command += [f"--domain={domain}" for domain in DOMAINS]
        command += [f"--listen={kind}:{port}:interface=127.0.0.1" for kind, port in self.ports.items()]
        self.log = (directory / "log").open("w+b")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=self.log, stderr=subprocess.STDOUT
        )
        self.sockets: dict[int, socket.socket] = {}
        self.probe = udp("127.0.0.1")
        self.phone = udp("127.0.0.1")
        self.forwarded: list[Request] = []
        self._count = 0
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._ping(0.2):
            assert self.process.poll() is None and time.monotonic() < deadline, self.text()

    def text(self) -> str:
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")

    def _request(self, sock: socket.socket, method: str, uri: str, fields: str = "") -> tuple[bytes, bytes]:
        """Return a request from *sock* and its branch."""
        self._count += 1
        branch = f"z9hG4bKprobe{self._count}".encode()
        host, port = sock.getsockname()
        to = fields or f"To: <{uri}>\r\nFrom: <sip:probe@elsewhere.example>;tag=p\r\n"
        return (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};rport;branch={branch.decode()}\r\n"
            f"Max-Forwards: 70\r\n{to}Call-ID: probe{self._count}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        ).encode(), branch

    def _ask(self, sock: socket.socket, data: bytes, branch: bytes, patience: float = PATIENCE) -> bytes:
        """Send *data* from *sock* and return its answer, nothing if there is none."""
        sock.sendto(data, ("127.0.0.1", self.ports["udp"]))
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            if select.select([sock], [], [], left)[0]:
                came = sock.recv(65535)
                if branch in came:
                    return came
        return b""

    def _ping(self, patience: float) -> bool:
        return self._ask(self.probe, *self._request(self.probe, "OPTIONS", "sip:example.com"), patience).startswith(
            b"SIP/2.0 200"
        )

    def alive(self) -> None:
        assert self._ping(PATIENCE), self.text()

    def register(self, uri_text: str) -> None:
        """Register the phone for the user that *uri_text* names."""
        try:
            uri = parse_uri(uri_text)
        except RemoteProtocolError:
            return
        if isinstance(uri, SIPURI) and uri.user and uri.host.strip("[]") in DOMAINS:
            host, port = self.phone.getsockname()
            aor = uri.address_of_record
            fields = f"To: <{aor}>\r\nFrom: <{aor}>;tag=p\r\nContact: <sip:phone@{host}:{port}>\r\n"
            # From its own socket: calls come over the flow of the registration.
            came = self._ask(self.phone, *self._request(self.phone, "REGISTER", f"sip:{uri.host}", fields))
            assert came.startswith(b"SIP/2.0 200"), came

    def _phone_reads(self) -> None:
        data, source = self.phone.recvfrom(65535)
        message = parse_message(data)
        if isinstance(message, Request):
            self.forwarded.append(message)
            if message.method != "ACK":
                self.phone.sendto(response_to(message, 200, to_tag="phone").to_bytes(), source)

    def datagram(self, data: bytes, expected: int) -> list[Answer]:
        """Send *data*; return the final answers."""
        port = via_port(data)
        sock = self.sockets.setdefault(port, self.sockets.get(port) or udp(TESTER, port))
        sock.sendto(data, ("127.0.0.1", self.ports["udp"]))
        return self._collect(sock, expected)[0]

    def stream(self, data: bytes, expected: int) -> tuple[list[Answer], bool]:
        """Send *data* over a connection of its own; return the final answers and whether it was closed."""
        with socket.create_connection(("127.0.0.1", self.ports["tcp"])) as sock:
            sock.sendall(data)
            return self._collect(sock, expected)

    def _collect(self, sock: socket.socket, expected: int) -> tuple[list[Answer], bool]:
        """Read answers until there are as many as *expected*, and a moment more."""
        came = b""
        closed = False
        asked = False
        deadline = time.monotonic() + PATIENCE
        while not closed:
            enough = len(answers(came)) >= expected
            if enough and not asked:
                # What the server has to say about the message it has said when it answers the next one.
                self.alive()
                asked = True
            left = MOMENT if enough else deadline - time.monotonic()
            ready = select.select([sock, self.phone], [], [], max(0.0, left))[0]
            if not ready:
                break
            if self.phone in ready:
                self._phone_reads()
            if sock in ready:
                try:
                    part = sock.recv(65535)
                except ConnectionResetError:
                    part = b""
                closed = not part and sock.type == socket.SOCK_STREAM
                came += part
        return answers(came), closed

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        for sock in (self.probe, self.phone, *self.sockets.values()):
            sock.close()
        text = self.text()
        self.log.close()
        assert self.process.returncode == -signal.SIGTERM, text
        assert "Traceback" not in text and "Unhandled" not in text, text


@pytest.fixture(params=[False, True], ids=["trusted", "auth"])
def required(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def server(tmp_path: Path, required: bool) -> Iterator[Server]:
    server = Server(tmp_path, required)
    yield server
    server.stop()


def in_order() -> list[Verdict]:
    """REGISTERs come last: what they bind would be called by the others."""
    return sorted(VERDICTS, key=lambda verdict: verdict.data.startswith(b"REGISTER"))


def transaction(verdict: Verdict) -> tuple[str, str]:
    """Return what makes *verdict*'s message a retransmission of another one: several share their branch."""
    try:
        message = parse_message(verdict.data)
        return (server_key(message), message.method) if isinstance(message, Request) else (verdict.name, "")
    except RemoteProtocolError:
        return verdict.name, ""


def statuses(expected: str) -> list[int]:
    words = expected.split(",")[0]
    return [] if words == "none" else [int(part.partition(" ")[0]) for part in words.split(" + ")]


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_every_message(server: Server, required: bool, over: str) -> None:
    if not required:
        for verdict in VERDICTS:
            server.register(uri_of(verdict.data))
    first: dict[tuple[str, str], list[int]] = {}
    for verdict in in_order():
        expected: str = getattr(verdict, f"auth_{over}" if required else over)
        wanted = statuses(expected)
        server.forwarded.clear()
        if over == "udp":
            came, closed = server.datagram(verdict.data, len(wanted)), False
        else:
            came, closed = server.stream(verdict.data, len(wanted))
        got = [answer.status for answer in came]
        repeats = first.setdefault(transaction(verdict), got)
        if closed and len(wanted) > 1 and got == wanted[1:]:
            # The stream was bad and is closed before the binding is on disk: its 200 finds no way back.
            continue
        if got != wanted:
            assert got == repeats and repeats is not got, (verdict.name, expected, came)
        elif repeats is got:
            assert bool(server.forwarded) == ("forwarded" in expected), verdict.name
        assert closed == expected.endswith("closed"), verdict.name
        server.alive()
