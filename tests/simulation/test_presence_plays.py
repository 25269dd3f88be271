"""Plays about presence: watchers converge, what was acknowledged is there, and in the end nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twisted_sip.presence.publication import Publications
from twisted_sip.storage.publication_sqlite import SQLitePublicationStore
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.presence_play import PresencePlay


def test_presence_play(seed: int, tmp_path: Path, failures: LoggedFailures) -> None:
    trace = bool(os.environ.get("SIMULATION_TRACE"))
    play = PresencePlay(seed, tmp_path, keep_trace=trace)
    try:
        play.run()
    finally:
        if trace:
            for time, source, destination, fate, data in play.network.trace:
                print(f"{time:9.3f} {source} > {destination} {fate}: {data.decode('utf-8', 'replace')}")
    assert not play.problems, f"{play.plot}\n" + "\n".join(play.problems)
    assert not failures.texts, f"{play.plot}\n" + "\n".join(failures.texts)


_FINGERPRINTS = """
import pathlib, sys, tempfile
from twisted_sip.testing.presence_play import PresencePlay
for seed in map(int, sys.argv[1:]):
    with tempfile.TemporaryDirectory() as directory:
        play = PresencePlay(seed, pathlib.Path(directory))
        play.run()
        print(seed, *play.fingerprint())
"""


def test_a_seed_always_plays_the_same() -> None:
    """In another process, too, and whatever the hashes of texts and objects are there."""
    prints = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        run = subprocess.run(
            [sys.executable, "-c", _FINGERPRINTS, "1", "2"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        prints.append(run.stdout)
    assert prints[0].count("\n") == 2 and prints[0] == prints[1]


@pytest.mark.parametrize("broken", ["kept", "dropped"])
def test_a_play_finds_what_is_broken(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 200 for what is not durable; publications that never expire."""
    if broken == "kept":
        monkeypatch.setattr(SQLitePublicationStore, "commit_then", lambda store, change, done: done(None))
    else:
        monkeypatch.setattr(Publications, "_look", lambda publications, name, now: None)
        monkeypatch.setattr(Publications, "drop", lambda publications, publication, then: then(None))
    for seed in range(20):
        directory = tmp_path / str(seed)
        directory.mkdir()
        play = PresencePlay(seed, directory)
        play.run()
        if play.problems:
            return
    raise AssertionError(f"nobody has noticed that what is to be {broken} is not")
