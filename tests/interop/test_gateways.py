"""A group of three gateways: weights, one that dies in the middle of the load, and its return."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import free_port, wait_for
from server import Server
from sipp import SIPp, credentials

CALLS = int(os.environ.get("INTEROP_GATEWAY_CALLS", "400"))
PASSWORD = "secret"

CONFIGURATION = """
[[route]]
user = "0*"
add_prefix = "+49"
strip = 1
to = "gateway:trunk"

[gateways]
probe_interval = 2
probe_again = 1
probe_timeout = 1
"""


class Trunk:
    """A server and three gateways with the weights 2, 1 and 1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = [free_port() for _ in range(3)]
        entries = [
            f'[[gateway]]\ngroup = "trunk"\nname = "{name}"\nuri = "sip:127.0.0.1:{port}"\nweight = {weight}\n'
            for name, port, weight in zip("abc", self.ports, (2, 1, 1), strict=True)
        ]
        (directory / "sip.toml").write_text(CONFIGURATION + "\n".join(entries))
        self.server = Server(directory, "--config", "sip.toml", transports=("udp",))
        self.server.add_user("u", PASSWORD)
        self.gateways = [SIPp(directory, "gateway", self.server, port=port) for port in self.ports]
        self.started = [*self.gateways]
        self.server.start()

    def states(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.server.json("gateways")}

    def caller(self, calls: int, rate: int, pause: int) -> SIPp:
        rows = [("u", f"0{30_000 + number}", credentials("u", PASSWORD)) for number in range(calls)]
        made = SIPp(
            self.directory, "caller", self.server, "-d", str(pause), calls=calls, rate=rate, rows=rows, patience=120
        )
        self.started.append(made)
        return made

    def again(self, place: int) -> SIPp:
        made = self.gateways[place] = SIPp(self.directory, "gateway", self.server, port=self.ports[place])
        self.started.append(made)
        return made


@pytest.fixture
def trunk(tmp_path: Path) -> Iterator[Trunk]:
    made = Trunk(tmp_path)
    yield made
    for each in made.started:
        each.stop()
    made.server.stop()


def calls_of(sipp: SIPp, what: str) -> set[str]:
    """Return the Call-IDs of which *sipp* has logged *what*."""
    return {line.partition(" ")[2].strip() for line in sipp.logged() if line.startswith(what)}


def test_weights_death_and_return(trunk: Trunk) -> None:
    wait_for(
        lambda: all(row["round_trip"] is not None for row in trunk.states().values()), lambda: str(trunk.states()), 30
    )
    first = trunk.caller(CALLS, 80, 200)
    assert first.finish() == (CALLS, 0), first.why()
    shares = [len(calls_of(each, "begin")) for each in trunk.gateways]
    assert sum(shares) == CALLS
    # Four standard deviations.
    assert shares[0] == pytest.approx(CALLS / 2, abs=2 * CALLS**0.5)
    assert shares[1] == pytest.approx(CALLS / 4, abs=2 * CALLS**0.5)

    second = trunk.caller(CALLS, 40, 1000)
    dying = trunk.gateways[0]
    wait_for(lambda: len(calls_of(dying, "begin")) > shares[0] + CALLS // 8, second.why, 60)
    dying.program.signal(signal.SIGKILL)
    in_its_hands = calls_of(dying, "begin") - calls_of(dying, "end")
    wait_for(lambda: trunk.states()["a"]["state"] == "down", lambda: str(trunk.states()), 30)
    second.program.finish(130)
    good = calls_of(second, "done")
    # What has failed was on the gateway that died: nobody else could end those calls.
    failed = CALLS - len(good)
    assert failed <= len(in_its_hands) < CALLS // 4, second.why()
    on_others = calls_of(trunk.gateways[1], "begin") | calls_of(trunk.gateways[2], "begin")
    assert len(good - on_others - calls_of(dying, "end")) == 0

    revived = trunk.again(0)
    wait_for(lambda: trunk.states()["a"]["state"] == "up", lambda: str(trunk.states()), 30)
    third = trunk.caller(CALLS // 4, 40, 200)
    assert third.finish() == (CALLS // 4, 0), third.why()
    assert len(calls_of(revived, "begin")) == pytest.approx(CALLS / 8, abs=2 * (CALLS / 4) ** 0.5)

    done = trunk.server.command("gateways", "disable", "b")
    assert done.returncode == 0, done
    before = len(calls_of(trunk.gateways[1], "begin"))
    last = trunk.caller(20, 20, 100)
    assert last.finish() == (20, 0), last.why()
    assert len(calls_of(trunk.gateways[1], "begin")) == before
    assert "off" in trunk.server.command("gateways").stdout
