"""``twisted-sip gateways``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from .test_main import answering, run

UP = {
    "group": "berlin", "name": "gw1\x1b[2J", "uri": "sip:gw1.example.net", "priority": 10, "weight": 2, "enabled": True,
    "state": "up", "for": 75, "requests": 7, "failed": 1, "round_trip": 0.0123, "last": "answered 200 to a probe",
    "key": "gateway[0]", "calls": 3, "max_calls": 30,
}  # fmt: skip
OFF = {
    **UP,
    "calls": None,
    "max_calls": 0,
    "name": "gw2",
    "enabled": False,
    "state": "down",
    "round_trip": None,
    "last": "",
}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is folded."""
    monkeypatch.setenv("COLUMNS", "200")


def server(directory: Path, result: Any) -> AbstractContextManager[list[Any]]:
    return answering(directory, {"ok": True, "result": result})


def test_the_table(tmp_path: Path) -> None:
    with server(tmp_path, [UP, OFF]) as asked:
        result = run("gateways", "--state-dir", str(tmp_path))
    assert asked == [{"command": "gateways"}]
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["group", "gateway", "priority", "weight", "state", "for", "calls", "requests", "failed", "probe", "last"]  # noqa: E501  # fmt: skip
    assert lines[2].split()[1:11] == ["gw1\ufffd[2J", "10", "2", "up", "1", "min", "3", "of", "30", "7"]
    assert lines[3].split()[1:9] == ["gw2", "10", "2", "off", "1", "min", "7", "1"]


def test_json_and_nothing(tmp_path: Path) -> None:
    with server(tmp_path, [OFF]):
        assert '"state": "down"' in run("gateways", "--json", "--state-dir", str(tmp_path)).stdout
    (tmp_path / "control.sock").unlink(missing_ok=True)
    with server(tmp_path, []):
        assert run("gateways", "--state-dir", str(tmp_path)).stdout == "there are no gateways\n"


def test_switching(tmp_path: Path) -> None:
    with server(tmp_path, {"gateways": 1}) as asked:
        result = run("gateways", "disable", "gw1", "--state-dir", str(tmp_path))
    assert asked == [{"command": "gateways-enable", "name": "gw1", "enabled": False}]
    assert (result.exit_code, result.stdout) == (0, "gw1 is not used any more\n")
    (tmp_path / "control.sock").unlink(missing_ok=True)
    with server(tmp_path, {"gateways": 0}):
        result = run("gateways", "enable", "gw9", "--state-dir", str(tmp_path))
    assert (result.exit_code, result.stderr) == (1, "twisted-sip: there is no gateway gw9\n")
    (tmp_path / "control.sock").unlink(missing_ok=True)
    with server(tmp_path, {"gateways": 2}):
        assert run("gateways", "enable", "gw1", "--state-dir", str(tmp_path)).stdout == "gw1 is used again\n"
