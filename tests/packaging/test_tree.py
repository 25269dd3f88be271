"""The rules that the source tree keeps: short files, no package where Twisted expects none, no reactor below."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 400
FOLDERS = ("twisted_sip", "twisted", "tests", "docs", "examples", "benchmarks", ".ci")
#: Floors that get the reactor passed in (docs/architecture.md).
WITHOUT_REACTOR = ("message", "stun", "interfaces", "transaction", "transport", "auth", "storage", "element")


def files(suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Every file of the project with one of *suffixes*; none that is built."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and not {"__pycache__", "_build"} & set(path.parts):
                yield path


def test_no_python_file_is_longer_than_400_lines() -> None:
    long = {}
    for path in files((".py", ".sh")):
        lines = len(path.read_text("utf-8").splitlines())
        if lines > LONGEST:
            long[str(path.relative_to(ROOT))] = lines
    assert not long


@pytest.mark.parametrize("folder", ["twisted", "twisted/plugins"])
def test_the_plugin_folders_are_no_packages(folder: str) -> None:
    # With an __init__.py there, ours would hide Twisted's own package.
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_tests_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in files((".py",))
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not silent


@pytest.mark.parametrize("floor", WITHOUT_REACTOR)
def test_floors_below_the_plugins_get_their_reactor_from_outside(floor: str) -> None:
    guilty = []
    for path in sorted((ROOT / "twisted_sip" / floor).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            if any(name.startswith("twisted.internet.reactor") for name in names):
                guilty.append(f"{path.name}:{node.lineno}")
    assert not guilty


def test_what_is_built_is_not_kept() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a working copy")
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    assert not [name for name in kept if name.endswith((".pyc", "dropin.cache")) or "/_build/" in name]
