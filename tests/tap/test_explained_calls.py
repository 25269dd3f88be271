"""Calls that go seven ways through ``twistd sip-proxy``: ``twisted-sip explain`` names the key behind each."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import twisted_sip
from twisted_sip.cli.main import cli

ROOT = Path(twisted_sip.__file__).parent.parent
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
PATIENCE = 60

CONFIGURATION = """
[server]
domains = ["example.com"]
listen = ["udp:0:interface=127.0.0.1"]
state_dir = "state"

[[route]]
user = "9*"
to = "sip:exchange@127.0.0.1:{port}"

[[route]]
user = "0*"
to = "gateway:carrier"

[[route]]
user = "closed"
status = 410

[gateways]
probe_interval = 0

[[gateway]]
group = "carrier"
name = "first"
uri = "sip:127.0.0.1:{port}"
"""


class Server:
    """The server, and a phone at 127.0.0.1 that is alice, strangers, gateways and bob's phone in one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.port = self.socket.getsockname()[1]
        (directory / "sip.toml").write_text(CONFIGURATION.format(port=self.port))
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        for user in ("alice", "bob", "carol"):
            self.command("user", "add", f"{user}@example.com", "--password-stdin", stdin="secret\n")
        self.command("policy", "set", "carol@example.com", "--do-not-disturb", "on")
        self.twistd = subprocess.Popen(
            [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "sip-proxy", "--config", "sip.toml"],
            cwd=directory, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.twistd.stdout is not None
        self.log = ""
        for line in self.twistd.stdout:
            self.log += line
            if "listening over udp" in line:
                break
        at = re.search(r"on 127\.0\.0\.1:(\d+)", self.log)
        assert at is not None, self.log
        self.address = ("127.0.0.1", int(at.group(1)))
        self.number = 0

    def command(self, *arguments: str, stdin: str = "", status: int = 0) -> str:
        done = CliRunner().invoke(cli, [*arguments, "--config", str(self.directory / "sip.toml")], stdin)
        assert done.exit_code == status, (arguments, done.stdout, done.stderr)
        return done.stdout if not status else done.stderr

    def ask(self, method: str, uri: str, from_: str, password: str = "", contact: str = "") -> tuple[str, int]:
        """Send a request, with credentials if it is challenged; return its Call-ID and the final status."""
        self.number += 1
        call_id = f"call-{self.number}-{os.urandom(4).hex()}"
        aor = from_ if method == "REGISTER" else uri
        credentials, status = "", 0
        for cseq in (1, 2):
            branch = f"z9hG4bK{call_id}{cseq}"
            head = (
                f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch}\r\n"
                f"Max-Forwards: 70\r\nFrom: <{from_}>;tag=t{cseq}\r\nTo: <{aor}>\r\nCall-ID: {call_id}\r\n"
                f"CSeq: {cseq} {method}\r\nContact: <sip:x@127.0.0.1:{self.port}>\r\n"
                f"{credentials}Content-Length: 0\r\n\r\n"
            )
            self.socket.sendto(head.encode(), self.address)
            answer = self.answer(branch)
            status = int(answer[8:11])
            if method == "INVITE":
                ack = head.replace(f"INVITE {uri}", f"ACK {uri}").replace(f"{cseq} INVITE", f"{cseq} ACK")
                to = re.search(r"\r\n(To: [^\r]*)", answer)
                assert to is not None
                self.socket.sendto(re.sub(r"\r\nTo: [^\r]*", f"\r\n{to.group(1)}", ack).encode(), self.address)
            if status not in (401, 407) or not password:
                break
            credentials = digest(answer, method, uri, from_[4:].partition("@")[0], password)
        return call_id, status

    def answer(self, branch: str) -> str:
        """Return the final response to what was sent with *branch*; whatever else comes is refused with 486."""
        while True:
            data = self.socket.recv(65535).decode()
            if not data.startswith("SIP/2.0"):
                if data.startswith("INVITE"):
                    kept = [
                        line for line in data.split("\r\n")[1:]
                        if line.partition(":")[0] in ("Via", "From", "Call-ID", "CSeq")
                    ]  # fmt: skip
                    to = re.search(r"\r\n(To: [^\r]*)", data)
                    assert to is not None
                    lines = ["SIP/2.0 486 Busy Here", *kept, f"{to.group(1)};tag=b", "Content-Length: 0", "", ""]
                    self.socket.sendto("\r\n".join(lines).encode(), self.address)
            elif branch in data and not data.startswith("SIP/2.0 1"):
                return data

    def why(self, call_id: str) -> list[tuple[str, str, str]]:
        """Return room, text and key of what was decided."""
        found = json.loads(self.command("explain", call_id, "--json"))
        assert found["call_id"] == call_id
        return [(one["room"], one["text"], one["key"]) for one in found["decisions"]]

    def stop(self) -> None:
        self.twistd.terminate()
        assert self.twistd.stdout is not None
        self.log += self.twistd.stdout.read()
        self.twistd.stdout.close()
        self.twistd.wait(PATIENCE)
        self.socket.close()


