"""Peers that hold connections by doing next to nothing: each kind of slowness has its limit, over TCP and TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .trickling import LONG, MESSAGE, Stage, client_hello

TRANSPORTS = pytest.mark.parametrize("kind", ["tcp", "tls"])


@pytest.fixture
def stage(recorder: Any, tmp_path: Path) -> Stage:
    return Stage(recorder, tmp_path)


@TRANSPORTS
def test_silence(stage: Stage, kind: str) -> None:
    peer = stage.connect(kind)
    stage.network.advance(stage.settings.first_message_timeout - 2)
    assert peer.closed_at is None
    stage.network.advance(10)
    assert peer.closed_at is not None and stage.leftovers() == {}


@TRANSPORTS
def test_a_head_in_bytes(stage: Stage, kind: str) -> None:
    peer = stage.connect(kind)
    peer.trickle(MESSAGE * 9, 1.0)
    stage.network.advance(stage.settings.message_timeout + 10)
    assert peer.closed_at is not None and stage.recorder.requests == []
    assert stage.leftovers() == {}


@TRANSPORTS
def test_a_head_in_bytes_after_a_message(stage: Stage, kind: str) -> None:
    """The connection has earned its place; its next message has to come in time all the same."""
    peer = stage.connect(kind)
    peer.say(MESSAGE)
    stage.network.advance(100)
    peer.trickle(MESSAGE, 1.0)
    stage.network.advance(stage.settings.message_timeout + 10)
    assert peer.closed_at is not None and len(stage.recorder.requests) == 1
    assert stage.leftovers() == {}


@TRANSPORTS
def test_a_body_in_bytes(stage: Stage, kind: str) -> None:
    peer = stage.connect(kind)
    peer.say(MESSAGE + LONG)
    peer.trickle(b"x" * 5000, 0.1)
    stage.network.advance(stage.settings.message_timeout + 10)
    assert peer.closed_at is not None and len(stage.recorder.requests) == 1
    assert stage.leftovers() == {}


@TRANSPORTS
@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n", b"\r", b"\n"])
def test_nothing_but_keep_alives(stage: Stage, kind: str, data: bytes) -> None:
    """Who has sent no message has nothing to keep alive."""
    peer = stage.connect(kind)
    peer.repeat(data, 5.0)
    stage.network.advance(stage.settings.first_message_timeout + 10)
    assert peer.closed_at is not None
    stage.network.advance(10)
    assert stage.leftovers() == {}


@TRANSPORTS
def test_idle_after_a_message(stage: Stage, kind: str) -> None:
    peer = stage.connect(kind)
    peer.say(MESSAGE)
    stage.network.advance(stage.settings.idle_timeout - 10)
    assert peer.closed_at is None
    stage.network.advance(30)
    assert peer.closed_at is not None and stage.leftovers() == {}


@TRANSPORTS
def test_who_keeps_alive_in_earnest_stays(stage: Stage, kind: str) -> None:
    peer = stage.connect(kind)
    peer.say(MESSAGE)
    peer.repeat(b"\r\n\r\n", 100.0)
    stage.network.advance(2 * stage.settings.idle_timeout)
    assert peer.closed_at is None and peer.heard.count(b"\r\n") >= 70


def test_no_handshake_at_all(stage: Stage) -> None:
    peer = stage.connect("tls", raw=True)
    stage.network.advance(stage.settings.handshake_timeout - 2)
    assert peer.closed_at is None
    stage.network.advance(5)
    assert peer.closed_at is not None and stage.leftovers() == {}


@pytest.mark.parametrize("whole", [True, False])
def test_half_a_handshake(stage: Stage, whole: bool) -> None:
    """The first flight comes and nothing after it, or it comes byte by byte."""
    peer = stage.connect("tls", raw=True)
    if whole:
        peer.say(client_hello())
    else:
        peer.trickle(client_hello(), 0.2)
    stage.network.advance(stage.settings.handshake_timeout + 5)
    assert peer.closed_at is not None and stage.leftovers() == {}
    assert bool(peer.heard) == whole


def test_bytes_that_are_no_handshake(stage: Stage) -> None:
    peer = stage.connect("tls", raw=True)
    peer.say(MESSAGE)
    stage.network.advance(5)
    assert peer.closed_at is not None and stage.leftovers() == {} and stage.recorder.requests == []


@TRANSPORTS
@pytest.mark.parametrize("raw", [True, False])
def test_many_of_one_source_leave_room_for_others(recorder: Any, tmp_path: Path, kind: str, raw: bool) -> None:
    stage = Stage(recorder, tmp_path, connections_per_source=8, connections=20)
    lorises = [stage.connect(kind, raw=raw) for _ in range(12)]
    refused = [peer for peer in lorises if peer.closed_at is not None]
    assert len(refused) == 4 and stage.layer.connections.inbound == 8
    other = stage.connect(kind, "192.0.2.77")
    other.say(MESSAGE)
    stage.network.advance(1)
    assert len(recorder.requests) == 1
    stage.network.advance(60)
    assert all(peer.closed_at is not None for peer in lorises) and other.closed_at is None
    assert stage.leftovers() == {
        "connections": 1,
        "inbound": 1,
        "sources": 1,
        "protocols": 1,
        "timers": 1,
        "streams": 1,
    }


@TRANSPORTS
def test_who_never_reads(recorder: Any, tmp_path: Path, kind: str) -> None:
    """Answers wait for it, and only so long."""
    stage = Stage(recorder, tmp_path)
    peer = stage.connect(kind)
    peer.say(MESSAGE)
    stage.network.advance(1)
    flow = stage.recorder.requests[0].flow
    transport: Any = peer.transport
    transport.pauseProducing()
    for _ in range(40):
        if flow.open:
            flow.write(b"x" * 16384)
    stage.network.advance(stage.settings.write_timeout + stage.settings.close_timeout + 5)
    assert not flow.open and len(stage.layer.connections) == 0
