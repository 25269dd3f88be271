"""A call over UDP outlives the server: after kill -9 and a new start its BYE gets through, from either end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baresip import Baresip
from conftest import PASSWORDS
from linphone import Linphone
from server import Server


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "server", transports=("udp",))
    running.directory.mkdir()
    for name, password in PASSWORDS.items():
        running.add_user(name, password)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def phones(
    killed: Server, tmp_path: Path
) -> Iterator[Callable[[type], tuple[Baresip, Baresip] | tuple[Linphone, Linphone]]]:
    started: list[Baresip | Linphone] = []

    def start(make: type) -> tuple:  # type: ignore[type-arg]
        for user, password in PASSWORDS.items():
            phone = make(tmp_path, user, password, killed.domain, killed.uri())
            started.append(phone)
            phone.registered()
        return tuple(started)

    yield start
    for phone in started:
        phone.stop()


@pytest.mark.parametrize("ends", [0, 1])
def test_a_bye_after_a_kill(killed: Server, phones: Callable[[type], tuple[Baresip, Baresip]], ends: int) -> None:
    alice, bob = phones(Baresip)
    alice.do("dial", bob.aor)
    bob.wait("CALL_INCOMING")
    bob.do("accept")
    alice.wait("CALL_ESTABLISHED")
    bob.wait("CALL_ESTABLISHED")
    killed.kill()
    killed.start()
    one, other = ((alice, bob), (bob, alice))[ends]
    before = len(one.program.lines)
    one.do("hangup")
    other.wait("CALL_CLOSED")
    one.program.wait_for("SIP/2.0 200 OK", after=before)
    # Both are still registered, and can call again.
    here = bob.mark
    alice.do("dial", bob.aor)
    bob.wait("CALL_INCOMING", here)


def test_a_bye_to_a_gruu_after_a_kill(killed: Server, phones: Callable[[type], tuple[Linphone, Linphone]]) -> None:
    alice, bob = phones(Linphone)
    alice.do(f"call {bob.aor}")
    bob.wait("IncomingReceived")
    bob.do("answer")
    for phone in (alice, bob):
        phone.wait("StreamsRunning")
    killed.kill()
    killed.start()
    bob.do("terminate")
    for phone in (alice, bob):
        phone.wait("End")
