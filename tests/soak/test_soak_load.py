"""A short soak: a real server, phones that call, register, publish and write, processes that are killed.

``SOAK_SECONDS`` says for how long (a minute by default, at a low rate: it shares the machine with other tests),
``SOAK_RATE`` how much there is to do per second. Memory is judged where bounded caches are full well before the end;
``make soak-load`` is the hour at 30 % of a core.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
RATE = float(os.environ.get("SOAK_RATE", "8"))
ROOT = Path(__file__).parents[2]
#: Seconds to start, and for the last deadline to pass.
_BESIDES = 420.0


def test_nothing_is_left_behind() -> None:
    command = [sys.executable, "benchmarks/soak.py", "--json", "--processes", "3", "--sample", "5"]
    command += ["--duration", str(SECONDS), "--rate", str(RATE), "--deaths", str(max(8.0, SECONDS / 20))]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS + _BESIDES, check=False
    )  # fmt: skip
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert not report["faults"], done.stderr + done.stdout
    assert done.returncode == 0
    assert report["seconds until all tables were at their base line"] is not None
    did = report["done"]
    for what in ("registered", "call", "published", "subscribed", "notified", "message", "message received"):
        assert did.get(what), (what, did)
    assert report["processes killed"] >= 2
