"""The command as a whole: help, version, exit statuses, finding the server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from twisted_sip import __version__
from twisted_sip.cli.main import cli
from twisted_sip.cli.output import duration
from twisted_sip.tap.control import SOCKET_NAME


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"twisted-sip, version {__version__}\n")


def test_every_command_is_there_and_explains_itself() -> None:
    group = cli
    assert isinstance(group, click.Group)
    context = click.Context(group)
    names = group.list_commands(context)
    assert names == [
        "user", "policy", "contacts", "gateways", "bans", "calls", "presence", "watchers", "messages", "trace",
        "explain", "status", "reload", "check", "doctor", "options", "register", "message", "publish", "call", "load",
        "chat",
    ]  # fmt: skip
    for name in names:
        assert group.get_command(context, name) is not None
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "Usage: cli " + name in result.stdout
    for name in names:
        assert name in run("--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["trace"],
        ["trace", "x", "--last"],
        ["explain"],
        ["explain", "x", "--last"],
        ["explain", "x", "--method", "INVITE"],
        ["register", "alice@example.com", "--expires", "5"],
        ["register", "alice@example.com", "--remove-all", "--contact", "sip:a@b"],
        ["options", "sip:"],
        ["message", "sip:bob@example.com"],
        ["message", "sip:bob@example.com", "x", "--password-stdin"],
        ["contacts", "nobody"],
        ["calls", "--limit", "99999999999999999999"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr or "Usage: " in result.stderr


@pytest.mark.parametrize("arguments", [["contacts"], ["bans", "list"], ["trace", "--last"], ["status"]])
def test_no_server_is_status_1_and_one_line(arguments: list[str], tmp_path: Path) -> None:
    result = run(*arguments, "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == (
        f"twisted-sip: no server runs with the state directory {tmp_path}; name another with --state-dir or --config\n"
    )


def test_output_that_finds_no_room_is_status_1_and_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "twisted_sip.cli.main", "--help"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"twisted-sip: no space left on device\n")


@contextmanager
def answering(directory: Path, *lines: Any) -> Iterator[list[Any]]:
    """Be a server that gives *lines*, one to each request; a list of lines is a stream."""
    asked: list[Any] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / SOCKET_NAME))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as file:
            for line in lines:
                asked.append(json.loads(file.readline()))
                for one in line if isinstance(line, list) else [line]:
                    file.write(json.dumps(one).encode() + b"\n")
                file.flush()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        thread.join(10)
        listener.close()


def test_the_state_directory_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "sip.toml").write_text('[server]\nstate_dir = "state"\n')
    with answering(tmp_path / "state", {"ok": True, "result": []}) as asked:
        result = run("contacts", "alice@EXAMPLE.com", "--config", str(tmp_path / "sip.toml"))
    assert result.stdout == "alice@EXAMPLE.com is not registered\n"
    assert asked == [{"command": "contacts", "aor": "sip:alice@example.com"}]


def test_what_the_server_refuses(tmp_path: Path) -> None:
    with answering(tmp_path, {"ok": False, "error": "no such thing"}):
        result = run("trace", "x", "--state-dir", str(tmp_path))
    assert (result.exit_code, result.stderr) == (1, "twisted-sip: no such thing\n")


@pytest.mark.parametrize("arguments", [["presence"], ["watchers", "a@example.com"], ["messages", "a@example.com"]])
def test_a_server_without_presence(arguments: list[str], tmp_path: Path) -> None:
    with answering(tmp_path, {"ok": False, "error": "unknown command 'x', known are status"}):
        result = run(*arguments, "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("twisted-sip: the server that runs cannot tell: it serves no presence")
    assert len(result.stderr.splitlines()) == 1


def test_a_server_of_another_kind(tmp_path: Path) -> None:
    with answering(tmp_path, {"ok": False, "error": "unknown command 'explain', known are status"}):
        result = run("explain", "--last", "--state-dir", str(tmp_path))
    line = "twisted-sip: the server that runs cannot tell: it is of another kind, or of another version\n"
    assert (result.exit_code, result.stderr) == (1, line)


def test_calls_of_a_server_of_another_kind(tmp_path: Path) -> None:
    with answering(tmp_path, {"ok": True, "result": [{"state": "talking"}]}):
        result = run("calls", "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("twisted-sip: the server that runs keeps no call records")


def test_listing_watchers(tmp_path: Path) -> None:
    seen = [
        {"watcher": "sip:bob@example.com", "event": "presence", "state": "active", "expires_in": 75},
        {"watcher": "", "event": "presence.winfo", "state": "pending\x1b[2J", "expires_in": 5},
    ]
    with answering(tmp_path, {"ok": True, "result": seen}) as asked:
        result = run("watchers", "alice@EXAMPLE.com", "--state-dir", str(tmp_path))
    assert asked == [{"command": "watchers", "aor": "sip:alice@example.com"}]
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert rows == [
        ["bob@example.com", "presence", "active", "1", "min"],
        ["(somebody)", "presence.winfo", "pending\ufffd[2J", "5", "s"],
    ]


def test_a_server_that_goes_away(tmp_path: Path) -> None:
    with answering(tmp_path):
        result = run("status", "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("twisted-sip: the server went away")
    assert len(result.stderr.splitlines()) == 1


MESSAGE = {
    "time": 0.0,
    "sent": False,
    "transport": "UDP",
    "local": "192.0.2.1:5060",
    "remote": "192.0.2.2:5060",
    "text": "OPTIONS sip:192.0.2.1 SIP/2.0\r\nCSeq: 7 OPTIONS\r\n\r\n",
}


def test_following_the_trace(tmp_path: Path) -> None:
    stream = [{"ok": True, "stream": True}, {"event": {"call_id": "abc", "message": MESSAGE}}, {"skipped": 3}]
    with answering(tmp_path, stream) as asked:
        result = run("trace", "--follow", "--state-dir", str(tmp_path))
    assert asked == [{"command": "trace-follow", "call_id": ""}]
    lines = result.stdout.splitlines()
    assert lines[0].partition(" ")[2] == "<- 192.0.2.2:5060 udp  OPTIONS sip:192.0.2.1 (7)  abc"
    assert lines[1].startswith("... 3 messages left out")
    assert result.exit_code == 1  # the server ended


def test_following_as_json_lines(tmp_path: Path) -> None:
    event = {"event": {"call_id": "abc", "message": MESSAGE}}
    with answering(tmp_path, [{"ok": True, "stream": True}, event]):
        result = run("trace", "abc", "--follow", "--json", "--state-dir", str(tmp_path))
    assert json.loads(result.stdout) == event


def test_the_last_call_of_a_method(tmp_path: Path) -> None:
    with answering(
        tmp_path,
        {"ok": True, "result": [{"call_id": "abc"}]},
        {"ok": True, "result": {"call_id": "abc", "messages": [MESSAGE]}},
    ) as asked:
        result = run("trace", "--last", "--method", "options", "--state-dir", str(tmp_path))
    assert asked == [
        {"command": "trace-list", "method": "options", "count": 1},
        {"command": "trace", "call_id": "abc"},
    ]
    assert "OPTIONS 7" in result.stdout


def test_lifting_bans(tmp_path: Path) -> None:
    with answering(tmp_path, {"ok": True, "result": {"lifted": 2}}) as asked:
        result = run("bans", "lift", "192.0.2.9", "--state-dir", str(tmp_path))
    assert asked == [{"command": "bans-lift", "source": "192.0.2.9", "user": ""}]
    assert (result.exit_code, result.stdout) == (0, "2 bans lifted\n")


def test_listing_bans(tmp_path: Path) -> None:
    ban = {"source": "192.0.2.9", "user": "alice\x1b[2J", "failures": 10, "ends_in": 75}
    with answering(tmp_path, {"ok": True, "result": [ban]}):
        result = run("bans", "list", "--state-dir", str(tmp_path))
    assert result.stdout.splitlines()[2].split() == ["192.0.2.9", "alice\ufffd[2J", "10", "1", "min"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3660, "1 h 1 min"), (180000, "2 d 2 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
