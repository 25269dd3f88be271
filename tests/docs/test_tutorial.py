"""The tutorial, with phones that are commands."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "first-call.md"


def commands() -> list[str]:
    """Return the commands of the page in order."""
    return re.findall(r"^\$ (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)


def call(server: str, uri: str) -> None:
    """Call *uri*, which nobody answers, and wait for the outcome."""
    host, _, port = server.partition(":")
    with socket.socket(type=socket.SOCK_DGRAM) as phone:
        phone.settimeout(60)
        phone.connect((host, int(port)))
        here = f"{host}:{phone.getsockname()[1]}"
        phone.send(
            f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKcall\r\nMax-Forwards: 70\r\n"
            f"From: <sip:carol@elsewhere.example>;tag=1\r\nTo: <{uri}>\r\nCall-ID: a-call\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:carol@{here}>\r\nContent-Length: 0\r\n\r\n".encode()
        )
        while phone.recv(65535).startswith(b"SIP/2.0 1"):
            pass


def test_the_tutorial_leads_to_a_call(
    tmp_path: Path, start: Callable[..., Any], environment: dict[str, str], usual_ports: Any
) -> None:
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / ".venv" / "installed").touch()

    assert commands() == [
        "make run",
        ". .venv/bin/activate",
        "twisted-sip contacts",
        "twisted-sip trace --last --method INVITE",
    ]
    options = usual_ports.listening("sip-proxy").removeprefix("sip-proxy ")
    server = start("make run", tmp_path, RUN_OPTIONS=f"{options} --domain example.com")
    assert server.until(lambda output: "Then call sip:bob@example.com" in output), server.output
    passwords = dict(re.findall(r"user +(\w+)\n +password +(\S+)\n", server.output))
    assert set(passwords) == {"alice", "bob"}

    proxy = usual_ports.changed("127.0.0.1:5060")

    def run(command: str, typed: str = "") -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, input=typed, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for user, password in passwords.items():
        registered = run(
            f"twisted-sip register {user}@example.com --contact sip:{user}@127.0.0.1:9"
            f" --password-stdin --proxy {proxy}",
            password + "\n",
        )
        assert "200 OK" in registered
    listed = run(" && ".join(commands()[1:3]))
    assert "alice@example.com" in listed
    assert "bob@example.com" in listed
    call(proxy, "sip:bob@example.com")
    ladder = run(" && ".join(commands()[1:2] + commands()[3:]))
    assert "INVITE sip:bob@example.com" in ladder
    assert re.search(r"├─+ INVITE 1 ─+▶│", ladder)
