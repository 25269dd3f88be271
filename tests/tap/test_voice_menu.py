"""Menus of keys: their files, and callers in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import DTMF, TransferRequested
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.answering_machine import AnsweringMachine
from twisted_sip.tap.mailboxes import Mailbox
from twisted_sip.tap.ua_sections import VoicemailSection
from twisted_sip.tap.voice_menu import load_menu
from twisted_sip.tap.voice_menu_call import MenuAnswer

from .ua_stage import Stage, kept

MENU = """\
failed = "keys:C"
[menu.main]
prompt = "keys:1"
wait = 2
times = 2
wrong = "keys:A"
[menu.main.key]
1 = { play = "keys:3" }
2 = { menu = "second" }
3 = { record = "box" }
4 = { transfer = "sip:nobody@198.51.100.77" }
"#" = { hangup = true }
[menu.second]
prompt = "keys:2"
[menu.second.key.9]
menu = "main"
"""


def faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "menu.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_menu(path)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["menu: there is no menu, write [menu.main]"]),
        ("start = 'mian'\n[menu.main]", ['start: "mian" is not a menu, did you mean main?']),
        ("menu = 5", ["menu: 5 is not a table, write its keys below a [header]"]),
        ("[menu.main]\nkey = 1", ["menu.main.key: 1 is not a table, write its keys below a [header]"]),
        (
            "[menu.main.key]\nx = { hangup = true }",
            ["menu.main.key.x: is not a key, write one of 0 to 9, *, #, A to D"],
        ),
        (
            "[menu.main.key]\n1 = { }\n2 = { hangup = true, menu = 'main' }",
            [
                "menu.main.key.1: does nothing, write one of play, transfer, record, menu, hangup",
                "menu.main.key.2: has both menu and hangup, write one of play, transfer, record, menu, hangup",
            ],
        ),
        (
            "[menu.main.key]\n1 = { transfer = 'sales' }",
            ['menu.main.key.1.transfer: "sales" is not a SIP URI, write one like sip:sales@example.com'],
        ),
        ("[menu.main.key]\n1 = { menu = 'other' }", ['menu.main.key.1.menu: "other" is not a menu, write one of main']),
        (
            "[menu.main]\nprompt = 'tone:bussy'\ntimes = 0",
            [
                'menu.main.prompt: "tone:bussy": there is no such tone, there are dial, ringback, busy, congestion, '
                "did you mean busy?",
                "menu.main.times: 0 is out of range, write a whole number from 1 to 100",
            ],
        ),
        ("[menu.main]\npromt = ''", ["menu.main.promt: unknown key, did you mean prompt?"]),
    ],
)
def test_faults_of_a_file(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults(tmp_path, text) == expected


def test_prompts_that_cannot_be_played(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("hello")
    found = faults(tmp_path, "[menu.main]\nprompt = 'gone.wav'\nwrong = 'text.wav'\n[menu.b]\nprompt = 'keys:x'")
    assert [one.partition(":")[0] for one in found] == ["menu.main.prompt", "menu.main.wrong", "menu.b.prompt"]
    assert "does not exist" in found[0] and "not a WAV file" in found[1]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "menu.toml").write_text(MENU)

    def machine(directory: Path) -> AnsweringMachine:
        return AnsweringMachine(Mailbox(directory, lambda: 0.0), VoicemailSection(silence=0, beep=False))

    made = Stage(MenuAnswer(load_menu(tmp_path / "menu.toml"), machine))
    yield made
    made.stop()


def heard(call: Call) -> str:
    return "".join(event.digit for event in call.log.kept() if isinstance(event, DTMF))


def press(stage: Stage, call: Call, key: str, until: Callable[[], object]) -> None:
    call.send_dtmf(key, "rtp")
    stage.until(until, 8)


def test_who_presses_nothing_hears_it_twice(stage: Stage) -> None:
    call = stage.call()
    stage.until(lambda: call.over, 8)
    assert heard(call) == "11"


def test_through_the_menus(stage: Stage) -> None:
    call = stage.call()
    stage.until(lambda: heard(call) == "1", 3)
    press(stage, call, "1", lambda: heard(call) == "131")
    press(stage, call, "0", lambda: heard(call) == "131A1")
    press(stage, call, "2", lambda: heard(call) == "131A12")
    press(stage, call, "9", lambda: heard(call) == "131A121")
    press(stage, call, "#", lambda: call.over)


def test_a_message_in_a_menu(stage: Stage, tmp_path: Path) -> None:
    call = stage.call()
    call.send_dtmf("3", "rtp")
    stage.run(3)
    press(stage, call, "#", lambda: kept(tmp_path / "box"))
    stage.until(lambda: heard(call)[-1:] == "1", 5)
    assert call.established
    call.hangup()


def test_a_transfer_that_fails(stage: Stage) -> None:
    """The caller does what the REFER says, finds nobody, and is told so by the menu."""
    call = stage.call()
    seen: list[Any] = []
    call.observe(seen.append)
    call.send_dtmf("4", "rtp")
    stage.until(lambda: "C" in heard(call), 60)
    assert any(isinstance(event, TransferRequested) for event in seen)
    assert call.established
    call.hangup()


def test_a_caller_who_takes_no_refer_is_connected(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The menu calls the target itself; nobody is there either."""
    call = stage.call()
    monkeypatch.setattr(stage.caller, "accept_transfer", lambda call, referral: False)
    call.send_dtmf("4", "rtp")
    stage.until(lambda: "C" in heard(call), 60)
    assert call.established
    call.hangup()
