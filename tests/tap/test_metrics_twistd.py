"""Metrics of commands as they are run, over HTTP."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from twisted_sip.console.metric_table import BY_COUNT, TRANSACTIONS

from .test_twistd import HERE, Running, refused


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("plugin", ["sip-proxy", "sip-presence", "sip-b2bua"])
def test_a_server_is_scraped(tmp_path: Path, plugin: str) -> None:
    port = free_port()
    (tmp_path / "sip.toml").write_text(f'[metrics]\nenabled = true\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n')
    xcap = ["--xcap", "off"] if plugin == "sip-presence" else []
    running = Running(tmp_path, plugin, "--config", "sip.toml", "--listen", HERE, *xcap, until="listening over udp")
    try:
        assert running.command("options", f"sip:127.0.0.1:{running.port('udp')}").returncode == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            text = answer.read().decode()
        counts = json.loads(running.command("status", "--json").stdout)["counts"]
    finally:
        running.stop()
    assert re.search(
        r'^twisted_sip_requests_total\{direction="in",method="OPTIONS",transport="udp"\} 1.0$', text, re.MULTILINE
    )
    # Every number of the status page is among them.
    for name in counts:
        if not name.startswith(TRANSACTIONS):
            assert re.search(rf"^{BY_COUNT[name].full_name} \d", text, re.MULTILINE), name


def test_calls_are_counted(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "sip.toml").write_text(f'[metrics]\nenabled = true\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n')
    options = ["--config", "sip.toml", "--listen", HERE, "--no-auth", "--domain", "example.com"]
    running = Running(tmp_path, "sip-proxy", *options, until="listening over udp")
    try:
        proxy = f"sip:127.0.0.1:{running.port('udp')}"
        done = running.command("call", "sip:nobody@example.com", "--user", "a@example.com", "--proxy", proxy)
        assert done.returncode == 1, done
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
    finally:
        running.stop()
    assert re.search(r'^twisted_sip_calls_ended_total\{result="failed"\} 1.0$', text, re.MULTILINE), text


def test_what_cannot_be_served_is_told(tmp_path: Path) -> None:
    (tmp_path / "sip.toml").write_text(
        '[metrics]\nenabled = true\nlisten = ["udp:9464"]\n[hep]\nserver = "homer"\n[log]\nburst = -1\n'
    )
    lines = refused(tmp_path, "sip-proxy", "--config", "sip.toml")
    assert [line.split(": ")[1] for line in lines] == ["log.burst", "metrics.listen[0]", "hep.server"]
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        where = f"tcp:{port}:interface=127.0.0.1"
        (tmp_path / "sip.toml").write_text(f'[metrics]\nenabled = true\nlisten = ["{where}"]\n')
        (line,) = refused(tmp_path, "sip-proxy", "--config", "sip.toml", "--listen", HERE)
    assert line == f"metrics.listen: {where}: cannot listen (address already in use), choose another port"
