"""What a user agent does with calls: echo, announcement, refusal, transfers; and its answering machine."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import DTMF
from twisted_sip.documents.message_summary import Counts
from twisted_sip.interfaces.media import MediaStatistics
from twisted_sip.media.tones import Cadence, KeySource, ToneSource
from twisted_sip.tap.answering import Answer, Echo, Player, Refuser
from twisted_sip.tap.answering_machine import AnsweringMachine
from twisted_sip.tap.mailboxes import Mailbox, safe_name
from twisted_sip.tap.ua_sections import VoicemailSection
from twisted_sip.tap.voice_prompts import Prompt

from .ua_stage import Stage, kept

Make = Callable[..., Stage]


@pytest.fixture
def stage() -> Iterator[Make]:
    """Make a stage; nothing may be left of it."""
    made: list[Stage] = []

    def make(answer: Answer, **how: Any) -> Stage:
        made.append(Stage(answer, **how))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def keys_of(call: Call) -> str:
    return "".join(event.digit for event in call.log.kept() if isinstance(event, DTMF))


def speech(seconds: float) -> ToneSource:
    """Return something that is no key and no silence."""
    return ToneSource(Cadence(((0.2, (300.0, 500.0, 1900.0)), (0.1, ())), round(seconds / 0.3)))


def wav(path: Path, source: Any) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        while piece := source.read(160):
            file.writeframes(piece)
    return path


def seconds_of(path: Path) -> float:
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


def test_echo(stage: Make) -> None:
    here = stage(Echo())
    call = here.call()
    assert call.established
    call.send_dtmf("5", "inband")
    here.until(lambda: keys_of(call) == "5", 3)


def test_a_call_is_ended_after_the_longest_time(stage: Make) -> None:
    here = stage(Echo(), longest=5.0)
    call = here.call()
    here.run(4)
    assert call.established
    here.run(2)
    assert call.over and call.ending is not None and call.ending.by == "remote"


def test_ringing_before_the_answer(stage: Make) -> None:
    here = stage(Echo(), ring=3.0)
    call = here.call()
    assert call.state.value == "ringing"
    here.run(3)
    assert call.established


def test_who_gives_up_while_it_rings(stage: Make) -> None:
    here = stage(Echo(), ring=3.0)
    call = here.call()
    call.hangup()
    here.run(5)
    assert not here.answering.calls


def test_an_announcement(stage: Make, tmp_path: Path) -> None:
    here = stage(Player(wav(tmp_path / "hello.wav", KeySource("42"))))
    call = here.call()
    here.until(lambda: call.over, 5)
    assert keys_of(call) == "42"
    assert call.ending is not None and call.ending.by == "remote"


def test_an_announcement_without_end(stage: Make, tmp_path: Path) -> None:
    here = stage(Player(wav(tmp_path / "hello.wav", KeySource("7")), repeat=True))
    call = here.call()
    here.until(lambda: len(keys_of(call)) > 3, 5)


def test_an_announcement_that_is_gone_or_broken(stage: Make, tmp_path: Path) -> None:
    """Callers are refused before they ring, or hung up on where it breaks meanwhile; one line of the log for each."""
    from twisted.logger import globalLogPublisher

    seen: list[Any] = []
    globalLogPublisher.addObserver(seen.append)
    try:
        path = wav(tmp_path / "hello.wav", KeySource("42"))
        here = stage(Player(path), ring=2.0)
        call = here.call()
        path.write_bytes(b"no sound")
        here.run(4)
        refused = here.call()
    finally:
        globalLogPublisher.removeObserver(seen.append)
    assert call.ending is not None and call.ending.by == "remote" and call.ending.cause == "bye"
    assert refused.over and refused.ending is not None and refused.ending.status == 480
    assert not any(event.get("log_failure") for event in seen)
    lines = [event["log_format"].format(**event) for event in seen if event["log_level"].name == "warn"]
    assert len(lines) == 2 and all(f"{path} cannot be played: not a WAV file" in line for line in lines), lines


def test_keys_do_not_fill_the_log(stage: Make) -> None:
    from twisted.logger import globalLogPublisher

    here = stage(Echo())
    call = here.call()
    [ours] = here.answering.calls
    seen: list[str] = []

    def keep(event: Any) -> None:
        if event.get("log_namespace") == "twisted_sip.tap.ua_agent":
            seen.append(event["log_format"])

    globalLogPublisher.addObserver(keep)
    try:
        for _ in range(300):
            here.answering.lines.call_event(ours, DTMF(digit="1", how="rtp"))
    finally:
        globalLogPublisher.removeObserver(keep)
    assert len(seen) == 101 and "further ones are not logged" in seen[-1]
    call.hangup()


def test_packets_of_strangers_are_counted(stage: Make) -> None:
    here = stage(Echo())
    call = here.call()
    [ours] = here.answering.calls
    ours.media.statistics = lambda: MediaStatistics(packets_refused=3)
    call.hangup()
    here.run(1)
    assert here.answering.lines.packets_refused == 3


def test_refusal(stage: Make) -> None:
    here = stage(Refuser(603))
    call = here.call()
    assert call.over and call.ending is not None and call.ending.status == 603


# -- the answering machine -----------------------------------------------------------------------


def machine(directory: Path, changed: Any = None, **section: Any) -> AnsweringMachine:
    return AnsweringMachine(Mailbox(directory, lambda: 1_782_907_200.0, changed), VoicemailSection(**section))


def test_a_message(stage: Make, tmp_path: Path) -> None:
    changes: list[int] = []
    greeting = Prompt("keys:1")
    here = stage(machine(tmp_path / "box", lambda: changes.append(1), greeting=greeting, goodbye=Prompt("keys:9")))
    call = here.call()
    here.until(lambda: keys_of(call) == "1", 3)
    here.run(1.0)  # the beep
    call.play(speech(3.0))
    here.run(3.2)
    assert kept(tmp_path / "box") == []
    call.send_dtmf("#")
    here.until(lambda: call.over, 5)
    assert keys_of(call) == "19"
    [message] = kept(tmp_path / "box")
    assert message.name == "20260701-120000-caller@198.51.100.2.wav"
    assert message.stat().st_mode & 0o777 == 0o600
    assert 3.0 < seconds_of(message) < 4.5
    assert changes == [1]


def test_silence_ends_a_message(stage: Make, tmp_path: Path) -> None:
    here = stage(machine(tmp_path, silence=4.0))
    call = here.call()
    here.run(0.8)
    call.play(speech(2.1))
    here.until(lambda: call.over, 12)
    [message] = kept(tmp_path)
    assert 5.5 < seconds_of(message) < 8


def test_who_says_nothing_has_left_no_message(stage: Make, tmp_path: Path) -> None:
    here = stage(machine(tmp_path, silence=3.0, beep=False))
    call = here.call()
    here.until(lambda: call.over, 8)
    assert list(tmp_path.iterdir()) == []


def test_the_longest_message(stage: Make, tmp_path: Path) -> None:
    here = stage(machine(tmp_path, longest=2.0, beep=False))
    call = here.call()
    call.play(speech(10))
    here.until(lambda: call.over, 5)
    [message] = kept(tmp_path)
    assert 1.8 < seconds_of(message) <= 2.05


def test_who_hangs_up_has_left_a_message(stage: Make, tmp_path: Path) -> None:
    here = stage(machine(tmp_path, beep=False))
    call = here.call()
    call.play(speech(10))
    here.run(2)
    call.hangup()
    here.run(1)
    [message] = kept(tmp_path)
    assert 1.5 < seconds_of(message) < 3


def test_a_full_mailbox(stage: Make, tmp_path: Path) -> None:
    (tmp_path / "one.wav").touch()
    here = stage(machine(tmp_path, max_messages=1))
    call = here.call()
    assert call.ending is not None and call.ending.status == 480


def test_a_mailbox_that_cannot_be_written(stage: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    here = stage(machine(tmp_path / "file" / "box", beep=False))
    call = here.call()
    here.run(2)
    assert call.over


class FullDisk(Mailbox):
    """A mailbox on a disk that is full by the time that somebody speaks."""

    def begin(self, caller: str) -> Path:
        path = super().begin(caller)
        path.unlink()
        path.symlink_to("/dev/full")
        return path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("spoken", [0.5, 3.0])
def test_a_message_on_a_full_disk(stage: Make, tmp_path: Path, spoken: float) -> None:
    """It is not kept, nothing is left of it, and the caller hears the end."""
    changes: list[int] = []
    mailbox = FullDisk(tmp_path, lambda: 0.0, lambda: changes.append(1))
    section = VoicemailSection(beep=False, shortest=0.0, goodbye=Prompt("keys:9"))
    here = stage(AnsweringMachine(mailbox, section))
    call = here.call()
    call.play(speech(5.0))
    here.run(spoken)
    call.send_dtmf("#")
    here.until(lambda: call.over, 5)
    assert keys_of(call) == "9"
    assert list(tmp_path.iterdir()) == [] and changes == []


def test_names_of_messages(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, lambda: 0.0)
    assert mailbox.counts() == Counts(0, 0)
    first = mailbox.keep(mailbox.begin("../../etc/passwd@x\n"))
    assert first.name == "19700101-000000-_.._etc_passwd@x_.wav"
    second, third = mailbox.begin("a"), mailbox.begin("a")
    assert second.name == ".19700101-000000-a.wav" and third.name == ".19700101-000000-a-1.wav"
    mailbox.keep(second)
    assert mailbox.begin("a").name == ".19700101-000000-a-2.wav"
    mailbox.discard(third)
    mailbox.discard(third)
    (tmp_path / "old").mkdir()
    first.rename(tmp_path / "old" / first.name)
    assert mailbox.counts() == Counts(1, 1)


@pytest.mark.parametrize(
    ("caller", "name"), [("", "unknown"), ("...", "unknown"), ("é" * 9, "_"), ("x" * 99, "x" * 64)]
)
def test_safe_names(caller: str, name: str) -> None:
    assert safe_name(caller) == name
