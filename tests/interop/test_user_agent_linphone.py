"""`twistd sip-ua --answer echo` called by linphonec: sound, SRTP, keys by INFO, hold, both kinds of transfer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from answering import Echo, target
from conftest import PASSWORDS
from linphonec import LinphoneConsole
from processes import wait_for
from server import Server
from sound import RATE, babble, likeness, read_wav
from user_agent import AnsweringPhone

Start = Callable[..., LinphoneConsole]


@pytest.fixture
def console(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Start a linphonec that is registered: ``console("alice")``."""
    phones: list[LinphoneConsole] = []

    def start(user: str, **how: Any) -> LinphoneConsole:
        made = LinphoneConsole(tmp_path, user, PASSWORDS[user], server.domain, server.uri(), **how)
        phones.append(made)
        made.registered()
        return made

    yield start
    for each in phones:
        each.stop()


def call(phone: LinphoneConsole, uri: str) -> None:
    mark = len(phone.program.lines)
    phone.program.write(f"call {uri}\n")
    phone.program.wait_for(r"Media streams established", after=mark)


def tell(phone: LinphoneConsole, command: str, done: Callable[[], object]) -> None:
    """Give *command* until it is *done*: the console does nothing while it has a request under way."""
    for _ in range(10):
        phone.program.write(command + "\n")
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if done():
                return
            time.sleep(0.05)
    raise AssertionError(f"{command}: {phone.text}")


def logged(phone: AnsweringPhone, pattern: str, after: int) -> Callable[[], object]:
    """Return what tells whether *phone* has logged *pattern*."""
    return lambda: re.search(pattern, "\n".join(phone.program.lines[after:]), re.MULTILINE)


def compared(said: Path, heard: Path) -> float:
    """Return how like they are from the second second on: linphone moves its buffer when a call begins."""
    return likeness(read_wav(said)[RATE : 5 * RATE // 2], read_wav(heard))


def test_what_is_said_comes_back(console: Start, echo: Echo, tmp_path: Path) -> None:
    ways = [("direct", {}), ("proxy", {"media_encryption=none": "media_encryption=srtp"})]
    phones = []
    for user, (way, changes) in zip(("alice", "bob"), ways, strict=True):
        phone = console(user, changes=changes)
        said, heard = babble(tmp_path / f"{user}.wav", 3.5, seed=len(user)), tmp_path / f"{user}-heard.wav"
        phone.sound(said, heard)
        phones.append((phone, said, heard))
        mark = echo[way].mark
        call(phone, target(way, echo))
        echo[way].wait_for(" answered", mark)
    time.sleep(4)
    for phone, said, heard in phones:
        mark = len(phone.program.lines)
        phone.program.write("terminate\n")
        phone.program.wait_for("ended", after=mark)
        wait_for(
            lambda said=said, heard=heard: compared(said, heard) > 0.95, f"{phone.user}: {compared(said, heard)}", 3
        )
    assert "a=crypto:" in phones[1][0].log.read_text(errors="replace")


def test_keys_by_info_hold_and_blind_transfer(console: Start, echo: Echo) -> None:
    alice, bob = console("alice", changes={"use_info=0": "use_info=1"}), console("bob")
    line = echo["proxy"]
    mark = line.mark
    call(alice, target("proxy", echo))
    for key in "59#":
        alice.program.write(f"{key}\n")
        time.sleep(0.2)
    line.wait_for_keys("59#", "info", mark)
    # It would try to hold the call while its INFO is under way, and give up.
    alice.wait_for_status("INFO", 200, 3)
    tell(alice, "pause", logged(line, " on hold$", mark))
    tell(alice, "resume", logged(line, " off hold$", mark))
    tell(alice, "transfer sip:bob@sip.test", logged(line, " goes on to sip:bob@sip.test", mark))
    bob.program.wait_for("Receiving new incoming call from sip:echo")
    bob.program.write("answer\n")
    alice.program.wait_for("ended")


def test_attended_transfer(console: Start, echo: Echo, tmp_path: Path) -> None:
    """Alice calls the echo and then bob, and has them talk to each other: REFER with Replaces."""
    alice, bob = console("alice"), console("bob")
    said, heard = babble(tmp_path / "bob.wav", 6.0, seed=5), tmp_path / "heard.wav"
    bob.sound(said, heard)
    line = echo["proxy"]
    mark = line.mark
    call(alice, target("proxy", echo))
    tell(alice, "pause", logged(line, " on hold$", mark))
    alice.program.write(f"call {bob.aor}\n")
    bob.program.wait_for("Receiving new incoming call")
    bob.program.write("answer\n")
    alice.program.wait_for(r"Call 2 .* connected")
    tell(alice, "transfer 1 --to-call 2", logged(line, " goes on to ", mark))
    line.wait_for(" answered$", mark)
    bob.program.wait_for(r"Call 1 .* ended")
    time.sleep(3.5)
    bob.program.write("terminate\n")
    wait_for(lambda: likeness(read_wav(said)[RATE : 2 * RATE], read_wav(heard)) > 0.9, bob.program.text[-3000:], 5)
