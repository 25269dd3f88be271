"""`twistd sip-ua --answer echo` called by baresip, directly and through the proxy: sound, keys, hold, transfer."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from answering import Echo, target
from baresip import Baresip
from conftest import PASSWORDS
from processes import wait_for
from server import Server
from sound import RATE, babble, likeness, read_wav, write_wav

from twisted_sip.media.tones import KeySource

Start = Callable[..., Baresip]


@pytest.fixture
def phone(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Start a baresip: ``phone("direct")`` has no account anywhere, ``phone("proxy")`` is alice."""
    phones: list[Baresip] = []

    def start(way: str, name: str = "", **how: Any) -> Baresip:
        direct = way == "direct"
        made = Baresip(
            tmp_path / f"{way}{len(phones)}", name or "alice", PASSWORDS[name or "alice"],
            "127.0.0.1" if direct else server.domain, "" if direct else server.uri(), register=not direct, **how,
        )  # fmt: skip
        phones.append(made)
        if not direct:
            made.registered()
        return made

    yield start
    for each in phones:
        each.stop()


def heard_by(phone: Baresip, place: int = 0) -> array[int]:
    wait_for(lambda: len(phone.heard()) > place, "nothing was recorded")
    return read_wav(phone.heard()[place])


def test_what_is_said_comes_back(phone: Start, echo: Echo, tmp_path: Path) -> None:
    """Four calls at a time: directly and through the proxy, plain and with SRTP keyed by SDES."""
    phones = {}
    for number, (way, srtp) in enumerate([("direct", ""), ("direct", "srtp"), ("proxy", ""), ("proxy", "srtp")]):
        said = babble(tmp_path / f"said{number}.wav", 3.0, seed=number)
        more = {"modules": ["srtp"], "account": ";mediaenc=srtp"} if srtp else {}
        # One user with two phones: each has a call of its own.
        phones[way, srtp] = phone(way, said=said, **more), said
    for (way, _), (one, _) in phones.items():
        one.do("dial", target(way, echo))
    for key, (one, said) in phones.items():
        one.wait("CALL_ESTABLISHED")
        # baresip hangs up at the end of its file.
        one.wait("CALL_CLOSED")
        found = likeness(read_wav(said)[: 2 * RATE], heard_by(one))
        assert found > 0.95, (key, found)
        if key[1]:
            assert one.program.text.count("a=crypto:") >= 2, one.program.text[-4000:]


def keys_wav(path: Path, keys: str) -> Path:
    source = KeySource(keys, 0.12, 0.12)
    samples = array("h", bytes(RATE))
    while piece := source.read(160):
        samples.frombytes(piece)
    samples.extend(array("h", bytes(RATE)))
    return write_wav(path, samples)


@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_keys_by_rtp_and_in_the_sound(phone: Start, echo: Echo, tmp_path: Path, way: str) -> None:
    """baresip offers telephone events in both calls; in one of them the keys are in its file."""
    mark = echo[way].mark
    by_rtp, inband = phone(way), phone(way, said=keys_wav(tmp_path / "keys.wav", "3690*D"))
    for one in (by_rtp, inband):
        one.do("dial", target(way, echo))
        one.wait("CALL_ESTABLISHED")
    for key in "12#":
        by_rtp.do("sndcode", key)
        time.sleep(0.3)
    echo[way].wait_for_keys("12#", "rtp", mark)
    echo[way].wait_for_keys("3690*D", "inband", mark)
    by_rtp.do("hangup")
    by_rtp.wait("CALL_CLOSED")


@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_hold_and_blind_transfer(phone: Start, echo: Echo, tmp_path: Path, way: str) -> None:
    said = babble(tmp_path / "said.wav", 3.0, seed=7)
    bob = phone(way, "bob", said=said, account=";answermode=auto")
    one = phone(way)
    mark = echo[way].mark
    one.do("dial", target(way, echo))
    one.wait("CALL_ESTABLISHED")
    time.sleep(0.3)
    assert one.do("hold")["ok"], one.program.text
    echo[way].wait_for(" on hold$", mark)
    one.do("resume")
    echo[way].wait_for(" off hold$", mark)
    one.do("transfer", f"sip:bob@127.0.0.1:{bob.port}" if way == "direct" else bob.aor)
    echo[way].wait_for(" is to be transferred$", mark)
    bob.wait("CALL_ESTABLISHED")
    # The phone that was transferred away goes on as an echo of whom it calls.
    bob.wait("CALL_CLOSED")
    found = likeness(read_wav(said)[: 2 * RATE], heard_by(bob))
    assert found > 0.95, found
    one.wait("CALL_CLOSED")
