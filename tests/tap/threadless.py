"""Servers on a simulated network: without threads, which would need the time of the world, and how they are stopped."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.tap.composition import Server
from twisted_sip.testing.network import Network


def without_threads(monkeypatch: pytest.MonkeyPatch, *parts: str) -> None:
    """Have the stores of a server, and of its *parts*, write at once, and leave its control socket away."""
    monkeypatch.setattr("twisted_sip.tap.composition.ControlSocket", lambda reactor, directory, commands: None)
    for module in ("stores", *parts):
        monkeypatch.setattr(f"twisted_sip.tap.{module}.WriterThread", lambda reactor, name: InlineThread())


def stop(server: Server, network: Network) -> None:
    """Stop *server* and wait until it has."""
    done: list[Any] = []
    stopping: Any = server.stopService()
    stopping.addBoth(done.append)
    for _ in range(500):
        network.advance(0.05)
        if done:
            break
    assert done == [None]
