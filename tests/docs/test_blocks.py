"""Every command and every program in README and docs is run; every configuration in them is right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.tap import configuration
from twisted_sip.tap.ua_sections import KINDS, UA_CHECKS, UAConfiguration
from twisted_sip.tap.voice_menu import MENU_CHECKS, VoiceMenu

ROOT = Path(__file__).parents[2]
#: Languages of blocks that are shown and not run.
SHOWN = {"text", "toml", "ini", "csv", "sip", "{eval-rst}", "{toctree}", "{literalinclude}", "{note}", "{warning}"}


def test_the_page_does_what_it_says(page: str, blocks: list[Any], session: Any) -> None:
    for block in blocks:
        session.take(block)


def test_nothing_hides_from_being_run(page: str, blocks: list[Any]) -> None:
    for block in blocks:
        known = SHOWN | {"console", "python"}
        assert block.language in known or "file" in block.notes, f"{block.place}: {block.language or 'no language'}"
        if block.language in SHOWN - {"csv", "ini", "toml"}:
            assert not re.search(r"^\$ ", block.text, re.MULTILINE), f"{block.place}: commands go into console blocks"
        if block.language == "console":
            assert block.commands(), f"{block.place}: no command; begin it with a $"


def test_what_is_not_run_here_has_a_test_of_its_own(page: str, blocks: list[Any]) -> None:
    for block in blocks:
        if "tested by" in block.notes:
            name, _, test = block.notes["tested by"].partition("::")
            assert f"\ndef {test}(" in (ROOT / name).read_text("utf-8"), block.place


def test_configurations_are_right(page: str, blocks: list[Any], tmp_path: Path) -> None:
    for block in blocks:
        if block.language == "toml" and "exit status" not in block.notes:
            for path in re.findall(r'"([^"]+\.pem)"', block.text):
                (tmp_path / path).write_text("")
            (tmp_path / "secret").write_text("tub-rub-dub\n")
            if re.search(r"^\[menu\.", block.text, re.MULTILINE):
                configuration.read_as(VoiceMenu, block.text, block.place, tmp_path, MENU_CHECKS, KINDS)
            elif "[[line]]" in block.text:
                configuration.read_as(UAConfiguration, block.text, block.place, tmp_path, UA_CHECKS, KINDS)
            else:
                configuration.read(block.text, block.place, tmp_path)


def test_python_files_are_used(page: str, blocks: list[Any]) -> None:
    for block in blocks:
        if block.language == "python" and "file" in block.notes:
            rest = "".join(other.text for other in blocks if other.line > block.line)
            assert block.notes["file"].removesuffix(".py") in rest, f"{block.place}: nothing runs it"


@pytest.mark.parametrize(
    ("text", "output", "fits"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n...\nb\n", "a\nx\ny\nb\n", True),
        ("a ... c\n", "a b c\n", True),
        ("a ... c\n", "a b\nc\n", False),
        ("...\nb\n", "b\nc\n", False),
        ("a ... c\n", "a      c\n", True),
        ("  a b\n", " a    b\n", True),
        ("a b ...\n", "a b\n", False),
        ("a ... b ... c ... d ... e ... f ... 0\n", "a    ".join("abcdef") + "   1\n", False),
    ],
)
def test_dots_stand_for_anything(text: str, output: str, fits: bool, shown: Any) -> None:
    assert shown(text).is_all_of(output) is fits
