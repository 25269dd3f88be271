"""Plays of calls between user agents: both ends agree, what was promised comes about, in the end nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_core import CallCore
from twisted_sip.agent.descriptions import Descriptions
from twisted_sip.agent.leg import Leg
from twisted_sip.agent.renegotiation import Renegotiation
from twisted_sip.dialog import session_server
from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.testing.call_play import CallPlay
from twisted_sip.testing.observation import LoggedFailures


def test_call_play(seed: int, failures: LoggedFailures) -> None:
    trace = bool(os.environ.get("SIMULATION_TRACE"))
    play = CallPlay(seed, keep_trace=trace)
    try:
        play.run()
    finally:
        if trace:
            for line in play.ladder():
                print(line)
    assert not play.problems, f"{play.plot}\n" + "\n".join(play.problems)
    assert not failures.texts, f"{play.plot}\n" + "\n".join(failures.texts)


_FINGERPRINTS = """
import sys
from twisted_sip.testing.call_play import CallPlay
for seed in map(int, sys.argv[1:]):
    play = CallPlay(seed)
    play.run()
    print(seed, *play.fingerprint())
"""


def test_a_seed_always_plays_the_same() -> None:
    """In another process, too, and whatever the hashes of texts and objects are there."""
    seeds = [str(seed) for seed in range(6)]
    prints = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        run = subprocess.run(
            [sys.executable, "-c", _FINGERPRINTS, *seeds], env=environment, capture_output=True, text=True, check=True
        )
        prints.append(run.stdout)
    assert prints[0].count("\n") == len(seeds)
    assert prints[0] == prints[1]


def test_plays_see_everything_that_they_are_meant_to_see(failures: LoggedFailures) -> None:
    """The first seeds together hold all that happens to calls, and some that go on to the end."""
    seen: dict[str, int] = {}
    for seed in range(80):
        play = CallPlay(seed)
        play.run()
        for what, count in play.statuses.items():
            seen[what] = seen.get(what, 0) + count
        seen[play.plot.middle or "nothing between"] = 1
        seen["calm" if play.plot.calm else "rough"] = 1
    wanted = {
        "proxy", "b2bua", "nothing between", "calm", "rough", "dies", "established at the end",
        "call", "ring", "answer", "reject", "redirect", "cancel", "hangup",
        "hold", "resume", "change", "change-late", "update", "info", "transfer", "attended", "refuse",
        "both: hang_up and hang_up", "both: hold and update", "both: change and update",
        "bye 0", "cancel 487", "elsewhere 487", "refused 302", "refused 486", "refused 603", "timeout 487",
        "hold 488", "hold LocalProtocolError",
    }  # fmt: skip
    assert {what for what in wanted if not seen.get(what)} == set()


def _noticed(seeds: int) -> str:
    """Return what the first play says that notices that something is broken."""
    with LoggedFailures() as failures:
        for seed in range(seeds):
            play = CallPlay(seed)
            play.run()
            if play.problems or failures.texts:
                return "\n".join([*play.problems, *failures.texts])
    raise AssertionError("nobody has noticed anything")


def _never(*arguments: Any) -> None:
    return None


def test_a_play_finds_a_dialog_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dialogs, "end_usage", _never)
    assert "left over" in _noticed(10)


def test_a_play_finds_ports_that_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Descriptions, "close", _never)
    assert "ports of media" in _noticed(10)


def test_a_play_finds_promises_that_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Renegotiation, "close", _never)
    assert "nothing was heard of" in _noticed(40)


def test_a_play_finds_calls_that_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A BYE that is answered, and changes nothing."""
    monkeypatch.setitem(session_server._SERVE, "BYE", lambda server, incoming: server.respond(incoming, 200))
    assert "is alone in" in _noticed(150)


def test_a_play_finds_media_that_do_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """An offer that was refused, or has met with another one, stays open."""
    monkeypatch.setattr(Leg, "rolled_back", _never)
    assert "an offer is wanted, and one waits" in _noticed(150)


def test_a_play_finds_holds_that_nobody_undoes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(call: CallCore, remote: Any) -> None:
        call.negotiated = True

    monkeypatch.setattr(Call, "media_agreed", broken)
    assert "is held" in _noticed(150)
