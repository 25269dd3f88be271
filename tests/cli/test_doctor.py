"""``twisted-sip doctor``: what is planted is found, each with its mend, and what is well is well."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.cli.conftest import PresenceServer
from twisted_sip.cli.main import cli
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.transport.self_signed import LIFETIME, make_self_signed

FILE = """
[server]
domains = ["example.com"]
listen = ["tls:{port}:interface=127.0.0.1"]
state_dir = "state"
[tls]
private_key = "key.pem"
certificate = "certificate.pem"
[limits]
max_connections = {connections}
"""


def examine(directory: Path, *options: str, status: int) -> dict[str, tuple[str, str]]:
    """Run the doctor; return subject -> (level, what is wrong), the last of each subject."""
    arguments = ["doctor", str(directory / "sip.toml"), "--no-dns", *options]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    found = json.loads(result.stdout)
    assert all(one["mend"] for one in found if one["level"] != "ok"), found
    return {one["subject"].replace(f"{directory}/", ""): (one["level"], one["text"]) for one in found}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a server that never ran, its certificate and its user; nothing is wrong."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    store = SQLiteCredentialStore(state / "users.db")
    store.add("alice", "example.com", "x")
    store.close()
    write_certificate(tmp_path, timedelta(days=1))
    write_file(tmp_path)
    return tmp_path


def write_certificate(directory: Path, age: timedelta) -> None:
    key, certificate = make_self_signed(["example.com"], datetime.now(UTC) - age)
    (directory / "key.pem").write_bytes(key)
    (directory / "key.pem").chmod(0o600)
    (directory / "certificate.pem").write_bytes(certificate)


def write_file(directory: Path, port: int = 0, connections: int = 100) -> None:
    (directory / "sip.toml").write_text(FILE.format(port=port, connections=connections))


def test_nothing_is_wrong(place: Path) -> None:
    found = examine(place, status=0)
    assert {subject: level for subject, (level, _) in found.items() if level != "ok"} == {
        # It is that of the test, and no server runs; whether a clock is kept right is the machine's business.
        "chain certificate.pem": "warning",
        "server": "warning",
        **({"clock": "warning"} if found["clock"][0] != "ok" else {}),
    }
    assert "self-signed" in found["chain certificate.pem"][1]
    assert {"database state/users.db", "key key.pem", "disk of state"} <= set(found)
    strictly = examine(place, "--strict", status=1)
    assert {subject: level for subject, (level, _) in strictly.items()} == {
        subject: level for subject, (level, _) in found.items()
    }


def test_six_planted_faults(place: Path) -> None:
    state = place / "state"
    # A key that everybody can read, and a certificate that has ended.
    write_certificate(place, LIFETIME + timedelta(days=3))
    (place / "key.pem").chmod(0o644)
    # A database that another process holds, and a damaged one.
    holder = sqlite3.connect(state / "users.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    (state / "location.db").write_bytes(b"garbage" * 99)
    # Files from the future.
    ahead = time.time() + 7200
    os.utime(state / "location.db", (ahead, ahead))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        # A port that is taken, and more connections than files may be open.
        port = busy.getsockname()[1]
        write_file(place, port, 10_000_000)
        found = examine(place, "--quiet", status=1)
    holder.close()
    assert found["key key.pem"] == ("error", "can be read by everybody on this machine")
    assert found["certificate"][0] == "error" and "expired" in found["certificate"][1]
    assert found["database state/users.db"] == ("error", "is locked by another process")
    assert found["database state/location.db"] == ("error", "is damaged (file is not a database)")
    # Each fault is told once.
    assert not {"users", "registrations"} & set(found)
    assert found["clock"][0] == "error" and "is 2.0 h behind files" in found["clock"][1]
    assert found[f"listen tls:{port}:interface=127.0.0.1"][0] == "error"
    assert found["open files"][0] == "warning" and "[limits] max_connections is 10000000" in found["open files"][1]
    assert not [subject for subject, (level, _) in found.items() if level == "ok"]


@pytest.mark.parametrize("name", ["users.db", "location.db", "calls.db", "messages.db"])
def test_a_damaged_database_is_told_once(place: Path, name: str) -> None:
    (place / "state" / name).write_bytes(b"garbage" * 99)
    (place / "state" / name).chmod(0o600)
    found = examine(place, "--quiet", status=1)
    assert {subject: words for subject, words in found.items() if words[0] == "error"} == {
        f"database state/{name}": ("error", "is damaged (file is not a database)")
    }


def test_what_others_can_read(place: Path) -> None:
    (place / "key.pem").chmod(0o640)
    (place / "state" / "users.db").chmod(0o644)
    found = examine(place, status=0)
    assert found["key key.pem"] == ("warning", "can be read by its group")
    assert found["database state/users.db"] == ("warning", "is open to other users, and there are secrets in it")


def test_on_a_terminal(place: Path) -> None:
    arguments = ["doctor", str(place / "sip.toml"), "--no-dns", "--quiet"]
    text = CliRunner().invoke(cli, arguments).stdout
    assert "none runs with" in text
    assert text.splitlines()[-1].startswith("warning all in all: ")
    (place / "sip.toml").write_text('[server]\ndomans = []\n[log]\nformat = "jsn"\n')
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        f"error   {place}/sip.toml: server.domans: unknown key, did you mean domains?",
        f'error   {place}/sip.toml: log.format: "jsn" is unknown, did you mean json?',
    ]
    assert result.stdout.splitlines()[2] == "error   all in all: 2 errors"


def test_a_server_that_runs(server: PresenceServer) -> None:
    def doctor(*arguments: str, status: int) -> dict[str, tuple[str, str]]:
        done = server.run("doctor", "--json", "--no-dns", *arguments)
        assert done.returncode == status, done
        return {one["subject"]: (one["level"], one["text"]) for one in json.loads(done.stdout)}

    at = server.proxy.removeprefix("sip:")
    found = doctor(status=0)
    assert found["server"][1].startswith(f"runs as process {server.twistd.process.pid}")
    assert found[f"udp {at}"] == ("ok", "answers OPTIONS")
    assert found["open files"][0] in ("ok", "warning")
    # The file says something else than the server does.
    file = server.directory / "other.toml"
    file.write_text(
        '[server]\ndomains = ["example.org"]\nlisten = ["udp:5999:interface=127.0.0.1"]\nadvertise = "127.0.0.1"\n'
        f'state_dir = "{server.directory}/twisted-sip-state"\n'
    )
    found = doctor(str(file), status=1)
    assert found["domains"] == ("warning", "runs for 127.0.0.1, the file has example.org")
    assert found["listen udp:5999:interface=127.0.0.1"][0] == "error"
    assert found[f"udp {at}"] == ("ok", "is advertised and answers")
    assert not [subject for subject in doctor("--no-reach", status=0) if subject.startswith("udp")]


def test_a_socket_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("twisted_sip.cli.control_client.open_way", refuse)
    result = CliRunner().invoke(cli, ["doctor", "--no-dns", "--json", "--state-dir", str(tmp_path)])
    found = {one["subject"]: one for one in json.loads(result.stdout)}
    assert found["server"]["level"] == "error" and "permission denied" in found["server"]["text"]
