"""Plays written by seeds: one outcome for each request, both ends agree, nothing promised is lost, nothing is left."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twisted_sip.interfaces.location import LocationChange
from twisted_sip.proxy.response_context import ResponseContext
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.play import Play

#: Looking through all objects of the process takes a while.
_LOOK_EVERY = 10


def test_play(seed: int, tmp_path: Path, failures: LoggedFailures) -> None:
    trace = bool(os.environ.get("SIMULATION_TRACE"))
    play = Play(seed, tmp_path, keep_trace=trace)
    try:
        play.run()
    finally:
        if trace:
            for line in play.ladder():
                print(line)
    if seed % _LOOK_EVERY == 0:
        gc.collect()
        # What a process held that has crashed is nobody's concern.
        alive = {id(server.proxy) for server in play.servers}
        contexts = [kept for kept in gc.get_objects() if type(kept) is ResponseContext and id(kept.service) in alive]
        play.problems += [f"kept: {context!r}" for context in contexts]
    assert not play.problems, f"{play.plot}\n" + "\n".join(play.problems)
    assert not failures.texts, f"{play.plot}\n" + "\n".join(failures.texts)


_FINGERPRINTS = """
import pathlib, sys, tempfile
from twisted_sip.testing.play import Play
for seed in map(int, sys.argv[1:]):
    with tempfile.TemporaryDirectory() as directory:
        play = Play(seed, pathlib.Path(directory))
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


def test_seeds_differ(tmp_path: Path) -> None:
    prints = set()
    for seed in (1, 2, 3):
        directory = tmp_path / str(seed)
        directory.mkdir()
        play = Play(seed, directory)
        play.run()
        prints.add(play.fingerprint())
    assert len(prints) == 3


def test_plays_see_everything_that_they_are_meant_to_see(tmp_path: Path) -> None:
    """The first seeds together hold calls that are answered, refused, cancelled, forked, cut short, and crashes."""
    seen: set[str] = set()
    for seed in range(12):
        directory = tmp_path / str(seed)
        directory.mkdir()
        play = Play(seed, directory)
        play.run()
        if play.unlucky.starts > 1:
            seen.add("restart")
        if not play.plot.calm:
            seen.add("loss")
        for phone in play.phones:
            seen.add("NAT" if phone.node.nat is not None else "public")
            seen.add(phone.transport)
            seen.update(sent.method for sent in phone.sent)
            for call in phone.calls:
                seen.add(f"caller {call.status}")
                if len(call.dialogs) > 1:
                    seen.add("two answers")
            for leg in phone.incoming:
                seen.add(f"callee {leg.status} {leg.dialog.ended if leg.dialog else ''}".strip())
    for wanted in (
        "restart",
        "loss",
        "NAT",
        "public",
        "udp",
        "tcp",
        "two answers",
        "MESSAGE",
        "OPTIONS",
        "BYE",
        *(f"caller {status}" for status in (200, 480, 486, 487, 603)),
        "callee 487",
        "callee 200 bye received",
        "callee 200 bye sent",
    ):
        assert wanted in seen, f"{wanted} is not among {sorted(seen)}"


@pytest.mark.parametrize("broken", ["timers", "finals", "losers", "acknowledged"])
def test_a_play_finds_what_is_broken(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions that stay, a client that hears twice, losers that ring on, a 200 for what is not durable."""
    from twisted_sip.storage.location_sqlite import SQLiteLocationStore
    from twisted_sip.transaction.client_non_invite import NonInviteClient
    from twisted_sip.transaction.lingering import Lingering

    if broken == "timers":
        monkeypatch.setattr(Lingering, "_end", lambda line: None)
    elif broken == "finals":
        receive = NonInviteClient.receive

        def twice(transaction: NonInviteClient, response: object) -> None:
            user = transaction.user
            receive(transaction, response)  # type: ignore[arg-type]
            user.response_received(transaction, response)  # type: ignore[arg-type]

        monkeypatch.setattr(NonInviteClient, "receive", twice)
    elif broken == "losers":
        monkeypatch.setattr(ResponseContext, "_give_up", lambda context, headers: None)
    else:
        commit_then = SQLiteLocationStore.commit_then

        def at_once(store: SQLiteLocationStore, change: LocationChange, done: Callable[[None], None]) -> None:
            commit_then(store, change, lambda failure: None)
            done(None)

        monkeypatch.setattr(SQLiteLocationStore, "commit_then", at_once)
    found: list[str] = []
    for seed in range(80):
        directory = tmp_path / str(seed)
        directory.mkdir()
        play = Play(seed, directory)
        # Only where it can be seen.
        if broken == "acknowledged" and not (play.plot.sqlite and play.plot.crashes):
            continue
        if broken == "losers" and not play.plot.calm:
            continue
        play.run()
        found += play.problems
        if found:
            return
    raise AssertionError(f"nobody has noticed that {broken} are broken")
