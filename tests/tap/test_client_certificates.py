"""``twistd sip-proxy`` with clients that show certificates: real sockets, real handshakes (RFC 5922 section 7.4)."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

import twisted_sip
from tests.transport.test_client_certificates import Authority
from tests.transport.test_tls import write
from twisted_sip.transport.client_identity import fingerprint_of

ROOT = Path(twisted_sip.__file__).parent.parent
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
PATIENCE = 60

CONFIGURATION = """
[server]
domains = ["example.com"]
listen = ["tls:0:interface=127.0.0.1"]
state_dir = "state"

[auth]
foreign_callers = false

[tls]
certificate = "server.pem"
private_key = "server.key"
client_ca = "authority.pem"
client_certificates = "{asked}"

[[tls.client]]
fingerprint = "{pinned}"
user = "sip:gateway@example.com"
"""


class Server:
    def __init__(self, directory: Path, asked: str) -> None:
        self.directory = directory
        write(directory, "server", ["example.com"])
        self.authority = Authority(directory)
        self.pinned = write(directory, "pinned", ["gw.example.net"])
        certificate = x509.load_pem_x509_certificate(Path(self.pinned.certificate).read_bytes())
        (directory / "sip.toml").write_text(CONFIGURATION.format(asked=asked, pinned=fingerprint_of(certificate)))
        self.twistd = subprocess.Popen(
            [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "sip-proxy", "--config", "sip.toml"],
            cwd=directory, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.twistd.stdout is not None
        log = ""
        for line in self.twistd.stdout:
            log += line
            if "listening over tls" in line:
                break
        at = re.search(r"on 127\.0\.0\.1:(\d+)", log)
        assert at is not None, log
        self.port = int(at.group(1))

    def client(self, files: Any = None) -> Client:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if files is not None:
            context.load_cert_chain(files.certificate, files.private_key)
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return Client(context.wrap_socket(plain))

    def reload(self, text: str) -> None:
        """Have the server read *text*, and wait until it has."""
        (self.directory / "sip.toml").write_text(text)
        self.twistd.send_signal(signal.SIGHUP)
        assert self.twistd.stdout is not None
        for line in self.twistd.stdout:
            assert "nothing was changed" not in line
            if "configuration read anew" in line or "is as it was" in line:
                return

    def stop(self) -> None:
        self.twistd.terminate()
        self.twistd.wait(PATIENCE)
        assert self.twistd.stdout is not None
        self.twistd.stdout.close()


class Client:
    """One connection."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection
        self.number = 0

    def ask(self, method: str, uri: str, from_: str, to: str = "", via: str = "192.0.2.9", extra: str = "") -> int:
        """Send a request; return the status of its final response."""
        self.number += 1
        self.connection.sendall(
            (
                f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TLS {via};branch=z9hG4bK{self.number}\r\nMax-Forwards: 70\r\n"
                f"From: <{from_}>;tag=f\r\nTo: <{to or uri}>\r\nCall-ID: c{self.number}\r\nCSeq: 1 {method}\r\n"
                f"{extra}Content-Length: 0\r\n\r\n"
            ).encode()
        )
        while True:
            status = int(self.read().split(" ", 2)[1])
            if status >= 200:
                return status

    def read(self) -> str:
        """Return one message; all of them here have no body."""
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            piece = self.connection.recv(1)
            assert piece, "closed"
            got += piece
        return got.decode()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def make(asked: str) -> Server:
            server = Server(tmp_path, asked)
            stack.callback(server.stop)
            return server

        yield make