def digest(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """Return the credentials that answer *challenge* (RFC 7616 section 3.4)."""
    found = dict(re.findall(r'(realm|nonce)="([^"]*)"', challenge))
    name = "Proxy-Authorization" if challenge.startswith("SIP/2.0 407") else "Authorization"

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    secret = md5(f"{user}:{found['realm']}:{password}")
    response = md5(f"{secret}:{found['nonce']}:00000001:c:auth:{md5(f'{method}:{uri}')}")
    return (
        f'{name}: Digest username="{user}", realm="{found["realm"]}", nonce="{found["nonce"]}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"\r\n'
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="sip") as name:
        made = Server(Path(name))
        try:
            yield made
        finally:
            made.stop()
        assert "Traceback" not in made.log


ALICE = "sip:alice@example.com"
PROVED = ("admission", f"{ALICE} has proved to be the sender", "auth.required")


def call(server: Server, user: str, from_: str = ALICE, password: str = "secret") -> tuple[Any, int]:
    """Call *user*; return what was decided and the final status."""
    call_id, status = server.ask("INVITE", f"sip:{user}@example.com", from_, password)
    return server.why(call_id), status


def test_a_static_route(server: Server) -> None:
    why, status = call(server, "9123")
    assert status == 486
    assert why[0] == ("admission", f"407: {ALICE} has to prove it, for realm example.com", "auth.required")
    assert why[1] == PROVED
    assert [(room, key) for room, _, key in why[2:4]] == [("route", "route[0].to"), ("proxy", "proxy.record_route")]
    assert why[4][1] == f"sip:exchange@127.0.0.1:{server.port} has answered 486 Busy Here"
    assert len(why) == 5


def test_a_route_that_answers(server: Server) -> None:
    why, status = call(server, "closed")
    assert status == 410
    assert ("route", "route[2].status") in [(room, key) for room, _, key in why]
    assert why[-1] == ("answer", "410 Gone", "")


def test_a_gateway(server: Server) -> None:
    why, status = call(server, "0301234")
    assert status == 486
    keys = [(room, key) for room, _, key in why]
    assert ("route", "route[1].to") in keys
    assert any(room == "gateway" and "first" in text for room, text, _ in why)


def test_a_call_policy(server: Server) -> None:
    why, status = call(server, "carol")
    assert status >= 480
    [policy] = [one for one in why if one[0] == "policy"]
    assert policy[1].startswith("sip:carol@example.com: ") and policy[2] == "policy.do_not_disturb"


def test_a_registration(server: Server) -> None:
    call_id, status = server.ask("REGISTER", "sip:bob@example.com".replace("bob@", ""), "sip:bob@example.com", "secret")
    assert status == 200
    assert server.why(call_id)[-1] == ("registrar", "contacts of sip:bob@example.com are registered", "")
    why, status = call(server, "bob")
    assert status == 486
    assert ("location", f"sip:bob@example.com is at sip:x@127.0.0.1:{server.port}", "") in why


def test_refused_for_lack_of_authentication(server: Server) -> None:
    why, status = call(server, "bob", password="")
    assert status == 407
    assert why == [("admission", f"407: {ALICE} has to prove it, for realm example.com", "auth.required")]
    why, status = call(server, "bob", password="wrong")
    assert why[-1] == ("admission", f"407: the password of {ALICE} is wrong", "auth.required")
    why, status = call(server, "bob", "sip:nobody@example.com", "wrong")
    assert status == 407
    assert why[-1] == ("admission", "407: there is no user sip:nobody@example.com", "storage.directory")


def test_strangers(server: Server) -> None:
    call_id, status = server.ask("INVITE", "sip:someone@example.org", "sip:eve@example.net")
    assert status == 403
    text = "403: neither the sender is one of our users nor sip:someone@example.org"
    assert server.why(call_id) == [("admission", text, "server.domains")]
    why, status = call(server, "nobody", from_="sip:eve@example.net", password="")
    assert status == 480
    assert why[0] == ("admission", "from somebody elsewhere, for one of our users", "auth.foreign_callers")
    unknown = "480: sip:nobody@example.com is not registered: there is no such user"
    assert why[1] == ("location", unknown, "storage.directory")


def test_who_is_not_registered(server: Server) -> None:
    why, status = call(server, "alice")
    assert status == 480
    assert ("location", f"480: {ALICE} is not registered", "server.domains") in why


def test_on_a_terminal(server: Server) -> None:
    call_id, _ = server.ask("INVITE", "sip:9123@example.com", ALICE, "secret")
    text = server.command("explain", call_id[:-3], "--messages")
    lines = text.splitlines()
    assert lines[0] == f"Call-ID {call_id}"
    assert "<- 127.0.0.1:" in lines[3] and "INVITE sip:9123@example.com" in lines[3]
    assert any("route" in line and "[route[0].to]" in line for line in lines)
    assert any("-> 127.0.0.1" in line and "486 Busy Here (INVITE 2)" in line for line in lines)
    assert "secret" not in text and "response=" not in text
    assert call_id in server.command("explain", "--last")
    assert call_id in server.command("explain", "--user", "alice@example.com", "--method", "invite")


def test_a_call_that_nobody_knows(server: Server) -> None:
    assert server.command("explain", "nonsense", status=1) == "twisted-sip: nothing was decided about a call nonsense\n"
