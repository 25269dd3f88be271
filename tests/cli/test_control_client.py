"""How long commands wait for a server that runs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from twisted.internet.task import Clock

from twisted_sip.cli import control_client, reload
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.main import cli
from twisted_sip.cli.output import Failed
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.storage.accounting_rows import ACCOUNTING_FILE
from twisted_sip.storage.accounting_sqlite import SQLiteAccounting


@pytest.fixture
def server(tmp_path: Path) -> Iterator[socket.socket]:
    """A control socket that nobody looks after."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(tmp_path / "control.sock"))
    listening.listen()
    yield listening
    listening.close()


def test_a_server_that_does_not_answer(server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_client, "PATIENCE", 0.01)
    with ControlClient(tmp_path) as client, pytest.raises(Failed, match="did not answer within"):
        client.ask("status")


def test_what_takes_long_is_waited_for(server: socket.socket, tmp_path: Path) -> None:
    with ControlClient(tmp_path) as client:
        peer, _ = server.accept()
        with peer:
            peer.sendall(b'{"ok": true, "result": 1}\n{"ok": true, "result": 2}\n')
            assert client.ask("reload", patience=77.0) == 1
            assert client._socket.gettimeout() == 77.0
            assert json.loads(peer.recv(1000)) == {"command": "reload"}
            assert client.ask("status") == 2
            assert client._socket.gettimeout() == control_client.PATIENCE


def test_a_reload_may_have_much_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A least-cost table of a million lines takes half a minute where others want the machine, too."""
    asked: dict[str, Any] = {}

    class Answering:
        def __init__(self, state_dir: Path) -> None: ...

        def __enter__(self) -> Answering:
            return self

        def __exit__(self, *exc: object) -> None: ...

        def ask(self, command: str, **arguments: Any) -> Any:
            asked.update(arguments)
            return dict.fromkeys(("faults", "changed", "opened", "closed", "needs_restart", "unused"), ())

    monkeypatch.setattr(reload, "ControlClient", Answering)
    done = CliRunner().invoke(cli, ["reload", "--state-dir", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0 and asked["patience"] >= 300


def test_past_calls_are_listed_where_the_server_does_not_answer(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "PATIENCE", 0.01)
    told = "the server did not answer within 0 s"
    done = CliRunner().invoke(cli, ["calls", "--state-dir", str(tmp_path), "--live"])
    assert done.exit_code == 1 and done.stdout == "" and told in done.stderr
    sink = SQLiteAccounting(tmp_path / ACCOUNTING_FILE, Clock())
    over = CallRecord(id="over", call_id="over@192.0.2.1", set_up=1.0, caller="sip:a@x.test", callee="sip:b@x.test")
    sink.answered(attrs.evolve(over, id="talking", answered=2.0))
    sink.ended(attrs.evolve(over, ended=2.0, result="refused", status=486))
    sink.close()
    done = CliRunner().invoke(cli, ["calls", "--state-dir", str(tmp_path), "--json"])
    assert done.exit_code == 0 and [one["id"] for one in json.loads(done.stdout)] == ["talking", "over"]
    assert done.stderr == f"twisted-sip: {told}; of the calls of now these are recorded\n"


def test_the_doctor_does_not_blame_the_user_for_a_server_that_hangs(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "PATIENCE", 0.01)
    done = CliRunner().invoke(cli, ["doctor", "--no-dns", "--no-reach", "--state-dir", str(tmp_path), "--json"])
    (found,) = [one for one in json.loads(done.stdout) if one["subject"] == "server"]
    assert found["level"] == "error" and "did not answer within" in found["text"]
    assert "restart it" in found["mend"]
