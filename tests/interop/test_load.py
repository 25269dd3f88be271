"""Load: calls and registrations with digest, none lost; kill -9 in the middle of it, nothing acknowledged lost.

``INTEROP_CALLS`` and ``INTEROP_REGISTRATIONS`` say how many (2,000 at 100/s and 10,000 by default).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import wait_for
from server import Server
from sipp import SIPp, credentials

CALLS = int(os.environ.get("INTEROP_CALLS", "2000"))
REGISTRATIONS = int(os.environ.get("INTEROP_REGISTRATIONS", "10000"))
#: Registrations a second.
RATE = 700
USERS = {f"u{number:05d}": f"secret{number}" for number in range(REGISTRATIONS)}
REGISTERING = [(user, credentials(user, password)) for user, password in USERS.items()]


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path, transports=("udp",))
    running.import_users(USERS)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def sipps() -> Iterator[list[SIPp]]:
    """Append to it what is to be stopped at the end."""
    started: list[SIPp] = []
    yield started
    for each in started:
        each.stop()


def test_calls(loaded: Server, tmp_path: Path, sipps: list[SIPp]) -> None:
    callee = SIPp(tmp_path, "callee", loaded)
    sipps.append(callee)
    register = SIPp(
        tmp_path, "register", loaded, "-key", "uas", f"127.0.0.1:{callee.port}", calls=10, rows=REGISTERING[:10]
    )  # fmt: skip
    sipps.append(register)
    assert register.finish() == (10, 0), register.why()
    rows = [
        (f"u{n % 10:05d}", f"u{(n + 1) % 10:05d}", credentials(f"u{n % 10:05d}", USERS[f"u{n % 10:05d}"]))
        for n in range(CALLS)
    ]
    caller = SIPp(tmp_path, "caller", loaded, "-d", "1000", calls=CALLS, rate=100, rows=rows, patience=90)
    sipps.append(caller)
    assert caller.finish() == (CALLS, 0), caller.why()


def test_registrations(loaded: Server, tmp_path: Path, sipps: list[SIPp]) -> None:
    sipp = SIPp(
        tmp_path, "register", loaded, "-key", "uas", "127.0.0.1:9", calls=REGISTRATIONS, rate=RATE, rows=REGISTERING
    )  # fmt: skip
    sipps.append(sipp)
    assert sipp.finish() == (REGISTRATIONS, 0), sipp.why()
    assert len(loaded.contacts()) == REGISTRATIONS


def test_kill_in_the_middle_of_registrations(loaded: Server, tmp_path: Path, sipps: list[SIPp]) -> None:
    sipp = SIPp(
        tmp_path, "register", loaded, "-key", "uas", "127.0.0.1:9", calls=REGISTRATIONS, rate=RATE, rows=REGISTERING
    )  # fmt: skip
    sipps.append(sipp)
    wait_for(lambda: len(sipp.logged()) > REGISTRATIONS // 10, sipp.why, 60)
    loaded.kill()
    sipp.stop()
    acknowledged = {found[1] for line in sipp.logged() if (found := re.search(r"(u\d+) is registered", line))}
    assert REGISTRATIONS // 10 < len(acknowledged) < REGISTRATIONS
    loaded.start()
    there = {re.sub(r"^sip:|@.*", "", row["aor"]) for row in loaded.json("contacts")}
    assert acknowledged <= there
    # At most those whose 200 was on its way are there beside them.
    assert len(there) - len(acknowledged) < RATE
