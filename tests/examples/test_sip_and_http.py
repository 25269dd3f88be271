"""examples/sip_and_http.py: a SIP server and a web server in one reactor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen


def test_the_web_server_shows_who_registered(
    program: Callable[..., str], free_port: int, peer: Callable[[int], Any], tmp_path: Path
) -> None:
    config = tmp_path / "sip.toml"
    config.write_text(
        f'[server]\ndomains = ["example.com"]\nlisten = ["udp:{free_port}:interface=127.0.0.1"]\n'
        'state_dir = "state"\n[auth]\nrequired = false\n'
    )
    url = program("sip_and_http.py", "--config", str(config), "--http", "0")
    with urlopen(url, timeout=30) as answer:
        assert json.load(answer) == []
    phone = peer(free_port)
    assert phone.register("alice", "example.com") == "SIP/2.0 200 OK"
    with urlopen(url, timeout=30) as answer:
        assert answer.headers["content-type"] == "application/json"
        contact = f"sip:alice@127.0.0.1:{phone.port}"
        assert json.load(answer) == [{"user": "sip:alice@example.com", "contact": contact}]