def test_who_shows_one_needs_no_password(make_server: Any) -> None:
    server = make_server("ask")
    alice, _ = server.authority.sign(x509.UniformResourceIdentifier("sip:alice@example.com"))
    client = server.client(alice)
    contact = "Contact: <sip:alice@192.0.2.9;transport=tls>\r\n"
    mine, his = "sip:alice@example.com", "sip:bob@example.com"
    assert client.ask("REGISTER", "sip:example.com", mine, mine, extra=contact) == 200
    assert client.ask("REGISTER", "sip:example.com", his, his, extra=contact) == 401
    assert client.ask("OPTIONS", his, mine) == 480, "nobody is there, and no password was asked for"
    assert client.ask("OPTIONS", his, his) == 407
    gateway = server.client(server.pinned)
    assert gateway.ask("OPTIONS", his, "sip:gateway@example.com") == 480
    nobody = server.client()
    assert nobody.ask("OPTIONS", his, mine) == 407


def test_certificates_that_are_believed_no_more(make_server: Any, tmp_path: Path) -> None:
    """A reload takes away what it no longer grants, over connections that are open too."""
    server = make_server("ask")
    alice, _ = server.authority.sign(x509.UniformResourceIdentifier("sip:alice@example.com"))
    client, gateway = server.client(alice), server.client(server.pinned)
    callee, mine, trunk = "sip:bob@example.com", "sip:alice@example.com", "sip:gateway@example.com"

    def statuses() -> tuple[int, int]:
        return client.ask("OPTIONS", callee, mine), gateway.ask("OPTIONS", callee, trunk)

    assert statuses() == (480, 480)
    text = (tmp_path / "sip.toml").read_text()
    server.reload(text + "# the same\n")
    assert statuses() == (480, 480)
    server.reload(text.partition("[[tls.client]]")[0])
    assert statuses() == (480, 407)
    # The file is another one, under the same name.
    Path(server.authority.path).rename(tmp_path / "former.pem")
    Authority(tmp_path)
    server.reload(text)
    assert statuses() == (407, 480)
    server.reload(text.replace('"authority.pem"', '"former.pem"'))
    assert statuses() == (480, 480)
    server.reload(text.replace('"ask"', '"none"'))
    assert statuses() == (407, 407)


def test_a_server_of_another_domain_is_let_in(make_server: Any) -> None:
    server = make_server("require")
    peer, _ = server.authority.sign(x509.DNSName("peer.example.net"))
    client = server.client(peer)
    assert client.ask("OPTIONS", "sip:bob@example.com", "sip:eve@peer.example.net") == 480
    assert client.ask("OPTIONS", "sip:bob@example.com", "sip:eve@example.org") == 403
    assert client.ask("OPTIONS", "sip:bob@example.org", "sip:eve@peer.example.net") == 403
    # Without one nobody is.
    nobody = server.client()
    with pytest.raises((AssertionError, OSError)):
        nobody.ask("OPTIONS", "sip:example.com", "sip:eve@example.org")


def test_requests_go_back_over_the_connection_of_the_peer(make_server: Any) -> None:
    """RFC 5923: the peer listens where no connection could be opened from here, and is reached all the same."""
    server = make_server("ask")
    # One certificate for both: a user of ours who calls, and the server of another domain.
    both, _ = server.authority.sign(
        x509.UniformResourceIdentifier("sip:alice@example.com"), x509.UniformResourceIdentifier("sip:localhost")
    )
    client = server.client(both)
    with socket.socket() as taken:
        # A port at which nothing answers.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        there = f"localhost:{port}"
        uri, mine = f"sips:bob@{there}", "sip:alice@example.com"
        assert client.ask("OPTIONS", uri, mine, via=there) in (480, 500, 503)
        assert client.ask("OPTIONS", "sip:nobody@example.com", mine, via=f"{there};alias") == 480
        client.connection.sendall(
            (
                f"OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/TLS {there};branch=z9hG4bKback\r\nMax-Forwards: 70\r\n"
                f"From: <{mine}>;tag=f\r\nTo: <{uri}>\r\nCall-ID: back\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            ).encode()
        )
        got = client.read()
        assert got.startswith(f"OPTIONS {uri} SIP/2.0\r\n"), got
