"""examples/billing.py charges what a real queue of call records tells it, once each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_call_is_charged_once(program: Callable[..., str], free_port: int, tmp_path: Path) -> None:
    assert program("billing.py", str(free_port)) == "ready"
    call = {"id": "1", "user": "sip:alice@example.com", "callee": "sip:1@example.com", "answered": 1.0, "seconds": 90.0}
    missed = {**call, "id": "2", "answered": None, "seconds": 0.0}
    told = [{"event": "answered", **call}, {"event": "ended", **call}, {"event": "ended", **missed}]
    for _ in range(2):
        request = Request(f"http://127.0.0.1:{free_port}/", json.dumps(told).encode(), method="POST")
        with urlopen(request, timeout=30) as answer:
            assert answer.status == 200
    with sqlite3.connect(tmp_path / "charges.db") as database:
        assert database.execute("SELECT id, user, amount FROM charge").fetchall() == [("1", call["user"], 0.03)]


def test_it_takes_thirty_lines() -> None:
    text = (EXAMPLES / "billing.py").read_text("utf-8")
    assert len([line for line in text.partition('"""\n\n')[2].splitlines() if line.strip()]) <= 30
