"""The commands as they are run: what is wrong is one line each and status 1, and a server starts, answers and stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest

import twisted_sip
from twisted_sip.tap.control import SOCKET_NAME
from twisted_sip.transport.self_signed import LIFETIME, make_self_signed

ROOT = Path(twisted_sip.__file__).parent.parent
RUN = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
#: Long enough for a slow machine; a process that hangs fails its test.
PATIENCE = 60


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def twistd(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run twistd in the foreground, for starts that fail."""
    return subprocess.run(
        [sys.executable, "-c", RUN, "-n", "--pidfile=", *arguments],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def refused(directory: Path, *arguments: str) -> list[str]:
    """Return the lines on standard error of a start that fails as it should."""
    done = twistd(directory, *arguments)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.splitlines()


HERE = "udp:0:interface=127.0.0.1"


def test_a_bad_configuration(tmp_path: Path) -> None:
    (tmp_path / "sip.toml").write_text("[server]\ndomans = []\n[proxy]\nfork = 1\n[tls]\ncertificate = 'c.pem'\n")
    lines = refused(tmp_path, "sip-proxy", "--config", "sip.toml")
    assert [line.split(": ")[:2] for line in lines] == [
        ["sip.toml", "server.domans"],
        ["sip.toml", "tls.certificate"],
        ["sip.toml", "proxy.fork"],
    ]


def test_a_busy_port(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        (line,) = refused(tmp_path, "sip-proxy", "--listen", f"tcp:{port}:interface=127.0.0.1")
    assert f"port {port} on 127.0.0.1 is in use, stop what uses it or choose another port" in line


def test_a_busy_port_of_xcap(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        xcap = f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1"
        (line,) = refused(tmp_path, "sip-presence", "--listen", HERE, "--xcap", xcap)
    assert xcap in line and "address already in use" in line and line.endswith("choose another port")


def test_the_usual_ports_of_xcap_may_be_busy(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # If somebody else has it, that is just as good.
        with contextlib.suppress(OSError):
            busy.bind(("127.0.0.1", 8080))
            busy.listen()
        running = Running(tmp_path, "sip-presence", "--listen", HERE, "--domain", "127.0.0.1", until="listening over")
        running.stop()
    assert re.search(r"tcp:8080:\S+: .*address already in use.*not served there", running.text)


@pytest.mark.parametrize("name", ["publications.db", "subscriptions.db", "messages.db", "documents.db"])
def test_a_damaged_database_of_presence(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / name).write_bytes(b"this is no database, by no means" * 99)
    (line,) = refused(tmp_path, "sip-presence", "--listen", HERE, "--state-dir", "s", "--xcap", "off")
    assert line.startswith(f"{tmp_path}/s/{name}: damaged")


@pytest.mark.parametrize("name", ["users.db", "location.db"])
def test_a_damaged_database(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / name).write_bytes(b"this is no database, by no means" * 99)
    (line,) = refused(tmp_path, "sip-registrar", "--listen", HERE, "--state-dir", "s")
    assert line.startswith(f"{tmp_path}/s/{name}: damaged")


def test_an_expired_certificate(tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - LIFETIME - timedelta(days=9)
    key, certificate = make_self_signed(["example.com"], long_ago)
    (tmp_path / "k.pem").write_bytes(key)
    (tmp_path / "c.pem").write_bytes(certificate)
    listen = "tls:0:interface=127.0.0.1:privateKey=k.pem:certKey=c.pem"
    (line,) = refused(tmp_path, "sip-proxy", "--listen", listen)
    assert "expired" in line and "renew it" in line


def test_a_key_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "sip.toml").write_text("[tls]\ncertificate = 'c.pem'\nprivate_key = 'k.pem'\n")
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("nothing")
    lines = refused(tmp_path, "sip-proxy", "--config", "sip.toml", "--listen", "tls:0:interface=127.0.0.1")
    assert len(lines) == 2
    assert "no private key in PEM format" in lines[0]
    assert "no certificate in PEM format" in lines[1]


def test_a_state_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (line,) = refused(tmp_path, "sip-proxy", "--listen", HERE, "--state-dir", "file")
    assert line == f"{tmp_path}/file: the state directory cannot be made (file exists), choose another --state-dir"


def test_a_state_directory_with_a_long_path(tmp_path: Path) -> None:
    # A UNIX socket has room for 107 bytes of path.
    state = ("--state-dir", str(tmp_path / ("x" * 150)))
    running = Running(
        tmp_path, "sip-proxy", "--listen", HERE, "--domain", "127.0.0.1", "--no-auth", *state, until="AUTHENTICATION IS"
    )
    assert json.loads(running.command("status", "--json", *state).stdout)["domains"] == ["127.0.0.1"]
    running.stop()
    assert not (tmp_path / ("x" * 150) / "control.sock").exists()
    assert running.command("status", *state).returncode == 1


class Running:
    """A server that runs in *directory*."""

    def __init__(self, directory: Path, *arguments: str, until: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, "-n", "--pidfile=", *arguments],
            cwd=directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.output: IO[str] = self.process.stdout
        self.text = ""
        for line in self.output:
            self.text += line
            if until in line:
                return
        raise AssertionError(f"did not start: {self.text}")

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "twisted_sip.cli.main", *arguments],
            cwd=self.directory,
            env=environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def port(self, transport: str) -> int:
        status = json.loads(self.command("status", "--json").stdout)
        return int(status["listening"][transport][0].rpartition(":")[2])

    def stop(self, *signals: signal.Signals) -> None:
        """End it as an operator does, or with *signals*; twistd dies of the first once everything is stopped."""
        signals = signals or (signal.SIGTERM,)
        for number in signals:
            self.process.send_signal(number)
        self.text += self.output.read()
        self.output.close()
        assert self.process.wait(PATIENCE) == -signals[0]
        assert "Traceback" not in self.text


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Running]:
    listen = ["--listen", HERE, "--listen", "tcp:0:interface=127.0.0.1", "--listen", "tls:0:interface=127.0.0.1"]
    running = Running(tmp_path, "sip-proxy", "--demo", "--domain", "127.0.0.1", *listen, until="Then call")
    yield running
    if running.process.poll() is None:
        running.stop()


def test_a_second_signal_while_it_stops(demo: Running) -> None:
    demo.stop(signal.SIGINT, signal.SIGTERM)
    assert "Received SIGINT" in demo.text and "Received SIGTERM" not in demo.text
    assert "SIGTERM: already stopping" in demo.text


def test_a_demo_from_start_to_stop(demo: Running) -> None:
    passwords = dict(re.findall(r"user +(alice|bob)\n +password +(\S+)", demo.text))
    assert sorted(passwords) == ["alice", "bob"]
    state = demo.directory / "twisted-sip-state"
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
    assert (state / "demo-users.json").stat().st_mode & 0o777 == 0o600

    port = demo.port("udp")
    proxy = f"sip:127.0.0.1:{port}"
    assert f"transport  udp {port}, tcp {demo.port('tcp')}, tls {demo.port('tls')}\n" in demo.text
    assert demo.command("options", proxy).stdout.startswith("200 OK")
    register = ("register", "alice@127.0.0.1", "--contact", "sip:alice@127.0.0.1:9", "--password-stdin", "--json")
    wrong = demo.command(*register, "--proxy", proxy, stdin="wrong")
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["status"] == 401
    for way in (proxy, f"sip:127.0.0.1:{demo.port('tcp')};transport=tcp", f"sips:127.0.0.1:{demo.port('tls')}"):
        right = demo.command(*register, "--insecure", "--proxy", way, stdin=passwords["alice"])
        assert right.returncode == 0, right.stderr
        assert json.loads(right.stdout)["bindings"][0]["contact"] == "sip:alice@127.0.0.1:9"
    (contact,) = json.loads(demo.command("contacts", "alice@127.0.0.1", "--json").stdout)
    assert contact["contact"] == "sip:alice@127.0.0.1:9"
    absent = demo.command(
        "message", "sip:bob@127.0.0.1", "hello", "--user", "alice@127.0.0.1", "--password-stdin", "--proxy", proxy,
        stdin=passwords["alice"],
    )  # fmt: skip
    assert absent.stdout.startswith("480 ")

    ladder = demo.command("trace", "--last").stdout
    assert re.search(r"├─+ MESSAGE 1 ─+▶│", ladder)
    assert re.search(r"│◀─+ 407 .*\(MESSAGE 1\) ─+┤", ladder)
    assert re.search(r"│◀─+ 480 .*\(MESSAGE 2\) ─+┤", ladder)
    full = demo.command("trace", "--last", "--full").stdout
    assert 'response="***"' in full
    assert not re.search(r'(response|nonce)="[0-9a-f]', full)
    assert len(json.loads(demo.command("trace", "--list", "--json").stdout)) == 6
    assert demo.command("bans", "list").stdout == "nobody is banned\n"
    assert demo.command("bans", "lift", "192.0.2.1").returncode == 1

    demo.stop()
    assert not (state / SOCKET_NAME).exists()
    assert "Server Shut Down" in demo.text
    assert "Unhandled" not in demo.text
    assert demo.command("status").stderr.startswith("twisted-sip: no server runs with the state directory")


def test_demo_passwords_and_registrations_outlive_a_restart(demo: Running) -> None:
    password = json.loads((demo.directory / "twisted-sip-state" / "demo-users.json").read_text())["bob"]
    register = ["register", "bob@127.0.0.1", "--password-stdin", "--contact", "sip:bob@127.0.0.1:9"]
    done = demo.command(*register, "--proxy", f"sip:127.0.0.1:{demo.port('udp')}", stdin=password)
    assert done.returncode == 0, done.stderr
    demo.process.kill()
    demo.output.close()
    demo.process.wait(PATIENCE)
    again = Running(demo.directory, "sip-proxy", "--demo", "--domain", "127.0.0.1", "--listen", HERE, until="Then call")
    try:
        assert f"password   {password}" in again.text
        assert json.loads(again.command("contacts", "--json").stdout)[0]["aor"] == "sip:bob@127.0.0.1"
        locked = refused(demo.directory, "sip-proxy", "--listen", HERE)
        assert locked == [
            f"{demo.directory}/twisted-sip-state/location.db: in use by another server; "
            "stop that, or choose another state directory"
        ]
    finally:
        again.stop()


def test_without_authentication_there_is_a_warning_and_no_challenge(tmp_path: Path) -> None:
    arguments = ["sip-registrar", "--no-auth", "--domain", "127.0.0.1", "--listen", HERE]
    running = Running(tmp_path, *arguments, until="AUTHENTICATION IS OFF")
    try:
        assert "WARNING: authentication is off" in running.text
        register = ["register", "carol@127.0.0.1", "--contact", "sip:carol@127.0.0.1:9"]
        done = running.command(*register, "--proxy", f"sip:127.0.0.1:{running.port('udp')}")
        assert done.stdout.startswith("200 OK"), done
    finally:
        running.stop()


def test_logs_in_json(tmp_path: Path) -> None:
    (tmp_path / "sip.toml").write_text('[log]\nformat = "json"\nlevel = "info"\nfile = "sip.log"\n')
    running = Running(
        tmp_path, "sip-proxy", "--config", "sip.toml", "--demo", "--listen", HERE, until="Then call"
    )  # fmt: skip
    running.stop()
    events = [json.loads(line) for line in (tmp_path / "sip.log").read_text().splitlines()]
    assert any(event["text"].startswith("listening over udp") and event["transport"] == "udp" for event in events)
    passwords = json.loads((tmp_path / "twisted-sip-state" / "demo-users.json").read_text())
    log = (tmp_path / "sip.log").read_text()
    assert not any(password in log for password in passwords.values())


def test_the_ack_for_a_challenge_ends_here(demo: Running) -> None:
    port = demo.port("udp")

    def request(method: str, tag: str) -> bytes:
        return (
            f"{method} sip:bob@127.0.0.1:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKchallenged\r\n"
            f"From: <sip:alice@127.0.0.1>;tag=1\r\nTo: <sip:bob@127.0.0.1>{tag}\r\nCall-ID: challenged\r\n"
            f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(PATIENCE)
        phone.bind(("127.0.0.1", 0))
        own = phone.getsockname()[1]
        phone.sendto(request("INVITE", ""), ("127.0.0.1", port))
        answer = phone.recv(65535).decode()
        assert answer.startswith("SIP/2.0 407 ")
        tag = re.search(r"(?m)^To: .*(;tag=\S+)", answer)
        assert tag is not None
        phone.sendto(request("ACK", tag.group(1)), ("127.0.0.1", port))
        # One more request: when it is answered the ACK has been dealt with.
        phone.sendto(request("OPTIONS", "").replace(b"challenged", b"afterwards"), ("127.0.0.1", port))
        assert phone.recv(65535).startswith(b"SIP/2.0 407 ")
    messages = json.loads(demo.command("trace", "challenged", "--json").stdout)["messages"]
    assert [message["text"].split(" ")[0] for message in messages] == ["INVITE", "SIP/2.0", "ACK"]
