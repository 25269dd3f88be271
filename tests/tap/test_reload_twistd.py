"""Reloads as an operator asks for them: the command, the signal, the log that was moved away."""

from __future__ import annotations

import json
import os
import pty
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.tap.hang_up import HangUp, has_terminal

from .test_twistd import HERE, Running

STATE = ("--state-dir", "state")


def write(directory: Path, text: str = "", listen: str = HERE) -> None:
    (directory / "sip.toml").write_text(
        f'[server]\ndomains = ["127.0.0.1"]\nlisten = ["{listen}"]\nstate_dir = "state"\n{text}'
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    write(tmp_path)
    made = Running(tmp_path, "sip-proxy", "--config", "sip.toml", until="listening over")
    yield made
    if made.process.poll() is None:
        made.stop()


def until(running: Running, text: str) -> str:
    """Read the log until a line has *text*; return what was read."""
    read = ""
    for line in running.output:
        running.text += line
        read += line
        if text in line:
            return read
    raise AssertionError(f"the server has ended: {running.text}")


def test_the_command(running: Running) -> None:
    write(running.directory, '[proxy]\nfork = "serial"\n[storage]\nmax_bindings = 7\n')
    told = running.command("reload", "--dry-run", *STATE).stdout
    assert 'proxy.fork: "parallel" -> "serial"' in told and told.endswith("this was a dry run\n")
    done = running.command("reload", *STATE)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[0] == 'proxy.fork: "parallel" -> "serial"'
    assert done.stdout.splitlines()[1].endswith("-> 7 needs a restart")
    found = json.loads(running.command("reload", "--json", *STATE).stdout)
    assert found["changed"] == [] and found["needs_restart"][0]["key"] == "storage.max_bindings"
    write(running.directory, '[proxy]\nfork = "serial"\n')
    assert running.command("reload", *STATE).stdout == "nothing has changed\n"


def test_faults(running: Running) -> None:
    write(running.directory, '[proxy]\nfork = "sideways"\n[auth]\nrealmm = ""\n')
    done = running.command("reload", *STATE)
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("twisted-sip: sip.toml: auth.realmm: unknown key, did you mean realm?")
    assert lines[1].startswith('twisted-sip: sip.toml: proxy.fork: "sideways" is unknown, write one of ')
    assert lines[2] == "twisted-sip: nothing was changed"
    done = running.command("reload", "--json", *STATE)
    assert done.returncode == 1 and len(json.loads(done.stdout)["faults"]) == 2


def test_the_signal(running: Running) -> None:
    write(running.directory, '[proxy]\nfork = "serial"\n')
    running.process.send_signal(signal.SIGHUP)
    assert 'proxy.fork: "parallel" -> "serial"' in until(running, "configuration read anew")
    write(running.directory, "[proxy]\nfork = 7\n")
    running.process.send_signal(signal.SIGHUP)
    assert "sip.toml: proxy.fork: 7 is not" in until(running, "nothing was changed")
    write(running.directory, '[proxy]\nfork = "serial"\n')
    running.process.send_signal(signal.SIGHUP)
    until(running, "nothing has changed")


def test_the_log_that_was_moved_away(running: Running) -> None:
    log, old = running.directory / "sip.log", running.directory / "old.log"
    write(running.directory, '[log]\nfile = "sip.log"\n')
    assert running.command("reload", *STATE).returncode == 0
    log.rename(old)
    running.process.send_signal(signal.SIGHUP)
    # Commands are done in their turn: the signal came first.
    assert running.command("reload", *STATE).returncode == 0
    assert "configuration read anew" in log.read_text() and "log.file: nothing ->" in old.read_text()
    write(running.directory, '[log]\nfile = "none/sip.log"\n')
    done = running.command("reload", *STATE)
    assert done.returncode == 1 and "log.file: " in done.stderr and "choose another" in done.stderr
    write(running.directory, '[log]\nfile = "sip.log"\nformat = "json"\n')
    assert running.command("reload", *STATE).returncode == 0
    assert json.loads(log.read_text().splitlines()[-1])["text"] == "configuration read anew"


def test_sip_ua(tmp_path: Path) -> None:
    (tmp_path / "ua.toml").write_text(f'[server]\nlisten = ["{HERE}"]\nstate_dir = "state"\n')
    running = Running(tmp_path, "sip-ua", "--config", "ua.toml", until="listening over")
    try:
        (tmp_path / "ua.toml").write_text(
            f'[server]\nlisten = ["{HERE}", "tcp:0:interface=127.0.0.1"]\nstate_dir = "state"\n'
            '[agent]\nmax_calls = 7\n[answer]\nanswer = "reject 486"\n[limits]\nmax_transactions = 9\n'
        )
        found = json.loads(running.command("reload", "--json", *STATE).stdout)
        assert [change["key"] for change in found["changed"]] == [
            "server.listen",
            "agent.max_calls",
            "limits.max_transactions",
        ]
        assert [change["key"] for change in found["needs_restart"]] == ["answer.answer"]
        assert len(found["opened"]) == 1 and found["opened"][0].startswith("tcp 127.0.0.1:")
        assert "tcp" in json.loads(running.command("status", "--json", *STATE).stdout)["listening"]
        (tmp_path / "ua.toml").write_text("[server]\nlisten = [1]\n")
        assert running.command("reload", *STATE).returncode == 1
    finally:
        running.stop()


def test_sip_presence(tmp_path: Path) -> None:
    write(tmp_path, '[xcap]\nlisten = ["tcp:0:interface=127.0.0.1"]\n')
    running = Running(tmp_path, "sip-presence", "--config", "sip.toml", until="listening over")
    try:
        write(
            tmp_path,
            '[xcap]\nlisten = ["tls:0:interface=127.0.0.1"]\nmax_documents = 5\npath = "/x"\n'
            "[presence]\nmax_body = 4096\n[messaging]\nlifetime = 77\n[events]\nmin_expires = 90\nnotify_rate = 7\n"
            "[lists]\nmax_resources = 9\n[b2bua]\nmax_calls = 3\n",
        )
        found: Any = json.loads(running.command("reload", "--json", *STATE).stdout)
        assert {change["key"] for change in found["changed"]} == {
            "xcap.listen",
            "xcap.max_documents",
            "presence.max_body",
            "messaging.lifetime",
            "events.min_expires",
            "events.notify_rate",
            "lists.max_resources",
        }
        assert [change["key"] for change in found["needs_restart"]] == ["xcap.path"]
        assert [change["key"] for change in found["unused"]] == ["b2bua.max_calls"]
    finally:
        running.stop()


class Reactor:
    """Does at once what threads ask for."""

    def callFromThread(self, function: Any) -> None:
        function()


def test_a_terminal_that_is_gone() -> None:
    """A process that has lost its terminal ends; one that never had any reads its configuration."""
    reader, writer = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        said: list[str] = []
        hang_up = HangUp(Reactor(), lambda: said.append("again"), lambda: said.append("gone"))
        hang_up.install()
        os.write(writer, b"ready " if has_terminal() else b"none ")
        os.kill(os.getpid(), signal.SIGHUP)
        os.write(writer, b"%s " % said[-1].encode())
        while len(said) < 2:
            signal.pause()
        os.write(writer, said[-1].encode())
        os._exit(0)
    os.close(writer)
    read = b""
    while not read.endswith(b"again "):
        read += os.read(reader, 100)
    os.close(terminal)
    while data := os.read(reader, 100):
        read += data
    os.close(reader)
    os.waitpid(pid, 0)
    assert read == b"ready again gone"


def test_the_signal_is_given_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    hang_up = HangUp(Reactor(), lambda: None, lambda: None)
    hang_up.install()
    assert signal.getsignal(signal.SIGHUP) != before
    hang_up.remove()
    hang_up.remove()
    assert signal.getsignal(signal.SIGHUP) == before
