"""The pages that are made from the code say what the code says now."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click

from twisted_sip.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_ext" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(*command: str) -> str:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_reference_of_the_configuration_is_current() -> None:
    page = ROOT / "docs" / "reference" / "configuration.md"
    assert page.read_text("utf-8") == printed("-m", "twisted_sip.tap.reference"), "run: make reference"


def test_the_reference_of_the_user_agent_is_current() -> None:
    page = ROOT / "docs" / "reference" / "user-agent.md"
    assert page.read_text("utf-8") == printed("-m", "twisted_sip.tap.reference", "user-agent"), "run: make reference"


def test_the_reference_of_the_commands_is_current() -> None:
    page = ROOT / "docs" / "reference" / "commands.md"
    assert page.read_text("utf-8") == printed("docs/_ext/command_reference.py"), "run: make reference"


def test_the_table_of_torture_messages_is_current() -> None:
    text = (ROOT / "docs" / "torture.md").read_text("utf-8")
    assert text == extension("torture_table").page(text), "run: make reference"
    assert text.count("\n| `") == 49 + 12


def test_every_room_has_its_page() -> None:
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "twisted_sip").iterdir() if path.name[0] not in "_."}
    rooms.discard("py.typed")
    assert set(extension("code_reference").ROOMS) == rooms
    page = (ROOT / "docs" / "reference" / "code.md").read_text("utf-8")
    assert {f"code/{room}" for room in rooms} == set(re.findall(r"^(code/\w+)$", page, re.MULTILINE))


def mentioned() -> Iterator[tuple[str, list[str]]]:
    """Give every twisted-sip command in running text, with the page it is on."""
    for path in PAGES:
        if {"_build", "code"} & set(path.parts) or path.name == "commands.md":
            continue
        for command in re.findall(r"`(twisted-sip [^`]+)`", path.read_text("utf-8").replace("\n", " ")):
            yield str(path.relative_to(ROOT)), command.split()[1:]


def test_commands_in_running_text_exist() -> None:
    seen = 0
    for page, words in mentioned():
        seen += 1
        command: click.Command = cli
        context = click.Context(cli)
        while isinstance(command, click.Group) and words and words[0] != "COMMAND" and words[0][:1] != "-":
            found = command.get_command(context, words[0])
            assert found is not None, f"{page}: twisted-sip {words}"
            command, words = found, words[1:]
        options = {name for parameter in command.get_params(context) for name in parameter.opts}
        assert not [word for word in words if word.startswith("--") and word not in options], f"{page}: {words}"
    assert seen > 10


def test_files_that_are_named_exist() -> None:
    for path in PAGES:
        if {"_build", "code"} & set(path.parts):
            continue
        text = path.read_text("utf-8")
        named = re.findall(r"`((?:tests|examples|benchmarks|twisted_sip|docs)/[\w./-]+)`", text)
        missing = [name for name in named if not (ROOT / name).exists() and not name.startswith("docs/_build")]
        assert not missing, path.name
