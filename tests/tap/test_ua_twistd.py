"""``twistd sip-ua`` as it is run: one line for each fault, a control socket, policies while it runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import twisted_sip

ROOT = Path(twisted_sip.__file__).parent.parent
RUN = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
HERE = "udp:0:interface=127.0.0.1"


def test_faults_are_lines(tmp_path: Path) -> None:
    (tmp_path / "menu.toml").write_text("[menu.main]\nprompt = 'gone.wav'\ntimes = 0\n")
    done = subprocess.run(
        [sys.executable, "-c", RUN, "-n", "--pidfile=", "sip-ua", "--answer", "dtmf-menu", "menu.toml"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and all(line.startswith(f"{tmp_path / 'menu.toml'}: menu.main.") for line in lines), lines


def test_a_directory_that_cannot_be_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", RUN, "-n", "--pidfile=", "sip-ua", "--listen", HERE, "--answer", "record", "file/box"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{tmp_path / 'file' / 'box'}: no messages can be kept there (not a directory), choose another directory"
    ]


MEDIA_AND_DIALOGS = (
    "dialogs", "subscriptions", "transfers", "media sessions", "media ports", "media packets refused",
)  # fmt: skip


def tool(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "twisted_sip.cli.main", *arguments, "--state-dir", "state"],
        cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    return done.stdout


def test_it_runs_and_stops(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    command = [sys.executable, "-c", RUN, "-n", "--pidfile=", "sip-ua", "--listen", HERE, "--state-dir", "state"]
    line = ["--register", "bob@127.0.0.1", "--registrar", "sip:127.0.0.1:9", "--password-file", "secret"]
    process = subprocess.Popen(
        [*command, *line, "--answer", "record", "box"], cwd=tmp_path, env=ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        seen = ""
        for text in process.stdout:
            seen += text
            if "listening over udp" in text:
                break
        tool(tmp_path, "policy", "set", "bob@127.0.0.1", "--do-not-disturb", "on")
        assert json.loads(tool(tmp_path, "policy", "show", "bob@127.0.0.1", "--json")) == {"do_not_disturb": True}
        status = json.loads(tool(tmp_path, "status", "--json"))
        assert list(status["lines"]) == ["sip:bob@127.0.0.1"] and status["counts"]["calls"] == 0
        counts = {name: status["counts"][name] for name in MEDIA_AND_DIALOGS}
        assert not any(counts.values()), counts
        assert "running for" in tool(tmp_path, "status")
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    assert process.returncode in (0, -15)  # twistd ends by the signal itself, once all is stopped
    assert "Traceback" not in seen + rest and "Unhandled" not in seen + rest, seen + rest


CONFIGURATION = """
[[line]]
aor = "sip:bob@127.0.0.1"
registrar = "sip:127.0.0.1:9"
answer = "record box"
[voicemail]
beep = false
shortest = 0.3
[agent]
servers = ["127.0.0.1"]
dialog_watchers = "own"
"""


def test_watchers_of_messages_and_calls(tmp_path: Path) -> None:
    """A message is left, and who watches the line is told of the call and of the message."""
    (tmp_path / "ua.toml").write_text(CONFIGURATION)
    command = [sys.executable, "-c", RUN, "-n", "--pidfile=", "sip-ua", "--listen", HERE, "--state-dir", "state"]
    process = subprocess.Popen(
        [*command, "--config", "ua.toml"], cwd=tmp_path, env=ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = ""
        for text in process.stdout:
            found = re.search(r"listening over udp on 127.0.0.1:(\d+)", text)
            if found is not None:
                port = found[1]
                break
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "tap" / "watching_caller.py"), port],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    lines = done.stdout.splitlines()
    assert lines[-1] == "done", (done, rest)
    assert [line for line in lines if line.startswith("messages")][:2] == ["messages 0", "messages 1"]
    calls = [line for line in lines if line.startswith("calls")]
    assert calls[0] == "calls" and "calls recipient confirmed" in calls and "calls recipient terminated" in calls
    assert "Traceback" not in rest and "Unhandled" not in rest, rest
    assert len([path for path in (tmp_path / "box").iterdir() if path.suffix == ".wav"]) == 1
